/**
 * The event tables that token metrics are made of, read back.
 *
 * **Details**
 *
 * Each table's columns become the same few: whose event it is, two addresses and two amounts. Whatever reads events
 * names a range of blocks, which is the tables' key; where only a time is known, `firstBlock` looks for the block.
 *
 * **Gotchas**
 *
 * A log that is in two of the tables counts twice: name tables whose events are disjoint.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Fiber } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import * as Rows from "../store/Rows.ts"
import { byteas } from "./Arrays.ts"
import type { TokenEvent } from "./TokenEvent.ts"

export interface TokenSource {
  readonly kind: "erc20" | "uniswap-v2" | "uniswap-v3"
  /** Name of the event table of `Transfer` or `Swap` in the deployment's schema. */
  readonly table: string
}

interface EventRow {
  readonly trade: boolean
  readonly block_number: bigint
  readonly seconds: number
  readonly log_index: number
  readonly contract: Hex
  readonly one: Hex
  readonly other: Hex
  readonly amount0: string
  readonly amount1: string
}

export interface EventRange {
  /** Blocks, both inclusive. */
  readonly from: number
  readonly to: number
  /** Only events after this time, seconds since 1970. */
  readonly after: number
  /** Only events of these; of all without it. */
  readonly addresses?: ReadonlyArray<Hex>
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

/** Events asked for at once, about. */
const pageRows = 5_000

export type TokenSources = ReturnType<typeof make>

export const make = (sql: SqlClient.SqlClient, schema: string, sources: ReadonlyArray<TokenSource>) => {
  const name = ({ table }: TokenSource) => sql(`${schema}.${table}`)
  const price = sql(`${schema}.token_price`)
  const trades = sources.filter(({ kind }) => kind !== "erc20")
  const transfers = sources.filter(({ kind }) => kind === "erc20")

  const amounts = ({ kind }: TokenSource) =>
    kind === "uniswap-v2"
      ? sql.literal("amount0_in - amount0_out as amount0, amount1_in - amount1_out as amount1")
      : sql.literal("amount0, amount1")

  /** The server makes the strings, beside us. */
  const hex = (column: string, as = column) => sql.literal(`'0x' || encode(${column}, 'hex') as ${as}`)

  const columns = (source: TokenSource) =>
    source.kind === "erc20"
      ? sql`false as trade, ${hex("contract")}, ${hex('"from"', "one")}, ${hex('"to"', "other")},
          value as amount0, 0 as amount1`
      : sql`true as trade, ${hex("contract")}, ${hex("sender", "one")},
          ${hex(source.kind === "uniswap-v2" ? '"to"' : "recipient", "other")}, ${amounts(source)}`

  /** Parts of a union, in one query. */
  const union = (parts: ReadonlyArray<ReturnType<typeof columns>>) =>
    parts.reduce((all, part) => sql`${all} union all ${part}`)

  /** One query, whole and in order. */
  const page = ({ addresses, after, from, to }: EventRange): Effect.Effect<Array<TokenEvent>, SqlError> => {
    if (sources.length === 0) return Effect.succeed([])
    const among = addresses === undefined ? sql.literal("") : sql`and contract = any(${byteas(addresses)})`
    const parts = sources.map(
      (source) => sql`
        select ${columns(source)}, block_number, log_index, extract(epoch from block_timestamp)::float8 as seconds
        from ${name(source)}
        where block_number between ${int8(from)} and ${int8(to)}
          and block_timestamp > to_timestamp(${PgTypes.float8(after)}) ${among}`
    )
    return Effect.map(sql<EventRow>`${union(parts)} order by block_number, log_index`, (rows) =>
      rows.map(toEvent)
    )
  }

  /** Whose events there are in a range. */
  const moved = ({ after, from, to }: EventRange): Effect.Effect<ReadonlyArray<Hex>, SqlError> => {
    if (sources.length === 0 || from > to) return Effect.succeed([])
    const parts = sources.map(
      (source) => sql`
        select distinct contract from ${name(source)}
        where block_number between ${int8(from)} and ${int8(to)}
          and block_timestamp > to_timestamp(${PgTypes.float8(after)})`
    )
    return Effect.map(sql<{ readonly contract: Uint8Array }>`${union(parts)}`, (rows) =>
      rows.map(({ contract }) => Rows.toHex(contract))
    )
  }

  /** The first event at or after a block: its block and time. */
  const probe = (source: TokenSource, from: number) =>
    Effect.map(
      sql<{ readonly block_number: bigint; readonly seconds: number }>`
        select block_number, extract(epoch from block_timestamp)::float8 as seconds from ${name(source)}
        where block_number >= ${int8(from)} order by block_number limit 1`,
      ([row]) => row && { number: Number(row.block_number), seconds: row.seconds }
    )

  /** A block from which on all events after `time` are found, not above `to`: by bisection, since times never fall. */
  const firstBlock = Effect.fnUntraced(function* (time: number, to: number, from = 0) {
    let found = to
    for (const source of sources) {
      let [low, high] = [Math.min(from, found), found]
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        const event = yield* probe(source, middle)
        if (event === undefined || event.seconds > time) high = middle
        else low = event.number + 1
      }
      found = Math.min(found, high)
    }
    return found
  })

