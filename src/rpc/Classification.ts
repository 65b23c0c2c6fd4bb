/**
 * Which fault an error answer is.
 *
 * A code alone never classifies (-32005 is a rate limit here and a result too large there), so message, `data`, code
 * and HTTP status are matched together, in this order: head lag, size or range, quota and rate, missing data,
 * unsupported, unavailable; what is left is `Rejected`. **Never an empty result.**
 */
import { Option } from "effect"
import {
  BatchTooLarge,
  HeadLag,
  MethodUnsupported,
  MissingData,
  QuotaExhausted,
  RateLimited,
  type Reason,
  Rejected,
  ResponseTooLarge,
  shorten,
  Unavailable
} from "./ProviderFault.ts"

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
