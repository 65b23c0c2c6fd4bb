/**
 * A deployment's schema with event tables that a test fills, and what plain SQL over them says the metrics are.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Ref } from "effect"
import { SqlClient } from "effect/sql"
import type { Hex } from "../../src/chain/Block.ts"
import * as Fence from "../../src/store/Fence.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { blocks as blocksTable } from "../../src/store/Tables.ts"
import { array, byteas, type ElementType } from "../../src/tokens/Arrays.ts"
import { type AsOf, addressOf as eventAddress, type TokenEvent } from "../../src/tokens/TokenEvent.ts"
import * as TokenMetrics from "../../src/tokens/TokenMetrics.ts"
import type { TokenSource } from "../../src/tokens/TokenSources.ts"
import type { TokenState } from "../../src/tokens/TokenState.ts"
import type { StoryBlock } from "./story.ts"

export const sources: ReadonlyArray<TokenSource> = [
  { kind: "erc20", table: "erc20_transfer" },
  { kind: "uniswap-v2", table: "uniswap_v2_swap" },
  { kind: "uniswap-v3", table: "uniswap_v3_swap" }
]

const place = `block_number int8 not null, block_timestamp timestamptz not null, transaction_hash bytea not null,
  log_index int4 not null, contract bytea not null`
const key = "primary key (block_number, log_index)"

/** The tables of the packs. */
export const eventTables = (schema: string): ReadonlyArray<string> => [
  `create table "${schema}".erc20_transfer (${place}, "from" bytea not null, "to" bytea not null,
    value numeric(78,0) not null, ${key})`,
  `create table "${schema}".uniswap_v2_swap (${place}, sender bytea not null, amount0_in numeric(78,0) not null,
    amount1_in numeric(78,0) not null, amount0_out numeric(78,0) not null, amount1_out numeric(78,0) not null,
    "to" bytea not null, ${key})`,
  `create table "${schema}".uniswap_v3_swap (${place}, sender bytea not null, recipient bytea not null,
    amount0 numeric(78,0) not null, amount1 numeric(78,0) not null, sqrt_price_x96 numeric(78,0) not null,
    liquidity numeric(78,0) not null, tick int4 not null, ${key})`,
  ...["erc20_transfer", "uniswap_v2_swap", "uniswap_v3_swap"].map(
    (table) => `create index on "${schema}".${table} (contract, block_number)`
  )
]

const bytes = (hex: Hex) => Buffer.from(hex.slice(2), "hex")
const positive = (value: bigint) => (value > 0n ? value : 0n)

const filler: Readonly<Record<string, string>> = { bytea: "''", timestamptz: "now()" }
const constants = Object.entries(blocksTable.columns).filter(
  ([name, { nullable }]) => !nullable && !["number", "hash", "parent_hash", "timestamp"].includes(name)
)

