import { expect, layer } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import type { Hex } from "../../src/chain/Block.ts"
import { type AsOf, addressOf } from "../../src/tokens/TokenEvent.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { dice, addressOf as made, nextBlock, type StoryBlock } from "./story.ts"
import { makeWorld } from "./world.ts"

const genesis: AsOf = { number: 0, hash: `0x${"00".repeat(32)}`, timestamp: 1_700_000_000 }

/** A chain that lives, with all that can happen to it and to us. */
const live = (seed: number, checks: number, undoBlocks: number, pruneThreshold: number) =>
  Effect.gen(function* () {
    const world = yield* makeWorld
    const roll = dice(seed)
    const options = { tokens: 14, events: 20, pace: [1, 12, 60][roll(3)] ?? 12 }
    const counts = { checks: 0, reorgs: 0, restarts: 0, crashes: 0, pruned: 0 }
    const chain: Array<StoryBlock> = []
    const tip = () => chain.at(-1)?.asOf ?? genesis
    let fork = 0
    let epoch = yield* world.lead
    let tokens = yield* world.service({ undoBlocks, pruneThreshold })
    yield* world.append([{ asOf: genesis, events: [] }])
    yield* tokens.start(epoch, genesis)
    let moved = new Set<Hex>()

    const restart = Effect.gen(function* () {
      epoch = yield* world.lead
      tokens = yield* world.service({ undoBlocks, pruneThreshold })
      yield* tokens.start(epoch, tip())
      counts.restarts++
      moved = new Set()
      expect(yield* world.homeless).toEqual([])
      expect(yield* world.wrongCandles).toEqual([])
    })
    const check = Effect.gen(function* () {
      yield* tokens.flush
      expect(yield* world.wrong(), `as of their blocks, at ${tip().number}`).toEqual([])
      expect(yield* world.wrong(tip(), [...moved]), `what moved, at ${tip().number}`).toEqual([])
      expect(yield* world.wrongCandles).toEqual([])
      expect(yield* world.homeless).toEqual([])
      moved = new Set()
      counts.checks++
    })

    while (counts.checks < checks) {
      const what = roll(24)
      if (what < 3 && chain.length > 0) {
        const depth = 1 + roll(roll(5) === 0 ? 25 : 4)
        if (depth >= chain.length) continue
        chain.splice(chain.length - depth)
        fork++
        yield* world.rollback(tip().number)
        counts.reorgs++
        if (roll(4) === 0) {
          // It ends before it hears of the rollback.
          counts.crashes++
          yield* restart
        } else {
          yield* tokens.rolledBack(tip())
          expect(yield* world.homeless).toEqual([])
          expect(yield* world.wrong(), `after a rollback to ${tip().number}`).toEqual([])
          yield* tokens.flush
          expect(yield* world.wrongCandles).toEqual([])
        }
        moved = new Set()
      } else if (what === 3) yield* restart
      else if (what === 4) {
        counts.pruned += yield* tokens.prune
        expect(yield* world.wrong(), "after pruning").toEqual([])
      } else if (what === 5) {
        expect(yield* tokens.fullFlush).toBe(0)
        const inMemory = [...(yield* tokens.state).tokens.keys()]
        expect(yield* world.wrong(tip(), inMemory), "after a full flush").toEqual([])
        moved = new Set()
      } else if (what < 10) yield* check
      else {
        const batch: Array<StoryBlock> = []
        for (let i = 0; i <= roll(3); i++) {
          batch.push(nextBlock(roll, batch.at(-1)?.asOf ?? tip(), options, fork))
        }
        chain.push(...batch)
        const events = batch.flatMap((block) => block.events)
        for (const event of events) moved.add(addressOf(event))
        yield* world.append(batch)
        yield* tokens.committed(events, tip())
      }
    }
    return counts
  })

