/**
 * The price of a trade: token1 for one token0, in raw units of both, exact to 18 significant digits and cut off there.
 *
 * **Details**
 *
 * With `d(x)` for the number of decimal digits of `x` and `k = 18 + d(amount0) - d(amount1)`, a price is
 * `floor(amount1 * 10^k / amount0) / 10^k`: 18 or 19 digits, by integers alone. `TokenTables` has the same as a
 * function in SQL. A trade has a price when one token goes into the pool and the other comes out.
 *
 * In memory a price is one bigint whose order is the order of prices: the exponent above 64 bits of a mantissa that
 * always has 19 digits.
 */

/** No price. Less than any price. */
export const none = 0n

const mantissaBits = 64n
const mantissaMask = (1n << mantissaBits) - 1n
/** Keeps exponents above zero: those of uint256 amounts lie between -60 and 97. */
const bias = 1_000

const digits = (value: bigint): number => value.toString().length

/** Powers of ten, made once. */
const powers: Array<bigint> = []
const power = (exponent: number): bigint => (powers[exponent] ??= 10n ** BigInt(exponent))

const absolute = (value: bigint): bigint => (value < 0n ? -value : value)

/** Of the signed amounts of a trade, positive where they go into the pool. */
export const of = (amount0: bigint, amount1: bigint): bigint => {
  if (amount0 === 0n || amount1 === 0n || amount0 < 0n === amount1 < 0n) return none
  const [a0, a1] = [absolute(amount0), absolute(amount1)]
  let k = 18 + digits(a0) - digits(a1)
  let mantissa = k >= 0 ? (a1 * power(k)) / a0 : a1 / (a0 * power(-k))
  if (mantissa < 1_000_000_000_000_000_000n) {
    mantissa *= 10n
    k++
  }
  return (BigInt(bias - k) << mantissaBits) | mantissa
}

/** As a decimal, without zeros at its end; undefined for no price. */
export const toDecimal = (price: bigint): string | undefined => {
  if (price === none) return undefined
  const text = (price & mantissaMask).toString()
  const k = bias - Number(price >> mantissaBits)
  if (k <= 0) return text + "0".repeat(-k)
  const padded = text.padStart(k + 1, "0")
  const fraction = padded.slice(-k).replace(/0+$/, "")
  return fraction === "" ? padded.slice(0, -k) : `${padded.slice(0, -k)}.${fraction}`
}