/** What plain SQL over the event tables of a deployment says, against what is in its tables of metrics. */
export const plainSql = (sql: SqlClient.SqlClient, schema: string) => {
  const name = (table: string) => sql(`${schema}.${table}`)

  /** As of a block, or of each row's own. */
  const at = (tip: AsOf | undefined) =>
    tip === undefined
      ? { number: sql.literal("m.as_of_number"), time: sql.literal("extract(epoch from m.as_of_timestamp)") }
      : {
          number: sql`${PgTypes.int8(BigInt(tip.number))}`,
          time: sql`${PgTypes.float8(tip.timestamp)}::numeric`
        }

  /** By the recipe of `docs/tokens.md`. */
  const inside = (tip: AsOf | undefined) => sql`
    e.block_number <= ${at(tip).number} and
    floor(extract(epoch from e.block_timestamp) / s.step) > floor((${at(tip).time} - m.window_seconds) / s.step)`
  const step = sql.literal("lateral (select case when m.window_seconds > 300 then 60 else 1 end as step) s")

  /**
   * Rows that are not what plain SQL over the event tables says, as of each row's own block, or as of a block. Rows of
   * these addresses only, if there are any.
   */
  const wrong = Effect.fnUntraced(function* (tip?: AsOf, only?: ReadonlyArray<Hex>) {
    const some = (column: string) =>
      only === undefined ? sql.literal("true") : sql`${sql(column)} = any(${byteas(only)})`
    const tokens = yield* sql`
      select 'token' as kind, encode(m.token, 'hex') as address, m.window_seconds, m.as_of_number,
        row(m.transfers, m.senders, m.receivers, m.volume)::text as said, row(x.*)::text as expected
      from ${name("token_metrics")} m, ${step}, lateral (
        select count(*), count(distinct "from"), count(distinct "to"), coalesce(sum(value), 0)
        from ${name("erc20_transfer")} e where contract = m.token and ${inside(tip)}
      ) x (transfers, senders, receivers, volume)
      where ${some("token")} and (m.transfers, m.senders, m.receivers, m.volume) is distinct from
        (x.transfers, x.senders, x.receivers, x.volume)`
    const trades = sql`
      (select block_number, block_timestamp, log_index, contract, amount0_in - amount0_out as amount0,
        amount1_in - amount1_out as amount1 from ${name("uniswap_v2_swap")}
      union all select block_number, block_timestamp, log_index, contract, amount0, amount1
        from ${name("uniswap_v3_swap")})`
    const price = sql`${name("token_price")}(amount0, amount1)`
    const last = (which: "asc" | "desc") => sql`
      (array_agg(${price} order by block_number ${sql.literal(which)}, log_index ${sql.literal(which)})
        filter (where ${price} is not null))[1]`
    const pairs = yield* sql`
      select 'pair' as kind, encode(m.pair, 'hex') as address, m.window_seconds, m.as_of_number,
        row(m.trades, m.buys, m.sells, m.volume0, m.volume1, m.open, m.high, m.low, m.close, m.last_price)::text as said,
        row(x.*, l.last)::text as expected
      from ${name("pair_metrics")} m, ${step}, lateral (
        select count(*), count(*) filter (where amount0 < 0), count(*) filter (where amount0 > 0),
          coalesce(sum(abs(amount0)), 0), coalesce(sum(abs(amount1)), 0),
          ${last("asc")}, max(${price}), min(${price}), ${last("desc")}
        from ${trades} e where contract = m.pair and ${inside(tip)}
      ) x (trades, buys, sells, volume0, volume1, open, high, low, close), lateral (
        select ${last("desc")} as last from ${trades} e where contract = m.pair and block_number <= ${at(tip).number}
      ) l
      where ${some("pair")} and
        (m.trades, m.buys, m.sells, m.volume0, m.volume1, m.open, m.high, m.low, m.close, m.last_price)
        is distinct from
        (x.trades, x.buys, x.sells, x.volume0, x.volume1, x.open, x.high, x.low, x.close, l.last)`
    return [...tokens, ...pairs]
  })

  /** Candles that are not what plain SQL says, as of the newest event. */
  const wrongCandles = sql`
    with expected as (
      select contract as pair, date_trunc('minute', block_timestamp) as minute,
        (array_agg(price order by block_number, log_index) filter (where price is not null))[1] as open,
        max(price) as high, min(price) as low,
        (array_agg(price order by block_number desc, log_index desc) filter (where price is not null))[1] as close,
        sum(abs(amount0)) as volume0, sum(abs(amount1)) as volume1, count(*) as trades
      from (
        select *, ${name("token_price")}(amount0, amount1) as price from (
          select block_number, block_timestamp, log_index, contract, amount0_in - amount0_out as amount0,
            amount1_in - amount1_out as amount1 from ${name("uniswap_v2_swap")}
          union all select block_number, block_timestamp, log_index, contract, amount0, amount1
            from ${name("uniswap_v3_swap")}
        ) t
      ) t group by 1, 2
    )
    select encode(pair, 'hex') as address, minute::text, e.trades as expected, c.trades as said
    from expected e full join ${name("token_candles")} c using (pair, minute)
    where (e.open, e.high, e.low, e.close, e.volume0, e.volume1, e.trades) is distinct from
      (c.open, c.high, c.low, c.close, c.volume0, c.volume1, c.trades)`

  /** Rows as of a block that is not stored. */
  const homeless = sql`
    select as_of_number from (
      select as_of_number, as_of_hash from ${name("token_metrics")}
      union all select as_of_number, as_of_hash from ${name("pair_metrics")}
    ) m where not exists (select from ${name("blocks")} b where b.number = as_of_number and b.hash = as_of_hash)`

  return { wrong, wrongCandles, homeless }
}

