import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { Unavailable } from "../../src/rpc/ProviderFault.ts"
import { Sluice } from "../../src/Sluice.ts"
import { DatabaseFailure, Store, StoreError } from "../../src/store/Store.ts"
import { SimulatedChain } from "../support/SimulatedChain.ts"
import { expectedTotals, isWhole, phaseIs, sluice, until, world } from "../support/simulated.ts"

describe("the pipeline over a simulated chain", () => {
  it.effect("backfills, then follows", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* until(phaseIs("following"))
        for (let i = 0; i < 5; i++) {
          yield* chain.mine(1 + (i % 3))
          yield* until(isWhole)
        }
      }).pipe(Effect.provide(sluice()))
      assert.deepStrictEqual((yield* store.state).totals, yield* expectedTotals)
    }).pipe(Effect.provide(world(57)))
  )

  it.effect("asks for every block once, however many heads there are", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        for (let i = 0; i < 20; i++) yield* chain.mine(1)
        yield* until(isWhole)
      }).pipe(Effect.provide(sluice()))
      const asked = (yield* chain.requested).reduce((sum, { from, to }) => sum + to - from + 1, 0)
      assert.strictEqual(asked, 121)
    }).pipe(Effect.provide(world(100)))
  )

  it.effect("gives room back with each commit: a chain far longer than the gate is wide gets through", () =>
    Effect.gen(function* () {
      yield* until(isWhole).pipe(Effect.provide(sluice({ resultsCapacity: 10 })))
    }).pipe(Effect.provide(world(200)))
  )

  it.effect("stops at END_BLOCK", () =>
    Effect.gen(function* () {
      const store = yield* Store
      const outcome = yield* Effect.gen(function* () {
        const running = yield* Effect.forkChild((yield* Sluice).outcome)
        yield* until(phaseIs("done"))
        return yield* Fiber.join(running)
      }).pipe(Effect.provide(sluice({ startBlock: 3, endBlock: 30 })))
      assert.strictEqual(outcome, "done")
      assert.deepStrictEqual((yield* store.state).coverage, [{ from: 3, to: 30, level: "linked" }])
    }).pipe(Effect.provide(world(50)))
  )

  it.effect("waits for confirmations", () =>
    Effect.gen(function* () {
      const store = yield* Store
      const chain = yield* SimulatedChain
      const tip = Effect.map(store.state, (state) => state.tip?.number)
      yield* Effect.gen(function* () {
        yield* until(Effect.map(tip, (number) => number === 38))
        yield* chain.mine(4)
        yield* until(Effect.map(tip, (number) => number === 42))
      }).pipe(Effect.provide(sluice({ confirmationDepth: 12 })))
    }).pipe(Effect.provide(world(50)))
  )

  it.effect("waits for a database that is away when the chain is to be pinned", () =>
    Effect.gen(function* () {
      const store = yield* Store
      const reason = new DatabaseFailure({
        operation: "pin",
        detail: "gone",
        isRetryable: true,
        cause: undefined
      })
      let failures = 2
      const pin: typeof store.pin = (identity) =>
        failures-- > 0 ? Effect.fail(new StoreError({ reason })) : store.pin(identity)
      yield* until(isWhole).pipe(
        Effect.provide(Layer.provide(sluice(), Layer.succeed(Store, Store.of({ ...store, pin }))))
      )
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("fills what a lowered start block, and holes, leave open", () =>
    Effect.gen(function* () {
      const run = (startBlock: number, endBlock: number) =>
        until(phaseIs("done")).pipe(Effect.provide(sluice({ startBlock, endBlock })))
      yield* run(40, 50)
      yield* run(20, 29)
      yield* run(0, 50)
      assert.isTrue(yield* isWhole)
    }).pipe(Effect.provide(world(50)))
  )

  it.effect("fills a hole that appears while it runs with the next head", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const epoch = (yield* store.readLease)?.epoch ?? 0
        yield* store.replace({ epoch, range: { from: 20, to: 24 }, blocks: [], unsure: [] })
        assert.isFalse(yield* isWhole)
        yield* chain.mine(1)
        yield* until(isWhole)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(50)))
  )

  it.effect("faults give blocks back, and bring them back by themselves", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      for (let i = 0; i < 7; i++) yield* chain.failNext(new Unavailable({ detail: "down" }))
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* until(phaseIs("following"))
        assert.isEmpty((yield* (yield* Sluice).status).stuck)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(60)))
  )

  it.effect("a block that nobody has is missing alone, is said, and is there when somebody has it", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* chain.breakBlock(13)
      yield* Effect.gen(function* () {
        const { status } = yield* Sluice
        yield* until(Effect.map(store.state, ({ totals }) => totals.blocks === 60))
        const [stuck, ...more] = (yield* status).stuck
        assert.isEmpty(more)
        assert.deepInclude(stuck, { from: 13, to: 13 })
        assert.match(stuck?.reason ?? "", /block 13 is broken/)
        yield* chain.mine(3)
        yield* until(Effect.map(store.state, ({ totals }) => totals.blocks === 63))
        yield* chain.breakBlock(undefined)
        yield* until(isWhole)
        assert.isEmpty((yield* status).stuck)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(60)))
  )

  it.effect("up to END_BLOCK too, where no new head would bring it back", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* chain.breakBlock(13)
      yield* Effect.gen(function* () {
        yield* until(phaseIs("retrying"))
        yield* until(Effect.map(store.state, ({ totals }) => totals.blocks === 30))
        yield* chain.breakBlock(undefined)
        yield* until(phaseIs("done"))
      }).pipe(Effect.provide(sluice({ endBlock: 30 })))
      assert.deepStrictEqual((yield* store.state).coverage, [{ from: 0, to: 30, level: "linked" }])
    }).pipe(Effect.provide(world(60)))
  )

  it.effect("an orphan among the blocks is given back, and what lies above it stays", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* chain.tamperNext((raw) =>
        raw.block.number === "0x2"
          ? { ...raw, block: { ...raw.block, parentHash: `0x${"ab".repeat(32)}` } }
          : raw
      )
      yield* until(isWhole).pipe(Effect.provide(sluice()))
      assert.deepStrictEqual(
        (yield* chain.reports).map(({ reason }) => reason._tag),
        ["Inconsistent"]
      )
      const asked = (yield* chain.requested).reduce((sum, { from, to }) => sum + to - from + 1, 0)
      assert.strictEqual(asked, 61 + 2)
    }).pipe(Effect.provide(world(60)))
  )

  it.effect("reports what it cannot encode, and never stores it", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* chain.tamperNext((raw) => ({
        ...raw,
        block: { ...raw.block, stateRoot: `0x${"zz".repeat(32)}` }
      }))
      yield* until(isWhole).pipe(Effect.provide(sluice()))
      assert.deepStrictEqual(
        (yield* chain.reports).map(({ reason }) => reason._tag),
        ["Inconsistent"]
      )
    }).pipe(Effect.provide(world(10)))
  )

  it.effect("tells readers what was committed and what was taken back", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* Effect.gen(function* () {
        const { events } = yield* Sluice
        yield* until(isWhole)
        const reading = yield* events.pipe(
          Stream.take(5),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        yield* chain.mine(1)
        yield* until(isWhole)
        yield* chain.reorg(1, 2)
        yield* until(isWhole)
        yield* chain.mine(1)
        const seen = yield* Effect.andThen(until(isWhole), Fiber.join(reading))
        assert.deepStrictEqual(
          seen.map((event) => (event._tag === "BlockCommitted" ? event.number : `back to ${event.ancestor}`)),
          [11, "back to 10", 11, 12, 13]
        )
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(10)))
  )
})

