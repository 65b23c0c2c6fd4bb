/**
 * What can go wrong with an answer of a JSON-RPC provider: one error with a tagged reason.
 *
 * A code alone never classifies (-32005 is a rate limit here and a result too large there), so message, `data`, code
 * and HTTP status are matched together, in this order: head lag, size or range, quota and rate, missing data,
 * unsupported, unavailable; what is left is `Rejected`. **Never an empty result.**
 *
 * Messages name an endpoint by its id (`rpc-1`), never by its URL, which may hold a key.
 */
import { Option, Schema } from "effect"

/** The endpoint has not got that block yet. */
export class HeadLag extends Schema.TaggedError<HeadLag>()("HeadLag", { detail: Schema.String }) {}
/** The answer, or the range asked for, is too large for the provider or for `MAX_RESPONSE_BYTES`. */
export class ResponseTooLarge extends Schema.TaggedError<ResponseTooLarge>()("ResponseTooLarge", {
  detail: Schema.String
}) {}
/** More requests in one batch than the provider takes, or it takes no batches at all. */
export class BatchTooLarge extends Schema.TaggedError<BatchTooLarge>()("BatchTooLarge", {
  detail: Schema.String
}) {}
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  detail: Schema.String,
  /** Milliseconds the provider told to wait. */
  retryAfter: Schema.optionalKey(Schema.Finite)
}) {}
export class QuotaExhausted extends Schema.TaggedError<QuotaExhausted>()("QuotaExhausted", {
  detail: Schema.String
}) {}
/** The provider does not have that history any more. */
export class MissingData extends Schema.TaggedError<MissingData>()("MissingData", {
  detail: Schema.String
}) {}
export class MethodUnsupported extends Schema.TaggedError<MethodUnsupported>()("MethodUnsupported", {
  detail: Schema.String
}) {}
/** Refused, reset, timed out, 5xx. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  detail: Schema.String
}) {}
/** Not JSON-RPC: HTML, truncated, an empty body, a wrong id or shape. */
export class Malformed extends Schema.TaggedError<Malformed>()("Malformed", { detail: Schema.String }) {}
/** Well-formed, and contradicts itself or its proof. */
export class Inconsistent extends Schema.TaggedError<Inconsistent>()("Inconsistent", {
  detail: Schema.String
}) {}
/** The endpoint serves another chain than the one asked for; it is never asked again. */
export class WrongChain extends Schema.TaggedError<WrongChain>()("WrongChain", { detail: Schema.String }) {}
/** Any other error answer; asking the same again will not help. */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { detail: Schema.String }) {}

const Reason = Schema.Union([
  HeadLag,
  ResponseTooLarge,
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
  get retryableHere(): boolean {
    return transient.has(this.reason._tag)
  }
}

const transient: ReadonlySet<Reason["_tag"]> = new Set(["HeadLag", "RateLimited", "Unavailable", "Malformed"])

/** What an error answer says of itself, wherever it was found. */
export interface ErrorAnswer {
  readonly status: number
  readonly code: number | undefined
  readonly message: string
  readonly retryAfter: Option.Option<number>
}

const patterns: ReadonlyArray<readonly [RegExp, (detail: string, answer: ErrorAnswer) => Reason]> = [
  [
    /batch (size )?(too large|limit)|max(imum)? batch|batch of more than|batch(es| requests?)? (is |are )?not (supported|allowed)|number of requests exceeds/i,
    (detail) => new BatchTooLarge({ detail })
  ],
  [
    /beyond (the )?(current )?head|unknown block|header not found|block ?not ?found|BlockOutOfRange|block is not available|not yet available/i,
    (detail) => new HeadLag({ detail })
  ],
  [
    /(response|result|log|payload|body)s?( response)?( size)?( is| are)?( too large| exceed| should not)|too many (logs|results)|(block )?range.*(exceed|limit|too (wide|large)|not supported|max)|(exceed|max|limited to).*(block )?(range|results)|query returned more than/i,
    (detail) => new ResponseTooLarge({ detail })
  ],
  [
    /monthly|daily request count|quota|out of (credits|requests)|billing|capacity limit/i,
    (detail, { retryAfter }) =>
      Option.isSome(retryAfter)
        ? new RateLimited({ detail, retryAfter: retryAfter.value })
        : new QuotaExhausted({ detail })
  ],
  [
    /rate.?limit|too many requests|requests? limit|per second|throughput|limited to \d+\/|exceeded its compute/i,
    (detail, { retryAfter }) =>
      new RateLimited({ detail, ...(Option.isSome(retryAfter) ? { retryAfter: retryAfter.value } : {}) })
  ],
  [
    /missing trie node|pruned|historical state|state (is )?not available|ancient/i,
    (detail) => new MissingData({ detail })
  ],
  [
    /method.*(not found|not supported|not available|does not exist|not whitelisted|disabled)|unsupported method|unknown method|not implemented/i,
    (detail) => new MethodUnsupported({ detail })
  ],
  [
    /timed? ?out|timeout|no backend|temporarily|unavailable|internal error|try again|overloaded|connection/i,
    (detail) => new Unavailable({ detail })
  ]
]

/** The reason behind an error answer; see the module's doc for the order. */
export const classify = (answer: ErrorAnswer): Reason => {
  const detail = shorten(answer.message === "" ? `HTTP ${answer.status}` : answer.message)
  for (const [pattern, make] of patterns) {
    if (pattern.test(answer.message)) return make(detail, answer)
  }
  if (answer.status === 429) {
    return new RateLimited({
      detail,
      ...(Option.isSome(answer.retryAfter) ? { retryAfter: answer.retryAfter.value } : {})
    })
  }
  if (answer.status === 413) return new ResponseTooLarge({ detail })
  if (answer.status >= 500) return new Unavailable({ detail })
  if (answer.code === -32601) return new MethodUnsupported({ detail })
  return new Rejected({ detail })
}

/** At most 200 characters on one line, for a provider's own words in our messages; whatever looks like a URL is cut. */
export const shorten = (text: string): string => {
  const line = text.replace(/(https?|wss?):\/\/\S+/g, "<url>").replace(/\s+/g, " ")
  return line.length <= 200 ? line : `${line.slice(0, 199)}…`
}
