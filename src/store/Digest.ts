/**
 * The digest of a block: 32 bytes that are the same wherever the same rows are stored, whatever order they lie in.
 *
 * **Details**
 *
 * - A row's hash is the SHA-256 of one byte for its table (1 `blocks`, 2 `transactions`, 3 `logs`, 4 `withdrawals`) and
 *   of PostgreSQL's own binary form of the row, as `record_send` gives it: the number of columns, then for each one the
 *   OID of its type, its length and its bytes.
 * - A block's digest is the SHA-256 of the hashes of all its rows, sorted.
 * - A range's digest is the XOR of its blocks' digests. Two ranges that touch combine the same way, and a block that
 *   comes or goes changes it by its own digest.
 *
 * There are two implementations: this one starts from a block as a provider sent it, and `createFunctions` makes the
 * one that starts from the rows, in SQL. They share the list of columns and nothing else.
 *
 * **Gotchas**
 *
 * - Left out is what nodes send or leave out as they like (`nodesOwn`): two databases filled by different nodes have
 *   the same digest. The level, which is in the coverage, is no part of it either.
 * - The XOR finds accidents. Whoever may choose many rows can make two of them cancel out.
 * - The functions are part of the schema: a migration that changes the columns has to make them anew.
 */
import { createHash } from "node:crypto"
import { PgTypes } from "@effect/sql-pg"
import { type ColumnType, columnNames, type Table } from "../columns/Table.ts"
import type { TableRows } from "../columns/TableWriter.ts"
import type { EncodedBlock } from "./Columns.ts"
import { tables } from "./Tables.ts"

/** Columns that some nodes leave empty, or fill as they see fit, by `table.column`. */
export const nodesOwn: ReadonlySet<string> = new Set([
  "blocks.total_difficulty",
  "blocks.size",
  "transactions.effective_gas_price",
  "transactions.extra"
])

/** Where a transaction names maximum fees, nodes put what they like into this one. */
const ownPrice = { column: "gas_price", where: "max_fee_per_gas" }

const digested = (table: Table): ReadonlyArray<string> =>
  columnNames(table).filter((column) => !nodesOwn.has(`${table.name}.${column}`))

// In SQL

/** Blocks that the digest of a range takes together, which bounds what has to be sorted at once. */
const stride = 1000

/** `create or replace` for `block_digests(first, last)` and `range_digest(first, last)`. */
export const createFunctions = (schema: string): ReadonlyArray<string> => {
  const rows = tables.map((table, i) => {
    const [number] = table.key
    const columns = digested(table).map((column) =>
      column === ownPrice.column
        ? `case when "${ownPrice.where}" is null then "${column}" end`
        : `"${column}"`
    )
    return `select "${number}" as n, sha256('\\x0${i + 1}'::bytea || record_send(row(${columns.join(", ")}))) as h
      from "${schema}"."${table.name}" where "${number}" between first and last`
  })
  const limb = (i: number) =>
    `int8send(coalesce(bit_xor(('x' || encode(substring(d.digest from ${i * 8 + 1} for 8), 'hex'))::bit(64)::int8), 0))`
  return [
    `create or replace function "${schema}".block_digests(first int8, last int8)
    returns table (number int8, digest bytea) language sql stable parallel safe as $$
      select r.n, sha256(string_agg(r.h, ''::bytea order by r.h)) from (
        ${rows.join("\n        union all ")}
      ) r group by r.n order by r.n
    $$`,
    `create or replace function "${schema}".range_digest(first int8, last int8)
    returns bytea language sql stable parallel safe as $$
      select ${[0, 1, 2, 3].map(limb).join(" || ")}
      from generate_series(first, last, ${stride}) as page(start),
        lateral "${schema}".block_digests(page.start, least(page.start + ${stride - 1}, last)) d
    $$`
  ]
}

// In TypeScript

const oids: Readonly<Record<ColumnType, number>> = {
  bool: PgTypes.OID.bool,
  int2: PgTypes.OID.int2,
  int4: PgTypes.OID.int4,
  int8: PgTypes.OID.int8,
  numeric: PgTypes.OID.numeric,
  bytea: PgTypes.OID.bytea,
  text: PgTypes.OID.text,
  timestamptz: PgTypes.OID.timestamptz,
  jsonb: PgTypes.OID.jsonb
}

const absent = Buffer.from([255, 255, 255, 255])

/** The elements of one column, each with its length before it, as PostgreSQL sends them. */
export const cells = (rows: TableRows, column: number): ReadonlyArray<Buffer> => {
  const found: Array<Buffer> = []
  let at = column === 0 ? 0 : (rows.ends[column - 1] ?? 0)
  for (let i = 0; i < rows.count; i++) {
    const end = at + 4 + Math.max(0, rows.buffer.readInt32BE(at))
    found.push(rows.buffer.subarray(at, end))
    at = end
  }
  return found
}

/** Digest of the block's rows, as hex digits. */
export const ofBlock = (block: EncodedBlock): string => {
  const hashes = tables.flatMap((table, i) => rowHashes(table, i, block.rows[i]))
  return createHash("sha256")
    .update(Buffer.concat(hashes.sort(Buffer.compare)))
    .digest("hex")
}

const rowHashes = (table: Table, index: number, rows: TableRows | undefined): ReadonlyArray<Buffer> => {
  if (rows === undefined || rows.count === 0) return []
  const names = columnNames(table)
  const entries = Object.entries(table.columns)
  const columns = digested(table).map((name) => {
    const type = entries.find(([other]) => other === name)?.[1].type ?? "bytea"
    const head = Buffer.alloc(4)
    head.writeInt32BE(oids[type])
    const own = cells(rows, names.indexOf(name))
    return { head, values: type === "jsonb" ? own.map(normalJson) : own, isPrice: name === ownPrice.column }
  })
  const limits = names.includes(ownPrice.where) ? cells(rows, names.indexOf(ownPrice.where)) : []
  const start = Buffer.alloc(5)
  start[0] = index + 1
  start.writeInt32BE(columns.length, 1)
  return Array.from({ length: rows.count }, (_, row) => {
    const hasLimit = limits[row]?.equals(absent) === false
    const parts = columns.flatMap(({ head, isPrice, values }) => [
      head,
      isPrice && hasLimit ? absent : (values[row] ?? absent)
    ])
    return createHash("sha256")
      .update(Buffer.concat([start, ...parts]))
      .digest()
  })
}

/** What PostgreSQL makes of JSON text when it stores it: keys by length, then by bytes, and a space after each mark. */
export const normalJson = (cell: Buffer): Buffer => {
  if (cell.equals(absent)) return absent
  const text = Buffer.from(normalText(JSON.parse(cell.toString("utf8", 5))))
  const head = Buffer.alloc(5)
  head.writeInt32BE(text.length + 1)
  head[4] = 1
  return Buffer.concat([head, text])
}

const normalText = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(normalText).join(", ")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).sort(
    ([a], [b]) => a.length - b.length || Buffer.compare(Buffer.from(a), Buffer.from(b))
  )
  return `{${fields.map(([key, inner]) => `${JSON.stringify(key)}: ${normalText(inner)}`).join(", ")}}`
}

/** The digest of all these blocks together, as hex digits. */
export const combine = (digests: Iterable<string>): string => {
  const sum = Buffer.alloc(32)
  for (const digest of digests) {
    const bytes = Buffer.from(digest, "hex")
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) ^ (bytes[i] ?? 0)
  }
  return sum.toString("hex")
}
