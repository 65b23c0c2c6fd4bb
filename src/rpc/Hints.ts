/**
 * What an error answer says besides what went wrong: limits, ranges that would work, waits, heads. Numbers come in
 * decimal and in hex, with separators and as `2K`; what is no number that can be counted with is nothing.
 */
import { Option, Predicate } from "effect"

/** A number as providers write them: `10,000`, `2K`, `0x7d0`. */
const number = String.raw`(0x[0-9a-f]{1,16}|\d[\d,_]{0,15}(?: ?k\b)?)`

/** Days, bytes and what was asked for are no limits of blocks. */
const ofBlocks = String.raw`(?![\d,]*\d| ?(?:days?|hours?|min|s\b|sec|ms\b|bytes?|[kmg]i?b\b|(?:blocks? )?requested))`

const plainBlockHints: ReadonlyArray<RegExp> = [
  new RegExp(
    `(?:up to|limited to|limit(?:ed)? (?:of|is|to)|at most|over|than|exceeds?|within|max(?:imum)?(?: is| of)?)(?: an?| the)? ${number}[ -]?block`,
    "i"
  ),
  new RegExp(`limited to (?:an? )?${number} (?:block )?range`, "i"),
  new RegExp(
    `max(?:imum)?(?: allowed| supported)? (?:block )?range(?: limit| size)?(?: is| of| =|:)? ?${number}`,
    "i"
  ),
  new RegExp(String.raw`\(\d{1,15} > ${number}\)`, "i"),
  new RegExp(`${number}(?: blocks?)? allowed`, "i")
]

/** Right where nothing but blocks was counted. */
const looseBlockHints: ReadonlyArray<RegExp> = [
  new RegExp(String.raw`\d > ${number}`, "i"),
  new RegExp(
    String.raw`(?:max|maximum|limit|allowed|threshold)\b(?: \[from, to\])?[a-z _]{0,40}(?: =|:)? ?\(?${number}${ofBlocks}`,
    "i"
  ),
  new RegExp(
    `(?:exceeds?|greater than|larger than|bigger than|more than|smaller than|less than|over|than size|at most|up to|within|limited to)(?: an?| the)? ${number}${ofBlocks}`,
    "i"
  )
]

const batchHints: ReadonlyArray<RegExp> = [
  new RegExp(`batch(?:es)? of more than ${number}`, "i"),
  new RegExp(
    String.raw`(?:max(?:imum)?|limit|limited|exceed(?:ed|s)?|than|up to|at most|allowed)\b[a-z _]{0,30}(?: =|:)? ?\(?${number}`,
    "i"
  ),
  new RegExp(`${number} (?:requests|calls) (?:per|in)`, "i")
]

const filterHints: ReadonlyArray<RegExp> = [
  new RegExp(
    String.raw`(?:max(?:imum)?|limit|limited|than|up to|at most|allowed)\b[a-z _]{0,30}(?: =|:)? ?\(?${number}`,
    "i"
  )
]

/** "block height" counts only as Anvil says it: elsewhere it names the block that was asked for. */
const headHints: ReadonlyArray<RegExp> = [
  new RegExp(`block height is ${number} but`, "i"),
  new RegExp(
    String.raw`(?:\bhead|\btip|latest(?: known| available| finalized)?(?: block)?(?: number| height)?|current (?:blockchain )?(?:height|block)(?: number)?|last accepted(?: block)?)(?: is| at| =|:)? ?[#(]?${number}`,
    "i"
  )
]

/** A count of credits or compute units a second is none of requests. */
const perSecondHints: ReadonlyArray<RegExp> = [
  new RegExp(String.raw`${number} ?\/ ?s(?:ec|econd)? (?:\w{1,20} )?request`, "i"),
  new RegExp(String.raw`requests? (?:is |are )?limited to ${number} ?(?:\/|per) ?s`, "i"),
  new RegExp(String.raw`${number} (?:requests?|req|calls?) ?(?:\/|per|a) ?s(?:ec|econd)?\b`, "i"),
  new RegExp(String.raw`${number} ?rps\b`, "i")
]

/** Most blocks in a request. A limit of logs is none of blocks. */
export const maxBlocks = (text: string, data: unknown): number | undefined =>
  firstNumber(
    text,
    /\b(results?|logs|events|bytes|response)\b/i.test(text)
      ? plainBlockHints
      : [...plainBlockHints, ...looseBlockHints]
  ) ?? numberIn(data, ["max_block_range", "maxBlockRange", "max_range", "maxRange"])

/** Most requests in a batch. */
export const maxBatch = (text: string, data: unknown): number | undefined =>
  firstNumber(text, batchHints) ?? numberIn(data, ["max_batch_size", "maxBatchSize"])

/** Most addresses or topics in a filter. */
export const maxFilter = (text: string): number | undefined => firstNumber(text, filterHints)

