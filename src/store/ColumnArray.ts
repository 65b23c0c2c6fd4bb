/**
 * Columns that are encoded already, as parameters of a statement.
 *
 * **Details**
 *
 * `PgTypes` writes a parameter through the codec of its OID. `registry` replaces the codecs of the array types that
 * the data tables use: a `ColumnArray` is an array header followed by the bytes that `Columns.encode` made, block
 * after block, copied straight into the frame. Every other value goes the usual way.
 *
 * A client without `registry` refuses a `ColumnArray`: `Postgres.layer` and `Embedded.layer` both have it.
 */
import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"
import type { ColumnType, Table } from "../columns/Table.ts"
import type { TableRows } from "../columns/TableWriter.ts"

const oids: Readonly<Record<ColumnType, { readonly element: number; readonly array: number }>> = {
  bool: { element: PgTypes.OID.bool, array: PgTypes.OID.boolArray },
  int2: { element: PgTypes.OID.int2, array: PgTypes.OID.int2Array },
  int4: { element: PgTypes.OID.int4, array: PgTypes.OID.int4Array },
  int8: { element: PgTypes.OID.int8, array: PgTypes.OID.int8Array },
  numeric: { element: PgTypes.OID.numeric, array: PgTypes.OID.numericArray },
  bytea: { element: PgTypes.OID.bytea, array: PgTypes.OID.byteaArray },
  text: { element: PgTypes.OID.text, array: PgTypes.OID.textArray },
  timestamptz: { element: PgTypes.OID.timestamptz, array: PgTypes.OID.timestamptzArray },
  jsonb: { element: PgTypes.OID.jsonb, array: PgTypes.OID.jsonbArray }
}

/** One column of several blocks' rows. */
class ColumnArray {
  readonly type: ColumnType
  readonly index: number
  readonly rows: ReadonlyArray<TableRows>

  constructor(type: ColumnType, index: number, rows: ReadonlyArray<TableRows>) {
    this.type = type
    this.index = index
    this.rows = rows
  }

  writeTo(sink: Sink): void {
    sink.int32(1)
    // Whether there are nulls: PostgreSQL looks for itself.
    sink.int32(1)
    sink.int32(oids[this.type].element)
    sink.int32(this.rows.reduce((sum, { count }) => sum + count, 0))
    // Lower bound.
    sink.int32(1)
    for (const { buffer, ends } of this.rows) {
      const from = this.index === 0 ? 0 : (ends[this.index - 1] ?? 0)
      sink.raw(buffer.subarray(from, ends[this.index]))
    }
  }
}

interface Sink {
  readonly int32: (value: number) => void
  readonly raw: (value: Uint8Array) => void
}

/** The parameters of the table's `insert` for these rows, one array for each column. */
export const parameters = (table: Table, rows: ReadonlyArray<TableRows>): ReadonlyArray<PgTypes.Parameter> =>
  Object.values(table.columns).map(({ type }, index) => ({
    [PgTypes.ParameterTypeId]: PgTypes.ParameterTypeId,
    oid: oids[type].array,
    value: new ColumnArray(type, index, rows)
  }))

const codec = (oid: number): PgTypes.Codec<unknown> => ({
  encode: (value) => PgTypes.encode(value, oid),
  decode: (bytes) => PgTypes.decode(bytes, oid, 1),
  write: (sink, value) => {
    if (value instanceof ColumnArray) return Result.succeed(value.writeTo(sink))
    return Result.map(PgTypes.encode(value, oid), (bytes) => sink.raw(bytes))
  }
})

/** The codecs of a client that takes encoded columns. */
export const registry: PgTypes.Registry = PgTypes.makeRegistry()
for (const { array } of Object.values(oids)) registry.register(array, codec(array))
