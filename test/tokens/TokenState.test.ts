import { describe, expect, it } from "vitest"
import type { Hex } from "../../src/chain/Block.ts"
import * as Price from "../../src/tokens/Price.ts"
import * as StateCode from "../../src/tokens/StateCode.ts"
import { type AsOf, addressOf, type TokenEvent } from "../../src/tokens/TokenEvent.ts"
import { type Token, TokenState } from "../../src/tokens/TokenState.ts"
import * as Naive from "./naive.ts"
import { dice, nextBlock, type StoryBlock } from "./story.ts"

const emptyTransfers = { transfers: 0, senders: 0, receivers: 0, volume: 0n }
const emptyTrades = {
  trades: 0,
  buys: 0,
  sells: 0,
  volume0: 0n,
  volume1: 0n,
  open: Price.none,
  high: Price.none,
  low: Price.none,
  close: Price.none
}

/** All windows of a token, by the running totals or without them. */
const said = (token: Token | undefined, time: number, how: "metrics" | "recounted") => {
  const transfers = token?.transfers?.[how](time)
  const trades = token?.trades?.[how](time)
  return [0, 1, 2, 3].map((w) => {
    const { close, high, low, open, ...rest } = trades?.[w] ?? emptyTrades
    return {
      ...(transfers?.[w] ?? emptyTransfers),
      ...rest,
      open: Price.toDecimal(open),
      high: Price.toDecimal(high),
      low: Price.toDecimal(low),
      close: Price.toDecimal(close)
    }
  })
}

const accept = (state: TokenState, { asOf, events }: StoryBlock) => {
  state.apply(asOf, events)
  state.advance(asOf)
}

const genesis: AsOf = { number: 0, hash: "0x00", timestamp: 1_700_000_000 }

/** A state beside the plain list of blocks, through everything that can happen to it. */
const live = (seed: number, steps: number, undoBlocks: number) => {
  const roll = dice(seed)
  const options = { tokens: 4 + roll(12), events: 1 + roll(30), pace: [1, 12, 90][roll(3)] ?? 12 }
  const chain: Array<StoryBlock> = []
  let state = new TokenState({ undoBlocks })
  const gone = new Set<Hex>()
  const seen = new Set<Hex>()
  let fork = 0
  const tip = () => chain.at(-1)?.asOf ?? genesis
  const events = () => chain.flatMap((block) => block.events)
  const lastDay = (addresses: ReadonlySet<Hex>) =>
    events().filter(
      (event) => addresses.has(addressOf(event)) && event.timestamp > tip().timestamp - 86_400 - 60
    )
  const reload = (addresses: ReadonlySet<Hex>) => {
    state.load(lastDay(addresses), tip().number)
    for (const address of addresses) gone.delete(address)
  }
  const verify = () => {
    const time = tip().timestamp
    for (const address of seen) {
      if (gone.has(address)) continue
      const expected = Naive.metrics(events(), address, time)
      const token = state.tokens.get(address)
      expect(said(token, time, "metrics"), `${address} at ${tip().number}`).toEqual(expected)
      expect(said(token, time, "recounted")).toEqual(expected)
      const candles = Naive.candles(events(), address).filter(({ minute }) => minute > time - 80_000)
      expect(
        token?.trades?.candles(time - 80_000).map((candle) => ({
          ...candle,
          open: Price.toDecimal(candle.open),
          high: Price.toDecimal(candle.high),
          low: Price.toDecimal(candle.low),
          close: Price.toDecimal(candle.close)
        })) ?? []
      ).toEqual(candles)
    }
  }
  /** Written as of a block that can be gone back to, read into another state, and followed from there. */
  const writeAndRead = () => {
    const at = chain.at(-1 - roll(Math.min(undoBlocks, chain.length)))?.asOf
    if (at === undefined || at.number < state.settledTo) return
    const floor = { number: at.number, timestamp: at.timestamp }
    const again = new TokenState({ undoBlocks, knownFrom: state.knownFrom, floor })
    const loaded = new Set<Hex>()
    for (const token of state.tokens.values()) {
      const done = state.doneAbove(token, at.number)
      if (done[0]?.created === true) continue
      const code = StateCode.encode(token, at, done)
      if (code === undefined) loaded.add(token.address)
      else expect(StateCode.decode(again, token.address, code.bytes, at.number)).toBe(true)
    }
    for (const block of chain) {
      if (block.asOf.number <= at.number) continue
      again.apply(block.asOf, block.events)
    }
    again.advance(tip())
    for (const address of seen) {
      if (gone.has(address) || loaded.has(address)) continue
      const expected = Naive.metrics(events(), address, tip().timestamp)
      const token = again.tokens.get(address)
      expect(said(token, tip().timestamp, "recounted"), `${address} from ${at.number}`).toEqual(expected)
      expect(said(token, tip().timestamp, "metrics")).toEqual(expected)
    }
  }
  for (let step = 0; step < steps; step++) {
    const what = roll(12)
    if (what === 0 && chain.length > 0) {
      const depth = 1 + roll(roll(4) === 0 ? 30 : 4)
      const ancestor = chain[chain.length - 1 - depth]?.asOf
      if (ancestor === undefined) continue
      chain.splice(chain.length - depth)
      fork++
      if (state.canRollback(ancestor)) {
        reload(state.rollback(ancestor).lost)
      } else {
        state = new TokenState({
          undoBlocks,
          floor: { number: ancestor.number, timestamp: ancestor.timestamp },
          knownFrom: ancestor.timestamp - 86_400
        })
        gone.clear()
        state.load(lastDay(seen), ancestor.number)
        state.advance(ancestor)
      }
    } else if (what === 1) {
      for (const token of state.prune(tip().timestamp - 7_200)) gone.add(token.address)
    } else {
      const block = nextBlock(roll, tip(), options, fork)
      const touched = new Set(block.events.map(addressOf))
      reload(new Set([...touched].filter((address) => gone.has(address))))
      for (const address of touched) seen.add(address)
      chain.push(block)
      accept(state, block)
    }
    if (roll(5) === 0) verify()
    if (roll(10) === 0) writeAndRead()
  }
  verify()
  return { state, chain }
}

