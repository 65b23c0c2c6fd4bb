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
import type { RawBlock, RpcLog } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import * as KeptLog from "../chain/KeptLog.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import * as Table from "../columns/Table.ts"
import * as Columns from "../events/Columns.ts"
import * as EventMatcher from "../events/EventMatcher.ts"
import type { EventSource, SourceLog } from "../events/EventSource.ts"
import * as Factories from "../events/Factories.ts"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import * as EventRanges from "./EventRanges.ts"
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
  const ranges = EventRanges.make(sql, schema, ids)
  /** Sources to be fetched again, each from the block on that named a contract of it when blocks above were covered. */
  const late = Ref.makeUnsafe<ReadonlyMap<string, number>>(new Map())

  const anybody = () => true
  const matched = (raw: RawBlock, number: number): ReadonlyArray<RpcLog> => {
    const found: Array<RpcLog> = []
    for (const { logs, transactionHash } of raw.receipts) {
      for (const log of logs) {
        if (factories.isFactory(log) || matcher.match(log, number, anybody).length > 0) {
          found.push(KeptLog.of(log, transactionHash))
        }
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

  const createAll = Effect.fnUntraced(
    function* (epoch: number) {
      yield* guard(epoch, [])
      for (const source of sources) yield* create(source)
      yield* ranges.forget(yield* Ref.get(late))
      yield* ranges.reopen
      yield* rows.load
    },
    transaction(sql, "make the tables of events")
  )

  // What is owed

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
    covered: ReadonlyArray<BlockRange.BlockRange>
  ): Effect.fn.Return<void, SqlError | StoreError> {
    const found = yield* rows.insert(logs, group)
    if (found.length > 0) yield* decodeAbove(found)
    yield* ranges.cover([...group], covered)
  })

  /** Contracts that are found below what is covered already: what they said there is stored, or else fetched again. */
  const decodeAbove = Effect.fnUntraced(function* (
    found: ReadonlyArray<EventRows.Child>
  ): Effect.fn.Return<void, SqlError | StoreError> {
    const rangesOf = yield* ranges.of(found.map(({ id }) => id))
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
    kept: ReadonlyArray<BlockRange.BlockRange>
  ) {
    const source = sources.find((one) => one.id === id)
    const topics = source === undefined ? [] : [source.topic0]
    for (const range of kept) {
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

  const prepareOnce = Effect.fnUntraced(function* (epoch: number) {
    if (sources.length === 0) return
    yield* Ref.set(ready, [])
    yield* createAll(epoch)
    yield* Ref.set(late, new Map())
    let decoded = 0
    const owed = yield* Effect.mapError(ranges.owed, toStoreError("look for stored logs"))
    for (const { ids: group, range } of owed) {
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
      const covered = [...pages.map(({ range }) => range), ...Coverage.runs(blocks)]
      yield* absorb(logs, new Set(active), covered)
    },
    Effect.mapError(toStoreError("append events"))
  )

  /** What a source takes is looked at anew by the next `prepare`. */
  const unready = Ref.set(ready, [])
  const rollback: Participant["rollback"] = (ancestor) =>
    Effect.andThen(ranges.rollback(ancestor), unready).pipe(Effect.mapError(toStoreError("take events back")))
  /** Their logs are decoded anew by the next `prepare`, like those of any other gap. */
  const replace: Participant["replace"] = (range) =>
    Effect.andThen(ranges.remove(range), unready).pipe(Effect.mapError(toStoreError("replace events")))

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

/** Where to look for the logs of these sources, and of the factories that name their contracts. */
const wanted = (sources: ReadonlyArray<EventSource>): ReadonlyArray<StoredLogs.Wanted> =>
  sources.flatMap(({ emitters, topic0 }) => {
    const addresses = emitters._tag === "Listed" ? [...emitters.addresses] : []
    const own = { topics: [topic0], addresses }
    if (emitters._tag !== "Children") return [own]
    const { factory } = emitters
    return [own, { topics: [factory.topic0], addresses: [...factory.addresses] }]
  })
