/**
 * The tables of events: kept beside the blocks, in the same transactions.
 *
 * **Details**
 *
 * - Coverage is kept by source (`event_sources.ranges`). What a source owes is what is stored and not among its ranges:
 *   `prepare` decodes that from the stored logs, without asking a provider. So a new contract, a changed one, a repaired
 *   block and a crash are the same thing: a gap.
 * - Logs are decoded in the order of the chain when they are committed, so that a contract which a factory has made a
 *   moment ago is known by then.
 * - A contract that a factory named below what is covered already gets what it said there from the stored logs. Where
 *   only events are stored there are none: the commit fails with `FoundLate`, and `prepare` has that part of the source
 *   fetched again, in the order of the chain this time.
 * - A log that a source should have taken and that does not decode is a row of `undecoded`, with the reason.
 *
 * **Gotchas**: what a source takes is remembered from `prepare` on. A run that failed prepares again.
 */
import { PgTypes } from "@effect/sql-pg"
import { Context, Effect, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { RawBlock, RpcLog } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import * as Table from "../columns/Table.ts"
import * as Columns from "../events/Columns.ts"
import * as EventMatcher from "../events/EventMatcher.ts"
import type { EventSource, SourceLog } from "../events/EventSource.ts"
import * as Factories from "../events/Factories.ts"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import * as EventRows from "./EventRows.ts"
import * as Guard from "./Guard.ts"
import type { Participant } from "./Participant.ts"
import { toStoreError, transaction } from "./SqlFailure.ts"
import { DatabaseFailure, FoundLate, type LogPage, type PlacedLog, StoreError } from "./Store.ts"
import * as StoredLogs from "./StoredLogs.ts"
import * as TokenTables from "./TokenTables.ts"

export interface EventTablesShape {
  readonly sources: ReadonlyArray<EventSource>
  /** The logs of a block that may be a source's, in their order. */
  readonly matched: (raw: RawBlock, number: number) => ReadonlyArray<RpcLog>
  /**
   * The logs of a committed block that sources took, in their order: each as often as there are sources for it. By
   * default only those that are new.
   */
  readonly logsOf: (block: EncodedBlock, which?: EventRows.Which) => ReadonlyArray<SourceLog>
  /** The same of a page. */
  readonly logsOfPage: (page: LogPage, which?: EventRows.Which) => ReadonlyArray<SourceLog>
  /** What to ask for where no blocks are fetched. */
  readonly filters: ReadonlyArray<LogFilter>
  /**
   * Makes the tables fit the sources, and decodes from the stored logs what they owe. Before every run of the stream,
   * under its lease's epoch.
   */
  readonly prepare: (epoch: number) => Effect.Effect<void, StoreError>
  readonly participant: Participant
}

/** Without a layer there are no events. */
export const EventTables = Context.Reference<EventTablesShape>("sluice/store/EventTables", {
  defaultValue: () => ({
    sources: [],
    matched: () => [],
    filters: [],
    logsOf: () => [],
    logsOfPage: () => [],
    prepare: () => Effect.void,
    participant: { append: () => Effect.void, rollback: () => Effect.void, replace: () => Effect.void }
  })
})

/** Tables for these sources. `SqlStore` has to be given the participant. */
export const layer = (options: {
  readonly schema: string
  readonly sources: ReadonlyArray<EventSource>
}): Layer.Layer<never, never, SqlClient.SqlClient> =>
  Layer.effect(
    EventTables,
    Effect.map(SqlClient.SqlClient, (sql) => make(sql, options))
  )

/** Logs read from the tables at a time. */
const page = 10_000

interface SourceRow {
  readonly id: string
  readonly fingerprint: string
  readonly table_name: string
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

export const make = (
  sql: SqlClient.SqlClient,
  { schema, sources }: { readonly schema: string; readonly sources: ReadonlyArray<EventSource> }
): EventTablesShape => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const guard = Guard.make(sql, schema)
  const stored = StoredLogs.make(sql, schema)
  const matcher = EventMatcher.make(sources)
  const factories = Factories.make(sources)
  const rows = EventRows.make(sql, { schema, sources, matcher, factories })
  /** The sources that are ready: none before `prepare`, and what is committed then is decoded later. */
  const ready = Ref.makeUnsafe<ReadonlyArray<string>>([])
  const ids = sources.map(({ id }) => id)
  /** Sources to be fetched again, each from the block on that named a contract of it when blocks above were covered. */
  const late = Ref.makeUnsafe<ReadonlyMap<string, number>>(new Map())

  const anybody = () => true
  const matched = (raw: RawBlock, number: number): ReadonlyArray<RpcLog> => {
    const found: Array<RpcLog> = []
    for (const { logs } of raw.receipts) {
      for (const log of logs) {
        if (factories.isFactory(log) || matcher.match(log, number, anybody).length > 0) found.push(log)
      }
    }
    return found
  }

  // Tables

  const create = Effect.fnUntraced(function* (source: EventSource) {
    const { fingerprint, id, startBlock, table } = source
    const owned = yield* sql<SourceRow>`
      select id, fingerprint, table_name from ${name("event_sources")}
      where id = ${id} or table_name = ${table.name}`
    if (
      owned.some((row) => row.id === id && row.fingerprint === fingerprint && row.table_name === table.name)
    )
      return
    yield* TokenTables.voidState(sql, schema)
    // Rows of a source that was described otherwise are not this one's.
    for (const row of owned) yield* sql`drop table if exists ${name(row.table_name)}`
    yield* sql`delete from ${name("event_sources")} where id = ${id} or table_name = ${table.name}`
    const [foreign] = yield* sql<{ readonly name: string | null }>`
      select to_regclass(${`"${schema}"."${table.name}"`})::text as name`
    if (foreign?.name !== null) {
      return yield* new StoreError({
        reason: new DatabaseFailure({
          operation: "make the tables of events",
          detail: `${schema}.${table.name} is there already, and is not Sluice's: name the contract otherwise`,
          isRetryable: false,
          cause: undefined
        })
      })
    }
    yield* sql.unsafe(Table.createTable(schema, table))
    yield* sql`
      insert into ${name("event_sources")} (id, fingerprint, table_name, start_block)
      values (${id}, ${fingerprint}, ${table.name}, ${int8(startBlock)})`
    yield* Effect.logInfo("events get a table").pipe(Effect.annotateLogs({ source: id, table: table.name }))
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
    yield* remove(sql`block_number <@ ${linked}::int8multirange`)
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
  const forgetLate = Effect.gen(function* () {
    for (const [id, from] of yield* Ref.get(late)) {
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

  const createAll = Effect.fnUntraced(
    function* (epoch: number) {
      yield* guard(epoch, [])
      for (const source of sources) yield* create(source)
      yield* forgetLate
      yield* reopen
      yield* rows.load
    },
    transaction(sql, "make the tables of events")
  )

  // What is owed

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

  /** Decodes a part of the range that begins where it does; returns where that part ends. */
  const catchUp = Effect.fnUntraced(
    function* (epoch: number, group: ReadonlySet<string>, range: BlockRange.BlockRange) {
      yield* guard(epoch, [])
      const { logs, to } = yield* stored(range, wanted(sources.filter(({ id }) => group.has(id))), page)
      const part = BlockRange.make(range.from, to)
      yield* absorb(logs, group, [part])
      yield* TokenTables.voidState(sql, schema)
      return { logs: logs.length, to }
    },
    transaction(sql, "decode stored logs")
  )

  /** Stores the rows of these logs, which are all that is wanted of the ranges. */
  const absorb = Effect.fnUntraced(function* (
    logs: ReadonlyArray<PlacedLog>,
    group: ReadonlySet<string>,
    ranges: ReadonlyArray<BlockRange.BlockRange>
  ): Effect.fn.Return<void, SqlError | StoreError> {
    const found = yield* rows.insert(logs, group)
    if (found.length > 0) yield* decodeAbove(found)
    yield* cover([...group], ranges)
  })

  /** Contracts that are found below what is covered already: what they said there is stored, or else fetched again. */
  const decodeAbove = Effect.fnUntraced(function* (
    found: ReadonlyArray<EventRows.Child>
  ): Effect.fn.Return<void, SqlError | StoreError> {
    const covered = yield* sql<{ readonly id: string; readonly kept: string; readonly gone: string }>`
      select id, (ranges * ${withLogs})::text as kept, (ranges - ${withLogs})::text as gone
      from ${name("event_sources")} where id = any(${texts(found.map(({ id }) => id))}::text[])`
    const rangesOf = new Map(
      covered.map(({ gone, id, kept }) => [id, { kept: Coverage.parse(kept), gone: Coverage.parse(gone) }])
    )
    const lowest = new Map<string, number>()
    for (const { before = Number.POSITIVE_INFINITY, id, number } of found) {
      const missed = rangesOf.get(id)?.gone.some(({ from, to }) => from < before && to >= number) ?? false
      if (missed) lowest.set(id, Math.min(number, lowest.get(id) ?? number))
    }
    const [first] = lowest
    if (first !== undefined) {
      yield* Ref.set(late, lowest)
      return yield* new StoreError({ reason: new FoundLate({ source: first[0], number: first[1] }) })
    }
    for (const child of found) yield* decodeStored(child, rangesOf.get(child.id)?.kept ?? [])
  })

  /** What a contract said in these ranges, of which the logs are stored. */
  const decodeStored = Effect.fnUntraced(function* (
    { address, before = Number.POSITIVE_INFINITY, id, number }: EventRows.Child,
    ranges: ReadonlyArray<BlockRange.BlockRange>
  ) {
    const source = sources.find((one) => one.id === id)
    const topics = source === undefined ? [] : [source.topic0]
    for (const range of ranges) {
      const last = Math.min(range.to, before - 1)
      for (let from = Math.max(range.from, number); from <= last; ) {
        const { logs, to } = yield* stored(
          BlockRange.make(from, last),
          [{ topics, addresses: [address] }],
          page
        )
        yield* rows.insert(logs, new Set([id]))
        from = to + 1
      }
    }
  })

  const cover = (covered: ReadonlyArray<string>, ranges: ReadonlyArray<BlockRange.BlockRange>) => sql`
    update ${name("event_sources")} set ranges = ranges + ${Coverage.text(ranges)}::int8multirange
    where id = any(${texts(covered)}::text[])`

  const prepareOnce = Effect.fnUntraced(function* (epoch: number) {
    if (sources.length === 0) return
    yield* Ref.set(ready, [])
    yield* createAll(epoch)
    yield* Ref.set(late, new Map())
    let decoded = 0
    for (const { ids: group, range } of yield* Effect.mapError(owed, toStoreError("look for stored logs"))) {
      for (let from = range.from; from <= range.to; ) {
        const { logs, to } = yield* catchUp(epoch, new Set(group), BlockRange.make(from, range.to))
        decoded += logs
        from = to + 1
      }
    }
    if (decoded > 0) {
      yield* Effect.logInfo("stored logs decoded").pipe(Effect.annotateLogs({ logs: decoded }))
    }
    if (yield* isIndexed) yield* index
    yield* Ref.set(ready, ids)
  })

  /** Each time that a contract is found late there is less that was stored without it. */
  const prepare = (epoch: number) =>
    Effect.retry(prepareOnce(epoch), { while: ({ reason }) => reason._tag === "FoundLate" })

  /** By contract and block; built when a backfill is done, and at once for what is named later. */
  const index = Effect.gen(function* () {
    for (const { table } of sources) {
      const called = Columns.tableName(`${table.name}_contract_index`)
      yield* sql.unsafe(
        `create index if not exists "${called}" on "${schema}"."${table.name}" (contract, block_number)`
      )
    }
  }).pipe(Effect.mapError(toStoreError("build the indexes of events")))

  const isIndexed = Effect.map(
    sql<{ readonly indexed: boolean }>`select indexed from ${name("sync_state")}`,
    ([row]) => row?.indexed === true
  ).pipe(Effect.mapError(toStoreError("look for indexes")))

  // Taking part

  const append: Participant["append"] = Effect.fnUntraced(
    function* ({ blocks, pages = [] }) {
      const active = yield* Ref.get(ready)
      if (active.length === 0) return
      const logs = [
        ...pages.flatMap((page) => page.logs),
        ...blocks.flatMap(({ matched, number, timestamp }) =>
          matched.map((log): PlacedLog => ({ log, number, timestamp }))
        )
      ]
      const ranges = [...pages.map(({ range }) => range), ...Coverage.runs(blocks)]
      yield* absorb(logs, new Set(active), ranges)
    },
    Effect.mapError(toStoreError("append events"))
  )

  /** All of them, those that nobody names any more as well: their rows must not outlive their blocks. */
  const every = sql<SourceRow>`select id, fingerprint, table_name from ${name("event_sources")}`

  const remove = Effect.fnUntraced(function* (condition: Fragment) {
    for (const { table_name } of yield* every) {
      yield* sql`delete from ${name(table_name)} where ${condition}`
    }
    yield* sql`delete from ${name("undecoded")} where ${condition}`
  })

  const rollback: Participant["rollback"] = Effect.fnUntraced(
    function* (ancestor) {
      yield* remove(sql`block_number > ${int8(ancestor)}`)
      yield* sql`delete from ${name("event_children")} where block_number > ${int8(ancestor)}`
      yield* sql`
        update ${name("event_sources")} set ranges = ranges * int8multirange(int8range(null, ${int8(ancestor)}, '[]'))`
      yield* Ref.set(ready, [])
    },
    Effect.mapError(toStoreError("take events back"))
  )

  /** Their logs are decoded anew by the next `prepare`, like those of any other gap. */
  const replace: Participant["replace"] = Effect.fnUntraced(
    function* ({ from, to }) {
      yield* remove(sql`block_number between ${int8(from)} and ${int8(to)}`)
      yield* sql`
        update ${name("event_sources")}
        set ranges = ranges - int8multirange(int8range(${int8(from)}, ${int8(to)}, '[]'))`
      yield* Ref.set(ready, [])
    },
    Effect.mapError(toStoreError("replace events"))
  )

  return {
    sources,
    matched: sources.length === 0 ? () => [] : matched,
    filters: EventMatcher.filters(sources),
    logsOf: rows.logsOf,
    logsOfPage: rows.logsOfPage,
    prepare,
    participant: { append, index, rollback, replace }
  }
}

/** An array of texts as text, which PostgreSQL casts. */
const texts = (values: ReadonlyArray<string>): string =>
  `{${values.map((value) => `"${value.replace(/[\\"]/g, "\\$&")}"`).join(",")}}`

/** Where to look for the logs of these sources, and of the factories that name their contracts. */
const wanted = (sources: ReadonlyArray<EventSource>): ReadonlyArray<StoredLogs.Wanted> =>
  sources.flatMap(({ emitters, topic0 }) => {
    const addresses = emitters._tag === "Listed" ? [...emitters.addresses] : []
    const own = { topics: [topic0], addresses }
    if (emitters._tag !== "Children") return [own]
    const { factory } = emitters
    return [own, { topics: [factory.topic0], addresses: [...factory.addresses] }]
  })
