/**
 * Moments of a Sluice as its live feed shows them, for pictures of every state of the dashboard.
 */

import * as PressureNow from "../../src/api/PressureNow.ts"
import type { Sample, Snapshot } from "../../src/api/Snapshot.ts"
import * as Stages from "../../src/api/Stages.ts"
import type { PairLine, TokenBoard } from "../../src/api/TokenBoard.ts"
import type * as Pressure from "../../src/flow/Pressure.ts"
import type { SyncStatus } from "../../src/flow/Status.ts"

const at = Date.UTC(2026, 10, 21, 9, 30)

const hash = (n: number): `0x${string}` =>
  `0x${(n * 0x9e3779b1).toString(16).padStart(12, "a").repeat(6).slice(0, 64)}`

const header = (number: number, age: number) => ({
  number,
  hash: hash(number),
  parentHash: hash(number - 1),
  timestamp: at / 1000 - age
})

interface Moment {
  readonly phase: SyncStatus["phase"]
  readonly reason?: string
  readonly head: number | null
  readonly cursor: number | null
  readonly rate: number
  /** Blocks fetched ahead, and of these the ones that wait for their commit. */
  readonly depth: number
  readonly sequenced?: number
  readonly faults?: boolean
}

const endpoint = (host: string, id: string, latency: number, calls: number) => ({
  id,
  host,
  standing: "available" as const,
  until: null,
  head: 21_840_112,
  latency_ms: latency,
  calls_per_second: null,
  concurrency: 8,
  requests: calls,
  calls,
  bytes_received: calls * 64_000,
  credits: 0,
  faults: {},
  last_fault: null
})

const weight = 48_000

export const snapshot = (moment: Moment): Snapshot => {
  const { cursor, depth, faults = false, head, phase, rate, reason, sequenced = 0 } = moment
  const blocks = cursor === null ? 0 : cursor + 1
  const coverage = cursor === null ? [] : [{ from: 0, to: cursor, level: "proven" as const }]
  const percent = head === null || cursor === null ? 0 : (blocks / (head + 1)) * 100
  const limits: Pressure.Limits = {
    capacity: { jobs: 20_000, results: 5000, sequencer: 10_000 },
    bytes: 256 * 2 ** 20,
    high: 80,
    critical: 95
  }
  const load = (blocks: number): Pressure.Load => ({ blocks, bytes: blocks * weight })
  const ready = Math.floor((depth - sequenced) * 0.7)
  const pressure: Pressure.Pressure = {
    level: depth > 3000 ? 2 : 0,
    loads: {
      jobs: load(depth - sequenced - ready),
      results: load(ready),
      sequencer: load(sequenced)
    },
    blocked: { jobs: 0, results: depth > 3000 ? 214 : 0, sequencer: 0 }
  }
  const measured: Stages.Measured = {
    status: {
      phase,
      reason,
      since: at,
      head: head === null ? undefined : header(head, 5),
      finalized: undefined,
      safe: undefined,
      start: 0,
      target: head ?? undefined,
      sequenced: cursor === null ? undefined : cursor + sequenced,
      lastCommitAt: undefined,
      store: {
        coverage,
        totals: { blocks, transactions: blocks * 142, logs: blocks * 291 },
        tip: cursor === null ? undefined : header(cursor, 6),
        finalized: undefined,
        lastReorg: undefined,
        commit: 1
      },
      indexed: false,
      lease: undefined,
      stuck: [],
      samples: []
    },
    pressure,
    limits,
    fetchedPerSecond: rate * 1.02,
    committedPerSecond: rate,
    commitMillis: cursor === null ? undefined : 46,
    clients: 3,
    maxClients: 1000
  }
  const lines = [
    endpoint("eth.example.com", "eth.example.com#1", 84, 184_220),
    endpoint("rpc.another.example", "rpc.another.example#2", 212, 61_870)
  ]
  return {
    at,
    version: "0.1.0",
    back_pressure: PressureNow.answer(limits, pressure, measured.status),
    not_ready: phase === "following" ? [] : [reason ?? "the backfill is not done"],
    status: {
      chain_id: 1,
      profile: "mainnet",
      instance: "indexer-7f9c-1",
      phase,
      reason: reason ?? null,
      head: head === null ? null : header(head, 5),
      safe: head === null ? null : head - 32,
      finalized: head === null ? null : head - 64,
      start_block: 0,
      target_block: head,
      committed_cursor: cursor,
      tip: cursor === null ? null : header(cursor, 6),
      sync_progress_percent: percent,
      blocks_per_second: rate,
      eta_seconds: head === null || cursor === null || rate === 0 ? null : Math.round((head - cursor) / rate),
      totals: { blocks, transactions: blocks * 142, logs: blocks * 291 },
      coverage: { proven: blocks, linked: 0, events: 0, ranges: coverage },
      in_flight: {
        blocks: depth,
        bytes: depth * weight,
        max_blocks: limits.capacity.results,
        max_bytes: limits.bytes
      },
      last_reorg: null,
      lease: {
        holder: "indexer-7f9c-1",
        epoch: 4,
        acquired_at: new Date(at).toISOString(),
        expires_at: new Date(at).toISOString(),
        ours: true
      },
      stuck: [],
      cost: {
        calls: head === null ? 2 : 246_090,
        bytes_received: head === null ? 0 : 15_700_000_000,
        credits: null,
        estimated_calls: null,
        estimated_bytes: null,
        estimated_credits: null
      },
      endpoints: lines.map((line, i) =>
        faults
          ? {
              ...line,
              standing: "down" as const,
              head: null,
              latency_ms: null,
              calls: 12,
              bytes_received: 0,
              faults: { Unreachable: 12 },
              last_fault: "connect ECONNREFUSED 10.0.0.7:8545"
            }
          : i === 1 && head !== null
            ? {
                ...line,
                standing: "resting" as const,
                until: new Date(at + 40_000).toISOString(),
                faults: { RateLimited: 31, Timeout: 2 },
                last_fault: "429: compute units per second exceeded"
              }
            : line
      )
    },
    commit_ms: cursor === null ? null : { p50: 46, p99: 121, last: 44 },
    stages: Stages.make(measured),
    bottleneck: Stages.bottleneck(measured) ?? null,
    live_clients: 3
  }
}

