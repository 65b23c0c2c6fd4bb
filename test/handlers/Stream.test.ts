/**
 * Handlers in the whole stream: a simulated chain, the real store.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Ref, Schedule } from "effect"
import * as Handlers from "../../src/handlers/Handlers.ts"
import { Sluice } from "../../src/Sluice.ts"
import type { EncodedBlock } from "../../src/store/Columns.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store } from "../../src/store/Store.ts"
import { balances, keepBalances, token } from "../samples/balances.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import * as SimulatedChain from "../support/SimulatedChain.ts"
import { isWhole, sluice } from "../support/simulated.ts"
import { address, logsFrom, rowsOf, sourcesOf } from "./support.ts"

const schema = "streamed"

/** Each block moves as much as its hash says, from 1 to 2. */
const valueOf = ({ hash }: { readonly hash: string }): bigint => BigInt(hash.slice(0, 10))
const events = {
  sources: sourcesOf(token.name),
  logsOf: (block: EncodedBlock) => logsFrom(block, [{ from: 1, to: 2, value: valueOf(block) }]),
  logsOfPage: () => []
}

const broken = Ref.makeUnsafe<number | undefined>(undefined)

const breaker = Sluice.handle(
  token,
  "Transfer",
  ([{ block }]) =>
    Effect.flatMap(Ref.get(broken), (at) =>
      at !== undefined && block.number >= at ? Effect.fail("no more") : Effect.void
    ),
  { name: "breaker" }
)

const store = Layer.unwrap(
  Effect.map(
    Handlers.participant({
      schema,
      startBlock: 0,
      handlers: [keepBalances, breaker],
      tables: [balances],
      events
    }),
    (participant) => SqlStore.layer({ schema, participants: [participant] })
  )
)

const wait = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(condition, { schedule: Schedule.spaced("50 millis"), until: (is) => is })

const received = Effect.map(
  rowsOf(`select amount from app.balances where holder = decode('${address(2).slice(2)}', 'hex')`),
  ([row]) => row
)

const expected = Effect.gen(function* () {
  const chain = yield* SimulatedChain.SimulatedChain
  const blocks = yield* chain.blocks
  return `(${blocks.reduce((sum, { block }) => sum + valueOf(block), 0n)})`
})

it.live("tables follow the chain through reorgs, and a handler that fails halts the stream", () =>
  Effect.gen(function* () {
    const chain = yield* SimulatedChain.SimulatedChain
    yield* Effect.gen(function* () {
      yield* wait(isWhole)
      expect(yield* received).toBe(yield* expected)
      for (const depth of [1, 3, 7]) {
        yield* chain.reorg(depth, depth + 2)
        yield* wait(isWhole)
        expect(yield* received).toBe(yield* expected)
      }
      // A block that nobody has holds up those above it: they would come out of order.
      const missing = (yield* chain.blocks).length + 3
      yield* chain.breakBlock(missing)
      yield* chain.mine(12)
      const { status } = yield* Sluice
      yield* wait(Effect.map(status, ({ phase }) => phase === "retrying"))
      yield* chain.breakBlock(undefined)
      yield* wait(isWhole)
      expect(yield* received).toBe(yield* expected)
      const whole = yield* received
      const { tip } = yield* Effect.flatMap(Store, ({ state }) => state)
      const height = tip?.number ?? 0
      yield* Ref.set(broken, height + 1)
      yield* chain.mine(1)
      yield* wait(Effect.map(status, ({ phase }) => phase === "halted"))
      expect((yield* status).reason).toBe(
        `the handler breaker failed at block ${height + 1}, log 0 (transaction 0x${"0".repeat(64)}): no more`
      )
      expect((yield* (yield* Store).state).tip?.number).toBe(height)
      expect(yield* received).toBe(whole)
    }).pipe(Effect.provide(sluice({ flushInterval: "20 millis", pollInterval: "20 millis" })))
    // Mended and started again, it goes on where it was.
    yield* Ref.set(broken, undefined)
    yield* Effect.gen(function* () {
      yield* wait(isWhole)
      expect(yield* received).toBe(yield* expected)
    }).pipe(Effect.provide(sluice({ flushInterval: "20 millis", pollInterval: "20 millis" })))
  }).pipe(
    Effect.provide(Layer.merge(SimulatedChain.layer(30), store.pipe(Layer.provideMerge(PGliteTest.layer))))
  )
)
