/**
 * Logs back out of the tables, for sources that did not see them when they were stored.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import * as Rows from "./Rows.ts"
import type { PlacedLog } from "./Store.ts"

/** Which logs: any of these topics at the first place, of any of these contracts (of all where there are none). */
export interface Wanted {
  readonly topics: ReadonlyArray<Hex>
  readonly addresses: ReadonlyArray<Hex>
}

interface LogRow {
  readonly block_number: bigint
  readonly timestamp: number
  readonly log_index: number
  readonly transaction_index: number
  readonly transaction_hash: Uint8Array
  readonly address: Uint8Array
  readonly topic0: Uint8Array
  readonly topic1: Uint8Array | null
  readonly topic2: Uint8Array | null
  readonly topic3: Uint8Array | null
  readonly data: Uint8Array
}

/** The logs of whole blocks from the start of `range` on, about `limit` of them, and up to where they go. */
export const make =
  (sql: SqlClient.SqlClient, schema: string) =>
  (
    range: BlockRange,
    wanted: ReadonlyArray<Wanted>,
    limit: number
  ): Effect.Effect<{ readonly logs: ReadonlyArray<PlacedLog>; readonly to: number }, SqlError> =>
    Effect.gen(function* () {
      const logs = sql(`${schema}.logs`)
      const conditions = wanted.map(({ addresses, topics }) =>
        addresses.length === 0
          ? sql`topic0 = any(${byteas(topics)}::bytea[])`
          : sql`(topic0 = any(${byteas(topics)}::bytea[]) and address = any(${byteas(addresses)}::bytea[]))`
      )
      const taken = sql.or(conditions)
      const inside = sql`block_number between ${range.from}::int8 and ${range.to}::int8`
      // Up to the end of the block in which the limit is reached.
      const [last] = yield* sql<{ readonly to: bigint }>`
        select block_number as to from ${logs} where ${inside} and ${taken}
        order by block_number, log_index offset ${limit - 1}::int8 limit 1`
      const to = last === undefined ? range.to : Number(last.to)
      const rows = yield* sql<LogRow>`
        select block_number, extract(epoch from block_timestamp)::float8 as timestamp, log_index, transaction_index,
          transaction_hash, address, topic0, topic1, topic2, topic3, data
        from ${logs} where block_number between ${range.from}::int8 and ${to}::int8 and ${taken}
        order by block_number, log_index`
      return { logs: rows.map(placed), to }
    })

const byteas = (hex: ReadonlyArray<Hex>): string =>
  `{${hex.map((one) => `"\\\\x${one.slice(2)}"`).join(",")}}`

const placed = (row: LogRow): PlacedLog => ({
  number: Number(row.block_number),
  timestamp: row.timestamp,
  log: {
    address: Rows.toHex(row.address),
    topics: [row.topic0, row.topic1, row.topic2, row.topic3].flatMap((topic) =>
      topic === null ? [] : [Rows.toHex(topic)]
    ),
    data: Rows.toHex(row.data),
    logIndex: `0x${row.log_index.toString(16)}`,
    transactionIndex: `0x${row.transaction_index.toString(16)}`,
    transactionHash: Rows.toHex(row.transaction_hash)
  }
})
