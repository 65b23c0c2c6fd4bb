/**
 * From a provider's JSON to a `RawBlock`, or to the first thing that is wrong with it.
 *
 * **Details**
 *
 * It checks what the types of `Block` promise: that a field is there, and is a string with `0x` and the right length.
 * Hex digits are looked at where they become bytes; those of a header alone, which never do, are looked at here. What is right stays as it is, uncopied, with all fields that the
 * node added.
 *
 * Missing indices of transactions, receipts and logs are filled in from positions, since some chains send none.
 * Receipts in another order are put into theirs if their indices say it; a receipt that is missing, doubled, of
 * another transaction or of another block is refused, and so is a log that a reorg has removed.
 *
 * **Gotchas**
 *
 * Nothing here throws, and no JSON makes it: it reads the properties of objects and the lengths of strings.
 */
import type {
  BlockHeader,
  Hex,
  RawBlock,
  RpcAccessListItem,
  RpcAuthorization,
  RpcBlock,
  RpcLog,
  RpcReceipt,
  RpcTransaction,
  RpcWithdrawal
} from "./Block.ts"
import {
  address,
  bytes,
  type Check,
  count,
  data,
  describe,
  digits,
  type Fault,
  fault,
  hash,
  hashes,
  isHex,
  isObject,
  items,
  type Loose,
  optional,
  optionalHashes,
  optionalItems,
  position,
  quantity
} from "./JsonChecks.ts"

export interface MalformedBlock {
  readonly _tag: "MalformedBlock"
  readonly number: number | undefined
  /** `transactions[3].value`, or empty for the whole answer. */
  readonly path: string
  readonly expected: string
  /** At most 80 characters of what was there. */
  readonly got: string
  readonly message: string
}

export const parse = (
  block: unknown,
  receipts: unknown,
  expectedNumber: number
): RawBlock | MalformedBlock => {
  if (!isObject<RpcBlock>(block)) return malformed(expectedNumber, fault("block", "an object", block))
  const wrong =
    (isHex(block.number) && Number(block.number) === expectedNumber
      ? undefined
      : fault("number", `0x${expectedNumber.toString(16)}`, block.number)) ??
    blockFault(block) ??
    items<RpcTransaction>(block.transactions, "transactions", transactionFault) ??
    optionalItems<RpcWithdrawal>(block.withdrawals, "withdrawals", withdrawalFault)
  if (wrong !== undefined) return malformed(expectedNumber, wrong)
  const believed = filled(believe<RpcBlock>(block))
  const ordered = orderedReceipts(believed, receipts)
  return "path" in ordered
    ? malformed(expectedNumber, ordered)
    : { block: believed, receipts: ordered.receipts }
}

/** The place of a block in its chain, from a block with or without transactions. */
export const parseHeader = (block: unknown): BlockHeader | MalformedBlock => {
  if (!isObject<RpcBlock>(block)) return malformed(undefined, fault("block", "an object", block))
  const { hash, number, parentHash, timestamp } = block
  const wrong =
    count(number, "number") ??
    digits(hash, 32, "hash") ??
    digits(parentHash, 32, "parentHash") ??
    count(timestamp, "timestamp")
  if (wrong !== undefined) return malformed(isHex(number) ? Number(number) : undefined, wrong)
  return {
    number: Number(number),
    // As it is stored: whoever compares the two would otherwise see another block.
    hash: lowerCase(believe<Hex>(hash)),
    parentHash: lowerCase(believe<Hex>(parentHash)),
    timestamp: Number(timestamp)
  }
}

/** The hashes of a block's full transactions, in their order. */
export const transactionHashes = (block: unknown): ReadonlyArray<Hex> | undefined => {
  if (!isObject<RpcBlock>(block) || !Array.isArray(block.transactions)) return undefined
  const hashes: Array<Hex> = []
  for (const transaction of block.transactions) {
    if (!isObject<RpcTransaction>(transaction) || bytes(transaction.hash, 32, "hash") !== undefined) {
      return undefined
    }
    hashes.push(believe<Hex>(transaction.hash))
  }
  return hashes
}

// What the fields of each object are

