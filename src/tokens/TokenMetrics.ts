/**
 * The metrics of every token that moves, kept in tables: what was committed goes into the state in memory at once, and
 * from there into rows every few seconds.
 *
 * **When to use**: `start` under each new lease, `committed` after each commit and `rolledBack` after each rollback, in
 * their order; `run` beside them, for as long as the lease.
 *
 * **Details**
 *
 * - A *flush* writes the rows of the tokens that were touched since the last one. A *full flush* counts all tokens anew
 *   from what is retained, compares that with the running totals, and rows of some tokens in turn with what was
 *   written, and writes whatever is due, such as windows that events have left.
 * - Every row says as of which block it holds. A row that does not change keeps the block it has: `token_checkpoint`
 *   says up to which block all of them have been found to hold (`checked_number`).
 * - Idle tokens are pruned from memory. One that moves again gets its last day back from the event tables first; one
 *   that has been idle for a day gets rows of zeros.
 * - After a rollback, rows as of a block that is gone are written anew before `rolledBack` returns. Where a process
 *   ends in between, the next `start` finds them by their block's hash.
 *
 * **Gotchas**
 *
 * A failure leaves memory and tables apart: `start` again, which reads everything anew.
 */
import { PgTypes } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, Semaphore } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { Fence } from "../store/Fence.ts"
import * as Rows from "../store/Rows.ts"
import { toStoreError } from "../store/SqlFailure.ts"
import type { StoreError } from "../store/Store.ts"
import * as Audit from "./Audit.ts"
import { type DueRows, Ledger } from "./Ledger.ts"
import * as Metrics from "./Metrics.ts"
import * as Price from "./Price.ts"
import { type AsOf, addressOf, type TokenEvent } from "./TokenEvent.ts"
import * as TokenRows from "./TokenRows.ts"
import * as TokenSources from "./TokenSources.ts"
import { type Token, TokenState } from "./TokenState.ts"
import type { TradeMetrics } from "./TradeSeries.ts"
import type { TransferMetrics } from "./TransferSeries.ts"
import { coarseReach, minute, minuteOf, windows } from "./Windows.ts"

export interface TokenMetricsOptions {
  /** The deployment's schema, with the tables of `TokenTables`. */
  readonly schema: string
  /** The event tables. */
  readonly sources: ReadonlyArray<TokenSources.TokenSource>
  /** Every write goes through it; see `store/Fence`. */
  readonly transaction: Fence
  /** Default 5 seconds. */
  readonly flushInterval?: Duration.Input
  /** Default 60 seconds. */
  readonly fullFlushInterval?: Duration.Input
  /** `FLUSH_BATCH_SIZE`: tokens of one transaction. Default 500. */
  readonly flushBatchSize?: number
  /** `TOKEN_PRUNE_THRESHOLD_SECS`: seconds of chain time without an event. Default 7,200. */
  readonly pruneThreshold?: number
  /** Blocks that a rollback takes back from memory; a deeper one reads the last day anew. Default 32. */
  readonly undoBlocks?: number
  /** Tokens whose rows a full flush reads back, in turn. Default 1,000. */
  readonly auditTokens?: number
}

export class TokenMetrics extends Context.Service<
  TokenMetrics,
  {
    /** Reads the last day, mends rows that claim a block that is gone, and writes what is due. */
    readonly start: (epoch: number, tip: AsOf | undefined) => Effect.Effect<void, StoreError>
    /** These events, in order, are in the tables with all blocks up to the tip. */
    readonly committed: (events: ReadonlyArray<TokenEvent>, tip: AsOf) => Effect.Effect<void, StoreError>
    /** All blocks above the tip are gone from the tables; undefined when there is none left. */
    readonly rolledBack: (tip: AsOf | undefined) => Effect.Effect<void, StoreError>
    /** Writes the tokens that were touched. */
    readonly flush: Effect.Effect<void, StoreError>
    /** Counts all anew, and writes what is due; returns the differences it found. */
    readonly fullFlush: Effect.Effect<number, StoreError>
    /** Drops idle tokens from memory; returns how many. */
    readonly prune: Effect.Effect<number, StoreError>
    /** Flushes and prunes by the clock. Ends with what no retry can mend, such as `Fenced`. */
    readonly run: Effect.Effect<never, StoreError>
    /** What the tokens in memory are; for tests and benches. */
    readonly state: Effect.Effect<TokenState>
  }
