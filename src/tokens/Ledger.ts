/**
 * What stands in the tables as far as this process wrote it, so that only what has changed is written.
 */
import type { AsOf } from "./TokenEvent.ts"
import type { TradeRow, TransferRow } from "./TokenRows.ts"
import type { Token } from "./TokenState.ts"
import type { TradeMetrics } from "./TradeSeries.ts"
import type { TransferMetrics } from "./TransferSeries.ts"
import { windows } from "./Windows.ts"

export interface WrittenTrades {
  readonly metrics: TradeMetrics
  readonly last: bigint
}

interface Written {
  /** By window. */
  readonly transfers: Array<TransferMetrics | undefined>
  readonly trades: Array<WrittenTrades | undefined>
}

/** The rows of a token that are not what was written last. */
export interface DueRows {
  readonly token: Token
  readonly transfers: ReadonlyArray<TransferRow>
  readonly trades: ReadonlyArray<TradeRow>
}

export class Ledger {
  private readonly rows = new WeakMap<Token, Written>()

  due(token: Token, asOf: AsOf): DueRows {
    const before = this.rows.get(token)
    const trades = token.trades
    return {
      token,
      transfers:
        token.transfers?.metrics(asOf.timestamp).flatMap((metrics, w) => {
          const known = before?.transfers[w]
          return known !== undefined && same(known, metrics)
            ? []
            : [{ address: token.address, width: windows[w]?.width ?? 0, asOf, metrics }]
        }) ?? [],
      trades:
        trades?.metrics(asOf.timestamp).flatMap((metrics, w) => {
          const known = before?.trades[w]
          return known !== undefined && known.last === trades.last && same(known.metrics, metrics)
            ? []
            : [{ address: token.address, width: windows[w]?.width ?? 0, asOf, metrics, last: trades.last }]
        }) ?? []
    }
  }

  record({ token, trades, transfers }: DueRows): void {
    const known = this.rows.get(token) ?? { transfers: [], trades: [] }
    for (const { metrics, width } of transfers) known.transfers[indexOf(width)] = metrics
    for (const { last, metrics, width } of trades) known.trades[indexOf(width)] = { metrics, last }
    this.rows.set(token, known)
  }

  transfers(token: Token, width: number): TransferMetrics | undefined {
    return this.rows.get(token)?.transfers[indexOf(width)]
  }

  trades(token: Token, width: number): WrittenTrades | undefined {
    return this.rows.get(token)?.trades[indexOf(width)]
  }

  /** Kind and width of each row that was written. */
  written(token: Token): ReadonlyArray<string> {
    const known = this.rows.get(token)
    const named = (kind: string, all: ReadonlyArray<unknown> = []) =>
      all.flatMap((row, w) => (row === undefined ? [] : [`${kind} ${windows[w]?.width ?? 0}`]))
    return [...named("transfers", known?.transfers), ...named("trades", known?.trades)]
  }

  /** All its rows are due. */
  forget(token: Token): void {
    this.rows.delete(token)
  }
}

const indexOf = (width: number): number => windows.findIndex((window) => window.width === width)

/** Whether two sets of metrics are the same, measure by measure. */
export const same = <M extends TransferMetrics | TradeMetrics>(a: M, b: M): boolean => {
  for (const key in a) if (a[key] !== b[key]) return false
  return true
}