const blockFault = (block: Loose<RpcBlock>): Check =>
  bytes(block.hash, 32, "hash") ??
  bytes(block.parentHash, 32, "parentHash") ??
  count(block.timestamp, "timestamp") ??
  bytes(block.miner, 20, "miner") ??
  bytes(block.sha3Uncles, 32, "sha3Uncles") ??
  bytes(block.stateRoot, 32, "stateRoot") ??
  bytes(block.transactionsRoot, 32, "transactionsRoot") ??
  bytes(block.receiptsRoot, 32, "receiptsRoot") ??
  bytes(block.logsBloom, 256, "logsBloom") ??
  quantity(block.difficulty, "difficulty") ??
  optional(block.totalDifficulty, quantity, "totalDifficulty") ??
  quantity(block.gasLimit, "gasLimit") ??
  quantity(block.gasUsed, "gasUsed") ??
  data(block.extraData, "extraData") ??
  optional(block.mixHash, hash, "mixHash") ??
  optional(block.nonce, data, "nonce") ??
  optional(block.size, quantity, "size") ??
  optional(block.baseFeePerGas, quantity, "baseFeePerGas") ??
  optional(block.withdrawalsRoot, hash, "withdrawalsRoot") ??
  optional(block.blobGasUsed, quantity, "blobGasUsed") ??
  optional(block.excessBlobGas, quantity, "excessBlobGas") ??
  optional(block.parentBeaconBlockRoot, hash, "parentBeaconBlockRoot") ??
  optional(block.requestsHash, hash, "requestsHash")

const transactionFault = (transaction: Loose<RpcTransaction>, i: number): Check =>
  bytes(transaction.hash, 32, "hash") ??
  optional(transaction.transactionIndex, count, "transactionIndex") ??
  position(transaction.transactionIndex, i, "transactionIndex") ??
  optional(transaction.type, count, "type") ??
  bytes(transaction.from, 20, "from") ??
  optional(transaction.to, address, "to") ??
  quantity(transaction.value, "value") ??
  quantity(transaction.nonce, "nonce") ??
  quantity(transaction.gas, "gas") ??
  optional(transaction.gasPrice, quantity, "gasPrice") ??
  optional(transaction.maxFeePerGas, quantity, "maxFeePerGas") ??
  optional(transaction.maxPriorityFeePerGas, quantity, "maxPriorityFeePerGas") ??
  optional(transaction.maxFeePerBlobGas, quantity, "maxFeePerBlobGas") ??
  data(transaction.input, "input") ??
  optional(transaction.chainId, quantity, "chainId") ??
  optionalItems<RpcAccessListItem>(transaction.accessList, "accessList", accessListFault) ??
  optionalHashes(transaction.blobVersionedHashes, "blobVersionedHashes") ??
  optionalItems<RpcAuthorization>(transaction.authorizationList, "authorizationList", authorizationFault) ??
  optional(transaction.v, quantity, "v") ??
  optional(transaction.r, quantity, "r") ??
  optional(transaction.s, quantity, "s") ??
  optional(transaction.yParity, quantity, "yParity") ??
  optional(transaction.sourceHash, hash, "sourceHash") ??
  optional(transaction.mint, quantity, "mint")

const accessListFault = (item: Loose<RpcAccessListItem>): Check =>
  bytes(item.address, 20, "address") ?? hashes(item.storageKeys, "storageKeys", Number.POSITIVE_INFINITY)

const authorizationFault = (item: Loose<RpcAuthorization>): Check =>
  quantity(item.chainId, "chainId") ??
  bytes(item.address, 20, "address") ??
  quantity(item.nonce, "nonce") ??
  quantity(item.yParity, "yParity") ??
  quantity(item.r, "r") ??
  quantity(item.s, "s")

const withdrawalFault = (withdrawal: Loose<RpcWithdrawal>): Check =>
  quantity(withdrawal.index, "index") ??
  quantity(withdrawal.validatorIndex, "validatorIndex") ??
  bytes(withdrawal.address, 20, "address") ??
  quantity(withdrawal.amount, "amount")

