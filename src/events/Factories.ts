/**
 * Contracts that a factory's event names: their logs count from that log on.
 */
import { decodeEventLog } from "viem/utils"
import type { Hex, RpcLog } from "../chain/Block.ts"
import type { EventSource, Factory } from "./EventSource.ts"

export interface Factories {
  /** Topics of all events that name a contract. */
  readonly topics: ReadonlyArray<Hex>
  /** Whether it may name a contract. */
  readonly isFactory: (log: RpcLog) => boolean
  /** The contracts that it names, each with the source that it belongs to. */
  readonly children: (log: RpcLog) => ReadonlyArray<{ readonly id: string; readonly address: Hex }>
}

interface Named extends Factory {
  readonly id: string
}

export const make = (sources: ReadonlyArray<EventSource>): Factories => {
  const byTopic = new Map<string, Array<Named>>()
  for (const { emitters, id } of sources) {
    if (emitters._tag !== "Children") continue
    const same = byTopic.get(emitters.factory.topic0) ?? []
    byTopic.set(emitters.factory.topic0, [...same, { ...emitters.factory, id }])
  }
  const of = ({ address, topics: [topic0] }: RpcLog): ReadonlyArray<Named> => {
    const named = byTopic.size === 0 ? undefined : byTopic.get(topic0?.toLowerCase() ?? "")
    if (named === undefined) return []
    const emitter = lowerCase(address)
    return named.filter(({ addresses }) => addresses.has(emitter))
  }
  return {
    topics: [...byTopic.values()].flatMap(([first]) => (first === undefined ? [] : [first.topic0])),
    isFactory: (log) => of(log).length > 0,
    children: (log) =>
      of(log).flatMap((factory) => {
        const address = named(factory, log)
        return address === undefined ? [] : [{ id: factory.id, address }]
      })
  }
}

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`

/** The address in the parameter; undefined where the log is another event of the same topic. */
const named = ({ event, parameter }: Factory, { data, topics }: RpcLog): Hex | undefined => {
  const [topic0, ...others] = topics
  if (topic0 === undefined) return undefined
  try {
    const { args } = decodeEventLog({ abi: [event], data, topics: [topic0, ...others], strict: true })
    const value: unknown = Object.entries(args ?? {}).find(([name]) => name === parameter)?.[1]
    return typeof value === "string" ? `0x${value.slice(2).toLowerCase()}` : undefined
  } catch {
    return undefined
  }
}