describe("reorgs", () => {
  for (const [depth, replacement] of [
    [1, 1],
    [1, 2],
    [3, 3],
    [3, 1],
    [7, 10],
    [30, 31]
  ] as const) {
    it.effect(`depth ${depth}, ${replacement} blocks in their place`, () =>
      Effect.gen(function* () {
        const chain = yield* SimulatedChain
        const store = yield* Store
        yield* Effect.gen(function* () {
          yield* until(isWhole)
          yield* chain.reorg(depth, replacement)
          // A chain that only became shorter shows it with the next block at a height that we have.
          if (replacement < depth) yield* chain.mine(depth - replacement)
          yield* until(isWhole)
          const { lastReorg, totals } = yield* store.state
          assert.strictEqual(lastReorg?.ancestor, 60 - depth)
          assert.deepStrictEqual(totals, yield* expectedTotals)
        }).pipe(Effect.provide(sluice()))
      }).pipe(Effect.provide(world(60)))
    )
  }

  it.effect("nothing is taken back because the head went down", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* chain.reorg(5, 0)
        yield* until(Effect.map((yield* Sluice).status, ({ head }) => head?.number === 15))
        const { lastReorg, tip } = yield* store.state
        assert.strictEqual(tip?.number, 20)
        assert.isUndefined(lastReorg)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("that happened while it was down", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* until(isWhole).pipe(Effect.provide(sluice()))
      yield* chain.reorg(4, 9)
      yield* until(isWhole).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(20)))
  )

  for (const replacement of [10, 15]) {
    it.effect(`below the upper edge of a gap, ${replacement} blocks in place of 10`, () =>
      Effect.gen(function* () {
        const chain = yield* SimulatedChain
        yield* until(phaseIs("done")).pipe(Effect.provide(sluice({ startBlock: 15, endBlock: 20 })))
        yield* chain.reorg(10, replacement)
        yield* until(isWhole).pipe(Effect.provide(sluice()))
      }).pipe(Effect.provide(world(20)))
    )
  }

  it.effect("below finality halt it, with both hashes and no write", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* chain.setFinalized(18)
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const before = yield* chain.blocks
        const state = yield* store.state
        yield* chain.reorg(4, 6)
        yield* until(phaseIs("halted"))
        const { reason } = yield* (yield* Sluice).status
        const after = yield* chain.blocks
        assert.include(reason, before[18]?.block.hash)
        assert.include(reason, after[18]?.block.hash)
        assert.deepStrictEqual(yield* store.state, state)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("another genesis halts it", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const state = yield* store.state
        yield* chain.restart(5)
        yield* until(phaseIs("halted"))
        assert.include((yield* (yield* Sluice).status).reason, "genesis hash")
        assert.deepStrictEqual(yield* store.state, state)
      }).pipe(Effect.provide(sluice()))
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("another genesis at the start is refused", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* until(isWhole).pipe(Effect.provide(sluice()))
      yield* chain.restart(30)
      const error = yield* Effect.flatMap(Sluice, ({ outcome }) => Effect.flip(outcome)).pipe(
        Effect.provide(sluice())
      )
      assert.include(error.message, "genesis hash")
    }).pipe(Effect.provide(world(20)))
  )
})

describe("two instances", () => {
  it.effect("the second one leaves, or waits and takes over", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      const store = yield* Store
      const second = sluice({ instanceId: "second", whenHeld: "wait" })
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const refused = yield* Effect.flatMap(Sluice, ({ outcome }) => Effect.flip(outcome)).pipe(
          Effect.provide(sluice({ instanceId: "third" }))
        )
        assert.match(refused.message, /^another instance is already syncing \(first, since /)
      }).pipe(Effect.provide(sluice({ instanceId: "first" })))
      yield* chain.mine(3)
      yield* until(isWhole).pipe(Effect.provide(second))
      assert.deepInclude(yield* store.readLease, { holder: "second", epoch: 2 })
    }).pipe(Effect.provide(world(10)))
  )
})