  /**
   * Hands the events of a range to `take`, in order and page by page, while the next page is on its way; whole blocks
   * are never taken apart.
   */
  const scan = Effect.fnUntraced(function* (
    range: EventRange,
    take: (events: ReadonlyArray<TokenEvent>) => void
  ) {
    let span = 16
    let from = range.from
    let events: ReadonlyArray<TokenEvent> = []
    while (from <= range.to) {
      const to = Math.min(range.to, from + span - 1)
      const next = yield* Effect.forkChild(page({ ...range, from, to }), { startImmediately: true })
      take(events)
      events = yield* Fiber.join(next)
      from = to + 1
      const wanted = Math.floor((span * pageRows) / Math.max(1, events.length))
      span = Math.max(1, Math.min(wanted, span * 8))
    }
    take(events)
  })

  /** The newest price of each of the pairs, up to a block; pairs without one are left out. */
  const lastPrices = (pairs: ReadonlyArray<Hex>, to: number) => {
    if (trades.length === 0 || pairs.length === 0) return Effect.succeed([])
    const parts = trades.map(
      (source) => sql`
        (select block_number, log_index, amount0, amount1 from (
          select block_number, log_index, ${amounts(source)} from ${name(source)}
          where contract = p.pair and block_number <= ${int8(to)}
        ) t where sign(amount0) * sign(amount1) < 0 order by block_number desc, log_index desc limit 1)`
    )
    return Effect.map(
      sql<{ readonly pair: Uint8Array; readonly amount0: string; readonly amount1: string }>`
        select p.pair, t.amount0, t.amount1 from unnest(${byteas(pairs)}) as p (pair) cross join lateral (
          select * from (${union(parts)}) u order by block_number desc, log_index desc limit 1
        ) t`,
      (rows) =>
        rows.map(({ amount0, amount1, pair }) => ({
          pair: Rows.toHex(pair),
          amount0: BigInt(amount0),
          amount1: BigInt(amount1)
        }))
    )
  }

  /** Which of the addresses have any event of the kind, up to a block. */
  const existing = (kind: "transfers" | "trades", addresses: ReadonlyArray<Hex>, to: number) => {
    const tables = kind === "transfers" ? transfers : trades
    if (tables.length === 0 || addresses.length === 0) return Effect.succeed([])
    const parts = tables.map(
      (source) =>
        sql`(select 1 from ${name(source)} where contract = a.address and block_number <= ${int8(to)} limit 1)`
    )
    return Effect.map(
      sql<{ readonly address: Uint8Array }>`
        select a.address from unnest(${byteas(addresses)}) as a (address) where exists (${union(parts)})`,
      (rows) => rows.map(({ address }) => Rows.toHex(address))
    )
  }

  /** Writes the candles from a minute on anew, up to a block. */
  const rebuildCandles = Effect.fnUntraced(function* (minute: number, to: number) {
    const from = yield* firstBlock(minute - 1, to)
    yield* sql`delete from ${sql(`${schema}.token_candles`)} where minute >= to_timestamp(${PgTypes.float8(minute)})`
    if (trades.length === 0) return
    const parts = trades.map(
      (source) => sql`
        select contract, block_number, log_index, block_timestamp, ${amounts(source)} from ${name(source)}
        where block_number between ${int8(from)} and ${int8(to)}
          and block_timestamp >= to_timestamp(${PgTypes.float8(minute)})`
    )
    yield* sql`
      insert into ${sql(`${schema}.token_candles`)}
        (pair, minute, open, high, low, close, volume0, volume1, trades)
      select contract, date_trunc('minute', block_timestamp, 'UTC'),
        (array_agg(price order by block_number, log_index) filter (where price is not null))[1],
        max(price), min(price),
        (array_agg(price order by block_number desc, log_index desc) filter (where price is not null))[1],
        sum(abs(amount0)), sum(abs(amount1)), count(*)
      from (select *, ${price}(amount0, amount1) as price from (${union(parts)}) t) t
      group by 1, 2`
  })

  return { page, scan, moved, firstBlock, lastPrices, existing, rebuildCandles }
}

const toEvent = (row: EventRow): TokenEvent => {
  const place = {
    blockNumber: Number(row.block_number),
    timestamp: row.seconds,
    logIndex: row.log_index
  }
  const { contract, one, other } = row
  return row.trade
    ? {
        _tag: "Trade",
        pair: contract,
        sender: one,
        recipient: other,
        amount0: BigInt(row.amount0),
        amount1: BigInt(row.amount1),
        ...place
      }
    : { _tag: "Transfer", token: contract, from: one, to: other, value: BigInt(row.amount0), ...place }
}
