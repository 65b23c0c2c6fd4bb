/**
 * Blocks as columns, ready for PostgreSQL before the database is asked.
 *
 * **When to use**: `encode` turns a block, straight from its hex strings, into what `SqlStore` hands to `unnest` as it
 * is. It looks at every value, so what it returns can be written; what a database would refuse later, without knowing
 * whose answer it was, is refused here, with the block, the column and the value.
 *
 * **Gotchas**: the column writers are shared and used again for every block. `encode` runs from start to end without a
 * pause, so no two blocks meet in them.
 */
import type {
  BlockHeader,
  CoverageLevel,
  Hex,
  ProofLevel,
  RawBlock,
  RpcLog,
  RpcReceipt,
  RpcTransaction,
  RpcWithdrawal
} from "../chain/Block.ts"
import * as KeptLog from "../chain/KeptLog.ts"
import { type ColumnWriter, Refusals } from "../columns/ColumnWriter.ts"
import * as TableWriter from "../columns/TableWriter.ts"
import * as Timestamp from "../columns/Timestamp.ts"
import * as Json from "./Json.ts"
import { blocks, logs, transactions, withdrawals } from "./Tables.ts"

/** A block whose rows can be written without another look at them. */
export interface EncodedBlock extends BlockHeader {
  readonly level: ProofLevel
  /** What of it is stored. */
  readonly coverage: CoverageLevel
  /** Rows in `transactions` and `logs`. */
  readonly transactions: number
  readonly logs: number
  /** Bytes that it holds in memory. */
  readonly bytes: number
  /** One entry for each data table, in the order of `tables`. */
  readonly rows: ReadonlyArray<TableWriter.TableRows>
  /** Its logs that events are made of, in their order. */
  readonly matched: ReadonlyArray<RpcLog>
}

/** A value that its column cannot take: a provider's wrong answer, or a chain beyond these tables. */
export interface MalformedValue {
  readonly _tag: "MalformedValue"
  readonly number: number
  /** `transactions.value`, for example. */
  readonly column: string
  /** At most 80 characters of it. */
  readonly value: string
  readonly message: string
}

/** Memory of a block beside its buffers, roughly: four objects and two hashes. */
const fixedBytes = 1024

export interface Kept {
  /** Its logs that events are made of. */
  readonly matched?: ReadonlyArray<RpcLog>
  /** Of the block only its row in `blocks` is stored, for the chain to be linked, beside the events. */
  readonly only?: boolean
}

export const encode = (
  raw: RawBlock,
  level: ProofLevel,
  { matched = [], only = false }: Kept = {}
): EncodedBlock | MalformedValue => {
  refusals.first = undefined
  for (const writer of writers) TableWriter.reset(writer)
  const { block, receipts } = raw
  const header = headerOf(raw)
  writeBlock(
    raw,
    header,
    receipts.reduce((sum, { logs }) => sum + logs.length, 0)
  )
  const logCount = only ? 0 : writeBody(raw, header)
  if (receipts.length !== block.transactions.length) {
    refusals.add("transactions.status", `${receipts.length} receipts of ${block.transactions.length}`)
  }
  // Read through a function: what the writers have added meanwhile is invisible to the compiler.
  const wrong = firstRefusal()
  if (wrong !== undefined) return malformed(header.number, wrong)
  const rows = writers.map(TableWriter.take)
  return {
    ...header,
    level,
    coverage: only ? "events" : level,
    transactions: only ? 0 : block.transactions.length,
    logs: logCount,
    bytes: matched.reduce(
      (sum, log) => sum + KeptLog.bytesOf(log),
      rows.reduce((sum, { buffer }) => sum + buffer.length, fixedBytes)
    ),
    rows,
    matched
  }
}

// The writers

const refusals = new Refusals()
const firstRefusal = (): Refusals["first"] => refusals.first

const writeTo = {
  blocks: TableWriter.make(blocks, refusals),
  transactions: TableWriter.make(transactions, refusals),
  logs: TableWriter.make(logs, refusals),
  withdrawals: TableWriter.make(withdrawals, refusals)
}

