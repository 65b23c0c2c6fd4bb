/**
 * Rows as the driver returns them (int8 as bigint, bytea as bytes), and what they mean.
 */
import { PgTypes } from "@effect/sql-pg"
import type { BlockHeader, CoverageLevel, Hex } from "../chain/Block.ts"
import * as Coverage from "./Coverage.ts"
import type { RolledBack, StoreState } from "./Store.ts"

export const toHex = (bytes: Uint8Array): Hex =>
  `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`

/** A parameter for a hash, or for null. */
export const bytes = (hex: Hex | undefined): PgTypes.Parameter =>
  PgTypes.bytea(hex === undefined ? null : Buffer.from(hex.slice(2), "hex"))

/** An array of numbers as text, which PostgreSQL casts: the driver's own array would have to be told its type. */
export const int8s = (numbers: ReadonlyArray<number>): string => `{${numbers.join(",")}}`

export interface HeaderRow {
  readonly number: bigint
  readonly hash: Uint8Array
  readonly parent_hash: Uint8Array
  readonly timestamp: number
}

export const toHeader = (row: HeaderRow): BlockHeader => ({
  number: Number(row.number),
  hash: toHex(row.hash),
  parentHash: toHex(row.parent_hash),
  timestamp: row.timestamp
})

/** `sync_state` as `s`, joined with each level of the coverage. */
export interface StateRow {
  readonly blocks: bigint
  readonly transactions: bigint
  readonly logs: bigint
  readonly tip_number: bigint | null
  readonly tip_hash: Uint8Array | null
  readonly tip_parent_hash: Uint8Array | null
  readonly tip_timestamp: bigint | null
  readonly finalized: bigint | null
  readonly reorg_ancestor: bigint | null
  readonly reorg_depth: bigint | null
  readonly reorg_at: number | null
  readonly feed_id: bigint
  readonly level: CoverageLevel
  readonly ranges: string
}

export const stateColumns = `
  s.blocks, s.transactions, s.logs, s.tip_number, s.tip_hash, s.tip_parent_hash, s.tip_timestamp, s.finalized,
  s.reorg_ancestor, s.reorg_depth, floor(extract(epoch from s.reorg_at) * 1000)::float8 as reorg_at, s.feed_id`

const empty: StoreState = {
  coverage: [],
  totals: { blocks: 0, transactions: 0, logs: 0 },
  tip: undefined,
  finalized: undefined,
  lastReorg: undefined,
  commit: 0
}

export const toState = (rows: ReadonlyArray<StateRow>): StoreState => {
  const [row] = rows
  if (row === undefined) return empty
  return {
    coverage: rows
      .flatMap(({ level, ranges }) => Coverage.parse(ranges).map((range) => ({ ...range, level })))
      .sort((a, b) => a.from - b.from),
    totals: {
      blocks: Number(row.blocks),
      transactions: Number(row.transactions),
      logs: Number(row.logs)
    },
    tip:
      row.tip_number === null || row.tip_hash === null || row.tip_parent_hash === null
        ? undefined
        : {
            number: Number(row.tip_number),
            hash: toHex(row.tip_hash),
            parentHash: toHex(row.tip_parent_hash),
            timestamp: Number(row.tip_timestamp)
          },
    finalized: row.finalized === null ? undefined : Number(row.finalized),
    lastReorg:
      row.reorg_ancestor === null || row.reorg_at === null
        ? undefined
        : { ancestor: Number(row.reorg_ancestor), depth: Number(row.reorg_depth), at: row.reorg_at },
    commit: Number(row.feed_id)
  }
}

export interface RolledBackRow {
  readonly blocks: bigint
  readonly transactions: bigint
  readonly logs: bigint
  readonly at: number
  readonly feed_id: bigint
  readonly number: bigint | null
  readonly hash: Uint8Array | null
}

/** One row for each block that was taken back, or one without a block. */
export const toRolledBack = (ancestor: number, rows: ReadonlyArray<RolledBackRow>): RolledBack => {
  const [row] = rows
  const blocks = Number(row?.blocks ?? 0)
  return {
    ancestor,
    depth: blocks,
    at: row?.at ?? 0,
    blocks,
    transactions: Number(row?.transactions ?? 0),
    logs: Number(row?.logs ?? 0),
    commit: Number(row?.feed_id ?? 0),
    removed: rows.flatMap(({ hash, number }) =>
      hash === null || number === null ? [] : [{ number: Number(number), hash: toHex(hash) }]
    )
  }
}
