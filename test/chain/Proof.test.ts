import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import { Proof } from "../../src/chain/Proof.ts"
import type { Verdict } from "../../src/chain/Verdict.ts"
import { type FixtureBlock, fixtureBlocks, fixturesAvailable, withoutFixtures } from "../support/fixtures.ts"
import { flips, randomFrom } from "../support/flips.ts"
import { type RecordedBlock, recorded, recordedBlocks } from "../support/recorded.ts"

const parsed = (block: unknown, receipts: unknown, number: number): RawBlock => {
  const raw = BlockParser.parse(block, receipts, number)
  return "_tag" in raw ? expect.fail(raw.message) : raw
}

const verify = (raw: RawBlock, chainId: number): Effect.Effect<Verdict> =>
  Effect.map(Proof, (proof) => proof.verify(raw)).pipe(Effect.provide(Proof.layer(chainId)))

const verifyRecorded = ({ block, chainId, receipts }: RecordedBlock, as = chainId) =>
  verify(parsed(block, receipts, Number(block["number"])), as)

const address: Hex = "0x00000000000000000000000000000000000000aa"

/** What a verdict says in short. */
const said = (verdict: Verdict): string => (verdict._tag === "Mismatch" ? verdict.what : verdict._tag)

const blocks = fixtureBlocks()
const complete = blocks.filter(({ receipts }) => receipts !== undefined)

/** Chains whose blocks are never tried, though some of them would fit. */
const chainsOfOwnRules =
  /^(cronos|hyperliquid|polygon|stable|stable-testnet|tempo-mainnet|tempoModerato|viction|rsk)\//

/** Blocks with transactions, or seals, that Ethereum has not got. */
const isOfOwnKind = ({ block, name }: FixtureBlock): boolean => {
  const text = JSON.stringify(block)
  const types = /^(optimism|base|op-sepolia)\//.test(name)
    ? /"type":"0x(6a|64|78|3f)"/
    : /"type":"0x(7e|6a|64|78|3f)"/
  return chainsOfOwnRules.test(name) || types.test(text) || /"auraSeal"|"signature"/.test(text)
}

