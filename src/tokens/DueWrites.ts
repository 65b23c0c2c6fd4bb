/**
 * What is due, into the tables: rows that are not what was written last, candles, and the block that all hold as of.
 *
 * **Gotchas**
 *
 * A write is some transactions one after the other. Memory is read before the first of them, so that all rows of one
 * write hold as of the same block; who calls keeps writes apart.
 */
import { Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { StoreError } from "../store/Store.ts"
import type { DueRows, Ledger } from "./Ledger.ts"
import * as Price from "./Price.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { Pruned, TokenMemory } from "./TokenMemory.ts"
import type * as TokenRows from "./TokenRows.ts"
import type { TokenSources } from "./TokenSources.ts"
import type { Token } from "./TokenState.ts"
import type { TradeMetrics } from "./TradeSeries.ts"
import type { TransferMetrics } from "./TransferSeries.ts"
import { coarseReach, windows } from "./Windows.ts"

/** One transaction under the lease that the service was started with. */
export type Transact = <A>(effect: Effect.Effect<A, SqlError | StoreError>) => Effect.Effect<A, StoreError>

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

/** Rows of a token in whose windows nothing is. */
export const zeroTransfers = (address: Hex, asOf: AsOf): ReadonlyArray<TokenRows.TransferRow> =>
  windows.map(({ width }) => ({ address, width, asOf, metrics: noTransfers }))

export const zeroTrades = (address: Hex, asOf: AsOf, last: bigint): ReadonlyArray<TokenRows.TradeRow> =>
  windows.map(({ width }) => ({ address, width, asOf, metrics: noTrades, last }))

export type DueWrites = ReturnType<typeof make>

export const make = ({
  batchSize,
  memory,
  rows,
  sources,
  transact
}: {
  readonly memory: TokenMemory
  readonly rows: TokenRows.TokenRows
  readonly sources: TokenSources
  readonly transact: Transact
  /** Tokens of one transaction. */
  readonly batchSize: number
}) => {
  /**
   * All that is due of these tokens as of now, a batch a transaction: `first` begins the first of them, `last` ends the
   * last. Memory is read at the call, before the effect runs.
   */
  const write = (
    tokens: Iterable<Token>,
    asOf: AsOf,
    last: Effect.Effect<unknown, SqlError>,
    first: Effect.Effect<unknown, SqlError> = Effect.void
  ): Effect.Effect<void, StoreError> => {
    const due: Array<DueRows> = []
    for (const token of tokens) {
      const found = memory.ledger.due(token, asOf)
      if (found.transfers.length + found.trades.length > 0) due.push(found)
    }
    return put(due, memory.ledger, last, first)
  }

  const put = Effect.fnUntraced(function* (
    due: ReadonlyArray<DueRows>,
    into: Ledger,
    last: Effect.Effect<unknown, SqlError>,
    first: Effect.Effect<unknown, SqlError>
  ) {
    for (let i = 0; i === 0 || i < due.length; i += batchSize) {
      const batch = due.slice(i, i + batchSize)
      const insert = Effect.gen(function* () {
        if (i === 0) yield* first
        yield* rows.transfers(batch.flatMap(({ transfers }) => transfers))
        yield* rows.trades(batch.flatMap(({ trades }) => trades))
        if (i + batchSize >= due.length) yield* last
      })
      // Who fails does not know what stands there now: the connection may have gone after the commit.
      yield* Effect.onError(transact(insert), () =>
        Effect.sync(() => {
          for (const { token } of batch) into.forget(token)
        })
      )
      for (const written of batch) into.record(written)
    }
  })

  /** The candles that are due; after so long that memory may not have all of them any more, from the event tables. */
  const writeCandles = (due: ReadonlyMap<Hex, number>, asOf: AsOf): Effect.Effect<void, SqlError> => {
    let oldest = asOf.timestamp
    for (const from of due.values()) oldest = Math.min(oldest, from)
    if (oldest < asOf.timestamp - coarseReach / 2) return sources.rebuildCandles(oldest, asOf.number)
    return rows.candles(
      [...due].flatMap(([pair, from]) =>
        (memory.state.tokens.get(pair)?.trades?.candles(from) ?? []).map((candle) => ({ pair, candle }))
      )
    )
  }

  /** Writes what is due of the tokens that were touched, or of all; what fails to be written stays due. */
  const writeDue = (which: "touched" | "all"): Effect.Effect<void, StoreError> =>
    Effect.suspend(() => {
      const { asOf, tokens } = memory.state
      if (asOf === undefined || (which === "touched" && memory.touched.size === 0)) return Effect.void
      const [moved, due] = [memory.touched, new Map(memory.candles)]
      memory.touched = new Set()
      memory.candles.clear()
      const last = Effect.andThen(
        writeCandles(due, asOf),
        rows.checkpoint(asOf, memory.voids, which === "all")
      )
      return write(which === "all" ? tokens.values() : memory.tokensOf(moved), asOf, last).pipe(
        Effect.onError(() =>
          Effect.sync(() => {
            for (const address of moved) memory.touched.add(address)
            for (const [pair, from] of due) memory.candlesDue(pair, from)
          })
        )
      )
    })

  /** Rows of zeros for dropped tokens, which are forgotten with that. */
  const retire = Effect.fnUntraced(function* (gone: ReadonlyArray<readonly [Hex, Pruned]>, asOf: AsOf) {
    for (let i = 0; i < gone.length; i += batchSize) {
      const batch = gone.slice(i, i + batchSize)
      yield* transact(
        Effect.andThen(
          rows.transfers(
            batch.flatMap(([token, { transfers }]) => (transfers ? zeroTransfers(token, asOf) : []))
          ),
          rows.trades(
            batch.flatMap(([pair, { trades }]) => (trades ? zeroTrades(pair, asOf, Price.none) : []))
          )
        )
      )
      for (const [address] of batch) memory.pruned.delete(address)
    }
  })

  return { write, writeDue, retire }
}
