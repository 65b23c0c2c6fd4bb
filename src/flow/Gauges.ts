/**
 * Once a second, what the status says becomes gauges, and with it who of the endpoints may be asked, and what the
 * process needs: memory, and how long its event loop makes others wait.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Clock, Effect, Layer, Metric, Schedule } from "effect"
import { Settings } from "../config/Settings.ts"
import * as RpcMetrics from "../rpc/Metrics.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { version } from "../Version.ts"
import { BackPressure } from "./BackPressure.ts"
import * as Metrics from "./Metrics.ts"
import { Status } from "./Status.ts"

const info = Metric.gauge("indexer_info", { description: "1; what it is, in its labels." })
const started = Metric.gauge("process_start_time_seconds", {
  description: "When the process was started, seconds since 1970."
})
const residentMemory = Metric.gauge("process_resident_memory_bytes", { description: "Resident memory." })
const heapUsed = Metric.gauge("nodejs_heap_used_bytes", { description: "Used part of the JavaScript heap." })
const externalMemory = Metric.gauge("nodejs_external_memory_bytes", {
  description: "Memory of buffers outside of the heap."
})
const loopDelay = Metric.gauge("nodejs_eventloop_delay_seconds", {
  description: "Delay of the event loop over the last second, by quantile."
})

/** Every metric of this file with the names of its labels. */
export const all: ReadonlyArray<readonly [Metric.Metric<number, unknown>, ReadonlyArray<string>]> = [
  [info, ["version", "chain_id", "profile"]],
  [started, []],
  [residentMemory, []],
  [heapUsed, []],
  [externalMemory, []],
  [loopDelay, ["quantile"]]
]

/** Milliseconds between two looks of the monitor. */
const resolution = 10

const nanoseconds = 1e9

const sampling = Effect.gen(function* () {
  const status = yield* Status
  const gate = yield* BackPressure
  const source = yield* ChainSource
  const { chainId, instanceId, profile } = yield* Settings
  const labels = { version, chain_id: `${chainId}`, profile: profile.name }
  yield* Metrics.zero
  yield* Metric.update(Metric.withAttributes(info, labels), 1)
  yield* Metric.update(started, (yield* Clock.currentTimeMillis) / 1000 - process.uptime())
  const delay = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const monitor = monitorEventLoopDelay({ resolution })
      monitor.enable()
      return monitor
    }),
    (monitor) => Effect.sync(() => monitor.disable())
  )
  const quantiles = [
    ["0.5", 50],
    ["0.99", 99]
  ] as const
  const sample = Effect.gen(function* () {
    yield* Metrics.status(yield* status.get, yield* Clock.currentTimeMillis, instanceId, yield* gate.pressure)
    for (const { id, standing } of yield* source.health) {
      const metric = Metric.withAttributes(RpcMetrics.available, { endpoint: id })
      yield* Metric.update(metric, standing === "available" ? 1 : 0)
    }
    const { external, heapUsed: heap, rss } = process.memoryUsage()
    yield* Metric.update(residentMemory, rss)
    yield* Metric.update(heapUsed, heap)
    yield* Metric.update(externalMemory, external)
    for (const [quantile, percent] of quantiles) {
      // The monitor counts its own interval in.
      const seconds = Math.max(0, delay.percentile(percent) / nanoseconds - resolution / 1000)
      yield* Metric.update(Metric.withAttributes(loopDelay, { quantile }), seconds)
    }
    delay.reset()
  })
  yield* sample.pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
})

export const layer: Layer.Layer<never, never, Status | BackPressure | ChainSource | Settings> =
  Layer.effectDiscard(sampling)
