import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Settings } from "../../src/config/Settings.ts"
import { BackPressure, blockedCount } from "../../src/flow/BackPressure.ts"
import * as Pressure from "../../src/flow/Pressure.ts"

const mebibyte = 2 ** 20

const gate = BackPressure.layer.pipe(
  Layer.provide(
    Settings.layer({ profile: "anvil", batchSize: 10, resultsCapacity: 100, bufferBytes: 10 * mebibyte })
  )
)

const load = (blocks: number, bytes = 0): Pressure.Load => ({ blocks, bytes })

const isWaiting = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.andThen(
    Effect.yieldNow,
    Effect.sync(() => fiber.pollUnsafe() === undefined)
  )

describe("the gate", () => {
  it.effect("closes at the high watermark of blocks, and opens with a commit", () =>
    Effect.gen(function* () {
      const { admit, leave, move, pressure } = yield* BackPressure
      yield* admit(load(80))
      yield* move(["jobs", load(80)], ["results", load(80)])
      yield* move(["results", load(80)], ["sequencer", load(80)])
      // What is sequenced is no longer in the queue of results.
      yield* admit(load(80))
      const waiting = yield* Effect.forkChild(admit(load(1)))
      assert.isTrue(yield* isWaiting(waiting))
      yield* move(["jobs", load(80)], ["results", load(80)])
      assert.isTrue(yield* isWaiting(waiting))
      yield* move(["results", load(1)], ["sequencer", load(1)])
      yield* Fiber.join(waiting)
      yield* leave("sequencer", load(81))
      const now = yield* pressure
      assert.deepStrictEqual(now.loads, { jobs: load(1), results: load(79), sequencer: load(0) })
      assert.deepStrictEqual(now.blocked, { jobs: 0, results: 1, sequencer: 0 })
    }).pipe(Effect.provide(gate))
  )

  it.effect("closes at the high watermark of bytes, wherever they are", () =>
    Effect.gen(function* () {
      const { admit, leave, move } = yield* BackPressure
      yield* admit(load(1, 5 * mebibyte))
      // It turned out twice as heavy as expected.
      yield* move(["jobs", load(1, 5 * mebibyte)], ["sequencer", load(1, 10 * mebibyte)])
      const waiting = yield* Effect.forkChild(admit(load(1, mebibyte)))
      assert.isTrue(yield* isWaiting(waiting))
      yield* leave("sequencer", load(0, 2 * mebibyte))
      assert.isTrue(yield* isWaiting(waiting))
      yield* leave("sequencer", load(0, mebibyte))
      yield* Fiber.join(waiting)
    }).pipe(Effect.provide(gate))
  )

  it.effect("lets a range pass alone that is larger than the budget", () =>
    Effect.gen(function* () {
      const { admit, pressure } = yield* BackPressure
      yield* admit(load(1, 500 * mebibyte))
      assert.strictEqual(Pressure.total(yield* pressure).bytes, 500 * mebibyte)
    }).pipe(Effect.provide(gate))
  )

  it.effect("backs off from 100 ms to 3.2 s, and starts again from 0 when there is room", () =>
    Effect.gen(function* () {
      const { admit, leave, pressure } = yield* BackPressure
      yield* admit(load(80))
      const waiting = yield* Effect.forkChild(admit(load(1)))
      const levels: Array<number> = []
      for (const pause of [100, 200, 400, 800, 1600, 3200]) {
        yield* TestClock.adjust(pause - 1)
        levels.push((yield* pressure).level)
        yield* TestClock.adjust(1)
      }
      levels.push((yield* pressure).level)
      assert.deepStrictEqual(levels, [0, 1, 2, 3, 4, 5, 5])
      assert.isTrue(yield* isWaiting(waiting))
      yield* leave("jobs", load(1))
      yield* Fiber.join(waiting)
      const now = yield* pressure
      assert.strictEqual(now.level, 0)
      assert.strictEqual(blockedCount(now), 1)
    }).pipe(Effect.provide(gate))
  )

  it.effect("backs off as long as it can above the critical watermark", () =>
    Effect.gen(function* () {
      const { admit, move, pressure } = yield* BackPressure
      yield* admit(load(10, mebibyte))
      yield* move(["jobs", load(10, mebibyte)], ["results", load(10, 9.5 * mebibyte)])
      yield* Effect.forkChild(admit(load(1)))
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* pressure).level, 5)
    }).pipe(Effect.provide(gate))
  )

  it.effect("waits for room for a batch before it plans, for a merge window at most", () =>
    Effect.gen(function* () {
      const { admit, calm, leave } = yield* BackPressure
      yield* calm
      yield* admit(load(75))
      const waiting = yield* Effect.forkChild(calm)
      assert.isTrue(yield* isWaiting(waiting))
      yield* leave("jobs", load(5))
      yield* Fiber.join(waiting)
      yield* admit(load(5))
      const patient = yield* Effect.forkChild(calm)
      yield* TestClock.adjust(4999)
      assert.isTrue(yield* isWaiting(patient))
      yield* TestClock.adjust(1)
      yield* Fiber.join(patient)
    }).pipe(Effect.provide(gate))
  )

  it.effect("says so once when it begins and once when it is over", () =>
    Effect.gen(function* () {
      const lines = yield* Ref.make<ReadonlyArray<unknown>>([])
      const collect = Logger.make(({ message }) => {
        Effect.runSync(Ref.update(lines, (before) => [...before, message]))
      })
      yield* Effect.gen(function* () {
        const { admit, leave } = yield* BackPressure
        yield* admit(load(80))
        for (let i = 0; i < 100; i++) {
          const waiting = yield* Effect.forkChild(admit(load(1)))
          yield* TestClock.adjust(1000)
          yield* leave("jobs", load(1))
          yield* Fiber.join(waiting)
        }
        yield* TestClock.adjust("1 minute")
      }).pipe(Effect.provide(Layer.provideMerge(gate, Logger.layer([collect]))))
      assert.deepStrictEqual(yield* Ref.get(lines), [["back-pressure"], ["back-pressure is over"]])
    })
  )
})

describe("capacity", () => {
  const options = { bufferBytes: mebibyte, cap: 5000, batchSize: 20, high: 80, critical: 95 }
  it("is 1,000 slots for each GiB of memory, and never above the profile's", () => {
    const of = (gibibytes: number) => Pressure.limits({ ...options, memoryBytes: gibibytes * 2 ** 30 })
    assert.deepStrictEqual(of(2).capacity, { jobs: 20_000, results: 2000, sequencer: 10_000 })
    assert.strictEqual(of(64).capacity.results, 5000)
    assert.strictEqual(of(0.001).capacity.results, 20)
    assert.strictEqual(Pressure.watermark(of(64), "results"), 4000)
  })
})
