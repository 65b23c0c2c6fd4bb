/**
 * The few distributions that make traffic look like traffic, drawn from Effect's `Random`: under `Random.withSeed`
 * they repeat.
 */
import { Effect, Random } from "effect"

/**
 * An index below `count`, where index `i` comes up as `1 / (i + 1) ^ exponent`: Zipf's law, which popularity follows
 * nearly everywhere. 0 makes all equally likely.
 */
export const zipf = (count: number, exponent: number): Effect.Effect<number> =>
  weighted(Array.from({ length: count }, (_, index) => (index + 1) ** -exponent))

/** An index, each as likely as its weight says. */
export const weighted = (weights: ReadonlyArray<number>): Effect.Effect<number> => {
  let total = 0
  const bounds = weights.map((weight) => {
    total += weight
    return total
  })
  return Effect.map(Random.next, (next) => {
    const index = bounds.findIndex((bound) => next * total < bound)
    return index < 0 ? weights.length - 1 : index
  })
}

/** Half of all draws are below `median`; `sigma` is the spread of their logarithm. */
export const logNormal = (median: number, sigma: number): Effect.Effect<number> =>
  Effect.map(standardNormal, (normal) => median * Math.exp(sigma * normal))

/** How many come in a stretch of time in which `mean` are expected, if none knows of another. */
export const poisson = (mean: number): Effect.Effect<number> =>
  mean > 50
    ? // Knuth's way takes as many draws as there are events; a normal distribution is as good up here.
      Effect.map(standardNormal, (normal) => Math.max(0, Math.round(mean + Math.sqrt(mean) * normal)))
    : Effect.gen(function* () {
        const floor = Math.exp(-mean)
        let count = 0
        for (let product = yield* Random.next; product > floor; product *= yield* Random.next) count++
        return count
      })

export const oneIn = (count: number): Effect.Effect<boolean> =>
  Effect.map(Random.next, (next) => next * count < 1)

/** Box and Muller's transform. */
const standardNormal: Effect.Effect<number> = Effect.zipWith(
  Random.next,
  Random.next,
  // 1 - next is never 0, whose logarithm would be infinite.
  (a, b) => Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b)
)
