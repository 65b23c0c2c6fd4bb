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
const padded = (address: Hex): Hex => `0x${address.slice(2).padStart(64, "0")}`

/** Makes the child of a block; `salt` tells siblings apart. */
export type MakeBlock = (number: number, parentHash: Hex, salt: number) => RawBlock

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

  return (number, parentHash, salt) => {
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
        // Of a few contracts; one in eight does not decode.
        const emitter = Number.parseInt(data.slice(2, 4), 16)
        return {
          address: `0x${"c0".repeat(19)}0${emitter % 4}`,
          topics: [transferTopic, padded(transaction.from), padded(transaction.to ?? transaction.from)],
          data: emitter % 8 === 7 ? "0x" : data,
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
      timestamp: hex(1_700_000_000 + number * 12),
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
