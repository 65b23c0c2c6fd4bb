/**
 * Genuine answers of nodes, to be changed: of recorded and of made-up blocks, and of real ones where they are at hand.
 */
import { Effect } from "effect"
import type { RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import { fixturesAvailable, loadFixture } from "../support/fixtures.ts"
import { logsOf } from "../support/logs.ts"
import * as provable from "../support/provable.ts"
import { recorded } from "../support/recorded.ts"
import * as Node from "./Node.ts"

const parsed = (block: unknown, receipts: unknown, number: number): RawBlock => {
  const raw = BlockParser.parse(block, receipts, number)
  return "block" in raw ? raw : Effect.runSync(Effect.die(raw.message))
}

const recordedRaw = (name: string): RawBlock => {
  const { block, receipts } = recorded(name)
  return parsed(block, receipts, Number(block["number"]))
}

/** Asked for a block with its receipts in one batch. */
const batch = (name: string, chainId: number, raw: RawBlock): Node.Subject => ({
  name,
  chainId,
  raw,
  asked: ({ method, params }) => method === "eth_getBlockByNumber" && params[1] === true,
  genuine: Node.envelope([raw.block, raw.receipts])
})

export const mixed = batch("blocks of all types", 31_337, recordedRaw("prague-2"))

const deposits = batch("blocks with deposits", 10, recordedRaw("optimism-1"))

/** The same block from a node without eth_getBlockReceipts. */
const singleReceipts: Node.Subject = {
  ...mixed,
  name: "receipts one by one",
  without: ["eth_getBlockReceipts"],
  asked: ({ method }) => method === "eth_getTransactionReceipt",
  genuine: Node.envelope(mixed.raw.receipts)
}

const real = (name: string, chainId: number): Node.Subject => {
  const folder = name.replace(/^\D+ /, "")
  const block = loadFixture(`${folder}/block.json`)
  const number = Number(folder.slice(folder.lastIndexOf("/") + 1))
  return batch(name, chainId, parsed(block, loadFixture(`${folder}/receipts.json`), number))
}

/** It has withdrawals too. */
export const withBlobs = (chain: provable.ProvableChain): Node.Subject =>
  batch("blocks with blobs", 31_337, provable.raw(chain, 95))

/** Whole blocks, the way to rows. */
export const blocks: Effect.Effect<ReadonlyArray<Node.Subject>> = Effect.map(provable.make(300), (chain) => [
  mixed,
  withBlobs(chain),
  deposits,
  singleReceipts,
  ...(fixturesAvailable
    ? [real("blocks of ethereum/1000000", 1), real("blocks of optimism/104850515", 10)]
    : [])
])

const { hash, number, parentHash, timestamp } = mixed.raw.block
const header = { hash, number, parentHash, timestamp, transactions: [] }

/** The answer to a question for a header, with nothing else in it than what is looked at. */
export const head: Node.Subject = {
  ...mixed,
  name: "heads",
  asked: ({ params }) => params[0] === "latest" || params[0] === "finalized",
  genuine: Node.envelope([header])
}

export const byNumber: Node.Subject = {
  ...head,
  name: "headers",
  asked: ({ method, params }) => method === "eth_getBlockByNumber" && params[0] === mixed.raw.block.number
}

export const genesis: Node.Subject = {
  ...head,
  name: "the genesis",
  asked: ({ params }) => params[0] === "0x0",
  genuine: Node.envelope([{ ...header, number: "0x0" }])
}

/** Logs of the block, and its header with them. */
export const logs: Node.Subject = {
  ...mixed,
  name: "logs",
  asked: ({ method }) => method === "eth_getLogs",
  genuine: Node.envelope([logsOf([mixed.raw]), header])
}

export const chainId: Node.Subject = {
  ...mixed,
  name: "the chain's id",
  asked: ({ method }) => method === "eth_chainId",
  genuine: Node.envelope(["0x7a69"])
}

const said = (code: number, message: string, data: unknown): unknown => ({
  jsonrpc: "2.0",
  id: 0,
  error: { code, message, data }
})

/** Error answers, which are changed like all others. */
export const errors: ReadonlyArray<Node.Subject> = [
  said(-32_005, "daily request count exceeded, request rate limited", {
    rate: { allowed_rps: 1, backoff_seconds: 30, current_rps: 1.3 },
    see: "https://infura.io/dashboard"
  }),
  said(-32_000, "batch of more than 3 requests are not allowed", { max_batch_size: 3 }),
  said(-32_602, "query returned more than 10000 results", { from: "0x1", to: "0x2", limit: 10_000 })
].map((genuine, i) => ({
  ...mixed,
  name: `errors ${i + 1}`,
  asked: ({ method, params }) => method === "eth_getBlockByNumber" && params[1] === true,
  genuine
}))
