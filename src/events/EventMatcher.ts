/**
 * Which sources take a log, and what to ask a provider for so that none of their logs is missing.
 *
 * **Details**
 *
 * `match` is asked about every log of the chain, and nearly all of them are nobody's: those cost a look into a map.
 * Hex is taken in upper and in lower case, which nodes may choose.
 *
 * `filters` asks for as few as sensible, since each of them is a request for each range: sources with the same
 * addresses are one filter with the topics of all, sources with the same topics one with the addresses of all. Filters
 * that are left are made one where that asks for few pairs of an address and a topic that nobody wants.
 *
 * **Gotchas**
 *
 * - `filters` may bring logs that no source takes; `match` tells.
 * - Of contracts that a factory names, all logs of the topic are asked for, of any address: who they are is known only
 *   when the factory's own logs, which are asked for as well, have been seen.
 */
import type { Hex, RpcLog } from "../chain/Block.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import type { EventSource } from "./EventSource.ts"

export interface EventMatcher {
  /**
   * The places of the sources that take the log, in their order. `isChild` says whether a source's factory has named
   * the address, which is in lower case.
   */
  readonly match: (
    log: RpcLog,
    blockNumber: number,
    isChild: (source: number, address: Hex) => boolean
  ) => ReadonlyArray<number>
}

interface Candidate {
  readonly index: number
  readonly source: EventSource
}

const none: ReadonlyArray<number> = []

const upperCase = /[A-F]/

export const make = (sources: ReadonlyArray<EventSource>): EventMatcher => {
  const byTopic = new Map<string, Array<Candidate>>()
  for (const [index, source] of sources.entries()) {
    const same = byTopic.get(source.topic0)
    if (same === undefined) byTopic.set(source.topic0, [{ index, source }])
    else same.push({ index, source })
  }
  const candidatesOf = (topic: string): ReadonlyArray<Candidate> | undefined =>
    byTopic.get(topic) ?? (upperCase.test(topic) ? byTopic.get(topic.toLowerCase()) : undefined)

  return {
    match: ({ address, topics: [topic0] }, number, isChild) => {
      const candidates = topic0 === undefined ? undefined : candidatesOf(topic0)
      if (candidates === undefined) return none
      const emitter = lowerCase(address)
      const takes = ({ index, source: { emitters, startBlock } }: Candidate): boolean => {
        if (number < startBlock) return false
        switch (emitters._tag) {
          case "Anybody":
            return true
          case "Listed":
            return emitters.addresses.has(emitter)
          case "Children":
            return isChild(index, emitter)
        }
      }
      return candidates.filter(takes).map(({ index }) => index)
    }
  }
}

const lowerCase = (hex: Hex): Hex => (upperCase.test(hex) ? `0x${hex.slice(2).toLowerCase()}` : hex)

// Filters

/** Every topic of every address. */
interface Pairs {
  readonly addresses: ReadonlySet<Hex>
  readonly topics: ReadonlySet<Hex>
  /** How many pairs of these are wanted. */
  readonly wanted: number
}

/** So many pairs that nobody wants are asked for rather than a filter more. */
const fewPairs = 64

/** What to ask a provider for; none where there are no sources. In the same order whenever the sources are the same. */
export const filters = (sources: ReadonlyArray<EventSource>): ReadonlyArray<LogFilter> => {
  const ofAnybody = new Set(
    sources.flatMap(({ emitters, topic0 }) => (emitters._tag === "Listed" ? [] : [topic0]))
  )
  const listed = sources.flatMap(listedOf)
  const pairs = joined(exact(listed.filter(({ topic }) => !ofAnybody.has(topic))))
  return [
    ...(ofAnybody.size === 0 ? [] : [{ topics: [[...ofAnybody]] }]),
    ...pairs.map(({ addresses, topics }) => ({ addresses: [...addresses], topics: [[...topics]] }))
  ]
}

interface Listed {
  readonly addresses: ReadonlySet<Hex>
  readonly topic: Hex
}

const listedOf = ({ emitters, topic0 }: EventSource): ReadonlyArray<Listed> => {
  if (emitters._tag === "Anybody") return []
  return emitters._tag === "Listed"
    ? [{ addresses: emitters.addresses, topic: topic0 }]
    : [{ addresses: emitters.factory.addresses, topic: emitters.factory.topic0 }]
}

/** Sources with the same addresses, and then those with the same topics, as one: nothing more is asked for by that. */
const exact = (listed: ReadonlyArray<Listed>): ReadonlyArray<Pairs> => {
  // By topic first, so that a contract that is named twice counts once.
  const byTopic = grouped(listed, ({ topic }) => topic).map((same) => ({
    addresses: union(same.map(({ addresses }) => addresses)),
    topics: new Set(same.map(({ topic }) => topic))
  }))
  const byAddress = grouped(
    byTopic.flatMap(({ addresses, topics }) => [...addresses].map((address) => ({ address, topics }))),
    ({ address }) => address
  ).map((same) => ({
    addresses: new Set(same.map(({ address }) => address)),
    topics: union(same.map(({ topics }) => topics))
  }))
  return grouped(byAddress, ({ topics }) => [...topics].sort().join()).map((same) => {
    const addresses = union(same.map((one) => one.addresses))
    const topics = union(same.map((one) => one.topics))
    return { addresses, topics, wanted: addresses.size * topics.size }
  })
}

const joined = (pairs: ReadonlyArray<Pairs>): ReadonlyArray<Pairs> => {
  const kept: Array<Pairs> = []
  for (const one of pairs) {
    const at = kept.findIndex((other) => isWorth(join(other, one)))
    const other = kept[at]
    if (other === undefined) kept.push(one)
    else kept[at] = join(other, one)
  }
  return kept
}

const join = (a: Pairs, b: Pairs): Pairs => ({
  addresses: union([a.addresses, b.addresses]),
  topics: union([a.topics, b.topics]),
  wanted: a.wanted + b.wanted
})

/** Not more than as many again, or few. */
const isWorth = ({ addresses, topics, wanted }: Pairs): boolean =>
  addresses.size * topics.size - wanted <= Math.max(wanted, fewPairs)

const union = (sets: ReadonlyArray<ReadonlySet<Hex>>): ReadonlySet<Hex> =>
  new Set(sets.flatMap((set) => [...set]))

/** In the order in which each key comes first. */
const grouped = <A>(items: ReadonlyArray<A>, key: (item: A) => string): ReadonlyArray<ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const of = key(item)
    const group = groups.get(of)
    if (group === undefined) groups.set(of, [item])
    else group.push(item)
  }
  return [...groups.values()]
}
