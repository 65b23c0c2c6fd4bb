import type { Hex, RpcLog } from "../chain/Block.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import type { EventSource } from "./EventSource.ts"

export interface EventMatcher {
  readonly match: (
    log: RpcLog,
    blockNumber: number,
    isChild: (source: number, address: Hex) => boolean
  ) => ReadonlyArray<number>
}
const none: ReadonlyArray<number> = []
export const make = (sources: ReadonlyArray<EventSource>): EventMatcher => {
  const byTopic = new Map<string, Array<number>>()
  for (const [i, { topic0 }] of sources.entries()) byTopic.set(topic0, [...(byTopic.get(topic0) ?? []), i])
  return {
    match: (log, number, isChild) => {
      const found = byTopic.get(log.topics[0] ?? "")
      if (found === undefined) return none
      return found.filter((i) => {
        const source = sources[i]
        if (source === undefined || number < source.startBlock) return false
        if (source.emitters._tag === "Anybody") return true
        if (source.emitters._tag === "Listed") return source.emitters.addresses.has(log.address)
        return isChild(i, log.address)
      })
    }
  }
}
export const filters = (sources: ReadonlyArray<EventSource>): ReadonlyArray<LogFilter> =>
  sources.length === 0 ? [] : [{ topics: [sources.map(({ topic0 }) => topic0)] }]
