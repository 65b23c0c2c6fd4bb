/**
 * Writes RLP straight from the hex strings of a JSON-RPC answer into one buffer that is used again and again.
 *
 * **Details**
 *
 * It writes **backwards**, from the end of the buffer towards its start: the header of an RLP list says how long
 * the list is, and when the content is there already its length is known. So nothing is measured beforehand,
 * nothing is moved afterwards, and a list is: remember `mark()`, write the items from last to first, `list(mark)`.
 *
 * A mark is a distance from the end of the buffer, so it stays true when the buffer grows.
 *
 * **Gotchas**
 *
 * A string that is not hex does not fail at once: the first one is kept in `invalid`, and what was encoded is
 * worthless then. Look at it before using a hash.
 */

/** What a block of a busy chain needs. A buffer that had to grow far beyond is given back by `reset`. */
const initialBytes = 1 << 20
const keptBytes = 8 << 20

const digitValue = new Uint8Array(128).fill(255)
for (let digit = 0; digit < 16; digit++) {
  digitValue[digit.toString(16).charCodeAt(0)] = digit
  digitValue[digit.toString(16).toUpperCase().charCodeAt(0)] = digit
}

const digitAt = (hex: string, at: number): number => digitValue[hex.charCodeAt(at)] ?? 255

export class RlpWriter {
  /** The first string that is not hex, if one was written since the last `reset`. */
  invalid: string | undefined
  private buffer: Buffer
  // Subarrays of a Buffer are slower to make than those of a plain Uint8Array: one of them for each hash.
  private memory: Uint8Array
  private at: number

  constructor(bytes = initialBytes) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
    this.memory = new Uint8Array(this.buffer.buffer)
    this.at = bytes
  }

  reset(): void {
    if (this.buffer.length > keptBytes) {
      this.buffer = Buffer.allocUnsafeSlow(initialBytes)
      this.memory = new Uint8Array(this.buffer.buffer)
    }
    this.at = this.buffer.length
    this.invalid = undefined
  }

  /** Where the writer stands. */
  mark(): number {
    return this.buffer.length - this.at
  }

  /** Forgets what was written since `mark`. */
  rewind(mark: number): void {
    this.at = this.buffer.length - mark
  }

  /** The bytes written since `mark`, valid until the next write. */
  since(mark: number): Uint8Array {
    return this.memory.subarray(this.at, this.buffer.length - mark)
  }

  /** Leaves `bytes` bytes of unspecified content. */
  skip(bytes: number): void {
    this.reserve(bytes)
    this.at -= bytes
  }

  byte(value: number): void {
    this.reserve(1)
    this.memory[--this.at] = value
  }

  /** Bytes as they are, without an RLP header. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.at -= bytes.length
    this.memory.set(bytes, this.at)
  }

  /** The header of a string of `length` bytes whose first byte is `first`. */
  stringHeader(length: number, first: number): void {
    if (length === 1 && first < 0x80) return
    this.header(length, 0x80)
  }

  /** Makes a list of everything written since `mark`. */
  list(mark: number): void {
    this.header(this.mark() - mark, 0xc0)
  }

  /** A string of bytes: an address, a hash, input data. */
  bytes(hex: string): void {
    const length = (hex.length - 2) >> 1
    if (length === 0) {
      if (hex !== "0x") this.reject(hex)
      this.byte(0x80)
      return
    }
    this.reserve(length)
    this.at -= length
    if (hex.length & 1 || this.buffer.write(hex.slice(2), this.at, length, "hex") !== length) this.reject(hex)
    this.stringHeader(length, this.memory[this.at] ?? 0)
  }

  /** A number: as few bytes as it needs, none for zero. Zeros in front, which some nodes send, are left out. */
  quantity(hex: string): void {
    const digits = hex.length
    let first = 2
    while (first < digits && hex.charCodeAt(first) === 48) first++
    if (digits < 3) this.reject(hex)
    const length = (digits - first + 1) >> 1
    if (length === 0) {
      this.byte(0x80)
      return
    }
    this.reserve(length)
    if (length > 16) {
      // A call into Buffer pays off for long ones only: most quantities have a few digits.
      this.at -= length
      const even = ((digits - first) & 1) === 0 ? hex.slice(first) : `0${hex.slice(first)}`
      if (this.buffer.write(even, this.at, length, "hex") !== length) this.reject(hex)
    } else {
      let seen = 0
      let from = digits
      while (from > first) {
        const low = digitAt(hex, --from)
        const high = from > first ? digitAt(hex, --from) : 0
        seen |= low | high
        this.memory[--this.at] = (high << 4) | low
      }
      if (seen > 15) this.reject(hex)
    }
    this.stringHeader(length, this.memory[this.at] ?? 0)
  }

  private header(length: number, offset: number): void {
    this.reserve(9)
    if (length < 56) {
      this.memory[--this.at] = offset + length
      return
    }
    let bytes = 0
    for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) {
      this.memory[--this.at] = rest & 255
      bytes++
    }
    this.memory[--this.at] = offset + 55 + bytes
  }

  private reserve(bytes: number): void {
    if (this.at >= bytes) return
    const written = this.mark()
    const grown = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(written + bytes + 1)))
    this.buffer.copy(grown, grown.length - written, this.at)
    this.buffer = grown
    this.memory = new Uint8Array(grown.buffer)
    this.at = grown.length - written
  }

  private reject(hex: string): void {
    this.invalid ??= hex.slice(0, 80)
  }
}
