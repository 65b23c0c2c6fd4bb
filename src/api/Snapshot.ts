/**
 * What a live reader sees at a moment: the status, the stages of the stream, and what keeps the tables from being
 * fresh. Whatever the dashboard shows is in here.
 */
import { Clock, Effect, Ref } from "effect"
import { Settings } from "../config/Settings.ts"
import { BackPressure } from "../flow/BackPressure.ts"
import { commitMillis, Status } from "../flow/Status.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { version } from "../Version.ts"
import type { BackPressureAnswer, Endpoint, StatusAnswer } from "./Api.ts"
import * as PressureNow from "./PressureNow.ts"
import * as Readiness from "./Readiness.ts"
import * as Stages from "./Stages.ts"
import * as StatusNow from "./StatusNow.ts"

type Answer = typeof StatusAnswer.Type

export interface Snapshot {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly version: string
  /** Why a reader should not rely on the tables being fresh; nothing when it may. */
  readonly not_ready: ReadonlyArray<string>
  /** As `/api/status` has it; of ranges the first twenty, of endpoints without their methods. */
  readonly status: Omit<Answer, "endpoints"> & {
    readonly endpoints: ReadonlyArray<Omit<typeof Endpoint.Type, "methods">>
  }
  readonly back_pressure: typeof BackPressureAnswer.Type
  /** Milliseconds, over the last minute. */
  readonly commit_ms: { readonly p50: number; readonly p99: number; readonly last: number } | null
  readonly stages: ReadonlyArray<Stages.Stage>
  readonly bottleneck: Stages.StageName | null
  readonly live_clients: number
}

/**
 * A point of the charts: time, blocks a second, blocks behind, milliseconds of a commit, blocks and bytes in flight,
 * and how many of these blocks are sequenced and wait for their commit.
 */
export type Sample = readonly [
  at: number,
  rate: number,
  lag: number | null,
  commit: number | null,
  blocks: number,
  bytes: number,
  sequenced: number
]

export const sample = ({ at, back_pressure, commit_ms, status }: Snapshot): Sample => [
  at,
  status.blocks_per_second,
  status.target_block === null
    ? null
    : status.target_block - (status.committed_cursor ?? status.start_block - 1),
  commit_ms?.p50 ?? null,
  status.in_flight.blocks,
  status.in_flight.bytes,
  back_pressure.current_seq_buffer
]

const rangesShown = 20

/** Milliseconds between the two counts that a rate is taken from. */
const rateWindow = 3000

interface Count {
  readonly at: number
  readonly blocks: number
}

/** Makes snapshots; one maker remembers what was fetched a moment ago, to tell the rate. */
export const make = Effect.gen(function* () {
  const context = yield* Effect.context<Effect.Services<typeof StatusNow.now>>()
  const settings = yield* Settings
  const status = yield* Status
  const source = yield* ChainSource
  const gate = yield* BackPressure
  const counts = yield* Ref.make<ReadonlyArray<Count>>([])

  const fetchedPerSecond = Effect.fnUntraced(function* (now: number) {
    const latest = { at: now, blocks: yield* source.fetched }
    const [first] = yield* Ref.updateAndGet(counts, (earlier) => {
      const old = earlier.findLastIndex(({ at }) => now - at >= rateWindow)
      return [...earlier.slice(Math.max(0, old)), latest]
    })
    return first === undefined || first.at === now
      ? 0
      : ((latest.blocks - first.blocks) * 1000) / (now - first.at)
  })

  return Effect.fnUntraced(function* (clients: number): Effect.fn.Return<Snapshot> {
    const now = yield* Clock.currentTimeMillis
    const answer = yield* Effect.provideContext(StatusNow.now, context)
    const sync = yield* status.get
    const commits = commitMillis(sync, now)
    const measured: Stages.Measured = {
      status: sync,
      pressure: yield* gate.pressure,
      limits: gate.limits,
      fetchedPerSecond: yield* fetchedPerSecond(now),
      committedPerSecond: answer.blocks_per_second,
      commitMillis: commits?.p50,
      clients,
      maxClients: settings.liveMaxClients
    }
    return {
      at: now,
      version,
      not_ready: Readiness.reasons(sync, settings, yield* source.health, now),
      status: {
        ...answer,
        coverage: { ...answer.coverage, ranges: answer.coverage.ranges.slice(0, rangesShown) },
        endpoints: answer.endpoints.map(({ methods: _, ...endpoint }) => endpoint)
      },
      commit_ms: commits ?? null,
      back_pressure: yield* Effect.provideContext(PressureNow.now, context),
      stages: Stages.make(measured),
      bottleneck: Stages.bottleneck(measured) ?? null,
      live_clients: clients
    }
  })
})