describe("Proof, on recorded blocks", () => {
  it.effect("proves Anvil's blocks with transactions of types 0, 1, 2 and 4", () =>
    Effect.gen(function* () {
      for (const name of ["berlin-1", "prague-0", "prague-1", "prague-2"]) {
        expect(yield* verifyRecorded(recorded(name)), name).toEqual({ _tag: "Proven" })
      }
      const types = recorded("prague-2").receipts.map((receipt) => receipt["type"])
      expect(types).toEqual(["0x2", "0x0", "0x1", "0x2", "0x2", "0x4"])
    })
  )

  it.effect("proves deposits of the OP Stack, on chains that have them", () =>
    Effect.gen(function* () {
      const optimism = recorded("optimism-1")
      expect(said(yield* verifyRecorded(optimism))).toBe("Proven")
      expect(said(yield* verifyRecorded(optimism, 12_345))).toBe("Unprovable")
      // Deposits are no excuse for a wrong header: every block of the OP Stack has one.
      const wrong = { ...optimism, block: { ...optimism.block, gasUsed: "0x1" } }
      expect(said(yield* verifyRecorded(wrong))).toBe("header hash")
      for (const receipt of optimism.receipts) delete receipt["depositReceiptVersion"]
      expect(said(yield* verifyRecorded(optimism))).toBe("Unprovable")
    })
  )

  it.effect("does not blame the provider for Anvil's root over blobs", () =>
    Effect.gen(function* () {
      const blob = recorded("prague-3")
      expect(said(yield* verifyRecorded(blob))).toBe("Unprovable")
      expect(said(yield* verifyRecorded(blob, 1))).toBe("transactions root")
    })
  )

  it.effect("does not mind upper case", () =>
    Effect.gen(function* () {
      const { block, receipts } = recorded("prague-2")
      const upper = (value: unknown): unknown =>
        JSON.parse(
          JSON.stringify(value).replace(/"0x([0-9a-f]+)"/g, (_, digits) => `"0x${digits.toUpperCase()}"`)
        )
      expect(said(yield* verify(parsed(upper(block), upper(receipts), 2), 31_337))).toBe("Proven")
    })
  )

  it.effect("finds what was changed", () =>
    Effect.gen(function* () {
      const changes: ReadonlyArray<readonly [string, object]> = [
        ["header hash", { timestamp: "0x1" }],
        ["header hash", { hash: `0x${"12".repeat(32)}` }],
        ["header hash", { requestsHash: null }],
        ["hex digits", { extraData: "0xzz" }],
        ["transactions root", { transactions: [] }],
        [
          "withdrawals root",
          { withdrawals: [{ index: "0x0", validatorIndex: "0x0", address, amount: "0x1" }] }
        ]
      ]
      for (const [what, change] of changes) {
        const { block, receipts } = recorded("prague-2")
        const raw = parsed(block, receipts, 2)
        expect(said(yield* verify({ ...raw, block: { ...raw.block, ...change } }, 31_337))).toBe(what)
      }
    })
  )

  it.effect("wants the receipts of exactly this block's transactions", () =>
    Effect.gen(function* () {
      const { block, receipts } = parsed(recorded("prague-2").block, recorded("prague-2").receipts, 2)
      const [first, second, ...rest] = receipts
      if (first === undefined || second === undefined) return expect.fail("no receipts")
      const of = (changed: RawBlock["receipts"]) =>
        Effect.map(verify({ block, receipts: changed }, 31_337), said)
      expect(yield* of([])).toBe("receipt count")
      expect(yield* of([second, first, ...rest])).toBe("receipt of another transaction")
      expect(yield* of([first, { ...second, logs: [] }, ...rest])).toBe("log index")
      const last = receipts.length - 1
      const withoutLastLogs = receipts.map((receipt, i) => (i === last ? { ...receipt, logs: [] } : receipt))
      expect(yield* of(withoutLastLogs)).toBe("bloom")
      const restarted = receipts.map((receipt) => ({
        ...receipt,
        logs: receipt.logs.map((log) => ({ ...log, logIndex: "0x0" as const }))
      }))
      expect(yield* of(restarted)).toBe("log index")
      expect(yield* of([{ ...first, gasUsed: "0x5207" }, second, ...rest])).toBe("gas used")
      expect(yield* of([{ ...first, status: "0x0" }, second, ...rest])).toBe("receipts root")
      expect(yield* of([{ ...first, status: null }, second, ...rest])).toBe("receipt outcome")
      expect(yield* of([{ ...first, effectiveGasPrice: "0x1" }, second, ...rest])).toBe("effective gas price")
      expect(yield* of([{ ...first, contractAddress: block.miner }, second, ...rest])).toBe("Proven")
      expect(yield* of([{ ...first, contractAddress: address }, second, ...rest])).toBe("contract address")
    })
  )

  it.effect("ties a new contract's address to its creator and nonce", () =>
    Effect.gen(function* () {
      const { block, receipts } = recorded("prague-1")
      const raw = parsed(block, receipts, 1)
      const changed = raw.receipts.map((receipt) => ({ ...receipt, contractAddress: address }))
      expect(said(yield* verify({ ...raw, receipts: changed }, 31_337))).toBe("contract address")
      const transactions = raw.block.transactions.map((transaction) => ({ ...transaction, from: address }))
      expect(said(yield* verify({ ...raw, block: { ...raw.block, transactions } }, 31_337))).toBe(
        "contract address"
      )
    })
  )

  it.effect("gives the benefit of the doubt to unknown chains only, and only for what is unknown", () =>
    Effect.gen(function* () {
      const { block, receipts } = parsed(recorded("berlin-1").block, recorded("berlin-1").receipts, 1)
      const changed = { ...block, gasLimit: "0x1" as const }
      expect(said(yield* verify({ block: changed, receipts }, 12_345))).toBe("header hash")
      expect(said(yield* verify({ block: { ...changed, seal: "0x1" } as never, receipts }, 12_345))).toBe(
        "Unprovable"
      )
      expect(said(yield* verify({ block: { ...changed, seal: "0x1" } as never, receipts }, 1))).toBe(
        "header hash"
      )
      const [first, ...rest] = block.transactions
      if (first === undefined) return expect.fail("no transactions")
      const typed = { ...block, transactions: [{ ...first, type: "0x7e" as const }, ...rest] }
      expect(said(yield* verify({ block: typed, receipts }, 12_345))).toBe("Unprovable")
      expect(said(yield* verify({ block: typed, receipts }, 1))).toBe("transaction type")
      expect(said(yield* verify({ block, receipts }, 12_345))).toBe("Proven")
      expect(said(yield* verify({ block, receipts }, 137))).toBe("Unprovable")
    })
  )
})

