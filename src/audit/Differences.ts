/**
 * Where the rows of a block differ from the block, cell by cell.
 */

import type { ColumnType } from "../columns/Table.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import * as Digest from "../store/Digest.ts"
import { tables } from "../store/Tables.ts"

/** Columns that some nodes leave empty: nothing there contradicts nothing. */
const mayBeAbsent: ReadonlySet<string> = new Set([
  ...Digest.nodesOwn,
  "transactions.gas_price",
  "transactions.blob_gas_used",
  "transactions.blob_gas_price",
  "transactions.contract_address"
])

/**
 * Sentences such as `transactions[3].value is another`, for rows as `Pages.records` gives them. `sameNode` takes
 * columns seriously that another node may fill otherwise.
 */
export const differences = (
  records: ReadonlyArray<ReadonlyArray<Buffer>>,
  block: EncodedBlock,
  { sameNode }: { readonly sameNode: boolean }
): ReadonlyArray<string> =>
  tables.flatMap((table, i) => {
    const stored = (records[i] ?? []).map(elements)
    const rows = block.rows[i]
    const expected = rows?.count ?? 0
    if (stored.length !== expected)
      return [`${table.name} has ${stored.length} rows of it instead of ${expected}`]
    return Object.entries(table.columns).flatMap(([name, { type }], column) => {
      const right = rows === undefined || expected === 0 ? [] : Digest.cells(rows, column)
      const lenient = !sameNode && mayBeAbsent.has(`${table.name}.${name}`)
      return stored.flatMap((cells, row) => {
        const is = cells[column] ?? absent
        const should = type === "jsonb" ? Digest.normalJson(right[row] ?? absent) : (right[row] ?? absent)
        if (is.equals(should)) return []
        if (lenient && (is.equals(absent) || should.equals(absent) || name === "gas_price")) return []
        const at = table.name === "blocks" ? "blocks" : `${table.name}[${row}]`
        return [`${at}.${name} is ${shown(is, type)} instead of ${shown(should, type)}`]
      })
    })
  })

const absent = Buffer.from([255, 255, 255, 255])

/** The columns of a record, each with its length before it. */
const elements = (record: Buffer): ReadonlyArray<Buffer> => {
  const found: Array<Buffer> = []
  let at = 4
  while (at < record.length) {
    // After the OID of its type.
    const start = at + 4
    at = start + 4 + Math.max(0, record.readInt32BE(start))
    found.push(record.subarray(start, at))
  }
  return found
}

const longest = 40

const shown = (cell: Buffer, type: ColumnType): string => {
  const bytes = cell.subarray(4)
  if (cell.equals(absent)) return "null"
  switch (type) {
    case "bool":
      return String(bytes[0] === 1)
    case "int2":
      return String(bytes.readInt16BE())
    case "int4":
      return String(bytes.readInt32BE())
    case "int8":
      return String(bytes.readBigInt64BE())
    case "timestamptz":
      return `${bytes.readBigInt64BE()} µs after 2000`
    case "numeric":
      return `the number ${bytes.subarray(8).toString("hex")}`
    case "jsonb":
      return cut(bytes.toString("utf8", 1))
    case "text":
      return cut(bytes.toString("utf8"))
    case "bytea":
      return cut(`0x${bytes.toString("hex")}`)
  }
}

const cut = (text: string): string => (text.length <= longest ? text : `${text.slice(0, longest)}...`)
