/**
 * Metrics of the stream. Labels are bounded: components, phases, depths and parts of a block by their names.
 *
 * **Gotchas**: a counter that appears with its first event hides that event from `rate` and `increase`, so `zero`
 * makes all of them appear at the start.
 */
import { Effect, Metric } from "effect"
import { mismatchedParts } from "../chain/Verdict.ts"
import * as Pressure from "./Pressure.ts"
import * as Status from "./Status.ts"

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

// Writing

const memoryWatermark = gauge(
  "indexer_async_writer_memory_watermark",
  "Highest block that is sequenced and waits for its commit, or is committed."
)
const diskWatermark = gauge("indexer_async_writer_disk_watermark", "Highest block that is committed.")
const watermarkLag = gauge(
  "indexer_async_writer_watermark_lag",
  "Blocks by which the disk is behind the memory."
)
const pendingTasks = gauge(
  "indexer_async_writer_pending_tasks",
  "Blocks that are sequenced and not committed."
)
const writeLatency = Metric.histogram("indexer_disk_write_latency_seconds", {
  description: "Time that a commit took, in seconds.",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
})
const blocksWritten = counter(
  "indexer_blocks_committed_total",
  "Blocks committed, also those taken back later."
)
const reorgs = counter("indexer_reorgs_total", "Reorgs taken back, by depth.")
const rollbackRows = counter(
  "indexer_rollback_rows_total",
  "Rows of blocks, transactions and logs that rollbacks deleted."
)
const proofFailures = counter(
  "indexer_proof_failures_total",
  "Blocks whose parts did not fit their roots or hashes, by what did not fit."
)

/** A commit of so many blocks took so many milliseconds. */
export const written = (blocks: number, millis: number): Effect.Effect<void> =>
  Effect.andThen(Metric.update(writeLatency, millis / 1000), Metric.update(blocksWritten, blocks))

const depths = ["1", "2-5", "6-20", "over 20"] as const

const depthOf = (depth: number): (typeof depths)[number] =>
  depth <= 1 ? "1" : depth <= 5 ? "2-5" : depth <= 20 ? "6-20" : "over 20"

export const rolledBack = (depth: number, rows: number): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(Metric.withAttributes(reorgs, { depth: depthOf(depth) }), 1),
    Metric.update(rollbackRows, rows)
  )

export const proofFailed = (what: string): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(proofFailures, { what }), 1)

const leaseLost = counter(
  "indexer_lease_lost_total",
  "How often this instance led and found that the lease was another's, or had expired."
)

export const lostLease: Effect.Effect<void> = Metric.update(leaseLost, 1)

/** All counters, from zero on. */
export const zero: Effect.Effect<void> = Effect.gen(function* () {
  for (const metric of [merged, blocksWritten, rollbackRows, leaseLost]) yield* Metric.update(metric, 0)
  for (const component of Pressure.components) {
    yield* Metric.update(Metric.withAttributes(blockedTotal, { component }), 0)
  }
  for (const depth of depths) yield* Metric.update(Metric.withAttributes(reorgs, { depth }), 0)
  for (const what of mismatchedParts) yield* Metric.update(Metric.withAttributes(proofFailures, { what }), 0)
})

// Where it stands