describe.skipIf(!fixturesAvailable)(`Proof, on real blocks${withoutFixtures}`, () => {
  it.effect("proves every complete block whose roots verify, on chains that hash as Ethereum does", () =>
    Effect.gen(function* () {
      const proven: Array<string> = []
      for (const fixture of complete) {
        const raw = BlockParser.parse(fixture.block, fixture.receipts, Number(numberOf(fixture)))
        const verdict = "_tag" in raw ? raw : yield* verify(raw, fixture.chainId)
        if (isOfOwnKind(fixture)) expect(verdict, fixture.name).toMatchObject({ _tag: "Unprovable" })
        else expect(verdict, fixture.name).toEqual({ _tag: "Proven" })
        if (verdict._tag === "Proven") proven.push(fixture.name)
      }
      expect(proven.length).toBeGreaterThanOrEqual(13)
    })
  )

  it.effect("verifies header, transactions and withdrawals of the blocks without receipts", () =>
    Effect.gen(function* () {
      for (const fixture of blocks.filter((block) => block.receipts === undefined)) {
        const raw = BlockParser.parse(withoutTransactions(fixture.block), [], Number(numberOf(fixture)))
        if ("_tag" in raw) return expect.fail(raw.message)
        const full = { block: fixture.block, receipts: [] } as unknown as RawBlock
        const verdict = yield* verify(full, fixture.chainId)
        // Only receipts are missing: whatever comes before them was right.
        const right = full.block.transactions.length === 0 ? "Proven" : "receipt count"
        expect(said(verdict), fixture.name).toBe(isOfOwnKind(fixture) ? "Unprovable" : right)
      }
    })
  )

  it.effect("never proves a block whose roots do not verify", () =>
    Effect.gen(function* () {
      const failing = blocks.filter(({ verification }) =>
        [verification.headerHash, verification.transactionsRoot, verification.receiptsRoot].includes("FAIL")
      )
      expect(failing.length).toBeGreaterThanOrEqual(8)
      for (const { block, chainId, name, receipts } of failing) {
        const raw = { block, receipts: receipts ?? [] } as RawBlock
        expect(said(yield* verify(raw, chainId)), name).toBe("Unprovable")
      }
    })
  )
})

describe("Proof, on blocks with one wrong digit", () => {
  const originals = [
    ...recordedBlocks.filter(({ name }) => name !== "prague-3"),
    ...complete.filter((fixture) => !isOfOwnKind(fixture))
  ]

  for (const [seed, { block, chainId, name, receipts }] of originals.entries()) {
    it.effect(`${name}: never proven`, () =>
      Effect.gen(function* () {
        const proof = yield* Proof
        const raw = parsed(block, receipts, Number(numberOf({ block })))
        const random = randomFrom(seed + 1)
        for (const flip of flips(raw, random, 150)) {
          flip.change()
          expect(proof.verify(raw)._tag, flip.what).not.toBe("Proven")
          flip.restore()
        }
        expect(proof.verify(raw)).toEqual({ _tag: "Proven" })
      }).pipe(Effect.provide(Proof.layer(chainId)))
    )
  }
})

function numberOf({ block }: { readonly block: unknown }): unknown {
  return typeof block === "object" && block !== null && "number" in block ? block.number : undefined
}

function withoutTransactions(block: unknown): unknown {
  return { ...Object(block), transactions: [] }
}
