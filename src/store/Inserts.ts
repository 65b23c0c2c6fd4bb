/**
 * Blocks into the data tables: one `insert ... select * from unnest(...)` for each table, in chunks.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { insert } from "../columns/Table.ts"
import type { TableRows } from "../columns/TableWriter.ts"
import { parameters } from "./ColumnArray.ts"
import type { EncodedBlock } from "./Columns.ts"
import { tables } from "./Tables.ts"

/** Rows of one statement; more make none faster, and all of them are in memory once more while they are sent. */
const chunkRows = 5000
const chunkBytes = 8 * 2 ** 20

export const make = (
  sql: SqlClient.SqlClient,
  schema: string
): ((blocks: ReadonlyArray<EncodedBlock>) => Effect.Effect<void, SqlError>) => {
  const statements = tables.map((table) => ({ table, text: insert(schema, table) }))
  return Effect.fnUntraced(function* (blocks) {
    for (const [i, { table, text }] of statements.entries()) {
      for (const rows of chunks(blocks.flatMap((block) => block.rows[i] ?? []))) {
        yield* sql.unsafe(text, parameters(table, rows))
      }
    }
  })
}

/** Whole blocks together, up to the limits; a block beyond them alone. */
const chunks = (all: ReadonlyArray<TableRows>): ReadonlyArray<ReadonlyArray<TableRows>> => {
  const found: Array<Array<TableRows>> = []
  let count = 0
  let bytes = 0
  for (const rows of all) {
    if (rows.count === 0) continue
    const last = found.at(-1)
    if (last === undefined || count + rows.count > chunkRows || bytes + rows.buffer.length > chunkBytes) {
      found.push([rows])
      count = 0
      bytes = 0
    } else last.push(rows)
    count += rows.count
    bytes += rows.buffer.length
  }
  return found
}
