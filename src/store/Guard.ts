/**
 * What every write looks at first, in one statement of its own transaction: whether the epoch is still the lease's, what
 * is covered already, and the committed blocks beside the batch.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { BlockHeader, Hex } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import * as LeaseRow from "./LeaseRow.ts"
import * as Rows from "./Rows.ts"
import { LinkMismatch, type StoreError } from "./Store.ts"

export interface GuardRow {
  readonly epoch: bigint
  readonly holder: string
  readonly overlap: string
  readonly number: bigint | null
  readonly hash: Uint8Array | null
  readonly parent_hash: Uint8Array | null
}

/** A committed block beside the batch. */
export type Neighbour = Omit<BlockHeader, "timestamp">

/**
 * Holds the lease's row for the rest of the transaction. A process that is stopped while it does would keep others
 * from taking over; PostgreSQL ends such a transaction once it has idled for as long as the lease had to live.
 */
export const make =
  (sql: SqlClient.SqlClient, schema: string) =>
  (
    epoch: number,
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<{ readonly range: BlockRange }> = []
  ): Effect.Effect<ReadonlyArray<GuardRow>, SqlError | StoreError> =>
    sql<GuardRow>`
      select l.epoch, l.holder,
        set_config('idle_in_transaction_session_timeout', greatest(1000, least(30000, ceil(
          extract(epoch from l.expires_at - clock_timestamp()) * 1000)))::int8::text, true) as stopped_after,
        (select coalesce(string_agg((c.ranges * ${Coverage.text([...Coverage.runs(blocks), ...pages.map(({ range }) => range)])}::int8multirange)::text, ' '), '')
          from ${sql(`${schema}.coverage`)} c) as overlap,
        b.number, b.hash, b.parent_hash
      from ${sql(`${schema}.lease`)} l
      left join ${sql(`${schema}.blocks`)} b on b.number = any(${Rows.int8s(seams(blocks))}::int8[])
      for key share of l`.pipe(
      Effect.tap(([row]) =>
        // Epoch 0 is the row before its first holder.
        row !== undefined && epoch > 0 && Number(row.epoch) === epoch
          ? Effect.void
          : LeaseRow.fenced(
              epoch,
              row === undefined ? undefined : { epoch: Number(row.epoch), holder: row.holder }
            )
      )
    )

export const neighbour = ({ hash, number, parent_hash }: GuardRow): ReadonlyArray<Neighbour> =>
  number === null || hash === null || parent_hash === null
    ? []
    : [{ number: Number(number), hash: Rows.toHex(hash), parentHash: Rows.toHex(parent_hash) }]

/** The numbers directly below and above each run of adjacent blocks. */
const seams = (blocks: ReadonlyArray<EncodedBlock>): ReadonlyArray<number> =>
  Coverage.runs(blocks).flatMap(({ from, to }) => [from - 1, to + 1])

/** The first block whose parent is another than the block below it, among these blocks and their neighbours. */
export const mismatch = (
  blocks: ReadonlyArray<EncodedBlock>,
  neighbours: ReadonlyArray<Neighbour>
): LinkMismatch | undefined => {
  const at = new Map<number, Neighbour>()
  for (const block of [...neighbours, ...blocks]) at.set(block.number, block)
  const hashBelow = (number: number): Hex | undefined => at.get(number - 1)?.hash
  for (const upper of blocks.flatMap(({ number }) => [at.get(number), at.get(number + 1)])) {
    const storedHash = upper === undefined ? undefined : hashBelow(upper.number)
    if (upper === undefined || storedHash === undefined || storedHash === upper.parentHash) continue
    return new LinkMismatch({ number: upper.number, parentHash: upper.parentHash, storedHash })
  }
  return undefined
}
