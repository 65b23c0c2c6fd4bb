/**
 * What the stream is doing, as one value that all who ask look at: the API, the progress line, the log.
 */
import { Clock, Context, Duration, Effect, Layer, SubscriptionRef } from "effect"
import type { BlockHeader } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { LeaseRow, StoreState } from "../store/Store.ts"

/**
 * `starting` until there is a lease, `waiting` while another instance has it, `syncing` while blocks are missing,
 * `following` at the target, `retrying` after a fault, `halted` for good until an operator looks, `stopping`, `done`.
 */
export const phases = [
  "starting",
  "waiting",
  "syncing",
  "following",
  "retrying",
  "halted",
  "stopping",
  "done"
] as const
export type Phase = (typeof phases)[number]

export interface SyncStatus {
  readonly phase: Phase
  /** Why it waits, retries or halts. */
  readonly reason: string | undefined
  /** Milliseconds since 1970 when this phase began. */
  readonly since: number
  readonly head: BlockHeader | undefined
  readonly finalized: number | undefined
  readonly safe: number | undefined
  /** First block to have, and the last one for now. */
  readonly start: number
  readonly target: number | undefined
  /** Highest block that waits for its commit, or had to. */
  readonly sequenced: number | undefined
  readonly store: StoreState
  /** Milliseconds since 1970 of the newest commit of this process. */
  readonly lastCommitAt: number | undefined
  /** Whether the secondary indexes are there; they are built when the backfill is done. */
  readonly indexed: boolean
  readonly lease: LeaseRow | undefined
  /** Blocks that nobody could answer when they were asked for last, and that are still missing. */
  readonly stuck: ReadonlyArray<Stuck>
  readonly samples: ReadonlyArray<Sample>
}

export interface Stuck extends BlockRange {
  readonly reason: string
  readonly attempts: number
  /** Milliseconds since 1970. */
  readonly retryAt: number
}

/** Stuck ranges that are remembered, at most: the rest is counted by what is missing. */
const stuckShown = 100

/** Blocks committed by this process up to a moment. */
interface Sample {
  readonly at: number
  readonly blocks: number
  /** Milliseconds that the commit took. */
  readonly took: number
}

/** Milliseconds over which the rate is taken. */
const rateWindow = 60_000

export class Status extends Context.Service<
  Status,
  {
    readonly get: Effect.Effect<SyncStatus>
    readonly update: (change: Partial<Omit<SyncStatus, "samples" | "since" | "stuck">>) => Effect.Effect<void>
    /** These blocks cannot be had for now. */
    readonly stuck: (
      range: Omit<Stuck, "retryAt"> & { readonly retryIn: Duration.Duration }
    ) => Effect.Effect<void>
    /** A commit of so many blocks, which took so many milliseconds, left the store in this state. */
    readonly committed: (blocks: number, store: StoreState, took?: number) => Effect.Effect<void>
  }
>()("sluice/flow/Status") {
  static readonly layer = (start: number) => Layer.effect(Status, make(start))
}

const make = Effect.fnUntraced(function* (start: number) {
  const since = yield* Clock.currentTimeMillis
  const ref = yield* SubscriptionRef.make<SyncStatus>({
    phase: "starting",
    reason: undefined,
    since,
    head: undefined,
    finalized: undefined,
    safe: undefined,
    start,
    target: undefined,
    sequenced: undefined,
    lastCommitAt: undefined,
    store: {
      coverage: [],
      totals: { blocks: 0, transactions: 0, logs: 0 },
      tip: undefined,
      finalized: undefined,
      lastReorg: undefined,
      commit: 0
    },
    indexed: false,
    lease: undefined,
    stuck: [],
    samples: []
  })
  return Status.of({
    get: SubscriptionRef.get(ref),
    update: Effect.fnUntraced(function* (change) {
      const now = yield* Clock.currentTimeMillis
      yield* SubscriptionRef.update(ref, (before) => enter(before, { ...before, ...change }, now))
    }),
    stuck: Effect.fnUntraced(function* ({ retryIn, ...range }) {
      const retryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(retryIn)
      yield* SubscriptionRef.update(ref, (before) => ({
        ...before,
        stuck: [
          ...before.stuck.filter(({ from, to }) => to < range.from || from > range.to),
          { ...range, retryAt }
        ].slice(-stuckShown)
      }))
    }),
    committed: Effect.fnUntraced(function* (blocks, store, took = 0) {
      const now = yield* Clock.currentTimeMillis
      yield* SubscriptionRef.update(ref, (before) => {
        const samples = [
          ...before.samples.filter(({ at }) => now - at <= rateWindow),
          { at: now, blocks, took }
        ]
        // A commit is what ends retrying.
        const recovered = blocks > 0 && before.phase === "retrying"
        const change = recovered ? ({ phase: "syncing", reason: undefined } as const) : {}
        const stuck = before.stuck.filter(
          (range) => !store.coverage.some(({ from, to }) => from <= range.from && range.to <= to)
        )
        const lastCommitAt = blocks > 0 ? now : before.lastCommitAt
        return enter(before, { ...before, ...change, store, samples, stuck, lastCommitAt }, now)
      })
    })
  })
})