/** Fifteen minutes before it, with some unrest. */
const history = ({ back_pressure, status }: Snapshot): ReadonlyArray<Sample> =>
  status.committed_cursor === null
    ? []
    : Array.from({ length: 180 }, (_, i): Sample => {
        const wave = 1 + 0.18 * Math.sin((179 - i) / 7) + 0.07 * Math.sin((179 - i) * 1.7)
        const rate = status.blocks_per_second * wave
        const behind = (status.target_block ?? 0) - (status.committed_cursor ?? 0)
        return [
          at - (179 - i) * 5000,
          rate,
          Math.round(behind + (179 - i) * 5 * status.blocks_per_second * (behind > 100 ? 1 : 0)),
          46 * wave,
          Math.round(status.in_flight.blocks * Math.min(1, wave)),
          Math.round(status.in_flight.bytes * Math.min(1, wave)),
          Math.round(back_pressure.current_seq_buffer * Math.min(1, wave))
        ]
      })

/** The feed's first message about that moment; `tokens` is null where there are no token metrics. */
export const welcome = (now: Snapshot, tokens: TokenBoard | null = null): string => {
  const { committed_cursor: cursor } = now.status
  const events =
    cursor === null
      ? []
      : [
          {
            id: "88",
            type: "reorg",
            ancestor: cursor - 14,
            depth: 2,
            at: new Date(at - 260_000).toISOString(),
            removed: [cursor - 13, cursor - 12].map((number) => ({ number, hash: hash(number + 7) }))
          },
          ...Array.from({ length: 12 }, (_, i) => {
            const number = cursor - 11 + i
            return {
              id: `${100 + i}.${number}`,
              type: "block",
              number,
              hash: hash(number),
              parent_hash: hash(number - 1),
              timestamp: at / 1000 - (11 - i) * 12 - 6,
              level: "proven",
              transactions: 120 + ((number * 7919) % 90),
              logs: 310 + ((number * 104_729) % 220)
            }
          })
        ]
  return JSON.stringify({
    type: "welcome",
    at,
    missed: 0,
    events,
    history: history(now),
    tokens,
    snapshot: now
  })
}

const head = 21_840_112

const address = (n: number): string => hash(n).slice(0, 42)
const asOf = { number: head, hash: hash(head), timestamp: at / 1000 - 6 }

/** Pairs of all sizes: one whose price was ever the same, one that began half an hour ago, one without a price. */
const pairLine = (i: number): PairLine => {
  const price = [3.6013e-9, 0.000412, 1843.27, 1.0002, 7.2e14, 0.91, 12.5, 2.4e-7, 1, 55][i] ?? 1
  const trades = Math.round(4120 / (i + 1) ** 1.4)
  const first = i === 4 ? 31 : 0
  const closes = Array.from({ length: 60 }, (_, minute) => {
    if (i === 9 || minute < first || (i > 5 && minute % 3 > 0)) return null
    const wave = i === 8 ? 1 : 1 + 0.03 * Math.sin(minute / (4 + i)) + 0.001 * (i - 4) * minute
    return Number((price * wave).toPrecision(6))
  })
  const known = closes.filter((close) => close !== null).map((close) => `${close}`)
  return {
    pair: address(i + 21),
    window: "1h",
    trades,
    buys: Math.ceil(trades * 0.54),
    sells: Math.floor(trades * 0.46),
    volume0: "182736455463728190000",
    volume1: "918273645",
    open: known[0] ?? null,
    high: known.at(-1) ?? null,
    low: known[0] ?? null,
    close: known.at(-1) ?? null,
    last_price: known.at(-1) ?? null,
    as_of: asOf,
    closes
  }
}

export const tokens: TokenBoard = {
  at,
  window: "1h",
  tokens: Array.from({ length: 10 }, (_, i) => ({
    token: address(i + 51),
    window: "1h" as const,
    transfers: Math.round(128_400 / (i + 1) ** 1.6),
    senders: Math.round(31_270 / (i + 1) ** 1.6),
    receivers: Math.round(40_112 / (i + 1) ** 1.6),
    volume: "5022628271792",
    as_of: asOf
  })),
  pairs: Array.from({ length: 10 }, (_, i) => pairLine(i))
}

export const noTokens: TokenBoard = { at, window: "1h", tokens: [], pairs: [] }

export const moments = {
  empty: snapshot({ phase: "syncing", head: null, cursor: null, rate: 0, depth: 0, faults: true }),
  syncing: snapshot({ phase: "syncing", head, cursor: 9_214_380, rate: 318.4, depth: 1420, sequenced: 310 }),
  full: snapshot({ phase: "syncing", head, cursor: 14_507_201, rate: 402.7, depth: 4880, sequenced: 920 }),
  following: snapshot({ phase: "following", head, cursor: head, rate: 0.08, depth: 1 }),
  retrying: snapshot({
    phase: "retrying",
    reason: "append: connection refused (127.0.0.1:5432)",
    head,
    cursor: 9_214_380,
    rate: 0,
    depth: 0
  }),
  halted: snapshot({
    phase: "halted",
    reason: `block 21840048 was final as ${hash(3)}, and the chain now says ${hash(4)}`,
    head,
    cursor: head - 12,
    rate: 0,
    depth: 0
  })
}
