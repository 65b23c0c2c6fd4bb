/**
 * `/metrics` as Prometheus reads it: the names that were promised, with types, bounded labels and true values.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import * as Server from "../../src/api/Server.ts"
import type { SettingsOptions } from "../../src/config/Settings.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"
import * as Gauges from "../../src/flow/Gauges.ts"
import { declared } from "../../src/flow/MetricsDoc.ts"
import { type Shown, Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { Store } from "../../src/store/Store.ts"
import * as prometheus from "../support/prometheus.ts"
import { SimulatedChain } from "../support/SimulatedChain.ts"
import { expectedTotals, isWhole, phaseIs, settings, until, world } from "../support/simulated.ts"

const scraped = Effect.gen(function* () {
  // The gauges are taken once a second.
  yield* TestClock.adjust("1 second")
  const context = yield* Effect.context<Shown>()
  const { dispose, handler } = HttpRouter.toWebHandler(
    Server.routes.pipe(Layer.provide(Layer.succeedContext(context)), Layer.provide(HttpServer.layerServices)),
    { disableLogger: true }
  )
  const response = yield* Effect.promise(() => handler(new Request("http://sluice/metrics"), context))
  const text = yield* Effect.promise(() => response.text())
  yield* Effect.promise(() => dispose())
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/)
  return prometheus.parse(text)
})

/** A Sluice with its gauges, and metrics of its own. */
const running = (options: Partial<SettingsOptions> = {}) =>
  Gauges.layer.pipe(
    Layer.provideMerge(Layer.fresh(Sluice.layerCore)),
    Layer.provide(SessionLock.none),
    Layer.provideMerge(settings(options))
  )

const alone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const promised: Readonly<Record<string, string>> = {
  indexer_backpressure_blocked_total: "counter",
  indexer_backpressure_backoff_level: "gauge",
  indexer_backpressure_channel_usage: "gauge",
  indexer_schedule_merged_total: "counter",
  indexer_async_writer_memory_watermark: "gauge",
  indexer_async_writer_disk_watermark: "gauge",
  indexer_async_writer_watermark_lag: "gauge",
  indexer_async_writer_pending_tasks: "gauge",
  indexer_disk_write_latency_seconds: "histogram"
}

const components = ["jobs", "results", "sequencer"]