describe("TokenState", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))("is what a naive count says, seed %i", (seed) => {
    live(seed, 150, [2, 8, 128][seed % 3] ?? 8)
  })

  it("takes back exactly what was applied: applied again, all is as it was", () => {
    const { chain } = live(1_000, 200, 128)
    const state = new TokenState({ undoBlocks: 100 })
    const all = (time: number) => [...state.tokens.values()].map((token) => said(token, time, "metrics"))
    for (const block of chain) accept(state, block)
    const end = chain.at(-1)?.asOf ?? genesis
    const before = all(end.timestamp)
    const size = state.addresses.size
    const ancestor = chain.at(-60)?.asOf ?? genesis
    state.rollback(ancestor)
    for (const block of chain.slice(-59)) accept(state, block)
    expect(all(end.timestamp)).toEqual(before)
    expect(state.addresses.size).toBe(size)
  })

  it("gives back every address once its tokens are gone", () => {
    const { chain } = live(7, 200, 4)
    const state = new TokenState({ undoBlocks: 4 })
    for (const block of chain) accept(state, block)
    const end = chain.at(-1)?.asOf ?? genesis
    state.advance({ ...end, number: end.number + 10, timestamp: end.timestamp + 100_000 })
    expect(state.addresses.size).toBeGreaterThan(0)
    state.prune(end.timestamp + 90_000)
    expect(state.tokens.size).toBe(0)
    expect(state.addresses.size).toBe(0)
  })

  it("cuts prices off where SQL does", () => {
    const roll = dice(5)
    const any = () => BigInt(1 + roll(1_000_000)) * 10n ** BigInt(roll(70)) + BigInt(roll(1_000))
    for (let i = 0; i < 2_000; i++) {
      const [a, b, c, d] = [any(), any(), any(), any()]
      const [x, y] = [Price.of(-a, b), Price.of(c, -d)]
      expect(Price.toDecimal(x)).toBe(Naive.price(-a, b))
      // The order of prices is that of what they stand for, as far as they are told apart.
      if (x !== y) expect(x < y).toBe(b * c < d * a)
    }
    expect(Price.of(5n, 5n)).toBe(Price.none)
    expect(Price.of(0n, -5n)).toBe(Price.none)
  })

  it("takes a transfer to and from the same address, and many in one block", () => {
    const state = new TokenState()
    const token: Hex = `0x${"11".repeat(20)}`
    const self: Hex = `0x${"22".repeat(20)}`
    const event = (logIndex: number): TokenEvent => ({
      _tag: "Transfer",
      token,
      from: self,
      to: self,
      value: 1n,
      blockNumber: 1,
      timestamp: 100,
      logIndex
    })
    state.apply({ number: 1, timestamp: 100 }, [event(0), event(1), event(2)])
    expect(state.tokens.get(token)?.transfers?.metrics(100)[0]).toEqual({
      transfers: 3,
      senders: 1,
      receivers: 1,
      volume: 3n
    })
  })
})
