/**
 * Takes back on a reorg what handlers wrote to tables of their own.
 *
 * **When to use**: `make` with the names of the registered tables. `prepare` once after the migrations; `install` in the
 * transaction of each commit, under the lease; `logging` before the writes of a block above finality; `undo` when
 * blocks are taken back; `settle` at the end of each commit.
 *
 * **Details**
 *
 * A trigger on each registered table writes old rows to a log of that table (see `UndoScript`) while the session's
 * setting `sluice.<schema>` names a block, which it does only inside of a commit's transaction. `undo` goes through all
 * logs backwards, row by row, so that unique keys hold at each step, as they did on the way. Foreign keys hold at the
 * end of a statement only, and what of it came first is not told: they are made deferrable for as long as `undo` runs.
 *
 * The catalog is compared with what is installed in each commit, in one statement: a table that was altered meanwhile
 * gets a log that fits. A column that was added takes its default in entries of before.
 *
 * **Gotchas**
 *
 * - What is written outside of a commit (by hand, or by another program) is not logged. Where it changed a row that has
 *   to be taken back so that the row cannot be found, `undo` fails and says which one.
 * - Sequences are not taken back, as in any rollback of PostgreSQL.
 * - A table that is no longer registered loses its triggers and its log: what is in it stays.
 * - A table that is registered when it has rows already can be taken back only to the block at which that was.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { HandlersRefused, StoreError } from "./Store.ts"
import { createBase, createLog, createPrune, createTriggers, createUndo, hasOtherKey } from "./UndoScript.ts"
import { full, inspect, refusal, setting, shapeOf, triggerNames, type UndoTable } from "./UndoTable.ts"

export interface UndoLog {
  /** Makes what the log itself needs, and looks whether the tables can be taken back. Idempotent. */
  readonly prepare: Effect.Effect<void, SqlError | StoreError>
  /** Puts triggers where they are missing, and removes them where they are not wanted; `asOf` is the last block written. */
  readonly install: (asOf: number) => Effect.Effect<void, SqlError | StoreError>
  /** From here to the end of the transaction, or the next call, writes are logged as those of `block`. */
  readonly logging: (block: number) => Effect.Effect<void, SqlError>
  /** Takes back what blocks above `ancestor` wrote; returns the number of rows. */
  readonly undo: (ancestor: number) => Effect.Effect<number, SqlError>
  /** Ends the logging, and forgets what no reorg can reach. */
  readonly settle: (finalized: number) => Effect.Effect<void, SqlError>
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

export const make = (sql: SqlClient.SqlClient, schema: string, names: ReadonlyArray<string>): UndoLog => {
  const wanted = JSON.stringify(names)
  const look = inspect(schema)
  const run = (statements: ReadonlyArray<string>) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })

  /** What the catalog says of the tables; fails where one of them cannot be taken back. */
  const tables = Effect.gen(function* () {
    const found = yield* sql.unsafe<UndoTable>(look, [wanted])
    const refused = found.map(refusal).find((why) => why !== undefined)
    if (refused !== undefined)
      return yield* new StoreError({ reason: new HandlersRefused({ detail: refused }) })
    return found
  })

  const prepare = Effect.gen(function* () {
    const [base] = yield* sql<{ readonly found: string | null }>`
      select to_regclass(${`"${schema}".undo_tables`})::text as found`
    if (base?.found === null) yield* run(createBase(schema))
    yield* tables
  })

  const install = Effect.fnUntraced(function* (asOf: number) {
    const found = yield* tables
    const relations = new Set(found.map(({ relation }) => String(relation)))
    const stored = yield* sql<{ readonly id: number; readonly relation: bigint }>`
      select id, relation::int8 as relation from ${sql(`${schema}.undo_tables`)}`
    const gone = stored.filter(({ relation }) => !relations.has(String(relation)))
    const stale = found.filter(
      (table) => !table.armed || table.kept === null || table.shape !== shapeOf(table)
    )
    if (gone.length === 0 && stale.length === 0) return
    for (const { id, relation } of gone) yield* remove(id, relation)
    for (const table of stale) yield* arm(table, asOf)
    const now = (yield* tables).flatMap((table) => (table.id === null ? [] : [{ id: table.id, table }]))
    yield* run([
      createUndo(schema, now),
      createPrune(
        schema,
        now.map(({ id }) => id)
      )
    ])
  })

  const arm = Effect.fnUntraced(function* (table: UndoTable, asOf: number) {
    const [row] = yield* sql<{ readonly id: number }>`
      insert into ${sql(`${schema}.undo_tables`)} (relation, name, shape)
      values (${PgTypes.int8(table.relation)}::int8::oid, ${table.name}, ${shapeOf(table)})
      on conflict (relation) do update set name = excluded.name, shape = excluded.shape
      returning id`
    if (row === undefined) return
    // Entries that tell nothing any more are gone, and so is the way back to before them.
    if (table.kept === null || hasOtherKey(table)) {
      yield* sql.unsafe(
        `update "${schema}".undo_tables set since = case when exists (select from ${full(table)}) then $1::int8 end
        where id = $2`,
        [int8(asOf), row.id]
      )
    }
    yield* run([...createLog(schema, row.id, table), ...createTriggers(schema, row.id, table)])
  })

  const remove = Effect.fnUntraced(function* (id: number, relation: bigint) {
    const [still] = yield* sql<{ readonly name: string }>`
      select format('%I.%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid = ${PgTypes.int8(relation)}::int8::oid`
    const triggers = Object.values(triggerNames(schema))
    if (still !== undefined) {
      yield* run(triggers.map((trigger) => `drop trigger if exists "${trigger}" on ${still.name}`))
    }
    yield* run([
      `drop function if exists "${schema}".undo_log_${id}()`,
      `drop table if exists "${schema}".undo_${id}`,
      `delete from "${schema}".undo_tables where id = ${id}`
    ])
  })

  return {
    prepare,
    install,
    logging: (block) => Effect.asVoid(sql`select set_config(${setting(schema)}, ${String(block)}, true)`),
    undo: (ancestor) =>
      sql<{ readonly undone: bigint }>`
        select ${sql(`${schema}.undo`)}(${int8(ancestor)}) as undone`.pipe(
        Effect.map(([row]) => Number(row?.undone ?? 0))
      ),
    settle: (finalized) =>
      Effect.asVoid(sql`
        select set_config(${setting(schema)}, '', true),
          ${sql(`${schema}.undo_prune`)}(${int8(finalized)})::text`)
  }
}
