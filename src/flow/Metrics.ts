/**
 * Metrics of the stream. Labels are bounded: components, phases and levels by their names.
 */
import { Effect, Metric } from "effect"
import * as Pressure from "./Pressure.ts"

const gauge = (name: string, description: string) => Metric.gauge(name, { description })
const counter = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true })

// Back-pressure

const blockedTotal = counter(
  "indexer_backpressure_blocked_total",
  "How often scheduling had to wait, by the component that had no room."
)
const backoffLevel = gauge(
  "indexer_backpressure_backoff_level",
  "0 while there is room; the pause before the next try is 100 ms times two to this."
)
const channelUsage = gauge(
  "indexer_backpressure_channel_usage",
  "Share of its capacity that is in use, 0 to 1, by component; of results in blocks or bytes, whichever is more."
)
const inFlightBytes = gauge("indexer_backpressure_bytes", "Bytes between the planner and the commit.")
const merged = counter(
  "indexer_schedule_merged_total",
  "Heads and ranges that were asked for while they were on their way already."
)

export const blocked = (component: Pressure.Component): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(blockedTotal, { component }), 1)

export const mergedRequests = (count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Metric.update(merged, count)

const usageOf = Pressure.components.map((component) => ({
  component,
  metric: Metric.withAttributes(channelUsage, { component })
}))

export const backPressure = (limits: Pressure.Limits, pressure: Pressure.Pressure): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Metric.update(backoffLevel, pressure.level)
    yield* Metric.update(inFlightBytes, Pressure.total(pressure).bytes)
    for (const { component, metric } of usageOf) {
      yield* Metric.update(metric, Pressure.usage(limits, pressure, component))
    }
  })
