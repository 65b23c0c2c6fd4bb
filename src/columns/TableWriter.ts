/**
 * The rows of one block in one table, as they are written and as they are handed on.
 *
 * **Gotchas**: writers are used again for every block; `take` copies, and `reset` makes them ready for the next.
 */
import type { Refusals } from "./ColumnWriter.ts"
import { ColumnWriter } from "./ColumnWriter.ts"
import type { Table } from "./Table.ts"

/** The rows of one block in one table: every column's array elements in PostgreSQL's binary form, back to back. */
export interface TableRows {
  readonly count: number
  readonly buffer: Buffer
  /** End offset of each column inside `buffer`. */
  readonly ends: Int32Array
}

/** Writes the rows of one table, a column at a time. */
export interface TableWriter<C extends string = string> {
  readonly columns: Readonly<Record<C, ColumnWriter>>
  readonly all: ReadonlyArray<ColumnWriter>
}

/** Writers for the columns of a table; what one of them cannot take is noted in `refusals`. */
export const make = <C extends string>(table: Table<C>, refusals: Refusals): TableWriter<C> => {
  const entries = Object.entries<Table["columns"][string]>(table.columns).map(
    ([name, { nullable }]) => [name, new ColumnWriter(`${table.name}.${name}`, nullable, refusals)] as const
  )
  return {
    all: entries.map(([, writer]) => writer),
    // The keys are those of `table.columns`, which `fromEntries` cannot say.
    columns: Object.fromEntries(entries) as Record<C, ColumnWriter>
  }
}

/** Makes ready for the next block. */
export const reset = ({ all }: TableWriter): void => {
  for (const column of all) column.reset()
}

export const none: TableRows = { count: 0, buffer: Buffer.alloc(0), ends: new Int32Array(0) }

/** A copy of what was written. */
export const take = ({ all }: TableWriter): TableRows => {
  const count = all[0]?.count ?? 0
  if (count === 0) return none
  const ends = new Int32Array(all.length)
  let end = 0
  for (const [i, column] of all.entries()) {
    end += column.end
    ends[i] = end
  }
  const buffer = Buffer.allocUnsafeSlow(end)
  for (const [i, column] of all.entries()) column.copyTo(buffer, i === 0 ? 0 : (ends[i - 1] ?? 0))
  return { count, buffer, ends }
}