const receiptFault = (receipt: Loose<RpcReceipt>): Check =>
  bytes(receipt.transactionHash, 32, "transactionHash") ??
  optional(receipt.transactionIndex, count, "transactionIndex") ??
  optional(receipt.type, count, "type") ??
  optional(receipt.status, quantity, "status") ??
  optional(receipt.root, data, "root") ??
  quantity(receipt.cumulativeGasUsed, "cumulativeGasUsed") ??
  quantity(receipt.gasUsed, "gasUsed") ??
  optional(receipt.contractAddress, address, "contractAddress") ??
  optional(receipt.effectiveGasPrice, quantity, "effectiveGasPrice") ??
  optional(receipt.blobGasUsed, quantity, "blobGasUsed") ??
  optional(receipt.blobGasPrice, quantity, "blobGasPrice") ??
  bytes(receipt.logsBloom, 256, "logsBloom") ??
  optional(receipt.depositNonce, quantity, "depositNonce") ??
  optional(receipt.depositReceiptVersion, quantity, "depositReceiptVersion") ??
  items<RpcLog>(receipt.logs, "logs", logFault)

const logFault = (log: Loose<RpcLog>): Check =>
  bytes(log.address, 20, "address") ??
  hashes(log.topics, "topics", 4) ??
  data(log.data, "data") ??
  count(log.logIndex, "logIndex") ??
  optional(log.transactionIndex, count, "transactionIndex") ??
  bytes(log.transactionHash, 32, "transactionHash") ??
  (log.removed === true ? fault("removed", "false", true) : undefined)

// Receipts, which come from another answer than their block

/** One receipt for each transaction, in the order of the transactions. */
const orderedReceipts = (
  block: RpcBlock,
  receipts: unknown
): { readonly receipts: ReadonlyArray<RpcReceipt> } | Fault => {
  const wanted = block.transactions.length
  if (!Array.isArray(receipts)) return fault("receipts", `an array of ${wanted}`, receipts)
  if (receipts.length !== wanted) return fault("receipts", `an array of ${wanted}`, receipts)
  const wrong = items<RpcReceipt>(receipts, "receipts", receiptFault)
  if (wrong !== undefined) return wrong
  const given = believe<ReadonlyArray<Loose<RpcReceipt>>>(receipts)
  const ordered: Array<RpcReceipt | undefined> = new Array(wanted).fill(undefined)
  for (const [i, receipt] of given.entries()) {
    const at = `receipts[${i}]`
    const index = isHex(receipt.transactionIndex) ? Number(receipt.transactionIndex) : i
    const transaction = block.transactions[index]
    if (transaction === undefined) return fault(`${at}.transactionIndex`, `below ${wanted}`, `${index}`)
    if (ordered[index] !== undefined)
      return fault(`${at}.transactionIndex`, "one receipt a transaction", `${index}`)
    if (!same(receipt.transactionHash, transaction.hash)) {
      return fault(`${at}.transactionHash`, transaction.hash, receipt.transactionHash)
    }
    if (receipt.blockHash !== undefined && !same(receipt.blockHash, block.hash)) {
      return fault(`${at}.blockHash`, block.hash, receipt.blockHash)
    }
    ordered[index] = filledReceipt(believe<RpcReceipt>(receipt), index)
  }
  return { receipts: ordered.filter((receipt) => receipt !== undefined) }
}

const filled = (block: RpcBlock): RpcBlock =>
  block.transactions.every(hasIndex)
    ? block
    : {
        ...block,
        transactions: block.transactions.map((transaction, i) => ({
          ...transaction,
          transactionIndex: `0x${i.toString(16)}`
        }))
      }

const filledReceipt = (receipt: RpcReceipt, index: number): RpcReceipt => {
  if (hasIndex(receipt) && receipt.logs.every(hasIndex)) return receipt
  const transactionIndex: Hex = `0x${index.toString(16)}`
  return {
    ...receipt,
    transactionIndex,
    logs: receipt.logs.map((log) => (hasIndex(log) ? log : { ...log, transactionIndex }))
  }
}

const hasIndex = (value: { readonly transactionIndex?: Hex | null }): boolean =>
  value.transactionIndex !== undefined && value.transactionIndex !== null

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`

const same = (a: unknown, b: string): boolean =>
  a === b || (typeof a === "string" && a.toLowerCase() === b.toLowerCase())

/** The one place where a checked value gets its type: this module is the adapter between JSON and `Block`. */
const believe = <A>(checked: unknown): A => checked as A

const malformed = (number: number | undefined, wrong: Fault): MalformedBlock => {
  const got = describe(wrong.got)
  return {
    _tag: "MalformedBlock",
    number,
    path: wrong.path,
    expected: wrong.expected,
    got,
    message: `block ${number ?? "of unknown number"}: ${wrong.path} is ${got}, expected ${wrong.expected}`
  }
}
