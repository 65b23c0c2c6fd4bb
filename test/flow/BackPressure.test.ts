import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Settings } from "../../src/config/Settings.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"

const mebibyte = 2 ** 20

const gate = BackPressure.layer.pipe(
  Layer.provide(
    Settings.layer({ profile: "anvil", batchSize: 10, resultsCapacity: 100, bufferBytes: 10 * mebibyte })
  )
)

const isWaiting = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.andThen(
    Effect.yieldNow,
    Effect.sync(() => fiber.pollUnsafe() === undefined)
  )

describe("the gate", () => {
  it.effect("closes at the high watermark of blocks, and opens with a commit", () =>
    Effect.gen(function* () {
      const { admit, adjust, usage } = yield* BackPressure
      yield* admit({ blocks: 80, bytes: 0 })
      const waiting = yield* Effect.forkChild(admit({ blocks: 1, bytes: 0 }))
      assert.isTrue(yield* isWaiting(waiting))
      yield* adjust({ blocks: -1, bytes: 0 })
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* usage, { blocks: 80, bytes: 0, blocked: 1 })
    }).pipe(Effect.provide(gate))
  )

  it.effect("closes at the high watermark of bytes", () =>
    Effect.gen(function* () {
      const { admit, adjust } = yield* BackPressure
      yield* admit({ blocks: 1, bytes: 5 * mebibyte })
      // It turned out twice as large as expected.
      yield* adjust({ blocks: 0, bytes: 5 * mebibyte })
      const waiting = yield* Effect.forkChild(admit({ blocks: 1, bytes: mebibyte }))
      assert.isTrue(yield* isWaiting(waiting))
      yield* adjust({ blocks: 0, bytes: -2 * mebibyte })
      assert.isTrue(yield* isWaiting(waiting))
      yield* adjust({ blocks: 0, bytes: -1 * mebibyte })
      yield* Fiber.join(waiting)
    }).pipe(Effect.provide(gate))
  )

  it.effect("lets a range pass alone that is larger than the budget", () =>
    Effect.gen(function* () {
      const { admit, usage } = yield* BackPressure
      yield* admit({ blocks: 1, bytes: 500 * mebibyte })
      assert.strictEqual((yield* usage).bytes, 500 * mebibyte)
    }).pipe(Effect.provide(gate))
  )
})
