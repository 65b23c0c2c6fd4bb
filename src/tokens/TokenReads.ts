/**
 * Token metrics as readers ask for them: the top of a window, one token, its candles.
 *
 * **Details**
 *
 * A page is a range of an index: the next one begins after the last row of this one (`after`), whatever has changed
 * meanwhile. Amounts are decimal strings, as SQL has them.
 */
import { PgTypes } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Hex } from "../chain/Block.ts"
import * as Rows from "../store/Rows.ts"
import { toStoreError } from "../store/SqlFailure.ts"
import type { StoreError } from "../store/Store.ts"
import { byteas, toBytes } from "./Arrays.ts"
import type { AsOf } from "./TokenEvent.ts"
import { type WindowName, widthOf, windows } from "./Windows.ts"

export interface TokenRow {
  readonly token: Hex
  readonly window: WindowName
  readonly transfers: number
  readonly senders: number
  readonly receivers: number
  /** Raw units. */
  readonly volume: string
  readonly asOf: AsOf
}

export interface PairRow {
  readonly pair: Hex
  readonly window: WindowName
  readonly trades: number
  readonly buys: number
  readonly sells: number
  readonly volume0: string
  readonly volume1: string
  /** Token1 for one token0, in raw units; null where no trade of the window had a price. */
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  /** The newest price, however old. */
  readonly lastPrice: string | null
  readonly asOf: AsOf
}

export interface CandleRow {
  /** Seconds since 1970. */
  readonly minute: number
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  readonly volume0: string
  readonly volume1: string
  readonly trades: number
}

export interface Close {
  readonly pair: Hex
  /** Seconds since 1970. */
  readonly minute: number
  /** Token1 for one token0, in raw units. */
  readonly price: string
}

export type Measure =
  | { readonly kind: "token"; readonly by: "transfers" | "volume" | "senders" | "receivers" }
  | { readonly kind: "pair"; readonly by: "trades" }

/** The place of a row in its list: the measure's value and the address. */
export interface Place {
  readonly value: string
  readonly address: Hex
}

export type Top = Measure & {
  readonly window: WindowName
  /** The last row of the page before; the first page without it. */
  readonly after: Place | undefined
  readonly limit: number
}

/** `next` is undefined on the last page. */
export type TopPage =
  | { readonly kind: "token"; readonly rows: ReadonlyArray<TokenRow>; readonly next: Place | undefined }
  | { readonly kind: "pair"; readonly rows: ReadonlyArray<PairRow>; readonly next: Place | undefined }

