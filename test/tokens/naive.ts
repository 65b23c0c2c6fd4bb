/**
 * Token metrics the long way: from a list of events, by the definitions in `docs/tokens.md`, without anything of `src`.
 */
import type { Hex } from "../../src/chain/Block.ts"
import type { TokenEvent } from "../../src/tokens/TokenEvent.ts"

const windows = [
  [60, 1],
  [300, 1],
  [3_600, 60],
  [86_400, 60]
] as const

const abs = (value: bigint) => (value < 0n ? -value : value)

/** Token1 for one token0 as a decimal, cut off after 18 or 19 digits. */
export const price = (amount0: bigint, amount1: bigint): string | undefined => {
  if (amount0 * amount1 >= 0n) return undefined
  const [a0, a1] = [abs(amount0), abs(amount1)]
  const k = 18 + `${a0}`.length - `${a1}`.length
  const cut = k >= 0 ? (a1 * 10n ** BigInt(k)) / a0 : a1 / (a0 * 10n ** BigInt(-k))
  if (k <= 0) return `${cut * 10n ** BigInt(-k)}`
  const text = `${cut}`.padStart(k + 1, "0")
  return `${text.slice(0, -k)}.${text.slice(-k)}`.replace(/\.?0+$/, "")
}

const compare = (a: string, b: string) => {
  const [x, y] = [a, b].map((text) => {
    const [whole = "", fraction = ""] = text.split(".")
    return BigInt(whole + fraction.padEnd(120, "0"))
  })
  return x === y ? 0 : (x ?? 0n) < (y ?? 0n) ? -1 : 1
}

const pricesOf = (trades: ReadonlyArray<TokenEvent>) => {
  const prices = trades.flatMap((event) =>
    event._tag === "Trade" ? (price(event.amount0, event.amount1) ?? []) : []
  )
  const sorted = [...prices].sort(compare)
  return { open: prices[0], high: sorted.at(-1), low: sorted[0], close: prices.at(-1) }
}

const sum = (values: ReadonlyArray<bigint>) => values.reduce((a, b) => a + b, 0n)

/** The metrics of an address over all windows as of a time; `events` are all events up to then, in order. */
export const metrics = (events: ReadonlyArray<TokenEvent>, address: Hex, asOf: number) =>
  windows.map(([width, step]) => {
    const inside = events.filter(
      ({ timestamp }) => Math.floor(timestamp / step) > Math.floor((asOf - width) / step)
    )
    const transfers = inside.flatMap((event) =>
      event._tag === "Transfer" && event.token === address ? [event] : []
    )
    const trades = inside.flatMap((event) =>
      event._tag === "Trade" && event.pair === address ? [event] : []
    )
    return {
      transfers: transfers.length,
      senders: new Set(transfers.map(({ from }) => from)).size,
      receivers: new Set(transfers.map(({ to }) => to)).size,
      volume: sum(transfers.map(({ value }) => value)),
      trades: trades.length,
      buys: trades.filter(({ amount0 }) => amount0 < 0n).length,
      sells: trades.filter(({ amount0 }) => amount0 > 0n).length,
      volume0: sum(trades.map(({ amount0 }) => abs(amount0))),
      volume1: sum(trades.map(({ amount1 }) => abs(amount1))),
      ...pricesOf(trades)
    }
  })

export const candles = (events: ReadonlyArray<TokenEvent>, address: Hex) => {
  const trades = events.flatMap((event) => (event._tag === "Trade" && event.pair === address ? [event] : []))
  const minutes = [...new Set(trades.map(({ timestamp }) => Math.floor(timestamp / 60) * 60))]
  return minutes.map((minute) => {
    const inside = trades.filter(({ timestamp }) => timestamp >= minute && timestamp < minute + 60)
    return {
      minute,
      trades: inside.length,
      volume0: sum(inside.map(({ amount0 }) => abs(amount0))),
      volume1: sum(inside.map(({ amount1 }) => abs(amount1))),
      ...pricesOf(inside)
    }
  })
}
