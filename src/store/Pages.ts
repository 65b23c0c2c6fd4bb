/**
 * What is stored, read back page by page for an audit: rows, coverage and digests of a range of blocks as they were at
 * one moment, so that an instance which is writing meanwhile is never mistaken for damage.
 *
 * **When to use**: `Pages.layer(schema)` beside `SqlStore.layer`, which makes the schema.
 *
 * **Gotchas**: a page is in memory as a whole, some 3 kB a row. Ask for few blocks where they are full.
 */
import { PgTypes } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { CoverageLevel, Hex, ProofLevel } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import { columnNames, type Table } from "../columns/Table.ts"
import * as Coverage from "./Coverage.ts"
import * as Rows from "./Rows.ts"
import { toStoreError, transaction } from "./SqlFailure.ts"
import type { StoreError, Totals } from "./Store.ts"
import type {
  StoredHeader,
  StoredLog,
  StoredRows,
  StoredTransaction,
  StoredWithdrawal
} from "./StoredBlock.ts"
import { blocks, logs, tables, transactions, withdrawals } from "./Tables.ts"

export interface Page {
  readonly range: BlockRange
  /** The covered parts of the range, by level. */
  readonly coverage: Readonly<Record<ProofLevel, ReadonlyArray<BlockRange>>>
  /** The blocks of the range that have a row in any table, by number. */
  readonly rows: ReadonlyMap<number, StoredRows>
  /** Digest of each of them, computed in SQL, as hex digits. */
  readonly digests: ReadonlyMap<number, string>
  /** Hash of the block below the range, where it is stored. */
  readonly below: Hex | undefined
}

/** What `sync_state` says, and what there is. */
export interface Counts {
  readonly said: Totals & { readonly tip: number | undefined; readonly tipHash: Hex | undefined }
  readonly counted: Totals & { readonly tip: number | undefined; readonly tipHash: Hex | undefined }
}

export class Pages extends Context.Service<
  Pages,
  {
    /** From the lowest to the highest number that is covered or has a row in any table; undefined when there is none. */
    readonly bounds: Effect.Effect<BlockRange | undefined, StoreError>
    /** The lowest number from `from` on that is covered or has a row in any table. */
    readonly next: (from: number) => Effect.Effect<number | undefined, StoreError>
    readonly read: (range: BlockRange) => Effect.Effect<Page, StoreError>
    /** The rows of one block as `record_send` gives them, by table in the order of `tables`, then by key. */
    readonly records: (number: number) => Effect.Effect<ReadonlyArray<ReadonlyArray<Buffer>>, StoreError>
    /** Reads every table: minutes where there are billions of rows. */
    readonly counts: Effect.Effect<Counts, StoreError>
  }
