/**
 * A block out of its rows again, in the shape in which a provider sent it, so that it can be proven and encoded once
 * more. The rows hold all that this takes but the chain's id.
 *
 * **Gotchas**
 *
 * - An empty access list is null in its column, and so is an empty list of blobs or authorizations: the type tells.
 * - A receipt's own bloom filter is not stored. It follows from the logs, and `Proof` makes it from them.
 */
import type { Hex, RawBlock, RpcLog, RpcReceipt, RpcTransaction, RpcWithdrawal } from "../chain/Block.ts"
import { toHex } from "./Rows.ts"

type Bytes = Uint8Array
type Maybe<A> = A | null

/** A row of `blocks`, with its time in seconds since 1970. */
export interface StoredHeader {
  readonly number: bigint
  readonly hash: Bytes
  readonly parent_hash: Bytes
  readonly seconds: bigint
  readonly miner: Bytes
  readonly gas_used: bigint
  readonly gas_limit: string
  readonly base_fee_per_gas: Maybe<string>
  readonly difficulty: string
  readonly total_difficulty: Maybe<string>
  readonly size: Maybe<bigint>
  readonly extra_data: Bytes
  readonly nonce: Maybe<Bytes>
  readonly mix_hash: Maybe<Bytes>
  readonly sha3_uncles: Bytes
  readonly state_root: Bytes
  readonly transactions_root: Bytes
  readonly receipts_root: Bytes
  readonly withdrawals_root: Maybe<Bytes>
  readonly logs_bloom: Bytes
  readonly blob_gas_used: Maybe<bigint>
  readonly excess_blob_gas: Maybe<bigint>
  readonly parent_beacon_block_root: Maybe<Bytes>
  readonly requests_hash: Maybe<Bytes>
  readonly transaction_count: number
  readonly log_count: number
}

/** A row of `transactions`. */
export interface StoredTransaction {
  readonly block_number: bigint
  readonly transaction_index: number
  readonly type: number
  readonly status: Maybe<number>
  readonly nonce: bigint
  readonly gas: bigint
  readonly gas_used: bigint
  readonly cumulative_gas_used: bigint
  readonly hash: Bytes
  readonly from_address: Bytes
  readonly to_address: Maybe<Bytes>
  readonly value: string
  readonly gas_price: Maybe<string>
  readonly max_fee_per_gas: Maybe<string>
  readonly max_priority_fee_per_gas: Maybe<string>
  readonly max_fee_per_blob_gas: Maybe<string>
  readonly effective_gas_price: Maybe<string>
  readonly blob_gas_used: Maybe<bigint>
  readonly blob_gas_price: Maybe<string>
  readonly contract_address: Maybe<Bytes>
  readonly input: Bytes
  readonly access_list: RpcTransaction["accessList"]
  readonly blob_versioned_hashes: RpcTransaction["blobVersionedHashes"]
  readonly authorization_list: RpcTransaction["authorizationList"]
  readonly v: Maybe<string>
  readonly r: Maybe<Bytes>
  readonly s: Maybe<Bytes>
  readonly post_state_root: Maybe<Bytes>
  readonly extra: Maybe<{ readonly transaction?: object; readonly receipt?: object }>
}

/** A row of `logs`. */
export interface StoredLog {
  readonly block_number: bigint
  readonly log_index: number
  readonly transaction_index: number
  readonly transaction_hash: Bytes
  readonly address: Bytes
  readonly topic0: Maybe<Bytes>
  readonly topic1: Maybe<Bytes>
  readonly topic2: Maybe<Bytes>
  readonly topic3: Maybe<Bytes>
  readonly data: Bytes
}

/** A row of `withdrawals`. */
export interface StoredWithdrawal {
  readonly block_number: bigint
  readonly withdrawal_index: bigint
  readonly validator_index: bigint
  readonly address: Bytes
  readonly amount: bigint
}

/** All rows of one block, those of a table by their place in it. */
export interface StoredRows {
  readonly headers: ReadonlyArray<StoredHeader>
  readonly transactions: ReadonlyArray<StoredTransaction>
  readonly logs: ReadonlyArray<StoredLog>
  readonly withdrawals: ReadonlyArray<StoredWithdrawal>
}

const quantity = (value: bigint | number): Hex => `0x${value.toString(16)}`
const integer = (value: Maybe<bigint | number>): Hex | null => (value === null ? null : quantity(value))
const decimal = (value: string): Hex => quantity(BigInt(value))
const optionalDecimal = (value: Maybe<string>): Hex | null => (value === null ? null : decimal(value))
const bytes = (value: Maybe<Bytes>): Hex | null => (value === null ? null : toHex(value))

