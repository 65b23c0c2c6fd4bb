import { describe, expect, it } from "@effect/vitest"
import type { RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import { fixtureBlocks, fixturesAvailable, withoutFixtures } from "../support/fixtures.ts"
import { recorded } from "../support/recorded.ts"

const withdrawal = { index: "0x1", validatorIndex: "0x2", address: `0x${"00".repeat(20)}` }

type Answer = ReturnType<typeof recorded>

const parse = ({ block, receipts }: Answer): RawBlock | BlockParser.MalformedBlock =>
  BlockParser.parse(block, receipts, 2)

/** Path, expectation and what was there instead, after `change` to a right answer. */
const malformed = (change: (answer: Answer) => unknown): string => {
  const answer = recorded("prague-2")
  change(answer)
  const raw = parse(answer)
  return "_tag" in raw ? raw.message : "nothing wrong"
}

const transaction = (answer: Answer, i: number) => Object(answer.block["transactions"])[i]
const log = (answer: Answer, i: number, j: number) => Object(answer.receipts[i]?.["logs"])[j]

describe("BlockParser.parse", () => {
  it("takes a right answer as it is", () => {
    const answer = recorded("prague-2")
    const raw = parse(answer)
    if ("_tag" in raw) return expect.fail(raw.message)
    expect(raw.block).toBe(answer.block)
    expect(raw.receipts).toEqual(answer.receipts)
    expect(raw.receipts[0]).toBe(answer.receipts[0])
  })

  it("names the block, the path, what it expected and what it got", () => {
    expect(malformed((a) => Object.assign(transaction(a, 3), { value: 7 }))).toBe(
      "block 2: transactions[3].value is 7, expected a number as hex"
    )
    expect(BlockParser.parse(null, [], 9)).toEqual({
      _tag: "MalformedBlock",
      number: 9,
      path: "block",
      expected: "an object",
      got: "null",
      message: "block 9: block is null, expected an object"
    })
  })

  it("keeps what it quotes short", () => {
    const message = malformed((a) => Object.assign(a.block, { hash: `0x${"ab".repeat(1000)}` }))
    expect(message.length).toBeLessThan(160)
    expect(message).toContain("hash is 0xabab")
  })

  it("wants every field of the types", () => {
    const missing: ReadonlyArray<readonly [string, (answer: Answer) => unknown]> = [
      ["parentHash", (a) => delete a.block["parentHash"]],
      ["logsBloom", (a) => Object.assign(a.block, { logsBloom: "0x00" })],
      ["timestamp", (a) => Object.assign(a.block, { timestamp: 1700000000 })],
      ["timestamp", (a) => Object.assign(a.block, { timestamp: "0x" })],
      ["extraData", (a) => Object.assign(a.block, { extraData: "0x1" })],
      ["baseFeePerGas", (a) => Object.assign(a.block, { baseFeePerGas: "7" })],
      ["transactions", (a) => delete a.block["transactions"]],
      ["transactions[0]", (a) => Object.assign(a.block, { transactions: [`0x${"ab".repeat(32)}`] })],
      ["withdrawals[0].amount", (a) => Object.assign(a.block, { withdrawals: [withdrawal] })],
      ["transactions[2].to", (a) => Object.assign(transaction(a, 2), { to: "0x00" })],
      ["transactions[1].input", (a) => delete transaction(a, 1).input],
      [
        "transactions[2].accessList[0].storageKeys[1]",
        (a) => {
          transaction(a, 2).accessList[0].storageKeys[1] = null
        }
      ],
      ["transactions[5].authorizationList[0].r", (a) => delete transaction(a, 5).authorizationList[0].r],
      [
        "transactions[4].transactionIndex",
        (a) => Object.assign(transaction(a, 4), { transactionIndex: "0x0" })
      ],
      [
        "receipts[1].cumulativeGasUsed",
        (a) => Object.assign(a.receipts[1] ?? {}, { cumulativeGasUsed: null })
      ],
      ["receipts[1].logs", (a) => Object.assign(a.receipts[1] ?? {}, { logs: null })],
      ["receipts[1].logs[0].address", (a) => Object.assign(log(a, 1, 0), { address: "0x12" })],
      ["receipts[1].logs[0].data", (a) => Object.assign(log(a, 1, 0), { data: "0x123" })],
      ["receipts[1].logs[0].topics", (a) => Object.assign(log(a, 1, 0), { topics: [1, 2, 3, 4, 5] })],
      ["receipts[1].logs[0].topics[0]", (a) => Object.assign(log(a, 1, 0), { topics: ["0x"] })],
      ["receipts[1].logs[0].removed", (a) => Object.assign(log(a, 1, 0), { removed: true })]
    ]
    for (const [path, change] of missing) expect(malformed(change)).toContain(`block 2: ${path} is `)
  })

  it("wants the block that was asked for", () => {
    const { block, receipts } = recorded("prague-2")
    expect(BlockParser.parse(block, receipts, 3)).toMatchObject({
      path: "number",
      expected: "0x3",
      got: "0x2"
    })
    expect(malformed((a) => Object.assign(a.block, { number: null }))).toContain(
      "number is null, expected 0x2"
    )
  })

  it("wants a receipt for each transaction", () => {
    const of = (receipts: unknown) => BlockParser.parse(recorded("prague-2").block, receipts, 2)
    const { receipts } = recorded("prague-2")
    expect(of([])).toMatchObject({ path: "receipts", expected: "an array of 6", got: "an array of 0" })
    expect(of(null)).toMatchObject({ path: "receipts", got: "null" })
    expect(of(receipts.slice(1))).toMatchObject({ path: "receipts", got: "an array of 5" })
    expect(of(receipts.map((receipt, i) => (i === 3 ? null : receipt)))).toMatchObject({
      path: "receipts[3]"
    })
    expect(of(receipts.with(3, receipts[2] ?? {}))).toMatchObject({
      path: "receipts[3].transactionIndex",
      expected: "one receipt a transaction"
    })
    expect(of(receipts.with(3, { ...receipts[3], transactionHash: `0x${"00".repeat(32)}` }))).toMatchObject({
      path: "receipts[3].transactionHash"
    })
    expect(of(receipts.with(3, { ...receipts[3], transactionIndex: "0x9" }))).toMatchObject({
      path: "receipts[3].transactionIndex",
      expected: "below 6"
    })
    expect(of(receipts.with(3, { ...receipts[3], blockHash: `0x${"00".repeat(32)}` }))).toMatchObject({
      path: "receipts[3].blockHash"
    })
  })

  it("puts receipts in the order of their transactions", () => {
    const { block, receipts } = recorded("prague-2")
    const raw = BlockParser.parse(block, receipts.toReversed(), 2)
    if ("_tag" in raw) return expect.fail(raw.message)
    expect(raw.receipts).toEqual(receipts)
  })

  it("fills in indices that a chain does not send", () => {
    const { block, receipts } = recorded("prague-2")
    const without = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value, (key, field) => (key === "transactionIndex" ? undefined : field)))
    const raw = BlockParser.parse(without(block), without(receipts), 2)
    expect(raw).toEqual({ block, receipts })
  })

  it("does not throw, whatever the answer is", () => {
    const values: ReadonlyArray<unknown> = [
      undefined,
      null,
      0,
      -1,
      "",
      "0x",
      true,
      [],
      [[]],
      [null],
      {},
      "0x1"
    ]
    const paths = recorded("prague-2")
    for (const value of values) {
      expect("_tag" in BlockParser.parse(value, value, 2)).toBe(true)
      expect("_tag" in BlockParser.parse(paths.block, value, 2)).toBe(true)
      for (const key of Object.keys(paths.block)) {
        BlockParser.parse({ ...paths.block, [key]: value }, paths.receipts, 2)
      }
      for (const key of Object.keys(paths.receipts[1] ?? {})) {
        BlockParser.parse(paths.block, paths.receipts.with(1, { ...paths.receipts[1], [key]: value }), 2)
      }
      for (const key of Object.keys(transaction(paths, 5))) {
        const transactions = [...Object(paths.block["transactions"])]
        transactions[5] = { ...transactions[5], [key]: value }
        BlockParser.parse({ ...paths.block, transactions }, paths.receipts, 2)
      }
    }
  })
})

