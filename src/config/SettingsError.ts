/**
 * Settings that are wrong, all of them at once. Nothing in it is secret: what was given is shown only as far as
 * `Redaction` lets it.
 */
import { Runtime, Schema } from "effect"

/** Where a value came from. `option` is an argument of `Settings.make`. */
export const Origin = Schema.Literals(["flag", "env", "option", "profile", "default"])
export type Origin = typeof Origin.Type

export const Problem = Schema.Struct({
  /** The setting's name in code, or `profile`. */
  setting: Schema.String,
  env: Schema.String,
  flag: Schema.UndefinedOr(Schema.String),
  /** How it is written where the value came from, or where it should have: `--http-port`, `HTTP_PORT`, `httpPort`. */
  name: Schema.String,
  /** Redacted; undefined when nothing was given. */
  given: Schema.UndefinedOr(Schema.String),
  origin: Origin,
  /** Completes "expected ...". */
  expected: Schema.String
})
export type Problem = typeof Problem.Type

const sources: { readonly [O in Origin]: string } = {
  flag: "on the command line",
  env: "in the environment",
  option: "as an option",
  profile: "from the profile",
  default: "by default"
}

const line = (problem: Problem): string =>
  [
    `  ${problem.name}`,
    `    given     ${problem.given === undefined ? "nothing" : `${problem.given}  (${sources[problem.origin]})`}`,
    `    expected  ${problem.expected}`
  ].join("\n")

/** Each wrong setting on lines of its own. */
export const renderError = (error: Pick<SettingsError, "problems" | "warnings">): string => {
  const count = error.problems.length
  const title = count === 1 ? "One setting is wrong:" : `${count} settings are wrong:`
  return [title, ...error.problems.map(line), ...error.warnings.map((warning) => `  ${warning}`)].join("\n\n")
}

export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", {
  problems: Schema.Array(Problem),
  /** Misspelt variables: often the very reason why a setting is missing. */
  warnings: Schema.Array(Schema.String)
}) {
  /** For a program that ends with this error: wrong settings are exit code 2. */
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return renderError(this)
  }
}