/** The endpoint's head. */
export const head = (text: string): number | undefined => firstNumber(text, headHints)

/** Requests a second that are allowed. */
export const perSecond = (text: string, data: unknown): number | undefined =>
  firstNumber(text, perSecondHints) ?? numberIn(data, ["allowed_rps", "max_rps"])

const firstNumber = (text: string, hints: ReadonlyArray<RegExp>): number | undefined => {
  for (const hint of hints) {
    const value = numberOf(hint.exec(text)?.[1])
    if (value !== undefined) return value
  }
  return undefined
}

/** Nothing for what is no number that can be counted with. */
const numberOf = (value: unknown): number | undefined => {
  if (typeof value !== "number" && typeof value !== "string") return undefined
  const digits = String(value).replace(/[,_\s]/g, "")
  const plain = digits.replace(/k$/i, "")
  const parsed = plain === "" ? Number.NaN : Number(plain) * (plain === digits ? 1 : 1000)
  return Number.isSafeInteger(parsed) && parsed >= 0 ? parsed : undefined
}

/** The first of these keys with a number in it, at any depth that hints were seen at. */
const numberIn = (data: unknown, keys: ReadonlyArray<string>, depth = 3): number | undefined => {
  if (!Predicate.isObject(data) || depth === 0) return undefined
  for (const [key, value] of Object.entries(data)) {
    const found = keys.includes(key) ? numberOf(value) : numberIn(value, keys, depth - 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** A pair counts only after words that offer it: `maximum [from, to] blocks distance` and echoes of the request do not. */
const offered = new RegExp(
  String.raw`(?:should work|(?:re)?try with|(?:re)?try (?:the )?(?:block )?range|suggested|instead|use)[a-z ]{0,40}:? ?[[(]?\s?${number}\s?(?:,|-|–|\.\.|to)\s?${number}`,
  "i"
)

/** The range that should work. */
export const suggested = (text: string, data: unknown) => suggestedIn(text) ?? suggestedBy(data)

const suggestedIn = (text: string) => {
  const match = offered.exec(text)
  return match === null ? undefined : inOrder(match[1], match[2])
}

/** Infura says `{"from": "0x1", "to": "0x2", "limit": 10000}`; without the limit it may be the question again. */
const suggestedBy = (data: unknown) =>
  Predicate.isObject(data) && "from" in data && "to" in data && "limit" in data
    ? inOrder(data["from"], data["to"])
    : undefined

const inOrder = (from: unknown, to: unknown) => {
  const [a, b] = [numberOf(from), numberOf(to)]
  return a === undefined || b === undefined ? undefined : { from: Math.min(a, b), to: Math.max(a, b) }
}

/** Longer waits are slips: a date of another year, milliseconds taken for seconds. */
const longestWait = 24 * 3_600_000

/**
 * How long the provider tells to wait, in milliseconds, a day at most: `data` and words know more than the header.
 */
export const wait = (text: string, data: unknown, header: Option.Option<number>): number | undefined => {
  const told = toldWait(text, data) ?? Option.getOrUndefined(header)
  return told === undefined ? undefined : Math.min(told, longestWait)
}

const toldWait = (text: string, data: unknown): number | undefined => {
  const seconds = numberIn(data, ["backoff_seconds", "retry_after", "retryAfter", "retry_after_seconds"])
  return (
    (seconds === undefined ? undefined : seconds * 1000) ??
    numberIn(data, ["retry_after_ms", "retryAfterMs", "backoff_ms"]) ??
    waitIn(text)
  )
}

const waitIn = (text: string): number | undefined => {
  const [, told = ""] = /(?:retry|again|wait|back ?off|resets?)\b[^\d.]{0,24}(\d.{0,32})/i.exec(text) ?? []
  let wait: number | undefined
  let rest = told
  for (;;) {
    const [part, count = "", unit = ""] =
      /^(\d{1,9}(?:\.\d{1,9})?) ?([a-zµ]{1,12})[ ,]?(?:and )?/i.exec(rest) ?? []
    const length = lengths.get(unit.toLowerCase())
    if (part === undefined || length === undefined) return wait
    wait = (wait ?? 0) + Math.ceil(Number(count) * length)
    rest = rest.slice(part.length)
  }
}

const lengths: ReadonlyMap<string, number> = new Map(
  [
    [1, ["ms", "msec", "millis", "millisecond", "milliseconds"]] as const,
    [1000, ["s", "sec", "secs", "second", "seconds"]] as const,
    [60_000, ["m", "min", "mins", "minute", "minutes"]] as const,
    [3_600_000, ["h", "hr", "hrs", "hour", "hours"]] as const,
    [86_400_000, ["d", "day", "days"]] as const
  ].flatMap(([length, names]) => names.map((name) => [name, length] as const))
)
