/**
 * Which logs are asked for, as eth_getLogs takes it, and whether a log is one of them.
 *
 * **Gotchas**: an empty list of addresses, or of topics at one position, means any, as nodes have it. Whoever follows
 * a list that may be empty must not ask at all.
 */
import type { Hex, RpcLog } from "./Block.ts"

export interface LogFilter {
  /** Contracts, any of them. */
  readonly addresses?: ReadonlyArray<Hex>
  /** What each position must be: a topic, one of several, or anything where it is null. */
  readonly topics?: ReadonlyArray<Hex | ReadonlyArray<Hex> | null>
}

/** A filter made ready to look at many logs; hex in lower case, undefined where anything fits. */
export interface LogMatcher {
  readonly addresses: ReadonlySet<string> | undefined
  readonly topics: ReadonlyArray<ReadonlySet<string> | undefined>
}

/**
 * The same filter in the form that all nodes understand alike: every address once, and no position at the end that
 * takes anything. Some nodes would want such a topic to be there, whatever it is.
 */
export const normalize = ({ addresses = [], topics = [] }: LogFilter): LogFilter => {
  const once = new Map(addresses.map((address) => [address.toLowerCase(), address]))
  const used = topics.findLastIndex((topic) => alternatives(topic).length > 0) + 1
  return {
    ...(once.size === 0 ? {} : { addresses: [...once.values()] }),
    ...(used === 0
      ? {}
      : { topics: topics.slice(0, used).map((topic) => (alternatives(topic).length > 0 ? topic : null)) })
  }
}

const alternatives = (topic: Hex | ReadonlyArray<Hex> | null): ReadonlyArray<Hex> =>
  topic === null ? [] : typeof topic === "string" ? [topic] : topic

/** The filter in parts with at most so many addresses; itself where it has no list. */
export const split = (filter: LogFilter, most: number): ReadonlyArray<LogFilter> => {
  const { addresses = [] } = filter
  if (addresses.length <= most) return [filter]
  const parts: Array<LogFilter> = []
  for (let at = 0; at < addresses.length; at += most) {
    parts.push({ ...filter, addresses: addresses.slice(at, at + most) })
  }
  return parts
}

export const matcher = ({ addresses = [], topics = [] }: LogFilter): LogMatcher => ({
  addresses: setOf(addresses),
  topics: topics.map((topic) => setOf(alternatives(topic)))
})

const setOf = (values: ReadonlyArray<Hex>): ReadonlySet<string> | undefined =>
  values.length === 0 ? undefined : new Set(values.map((value) => value.toLowerCase()))

/** What of a log is not as the filter wants it: its address, or the topic at a position. */
export const misfit = (
  { addresses, topics }: LogMatcher,
  log: Pick<RpcLog, "address" | "topics">
): "address" | number | undefined => {
  if (addresses !== undefined && !has(addresses, log.address)) return "address"
  for (let i = 0; i < topics.length; i++) {
    const wanted = topics[i]
    if (wanted === undefined) continue
    const topic = log.topics[i]
    if (topic === undefined || !has(wanted, topic)) return i
  }
  return undefined
}

/** Nearly all nodes answer in lower case, which costs one look. */
const has = (wanted: ReadonlySet<string>, hex: Hex): boolean =>
  wanted.has(hex) || wanted.has(hex.toLowerCase())
