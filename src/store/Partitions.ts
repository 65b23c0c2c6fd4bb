/**
 * The partitions of the data tables, made ahead of need.
 *
 * **Details**
 *
 * A partition holds `partitionBlocks` block numbers, the first one of which is in its name. It is made as a table of
 * its own and then attached: `create table ... partition of` would lock out all readers, and wait for the slowest of
 * them while others queue behind, whereas attaching lets them read and write on.
 *
 * Which ones exist is remembered, so a commit asks the database only when it comes near a new one.
 */
import { Effect, Ref } from "effect"
import type { SqlClient } from "effect/sql"
import type { Table } from "../columns/Table.ts"
import { exclusive, transaction } from "./SqlFailure.ts"
import type { StoreError } from "./Store.ts"
import { tables } from "./Tables.ts"

export interface Partitions {
  /** Makes what these blocks need, and the next one when they come near it. */
  readonly ensure: (numbers: ReadonlyArray<number>) => Effect.Effect<void, StoreError>
}

/** Share of a partition that is left when the next one is made. */
const aheadShare = 0.1

export const make = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { partitionBlocks, schema }: { readonly partitionBlocks: number; readonly schema: string }
): Effect.fn.Return<Partitions> {
  const known = yield* Ref.make<ReadonlySet<number>>(new Set())

  const first = (number: number): number => number - (number % partitionBlocks)

  const needed = (numbers: ReadonlyArray<number>): ReadonlySet<number> => {
    const starts = new Set(numbers.map(first))
    const near = numbers.at(-1)
    if (near !== undefined) starts.add(first(near + Math.ceil(partitionBlocks * aheadShare)))
    return starts
  }

  const create = Effect.fnUntraced(function* (table: Table, start: number) {
    const parent = `"${schema}"."${table.name}"`
    const child = `"${schema}"."${table.name}_${start}"`
    const [exists] = yield* sql<{ readonly name: string | null }>`select to_regclass(${child})::text as name`
    if (exists?.name !== null) return
    yield* sql.unsafe(`create table ${child} (like ${parent} including defaults including constraints)`)
    yield* sql.unsafe(
      `alter table ${parent} attach partition ${child} for values from (${start}) to (${start + partitionBlocks})`
    )
  })

  const ensure = Effect.fnUntraced(function* (numbers: ReadonlyArray<number>) {
    const have = yield* Ref.get(known)
    const missing = [...needed(numbers)].filter((start) => !have.has(start))
    if (missing.length === 0) return
    yield* Effect.gen(function* () {
      yield* exclusive(sql, `partitions of ${schema}`)
      for (const start of missing) {
        for (const table of tables) yield* create(table, start)
      }
    }).pipe(transaction(sql, "make partitions"))
    yield* Ref.update(known, (starts) => new Set([...starts, ...missing]))
  })

  return { ensure }
})
