/**
 * What receipts say that no root covers, but that follows from what the roots cover.
 *
 * A receipts root commits to outcome, cumulative gas and logs. Everything else in a receipt was added by the node:
 * which transaction it belongs to, the gas of one transaction, the number of a log in its block, prices, the
 * address of a new contract. It gets stored all the same, so it is derived again here.
 *
 * **Gotchas**
 *
 * Prices and contract addresses are checked where Ethereum's own rules hold. Elsewhere fees are composed otherwise.
 */
import type { Hex, RawBlock, RpcReceipt, RpcTransaction } from "./Block.ts"
import { typeOf } from "./Consensus.ts"
import { equalsHex, type Keccak, toHex } from "./Keccak.ts"
import type { RlpWriter } from "./Rlp.ts"
import { type Mismatch, mismatch } from "./Verdict.ts"

/** Every blob pays for this much (EIP-4844). */
const gasPerBlob = 131_072

/** Equal as bytes: nodes do not agree on upper and lower case. */
export const sameHex = (a: string, b: string): boolean => a === b || a.toLowerCase() === b.toLowerCase()

const withoutZeros = (hex: string): string => hex.toLowerCase().replace(/^0x0*/, "")

const sameQuantity = (a: string, b: string): boolean => a === b || withoutZeros(a) === withoutZeros(b)

const indices: Array<string> = []

/** Whether `hex` is the number `index`, mostly by comparing two short strings. */
export const isIndex = (hex: string, index: number): boolean => {
  while (indices.length <= index && indices.length < 10_000) indices.push(`0x${indices.length.toString(16)}`)
  return hex === indices[index] || Number(hex) === index
}

/** Receipts and logs belong to these transactions, in this order, and gas and log numbers add up. */
export const checkOrder = ({ block, receipts }: RawBlock): Mismatch | undefined => {
  let gas = 0
  let logIndex = 0
  for (const [i, receipt] of receipts.entries()) {
    const transaction = block.transactions[i]
    if (transaction === undefined) continue
    if (!sameHex(receipt.transactionHash, transaction.hash)) {
      return mismatch(
        "receipt of another transaction",
        `receipts[${i}]`,
        transaction.hash,
        receipt.transactionHash
      )
    }
    if (!isIndex(receipt.transactionIndex, i)) {
      return mismatch("transaction index", `receipts[${i}]`, `${i}`, receipt.transactionIndex)
    }
    if (receipt.type && Number(receipt.type) !== typeOf(transaction)) {
      return mismatch("receipt type", `receipts[${i}]`, `${typeOf(transaction)}`, receipt.type)
    }
    const cumulative = Number(receipt.cumulativeGasUsed)
    // Written so that NaN fails too.
    if (!(cumulative >= gas)) {
      return mismatch("cumulative gas", `receipts[${i}]`, `at least ${gas}`, receipt.cumulativeGasUsed)
    }
    if (Number(receipt.gasUsed) !== cumulative - gas) {
      return mismatch("gas used", `receipts[${i}]`, `${cumulative - gas}`, receipt.gasUsed)
    }
    gas = cumulative
    for (const [j, log] of receipt.logs.entries()) {
      if (!isIndex(log.logIndex, logIndex)) {
        return mismatch("log index", `receipts[${i}].logs[${j}]`, `${logIndex}`, log.logIndex)
      }
      if (!isIndex(log.transactionIndex, i) || !sameHex(log.transactionHash, transaction.hash)) {
        return mismatch(
          "log of another transaction",
          `receipts[${i}].logs[${j}]`,
          `${i} ${transaction.hash}`,
          `${log.transactionIndex} ${log.transactionHash}`
        )
      }
      logIndex++
    }
  }
  return undefined
}

/** Below 2^52 a quantity is exact as a JavaScript number: 13 hex digits. */
const isSmall = (hex: string): boolean => hex.length <= 15

/** What one unit of gas cost, and whether that is `claimed`. */
const pricePaid = (transaction: RpcTransaction, baseFee: Hex | null | undefined): string | undefined => {
  const { maxFeePerGas, maxPriorityFeePerGas } = transaction
  if (typeOf(transaction) < 2) return transaction.gasPrice ?? undefined
  if (!baseFee || !maxFeePerGas || !maxPriorityFeePerGas) return undefined
  if (isSmall(baseFee) && isSmall(maxFeePerGas) && isSmall(maxPriorityFeePerGas)) {
    const price = Math.min(Number(maxFeePerGas), Number(baseFee) + Number(maxPriorityFeePerGas))
    return `0x${price.toString(16)}`
  }
  const offered = BigInt(baseFee) + BigInt(maxPriorityFeePerGas)
  const most = BigInt(maxFeePerGas)
  return `0x${(offered < most ? offered : most).toString(16)}`
}

/** Where a transaction without recipient puts its contract: a hash of who sent it and its nonce. */
const createdAddress = (writer: RlpWriter, keccak: Keccak, transaction: RpcTransaction): Uint8Array => {
  const mark = writer.mark()
  writer.quantity(transaction.nonce)
  writer.bytes(transaction.from)
  writer.list(mark)
  const address = keccak(writer.since(mark)).subarray(12)
  writer.rewind(mark)
  return address
}

const checkContract = (
  writer: RlpWriter,
  keccak: Keccak,
  transaction: RpcTransaction,
  receipt: RpcReceipt,
  at: string
): Mismatch | undefined => {
  const claimed = receipt.contractAddress ?? undefined
  if (transaction.to !== undefined && transaction.to !== null) {
    // Some nodes send the zero address where nothing was created.
    if (claimed === undefined || withoutZeros(claimed) === "") return undefined
    return mismatch("contract address", at, "null", claimed)
  }
  // Some nodes send none for a creation that failed.
  if (claimed === undefined && receipt.status !== "0x1") return undefined
  const created = createdAddress(writer, keccak, transaction)
  if (claimed !== undefined && equalsHex(created, claimed)) return undefined
  return mismatch("contract address", at, toHex(created), claimed ?? "null")
}

/** Prices, blob gas and contract addresses, by Ethereum's rules. Transactions must have been encoded before. */
export const checkDerived = (raw: RawBlock, writer: RlpWriter, keccak: Keccak): Mismatch | undefined => {
  for (const [i, receipt] of raw.receipts.entries()) {
    const transaction = raw.block.transactions[i]
    if (transaction === undefined) continue
    const price = pricePaid(transaction, raw.block.baseFeePerGas)
    if (price !== undefined && receipt.effectiveGasPrice && !sameQuantity(receipt.effectiveGasPrice, price)) {
      return mismatch("effective gas price", `receipts[${i}]`, price, receipt.effectiveGasPrice)
    }
    const blobGas = gasPerBlob * (transaction.blobVersionedHashes?.length ?? 0)
    if (receipt.blobGasUsed && Number(receipt.blobGasUsed) !== blobGas) {
      return mismatch("blob gas used", `receipts[${i}]`, `${blobGas}`, receipt.blobGasUsed)
    }
    const contract = checkContract(writer, keccak, transaction, receipt, `receipts[${i}]`)
    if (contract !== undefined) return contract
  }
  return undefined
}
