/** Answers of the API that are no success, for any of its groups: a sentence, and a status that says whose turn it is. */
import { Effect, Schema, SchemaIssue } from "effect"
import { HttpApiMiddleware } from "effect/http-api"

/** 400: what was asked cannot be answered, and what was expected. */
export class BadInput extends Schema.TaggedError<BadInput>()(
  "BadInput",
  { error: Schema.String },
  { httpApiStatus: 400 }
) {}

/** 404: there is no such thing here. */
export class NotFound extends Schema.TaggedError<NotFound>()(
  "NotFound",
  { error: Schema.String },
  { httpApiStatus: 404 }
) {}

/** 503: the database does not answer. */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  { error: Schema.String },
  { httpApiStatus: 503 }
) {}

/** Makes input that does not fit its schema a `BadInput`; without it the answer is an empty 400. */
export class SaysWhatWasExpected extends HttpApiMiddleware.Service<SaysWhatWasExpected>()(
  "sluice/api/SaysWhatWasExpected",
  { error: BadInput }
) {}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

export const layerSaysWhatWasExpected = HttpApiMiddleware.layerSchemaErrorTransform(
  SaysWhatWasExpected,
  (error) => {
    if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.fail(error)
    const said = issuesOf(error.cause.issue).issues.map(({ message, path = [] }) =>
      [path.map(String).join("."), message].filter((part) => part !== "").join(": ")
    )
    return Effect.fail(new BadInput({ error: said.join("; ") }))
  }
)