>()("sluice/tokens/TokenMetrics") {
  static readonly layer = (
    options: TokenMetricsOptions
  ): Layer.Layer<TokenMetrics, never, SqlClient.SqlClient> => Layer.effect(TokenMetrics, make(options))
}

/** What is remembered of a token that was dropped. */
interface Pruned {
  readonly lastTime: number
  readonly transfers: boolean
  readonly trades: boolean
}

/** Beyond a day, so that the newest blocks can be taken back exactly. Seconds. */
const slack = 7_200

const noTransfers: TransferMetrics = { transfers: 0, senders: 0, receivers: 0, volume: 0n }
const noTrades: TradeMetrics = {
  trades: 0,
  buys: 0,
  sells: 0,
  volume0: 0n,
  volume1: 0n,
  open: Price.none,
  high: Price.none,
  low: Price.none,
  close: Price.none
}

const zeroTransfers = (address: Hex, asOf: AsOf): ReadonlyArray<TokenRows.TransferRow> =>
  windows.map(({ width }) => ({ address, width, asOf, metrics: noTransfers }))

const zeroTrades = (address: Hex, asOf: AsOf, last: bigint): ReadonlyArray<TokenRows.TradeRow> =>
  windows.map(({ width }) => ({ address, width, asOf, metrics: noTrades, last }))

