/**
 * Blocks, transactions, receipts and withdrawals in the form that consensus hashes.
 *
 * Every function writes backwards (see `RlpWriter`), so fields stand here from last to first.
 *
 * **Details**
 *
 * A header has the fields of its fork and no others: each fork appended some. A field that is present is written,
 * one that is missing or null is not, so no table of forks and heights is needed.
 */
import type {
  Hex,
  RpcAccessListItem,
  RpcAuthorization,
  RpcBlock,
  RpcReceipt,
  RpcTransaction,
  RpcWithdrawal
} from "./Block.ts"
import type { LogBloom } from "./Bloom.ts"
import type { RlpWriter } from "./Rlp.ts"

type Optional = Hex | null | undefined

const optionalBytes = (writer: RlpWriter, value: Optional): void => {
  if (value !== undefined && value !== null) writer.bytes(value)
}

const optionalQuantity = (writer: RlpWriter, value: Optional): void => {
  if (value !== undefined && value !== null) writer.quantity(value)
}

export const writeHeader = (writer: RlpWriter, block: RpcBlock): void => {
  const mark = writer.mark()
  optionalBytes(writer, block.requestsHash)
  optionalBytes(writer, block.parentBeaconBlockRoot)
  optionalQuantity(writer, block.excessBlobGas)
  optionalQuantity(writer, block.blobGasUsed)
  optionalBytes(writer, block.withdrawalsRoot)
  optionalQuantity(writer, block.baseFeePerGas)
  optionalBytes(writer, block.nonce)
  optionalBytes(writer, block.mixHash)
  writer.bytes(block.extraData)
  writer.quantity(block.timestamp)
  writer.quantity(block.gasUsed)
  writer.quantity(block.gasLimit)
  writer.quantity(block.number)
  writer.quantity(block.difficulty)
  writer.bytes(block.logsBloom)
  writer.bytes(block.receiptsRoot)
  writer.bytes(block.transactionsRoot)
  writer.bytes(block.stateRoot)
  writer.bytes(block.miner)
  writer.bytes(block.sha3Uncles)
  writer.bytes(block.parentHash)
  writer.list(mark)
}

/** The type as a number, 0 where a node sends none: only nodes from before typed transactions do. */
export const typeOf = (transaction: RpcTransaction): number =>
  transaction.type === undefined || transaction.type === null ? 0 : Number(transaction.type)

const writeRecipient = (writer: RlpWriter, to: Optional): void => {
  if (to === undefined || to === null) writer.byte(0x80)
  else writer.bytes(to)
}

const writeAccessList = (writer: RlpWriter, list: ReadonlyArray<RpcAccessListItem>): void => {
  const mark = writer.mark()
  for (let i = list.length - 1; i >= 0; i--) {
    const item = list[i]
    if (item === undefined) continue
    const itemMark = writer.mark()
    writeHashes(writer, item.storageKeys)
    writer.bytes(item.address)
    writer.list(itemMark)
  }
  writer.list(mark)
}

const writeHashes = (writer: RlpWriter, hashes: ReadonlyArray<Hex>): void => {
  const mark = writer.mark()
  for (let i = hashes.length - 1; i >= 0; i--) writer.bytes(hashes[i] ?? "0x")
  writer.list(mark)
}

const writeAuthorizations = (writer: RlpWriter, list: ReadonlyArray<RpcAuthorization>): void => {
  const mark = writer.mark()
  for (let i = list.length - 1; i >= 0; i--) {
    const item = list[i]
    if (item === undefined) continue
    const itemMark = writer.mark()
    writer.quantity(item.s)
    writer.quantity(item.r)
    writer.quantity(item.yParity)
    writer.quantity(item.nonce)
    writer.bytes(item.address)
    writer.quantity(item.chainId)
    writer.list(itemMark)
  }
  writer.list(mark)
}

const writeLegacy = (writer: RlpWriter, transaction: RpcTransaction): boolean => {
  const { gasPrice, r, s, v } = transaction
  if (!gasPrice || !v || !r || !s) return false
  const mark = writer.mark()
  // `v` says whether the chain id was signed too (EIP-155); the encoding of a signed transaction is the same.
  writer.quantity(s)
  writer.quantity(r)
  writer.quantity(v)
  writer.bytes(transaction.input)
  writer.quantity(transaction.value)
  writeRecipient(writer, transaction.to)
  writer.quantity(transaction.gas)
  writer.quantity(gasPrice)
  writer.quantity(transaction.nonce)
  writer.list(mark)
  return true
}

