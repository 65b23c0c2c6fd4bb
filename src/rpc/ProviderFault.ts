/**
 * What can go wrong with an answer of a JSON-RPC provider: one error with a tagged reason.
 *
 * **Details**: the reason says what to do next. Some faults pass by themselves (`isRetryableHere`), some are the
 * endpoint's own and another one may do better (`isRetryableElsewhere`), some call for a smaller question
 * (`RangeTooLarge`, `ResponseTooLarge`, `BatchTooLarge`, `FilterTooLarge`). `Classification.ts` tells them apart.
 *
 * **Gotchas**: messages name an endpoint by its id (`rpc-1`), never by its URL, which may hold a key.
 */
import { Schema } from "effect"

/** The endpoint has not got that block yet. */
export class HeadLag extends Schema.TaggedError<HeadLag>()("HeadLag", {
  detail: Schema.String,
  /** The endpoint's head, where it says so. */
  head: Schema.optionalKey(Schema.Finite)
}) {}
/** More blocks than eth_getLogs takes at once, or a range with more logs than it answers with. */
export class RangeTooLarge extends Schema.TaggedError<RangeTooLarge>()("RangeTooLarge", {
  detail: Schema.String,
  /** The range that should work, as the provider says; put in order, both ends inclusive. */
  suggested: Schema.optionalKey(Schema.Struct({ from: Schema.Finite, to: Schema.Finite })),
  /** Most blocks in one request, as the provider says. */
  maxBlocks: Schema.optionalKey(Schema.Finite)
}) {}
/** The answer is larger than the provider, or `MAX_RESPONSE_BYTES`, allows. */
export class ResponseTooLarge extends Schema.TaggedError<ResponseTooLarge>()("ResponseTooLarge", {
  detail: Schema.String
}) {}
/** More addresses or topics in a filter than the provider takes. */
export class FilterTooLarge extends Schema.TaggedError<FilterTooLarge>()("FilterTooLarge", {
  detail: Schema.String,
  /** Most addresses or topics, as the provider says. */
  max: Schema.optionalKey(Schema.Finite)
}) {}
/** More requests in one batch than the provider takes, or it takes no batches at all. */
export class BatchTooLarge extends Schema.TaggedError<BatchTooLarge>()("BatchTooLarge", {
  detail: Schema.String,
  /** Most requests in a batch, as the provider says. */
  max: Schema.optionalKey(Schema.Finite)
}) {}
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  detail: Schema.String,
  /** Milliseconds the provider told to wait. */
  retryAfter: Schema.optionalKey(Schema.Finite),
  /** Requests a second that it allows, as it says. */
  perSecond: Schema.optionalKey(Schema.Finite)
}) {}
/** Nothing more today, or this month. */
export class QuotaExhausted extends Schema.TaggedError<QuotaExhausted>()("QuotaExhausted", {
  detail: Schema.String,
  /** Milliseconds the provider told to wait. */
  retryAfter: Schema.optionalKey(Schema.Finite)
}) {}
/** The provider does not have that history any more. */
export class MissingData extends Schema.TaggedError<MissingData>()("MissingData", {
  detail: Schema.String
}) {}
export class MethodUnsupported extends Schema.TaggedError<MethodUnsupported>()("MethodUnsupported", {
  detail: Schema.String
}) {}
/** Refused, reset, timed out, 5xx, no backend. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  detail: Schema.String,
  /** Milliseconds the provider told to wait. */
  retryAfter: Schema.optionalKey(Schema.Finite)
}) {}
/** Not JSON-RPC: HTML, truncated, an empty body, a wrong id or shape. */
export class Malformed extends Schema.TaggedError<Malformed>()("Malformed", { detail: Schema.String }) {}
/** Well-formed, and contradicts itself, its proof or what it was asked for. */
export class Inconsistent extends Schema.TaggedError<Inconsistent>()("Inconsistent", {
  /** What did not fit, as in `receipts root`: one of a few words, which metrics count by. */
  check: Schema.String,
  detail: Schema.String
}) {}
/** The endpoint serves another chain than the one asked for; it is never asked again. */
export class WrongChain extends Schema.TaggedError<WrongChain>()("WrongChain", { detail: Schema.String }) {}
/** Any other error answer; asking the same endpoint the same again will not help. */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { detail: Schema.String }) {}

const Reason = Schema.Union([
  HeadLag,
  RangeTooLarge,
  ResponseTooLarge,
  FilterTooLarge,
  BatchTooLarge,
  RateLimited,
  QuotaExhausted,
  MissingData,
  MethodUnsupported,
  Unavailable,
  Malformed,
  Inconsistent,
  WrongChain,
  Rejected
])
export type Reason = typeof Reason.Type

/** The tags of all reasons. */
export const reasons: ReadonlyArray<string> = Reason.members.map(({ identifier }) => identifier)

/** Stands for an endpoint's id when a fault is of none or of all of them. */
export const everyEndpoint = "every endpoint"

/** A fault of one endpoint on one request. */
export class ProviderFault extends Schema.TaggedError<ProviderFault>()("ProviderFault", {
  /** Id of the endpoint, as in `rpc-1`. */
  endpoint: Schema.String,
  method: Schema.String,
  reason: Reason
}) {
  override get message(): string {
    return `${this.endpoint} ${this.method}: ${this.reason._tag}: ${this.reason.detail}`
  }
  /** Whether asking the same of the same endpoint, a little later, may do. */
  get isRetryableHere(): boolean {
    return passing.has(this.reason._tag)
  }
  /** Whether another endpoint may answer the same question. */
  get isRetryableElsewhere(): boolean {
    return !everywhere.has(this.reason._tag)
  }
  /** Whether asking the same again, here or elsewhere, may do. */
  get isRetryable(): boolean {
    return this.isRetryableHere || this.isRetryableElsewhere
  }
}

/** Faults of the moment. */
const passing: ReadonlySet<Reason["_tag"]> = new Set([
  "HeadLag",
  "RateLimited",
  "Unavailable",
  "Malformed",
  "Inconsistent"
])

/** Faults of the question: it has to be made smaller, wherever it is asked. */
const everywhere: ReadonlySet<Reason["_tag"]> = new Set(["ResponseTooLarge"])

/**
 * At most 200 characters on one line, for a provider's own words in our messages. Providers echo URLs and keys, so
 * whatever looks like one is cut; a hash without its `0x` looks like one too.
 */
export const shorten = (text: string): string => {
  const line = oneLine(text, 4096)
    .replace(/[a-z][a-z\d+.]{0,15}:\/\/\S+/gi, "<url>")
    .replace(/[\w-]{20,}/g, (run) => (isKey(run) ? "<key>" : run))
    .trim()
  return line.length <= 200 ? line : `${line.slice(0, 199)}…`
}

/**
 * The start of a text without what a terminal or a log would obey: line feeds, escape sequences, half characters.
 * More cannot be shown, and a message may be as long as a body.
 */
export const oneLine = (text: string, longest: number): string =>
  text.slice(0, longest).replace(/[\s\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, " ")

const isKey = (run: string): boolean => /\d/.test(run) && /[a-z]/i.test(run) && !/^0x[\da-f]+$/i.test(run)
