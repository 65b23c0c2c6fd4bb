/**
 * Which sources take a log, against a naive answer, and what is asked for: never less than what sources take.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import type { Hex, RpcLog } from "../../src/chain/Block.ts"
import * as LogFilter from "../../src/chain/LogFilter.ts"
import * as EventMatcher from "../../src/events/EventMatcher.ts"
import type { Emitters, EventSource } from "../../src/events/EventSource.ts"
import { type Random, random } from "../support/blocks.ts"
import { logOf, sourceOf } from "./support.ts"

const address = (n: number): Hex => `0x${(0xabcd00 + n).toString(16).padStart(40, "0")}`
const shout = (hex: Hex): Hex => `0x${hex.slice(2).toUpperCase()}`

/** A source of the event `E<n>()`. */
const source = (n: number, emitters: Emitters, startBlock = 0): EventSource =>
  sourceOf({ type: "event", name: `E${n}`, inputs: [] }, { emitters, startBlock })
const topic = (n: number): Hex => source(n, { _tag: "Anybody" }).topic0

const anybody: Emitters = { _tag: "Anybody" }
const listed = (...numbers: ReadonlyArray<number>): Emitters => ({
  _tag: "Listed",
  addresses: new Set(numbers.map(address))
})
const factory = sourceOf({
  type: "event",
  name: "Created",
  inputs: [{ type: "address", name: "child", indexed: true }]
})
const children = (...numbers: ReadonlyArray<number>): Emitters => ({
  _tag: "Children",
  factory: {
    addresses: new Set(numbers.map(address)),
    event: factory.event,
    topic0: factory.topic0,
    parameter: "child"
  }
})

const never = () => false

describe("match", () => {
  const sources = [
    source(1, anybody),
    source(2, listed(1, 2)),
    source(1, listed(2), 100),
    source(3, children(9)),
    source(2, anybody, 50)
  ]
  const { match } = EventMatcher.make(sources)
  const log = (n: number, emitter: number): RpcLog => logOf([topic(n)], "0x", { address: address(emitter) })

  it("names all sources that take a log, in their order", () => {
    expect(match(log(1, 1), 100, never)).toEqual([0])
    expect(match(log(1, 2), 100, never)).toEqual([0, 2])
    expect(match(log(2, 1), 50, never)).toEqual([1, 4])
    expect(match(log(2, 3), 50, never)).toEqual([4])
  })

  it("begins with a source's first block", () => {
    expect(match(log(1, 2), 99, never)).toEqual([0])
    expect(match(log(2, 3), 49, never)).toEqual([])
  })

  it("asks for the contracts of factories, with the source and an address in lower case", () => {
    const asked: Array<readonly [number, Hex]> = []
    const isChild = (i: number, who: Hex) => asked.push([i, who]) > 0 && who === address(5)
    expect(match({ ...log(3, 5), address: shout(address(5)) }, 1, isChild)).toEqual([3])
    expect(match(log(3, 6), 1, isChild)).toEqual([])
    expect(asked).toEqual([
      [3, address(5)],
      [3, address(6)]
    ])
  })

  it("takes no other topic, and no log without one", () => {
    expect(match(log(7, 1), 100, never)).toEqual([])
    expect(match(logOf([], "0x"), 100, never)).toEqual([])
    expect(match(logOf(["0x"], "0x"), 100, never)).toEqual([])
  })

  it("takes hex in upper case", () => {
    const loud = logOf([shout(topic(2))], "0x", { address: shout(address(1)) })
    expect(match(loud, 50, never)).toEqual([1, 4])
  })
})

const addressesOf = (filter: LogFilter.LogFilter) => [...(filter.addresses ?? [])].sort()
const shown = (filters: ReadonlyArray<LogFilter.LogFilter>) =>
  filters.map((filter) => ({
    addresses: filter.addresses === undefined ? "any" : addressesOf(filter),
    topics: [...(filter.topics ?? [])].map((one) => (Array.isArray(one) ? [...one].sort() : one))
  }))
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
const topics = (...of: ReadonlyArray<number>) => [of.map(topic).sort()]

