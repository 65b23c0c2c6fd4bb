/**
 * One column of a block's rows, as it grows: hex strings become elements of a PostgreSQL array in its binary form
 * (the length as int32, or -1 for null, then the bytes).
 *
 * **Details**
 *
 * A block of mainnet has some five thousand values, and this is where each of them is looked at: a digit that is none,
 * bytes with half a byte, a number too large for its column. What is wrong is noted in `Refusals`, for the whole row
 * set to be thrown away; nothing here throws or allocates an object for a value. Quantities go through plain numbers
 * (limbs of 24 bits for those that do not fit), since a BigInt for each would be an object each.
 *
 * **Gotchas**
 *
 * The buffer is used again for the next block: copy what `copyTo` gives before `reset`.
 */
import type { Hex } from "../chain/Block.ts"

export type OptionalHex = Hex | null | undefined

/** The first value that a column could not take. */
export class Refusals {
  first: { readonly column: string; readonly value: string } | undefined

  add(column: string, value: string): void {
    this.first ??= { column, value }
  }
}

const startBytes = 4096
/** A buffer that one outlier has grown beyond this is let go after its block. */
const keptBytes = 4 * 2 ** 20

/** Up to here a loop is faster than the call into the engine, and needs no copy of the string without its prefix. */
const loopBytes = 40

/** Digit of a character code; 255 for what is none. Codes from 256 on have no entry. */
const digitOf = new Uint8Array(256).fill(255)
/** The same as the upper and the lower half of a byte, with a bit above the byte for what is none. */
const none = 0x100
const upperHalf = new Uint16Array(256).fill(none)
const lowerHalf = new Uint16Array(256).fill(none)
for (const [digit, codes] of Array.from("0123456789abcdef", (c) => [c, c.toUpperCase()]).entries()) {
  for (const code of codes) {
    digitOf[code.charCodeAt(0)] = digit
    upperHalf[code.charCodeAt(0)] = digit << 4
    lowerHalf[code.charCodeAt(0)] = digit
  }
}

/** The number in `hex` from one position to another (at most 13 digits), or -1 where a digit is none. */
const parse = (hex: string, from: number, to: number): number => {
  let value = 0
  let seen = 0
  for (let i = from; i < to; i++) {
    const digit = digitOf[hex.charCodeAt(i)] ?? 255
    seen |= digit
    value = value * 16 + digit
  }
  return seen < 16 ? value : -1
}

const hasPrefix = (hex: string): boolean => hex.charCodeAt(0) === 48 && hex.charCodeAt(1) === 120

/** Where the first digit stands that is not a leading zero; -1 where `hex` is no quantity. */
const significant = (hex: string): number => {
  if (hex.length < 3 || !hasPrefix(hex)) return -1
  let i = 2
  while (i < hex.length - 1 && hex.charCodeAt(i) === 48) i++
  return i
}

/** Scratch of `decimal`: limbs of 24 bits, and the digits to base 10,000 from the least significant one on. */
const limbs = new Float64Array(11)
const digits = new Uint16Array(24)

/**
 * Puts the quantity's digits to base 10,000 into `digits`: how many there are, or -1 if it is malformed. Dividing
 * 24-bit limbs by 10^8 stays exact in a double and yields two digits at once.
 */
const decimal = (hex: string): number => {
  const from = significant(hex)
  return from < 0 ? -1 : decimalOf(hex, from, hex.length)
}

/** The same of the digits from one position to another, the first of which is no zero. */
const decimalOf = (hex: string, from: number, end: number): number => {
  const length = end - from
  if (length > 64) return -1
  let count = 0
  if (length <= 13) {
    let rest = parse(hex, from, end)
    if (rest < 0) return -1
    while (rest > 0) {
      const quotient = Math.floor(rest / 10_000)
      digits[count++] = rest - quotient * 10_000
      rest = quotient
    }
    return count
  }
  let size = 0
  for (let at = from; at < end; ) {
    const next = at + ((end - at) % 6 || 6)
    const limb = parse(hex, at, next)
    if (limb < 0) return -1
    limbs[size++] = limb
    at = next
  }
  let top = 0
  while (top < size) {
    let rest = 0
    for (let i = top; i < size; i++) {
      const value = rest * 0x1000000 + (limbs[i] ?? 0)
      const quotient = Math.floor(value / 100_000_000)
      limbs[i] = quotient
      rest = value - quotient * 100_000_000
    }
    const high = Math.floor(rest / 10_000)
    digits[count++] = rest - high * 10_000
    digits[count++] = high
    while (top < size && limbs[top] === 0) top++
  }
  while (count > 0 && digits[count - 1] === 0) count--
  return count
}

