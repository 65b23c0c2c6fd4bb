/**
 * Which blocks each source of events has rows of (`event_sources.ranges`), and what becomes of rows and ranges where
 * blocks go or are to be fetched again.
 *
 * **Details**: a source owes what is stored and not among its ranges. Where only events are stored there is nothing to
 * read what it owes from: such a range is taken out of the coverage instead, and comes back from the providers.
 *
 * **Gotchas**: everything here is a part of somebody's transaction.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type * as BlockRange from "../chain/BlockRange.ts"
import * as Coverage from "./Coverage.ts"
import * as TokenTables from "./TokenTables.ts"

const int8 = (value: number) => PgTypes.int8(BigInt(value))

/** Of a source: where the logs of its blocks are stored as well, and where only its rows are. */
export interface Covered {
  readonly kept: ReadonlyArray<BlockRange.BlockRange>
  readonly gone: ReadonlyArray<BlockRange.BlockRange>
}

/** `ids` are the sources that there are now; rows of others are left from another time. */
export const make = (sql: SqlClient.SqlClient, schema: string, ids: ReadonlyArray<string>) => {
  const name = (table: string) => sql(`${schema}.${table}`)

  /** All of them, those that nobody names any more as well: their rows must not outlive their blocks. */
  const tables = Effect.map(
    sql<{ readonly table_name: string }>`select table_name from ${name("event_sources")}`,
    (found) => found.map(({ table_name }) => table_name)
  )

  const removeWhere = Effect.fnUntraced(function* (condition: Fragment) {
    for (const table of yield* tables) yield* sql`delete from ${name(table)} where ${condition}`
    yield* sql`delete from ${name("undecoded")} where ${condition}`
  })

  /**
   * Blocks of which only events are stored, and not those of every source, are to be fetched again. What is stored of
   * other sources stays, except where a block is linked to its neighbours and may still be taken back.
   */
  const reopen = Effect.gen(function* () {
    const [open] = yield* sql<{ readonly lost: string; readonly linked: string; readonly blocks: bigint }>`
      with lost as (
        select ranges - (
          select range_intersect_agg(ranges) from ${name("event_sources")} where id = any(${texts(ids)}::text[])
        ) as ranges
        from ${name("coverage")} where level = 'events'
      )
      select l.ranges::text as lost, count(b.number) as blocks,
        -- A range without bounds would be all blocks.
        coalesce(range_agg(int8range(b.number, b.number + 1)) filter (where b.number is not null), '{}')::text as linked
      from lost l left join ${name("blocks")} b on b.number <@ l.ranges
      where not isempty(l.ranges) group by l.ranges`
    if (open === undefined) return
    const { linked, lost } = open
    yield* TokenTables.voidState(sql, schema)
    yield* removeWhere(sql`block_number <@ ${linked}::int8multirange`)
    yield* sql`update ${name("event_sources")} set ranges = ranges - ${linked}::int8multirange`
    // Another fork may come in their place.
    yield* sql`
      delete from ${name("event_children")} where block_number <@ ${linked}::int8multirange
        and block_number > (select coalesce(finalized, -1) from ${name("sync_state")})`
    yield* sql`delete from ${name("blocks")} where number <@ ${linked}::int8multirange`
    yield* sql`update ${name("coverage")} set ranges = ranges - ${lost}::int8multirange where level = 'events'`
    yield* sql`
      update ${name("sync_state")} s set
        blocks = s.blocks - ${PgTypes.int8(open.blocks)},
        tip_number = tip.number, tip_hash = tip.hash, tip_parent_hash = tip.parent_hash,
        tip_timestamp = extract(epoch from tip.timestamp)::int8
      from (select 1) one left join (select * from ${name("blocks")} order by number desc limit 1) tip on true`
  })

  /** The blocks of which logs are stored. */
  const withLogs = sql`coalesce((
    select range_agg(r) from ${name("coverage")} c, unnest(c.ranges) r where c.level in ('proven', 'linked')
  ), '{}')`

  /** What was stored of a source before one of its contracts was known, where there are no logs to read it from. */
  const forget = Effect.fnUntraced(function* (late: ReadonlyMap<string, number>) {
    if (late.size > 0) yield* TokenTables.voidState(sql, schema)
    for (const [id, from] of late) {
      const [found] = yield* sql<{ readonly table_name: string; readonly gone: string }>`
        select table_name, (ranges * int8multirange(int8range(${int8(from)}, null)) - ${withLogs})::text as gone
        from ${name("event_sources")} where id = ${id}`
      if (found === undefined) continue
      const gone = sql`${found.gone}::int8multirange`
      yield* sql`delete from ${name(found.table_name)} where block_number <@ ${gone}`
      yield* sql`delete from ${name("undecoded")} where source_id = ${id} and block_number <@ ${gone}`
      yield* sql`update ${name("event_sources")} set ranges = ranges - ${gone} where id = ${id}`
    }
  })

  /** The sources, grouped by what they owe of the blocks whose logs are stored. */
  const owed = Effect.gen(function* () {
    const found = yield* sql<{ readonly ids: ReadonlyArray<string>; readonly missing: string }>`
      select array_agg(id) as ids, missing::text as missing
      from (
        select s.id, ${withLogs} - s.ranges as missing
        from ${name("event_sources")} s where s.id = any(${texts(ids)}::text[])
      ) m
      where not isempty(missing)
      group by missing order by missing`
    return found.flatMap((row) => Coverage.parse(row.missing).map((range) => ({ ids: row.ids, range })))
  })

  const cover = (covered: ReadonlyArray<string>, ranges: ReadonlyArray<BlockRange.BlockRange>) => sql`
    update ${name("event_sources")} set ranges = ranges + ${Coverage.text(ranges)}::int8multirange
    where id = any(${texts(covered)}::text[])`

  const of = (some: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, Covered>, SqlError> =>
    Effect.map(
      sql<{ readonly id: string; readonly kept: string; readonly gone: string }>`
        select id, (ranges * ${withLogs})::text as kept, (ranges - ${withLogs})::text as gone
        from ${name("event_sources")} where id = any(${texts(some)}::text[])`,
      (found) =>
        new Map(
          found.map(({ gone, id, kept }) => [id, { kept: Coverage.parse(kept), gone: Coverage.parse(gone) }])
        )
    )

  const rollback = Effect.fnUntraced(function* (ancestor: number) {
    yield* removeWhere(sql`block_number > ${int8(ancestor)}`)
    yield* sql`delete from ${name("event_children")} where block_number > ${int8(ancestor)}`
    yield* sql`
      update ${name("event_sources")} set ranges = ranges * int8multirange(int8range(null, ${int8(ancestor)}, '[]'))`
  })

  const remove = Effect.fnUntraced(function* ({ from, to }: BlockRange.BlockRange) {
    yield* removeWhere(sql`block_number between ${int8(from)} and ${int8(to)}`)
    yield* sql`
      update ${name("event_sources")}
      set ranges = ranges - int8multirange(int8range(${int8(from)}, ${int8(to)}, '[]'))`
  })

  return { cover, forget, of, owed, remove, reopen, rollback }
}

/** An array of texts as text, which PostgreSQL casts. */
const texts = (values: ReadonlyArray<string>): string =>
  `{${values.map((value) => `"${value.replace(/[\\"]/g, "\\$&")}"`).join(",")}}`
