/**
 * Tokens read back from the event tables while the service runs: those that were dropped and move again, and those
 * whose rows hold no more, whether they are in memory or not.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Hex } from "../chain/Block.ts"
import * as Rows from "../store/Rows.ts"
import { zeroTrades, zeroTransfers } from "./DueWrites.ts"
import * as Metrics from "./Metrics.ts"
import * as Price from "./Price.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { TokenMemory } from "./TokenMemory.ts"
import type { TokenRows } from "./TokenRows.ts"
import type { TokenSources } from "./TokenSources.ts"
import { coarseReach, minute } from "./Windows.ts"

/** Beyond a day, so that the newest blocks can be taken back exactly. Seconds. */
export const slack = 7_200

export type ReadBack = ReturnType<typeof make>

export const make = ({
  memory,
  rows,
  schema,
  sources,
  sql
}: {
  readonly sql: SqlClient.SqlClient
  readonly schema: string
  readonly memory: TokenMemory
  readonly rows: TokenRows
  readonly sources: TokenSources
}) => {
  const name = (table: string) => sql(`${schema}.${table}`)

  /** Where the search for blocks of the last day begins. */
  let lowest = { block: 0, time: 0 }

  /** The search begins from the first block again: blocks have gone, or come below. */
  const searchAnew = (): void => {
    lowest = { block: 0, time: 0 }
  }

  /** A block at or below the first one of the last day; later ones are found by going on from it. */
  const dayStart = Effect.fnUntraced(function* (asOf: AsOf) {
    const after = asOf.timestamp - coarseReach - minute
    if (lowest.time === 0 || lowest.time > after || lowest.time < after - slack) {
      const from = lowest.time > 0 && lowest.time <= after ? lowest.block : 0
      lowest = { block: yield* sources.firstBlock(after, asOf.number, from), time: after }
    }
    return { from: lowest.block, after }
  })

  /** Puts the last day of tokens into memory, as of this block, in place of what is there. */
  const readBack = Effect.fnUntraced(function* (addresses: ReadonlyArray<Hex>, asOf: AsOf) {
    if (addresses.length === 0) return
    const range = { ...(yield* dayStart(asOf)), to: asOf.number, addresses }
    const events = yield* sources.page(range)
    for (const address of addresses) {
      memory.state.drop(address)
      memory.pruned.delete(address)
    }
    memory.state.load(events, asOf.number)
    yield* Metrics.readBack(addresses.length)
  })

  /**
   * Brings tokens in order whose rows hold no more: what memory does not know is asked of the event tables. Returns how
   * the rows of those are written that memory still does not know.
   */
  const mend = Effect.fnUntraced(function* (addresses: ReadonlySet<Hex>, asOf: AsOf) {
    const { ledger } = memory
    yield* readBack(
      [...addresses].filter((address) => !memory.state.tokens.has(address)),
      asOf
    )
    const without = (part: "transfers" | "trades") =>
      [...addresses].filter((address) => memory.state.tokens.get(address)?.[part] === undefined)
    const [tokens, pairs] = [without("transfers"), without("trades")]
    const [knownTokens, knownPairs] = [
      new Set(yield* sources.existing("transfers", tokens, asOf.number)),
      new Set(yield* sources.existing("trades", pairs, asOf.number))
    ]
    const noPrice = memory
      .tokensOf(addresses)
      .flatMap(({ address, trades }) => (trades?.last === Price.none ? [address] : []))
    const prices = new Map(
      (yield* sources.lastPrices([...knownPairs, ...noPrice], asOf.number)).map(
        ({ amount0, amount1, pair }) => [pair, Price.of(amount0, amount1)] as const
      )
    )
    for (const token of memory.tokensOf(addresses)) {
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

  /**
   * Addresses whose rows hold as of a block that is not there any more: of one above the tip, and, where somebody else
   * may have written them, of one with another hash, for which all rows are compared with the blocks.
   */
  const claiming = (tip: AsOf, whose: "ours" | "anybody's") => {
    const above = sql`m.as_of_number > ${PgTypes.int8(BigInt(tip.number))}`
    const part = (table: string, column: string) =>
      whose === "ours"
        ? sql`select m.${sql(column)} as address from ${name(table)} m where ${above}`
        : sql`
          select m.${sql(column)} as address from ${name(table)} m
          left join ${name("blocks")} b on b.number = m.as_of_number
          where ${above} or b.hash <> m.as_of_hash`
    return Effect.map(
      sql<{
        readonly address: Uint8Array
      }>`${part("token_metrics", "token")} union ${part("pair_metrics", "pair")}`,
      (found) => new Set(found.map(({ address }) => Rows.toHex(address)))
    )
  }

  return { readBack, mend, claiming, searchAnew }
}