>()("sluice/store/Pages") {
  static readonly layer = (schema: string): Layer.Layer<Pages, never, SqlClient.SqlClient> =>
    Layer.effect(
      Pages,
      Effect.map(SqlClient.SqlClient, (sql) => make(sql, schema))
    )
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

const time = `case when isfinite("timestamp") then floor(extract(epoch from "timestamp"))::int8 else 0 end as seconds`

/** The block's time leaves as seconds: what else it may be is for the digest to notice. */
const selected = (table: Table): string =>
  columnNames(table)
    .filter((name) => name !== "block_timestamp")
    .map((name) => (name === "timestamp" ? time : `"${name}"`))
    .join(", ")

const make = (sql: SqlClient.SqlClient, schema: string): Pages["Service"] => {
  const name = (table: string) => sql(`${schema}.${table}`)

  /** Reads in one snapshot. */
  const snapshot = <A>(operation: string, effect: Effect.Effect<A, SqlError>) =>
    Effect.andThen(sql`set transaction isolation level repeatable read read only`, effect).pipe(
      transaction(sql, operation)
    )

  /** Of these blocks only events are stored: there is nothing to recompute. */
  const eventsAlone = sql`coalesce((select ranges from ${name("coverage")} where level = 'events'), '{}')`

  const rowsOf = <Row extends object>(table: Table, { from, to }: BlockRange) => {
    const key = sql.literal(table.key.map((column) => `"${column}"`).join(", "))
    return sql<Row>`
      select ${sql.literal(selected(table))} from ${name(table.name)}
      where ${sql(table.key[0])} between ${int8(from)} and ${int8(to)} and not (${sql(table.key[0])} <@ ${eventsAlone})
      order by ${key}`
  }

  const read: Pages["Service"]["read"] = (range) =>
    snapshot(
      "read a page",
      Effect.gen(function* () {
        const [from, to] = [int8(range.from), int8(range.to)]
        const covered = yield* sql<{ readonly level: CoverageLevel; readonly ranges: string }>`
          select level, (ranges * int8multirange(int8range(${from}, ${to}, '[]')))::text as ranges
          from ${name("coverage")}`
        const [below] = yield* sql<{ readonly hash: Uint8Array }>`
          select hash from ${name("blocks")} where number = ${int8(range.from - 1)} limit 1`
        const grouped = new Grouped()
        for (const row of yield* rowsOf<StoredHeader>(blocks, range)) grouped.of(row.number).headers.push(row)
        for (const row of yield* rowsOf<StoredTransaction>(transactions, range))
          grouped.of(row.block_number).transactions.push(row)
        for (const row of yield* rowsOf<StoredLog>(logs, range)) grouped.of(row.block_number).logs.push(row)
        for (const row of yield* rowsOf<StoredWithdrawal>(withdrawals, range))
          grouped.of(row.block_number).withdrawals.push(row)
        const digests = yield* sql<{ readonly number: bigint; readonly digest: string }>`
          select number, encode(digest, 'hex') as digest
          from ${name("block_digests")}(${from}, ${to}) where not (number <@ ${eventsAlone})`
        const ranges = (level: ProofLevel) =>
          Coverage.parse(covered.find((row) => row.level === level)?.ranges ?? "")
        return {
          range,
          coverage: { proven: ranges("proven"), linked: ranges("linked") },
          rows: grouped.blocks,
          digests: new Map(digests.map(({ digest, number }) => [Number(number), digest])),
          below: below === undefined ? undefined : Rows.toHex(below.hash)
        }
      })
    )

  /** The lowest or the highest number from `from` on. */
  const extreme = (which: "min" | "max", from: number) => {
    const [pick, end] = which === "min" ? ["least", "lower(r)"] : ["greatest", "upper(r) - 1"]
    const ofTables = tables.map(
      ({ key: [number], name: table }) =>
        sql`(select ${sql.literal(which)}(${sql(number)}) from ${name(table)}
          where ${sql(number)} >= ${int8(from)} and not (${sql(number)} <@ ${eventsAlone}))`
    )
    return sql`${sql.literal(pick)}((select ${sql.literal(which)}(${sql.literal(end)}) from (
      select unnest(ranges * int8multirange(int8range(${int8(from)}, null))) as r
      from ${name("coverage")} where level <> 'events'
    ) c), ${sql.csv(ofTables)})`
  }

  const next: Pages["Service"]["next"] = (from) =>
    sql<{ readonly next: bigint | null }>`select ${extreme("min", from)} as next`.pipe(
      Effect.map(([row]) => (row === undefined || row.next === null ? undefined : Number(row.next))),
      Effect.mapError(toStoreError("look for the next block"))
    )

  const bounds = sql<{ readonly from: bigint | null; readonly to: bigint | null }>`
    select ${extreme("min", 0)} as "from", ${extreme("max", 0)} as "to"`.pipe(
    Effect.map(([row]) =>
      row === undefined || row.from === null || row.to === null
        ? undefined
        : { from: Number(row.from), to: Number(row.to) }
    ),
    Effect.mapError(toStoreError("look for the first and the last block"))
  )

  const records: Pages["Service"]["records"] = (number) =>
    snapshot(
      "read a block",
      Effect.forEach(tables, (table) => {
        const columns = sql.literal(
          columnNames(table)
            .map((column) => `"${column}"`)
            .join(", ")
        )
        const key = sql.literal(table.key.map((column) => `"${column}"`).join(", "))
        return sql<{ readonly record: Uint8Array }>`
          select record_send(row(${columns})) as record from ${name(table.name)}
          where ${sql(table.key[0])} = ${int8(number)} order by ${key}`.pipe(
          Effect.map((found) => found.map(({ record }) => Buffer.from(record)))
        )
      })
    )

  const counts = sql<
    Record<string, bigint | null> & {
      readonly said_hash: Uint8Array | null
      readonly tip_hash: Uint8Array | null
    }
  >`
    select s.blocks as said_blocks, s.transactions as said_transactions, s.logs as said_logs,
      s.tip_number as said_tip, s.tip_hash as said_hash,
      (select count(*) from ${name("blocks")}) as blocks,
      (select count(*) from ${name("transactions")}) as transactions,
      (select count(*) from ${name("logs")}) as logs, tip.number as tip, tip.hash as tip_hash
    from ${name("sync_state")} s
    left join (select number, hash from ${name("blocks")} order by number desc limit 1) tip on true`.pipe(
    Effect.map(([row]): Counts => {
      const number = (column: string) => Number(row?.[column] ?? 0)
      const tip = (column: string, hash: Uint8Array | null | undefined) => ({
        tip: row?.[column] === null ? undefined : number(column),
        tipHash: hash === null || hash === undefined ? undefined : Rows.toHex(hash)
      })
      return {
        said: {
          blocks: number("said_blocks"),
          transactions: number("said_transactions"),
          logs: number("said_logs"),
          ...tip("said_tip", row?.said_hash)
        },
        counted: {
          blocks: number("blocks"),
          transactions: number("transactions"),
          logs: number("logs"),
          ...tip("tip", row?.tip_hash)
        }
      }
    }),
    Effect.mapError(toStoreError("count"))
  )

  return Pages.of({ bounds, next, read, records, counts })
}

/** Rows by the block that they say they belong to. */
class Grouped {
  readonly blocks = new Map<
    number,
    {
      headers: Array<StoredHeader>
      transactions: Array<StoredTransaction>
      logs: Array<StoredLog>
      withdrawals: Array<StoredWithdrawal>
    }
  >()

  of(number: bigint) {
    const key = Number(number)
    const found = this.blocks.get(key)
    if (found !== undefined) return found
    const fresh = { headers: [], transactions: [], logs: [], withdrawals: [] }
    this.blocks.set(key, fresh)
    return fresh
  }
}
