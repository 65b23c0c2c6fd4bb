/**
 * Blocks that prove: small ones, made from a salt, whose hashes, roots and bloom are right. Proof itself is tested
 * with real blocks elsewhere; here it has to tell genuine answers from broken ones.
 */
import { Effect } from "effect"
import { keccak256, parseAbiItem, toEventSelector, toHex } from "viem"
import type { Hex, RawBlock, RpcLog, RpcReceipt, RpcTransaction } from "../../src/chain/Block.ts"
import { LogBloom } from "../../src/chain/Bloom.ts"
import { writeHeader, writeReceipt, writeTransaction } from "../../src/chain/Consensus.ts"
import * as Keccak from "../../src/chain/Keccak.ts"
import { RlpWriter } from "../../src/chain/Rlp.ts"
import { OrderedTrie } from "../../src/chain/Trie.ts"

const hex = (n: number): Hex => `0x${n.toString(16)}`
const word = (seed: string): Hex => keccak256(toHex(seed))
const emptyUncles: Hex = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
const zeros = (bytes: number): Hex => `0x${"00".repeat(bytes)}`

/** Without leading zeros, and never empty. */
const scalar = (digits: string): Hex => `0x${digits.replace(/^0+/, "") || "1"}`

export const transfer = parseAbiItem(
  "event Transfer(address indexed from, address indexed to, uint256 value)"
)
export const transferTopic = toEventSelector(transfer)
/** Of a pair as Uniswap V2 has them. */
export const swap = parseAbiItem(
  "event Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to)"
)
export const swapTopic = toEventSelector(swap)

/** Few, so that they come again; as a topic. */
const account = (n: number): Hex => `0x${"acc".padStart(62, "0")}0${n % 8}`

/** The amounts of a swap: one token goes in and the other comes out, or some of both, or it has no price at all. */
const amounts = (seed: Hex): Hex => {
  const amount = (i: number) => seed.slice(10 + i * 8, 14 + i * 8 + (i % 3)).padStart(64, "0")
  const none = "0".repeat(64)
  switch (Number.parseInt(seed.slice(8, 10), 16) % 8) {
    case 0:
      return `0x${amount(0)}${amount(1)}${none}${none}`
    case 1:
      return `0x${amount(0)}${amount(1)}${amount(2)}${amount(3)}`
    case 2:
    case 3:
    case 4:
      return `0x${amount(0)}${none}${none}${amount(1)}`
    default:
      return `0x${none}${amount(0)}${amount(1)}${none}`
  }
}

/** A few contracts, all of which are tokens and pairs, some of them seldom. */
const emitterOf = (n: number): Hex =>
  `0x${"c0".repeat(19)}${n < 240 ? `0${(n >> 3) % 4}` : `1${(n % 16) >> 1}`}`

/** Makes the child of a block; `salt` tells siblings apart, `timestamp` is in seconds since 1970. */
export type MakeBlock = (number: number, parentHash: Hex, salt: number, timestamp: number) => RawBlock

export const make: Effect.Effect<MakeBlock> = Effect.map(Keccak.make, (keccak) => {
  const writer = new RlpWriter()
  const trie = new OrderedTrie(writer, keccak)
  const bloom = new LogBloom(keccak)
  const hashOf = (write: () => void): Hex => {
    writer.reset()
    const mark = writer.mark()
    write()
    return `0x${Buffer.from(keccak(writer.since(mark))).toString("hex")}`
  }
  const rootOf = <A>(items: ReadonlyArray<A>, write: (item: A) => void): Hex => {
    writer.reset()
    trie.clear()
    for (const item of items) {
      const mark = writer.mark()
      write(item)
      trie.push(mark)
    }
    return `0x${Buffer.from(trie.root()).toString("hex")}`
  }

  const transactionOf = (seed: Hex, i: number, number: number): RpcTransaction => {
    const transaction: RpcTransaction = {
      hash: zeros(32),
      transactionIndex: hex(i),
      type: "0x0",
      from: `0x${seed.slice(2, 42)}`,
      to: `0x${seed.slice(10, 50)}`,
      value: scalar(seed.slice(50, 58)),
      nonce: hex(number),
      gas: "0x5208",
      gasPrice: "0x3b9aca00",
      input: `0x${seed.slice(2, 10)}`,
      v: "0x1b",
      r: scalar(word(`${seed} r`).slice(2)),
      s: scalar(word(`${seed} s`).slice(2))
    }
    return { ...transaction, hash: hashOf(() => writeTransaction(writer, transaction, 0)) }
  }

  return (number, parentHash, salt, timestamp) => {
    const seed = word(`block ${number} ${parentHash} ${salt}`)
    const count = Number.parseInt(seed.slice(2, 4), 16) % 4
    const transactions = Array.from({ length: count }, (_, i) =>
      transactionOf(word(`${seed} ${i}`), i, number)
    )
    let logIndex = 0
    const receipts = transactions.map((transaction, i): RpcReceipt => {
      const logs = Array.from({ length: (i + number) % 3 }, (): RpcLog => {
        const index = logIndex++
        const data = word(`data ${seed} ${index}`)
        const byte = (at: number) => Number.parseInt(data.slice(2 + at * 2, 4 + at * 2), 16)
        const emitter = byte(0)
        const isSwap = emitter % 4 === 1
        return {
          address: emitterOf(emitter),
          topics: [isSwap ? swapTopic : transferTopic, account(byte(1)), account(byte(2))],
          // One in eight does not decode.
          data: emitter % 8 === 7 ? "0x" : isSwap ? amounts(data) : data,
          logIndex: hex(index),
          transactionIndex: hex(i),
          transactionHash: transaction.hash
        }
      })
      return {
        transactionHash: transaction.hash,
        transactionIndex: hex(i),
        type: "0x0",
        status: "0x1",
        cumulativeGasUsed: hex(21_000 * (i + 1)),
        gasUsed: "0x5208",
        contractAddress: null,
        effectiveGasPrice: "0x3b9aca00",
        logsBloom: zeros(256),
        logs
      }
    })
    bloom.startBlock()
    const receiptsRoot = rootOf(receipts, (receipt) => writeReceipt(writer, receipt, 0, "status", bloom))
    const logsBloom: Hex = `0x${Buffer.from(bloom.block).toString("hex")}`
    const block: RawBlock["block"] = {
      number: hex(number),
      hash: zeros(32),
      parentHash,
      timestamp: hex(timestamp),
      miner: `0x${"11".repeat(20)}`,
      sha3Uncles: emptyUncles,
      stateRoot: word(`state ${seed}`),
      transactionsRoot: rootOf(transactions, (transaction) => writeTransaction(writer, transaction, 0)),
      receiptsRoot,
      logsBloom,
      difficulty: "0x0",
      gasLimit: "0x1c9c380",
      gasUsed: hex(21_000 * count),
      extraData: "0x",
      mixHash: word("mix"),
      nonce: "0x0000000000000000",
      size: "0x220",
      baseFeePerGas: "0x7",
      transactions
    }
    return { block: { ...block, hash: hashOf(() => writeHeader(writer, block)) }, receipts }
  }
})
