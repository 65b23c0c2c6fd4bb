/**
 * Values of elementary types, one word of 64 hex digits each, as they stand in a log: what of them is refused, and how
 * each becomes an element of its column. Straight from the hex string: no BigInt and no object for a value, except for
 * negative numbers of more than 64 bits.
 *
 * **Details**
 *
 * What is refused is what Solidity's own decoder refuses: a value whose padding is not what its type says. viem takes
 * some of these (an address with digits in front of it), so what is written here equals what viem says only where
 * nothing is refused.
 *
 * Digits are taken in upper and in lower case. They are looked at by the codes of their characters, which is a sixth to
 * a quarter less for a whole row than a regular expression on a slice of each word (`bench/decode.mjs`).
 */
import type { ColumnWriter } from "../columns/ColumnWriter.ts"

/** One type's way: `at` is where the word's digits begin in `hex`. */
export interface Word {
  /** What is wrong with the word; undefined where it is a value of the type. A word that is cut short is no value. */
  readonly check: (hex: string, at: number) => string | undefined
  /** Appends the value; it has been checked. */
  readonly write: (to: ColumnWriter, hex: string, at: number) => void
}

export const wordDigits = 64

const zero = 48

/** Digit of a character code; above 15 for what is none. Beyond the table, and behind the end of a text, is no entry. */
const digitOf = new Uint8Array(128).fill(0xff)
for (let digit = 0; digit < 16; digit++) {
  const text = digit.toString(16)
  digitOf[text.charCodeAt(0)] = digit
  digitOf[text.toUpperCase().charCodeAt(0)] = digit
}

const digitAt = (hex: string, at: number): number => digitOf[hex.charCodeAt(at)] ?? 0xff

const isHex = (hex: string, from: number, to: number): boolean => {
  let seen = 0
  for (let i = from; i < to; i++) seen |= digitAt(hex, i)
  return seen < 16
}

const isZero = (hex: string, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (hex.charCodeAt(i) !== zero) return false
  return true
}

const isAllF = (hex: string, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (digitAt(hex, i) !== 15) return false
  return true
}

const notHex = "a value is no hex"

/** Why a word is refused whose value or padding is wrong. */
const misfit = (type: string, hex: string, at: number): string =>
  isHex(hex, at, at + wordDigits) ? `a value does not fit ${type}` : notHex

/** The value is the last `digits` of the word. */
const trailing = (type: string, digits: number, write: Word["write"]): Word => {
  const skipped = wordDigits - digits
  return {
    check: (hex, at) => {
      const from = at + skipped
      const fits = isZero(hex, at, from) && isHex(hex, from, at + wordDigits)
      return fits ? undefined : misfit(type, hex, at)
    },
    write
  }
}

/** At most 13 digits, which have been checked. */
const number = (hex: string, from: number, to: number): number => {
  let value = 0
  for (let i = from; i < to; i++) value = value * 16 + digitAt(hex, i)
  return value
}

const uint = (type: string, bits: number): Word => {
  const digits = bits / 4
  // All values have to fit into a signed integer: see `Columns.typeOf`.
  if (bits < 32) return trailing(type, digits, (to, hex, at) => to.int32(number(hex, at + 56, at + 64)))
  if (bits < 64) {
    return trailing(type, digits, (to, hex, at) =>
      to.int64(number(hex, at + 48, at + 56), number(hex, at + 56, at + 64))
    )
  }
  return trailing(type, digits, (to, hex, at) => to.numericDigits(hex, at, at + wordDigits, false))
}

const isNegative = (hex: string, at: number): boolean => digitAt(hex, at) > 7

const int = (type: string, bits: number): Word => {
  const skipped = wordDigits - bits / 4
  return {
    check: (hex, at) => {
      const from = at + skipped
      const fits =
        isHex(hex, from, at + wordDigits) && (isNegative(hex, from) ? isAllF : isZero)(hex, at, from)
      return fits ? undefined : misfit(type, hex, at)
    },
    write: (to, hex, at) => {
      if (bits <= 32) to.int32(number(hex, at + 56, at + 64) | 0)
      else if (bits <= 64) to.int64(number(hex, at + 48, at + 56), number(hex, at + 56, at + 64))
      else if (!isNegative(hex, at)) to.numericDigits(hex, at, at + wordDigits, false)
      else {
        const magnitude = -BigInt.asIntN(256, BigInt(`0x${hex.slice(at, at + wordDigits)}`))
        const digits = magnitude.toString(16)
        to.numericDigits(digits, 0, digits.length, true)
      }
    }
  }
}

/** The value is the first `length` bytes of the word. */
const fixedBytes = (type: string, length: number): Word => ({
  check: (hex, at) => {
    const to = at + length * 2
    const fits = isHex(hex, at, to) && isZero(hex, to, at + wordDigits)
    return fits ? undefined : misfit(type, hex, at)
  },
  write: (to, hex, at) => to.fixed(`0x${hex.slice(at, at + length * 2)}`, length)
})

const bool: Word = {
  check: (hex, at) =>
    isZero(hex, at, at + 63) && (hex.charCodeAt(at + 63) | 1) === 49 ? undefined : misfit("bool", hex, at),
  write: (to, hex, at) => to.bool(hex.charCodeAt(at + 63) === 49)
}

const address = trailing("address", 40, (to, hex, at) => to.fixed(`0x${hex.slice(at + 24, at + 64)}`, 20))

/** Undefined for a type that is not one word; the type is one that there is (see `Columns.oddType`). */
export const of = (type: string): Word | undefined => {
  if (type === "address") return address
  if (type === "bool") return bool
  const [, kind, digits] = /^(uint|int|bytes)(\d+)$/.exec(type) ?? []
  const size = Number(digits)
  if (kind === undefined) return undefined
  if (kind === "bytes") return fixedBytes(type, size)
  return kind === "uint" ? uint(type, size) : int(type, size)
}

/** A hash, which is all that a topic has of a value that is no word. */
export const hash: Word = fixedBytes("bytes32", 32)
