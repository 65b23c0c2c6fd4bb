/**
 * Rows of token metrics into their tables: one statement a table, a typed array for each column.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import { array, byteas, type ElementType, toBytes } from "./Arrays.ts"
import * as Price from "./Price.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { Candle, TradeMetrics } from "./TradeSeries.ts"
import type { TransferMetrics } from "./TransferSeries.ts"

interface Row {
  readonly address: Hex
  /** Seconds. */
  readonly width: number
  readonly asOf: AsOf
}

export interface TransferRow extends Row {
  readonly metrics: TransferMetrics
}

export interface TradeRow extends Row {
  readonly metrics: TradeMetrics
  /** The newest price, or `Price.none` to leave it as it is. */
  readonly last: bigint
}

export interface CandleRow {
  readonly pair: Hex
  readonly candle: Candle
}

/** Name, type, and the value that a row has there. */
type Column<R> = readonly [name: string, type: ElementType, value: (row: R) => unknown]

const place: ReadonlyArray<Column<Row>> = [
  ["window_seconds", "int4", ({ width }) => width],
  ["as_of_number", "int8", ({ asOf }) => BigInt(asOf.number)],
  ["as_of_hash", "bytea", ({ asOf }) => toBytes(asOf.hash)],
  ["as_of_timestamp", "timestamptz", ({ asOf }) => new Date(asOf.timestamp * 1000)]
]

const decimal = (price: bigint) => Price.toDecimal(price) ?? null

const transferColumns: ReadonlyArray<Column<TransferRow>> = [
  ["token", "bytea", ({ address }) => toBytes(address)],
  ...place,
  ["transfers", "int8", ({ metrics }) => BigInt(metrics.transfers)],
  ["senders", "int8", ({ metrics }) => BigInt(metrics.senders)],
  ["receivers", "int8", ({ metrics }) => BigInt(metrics.receivers)],
  ["volume", "numeric", ({ metrics }) => metrics.volume.toString()]
]

const tradeColumns: ReadonlyArray<Column<TradeRow>> = [
  ["pair", "bytea", ({ address }) => toBytes(address)],
  ...place,
  ["trades", "int8", ({ metrics }) => BigInt(metrics.trades)],
  ["buys", "int8", ({ metrics }) => BigInt(metrics.buys)],
  ["sells", "int8", ({ metrics }) => BigInt(metrics.sells)],
  ["volume0", "numeric", ({ metrics }) => metrics.volume0.toString()],
  ["volume1", "numeric", ({ metrics }) => metrics.volume1.toString()],
  ["open", "numeric", ({ metrics }) => decimal(metrics.open)],
  ["high", "numeric", ({ metrics }) => decimal(metrics.high)],
  ["low", "numeric", ({ metrics }) => decimal(metrics.low)],
  ["close", "numeric", ({ metrics }) => decimal(metrics.close)],
  ["last_price", "numeric", ({ last }) => decimal(last)]
]

const candleColumns: ReadonlyArray<Column<CandleRow>> = [
  ["pair", "bytea", ({ pair }) => toBytes(pair)],
  ["minute", "timestamptz", ({ candle }) => new Date(candle.minute * 1000)],
  ["open", "numeric", ({ candle }) => decimal(candle.open)],
  ["high", "numeric", ({ candle }) => decimal(candle.high)],
  ["low", "numeric", ({ candle }) => decimal(candle.low)],
  ["close", "numeric", ({ candle }) => decimal(candle.close)],
  ["volume0", "numeric", ({ candle }) => candle.volume0.toString()],
  ["volume1", "numeric", ({ candle }) => candle.volume1.toString()],
  ["trades", "int8", ({ candle }) => BigInt(candle.trades)]
]

/** Rows of one statement. */
const chunk = 5_000

/** An `insert` that writes over rows of the same key. */
const upsert = <R>(
  sql: SqlClient.SqlClient,
  target: string,
  columns: ReadonlyArray<Column<R>>,
  key: ReadonlyArray<string>
) => {
  const names = columns.map(([name]) => name)
  const set = names
    .filter((name) => !key.includes(name))
    .map((name) =>
      name === "last_price"
        ? "last_price = coalesce(excluded.last_price, m.last_price)"
        : `${name} = excluded.${name}`
    )
  const text = `insert into ${target} as m (${names.join(", ")})
    select ${columns.map(([, type], i) => `unnest($${i + 1}::${type}[])`).join(", ")}
    on conflict (${key.join(", ")}) do update set ${set.join(", ")}`
  return (rows: ReadonlyArray<R>): Effect.Effect<void, SqlError> =>
    Effect.gen(function* () {
      for (let i = 0; i < rows.length; i += chunk) {
        const some = rows.slice(i, i + chunk)
        yield* sql.unsafe(
          text,
          columns.map(([, type, value]) => array(type, some.map(value)))
        )
      }
    })
}

export type TokenRows = ReturnType<typeof make>

/** `format` is of what rows are made from: those of another one are as good as none. */
export const make = (sql: SqlClient.SqlClient, schema: string, format: string) => {
  const name = (table: string) => sql(`${schema}.${table}`)
  return {
    transfers: upsert(sql, `"${schema}"."token_metrics"`, transferColumns, ["token", "window_seconds"]),
    trades: upsert(sql, `"${schema}"."pair_metrics"`, tradeColumns, ["pair", "window_seconds"]),
    candles: upsert(sql, `"${schema}"."token_candles"`, candleColumns, ["pair", "minute"]),
    /** Of addresses that never had an event. */
    removeTransfers: (tokens: ReadonlyArray<Hex>): Effect.Effect<unknown, SqlError> =>
      tokens.length === 0
        ? Effect.void
        : sql`delete from ${name("token_metrics")} where token = any(${byteas(tokens)})`,
    removeTrades: (pairs: ReadonlyArray<Hex>): Effect.Effect<unknown, SqlError> =>
      pairs.length === 0
        ? Effect.void
        : sql`delete from ${name("pair_metrics")} where pair = any(${byteas(pairs)})`,
    clear: Effect.gen(function* () {
      for (const table of ["token_metrics", "pair_metrics", "token_candles"])
        yield* sql`delete from ${name(table)}`
      // The same block may come again, and says nothing of rows then.
      yield* sql`
        update ${name("token_checkpoint")} set number = null, hash = null, timestamp = null,
          checked_number = null, checked_hash = null, checked_timestamp = null`
    }),
    /**
     * All rows hold as of this block, with so many changes below it; `checked` says that they were counted anew.
     */
    checkpoint: (
      { hash, number, timestamp }: AsOf,
      voids: number,
      checked: boolean
    ): Effect.Effect<unknown, SqlError> => {
      const [n, h, t, v] = [
        PgTypes.int8(BigInt(number)),
        PgTypes.bytea(toBytes(hash)),
        PgTypes.int8(BigInt(timestamp)),
        PgTypes.int8(BigInt(voids))
      ]
      const full = sql`, checked_number = ${n}, checked_hash = ${h}, checked_timestamp = ${t}`
      return sql`
        update ${name("token_checkpoint")} set number = ${n}, hash = ${h}, timestamp = ${t},
          written_voids = ${v}, written_format = ${format}, void_from = case when voids <> ${v} then void_from end
        ${checked ? full : sql.literal("")}`
    }
  }
}