export class ColumnWriter {
  readonly name: string
  private readonly nullable: boolean
  private readonly refusals: Refusals
  private buffer = Buffer.allocUnsafeSlow(startBytes)
  /** Bytes written. */
  end = 0
  /** Elements written. */
  count = 0
  /** Where the last element begins. */
  private last = 0

  constructor(name: string, nullable: boolean, refusals: Refusals) {
    this.name = name
    this.nullable = nullable
    this.refusals = refusals
  }

  reset(): void {
    this.end = 0
    this.count = 0
    if (this.buffer.length > keptBytes) this.buffer = Buffer.allocUnsafeSlow(startBytes)
  }

  copyTo(target: Buffer, offset: number): void {
    this.buffer.copy(target, offset, 0, this.end)
  }

  /** Bytes of any length. */
  data(hex: OptionalHex) {
    if (hex === undefined || hex === null) this.absent()
    else this.bytes(hex, (hex.length >>> 1) - 1)
  }

  /** Exactly `length` bytes. */
  fixed(hex: OptionalHex, length: number) {
    if (hex === undefined || hex === null) this.absent()
    else this.bytes(hex, length)
  }

  /** A uint256 as 32 bytes. */
  word(hex: OptionalHex) {
    if (hex === undefined || hex === null) return this.absent()
    if (hex.length === 66) return this.bytes(hex, 32)
    const from = significant(hex)
    const length = hex.length - from
    if (from < 0 || length > 64) return this.refuse(hex)
    this.bytes(`0x${hex.slice(from).padStart(64, "0")}`, 32)
  }

  /** A quantity below 10^78. */
  numeric(hex: OptionalHex) {
    if (hex === undefined || hex === null) return this.absent()
    const count = decimal(hex)
    if (count < 0) return this.refuse(hex)
    this.decimalDigits(count, false)
  }

  /** The number in `hex` from one position to another, without a prefix; less than nothing where it is `negative`. */
  numericDigits(hex: string, from: number, to: number, negative: boolean): void {
    let first = from
    while (first < to - 1 && hex.charCodeAt(first) === 48) first++
    const count = decimalOf(hex, first, to)
    if (count < 0) this.refuse(hex.slice(from, to))
    else this.decimalDigits(count, negative)
  }

  /** What `decimal` has put into `digits`. */
  private decimalDigits(count: number, negative: boolean): void {
    let zeros = 0
    while (zeros < count && digits[zeros] === 0) zeros++
    const size = 8 + (count - zeros) * 2
    this.open(size)
    this.int16At(count - zeros)
    this.int16At(count === 0 ? 0 : count - 1)
    // Sign and scale, without a fraction.
    this.int16At(negative ? 0x4000 : 0)
    this.int16At(0)
    for (let i = count - 1; i >= zeros; i--) this.int16At(digits[i] ?? 0)
  }

  /** A quantity below 2^63. */
  int8(hex: OptionalHex) {
    if (hex === undefined || hex === null) return this.absent()
    const from = significant(hex)
    const length = hex.length - from
    if (from < 0 || length > 16) return this.refuse(hex)
    const middle = Math.max(from, hex.length - 8)
    const low = parse(hex, middle, hex.length)
    const high = parse(hex, from, middle)
    if (low < 0 || high < 0 || high > 0x7fffffff) return this.refuse(hex)
    this.int64(high, low)
  }