export class TokenReads extends Context.Service<
  TokenReads,
  {
    /** The rows of a window by a measure, highest first; what is 0 is left out. */
    readonly top: (top: Top) => Effect.Effect<TopPage, StoreError>
    /** All windows of one address, which may be a token and a pair; both empty when it is unknown. */
    readonly token: (
      address: Hex
    ) => Effect.Effect<
      { readonly token: ReadonlyArray<TokenRow>; readonly pair: ReadonlyArray<PairRow> },
      StoreError
    >
    /** 1-minute candles of a pair, newest first: minutes in `[from, to]`, seconds since 1970. */
    readonly candles: (
      pair: Hex,
      range: { readonly from: number; readonly to: number; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<CandleRow>, StoreError>
    /** The last price of each minute in `[from, to]` that has one, oldest first, of some pairs at once. */
    readonly closes: (
      pairs: ReadonlyArray<Hex>,
      range: { readonly from: number; readonly to: number }
    ) => Effect.Effect<ReadonlyArray<Close>, StoreError>
  }
>()("sluice/tokens/TokenReads") {
  static readonly layer = (schema: string): Layer.Layer<TokenReads, never, SqlClient.SqlClient> =>
    Layer.effect(
      TokenReads,
      Effect.map(SqlClient.SqlClient, (sql) => make(sql, schema))
    )
}

interface StoredAsOf {
  readonly window_seconds: number
  readonly as_of_number: bigint
  readonly as_of_hash: Uint8Array
  readonly as_of_seconds: number
}

interface StoredToken extends StoredAsOf {
  readonly token: Uint8Array
  readonly transfers: bigint
  readonly senders: bigint
  readonly receivers: bigint
  readonly volume: string
}

interface StoredPair extends StoredAsOf {
  readonly pair: Uint8Array
  readonly trades: bigint
  readonly buys: bigint
  readonly sells: bigint
  readonly volume0: string
  readonly volume1: string
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  readonly last_price: string | null
}

interface StoredCandle {
  readonly seconds: number
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  readonly volume0: string
  readonly volume1: string
  readonly trades: bigint
}

const placed = (row: StoredAsOf): { readonly window: WindowName; readonly asOf: AsOf } => ({
  window: windows.find(({ width }) => width === row.window_seconds)?.name ?? "24h",
  asOf: {
    number: Number(row.as_of_number),
    hash: Rows.toHex(row.as_of_hash),
    timestamp: row.as_of_seconds
  }
})

const toToken = (row: StoredToken): TokenRow => ({
  token: Rows.toHex(row.token),
  transfers: Number(row.transfers),
  senders: Number(row.senders),
  receivers: Number(row.receivers),
  volume: row.volume,
  ...placed(row)
})

const toPair = (row: StoredPair): PairRow => ({
  pair: Rows.toHex(row.pair),
  trades: Number(row.trades),
  buys: Number(row.buys),
  sells: Number(row.sells),
  volume0: row.volume0,
  volume1: row.volume1,
  open: trimmed(row.open),
  high: trimmed(row.high),
  low: trimmed(row.low),
  close: trimmed(row.close),
  lastPrice: trimmed(row.last_price),
  ...placed(row)
})

const toCandle = (row: StoredCandle): CandleRow => ({
  minute: row.seconds,
  open: trimmed(row.open),
  high: trimmed(row.high),
  low: trimmed(row.low),
  close: trimmed(row.close),
  volume0: row.volume0,
  volume1: row.volume1,
  trades: Number(row.trades)
})

/** Without zeros at the end of a fraction. */
const trimmed = (decimal: string | null): string | null =>
  decimal?.includes(".") ? decimal.replace(/\.?0+$/, "") : decimal

const columns = `*, extract(epoch from as_of_timestamp)::float8 as as_of_seconds`

export const make = (sql: SqlClient.SqlClient, schema: string): TokenReads["Service"] => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const all = sql.literal(columns)

  const page = <Row extends object>(top: Top, table: string, address: string) => {
    const [by, key] = [sql(top.by), sql(address)]
    const { after } = top
    const rest =
      after === undefined
        ? sql.literal("")
        : // The measure as its column's type, so that the index can be used.
          sql`and (${by}, ${key}) < (${after.value}::${sql.literal(top.by === "volume" ? "numeric" : "int8")},
            ${PgTypes.bytea(toBytes(after.address))})`
    return sql<Row>`
      select ${all} from ${name(table)}
      where window_seconds = ${PgTypes.int4(widthOf(top.window))} and ${by} > 0 ${rest}
      order by ${by} desc, ${key} desc limit ${PgTypes.int8(BigInt(top.limit) + 1n)}`
  }

  /** One row more was asked for, to see whether there is a next page. */
  const paged = <Row>(limit: number, found: ReadonlyArray<Row>, placeOf: (row: Row) => Place) => {
    const rows = found.slice(0, limit)
    const last = rows.at(-1)
    return { rows, next: found.length > limit && last !== undefined ? placeOf(last) : undefined }
  }

  const top: TokenReads["Service"]["top"] = Effect.fnUntraced(
    function* (asked: Top) {
      if (asked.kind === "token") {
        const rows = (yield* page<StoredToken>(asked, "token_metrics", "token")).map(toToken)
        const placeOf = (row: TokenRow) => ({ value: `${row[asked.by]}`, address: row.token })
        return { kind: "token", ...paged(asked.limit, rows, placeOf) } satisfies TopPage
      }
      const rows = (yield* page<StoredPair>(asked, "pair_metrics", "pair")).map(toPair)
      const placeOf = ({ pair, trades }: PairRow) => ({ value: `${trades}`, address: pair })
      return { kind: "pair", ...paged(asked.limit, rows, placeOf) } satisfies TopPage
    },
    Effect.mapError(toStoreError("read the top tokens"))
  )

  const token: TokenReads["Service"]["token"] = Effect.fnUntraced(
    function* (address: Hex) {
      const key = PgTypes.bytea(toBytes(address))
      const tokens = yield* sql<StoredToken>`
        select ${all} from ${name("token_metrics")} where token = ${key} order by window_seconds`
      const pairs = yield* sql<StoredPair>`
        select ${all} from ${name("pair_metrics")} where pair = ${key} order by window_seconds`
      return { token: tokens.map(toToken), pair: pairs.map(toPair) }
    },
    Effect.mapError(toStoreError("read a token"))
  )

  const candles: TokenReads["Service"]["candles"] = (pair, { from, limit, to }) =>
    sql<StoredCandle>`
      select *, extract(epoch from minute)::float8 as seconds from ${name("token_candles")}
      where pair = ${PgTypes.bytea(toBytes(pair))}
        and minute between to_timestamp(${PgTypes.float8(from)}) and to_timestamp(${PgTypes.float8(to)})
      order by minute desc limit ${PgTypes.int8(BigInt(limit))}`.pipe(
      Effect.map((rows) => rows.map(toCandle)),
      Effect.mapError(toStoreError("read candles"))
    )

  const closes: TokenReads["Service"]["closes"] = (pairs, { from, to }) =>
    sql<{ readonly pair: Uint8Array; readonly seconds: number; readonly close: string }>`
      select pair, extract(epoch from minute)::float8 as seconds, close from ${name("token_candles")}
      where pair = any(${byteas(pairs)}) and close is not null
        and minute between to_timestamp(${PgTypes.float8(from)}) and to_timestamp(${PgTypes.float8(to)})
      order by minute`.pipe(
      Effect.map((rows) =>
        rows.map(({ close, pair, seconds }) => ({
          pair: Rows.toHex(pair),
          minute: seconds,
          price: trimmed(close) ?? close
        }))
      ),
      Effect.mapError(toStoreError("read prices by minute"))
    )

  return TokenReads.of({ top, token, candles, closes })
}
