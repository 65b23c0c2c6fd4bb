/**
 * Metrics of the tokens' metrics.
 */
import { Effect, Metric } from "effect"

const counter = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(name, { description })

const inMemory = gauge("indexer_tokens_in_memory", "Tokens and pairs whose metrics are in memory.")
const touched = gauge("indexer_tokens_touched", "Tokens and pairs that have moved and are not written yet.")
const flushSeconds = Metric.histogram("indexer_token_flush_seconds", {
  description: "Time that writing token metrics took, in seconds, by kind.",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10]
})
const differences = counter(
  "indexer_token_differences_total",
  "Metrics of tokens that were not what counting anew said; must stay 0."
)
const pruned = counter("indexer_tokens_pruned_total", "Idle tokens that were dropped from memory.")
const reloaded = counter(
  "indexer_tokens_reloaded_total",
  "Tokens that were read back from the event tables after they had been dropped, or after a rollback."
)

export const flushKinds = ["delta", "full", "rollback", "checkpoint"] as const
export type FlushKind = (typeof flushKinds)[number]

export const standing = (tokens: number, waiting: number): Effect.Effect<void> =>
  Effect.andThen(Metric.update(inMemory, tokens), Metric.update(touched, waiting))

export const flushed = (kind: FlushKind, millis: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(flushSeconds, { kind }), millis / 1000)

export const differed = (count: number): Effect.Effect<void> => Metric.update(differences, count)
export const dropped = (count: number): Effect.Effect<void> => Metric.update(pruned, count)
export const readBack = (count: number): Effect.Effect<void> => Metric.update(reloaded, count)

/** All counters from zero on, and the time of each kind of flush from none on. */
export const zero: Effect.Effect<void> = Effect.gen(function* () {
  for (const metric of [differences, pruned, reloaded]) yield* Metric.update(metric, 0)
  for (const kind of flushKinds) yield* Metric.value(Metric.withAttributes(flushSeconds, { kind }))
})

/** Every metric of this file with the names of its labels. */
export const all: ReadonlyArray<readonly [Metric.Metric<number, unknown>, ReadonlyArray<string>]> = [
  [inMemory, []],
  [touched, []],
  [flushSeconds, ["kind"]],
  [differences, []],
  [pruned, []],
  [reloaded, []]
]