layer(PGliteTest.layer, { timeout: "2 minutes" })("TokenMetrics", (it) => {
  it.effect.each([
    [1, 50, 128, 7_200],
    [2, 50, 4, 120],
    [3, 50, 3, 30]
  ] as const)(
    "rows are what plain SQL says, through restarts and reorgs: seed %s",
    ([seed, checks, undo, threshold]) =>
      Effect.gen(function* () {
        const counts = yield* live(seed, checks, undo, threshold)
        expect(counts.reorgs).toBeGreaterThan(10)
        expect(counts.restarts).toBeGreaterThan(4)
        expect(counts.pruned).toBeGreaterThanOrEqual(threshold < 7_200 ? 10 : 0)
      })
  )

  it.effect("flushes by the clock, and a full flush finds what somebody else wrote", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const tokens = yield* world.service()
      const first = { ...genesis, number: 1, timestamp: genesis.timestamp + 12 }
      const token = made(1, 0)
      const events = [
        {
          _tag: "Transfer" as const,
          token,
          from: made(2, 1),
          to: made(2, 2),
          value: 5n,
          blockNumber: 1,
          timestamp: first.timestamp,
          logIndex: 0
        }
      ]
      yield* world.append([{ asOf: genesis, events: [] }])
      yield* tokens.start(yield* world.lead, genesis)
      const running = yield* Effect.forkChild(tokens.run)
      yield* world.append([{ asOf: first, events }])
      yield* tokens.committed(events, first)
      const transfers = Effect.map(
        world.sql<{ readonly transfers: bigint }>`
          select transfers from ${world.name("token_metrics")} where window_seconds = 86400`,
        (rows) => rows.map((row) => Number(row.transfers))
      )
      expect(yield* transfers).toEqual([])
      const written = yield* Ref.make<ReadonlyArray<number>>([])
      const eventually = (expected: ReadonlyArray<number>) =>
        Effect.gen(function* () {
          while ((yield* Ref.get(written)).join() !== expected.join())
            yield* Ref.set(written, yield* transfers)
        })
      yield* TestClock.adjust("4999 millis")
      expect(yield* transfers).toEqual([])
      yield* TestClock.adjust("1 millis")
      yield* eventually([1])
      yield* world.sql`update ${world.name("token_metrics")} set transfers = 99 where window_seconds = 86400`
      expect(yield* tokens.fullFlush).toBe(1)
      expect(yield* transfers).toEqual([1])
      yield* world.sql`delete from ${world.name("token_metrics")} where window_seconds = 60`
      expect(yield* tokens.fullFlush).toBe(1)
      expect(yield* tokens.fullFlush).toBe(0)
      // In memory.
      const state = yield* tokens.state
      state.tokens.get(token)?.transfers?.windowed.addCount(3, 0, 5)
      expect(yield* tokens.fullFlush).toBe(1)
      expect(yield* tokens.fullFlush).toBe(0)
      expect(yield* world.wrong(first)).toEqual([])
      yield* Fiber.interrupt(running)
    })
  )

  it.effect("a leader of before can not write, and learns that", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const tokens = yield* world.service()
      yield* world.append([{ asOf: genesis, events: [] }])
      yield* tokens.start(yield* world.lead, genesis)
      const roll = dice(3)
      let block = nextBlock(roll, genesis, { tokens: 4, events: 40, pace: 12 }, 0)
      while (block.events.length === 0)
        block = nextBlock(roll, genesis, { tokens: 4, events: 40, pace: 12 }, 0)
      yield* world.append([block])
      yield* tokens.committed(block.events, block.asOf)
      yield* world.lead
      for (const write of [tokens.flush, tokens.fullFlush, tokens.rolledBack(genesis)]) {
        const error = yield* Effect.flip(write)
        expect(error.reason._tag).toBe("Fenced")
      }
      const rows = yield* world.sql`select from ${world.name("token_metrics")}`
      expect(rows).toEqual([])
      const running = yield* Effect.forkChild(Effect.flip(tokens.run))
      yield* TestClock.adjust("2 minutes")
      expect((yield* Fiber.join(running)).reason._tag).toBe("Fenced")
    })
  )
})