describe("the metrics", () => {
  it.effect("tell a backfill as the tables do", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* until(phaseIs("following"))
        const page = yield* scraped
        for (const [name, type] of Object.entries(promised)) {
          assert.strictEqual(page.get(name)?.type, type, name)
          assert.isAbove(page.get(name)?.help.length ?? 0, 10, name)
        }
        const { blocks, logs, transactions } = yield* expectedTotals
        const values: Readonly<Record<string, number>> = {
          indexer_head_block: 40,
          indexer_target_block: 40,
          indexer_cursor_block: 40,
          indexer_lag_blocks: 0,
          indexer_lag_seconds: 0,
          indexer_blocks_stored: blocks,
          indexer_transactions_stored: transactions,
          indexer_logs_stored: logs,
          indexer_blocks_committed_total: blocks,
          indexer_async_writer_memory_watermark: 40,
          indexer_async_writer_disk_watermark: 40,
          indexer_async_writer_watermark_lag: 0,
          indexer_async_writer_pending_tasks: 0,
          indexer_backpressure_backoff_level: 0,
          indexer_backpressure_bytes: 0,
          indexer_rollback_rows_total: 0,
          indexer_lease_held: 1,
          indexer_lease_epoch: 1,
          indexer_lease_lost_total: 0,
          indexer_backfilled: 1,
          indexer_stuck_ranges: 0
        }
        for (const [name, value] of Object.entries(values)) {
          assert.strictEqual(prometheus.value(page, name), value, name)
        }
        for (const component of components) {
          assert.strictEqual(prometheus.value(page, "indexer_backpressure_blocked_total", { component }), 0)
          assert.strictEqual(prometheus.value(page, "indexer_backpressure_channel_usage", { component }), 0)
        }
        for (const depth of ["1", "2-5", "6-20", "over 20"]) {
          assert.strictEqual(prometheus.value(page, "indexer_reorgs_total", { depth }), 0)
        }
        assert.strictEqual(prometheus.value(page, "indexer_proof_failures_total", { what: "bloom" }), 0)
        assert.strictEqual(prometheus.value(page, "indexer_phase", { phase: "following" }), 1)
        assert.strictEqual(prometheus.value(page, "indexer_phase", { phase: "syncing" }), 0)
        const commits = prometheus.value(page, "indexer_disk_write_latency_seconds_count") ?? 0
        assert.isAtLeast(commits, blocks / 5)
        assert.isAbove(prometheus.value(page, "process_resident_memory_bytes") ?? 0, 10_000_000)
        assert.isAtLeast(
          prometheus.value(page, "nodejs_eventloop_delay_seconds", { quantile: "0.99" }) ?? -1,
          0
        )
      }).pipe(Effect.provide(running()), alone)
    }).pipe(Effect.provide(world(40)))
  )

  it.effect("are all declared, with the labels that they have and few values of each", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* chain.reorg(2, 3)
        yield* until(isWhole)
        const page = yield* scraped
        for (const [name, { samples, type }] of page) {
          const declaration = declared.find((metric) => metric.name === name)
          assert.strictEqual(type, declaration?.type, name)
          for (const sample of samples) {
            const { le, ...labels } = sample.labels
            assert.sameMembers(Object.keys(labels), [...(declaration?.labels ?? [])], name)
          }
          assert.isAtMost(samples.length, 40, name)
        }
      }).pipe(Effect.provide(running()), alone)
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("count a reorg once, by its depth, with the rows that went", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const before = yield* expectedTotals
        const lost = (yield* chain.blocks).slice(-3)
        yield* chain.reorg(3, 4)
        yield* until(isWhole)
        const page = yield* scraped
        const rows = lost.reduce(
          (sum, { block, receipts }) =>
            sum + 1 + block.transactions.length + receipts.reduce((n, { logs }) => n + logs.length, 0),
          0
        )
        assert.strictEqual(prometheus.value(page, "indexer_reorgs_total", { depth: "2-5" }), 1)
        assert.strictEqual(prometheus.value(page, "indexer_reorgs_total", { depth: "1" }), 0)
        assert.strictEqual(prometheus.value(page, "indexer_rollback_rows_total"), rows)
        assert.strictEqual(prometheus.value(page, "indexer_blocks_stored"), before.blocks + 1)
        assert.strictEqual(prometheus.value(page, "indexer_blocks_committed_total"), before.blocks + 4)
        assert.strictEqual(prometheus.value(page, "indexer_async_writer_disk_watermark"), 21)
        assert.strictEqual(prometheus.value(page, "indexer_async_writer_memory_watermark"), 21)
      }).pipe(Effect.provide(running()), alone)
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("say that it halted", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* chain.setFinalized(18)
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* chain.reorg(5, 6)
        yield* until(phaseIs("halted"))
        const page = yield* scraped
        assert.strictEqual(prometheus.value(page, "indexer_phase", { phase: "halted" }), 1)
        assert.strictEqual(prometheus.value(page, "indexer_phase", { phase: "following" }), 0)
        assert.strictEqual(prometheus.value(page, "indexer_rollback_rows_total"), 0)
      }).pipe(Effect.provide(running()), alone)
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("say at once that the lease was lost", () =>
    Effect.gen(function* () {
      const store = yield* Store
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* store.acquireLease({ holder: "second", duration: 600_000, evenIfHeld: true })
        yield* until(phaseIs("waiting"))
        const page = yield* scraped
        assert.strictEqual(prometheus.value(page, "indexer_lease_lost_total"), 1)
        assert.strictEqual(prometheus.value(page, "indexer_lease_held"), 0)
        yield* until(Effect.map(scraped, (now) => prometheus.value(now, "indexer_lease_epoch") === 2))
      }).pipe(Effect.provide(running({ whenHeld: "wait", leaseDuration: "3 seconds" })), alone)
    }).pipe(Effect.provide(world(10)))
  )

  it.effect("show back-pressure while there is some, and who was in the way", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        const { admit, leave, move } = yield* BackPressure
        const load = (blocks: number) => ({ blocks, bytes: 0 })
        yield* admit(load(75))
        yield* move(["jobs", load(75)], ["results", load(75)])
        yield* Effect.forkChild(admit(load(10)))
        yield* TestClock.adjust("350 millis")
        const page = yield* scraped
        const at = (name: string, component: string) => prometheus.value(page, name, { component })
        assert.strictEqual(at("indexer_backpressure_blocked_total", "results"), 1)
        assert.strictEqual(at("indexer_backpressure_blocked_total", "jobs"), 0)
        assert.strictEqual(at("indexer_backpressure_channel_usage", "results"), 0.75)
        assert.isAtLeast(prometheus.value(page, "indexer_backpressure_backoff_level") ?? 0, 2)
        yield* leave("results", load(75))
        yield* until(
          Effect.map(scraped, (now) => prometheus.value(now, "indexer_backpressure_backoff_level") === 0)
        )
      }).pipe(Effect.provide(running({ resultsCapacity: 100 })), alone)
    }).pipe(Effect.provide(world(10)))
  )
})