  /** A quantity below 2^31; returns it, or -1. */
  int4(hex: OptionalHex): number {
    if (hex === undefined || hex === null) {
      this.absent()
      return -1
    }
    const from = significant(hex)
    const value = from < 0 || hex.length - from > 8 ? -1 : parse(hex, from, hex.length)
    if (value < 0 || value > 0x7fffffff) {
      this.refuse(hex)
      return -1
    }
    this.int32(value)
    return value
  }

  /** A quantity below 2^15. */
  int2(hex: OptionalHex) {
    if (hex === undefined || hex === null) return this.absent()
    const from = significant(hex)
    const value = from < 0 || hex.length - from > 4 ? -1 : parse(hex, from, hex.length)
    if (value < 0 || value > 0x7fff) return this.refuse(hex)
    this.open(2)
    this.int16At(value)
  }

  /** `times` elements of the same 64-bit integer, given as the halves of its two's complement. */
  int64(high: number, low: number, times = 1): void {
    this.reserve(12 * times)
    for (let i = 0; i < times; i++) {
      this.open(8)
      this.int32At(high)
      this.int32At(low)
    }
  }

  int32(value: number): void {
    this.open(4)
    this.int32At(value)
  }

  /** JSON text that PostgreSQL is known to take, or null. */
  jsonb(text: string | undefined) {
    if (text === undefined) return this.absent()
    const size = Buffer.byteLength(text)
    this.open(size + 1)
    this.buffer[this.end++] = 1
    this.end += this.buffer.write(text, this.end)
  }

  /** Text without U+0000, which PostgreSQL does not keep. */
  text(value: string): void {
    const size = Buffer.byteLength(value)
    this.open(size)
    this.end += this.buffer.write(value, this.end)
  }

  bool(value: boolean): void {
    this.open(1)
    this.buffer[this.end++] = value ? 1 : 0
  }

  /** The last element once more. */
  repeat(): void {
    const size = this.end - this.last
    this.reserve(size)
    this.buffer.copyWithin(this.end, this.last, this.end)
    this.last = this.end
    this.end += size
    this.count++
  }

  absent(): void {
    if (!this.nullable) this.refusals.add(this.name, "nothing")
    this.open(-1)
  }

  /** An element that cannot be; null stands in for it. */
  refuse(value: string): void {
    this.reject(value)
    this.open(-1)
  }

  /** An element that was written is wrong for a reason that lies in another. */
  reject(value: string): void {
    this.refusals.add(this.name, value)
  }

  /** The hottest lines of the whole program: nine of ten values of a block go through here. */
  private bytes(hex: string, length: number) {
    if (hex.length !== 2 + length * 2 || !hasPrefix(hex)) return this.refuse(hex)
    this.reserve(4 + length)
    const buffer = this.buffer
    const start = this.end
    if (length <= loopBytes) {
      let seen = 0
      let at = start + 4
      for (let i = 2; i < hex.length; i += 2) {
        const byte = (upperHalf[hex.charCodeAt(i)] ?? none) | (lowerHalf[hex.charCodeAt(i + 1)] ?? none)
        seen |= byte
        buffer[at++] = byte
      }
      if (seen >= none) return this.refuse(hex)
    } else if (buffer.write(hex.slice(2), start + 4, "hex") !== length) {
      // A digit that is none ended the writing early.
      return this.refuse(hex)
    }
    buffer[start] = length >>> 24
    buffer[start + 1] = length >>> 16
    buffer[start + 2] = length >>> 8
    buffer[start + 3] = length
    this.last = start
    this.end = start + 4 + length
    this.count++
  }

  private open(size: number): void {
    this.reserve(4 + Math.max(0, size))
    this.last = this.end
    this.count++
    this.int32At(size)
  }

  private reserve(size: number): void {
    const needed = this.end + size
    if (needed <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.end)
    this.buffer = grown
  }

  private int16At(value: number): void {
    const { buffer, end } = this
    buffer[end] = value >>> 8
    buffer[end + 1] = value
    this.end = end + 2
  }

  private int32At(value: number): void {
    const { buffer, end } = this
    buffer[end] = value >>> 24
    buffer[end + 1] = value >>> 16
    buffer[end + 2] = value >>> 8
    buffer[end + 3] = value
    this.end = end + 4
  }
}