describe("filters", () => {
  it("are none where there are no sources", () => {
    expect(EventMatcher.filters([])).toEqual([])
  })

  it("one for all topics of anybody", () => {
    expect(shown(EventMatcher.filters([source(1, anybody), source(2, anybody), source(1, anybody)]))).toEqual(
      [{ addresses: "any", topics: topics(1, 2) }]
    )
  })

  it("one for many contracts with the same events, and nothing more than these", () => {
    const many = numbers(500).flatMap((n) => [source(1, listed(n)), source(2, listed(n))])
    expect(shown(EventMatcher.filters(many))).toEqual([
      { addresses: numbers(500).map(address).sort(), topics: topics(1, 2) }
    ])
  })

  it("one for a few contracts with events of their own", () => {
    const few = [source(1, listed(1)), source(2, listed(2)), source(3, listed(3, 4))]
    expect(shown(EventMatcher.filters(few))).toEqual([
      { addresses: numbers(4, 1).map(address), topics: topics(1, 2, 3) }
    ])
  })

  it("two where one would ask for much that nobody wants", () => {
    const many = [source(1, listed(...numbers(300))), ...numbers(30, 2).map((n) => source(n, listed(900)))]
    const filters = EventMatcher.filters(many)
    expect(shown(filters)).toEqual([
      { addresses: numbers(300).map(address).sort(), topics: topics(1) },
      { addresses: [address(900)], topics: topics(...numbers(30, 2)) }
    ])
  })

  it("nothing twice: what is asked of anybody is not asked of some", () => {
    expect(
      shown(EventMatcher.filters([source(1, listed(1)), source(1, anybody), source(2, listed(1))]))
    ).toEqual([
      { addresses: "any", topics: topics(1) },
      { addresses: [address(1)], topics: topics(2) }
    ])
  })

  it("of a factory: its own event of its own address, and its contracts' of any", () => {
    expect(shown(EventMatcher.filters([source(1, children(9)), source(2, children(9))]))).toEqual([
      { addresses: "any", topics: topics(1, 2) },
      { addresses: [address(9)], topics: [[factory.topic0]] }
    ])
  })
})

const emittersOf = (r: Random): Emitters => {
  const some = Array.from({ length: 1 + r.int(4) }, () => r.int(12))
  return r.pick<Emitters>(anybody, listed(...some), listed(...some), listed(...some), children(r.int(12)))
}

describe("random sources", () => {
  it("match what a look at each of them says, and are all asked for", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const r = random(seed)
      const sources = Array.from({ length: r.int(9) }, () => source(r.int(5), emittersOf(r), r.int(3) * 50))
      const { match } = EventMatcher.make(sources)
      const matchers = EventMatcher.filters(sources).map(LogFilter.matcher)
      const isChild = (i: number, who: Hex) => (i + Number(who)) % 2 === 0
      for (let n = 0; n < 40; n++) {
        const emitter = address(r.int(12))
        const event = r.int(7) === 0 ? factory.topic0 : topic(r.int(6))
        const isLoud = r.int(3) === 0
        const log = logOf([isLoud ? shout(event) : event], "0x", {
          address: isLoud ? shout(emitter) : emitter
        })
        const number = r.int(150)
        const naive = sources.flatMap(({ emitters, startBlock, topic0 }, i) => {
          if (topic0 !== event || number < startBlock) return []
          if (emitters._tag === "Listed") return emitters.addresses.has(emitter) ? [i] : []
          return emitters._tag === "Anybody" || isChild(i, emitter) ? [i] : []
        })
        assert.deepStrictEqual(match(log, number, isChild), naive, `seed ${seed}`)
        const names = sources.some(
          ({ emitters }) =>
            emitters._tag === "Children" &&
            emitters.factory.topic0 === event &&
            emitters.factory.addresses.has(emitter)
        )
        const asked = matchers.filter((filter) => LogFilter.misfit(filter, log) === undefined).length
        if (naive.length > 0 || names) assert.isAtLeast(asked, 1, `seed ${seed}`)
      }
    }
  })
})
