import { expect, layer } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import type { Hex } from "../../src/chain/Block.ts"
import type { Fence } from "../../src/store/Fence.ts"
import { DatabaseFailure, StoreError } from "../../src/store/Store.ts"
import * as TokenTables from "../../src/store/TokenTables.ts"
import { type AsOf, addressOf } from "../../src/tokens/TokenEvent.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { dice, addressOf as made, nextBlock, type StoryBlock } from "./story.ts"
import { makeWorld } from "./world.ts"

const cutOff = new StoreError({
  reason: new DatabaseFailure({ operation: "test", detail: "cut off", isRetryable: true, cause: undefined })
})

const genesis: AsOf = { number: 0, hash: `0x${"00".repeat(32)}`, timestamp: 1_700_000_000 }

/** A chain that lives, with all that can happen to it and to us. */
const live = (seed: number, checks: number, undoBlocks: number, pruneThreshold: number) =>
  Effect.gen(function* () {
    const world = yield* makeWorld
    const roll = dice(seed)
    const options = { tokens: 14, events: 20, pace: [1, 12, 60][roll(3)] ?? 12 }
    const counts = { checks: 0, reorgs: 0, restarts: 0, crashes: 0, pruned: 0, saved: 0, warm: 0, cut: 0 }
    /** What happens before a transaction, when it is due. */
    let before: { in: number; what: Effect.Effect<void, StoreError> } | undefined
    const transaction: Fence = (under, effect) =>
      Effect.suspend(() => {
        const due = before !== undefined && before.in-- === 0 ? before.what : Effect.void
        return Effect.andThen(due, world.transaction(under, effect))
      })
    const settings = { undoBlocks, pruneThreshold, flushBatchSize: 3, transaction }
    const chain: Array<StoryBlock> = []
    const tip = () => chain.at(-1)?.asOf ?? genesis
    let fork = 0
    let epoch = yield* world.lead
    let tokens = yield* world.service(settings)
    yield* world.append([{ asOf: genesis, events: [] }])
    yield* tokens.start(epoch, genesis)
    let moved = new Set<Hex>()

    const restart = Effect.gen(function* () {
      epoch = yield* world.lead
      const harm = roll(12)
      if (harm === 0) yield* world.sql`update ${world.name("token_checkpoint")} set state_format = '[0]'`
      if (harm === 1) {
        yield* world.sql`
          update ${world.name("token_states")} set body = set_byte(body, length(body) / 2, 255 - get_byte(body, length(body) / 2))`
      }
      const ancestor = chain.at(-1 - roll(Math.min(undoBlocks, chain.length) + 1))?.asOf ?? genesis
      const [warm, cold] = [
        yield* world.outcome("with checkpoint", epoch, tip(), ancestor, settings),
        yield* world.outcome("without", epoch, tip(), ancestor, settings)
      ]
      // How far back it can go is the checkpoint's to say; as far as both can, it is the same.
      const [back, coldBack] = [warm.found.at(-1), cold.found.at(-1)]
      expect(warm.found.slice(0, -1), `restart at ${tip().number}`).toEqual(cold.found.slice(0, -1))
      if (`${back}` !== "" && `${coldBack}` !== "") expect(back).toEqual(coldBack)
      if (warm.used) counts.warm++
      tokens = yield* world.service(settings)
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

    const grow = Effect.gen(function* () {
      const batch: Array<StoryBlock> = []
      for (let i = 0; i <= roll(3); i++) {
        batch.push(nextBlock(roll, batch.at(-1)?.asOf ?? tip(), options, fork))
      }
      chain.push(...batch)
      const events = batch.flatMap((block) => block.events)
      for (const event of events) moved.add(addressOf(event))
      yield* Effect.orDie(world.append(batch))
      yield* tokens.committed(events, tip())
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
      } else if (what === 6 || what === 7) {
        const end = roll(6)
        const at = { in: roll(4) }
        let later: Fiber.Fiber<void, StoreError> | undefined
        if (end === 0) {
          before = { ...at, what: Effect.fail(cutOff) }
        } else if (end === 1) before = { ...at, what: Effect.andThen(grow, grow) }
        else if (end === 2 && chain.length > 8) {
          before = {
            ...at,
            what: Effect.gen(function* () {
              chain.splice(chain.length - 1 - roll(6))
              fork++
              yield* Effect.orDie(world.rollback(tip().number))
              counts.reorgs++
              moved = new Set()
              later = yield* Effect.forkChild(tokens.rolledBack(tip()), { startImmediately: true })
            })
          }
        }
        const saved = yield* Effect.result(tokens.checkpoint)
        before = undefined
        if (later !== undefined) yield* Fiber.join(later)
        if (saved._tag === "Failure") {
          counts.cut++
          if (roll(2) === 0) yield* restart
        } else if (saved.success.tokens > 0) counts.saved++
      } else if (what < 10) yield* check
      else yield* grow
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
        expect(counts.saved).toBeGreaterThan(4)
        expect(counts.warm).toBeGreaterThan(2)
        expect(counts.cut).toBeGreaterThan(0)
        expect(counts.pruned).toBeGreaterThanOrEqual(threshold < 7_200 ? 10 : 0)
      }),
    180_000
  )

  it.effect("a checkpoint is not used any more once something below it has changed", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const roll = dice(9)
      const options = { tokens: 6, events: 20, pace: 12 }
      const chain = [{ asOf: genesis, events: [] as StoryBlock["events"] }]
      for (let i = 0; i < 20; i++) chain.push(nextBlock(roll, chain.at(-1)?.asOf ?? genesis, options, 0))
      const tip = chain.at(-1)?.asOf ?? genesis
      const hole = chain.findIndex(({ events }, number) => number > 3 && events.length > 0)
      yield* world.append(chain.filter((_, number) => number !== hole))
      const epoch = yield* world.lead
      const tokens = yield* world.service({ undoBlocks: 2 })
      yield* tokens.start(epoch, tip)
      expect((yield* tokens.checkpoint).tokens).toBeGreaterThan(0)
      const used = Effect.map(
        world.outcome("with checkpoint", epoch, tip, tip, { undoBlocks: 2 }),
        (outcome) => outcome.used
      )
      expect(yield* used).toBe(true)
      // As the commit does that fills the hole; the process ends before it is told.
      yield* world.append(chain.slice(hole, hole + 1))
      yield* TokenTables.voidState(world.sql, world.schema)
      expect(yield* used).toBe(false)
      // One that goes on, and makes a checkpoint in between, does not claim what it has not heard of.
      expect((yield* tokens.checkpoint).tokens).toBe(0)
      expect(yield* used).toBe(false)
      yield* tokens.committed(chain[hole]?.events ?? [], tip)
      yield* tokens.flush
      expect((yield* tokens.checkpoint).tokens).toBeGreaterThan(0)
      expect(yield* used).toBe(true)
      yield* tokens.fullFlush
      expect(yield* world.wrong()).toEqual([])
    })
  )

  /** Two trades of a pair and a transfer with a hole between them, hours ago; then a quiet chain. */
  const quiet = () => {
    const at = (number: number, seconds: number): AsOf => ({
      number,
      hash: `0x${number.toString(16).padStart(64, "0")}`,
      timestamp: genesis.timestamp + seconds
    })
    const [pair, token] = [made(1, 3), made(1, 2)]
    const block = (asOf: AsOf): StoryBlock => {
      const place = { blockNumber: asOf.number, timestamp: asOf.timestamp }
      const [from, to] = [made(2, 1), made(2, asOf.number)]
      return {
        asOf,
        events: [
          {
            _tag: "Trade",
            pair,
            amount0: 5n,
            amount1: -7n,
            sender: from,
            recipient: to,
            logIndex: 0,
            ...place
          },
          { _tag: "Transfer", token, from, to, value: 5n, logIndex: 1, ...place }
        ]
      }
    }
    const empty = (asOf: AsOf): StoryBlock => ({ asOf, events: [] })
    return {
      before: block(at(1, 1)),
      hole: block(at(2, 2)),
      after: empty(at(3, 10 * 3_600)),
      next: empty(at(4, 10 * 3_600 + 12))
    }
  }

  it.effect("what was read halfway when the database failed is not written", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { after, before, hole } = quiet()
      let fails = false
      const transaction: Fence = (under, effect) =>
        Effect.suspend(() => (fails ? Effect.fail(cutOff) : world.transaction(under, effect)))
      const epoch = yield* world.lead
      const tokens = yield* world.service({ transaction })
      yield* world.append([{ asOf: genesis, events: [] }, before, after])
      yield* tokens.start(epoch, after.asOf)
      yield* world.append([hole])
      yield* TokenTables.voidState(world.sql, world.schema)
      fails = true
      yield* tokens.committed(hole.events, after.asOf)
      yield* Effect.flip(tokens.flush)
      fails = false
      // One that waited meanwhile.
      expect((yield* tokens.checkpoint).tokens).toBe(0)
      const again = yield* world.service()
      yield* again.start(epoch, after.asOf)
      expect(yield* world.wrong()).toEqual([])
      expect(yield* world.wrongCandles).toEqual([])
      yield* tokens.fullFlush
      expect((yield* tokens.checkpoint).tokens).toBe(2)
      expect(yield* world.wrong()).toEqual([])
    })
  )

  it.effect("what changes below without a word is read before a checkpoint says that it is known", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { after, before, hole, next } = quiet()
      const epoch = yield* world.lead
      const tokens = yield* world.service()
      yield* world.append([{ asOf: genesis, events: [] }, before, after])
      yield* tokens.start(epoch, after.asOf)
      // A block without events that names a contract whose logs above were stored.
      yield* world.append([hole])
      yield* TokenTables.voidState(world.sql, world.schema)
      yield* tokens.committed([], after.asOf)
      expect((yield* tokens.checkpoint).tokens).toBe(0)
      yield* world.append([next])
      yield* tokens.committed([], next.asOf)
      yield* tokens.flush
      expect(yield* world.wrong()).toEqual([])
      expect(yield* world.wrongCandles).toEqual([])
      expect((yield* tokens.checkpoint).tokens).toBe(2)
    })
  )

  it.effect("the same blocks after a rollback of all of them are written again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { after, before } = quiet()
      const epoch = yield* world.lead
      const tokens = yield* world.service()
      const count = Effect.map(
        world.sql`
          select token from ${world.name("token_metrics")} union all select pair from ${world.name("pair_metrics")}`,
        (rows) => rows.length
      )
      yield* world.append([before, after])
      yield* tokens.start(epoch, after.asOf)
      expect(yield* count).toBe(8)
      yield* world.rollback(0)
      yield* tokens.rolledBack(undefined)
      expect(yield* count).toBe(0)
      yield* world.append([before, after])
      const again = yield* world.service()
      yield* again.start(epoch, after.asOf)
      expect(yield* count).toBe(8)
      expect(yield* world.wrongCandles).toEqual([])
    })
  )

  it.effect("a token that cannot be read back stays in memory as it was", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { before, hole } = quiet()
      const tokens = yield* world.service()
      yield* world.append([{ asOf: genesis, events: [] }, before])
      yield* tokens.start(yield* world.lead, before.asOf)
      const token = before.events.map(addressOf).find((address) => address !== made(1, 3))
      const state = yield* tokens.state
      state.tokens.get(token ?? "0x")?.transfers?.windowed.addCount(3, 0, 5)
      yield* world.sql`alter table ${world.name("erc20_transfer")} rename to away`
      yield* Effect.flip(tokens.fullFlush)
      yield* world.sql`alter table ${world.name("away")} rename to erc20_transfer`
      yield* world.append([hole])
      yield* tokens.committed(hole.events, hole.asOf)
      expect(yield* tokens.fullFlush).toBe(1)
      expect(yield* world.wrong(hole.asOf)).toEqual([])
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
