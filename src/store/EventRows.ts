/**
 * Logs into the tables of events: each log to the sources that take it, a table at a time.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex, RpcLog } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import { type ColumnWriter, Refusals } from "../columns/ColumnWriter.ts"
import * as Table from "../columns/Table.ts"
import * as TableWriter from "../columns/TableWriter.ts"
import * as Timestamp from "../columns/Timestamp.ts"
import type { EventMatcher } from "../events/EventMatcher.ts"
import type { EventSource, SourceLog } from "../events/EventSource.ts"
import * as EventWriter from "../events/EventWriter.ts"
import type { Factories } from "../events/Factories.ts"
import { parameters } from "./ColumnArray.ts"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import { undecoded } from "./EventSchema.ts"
import * as Rows from "./Rows.ts"
import type { LogPage, PlacedLog } from "./Store.ts"

/** A contract that a factory has named: its logs count from that block on. */
export interface Child {
  /** The source that it belongs to. */
  readonly id: string
  readonly address: Hex
  readonly number: number
  /** Where it was thought to begin; undefined where it was not known. */
  readonly before: number | undefined
}

/** Of what is fetched again for one source, `new` leaves out what another one has seen already. */
export type Which = "new" | "all"

/** Logs decoded before their rows are sent. */
const chunk = 5000

export const make = (
  sql: SqlClient.SqlClient,
  {
    factories,
    matcher,
    schema,
    sources
  }: {
    readonly schema: string
    readonly sources: ReadonlyArray<EventSource>
    readonly matcher: EventMatcher
    readonly factories: Factories
  }
) => {
  const refusals = new Refusals()
  const writers = sources.map((source) => EventWriter.make(source))
  const undecodedWriter = TableWriter.make(undecoded, refusals)
  const outputs = [
    ...writers.map(({ table }, i) => ({ table: sources[i]?.table ?? undecoded, writer: table })),
    { table: undecoded, writer: undecodedWriter }
  ].map(({ table, writer }) => ({ table, writer, text: Table.insert(schema, table) }))
  const children = new Map<string, Map<string, number>>(sources.map(({ id }) => [id, new Map()]))
  /** What is stored of a source in ranges that are fetched again for another one. */
  const seen = new Map<string, ReadonlyArray<BlockRange.BlockRange>>()
  const isSeen = (id: string, number: number): boolean =>
    seen.get(id)?.some((range) => BlockRange.contains(range, number)) ?? false

  const isChildAt = (number: number) => (source: number, address: Hex) =>
    (children.get(sources[source]?.id ?? "")?.get(address) ?? Number.POSITIVE_INFINITY) <= number

  /** What is committed, and nothing else. */
  const load = Effect.gen(function* () {
    for (const known of children.values()) known.clear()
    const rows = yield* sql<{
      readonly source_id: string
      readonly address: Uint8Array
      readonly block_number: bigint
    }>`
      select source_id, address, block_number from ${sql(`${schema}.event_children`)}`
    for (const { address, block_number, source_id } of rows) {
      children.get(source_id)?.set(Rows.toHex(address), Number(block_number))
    }
    const covered = yield* sql<{ readonly id: string; readonly ranges: string }>`
      select id, (s.ranges - coalesce((
        select range_agg(r) from ${sql(`${schema}.coverage`)} c, unnest(c.ranges) r
      ), '{}'))::text as ranges
      from ${sql(`${schema}.event_sources`)} s`
    seen.clear()
    for (const { id, ranges } of covered) if (ranges !== "{}") seen.set(id, Coverage.parse(ranges))
  })

  /** The log itself may name contracts; which, that were not known, or not so early. */
  const discover = ({ log, number }: PlacedLog): ReadonlyArray<Child> =>
    factories.children(log).flatMap(({ address, id }) => {
      const known = children.get(id)
      const before = known?.get(address)
      if (known === undefined || (before !== undefined && before <= number)) return []
      known.set(address, number)
      return [{ address, id, number, before }]
    })

  const write = ({ log, number, timestamp }: PlacedLog, ids: ReadonlySet<string>): void => {
    const place = { number, ...Timestamp.halves(timestamp) }
    for (const i of matcher.match(log, number, isChildAt(number))) {
      const source = sources[i]
      const writer = writers[i]
      if (source === undefined || writer === undefined || !ids.has(source.id)) continue
      if (isSeen(source.id, number)) continue
      const reason = writer.write(log, place)
      if (reason !== undefined) writeUndecoded(log, place, source.id, reason)
    }
  }

  const writeUndecoded = (
    log: RpcLog,
    { number, timeHigh, timeLow }: EventWriter.BlockPlace,
    id: string,
    reason: string
  ): void => {
    const to = undecodedWriter.columns
    to.block_number.int64(Math.floor(number / 0x1_0000_0000), number >>> 0)
    to.block_timestamp.int64(timeHigh, timeLow)
    to.log_index.int4(log.logIndex)
    to.source_id.text(id)
    to.reason.text(reason)
    to.transaction_hash.fixed(log.transactionHash, 32)
    to.contract.fixed(log.address, 20)
    const topics: ReadonlyArray<ColumnWriter> = [to.topic0, to.topic1, to.topic2, to.topic3]
    for (const [i, column] of topics.entries()) column.fixed(log.topics[i], 32)
    to.data.data(log.data)
  }

  const flush = Effect.gen(function* () {
    for (const { table, text, writer } of outputs) {
      const rows = TableWriter.take(writer)
      TableWriter.reset(writer)
      if (rows.count > 0) yield* sql.unsafe(text, parameters(table, [rows]))
    }
  })

  /** Stores the rows that these logs are for the sources in `ids`; returns the contracts that were found on the way. */
  const insert = Effect.fnUntraced(function* (
    logs: ReadonlyArray<PlacedLog>,
    ids: ReadonlySet<string>
  ): Effect.fn.Return<ReadonlyArray<Child>, SqlError> {
    // All of them first: a contract's logs count from the beginning of the block in which it is named.
    const found = logs.flatMap(discover)
    for (const { writer } of outputs) TableWriter.reset(writer)
    for (let from = 0; from < logs.length; from += chunk) {
      for (const placed of logs.slice(from, from + chunk)) write(placed, ids)
      yield* flush
    }
    if (found.length > 0) {
      // Arrays as text, which PostgreSQL casts; ids are texts that JSON can quote.
      yield* sql`
        insert into ${sql(`${schema}.event_children`)} (source_id, address, block_number)
        select c ->> 'id', decode(substr(c ->> 'address', 3), 'hex'), min((c ->> 'number')::int8)
        from jsonb_array_elements(${JSON.stringify(found)}::text::jsonb) c group by 1, 2
        on conflict (source_id, address) do update set block_number = excluded.block_number`
    }
    return found
  })

  const taken =
    (which: Which) =>
    ({ log, number, timestamp }: PlacedLog): ReadonlyArray<SourceLog> =>
      matcher.match(log, number, isChildAt(number)).flatMap((i) => {
        const source = sources[i]
        return source === undefined || (which === "new" && isSeen(source.id, number))
          ? []
          : [{ source, blockNumber: number, timestamp, log }]
      })
  const logsOf = (
    { matched, number, timestamp }: EncodedBlock,
    which: Which = "new"
  ): ReadonlyArray<SourceLog> => matched.map((log) => ({ log, number, timestamp })).flatMap(taken(which))
  const logsOfPage = ({ logs }: LogPage, which: Which = "new"): ReadonlyArray<SourceLog> =>
    logs.flatMap(taken(which))

  return { load, insert, logsOf, logsOfPage }
}