describe("the hashes of BlockParser.parseHeader", () => {
  it("reads a block with or without transactions", () => {
    const { block } = recorded("prague-1")
    expect(BlockParser.parseHeader({ ...block, transactions: undefined })).toEqual({
      number: 1,
      hash: block["hash"],
      parentHash: block["parentHash"],
      timestamp: Number(block["timestamp"])
    })
  })

  it("says what is wrong with a header", () => {
    const { block } = recorded("prague-1")
    expect(BlockParser.parseHeader(null)).toMatchObject({ _tag: "MalformedBlock", number: undefined })
    expect(BlockParser.parseHeader({ ...block, hash: null })).toMatchObject({
      number: 1,
      path: "hash",
      got: "null"
    })
    expect(BlockParser.parseHeader({ ...block, number: "latest" })).toMatchObject({ path: "number" })
  })
})

describe("BlockParser.transactionHashes", () => {
  it("lists the hashes of full transactions", () => {
    const { block, receipts } = recorded("prague-2")
    expect(BlockParser.transactionHashes(block)).toEqual(
      receipts.map((receipt) => receipt["transactionHash"])
    )
    expect(BlockParser.transactionHashes({ transactions: [] })).toEqual([])
  })

  it("knows when there are none", () => {
    for (const block of [null, {}, { transactions: ["0x12"] }, { transactions: [{ hash: "0x12" }] }]) {
      expect(BlockParser.transactionHashes(block)).toBeUndefined()
    }
  })
})

describe.skipIf(!fixturesAvailable)(`BlockParser, on real blocks${withoutFixtures}`, () => {
  it("takes every block of every chain that comes with its transactions", () => {
    for (const { block, name, receipts } of fixtureBlocks()) {
      if (name.startsWith("rsk/")) continue
      const raw = BlockParser.parse(block, receipts ?? [], Number(Object(block).number))
      // Without receipts, those are all that is missed.
      const isRight = !("_tag" in raw) || (receipts === undefined && raw.path === "receipts")
      expect(isRight, `${name} ${"_tag" in raw ? raw.message : ""}`).toBe(true)
    }
  })
})

describe("BlockParser.parseHeader", () => {
  const header = {
    number: "0x2",
    hash: `0x${"ab".repeat(32)}`,
    parentHash: `0x${"cd".repeat(32)}`,
    timestamp: "0x1"
  }

  it("gives hashes as they are stored, whatever the case of their digits", () => {
    const shouted = { ...header, hash: `0x${"AB".repeat(32)}`, parentHash: `0x${"Cd".repeat(32)}` }
    expect(BlockParser.parseHeader(shouted)).toEqual(BlockParser.parseHeader(header))
  })

  it("refuses digits that are none, which nothing would look at later", () => {
    for (const name of ["hash", "parentHash"]) {
      const wrong = { ...header, [name]: `0x${"zz".repeat(32)}` }
      expect(BlockParser.parseHeader(wrong)).toMatchObject({ _tag: "MalformedBlock", path: name })
    }
  })
})