/** In the order of `tables`. */
const writers = [writeTo.blocks, writeTo.transactions, writeTo.logs, writeTo.withdrawals]

const malformed = (
  number: number,
  { column, value }: { readonly column: string; readonly value: string }
) => {
  const cut = value.length <= 80 ? value : `${value.slice(0, 77)}...`
  return {
    _tag: "MalformedValue",
    number,
    column,
    value: cut,
    message: `block ${number}: ${column} cannot be ${cut}`
  } satisfies MalformedValue
}

// What is known once for a block

type Header = BlockHeader & Timestamp.Halves

const headerOf = ({ block }: RawBlock): Header => {
  const timestamp = count(block.timestamp, "blocks.timestamp", Timestamp.last)
  return {
    number: count(block.number, "blocks.number", Number.MAX_SAFE_INTEGER),
    // Compared as text from here on, and what the database returns is lower case.
    hash: lowerCase(block.hash),
    parentHash: lowerCase(block.parentHash),
    timestamp,
    ...Timestamp.halves(timestamp)
  }
}

const count = (hex: Hex, column: string, most: number): number => {
  const value = /^0x[0-9a-f]{1,64}$/i.test(hex) ? Number(hex) : Number.NaN
  if (value <= most) return value
  refusals.add(column, hex)
  return 0
}

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`

/** The number and time of the block, on all its rows of a table. */
const writePlace = (
  number: ColumnWriter,
  time: ColumnWriter | undefined,
  header: Header,
  rows: number
): void => {
  number.int64(Math.floor(header.number / 0x1_0000_0000), header.number >>> 0, rows)
  time?.int64(header.timeHigh, header.timeLow, rows)
}

// Rows

const writeBlock = ({ block }: RawBlock, header: Header, logCount: number): void => {
  const to = writeTo.blocks.columns
  writePlace(to.number, to.timestamp, header, 1)
  to.hash.fixed(block.hash, 32)
  to.parent_hash.fixed(block.parentHash, 32)
  to.miner.fixed(block.miner, 20)
  to.gas_used.int8(block.gasUsed)
  to.gas_limit.numeric(block.gasLimit)
  to.base_fee_per_gas.numeric(block.baseFeePerGas)
  to.difficulty.numeric(block.difficulty)
  to.total_difficulty.numeric(block.totalDifficulty)
  to.size.int8(block.size)
  to.extra_data.data(block.extraData)
  to.nonce.data(block.nonce)
  to.mix_hash.fixed(block.mixHash, 32)
  to.sha3_uncles.fixed(block.sha3Uncles, 32)
  to.state_root.fixed(block.stateRoot, 32)
  to.transactions_root.fixed(block.transactionsRoot, 32)
  to.receipts_root.fixed(block.receiptsRoot, 32)
  to.withdrawals_root.fixed(block.withdrawalsRoot, 32)
  to.logs_bloom.fixed(block.logsBloom, 256)
  to.blob_gas_used.int8(block.blobGasUsed)
  to.excess_blob_gas.int8(block.excessBlobGas)
  to.parent_beacon_block_root.fixed(block.parentBeaconBlockRoot, 32)
  to.requests_hash.fixed(block.requestsHash, 32)
  to.transaction_count.int32(block.transactions.length)
  to.log_count.int32(logCount)
}

/** All but the block itself; returns how many logs there are. */
const writeBody = ({ block, receipts }: RawBlock, header: Header): number => {
  let nextLog = 0
  let logCount = 0
  for (let i = 0; i < block.transactions.length; i++) {
    const transaction = block.transactions[i]
    const receipt = receipts[i]
    if (transaction === undefined || receipt === undefined) break
    writeTransaction(transaction, receipt, i)
    let first = true
    for (const log of receipt.logs) {
      nextLog = writeLog(log, transaction.hash, i, nextLog, first)
      first = false
      logCount++
    }
  }
  writeWithdrawals(block.withdrawals ?? [], header)
  const { logs, transactions } = writeTo
  writePlace(transactions.columns.block_number, transactions.columns.block_timestamp, header, receipts.length)
  writePlace(logs.columns.block_number, logs.columns.block_timestamp, header, logCount)
  return logCount
}

const writeTransaction = (transaction: RpcTransaction, receipt: RpcReceipt, i: number): void => {
  const to = writeTo.transactions.columns
  const type = transaction.type ?? "0x0"
  const isLegacy = Number(type) === 0
  to.transaction_index.int32(i)
  to.type.int2(type)
  to.status.int2(receipt.status)
  to.nonce.int8(transaction.nonce)
  to.gas.int8(transaction.gas)
  to.gas_used.int8(receipt.gasUsed)
  to.cumulative_gas_used.int8(receipt.cumulativeGasUsed)
  to.hash.fixed(transaction.hash, 32)
  to.from_address.fixed(transaction.from, 20)
  to.to_address.fixed(transaction.to, 20)
  to.value.numeric(transaction.value)
  to.gas_price.numeric(transaction.gasPrice)
  to.max_fee_per_gas.numeric(transaction.maxFeePerGas)
  to.max_priority_fee_per_gas.numeric(transaction.maxPriorityFeePerGas)
  to.max_fee_per_blob_gas.numeric(transaction.maxFeePerBlobGas)
  to.effective_gas_price.numeric(receipt.effectiveGasPrice)
  to.blob_gas_used.int8(receipt.blobGasUsed)
  to.blob_gas_price.numeric(receipt.blobGasPrice)
  to.contract_address.fixed(receipt.contractAddress, 20)
  to.input.data(transaction.input)
  json(to.access_list, Json.accessList(transaction.accessList))
  json(to.blob_versioned_hashes, Json.hashes(transaction.blobVersionedHashes))
  json(to.authorization_list, Json.authorizationList(transaction.authorizationList))
  // Nodes send `v` beside the parity or instead of it.
  to.v.numeric(isLegacy ? transaction.v : (transaction.yParity ?? transaction.v))
  to.r.word(transaction.r)
  to.s.word(transaction.s)
  to.post_state_root.data(receipt.root)
  json(to.extra, Number(type) > 4 ? Json.extra(transaction, receipt) : undefined)
}

/** Returns the lowest index that the next log may have. */
const writeLog = (
  log: RpcLog,
  transactionHash: Hex,
  transactionIndex: number,
  lowest: number,
  first: boolean
): number => {
  const to = writeTo.logs.columns
  const index = to.log_index.int4(log.logIndex)
  // Part of the key: one that comes twice would fail a whole batch.
  if (index < lowest) to.log_index.reject(log.logIndex)
  to.transaction_index.int32(transactionIndex)
  if (!sameHex(log.transactionHash, transactionHash)) to.transaction_hash.reject(log.transactionHash)
  if (first) to.transaction_hash.fixed(transactionHash, 32)
  else to.transaction_hash.repeat()
  to.address.fixed(log.address, 20)
  const { topics } = log
  to.topic0.fixed(topics[0], 32)
  to.topic1.fixed(topics[1], 32)
  to.topic2.fixed(topics[2], 32)
  to.topic3.fixed(topics[3], 32)
  if (topics.length > 4) to.topic3.reject(`${topics.length} topics`)
  to.data.data(log.data)
  return index + 1
}

const sameHex = (a: Hex, b: Hex): boolean => a === b || a.toLowerCase() === b.toLowerCase()

const writeWithdrawals = (withdrawals: ReadonlyArray<RpcWithdrawal>, header: Header): void => {
  const to = writeTo.withdrawals.columns
  writePlace(to.block_number, undefined, header, withdrawals.length)
  let last = -1
  for (const { address, amount, index, validatorIndex } of withdrawals) {
    to.withdrawal_index.int8(index)
    // Part of the key.
    if (Number(index) <= last) to.withdrawal_index.reject(index)
    last = Number(index)
    to.validator_index.int8(validatorIndex)
    to.address.fixed(address, 20)
    to.amount.int8(amount)
  }
}

const json = (column: ColumnWriter, text: string | Json.Unfit | undefined): void => {
  if (typeof text === "object") column.refuse(text.value)
  else column.jsonb(text)
}
