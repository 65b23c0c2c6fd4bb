/**
 * Values of elementary types, one word of 64 hex digits each, as they stand in a log: what of them is refused, and how
 * each becomes an element of its column. Straight from the hex string: no number, no object for a value.
 *
 * What is refused is what Solidity's own decoder refuses: a value whose padding is not what its type says.
 */
import type { ColumnWriter } from "../columns/ColumnWriter.ts"

/** One type's way: `at` is where the word's digits begin in `hex`. */
export interface Word {
  /** What is wrong with the word; undefined where it is a value of the type. */
  readonly check: (hex: string, at: number) => string | undefined
  /** Appends the value; it has been checked. */
  readonly write: (to: ColumnWriter, hex: string, at: number) => void
}

export const wordDigits = 64

const zero = 48
const digit = /^[\da-fA-F]*$/

/** Whether all digits from one place to another are the same. */
const isFilled = (hex: string, from: number, to: number, code: number): boolean => {
  for (let i = from; i < to; i++) if (hex.charCodeAt(i) !== code) return false
  return true
}

const isHexWord = (hex: string, at: number): boolean => digit.test(hex.slice(at, at + wordDigits))

const notHex = "a value is no hex"

const leading = (type: string, digits: number, write: Word["write"]): Word => ({
  check: (hex, at) => {
    if (!isFilled(hex, at, at + wordDigits - digits, zero)) return `a value does not fit ${type}`
    return isHexWord(hex, at) ? undefined : notHex
  },
  write
})

const uint = (type: string, bits: number): Word => {
  const digits = bits / 4
  if (bits < 32) return leading(type, digits, (to, hex, at) => to.int32(number(hex, at + 56, at + 64)))
  if (bits < 64) {
    return leading(type, digits, (to, hex, at) =>
      to.int64(number(hex, at + 48, at + 56), number(hex, at + 56, at + 64))
    )
  }
  return leading(type, digits, (to, hex, at) => to.numericDigits(hex, at, at + wordDigits, false))
}

const number = (hex: string, from: number, to: number): number => Number.parseInt(hex.slice(from, to), 16)

/** Whether the digit at a place has its highest bit. */
const isNegative = (hex: string, at: number): boolean => number(hex, at, at + 1) > 7

const int = (type: string, bits: number): Word => {
  const digits = bits / 4
  return {
    check: (hex, at) => {
      if (!isHexWord(hex, at)) return notHex
      const sign = at + wordDigits - digits
      const filled = isNegative(hex, sign)
        ? isFilled(hex.toLowerCase(), at, sign, 102)
        : isFilled(hex, at, sign, zero)
      return filled ? undefined : `a value does not fit ${type}`
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

const fixedBytes = (type: string, length: number): Word => ({
  check: (hex, at) => {
    if (!isFilled(hex, at + length * 2, at + wordDigits, zero)) return `a value does not fit ${type}`
    return isHexWord(hex, at) ? undefined : notHex
  },
  write: (to, hex, at) => to.data(`0x${hex.slice(at, at + length * 2)}`)
})

const bool: Word = {
  check: (hex, at) =>
    isFilled(hex, at, at + 63, zero) && (hex.charCodeAt(at + 63) | 1) === 49
      ? undefined
      : "a value is no bool",
  write: (to, hex, at) => to.bool(hex.charCodeAt(at + 63) === 49)
}

const address = leading("address", 40, (to, hex, at) => to.fixed(`0x${hex.slice(at + 24, at + 64)}`, 20))

/** Undefined for a type that is not one word. */
export const of = (type: string): Word | undefined => {
  if (type === "address") return address
  if (type === "bool") return bool
  const [, kind, size] = /^(uint|int|bytes)(\d*)$/.exec(type) ?? []
  if (kind === undefined || (kind === "bytes" && size === "")) return undefined
  const bits = size === "" ? 256 : Number(size)
  if (kind === "bytes") return fixedBytes(type, bits)
  return kind === "uint" ? uint(type, bits) : int(type, bits)
}

/** A hash, which is all that a topic has of a value that is no word. */
export const hash: Word = {
  check: (hex, at) => (isHexWord(hex, at) ? undefined : notHex),
  write: (to, hex, at) => to.data(`0x${hex.slice(at, at + wordDigits)}`)
}