const known = <M extends object>(metrics: ReadonlyArray<M> | undefined) =>
  metrics?.every((window) => Object.values(window).every((value) => Number(value) === 0)) === false
    ? metrics
    : undefined

/** All that is known of the last day of each token; a series of nothing is as good as none. */
const pictureOf = (state: TokenState, time: number) =>
  [...state.tokens.values()]
    .sort((a, b) => (a.address < b.address ? -1 : 1))
    .map(({ address, lastBlock, lastTime, trades, transfers }) => ({
      address,
      lastBlock,
      lastTime,
      transfers: known(transfers?.metrics(time)),
      transfersAnew: known(transfers?.recounted(time)),
      trades: known(trades?.metrics(time)),
      tradesAnew: known(trades?.recounted(time)),
      candles: trades?.candles(time - 86_400) ?? []
    }))

let schemas = 0

export const makeWorld = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const schema = `tokens_${schemas++}`
  const store = yield* SqlStore.make({ schema })
  const name = (table: string) => sql(`${schema}.${table}`)
  for (const statement of eventTables(schema)) yield* sql.unsafe(statement)
  yield* sql.unsafe(
    `create table "${schema}".blocks_all partition of "${schema}".blocks for values from (0) to (1000000)`
  )
  const lead = Effect.map(
    store.acquireLease({ holder: "test", duration: 600_000, evenIfHeld: true }),
    ({ lease }) => lease.epoch
  )
  const transaction = yield* Fence.make(schema, "keep token metrics")

  const insert = (
    table: string,
    columns: Readonly<Record<string, readonly [ElementType, ReadonlyArray<unknown>]>>
  ) =>
    sql.unsafe(
      `insert into "${schema}".${table} (${Object.keys(columns)
        .map((column) => `"${column}"`)
        .join(", ")}) select ${Object.keys(columns)
        .map((_, i) => `unnest($${i + 1})`)
        .join(", ")}`,
      Object.values(columns).map(([type, values]) => array(type, values))
    )

  const places = (events: ReadonlyArray<TokenEvent>) => ({
    block_number: ["int8", events.map(({ blockNumber }) => BigInt(blockNumber))] as const,
    block_timestamp: ["timestamptz", events.map(({ timestamp }) => new Date(timestamp * 1000))] as const,
    transaction_hash: ["bytea", events.map(() => Buffer.alloc(32))] as const,
    log_index: ["int4", events.map(({ logIndex }) => logIndex)] as const,
    contract: ["bytea", events.map((event) => bytes(eventAddress(event)))] as const
  })
  const numerics = (values: ReadonlyArray<bigint>) => ["numeric", values.map(String)] as const
  const addresses = (values: ReadonlyArray<Hex>) => ["bytea", values.map(bytes)] as const

  /** Blocks and their events into the tables, as a commit does. */
  const append = Effect.fnUntraced(function* (blocks: ReadonlyArray<StoryBlock>) {
    for (const { asOf } of blocks) {
      yield* sql.unsafe(
        `insert into "${schema}".blocks (number, hash, parent_hash, timestamp, ${constants.map(([column]) => column)})
         values ($1, $2, '', to_timestamp($3), ${constants.map(([, { type }]) => filler[type] ?? "0")})`,
        [PgTypes.int8(BigInt(asOf.number)), PgTypes.bytea(bytes(asOf.hash)), PgTypes.float8(asOf.timestamp)]
      )
    }
    const events = blocks.flatMap((block) => block.events)
    const transfers = events.flatMap((event) => (event._tag === "Transfer" ? [event] : []))
    const trades = events.flatMap((event) => (event._tag === "Trade" ? [event] : []))
    const isV2 = (pair: Hex) => Number.parseInt(pair.slice(-1), 16) % 4 < 2
    const [v2, v3] = [trades.filter(({ pair }) => isV2(pair)), trades.filter(({ pair }) => !isV2(pair))]
    yield* insert("erc20_transfer", {
      ...places(transfers),
      from: addresses(transfers.map(({ from }) => from)),
      to: addresses(transfers.map(({ to }) => to)),
      value: numerics(transfers.map(({ value }) => value))
    })
    yield* insert("uniswap_v2_swap", {
      ...places(v2),
      sender: addresses(v2.map(({ sender }) => sender)),
      // Some of what goes in comes out again.
      amount0_in: numerics(v2.map(({ amount0 }) => positive(amount0) + 7n)),
      amount1_in: numerics(v2.map(({ amount1 }) => positive(amount1))),
      amount0_out: numerics(v2.map(({ amount0 }) => positive(-amount0) + 7n)),
      amount1_out: numerics(v2.map(({ amount1 }) => positive(-amount1))),
      to: addresses(v2.map(({ recipient }) => recipient))
    })
    yield* insert("uniswap_v3_swap", {
      ...places(v3),
      sender: addresses(v3.map(({ sender }) => sender)),
      recipient: addresses(v3.map(({ recipient }) => recipient)),
      amount0: numerics(v3.map(({ amount0 }) => amount0)),
      amount1: numerics(v3.map(({ amount1 }) => amount1)),
      sqrt_price_x96: numerics(v3.map(() => 0n)),
      liquidity: numerics(v3.map(() => 0n)),
      tick: ["int4", v3.map(() => 0)]
    })
  })

  const rollback = Effect.fnUntraced(function* (ancestor: number) {
    const above = PgTypes.int8(BigInt(ancestor))
    yield* sql`delete from ${name("blocks")} where number > ${above}`
    for (const { table } of sources) yield* sql`delete from ${name(table)} where block_number > ${above}`
  })

  const { homeless, wrong, wrongCandles } = plainSql(sql, schema)

  /** A service of its own, as after a start of the program. */
  const service = (options: Partial<TokenMetrics.TokenMetricsOptions> = {}) =>
    TokenMetrics.make({ schema, sources, transaction, ...options })

  const rows = Effect.gen(function* () {
    const found: Array<unknown> = []
    for (const [table, key] of [
      ["token_metrics", "token, window_seconds"],
      ["pair_metrics", "pair, window_seconds"],
      ["token_candles", "pair, minute"]
    ] as const) {
      const all = yield* sql`select row(m.*)::text as row from ${name(table)} m order by ${sql.literal(key)}`
      found.push(all.map(({ row }) => row))
    }
    return found
  })

  /**
   * What a start at the tip comes to: memory and rows right after it, after a full flush and after pruning, and after
   * going back in memory as far as `ancestor`. All of it is taken back.
   */
  const outcome = Effect.fnUntraced(function* (
    how: "with checkpoint" | "without",
    epoch: number,
    tip: AsOf,
    ancestor: AsOf,
    options: Partial<TokenMetrics.TokenMetricsOptions>
  ) {
    const found = yield* Ref.make<ReadonlyArray<unknown>>([])
    let used = false
    yield* Effect.gen(function* () {
      if (how === "without") yield* sql`update ${name("token_checkpoint")} set state_number = null`
      const tokens = yield* service(options)
      yield* tokens.start(epoch, tip)
      used = (yield* sql`select from ${name("token_checkpoint")} where state_number is not null`).length > 0
      const started = [pictureOf(yield* tokens.state, tip.timestamp), yield* rows]
      const differences = yield* tokens.fullFlush
      const flushed = yield* rows
      const pruned = yield* tokens.prune
      const after = [pictureOf(yield* tokens.state, tip.timestamp), yield* rows]
      const state = yield* tokens.state
      const can = state.canRollback(ancestor)
      if (can) state.rollback(ancestor)
      // What was loaded above it is another's business, and is told from the tables.
      yield* Ref.set(found, [
        started,
        differences,
        flushed,
        pruned,
        after,
        can ? pictureOf(state, ancestor.timestamp) : []
      ])
      return yield* Effect.fail("taken back" as const)
    }).pipe(
      sql.withTransaction,
      Effect.catchIf(
        (error) => error === "taken back",
        () => Effect.void
      )
    )
    return { used, found: yield* Ref.get(found) }
  })

  return {
    sql,
    name,
    schema,
    store,
    lead,
    transaction,
    append,
    rollback,
    wrong,
    wrongCandles,
    homeless,
    outcome,
    service
  }
})