const writeTyped = (writer: RlpWriter, transaction: RpcTransaction, type: number): boolean => {
  const { chainId, gasPrice, maxFeePerGas, maxPriorityFeePerGas, r, s } = transaction
  // Nodes send `v` beside `yParity` or instead of it; on typed transactions both are 0 or 1.
  const parity = transaction.yParity ?? transaction.v
  if (!chainId || !parity || !r || !s) return false
  const mark = writer.mark()
  writer.quantity(s)
  writer.quantity(r)
  writer.quantity(parity)
  if (type === 4) {
    if (!transaction.authorizationList) return false
    writeAuthorizations(writer, transaction.authorizationList)
  }
  if (type === 3) {
    if (!transaction.blobVersionedHashes || !transaction.maxFeePerBlobGas) return false
    writeHashes(writer, transaction.blobVersionedHashes)
    writer.quantity(transaction.maxFeePerBlobGas)
  }
  writeAccessList(writer, transaction.accessList ?? [])
  writer.bytes(transaction.input)
  writer.quantity(transaction.value)
  writeRecipient(writer, transaction.to)
  writer.quantity(transaction.gas)
  if (type === 1) {
    if (!gasPrice) return false
    writer.quantity(gasPrice)
  } else {
    if (!maxFeePerGas || !maxPriorityFeePerGas) return false
    writer.quantity(maxFeePerGas)
    writer.quantity(maxPriorityFeePerGas)
  }
  writer.quantity(transaction.nonce)
  writer.quantity(chainId)
  writer.list(mark)
  writer.byte(type)
  return true
}

/** The type of a deposit on the OP Stack. Other chains gave the number to transactions of their own. */
export const depositType = 0x7e

/** A transaction that the OP Stack's first layer sends, without a signature. */
export const writeDeposit = (writer: RlpWriter, transaction: RpcTransaction): boolean => {
  if (!transaction.sourceHash) return false
  const mark = writer.mark()
  writer.bytes(transaction.input)
  writer.byte(transaction.isSystemTx === true ? 1 : 0x80)
  writer.quantity(transaction.gas)
  writer.quantity(transaction.value)
  writer.quantity(transaction.mint ?? "0x0")
  writeRecipient(writer, transaction.to)
  writer.bytes(transaction.from)
  writer.bytes(transaction.sourceHash)
  writer.list(mark)
  writer.byte(depositType)
  return true
}

/**
 * Writes the signed transaction, whose keccak is its hash. `false` if its type is none of Ethereum's 0 to 4, or if
 * it lacks a field that its type has: what stands in the writer is of no use then.
 */
export const writeTransaction = (writer: RlpWriter, transaction: RpcTransaction, type: number): boolean => {
  if (type === 0) return writeLegacy(writer, transaction)
  return type >= 1 && type <= 4 && writeTyped(writer, transaction, type)
}

/** What the first field of a receipt is: whether it succeeded, or before Byzantium the state root after it. */
export type ReceiptOutcome = "status" | "root"

/**
 * Writes a receipt, and adds its logs to `bloom`. The bloom filter in it comes from the logs, not from the answer:
 * some nodes leave it out or send zeros. `false` if it lacks `outcome`.
 */
export const writeReceipt = (
  writer: RlpWriter,
  receipt: RpcReceipt,
  type: number,
  outcome: ReceiptOutcome,
  bloom: LogBloom
): boolean => {
  const mark = writer.mark()
  if (type === depositType && receipt.depositReceiptVersion) {
    writer.quantity(receipt.depositReceiptVersion)
    optionalQuantity(writer, receipt.depositNonce)
  }
  const logs = receipt.logs
  const logsMark = writer.mark()
  bloom.startReceipt()
  for (let i = logs.length - 1; i >= 0; i--) {
    const log = logs[i]
    if (log === undefined) continue
    const logMark = writer.mark()
    writer.bytes(log.data)
    writeHashes(writer, log.topics)
    writer.bytes(log.address)
    writer.list(logMark)
    bloom.add(log.address)
    for (const topic of log.topics) bloom.add(topic)
  }
  writer.list(logsMark)
  writer.raw(bloom.receipt)
  writer.stringHeader(256, 0)
  writer.quantity(receipt.cumulativeGasUsed)
  const first = receipt[outcome]
  if (!first) return false
  if (outcome === "root") writer.bytes(first)
  else writer.quantity(first)
  writer.list(mark)
  if (type !== 0) writer.byte(type)
  return true
}

export const writeWithdrawal = (writer: RlpWriter, withdrawal: RpcWithdrawal): void => {
  const mark = writer.mark()
  writer.quantity(withdrawal.amount)
  writer.bytes(withdrawal.address)
  writer.quantity(withdrawal.validatorIndex)
  writer.quantity(withdrawal.index)
  writer.list(mark)
}