const heads = {
  head: gauge("indexer_head_block", "Highest block of the chain."),
  finalized: gauge("indexer_finalized_block", "Highest block that the chain calls final."),
  target: gauge("indexer_target_block", "Highest block to have."),
  cursor: gauge("indexer_cursor_block", "Highest block up to which everything is committed."),
  timestamp: gauge("indexer_head_timestamp_seconds", "Time of the highest block, seconds since 1970.")
}
const backfilled = gauge(
  "indexer_backfilled",
  "1 once this process has caught up with the head and the secondary indexes are there."
)
const lagBlocks = gauge("indexer_lag_blocks", "Blocks to have that are not committed.")
const lagSeconds = gauge(
  "indexer_lag_seconds",
  "Age of the newest committed block while blocks are missing, 0 otherwise."
)
const stored = {
  blocks: gauge("indexer_blocks_stored", "Rows in the table of blocks."),
  transactions: gauge("indexer_transactions_stored", "Rows in the table of transactions."),
  logs: gauge("indexer_logs_stored", "Rows in the table of logs.")
}
const stuckRanges = gauge("indexer_stuck_ranges", "Ranges that nobody could answer so far.")
const phase = gauge("indexer_phase", "1 for the phase it is in, 0 for the others.")
const leaseHeld = gauge("indexer_lease_held", "1 while this instance writes.")
const leaseEpoch = gauge("indexer_lease_epoch", "Epoch of the lease; it rises with each take-over.")
const lastCommit = gauge(
  "indexer_last_commit_timestamp_seconds",
  "When the newest commit was, seconds since 1970."
)

const maybe = (metric: Metric.Gauge<number>, value: number | undefined): Effect.Effect<void> =>
  value === undefined ? Effect.void : Metric.update(metric, value)

/** All that can be read from the status at `now`, milliseconds since 1970. */
export const status = Effect.fnUntraced(function* (
  sync: Status.SyncStatus,
  now: number,
  instanceId: string,
  pressure: Pressure.Pressure
) {
  const remaining = Status.remaining(sync)
  const tip = sync.store.tip
  yield* maybe(heads.head, sync.head?.number)
  yield* maybe(heads.timestamp, sync.head?.timestamp)
  yield* maybe(heads.finalized, sync.finalized)
  yield* maybe(heads.target, sync.target)
  yield* maybe(heads.cursor, Status.cursor(sync))
  yield* maybe(lagBlocks, remaining)
  yield* maybe(lagSeconds, tip && Math.max(0, remaining === 0 ? 0 : now / 1000 - tip.timestamp))
  yield* maybe(memoryWatermark, Status.memoryWatermark(sync))
  yield* maybe(diskWatermark, tip?.number)
  yield* Metric.update(watermarkLag, Status.watermarkLag(sync))
  yield* Metric.update(pendingTasks, pressure.loads.sequencer.blocks)
  yield* Metric.update(stored.blocks, sync.store.totals.blocks)
  yield* Metric.update(stored.transactions, sync.store.totals.transactions)
  yield* Metric.update(stored.logs, sync.store.totals.logs)
  yield* Metric.update(stuckRanges, sync.stuck.length)
  yield* Metric.update(backfilled, sync.indexed ? 1 : 0)
  yield* maybe(lastCommit, sync.lastCommitAt && sync.lastCommitAt / 1000)
  for (const name of Status.phases) {
    yield* Metric.update(Metric.withAttributes(phase, { phase: name }), sync.phase === name ? 1 : 0)
  }
  yield* Metric.update(leaseHeld, sync.lease?.holder === instanceId ? 1 : 0)
  yield* maybe(leaseEpoch, sync.lease?.epoch)
})

/** Every metric of this file with the names of its labels. */
export const all: ReadonlyArray<readonly [Metric.Metric<number, unknown>, ReadonlyArray<string>]> = [
  [heads.head, []],
  [heads.timestamp, []],
  [heads.target, []],
  [heads.cursor, []],
  [heads.finalized, []],
  [lagBlocks, []],
  [lagSeconds, []],
  [backfilled, []],
  [phase, ["phase"]],
  [stuckRanges, []],
  [blocksWritten, []],
  [lastCommit, []],
  [stored.blocks, []],
  [stored.transactions, []],
  [stored.logs, []],
  [writeLatency, []],
  [memoryWatermark, []],
  [diskWatermark, []],
  [watermarkLag, []],
  [pendingTasks, []],
  [blockedTotal, ["component"]],
  [backoffLevel, []],
  [channelUsage, ["component"]],
  [inFlightBytes, []],
  [merged, []],
  [proofFailures, ["what"]],
  [reorgs, ["depth"]],
  [rollbackRows, []],
  [leaseHeld, []],
  [leaseEpoch, []],
  [leaseLost, []]
]
