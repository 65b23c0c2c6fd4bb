import { describe, expect, it } from "@effect/vitest"
import { type Hex, toHex, toRlp } from "viem"
import { RlpWriter } from "../../src/chain/Rlp.ts"

const written = (write: (writer: RlpWriter) => void, bytes?: number): string => {
  const writer = new RlpWriter(bytes)
  write(writer)
  expect(writer.invalid).toBeUndefined()
  return toHex(writer.since(0))
}

const ofLength = (bytes: number): Hex => `0x${"a7".repeat(bytes)}`

describe("RlpWriter", () => {
  it("writes bytes like an independent encoder", () => {
    for (const hex of ["0x", "0x00", "0x7f", "0x80", "0xFF"] as const) {
      expect(written((writer) => writer.bytes(hex))).toBe(toRlp(hex))
    }
    for (const length of [2, 20, 55, 56, 255, 256, 65_535, 65_536]) {
      expect(written((writer) => writer.bytes(ofLength(length)))).toBe(toRlp(ofLength(length)))
    }
  })

  it("writes quantities without zeros in front", () => {
    const expected = new Map<string, Hex>([
      ["0x0", "0x"],
      ["0x00", "0x"],
      ["0x1", "0x01"],
      ["0x7f", "0x7f"],
      ["0x080", "0x80"],
      ["0x0400", "0x0400"],
      ["0xABC", "0x0abc"],
      [`0x${"0".repeat(31)}1`, "0x01"],
      [`0x${"f".repeat(63)}`, `0x0${"f".repeat(63)}`],
      [`0x00${"1".repeat(62)}`, `0x${"1".repeat(62)}`]
    ])
    for (const [quantity, hex] of expected) {
      expect(
        written((writer) => writer.quantity(quantity)),
        quantity
      ).toBe(toRlp(hex))
    }
  })

  it("writes nested lists from last to first", () => {
    const encoded = written((writer) => {
      const outer = writer.mark()
      writer.bytes(ofLength(60))
      const inner = writer.mark()
      writer.quantity("0x400")
      writer.bytes("0x")
      writer.list(inner)
      writer.list(writer.mark())
      writer.list(outer)
    })
    expect(encoded).toBe(toRlp([[], ["0x", "0x0400"], ofLength(60)]))
  })

  it("keeps what is written, and its marks, when it grows", () => {
    const encoded = written((writer) => {
      const outer = writer.mark()
      for (let i = 0; i < 50; i++) writer.bytes(ofLength(40))
      writer.list(outer)
    }, 64)
    expect(encoded).toBe(toRlp(Array.from({ length: 50 }, () => ofLength(40))))
  })

  it("remembers the first string that is not hex, until it is reset", () => {
    const wrong = ["0x0g", "0x1", "0xé0", "00", `0x${"zz".repeat(30)}`]
    for (const hex of wrong) {
      const writer = new RlpWriter()
      writer.bytes(hex)
      writer.bytes("0x??")
      expect(writer.invalid).toBe(hex)
      writer.reset()
      expect(writer.invalid).toBeUndefined()
    }
    for (const quantity of ["0x", "0xg", "0x12:4", `0x${"f".repeat(40)}x`]) {
      const writer = new RlpWriter()
      writer.quantity(quantity)
      expect(writer.invalid).toBe(quantity)
    }
  })
})
