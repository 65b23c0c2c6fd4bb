/**
 * The trades of one pair, over all windows and by minute.
 */
import * as Price from "./Price.ts"
import type { Trade } from "./TokenEvent.ts"
import { type SavedWindowed, Windowed } from "./Windowed.ts"
import { windows } from "./Windows.ts"

/** Open, high, low and close; all are `Price.none` where no trade had a price. */
export interface Prices {
  readonly open: bigint
  readonly high: bigint
  readonly low: bigint
  readonly close: bigint
}

export interface TradeMetrics extends Prices {
  readonly trades: number
  /** Trades in which token0 left the pool. */
  readonly buys: number
  /** Trades in which token0 went into the pool. */
  readonly sells: number
  /** Raw units of token0 that moved, whichever way. */
  readonly volume0: bigint
  readonly volume1: bigint
}

export interface Candle extends Prices {
  /** Seconds since 1970, a whole minute. */
  readonly minute: number
  readonly trades: number
  readonly volume0: bigint
  readonly volume1: bigint
}

/** Takes back what one block did. */
export interface TradeUndo {
  readonly saved: SavedWindowed
  readonly last: bigint
}

/** Counts of an entry. */
const [trades, buys, sells] = [0, 1, 2] as const
/** Amounts of an entry; the first two are added up. */
const [volume0, volume1, open, high, low, close] = [0, 1, 2, 3, 4, 5] as const

const absolute = (value: bigint): bigint => (value < 0n ? -value : value)

export class TradeSeries {
  readonly windowed = new Windowed(6, 2)
  /** The newest price that it knows of. */
  last = Price.none

  begin(): TradeUndo {
    return { saved: this.windowed.save(), last: this.last }
  }

  apply(trade: Trade): void {
    this.windowed.open(trade.timestamp)
    this.add(trade)
  }

  /** One of many at once; see `Windowed.openBulk`. */
  load(trade: Trade, floor: number): void {
    this.windowed.openBulk(trade.timestamp, floor)
    this.add(trade)
  }

  private add({ amount0, amount1 }: Trade): void {
    const { windowed } = this
    windowed.tally(trades)
    if (amount0 !== 0n) windowed.tally(amount0 < 0n ? buys : sells)
    windowed.add(volume0, absolute(amount0))
    windowed.add(volume1, absolute(amount1))
    const price = Price.of(amount0, amount1)
    if (price === Price.none) return
    this.last = price
    for (const entries of windowed.opened) {
      const entry = entries.end - 1
      if (entries.amount(entry, open) === Price.none) {
        for (const which of [open, high, low]) entries.setAmount(entry, which, price)
      }
      if (price > entries.amount(entry, high)) entries.setAmount(entry, high, price)
      if (price < entries.amount(entry, low)) entries.setAmount(entry, low, price)
      entries.setAmount(entry, close, price)
    }
  }

  metrics(time: number): ReadonlyArray<TradeMetrics> {
    this.windowed.advance(time)
    return windows.map((_, w) => ({
      trades: this.windowed.count(w, trades),
      buys: this.windowed.count(w, buys),
      sells: this.windowed.count(w, sells),
      volume0: this.windowed.sum(w, volume0),
      volume1: this.windowed.sum(w, volume1),
      ...this.prices(w)
    }))
  }

  /** The same without the running totals. */
  recounted(time: number): ReadonlyArray<TradeMetrics> {
    this.windowed.advance(time)
    return windows.map((_, w) => ({
      trades: this.windowed.recount(w, time, trades),
      buys: this.windowed.recount(w, time, buys),
      sells: this.windowed.recount(w, time, sells),
      volume0: this.windowed.resum(w, time, volume0),
      volume1: this.windowed.resum(w, time, volume1),
      ...this.prices(w)
    }))
  }

  /** The candles from a minute on. */
  candles(from: number): ReadonlyArray<Candle> {
    const { coarse } = this.windowed
    const found: Array<Candle> = []
    for (let entry = coarse.after(from - 1); entry < coarse.end; entry++) {
      found.push({
        minute: coarse.time(entry),
        trades: coarse.count(entry, trades),
        volume0: coarse.amount(entry, volume0),
        volume1: coarse.amount(entry, volume1),
        open: coarse.amount(entry, open),
        high: coarse.amount(entry, high),
        low: coarse.amount(entry, low),
        close: coarse.amount(entry, close)
      })
    }
    return found
  }

  rollback({ last, saved }: TradeUndo): void {
    this.windowed.restore(saved)
    this.last = last
  }

  private prices(window: number): Prices {
    const entries = this.windowed.level(window)
    const found = { open: Price.none, high: Price.none, low: Price.none, close: Price.none }
    for (let entry = this.windowed.start(window); entry < entries.end; entry++) {
      const first = entries.amount(entry, open)
      if (first === Price.none) continue
      if (found.open === Price.none) {
        found.open = first
        found.low = entries.amount(entry, low)
      }
      const [top, bottom] = [entries.amount(entry, high), entries.amount(entry, low)]
      if (top > found.high) found.high = top
      if (bottom < found.low) found.low = bottom
      found.close = entries.amount(entry, close)
    }
    return found
  }
}
