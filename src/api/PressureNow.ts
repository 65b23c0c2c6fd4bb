/**
 * `/api/backpressure_stats` as a value: the same state that the gate, the metrics and the log look at.
 */
import { Effect } from "effect"
import { BackPressure, blockedCount } from "../flow/BackPressure.ts"
import * as Pressure from "../flow/Pressure.ts"
import * as Status from "../flow/Status.ts"
import type { BackPressureAnswer } from "./Api.ts"

export const now: Effect.Effect<typeof BackPressureAnswer.Type, never, BackPressure | Status.Status> =
  Effect.gen(function* () {
    const { limits, pressure } = yield* BackPressure
    const { get } = yield* Status.Status
    return answer(limits, yield* pressure, yield* get)
  })

export const answer = (
  limits: Pressure.Limits,
  state: Pressure.Pressure,
  sync: Status.SyncStatus
): typeof BackPressureAnswer.Type => {
  const { jobs, results, sequencer } = state.loads
  return {
    max_jobs_capacity: limits.capacity.jobs,
    max_results_capacity: limits.capacity.results,
    max_seq_buffer: limits.capacity.sequencer,
    jobs_watermark: Pressure.watermark(limits, "jobs"),
    results_watermark: Pressure.watermark(limits, "results"),
    current_jobs_depth: jobs.blocks,
    current_results_depth: results.blocks,
    current_seq_buffer: sequencer.blocks,
    total_blocked_count: blockedCount(state),
    max_bytes: limits.bytes,
    bytes_watermark: Math.floor((limits.bytes * limits.high) / 100),
    current_bytes: Pressure.total(state).bytes,
    backoff_level: state.level,
    memory_watermark: Status.memoryWatermark(sync) ?? null,
    disk_watermark: sync.store.tip?.number ?? null,
    watermark_lag: Status.watermarkLag(sync)
  }
}
