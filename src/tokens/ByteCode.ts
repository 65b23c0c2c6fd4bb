/**
 * Numbers, amounts and addresses as bytes, one after the other: small ones take few.
 *
 * **Gotchas**
 *
 * Who reads asks for the same things in the same order; bytes that somebody may have changed are checked before.
 */

/** An amount that is the one before it. */
const again = 255

export class ByteWriter {
  private bytes = Buffer.allocUnsafe(1_024)
  private view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
  private end = 0
  private last = 0n

  /** A whole number from 0 on, seven bits a byte. */
  number(value: number): void {
    this.reserve(8)
    let rest = value
    for (; rest > 127; rest = Math.floor(rest / 128)) this.bytes[this.end++] = (rest % 128) | 128
    this.bytes[this.end++] = rest
  }

  /** A whole amount from 0 on: its length, then its bytes. */
  amount(value: bigint): void {
    if (value === this.last) {
      this.number(again)
      return
    }
    this.last = value
    const text = value === 0n ? "" : value.toString(16)
    const length = (text.length + 1) >> 1
    this.number(length)
    this.reserve(length)
    this.end += this.bytes.write(text.length % 2 === 0 ? text : `0${text}`, this.end, "hex")
  }

  /** 20 bytes, which `write` puts there. */
  address(write: (into: DataView, at: number) => void): void {
    this.reserve(20)
    write(this.view, this.end)
    this.end += 20
  }

  done(): Buffer {
    return this.bytes.subarray(0, this.end)
  }

  private reserve(more: number): void {
    if (this.end + more <= this.bytes.length) return
    const bytes = Buffer.allocUnsafe((this.end + more) * 2)
    this.bytes.copy(bytes, 0, 0, this.end)
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
}

export class ByteReader {
  private readonly bytes: Buffer
  private readonly view: DataView
  private at = 0
  private last = 0n

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  number(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++] ?? 0
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  amount(): bigint {
    const length = this.number()
    if (length === again) return this.last
    const text = this.bytes.toString("hex", this.at, this.at + length)
    this.at += length
    this.last = text === "" ? 0n : BigInt(`0x${text}`)
    return this.last
  }

  /** 20 bytes, which `read` makes something of. */
  address<A>(read: (from: DataView, at: number) => A): A {
    const read20 = read(this.view, this.at)
    this.at += 20
    return read20
  }
}