/** `header` with what belongs to it. The rows' places have been checked: see `Inspect`. */
export const toRaw = (header: StoredHeader, rows: StoredRows, chainId: number): RawBlock => {
  const logs = new Map<number, Array<RpcLog>>()
  for (const row of rows.logs) {
    const of = logs.get(row.transaction_index)
    if (of === undefined) logs.set(row.transaction_index, [toLog(row)])
    else of.push(toLog(row))
  }
  return {
    block: {
      number: quantity(header.number),
      hash: toHex(header.hash),
      parentHash: toHex(header.parent_hash),
      timestamp: quantity(header.seconds),
      miner: toHex(header.miner),
      sha3Uncles: toHex(header.sha3_uncles),
      stateRoot: toHex(header.state_root),
      transactionsRoot: toHex(header.transactions_root),
      receiptsRoot: toHex(header.receipts_root),
      logsBloom: toHex(header.logs_bloom),
      difficulty: decimal(header.difficulty),
      totalDifficulty: optionalDecimal(header.total_difficulty),
      gasLimit: decimal(header.gas_limit),
      gasUsed: quantity(header.gas_used),
      extraData: toHex(header.extra_data),
      mixHash: bytes(header.mix_hash),
      nonce: bytes(header.nonce),
      size: integer(header.size),
      baseFeePerGas: optionalDecimal(header.base_fee_per_gas),
      withdrawalsRoot: bytes(header.withdrawals_root),
      withdrawals: rows.withdrawals.map(toWithdrawal),
      blobGasUsed: integer(header.blob_gas_used),
      excessBlobGas: integer(header.excess_blob_gas),
      parentBeaconBlockRoot: bytes(header.parent_beacon_block_root),
      requestsHash: bytes(header.requests_hash),
      transactions: rows.transactions.map((row) => toTransaction(row, chainId))
    },
    receipts: rows.transactions.map((row) => toReceipt(row, logs.get(row.transaction_index) ?? []))
  }
}

const toTransaction = (row: StoredTransaction, chainId: number): RpcTransaction => ({
  ...(row.extra === null ? { chainId: quantity(chainId) } : row.extra.transaction),
  hash: toHex(row.hash),
  transactionIndex: quantity(row.transaction_index),
  type: quantity(row.type),
  from: toHex(row.from_address),
  to: bytes(row.to_address),
  value: decimal(row.value),
  nonce: quantity(row.nonce),
  gas: quantity(row.gas),
  gasPrice: optionalDecimal(row.gas_price),
  maxFeePerGas: optionalDecimal(row.max_fee_per_gas),
  maxPriorityFeePerGas: optionalDecimal(row.max_priority_fee_per_gas),
  maxFeePerBlobGas: optionalDecimal(row.max_fee_per_blob_gas),
  input: toHex(row.input),
  accessList: row.access_list ?? null,
  blobVersionedHashes: row.blob_versioned_hashes ?? (row.type === 3 ? [] : null),
  authorizationList: row.authorization_list ?? (row.type === 4 ? [] : null),
  v: optionalDecimal(row.v),
  r: bytes(row.r),
  s: bytes(row.s)
})

const toReceipt = (row: StoredTransaction, logs: ReadonlyArray<RpcLog>): RpcReceipt => ({
  ...row.extra?.receipt,
  transactionHash: toHex(row.hash),
  transactionIndex: quantity(row.transaction_index),
  type: quantity(row.type),
  status: integer(row.status),
  root: bytes(row.post_state_root),
  cumulativeGasUsed: quantity(row.cumulative_gas_used),
  gasUsed: quantity(row.gas_used),
  contractAddress: bytes(row.contract_address),
  effectiveGasPrice: optionalDecimal(row.effective_gas_price),
  blobGasUsed: integer(row.blob_gas_used),
  blobGasPrice: optionalDecimal(row.blob_gas_price),
  logsBloom: "0x",
  logs
})

const toLog = (row: StoredLog): RpcLog => ({
  address: toHex(row.address),
  topics: [row.topic0, row.topic1, row.topic2, row.topic3].flatMap((topic) => bytes(topic) ?? []),
  data: toHex(row.data),
  logIndex: quantity(row.log_index),
  transactionIndex: quantity(row.transaction_index),
  transactionHash: toHex(row.transaction_hash)
})

const toWithdrawal = (row: StoredWithdrawal): RpcWithdrawal => ({
  index: quantity(row.withdrawal_index),
  validatorIndex: quantity(row.validator_index),
  address: toHex(row.address),
  amount: quantity(row.amount)
})
