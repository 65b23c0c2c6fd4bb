/**
 * A whole Sluice over a simulated chain and a store in memory, on the test clock.
 */
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Settings, type SettingsOptions } from "../../src/config/Settings.ts"
import { Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { Store } from "../../src/store/Store.ts"
import * as MemoryStore from "./MemoryStore.ts"
import * as SimulatedChain from "./SimulatedChain.ts"

/** Chain and store live as long as the test; the Sluice in between may be started and stopped. */
export const world = (height: number) => Layer.merge(SimulatedChain.layer(height), MemoryStore.layer)

export const settings = (options: Partial<SettingsOptions> = {}) =>
  Settings.layer({ profile: "anvil", proof: "linked", batchSize: 5, ...options })

export const sluice = (options: Partial<SettingsOptions> = {}) =>
  Layer.fresh(Sluice.layerCore).pipe(Layer.provide(settings(options)), Layer.provide(SessionLock.none))

/** Lets virtual time pass until the condition holds; the bound is 10 virtual minutes. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let i = 0; i < 6000; i++) {
      if (yield* condition) return
      yield* TestClock.adjust("100 millis")
    }
    return yield* Effect.die("the condition did not come true")
  })

/** The store has exactly the blocks of the chain, from `start` to its head. */
export const isWhole = Effect.gen(function* () {
  const chain = yield* SimulatedChain.SimulatedChain
  const store = yield* Store
  const blocks = yield* chain.blocks
  const headers = yield* store.headers({ from: 0, to: 1_000_000 })
  return (
    headers.length === blocks.length && headers.every((header, i) => header.hash === blocks[i]?.block.hash)
  )
})

/** Totals as a naive count over the chain gives them. */
export const expectedTotals = Effect.gen(function* () {
  const { blocks } = yield* SimulatedChain.SimulatedChain
  const all = yield* blocks
  return {
    blocks: all.length,
    transactions: all.reduce((sum, { block }) => sum + block.transactions.length, 0),
    logs: all.reduce((sum, { receipts }) => sum + receipts.reduce((n, { logs }) => n + logs.length, 0), 0)
  }
})

export const phaseIs = (phase: string) =>
  Effect.gen(function* () {
    const { status } = yield* Sluice
    return (yield* status).phase === phase
  })
