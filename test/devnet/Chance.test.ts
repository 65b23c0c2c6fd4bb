import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as Chance from "../../src/devnet/Chance.ts"

const draws = <A>(one: Effect.Effect<A>) => Effect.replicateEffect(one, 5000).pipe(Random.withSeed("chance"))

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

describe("Chance", () => {
  it.effect("zipf: the second comes up half as often as the first", () =>
    Effect.gen(function* () {
      const all = yield* draws(Chance.zipf(10, 1))
      const times = (index: number) => all.filter((value) => value === index).length
      assert.closeTo(times(1) / times(0), 1 / 2, 0.05)
      assert.closeTo(times(4) / times(0), 1 / 5, 0.03)
      assert.isTrue(all.every((value) => value >= 0 && value < 10))
    })
  )

  it.effect("poisson: has its mean, and as much variance", () =>
    Effect.gen(function* () {
      for (const expected of [0.5, 6, 200]) {
        const all = yield* draws(Chance.poisson(expected))
        assert.closeTo(mean(all) / expected, 1, 0.05)
        assert.closeTo(mean(all.map((value) => (value - expected) ** 2)) / expected, 1, 0.1)
      }
      assert.strictEqual(mean(yield* draws(Chance.poisson(0))), 0)
    })
  )

  it.effect("logNormal: half are below the median, none below zero", () =>
    Effect.gen(function* () {
      const all = yield* draws(Chance.logNormal(3, 1))
      assert.closeTo(all.filter((value) => value < 3).length / all.length, 0.5, 0.02)
      assert.isTrue(all.every((value) => value > 0))
    })
  )

  it.effect("oneIn: as often as it says", () =>
    Effect.gen(function* () {
      const all = yield* draws(Chance.oneIn(40))
      assert.closeTo(all.filter(Boolean).length, 125, 25)
    })
  )
})
