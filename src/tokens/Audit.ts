/**
 * Whether metrics are what they should be: running totals against a count of what is retained, and rows against what
 * was written.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import * as Rows from "../store/Rows.ts"
import { byteas } from "./Arrays.ts"
import { type Ledger, same } from "./Ledger.ts"
import * as Price from "./Price.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { Token, TokenState } from "./TokenState.ts"

/** Those of the tokens whose running totals are not what their entries and addresses add up to. */
export const recount = (tokens: ReadonlyArray<Token>, { timestamp }: AsOf): ReadonlyArray<Token> =>
  tokens.filter(({ trades, transfers }) => {
    const anew = transfers?.recounted(timestamp)
    const traded = trades?.recounted(timestamp)
    return !(
      (transfers?.metrics(timestamp).every((said, w) => anew?.[w] !== undefined && same(said, anew[w])) ??
        true) &&
      (trades?.metrics(timestamp).every((said, w) => traded?.[w] !== undefined && same(said, traded[w])) ??
        true)
    )
  })

interface TransferRow {
  readonly token: Uint8Array
  readonly window_seconds: number
  readonly transfers: bigint
  readonly senders: bigint
  readonly receivers: bigint
  readonly volume: string
}

interface TradeRow {
  readonly pair: Uint8Array
  readonly window_seconds: number
  readonly trades: bigint
  readonly buys: bigint
  readonly sells: bigint
  readonly volume0: string
  readonly volume1: string
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
}

/** As PostgreSQL writes it, without zeros at the end of a fraction. */
const decimal = (text: string | null): string | undefined =>
  text === null ? undefined : text.includes(".") ? text.replace(/\.?0+$/, "") : text

export const make = (sql: SqlClient.SqlClient, schema: string) => {
  let after: Hex = "0x"

  /** Reads the rows of the next `count` tokens in memory; returns those that have a row which is not what was written. */
  const compare = Effect.fnUntraced(function* (
    state: TokenState,
    ledger: Ledger,
    count: number
  ): Effect.fn.Return<ReadonlyArray<Token>, SqlError> {
    const all = [...state.tokens.keys()].sort()
    const from = all.findIndex((address) => address > after)
    const next = all.slice(Math.max(0, from), Math.max(0, from) + count)
    after = next.length < count ? "0x" : (next.at(-1) ?? "0x")
    if (next.length === 0) return []
    const astray = new Set<Token>()
    const found = new Set<string>()
    const transfers = yield* sql<TransferRow>`
      select token, window_seconds, transfers, senders, receivers, volume
      from ${sql(`${schema}.token_metrics`)} where token = any(${byteas(next)})`
    for (const row of transfers) {
      const token = state.tokens.get(Rows.toHex(row.token))
      const written = token && ledger.transfers(token, row.window_seconds)
      if (token === undefined || written === undefined) continue
      found.add(`${token.address} transfers ${row.window_seconds}`)
      const stored = {
        transfers: Number(row.transfers),
        senders: Number(row.senders),
        receivers: Number(row.receivers),
        volume: BigInt(row.volume)
      }
      if (!same(stored, written)) astray.add(token)
    }
    const trades = yield* sql<TradeRow>`
      select pair, window_seconds, trades, buys, sells, volume0, volume1, open, high, low, close
      from ${sql(`${schema}.pair_metrics`)} where pair = any(${byteas(next)})`
    for (const row of trades) {
      const token = state.tokens.get(Rows.toHex(row.pair))
      const written = token && ledger.trades(token, row.window_seconds)?.metrics
      if (token === undefined || written === undefined) continue
      found.add(`${token.address} trades ${row.window_seconds}`)
      const fits =
        written.trades === Number(row.trades) &&
        written.buys === Number(row.buys) &&
        written.sells === Number(row.sells) &&
        written.volume0 === BigInt(row.volume0) &&
        written.volume1 === BigInt(row.volume1) &&
        (["open", "high", "low", "close"] as const).every(
          (which) => Price.toDecimal(written[which]) === decimal(row[which])
        )
      if (!fits) astray.add(token)
    }
    for (const address of next) {
      const token = state.tokens.get(address)
      if (token !== undefined && ledger.written(token).some((row) => !found.has(`${address} ${row}`)))
        astray.add(token)
    }
    return [...astray]
  })

  return { compare }
}
