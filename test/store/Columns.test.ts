import { describe, expect, it } from "@effect/vitest"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import { encode } from "../../src/store/Columns.ts"
import { tables } from "../../src/store/Tables.ts"
import { chain, random } from "../support/blocks.ts"

const [sample] = chain({ seed: 4, from: 7, count: 1, transactions: 3, logs: 4, types: [2] })
const block: RawBlock = sample ?? expect.fail("no block")

const withBlock = (change: Partial<RawBlock["block"]>): RawBlock => ({
  ...block,
  block: { ...block.block, ...change }
})
const withTransaction = (change: Partial<RawBlock["block"]["transactions"][number]>): RawBlock =>
  withBlock({ transactions: block.block.transactions.map((tx, i) => (i === 1 ? { ...tx, ...change } : tx)) })
const withLog = (change: Partial<RawBlock["receipts"][number]["logs"][number]>): RawBlock => ({
  ...block,
  receipts: block.receipts.map((receipt) => ({
    ...receipt,
    logs: receipt.logs.map((log) => ({ ...log, ...change }))
  }))
})

const fs = "f".repeat(64)

describe("encode", () => {
  it("fills every column of a table equally", () => {
    const encoded = encode(block, "proven")
    if (!("rows" in encoded)) return expect.fail(encoded.message)
    expect(encoded).toMatchObject({ number: 7, transactions: 3, logs: 4, level: "proven" })
    for (const [i, { buffer, count, ends }] of encoded.rows.entries()) {
      if (count === 0) continue
      expect(ends).toHaveLength(Object.keys(tables[i]?.columns ?? {}).length)
      expect(ends.at(-1)).toBe(buffer.length)
      let at = 0
      for (const end of ends) {
        let elements = 0
        for (; at < end; elements++) at += 4 + Math.max(0, buffer.readInt32BE(at))
        expect(at).toBe(end)
        expect(elements).toBe(count)
      }
    }
  })

  const refused: ReadonlyArray<readonly [string, string, RawBlock]> = [
    ["a digit that is none", "blocks.hash", withBlock({ hash: `0x${"0".repeat(63)}g` })],
    ["a sign beyond one byte", "blocks.hash", withBlock({ hash: `0x${"0".repeat(63)}\u0130` })],
    [
      "a digit that is none in long data",
      "blocks.logs_bloom",
      withBlock({ logsBloom: `0x${"0".repeat(511)}x` })
    ],
    ["another length", "blocks.state_root", withBlock({ stateRoot: "0x00" })],
    ["half a byte", "transactions.input", withTransaction({ input: "0x123" })],
    ["no prefix", "blocks.miner", withBlock({ miner: `00${"11".repeat(20)}` as Hex })],
    ["an empty quantity", "blocks.gas_used", withBlock({ gasUsed: "0x" })],
    ["more than an int8", "blocks.gas_used", withBlock({ gasUsed: "0x8000000000000000" })],
    ["more than an int2", "transactions.type", withTransaction({ type: "0x8000" })],
    ["more than an int4", "logs.log_index", withLog({ logIndex: "0x80000000" })],
    ["more than a uint256", "transactions.value", withTransaction({ value: `0x1${"0".repeat(64)}` })],
    ["a quantity with a letter", "transactions.value", withTransaction({ value: `0x${fs.slice(1)}z` })],
    ["a short quantity with a letter", "transactions.nonce", withTransaction({ nonce: "0x1q" })],
    ["an index twice", "logs.log_index", withLog({ logIndex: "0x1" })],
    ["a log of another transaction", "logs.transaction_hash", withLog({ transactionHash: `0x${fs}` })],
    ["a time beyond the calendar", "blocks.timestamp", withBlock({ timestamp: "0xfffffffffffff" })],
    ["a missing receipt", "transactions.status", { ...block, receipts: block.receipts.slice(1) }],
    [
      "bad hex in a list",
      "transactions.access_list",
      withTransaction({ accessList: [{ address: "0xzz", storageKeys: [] }] })
    ]
  ]
  for (const [what, column, raw] of refused) {
    it(`refuses ${what}`, () => {
      const result = encode(raw, "proven")
      expect(result).toMatchObject({ _tag: "MalformedValue", column, number: 7 })
      // What came before does not show in the next block.
      expect(encode(block, "proven")).toHaveProperty("rows")
    })
  }

  it("cuts what it quotes", () => {
    const result = encode(withBlock({ extraData: `0x${"zz".repeat(500)}` }), "linked")
    expect("value" in result ? result.value.length : 0).toBe(80)
  })

  it("takes upper case, leading zeros and odd quantities", () => {
    const upper = withBlock({ hash: `0x${"AB".repeat(32)}`, gasUsed: "0x0001b4" })
    expect(encode(upper, "proven")).toMatchObject({ hash: `0x${"ab".repeat(32)}` })
  })

  it("refuses text that PostgreSQL would", () => {
    for (const text of ["a\u0000b", "\ud800"]) {
      const raw = withTransaction({ type: "0x7e", sourceHash: text as Hex })
      expect(encode(raw, "linked")).toMatchObject({ column: "transactions.extra" })
    }
    expect(encode(withTransaction({ type: "0x7e", sourceHash: "\\u0000" as Hex }), "linked")).toHaveProperty(
      "rows"
    )
  })

  it("never throws, whatever single value is wrong", () => {
    const r = random(99)
    const junk = () => r.pick("", "0x", "x", "0x0g", `0x${"9".repeat(r.int(80))}`, "\u0000", "0X12") as Hex
    for (const key of Object.keys(block.block)) {
      if (key === "transactions" || key === "withdrawals") continue
      const result = encode(withBlock({ [key]: junk() }), "linked")
      expect("rows" in result || result._tag === "MalformedValue").toBe(true)
    }
    for (const key of Object.keys(block.block.transactions[0] ?? {})) {
      if (key === "accessList") continue
      const result = encode(withTransaction({ [key]: junk() }), "linked")
      expect("rows" in result || result._tag === "MalformedValue").toBe(true)
    }
  })

  it("makes the same rows of the same numbers, however they are written", () => {
    const list = (write: (digits: string) => Hex) =>
      encode(
        withTransaction({
          authorizationList: [
            {
              chainId: write("1"),
              address: `0x${"ab".repeat(20)}`,
              nonce: write("0"),
              yParity: write("1"),
              r: write("abc"),
              s: write("def")
            }
          ]
        }),
        "proven"
      )
    expect(list((digits) => `0x${digits.toUpperCase().padStart(64, "0")}`)).toEqual(
      list((digits) => `0x${digits}`)
    )
    const deposit = (write: (digits: string) => Hex) =>
      encode(withTransaction({ type: "0x7e", mint: write("a"), sourceHash: write("f".repeat(64)) }), "proven")
    expect(deposit((digits) => `0x${digits.length < 64 ? "0" : ""}${digits.toUpperCase()}`)).toEqual(
      deposit((digits) => `0x${digits}`)
    )
  })
})
