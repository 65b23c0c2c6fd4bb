/**
 * `/api/status` as a value: the live feed and the dashboard show the same one.
 */
import { Clock, Effect } from "effect"
import type { BlockHeader, CoverageLevel } from "../chain/Block.ts"
import { Settings } from "../config/Settings.ts"
import { BackPressure } from "../flow/BackPressure.ts"
import * as Pressure from "../flow/Pressure.ts"
import * as Status from "../flow/Status.ts"
import * as Cost from "../rpc/Cost.ts"
import type { EndpointHealth } from "../rpc/EndpointHealth.ts"
import { ChainSource } from "../source/ChainSource.ts"
import type { LeaseRow, StoreState } from "../store/Store.ts"
import type { Endpoint, StatusAnswer } from "./Api.ts"

/** How it stands now. */
export const now: Effect.Effect<
  typeof StatusAnswer.Type,
  never,
  Status.Status | Settings | ChainSource | BackPressure
> = Effect.gen(function* () {
  const status = yield* Status.Status
  const settings = yield* Settings
  const source = yield* ChainSource
  const gate = yield* BackPressure
  const now = yield* Clock.currentTimeMillis
  const sync = yield* status.get
  const inFlight = Pressure.total(yield* gate.pressure)
  const endpoints = yield* source.health
  return {
    chain_id: settings.chainId,
    profile: settings.profile.name,
    instance: settings.instanceId,
    phase: sync.phase,
    reason: sync.reason ?? null,
    head: header(sync.head),
    safe: sync.safe ?? null,
    finalized: sync.finalized ?? null,
    start_block: sync.start,
    target_block: sync.target ?? null,
    committed_cursor: Status.cursor(sync) ?? null,
    tip: header(sync.store.tip),
    sync_progress_percent: round(Status.progressPercent(sync), 3),
    blocks_per_second: round(Status.blocksPerSecond(sync, now), 2),
    eta_seconds: eta(sync, now),
    totals: sync.store.totals,
    coverage: coverage(sync.store),
    in_flight: {
      blocks: inFlight.blocks,
      bytes: inFlight.bytes,
      max_blocks: gate.limits.capacity.results,
      max_bytes: gate.limits.bytes
    },
    last_reorg: reorg(sync.store),
    lease: lease(sync.lease, settings.instanceId),
    stuck: sync.stuck.map(({ attempts, from, reason, retryAt, to }) => ({
      from,
      to,
      reason,
      attempts,
      retry_at: iso(retryAt)
    })),
    cost: cost(endpoints, yield* source.fetched, Status.remaining(sync), settings.rpcCredits.size > 0),
    endpoints: endpoints.map(endpoint)
  } satisfies typeof StatusAnswer.Type
})

const round = (value: number, digits: number): number => Number(value.toFixed(digits))

const eta = (sync: Status.SyncStatus, now: number): number | null => {
  const seconds = Status.etaSeconds(sync, now)
  return seconds === undefined ? null : Math.round(seconds)
}

const header = (block: BlockHeader | undefined) =>
  block === undefined ? null : { number: block.number, hash: block.hash, timestamp: block.timestamp }

const blocksAt = ({ coverage }: StoreState, level: CoverageLevel): number =>
  coverage.reduce((sum, range) => (range.level === level ? sum + range.to - range.from + 1 : sum), 0)

const coverage = (store: StoreState) => ({
  proven: blocksAt(store, "proven"),
  linked: blocksAt(store, "linked"),
  events: blocksAt(store, "events"),
  ranges: store.coverage.slice(0, 100)
})

const iso = (millis: number): string => new Date(millis).toISOString()

const reorg = ({ lastReorg }: StoreState) =>
  lastReorg === undefined
    ? null
    : { ancestor: lastReorg.ancestor, depth: lastReorg.depth, at: iso(lastReorg.at) }

const lease = (row: LeaseRow | undefined, instance: string) =>
  row === undefined
    ? null
    : {
        holder: row.holder,
        epoch: row.epoch,
        acquired_at: iso(row.acquiredAt),
        expires_at: iso(row.expiresAt),
        ours: row.holder === instance
      }

const endpoint = (health: EndpointHealth): typeof Endpoint.Type => {
  const { bytes, calls } = Cost.total(health.spent)
  return {
    id: health.id,
    host: health.host,
    standing: health.standing,
    until: health.until === undefined ? null : iso(health.until),
    head: health.head ?? null,
    latency_ms: health.latency === undefined ? null : round(health.latency, 1),
    calls_per_second: health.perSecond === undefined ? null : round(health.perSecond, 2),
    concurrency: health.concurrency,
    requests: health.requests,
    calls,
    bytes_received: Math.round(bytes),
    credits: round(health.credits, 3),
    methods: Object.fromEntries(
      Object.entries(health.spent).map(([method, spent]) => [
        method,
        { calls: spent.calls, bytes: Math.round(spent.bytes) }
      ])
    ),
    faults: health.faults,
    last_fault: health.lastFault ?? null
  }
}

/** What was spent by this process and, from what a block took so far, what the blocks that are missing will take. */
const cost = (
  endpoints: ReadonlyArray<EndpointHealth>,
  blocks: number,
  left: number | undefined,
  isPriced: boolean
): (typeof StatusAnswer.Type)["cost"] => {
  const { bytes, calls } = endpoints.map(({ spent }) => Cost.total(spent)).reduce(Cost.plus, Cost.nothing)
  const credits = endpoints.reduce((sum, endpoint) => sum + endpoint.credits, 0)
  const ahead = (spent: number) =>
    left === undefined || blocks === 0 ? null : Math.round((spent / blocks) * left)
  return {
    calls,
    bytes_received: Math.round(bytes),
    credits: isPriced ? round(credits, 3) : null,
    estimated_calls: ahead(calls),
    estimated_bytes: ahead(bytes),
    estimated_credits: isPriced ? ahead(credits) : null
  }
}