export const make = Effect.fnUntraced(function* ({
  auditTokens = 1_000,
  flushBatchSize = 500,
  flushInterval = "5 seconds",
  fullFlushInterval = "60 seconds",
  pruneThreshold = 7_200,
  schema,
  sources: tables,
  transaction,
  undoBlocks = 32
}: TokenMetricsOptions): Effect.fn.Return<TokenMetrics["Service"], never, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const name = (table: string) => sql(`${schema}.${table}`)
  const sources = TokenSources.make(sql, schema, tables)
  const rows = TokenRows.make(sql, schema)
  const audit = Audit.make(sql, schema)

  /** The delta set: what has moved since it was written. */
  let touched = new Set<Hex>()
  const pruned = new Map<Hex, Pruned>()
  /** The first minute of each pair whose candle is due. */
  const candles = new Map<Hex, number>()
  let state = new TokenState({ undoBlocks })
  let ledger = new Ledger()
  let epoch = 0
  /** Where the search for blocks of the last day begins. */
  let lowest = { block: 0, time: 0 }

  // Memory is looked at and changed in one synchronous step, which no other fiber can get between. What takes several
  // steps is kept apart: changes of the state from each other, and writes from writes and from a rollback. Who needs
  // both permits takes that for writing first.
  const changing = yield* Semaphore.make(1)
  const writing = yield* Semaphore.make(1)
  const alone = <A, E>(effect: Effect.Effect<A, E>) => writing.withPermit(changing.withPermit(effect))

  const asStoreError = Effect.mapError(toStoreError("keep token metrics"))
  const timed = <A, E>(kind: Metrics.FlushKind, effect: Effect.Effect<A, E>) =>
    Effect.flatMap(Effect.timed(effect), ([took, result]) =>
      Effect.as(Metrics.flushed(kind, Duration.toMillis(took)), result)
    )
  const standing = Effect.suspend(() => Metrics.standing(state.tokens.size, touched.size))

  // Writing

  /**
   * All that is due of these tokens as of now, a batch a transaction: `first` begins the first of them, `last` ends the
   * last. Memory is read before the first yield.
   */
  const write = Effect.fnUntraced(function* (
    tokens: Iterable<Token>,
    asOf: AsOf,
    last: Effect.Effect<unknown, SqlError>,
    first: Effect.Effect<unknown, SqlError> = Effect.void
  ) {
    const into = ledger
    const due: Array<DueRows> = []
    for (const token of tokens) {
      const found = into.due(token, asOf)
      if (found.transfers.length + found.trades.length > 0) due.push(found)
    }
    for (let i = 0; i === 0 || i < due.length; i += flushBatchSize) {
      const batch = due.slice(i, i + flushBatchSize)
      const insert = Effect.gen(function* () {
        if (i === 0) yield* first
        yield* rows.transfers(batch.flatMap(({ transfers }) => transfers))
        yield* rows.trades(batch.flatMap(({ trades }) => trades))
        if (i + flushBatchSize >= due.length) yield* last
      })
      yield* transaction(epoch, insert)
      for (const written of batch) into.record(written)
    }
  })

  const tokensOf = (addresses: Iterable<Hex>): ReadonlyArray<Token> =>
    [...addresses].flatMap((address) => state.tokens.get(address) ?? [])

  /** The candles that are due; after so long that memory may not have all of them any more, from the event tables. */
  const writeCandles = (due: ReadonlyMap<Hex, number>, asOf: AsOf): Effect.Effect<void, SqlError> => {
    let oldest = asOf.timestamp
    for (const from of due.values()) oldest = Math.min(oldest, from)
    if (oldest < asOf.timestamp - coarseReach / 2) return sources.rebuildCandles(oldest, asOf.number)
    return rows.candles(
      [...due].flatMap(([pair, from]) =>
        (state.tokens.get(pair)?.trades?.candles(from) ?? []).map((candle) => ({ pair, candle }))
      )
    )
  }

  const dueFrom = (pair: Hex, from: number) => candles.set(pair, Math.min(from, candles.get(pair) ?? from))

  /** Writes what is due of the tokens that were touched, or of all; what fails to be written stays due. */
  const writeDue = (which: "touched" | "all"): Effect.Effect<void, StoreError> =>
    Effect.suspend(() => {
      const { asOf } = state
      if (asOf === undefined || (which === "touched" && touched.size === 0)) return Effect.void
      const [moved, due] = [touched, new Map(candles)]
      touched = new Set()
      candles.clear()
      const last = Effect.andThen(writeCandles(due, asOf), rows.checkpoint(asOf, which === "all"))
      return write(which === "all" ? state.tokens.values() : tokensOf(moved), asOf, last).pipe(
        Effect.onError(() =>
          Effect.sync(() => {
            for (const address of moved) touched.add(address)
            for (const [pair, from] of due) dueFrom(pair, from)
          })
        )
      )
    })

  const flush = Effect.suspend(() =>
    touched.size === 0 ? Effect.void : timed("delta", writeDue("touched"))
  ).pipe(
    writing.withPermit,
    Effect.tap(() => standing)
  )

  /** Reads back what was counted wrongly; returns how many tokens that were. */
  const correct = Effect.gen(function* () {
    const { asOf } = state
    const wrong = asOf === undefined ? [] : Audit.recount(state, asOf).map(({ address }) => address)
    if (asOf === undefined || wrong.length === 0) return 0
    for (const address of wrong) state.drop(address)
    yield* readBack(wrong, asOf)
    return wrong.length
  }).pipe(changing.withPermit)

  const fullFlush = Effect.gen(function* () {
    const memory = yield* correct
    const astray = yield* audit.compare(state, ledger, auditTokens)
    for (const token of astray) ledger.forget(token)
    const differences = memory + astray.length
    yield* Metrics.differed(differences)
    if (differences > 0) {
      yield* Effect.logError("token metrics were not what counting anew says").pipe(
        Effect.annotateLogs({ memory, rows: astray.length })
      )
    }
    yield* writeDue("all")
    return differences
  }).pipe(
    (effect) => timed("full", effect),
    writing.withPermit,
    asStoreError,
    Effect.tap(() => standing)
  )

  // Reading back

  /** A block at or below the first one of the last day; later ones are found by going on from it. */
  const dayStart = Effect.fnUntraced(function* (asOf: AsOf) {
    const after = asOf.timestamp - coarseReach - minute
    if (lowest.time === 0 || lowest.time > after || lowest.time < after - slack) {
      lowest = { block: yield* sources.firstBlock(after, asOf.number), time: after }
    }
    return { from: lowest.block, after }
  })

  /** Puts the last day of tokens that are not in memory there, as of this block. */
  const readBack = Effect.fnUntraced(function* (addresses: ReadonlyArray<Hex>, asOf: AsOf) {
    if (addresses.length === 0) return
    const range = { ...(yield* dayStart(asOf)), to: asOf.number, addresses }
    state.load(yield* sources.page(range), asOf.number)
    for (const address of addresses) pruned.delete(address)
    yield* Metrics.readBack(addresses.length)
  })

  /**
   * Brings tokens in order whose rows hold no more: what memory does not know is asked of the event tables. Returns how
   * the rows of those are written that memory still does not know.
   */
  const mend = Effect.fnUntraced(function* (addresses: ReadonlySet<Hex>, asOf: AsOf) {
    yield* readBack(
      [...addresses].filter((address) => !state.tokens.has(address)),
      asOf
    )
    const without = (part: "transfers" | "trades") =>
      [...addresses].filter((address) => state.tokens.get(address)?.[part] === undefined)
    const [tokens, pairs] = [without("transfers"), without("trades")]
    const [knownTokens, knownPairs] = [
      new Set(yield* sources.existing("transfers", tokens, asOf.number)),
      new Set(yield* sources.existing("trades", pairs, asOf.number))
    ]
    const noPrice = tokensOf(addresses).flatMap(({ address, trades }) =>
      trades?.last === Price.none ? [address] : []
    )
    const prices = new Map(
      (yield* sources.lastPrices([...knownPairs, ...noPrice], asOf.number)).map(
        ({ amount0, amount1, pair }) => [pair, Price.of(amount0, amount1)] as const
      )
    )
    for (const token of tokensOf(addresses)) {
      ledger.forget(token)
      if (token.trades?.last === Price.none) token.trades.last = prices.get(token.address) ?? Price.none
    }
    const insert = Effect.gen(function* () {
      yield* rows.removeTransfers(tokens.filter((token) => !knownTokens.has(token)))
      // Also where the price is to become none.
      yield* rows.removeTrades([...pairs, ...noPrice])
      yield* rows.transfers([...knownTokens].flatMap((token) => zeroTransfers(token, asOf)))
      yield* rows.trades(
        [...knownPairs].flatMap((pair) => zeroTrades(pair, asOf, prices.get(pair) ?? Price.none))
      )
    })
    return { insert }
  })

  /** Addresses whose rows hold as of a block that is not there any more. */
  const claiming = (tip: AsOf) => {
    const part = (table: string, column: string) => sql`
      select m.${sql(column)} as address from ${name(table)} m
      left join ${name("blocks")} b on b.number = m.as_of_number
      where m.as_of_number > ${PgTypes.int8(BigInt(tip.number))} or b.hash <> m.as_of_hash`
    return Effect.map(
      sql<{
        readonly address: Uint8Array
      }>`${part("token_metrics", "token")} union ${part("pair_metrics", "pair")}`,
      (found) => new Set(found.map(({ address }) => Rows.toHex(address)))
    )
  }

  /** Addresses whose rows say that something happened in the last day. */
  const active = Effect.map(
    sql<{ readonly address: Uint8Array }>`
      select token as address from ${name("token_metrics")} where window_seconds = ${coarseReach}::int4 and transfers > 0
      union select pair from ${name("pair_metrics")} where window_seconds = ${coarseReach}::int4 and trades > 0`,
    (found) => found.map(({ address }) => Rows.toHex(address))
  )

  interface Checkpoint {
    readonly number: bigint | null
    readonly timestamp: bigint | null
    readonly gone: boolean
  }

  /** Reads the last day anew. */
  const load = Effect.fnUntraced(function* (tip: AsOf | undefined) {
    pruned.clear()
    candles.clear()
    touched = new Set()
    ledger = new Ledger()
    lowest = { block: 0, time: 0 }
    if (tip === undefined) {
      state = new TokenState({ undoBlocks })
      yield* transaction(epoch, rows.clear)
      return
    }
    const [checkpoint] = yield* sql<Checkpoint>`
      select c.number, c.timestamp, coalesce(c.number > ${PgTypes.int8(BigInt(tip.number))} or b.hash <> c.hash, false) as gone
      from ${name("token_checkpoint")} c left join ${name("blocks")} b on b.number = c.number`
    const knownFrom = tip.timestamp - coarseReach - slack
    const floor = { number: tip.number - undoBlocks, timestamp: Math.max(0, tip.timestamp - slack) }
    const fresh = new TokenState({ undoBlocks, knownFrom, floor })
    const from = yield* sources.firstBlock(knownFrom - 1, tip.number)
    yield* sources.scan({ from, to: tip.number, after: knownFrom - 1 }, (events) => {
      const settled = events.findIndex(({ blockNumber }) => blockNumber > floor.number)
      fresh.load(settled < 0 ? events : events.slice(0, settled), floor.number)
      for (const block of settled < 0 ? [] : blocksOf(events.slice(settled))) fresh.apply(block, block.events)
    })
    fresh.advance(tip)
    state = fresh
    const flushed = checkpoint === undefined || checkpoint.gone ? null : checkpoint.number
    const late = [...state.tokens.values()].filter(
      ({ lastBlock }) => flushed === null || lastBlock > Number(flushed)
    )
    const due = new Set([
      ...(yield* claiming(tip)),
      ...(yield* active).filter((address) => !state.tokens.has(address)),
      ...late.map(({ address }) => address)
    ])
    const mended = yield* mend(due, tip)
    const candlesFrom =
      flushed === null || checkpoint?.timestamp == null
        ? tip.timestamp - coarseReach
        : Math.min(Number(checkpoint.timestamp), tip.timestamp)
    yield* write(
      tokensOf(due),
      tip,
      Effect.gen(function* () {
        yield* sources.rebuildCandles(minuteOf(candlesFrom), tip.number)
        yield* rows.checkpoint(tip, false)
      }),
      mended.insert
    )
    drop(tip)
  })

  /** Drops what is idle, but for what is due. */
  const drop = (asOf: AsOf, due: ReadonlySet<Hex> = new Set()): number => {
    const idle = state.prune(asOf.timestamp - pruneThreshold, due)
    for (const { address, lastTime, trades, transfers } of idle) {
      pruned.set(address, { lastTime, transfers: transfers !== undefined, trades: trades !== undefined })
    }
    return idle.length
  }

  const start: TokenMetrics["Service"]["start"] = (under, tip) =>
    Effect.suspend(() => {
      epoch = under
      return load(tip)
    }).pipe(alone, asStoreError, Effect.andThen(standing))

  // Following the chain

  const committed: TokenMetrics["Service"]["committed"] = (events, tip) =>
    Effect.suspend(() => {
      const before = state.asOf
      const first = events[0]?.blockNumber ?? tip.number
      // Blocks that fill a hole below.
      if (
        before !== undefined &&
        (tip.number < before.number || (events.length > 0 && first <= before.number))
      ) {
        return alone(load(tip))
      }
      return changing.withPermit(
        Effect.gen(function* () {
          const moved = new Set(events.map(addressOf))
          const asleep = [...moved].filter((address) => pruned.has(address))
          if (before !== undefined) yield* readBack(asleep, before)
          yield* Effect.sync(() => {
            for (const block of blocksOf(events)) state.apply(block, block.events)
            state.advance(tip)
            for (const event of events) {
              if (event._tag === "Trade") dueFrom(event.pair, minuteOf(event.timestamp))
            }
            for (const address of moved) touched.add(address)
          })
        })
      )
    }).pipe(asStoreError)

  const rolledBack: TokenMetrics["Service"]["rolledBack"] = (tip) =>
    Effect.gen(function* () {
      if (tip === undefined || state.asOf === undefined || !state.canRollback(tip)) return yield* load(tip)
      const { changed, lost } = state.rollback(tip)
      lowest = { block: 0, time: 0 }
      const due = new Set([...changed, ...lost, ...(yield* claiming(tip))])
      const mended = yield* mend(due, tip)
      const from = minuteOf(tip.timestamp)
      for (const pair of [...candles.keys()]) dueFrom(pair, from)
      yield* write(
        tokensOf(due),
        tip,
        Effect.gen(function* () {
          yield* sources.rebuildCandles(from, tip.number)
          yield* rows.checkpoint(tip, false)
        }),
        mended.insert
      )
    }).pipe((effect) => timed("rollback", effect), alone, asStoreError)

  /** Pruned tokens of which nothing is left in any window. */
  const retired = (asOf: AsOf) =>
    [...pruned].filter(([, { lastTime }]) => lastTime <= asOf.timestamp - coarseReach - minute)

  const prune = Effect.gen(function* () {
    const asOf = state.asOf
    if (asOf === undefined) return 0
    const count = drop(asOf, touched)
    yield* Metrics.dropped(count)
    const gone = retired(asOf)
    for (let i = 0; i < gone.length; i += flushBatchSize) {
      const batch = gone.slice(i, i + flushBatchSize)
      yield* transaction(
        epoch,
        Effect.andThen(
          rows.transfers(
            batch.flatMap(([token, { transfers }]) => (transfers ? zeroTransfers(token, asOf) : []))
          ),
          rows.trades(
            batch.flatMap(([pair, { trades }]) => (trades ? zeroTrades(pair, asOf, Price.none) : []))
          )
        )
      )
      for (const [address] of batch) pruned.delete(address)
    }
    return count
  }).pipe(
    writing.withPermit,
    Effect.tap(() => standing)
  )

  /** Again and again; what may pass is waited out. */
  const every = <A>(interval: Duration.Input, effect: Effect.Effect<A, StoreError>) =>
    Effect.sleep(interval).pipe(
      Effect.andThen(effect),
      Effect.catchIf(
        (error) => error.isRetryable,
        (error) =>
          Effect.logWarning("token metrics are not written").pipe(
            Effect.annotateLogs({ reason: error.message })
          )
      ),
      Effect.forever
    )

  const run = Effect.all(
    [every(flushInterval, flush), every(fullFlushInterval, fullFlush), every(fullFlushInterval, prune)],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.andThen(Effect.never))

  yield* Metrics.zero
  return TokenMetrics.of({
    start,
    committed,
    rolledBack,
    flush,
    fullFlush,
    prune,
    run,
    state: Effect.sync(() => state)
  })
})

/** Events by block. */
const blocksOf = (
  events: ReadonlyArray<TokenEvent>
): ReadonlyArray<{
  readonly number: number
  readonly timestamp: number
  readonly events: ReadonlyArray<TokenEvent>
}> => {
  const blocks: Array<{ number: number; timestamp: number; events: Array<TokenEvent> }> = []
  for (const event of events) {
    const last = blocks.at(-1)
    if (last?.number === event.blockNumber) last.events.push(event)
    else blocks.push({ number: event.blockNumber, timestamp: event.timestamp, events: [event] })
  }
  return blocks
}