/** Syncing and following are told apart by what is left to do. */
const enter = (before: SyncStatus, after: SyncStatus, now: number): SyncStatus => {
  const left = remaining(after)
  const isWorking = after.phase === "syncing" || after.phase === "following"
  const phase = isWorking && left !== undefined ? (left <= nearby ? "following" : "syncing") : after.phase
  return { ...after, phase, since: phase === before.phase ? before.since : now }
}

/** So few blocks below the target count as following it: a batch may be on its way. */
const nearby = 32

/** Blocks between `start` and `target` that are committed. */
export const covered = ({ start, target, store }: SyncStatus): number =>
  target === undefined
    ? 0
    : store.coverage.reduce(
        (sum, { from, to }) => sum + Math.max(0, Math.min(to, target) - Math.max(from, start) + 1),
        0
      )

/** Highest block up to which everything from `start` on is committed; undefined when `start` is missing. */
export const cursor = ({ start, store }: SyncStatus): number | undefined => {
  let next = start
  for (const { from, to } of store.coverage) {
    if (from > next) break
    if (to >= next) next = to + 1
  }
  return next > start ? next - 1 : undefined
}

export const remaining = (status: SyncStatus): number | undefined =>
  status.target === undefined ? undefined : Math.max(0, status.target - status.start + 1 - covered(status))

/** Highest block that is sequenced: in memory, or committed already. */
export const memoryWatermark = ({ sequenced, store }: SyncStatus): number | undefined =>
  sequenced === undefined ? store.tip?.number : Math.max(sequenced, store.tip?.number ?? sequenced)

/** Blocks by which what is committed is behind what is sequenced. */
export const watermarkLag = (status: SyncStatus): number =>
  Math.max(0, (memoryWatermark(status) ?? -1) - (status.store.tip?.number ?? -1))

/** Share of the blocks to have that are committed, 0 to 100; 100 where there is nothing to have yet. */
export const progressPercent = (status: SyncStatus): number => {
  const left = remaining(status)
  if (left === undefined || status.target === undefined) return 0
  const all = status.target - status.start + 1
  return all <= 0 ? 100 : ((all - left) / all) * 100
}

/** Blocks a second over the last minute, or since the first commit where that is less. */
export const blocksPerSecond = ({ samples }: SyncStatus, now: number): number => {
  const inWindow = samples.filter(({ at }) => now - at <= rateWindow)
  const [first] = inWindow
  if (first === undefined) return 0
  const blocks = inWindow.reduce((sum, sample) => sum + sample.blocks, 0)
  return blocks / (Math.max(1000, now - first.at) / 1000)
}

/** Milliseconds that commits took over the last minute: the middle one, the slowest of a hundred, and the last. */
export const commitMillis = (
  { samples }: SyncStatus,
  now: number
): { readonly p50: number; readonly p99: number; readonly last: number } | undefined => {
  const took = samples.flatMap((sample) =>
    now - sample.at <= rateWindow && sample.blocks > 0 ? [sample.took] : []
  )
  const last = took.at(-1)
  if (last === undefined) return undefined
  const sorted = took.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? last
  return { p50: at(0.5), p99: at(0.99), last }
}

/** Seconds until nothing is missing at the present rate; undefined when that cannot be told. */
export const etaSeconds = (status: SyncStatus, now: number): number | undefined => {
  const left = remaining(status)
  const rate = blocksPerSecond(status, now)
  if (left === undefined) return undefined
  if (left === 0) return 0
  return rate > 0 ? left / rate : undefined
}
