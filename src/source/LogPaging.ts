/**
 * How much to ask of an endpoint in one eth_getLogs: what its memory allows, and what a refusal or an answer makes of
 * that. Pure decisions; `LogSource` asks.
 *
 * **Details**: an endpoint is asked for as many blocks as it served last, and a tenth more each time it served them all
 * with room left. Refusals lead to a smaller question: the provider's own words where they can be right, halves
 * otherwise, down to one block, and from there with fewer addresses.
 */
import type { EndpointState } from "../rpc/EndpointState.ts"
import type { Reason, Unavailable } from "../rpc/ProviderFault.ts"

/** Blocks asked for at first: what the strictest of the large providers take without a word (Alchemy's 2K). */
const firstBlocks = 2_000

/** Blocks asked for at most. Where a million of them have next to nothing in them, requests do not count any more. */
const mostBlocks = 1_000_000

/**
 * Bytes that an answer should have: some 3,000 logs, read and checked in about 6 ms. Smaller answers spend the time in
 * round trips; larger ones hold the event loop and memory, and are lost whole when something breaks.
 */
const targetBytes = 2_000_000

/** Bytes from which on the next answer has to be smaller. Twice the target, so that chance alone changes nothing. */
const tooManyBytes = 4_000_000

/** One question: so many blocks from `from` on, in requests with so many addresses at most. */
export interface Asked {
  readonly from: number
  readonly blocks: number
  /** 0 where any address will do. */
  readonly addresses: number
}

/** Blocks that this endpoint may be asked for now. */
export const allowance = ({ logRange = firstBlocks, logRangeLimit = mostBlocks }: EndpointState): number =>
  Math.max(1, Math.min(logRange, logRangeLimit, mostBlocks))

/** The question to ask instead; undefined where this one is as small as it can be, or size was not the matter. */
export const smaller = (asked: Asked, reason: Reason): Asked | undefined => {
  switch (reason._tag) {
    case "RangeTooLarge":
      return withBlocks(asked, suggestedBlocks(asked, reason) ?? usableLimit(asked, reason.maxBlocks))
    case "ResponseTooLarge":
      return withBlocks(asked, undefined)
    case "Unavailable":
      return isTimeout(reason) ? withBlocks(asked, undefined) : undefined
    // Nobody knows what it means: perhaps that the range is too large.
    case "Rejected":
      return asked.blocks > 1 ? withBlocks(asked, undefined) : undefined
    case "FilterTooLarge":
      return withAddresses(asked, reason.max)
    default:
      return undefined
  }
}

/** Whether the reason may be the size of the question as well as something else. */
export const isDoubtful = (reason: Reason): boolean =>
  reason._tag === "Rejected" || (reason._tag === "Unavailable" && isTimeout(reason))

/** What to remember when a question was refused. Doubtful reasons change nothing until less was served. */
export const refused = (state: EndpointState, asked: Asked, less: Asked, reason: Reason): EndpointState => {
  switch (reason._tag) {
    case "RangeTooLarge": {
      const limit = usableLimit(asked, reason.maxBlocks)
      // Alchemy names a small range that always works beside a larger one that works here: that is no limit.
      const strict = limit !== undefined && limit >= (suggestedBlocks(asked, reason) ?? 0)
      return {
        ...state,
        logRange: Math.min(allowance(state), less.blocks),
        logRangeLimit: strict ? Math.min(state.logRangeLimit ?? limit, limit) : state.logRangeLimit
      }
    }
    case "ResponseTooLarge":
      return { ...state, logRange: Math.min(allowance(state), less.blocks) }
    default:
      return state
  }
}

/** A question that was answered. */
export interface Served {
  readonly blocks: number
  readonly bytes: number
  /** More blocks had been asked for before. */
  readonly refused: boolean
  /** Addresses in one filter, after more had been too many; undefined where none were. */
  readonly filterLimit: number | undefined
}

/** What to remember when a question was answered. */
export const served = (state: EndpointState, answer: Served): EndpointState => ({
  ...state,
  logRange: nextRange(state, answer),
  // Only now: where topics were too many, fewer addresses would not have helped.
  logAddresses: answer.filterLimit ?? state.logAddresses
})

const nextRange = (state: EndpointState, { blocks, bytes, refused }: Served): number | undefined => {
  const allowed = allowance(state)
  if (bytes > tooManyBytes) {
    return Math.min(allowed, Math.max(1, Math.floor((blocks * targetBytes) / bytes)))
  }
  if (refused && blocks < allowed) return blocks
  // A page that the range's end or the head cut short says nothing about a larger one.
  if (blocks !== allowed || bytes > targetBytes) return state.logRange
  const more = blocks + Math.max(1, Math.round(blocks / 10))
  return Math.min(more, state.logRangeLimit ?? mostBlocks, mostBlocks)
}

/** Fewer blocks, or fewer addresses where there is but one block. */
const withBlocks = (asked: Asked, blocks: number | undefined): Asked | undefined =>
  asked.blocks > 1
    ? { ...asked, blocks: blocks ?? Math.floor(asked.blocks / 2) }
    : withAddresses(asked, undefined)

const withAddresses = (asked: Asked, max: number | undefined): Asked | undefined => {
  if (asked.addresses <= 1) return undefined
  const told = max !== undefined && max >= 1 && max < asked.addresses
  return { ...asked, addresses: told ? Math.floor(max) : Math.floor(asked.addresses / 2) }
}

/** The provider's own range, where it starts as ours does and is shorter. */
const suggestedBlocks = (
  asked: Asked,
  { suggested }: Extract<Reason, { readonly _tag: "RangeTooLarge" }>
): number | undefined =>
  suggested?.from === asked.from ? usableLimit(asked, suggested.to - suggested.from + 1) : undefined

const usableLimit = (asked: Asked, limit: number | undefined): number | undefined =>
  limit !== undefined && limit >= 1 && limit < asked.blocks ? limit : undefined

/** Many providers give up on a question that is too large instead of refusing it. */
const isTimeout = ({ detail }: Unavailable): boolean =>
  /time(d|s)?[ -]?out|deadline|no answer within|\b(408|504|524)\b/i.test(detail)
