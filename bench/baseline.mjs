/**
 * The indexer that most teams write for themselves, and the 1.0 that Sluice is compared with:
 * `RPC_URL=... DATABASE_URL=... node bench/baseline.mjs <first block> <last block>`.
 *
 * viem with its default HTTP transport, `p-limit` 10, and for each block one transaction of multi-row inserts with
 * `pg`. It checks nothing and cannot resume. It is meant to be as good as that gets without special effort: requests
 * of ten blocks overlap with each other and with the inserts of other blocks, and each statement has up to 500 rows.
 * What it stores is what Sluice stores: the same types, the same primary keys, columns as in ethereum-etl.
 *
 * With `INDEXES=true` it also builds the secondary indexes that Sluice builds when a backfill is through.
 */
import pLimit from "p-limit"
import pg from "pg"
import { createPublicClient, http, numberToHex } from "viem"

/** @typedef {any} Row */

const rowsPerStatement = 500
const blocksAtOnce = 10

const schema = `
create schema etl;
create table etl.blocks (
  number bigint primary key, hash bytea not null, parent_hash bytea not null, timestamp timestamptz not null,
  nonce bytea, sha3_uncles bytea not null, logs_bloom bytea not null, transactions_root bytea not null,
  state_root bytea not null, receipts_root bytea not null, withdrawals_root bytea, miner bytea not null,
  difficulty numeric(78,0) not null, size bigint, extra_data bytea not null, gas_limit bigint not null,
  gas_used bigint not null, base_fee_per_gas numeric(78,0), blob_gas_used bigint, excess_blob_gas bigint,
  transaction_count integer not null
);
create table etl.transactions (
  block_number bigint not null, transaction_index integer not null, hash bytea not null, nonce bigint not null,
  from_address bytea not null, to_address bytea, value numeric(78,0) not null, gas bigint not null,
  gas_price numeric(78,0), max_fee_per_gas numeric(78,0), max_priority_fee_per_gas numeric(78,0),
  max_fee_per_blob_gas numeric(78,0), input bytea not null, type smallint not null, status smallint,
  cumulative_gas_used bigint not null, gas_used bigint not null, effective_gas_price numeric(78,0),
  contract_address bytea, block_hash bytea not null, block_timestamp timestamptz not null,
  primary key (block_number, transaction_index)
);
create table etl.logs (
  block_number bigint not null, log_index integer not null, transaction_index integer not null,
  transaction_hash bytea not null, address bytea not null, topic0 bytea, topic1 bytea, topic2 bytea, topic3 bytea,
  data bytea not null, block_hash bytea not null, block_timestamp timestamptz not null,
  primary key (block_number, log_index)
);`

/** As in `src/store/Tables.ts`. */
const indexes = `
create index on etl.blocks (hash);
create index on etl.blocks (timestamp);
create index on etl.transactions (hash);
create index on etl.transactions (from_address, block_number);
create index on etl.transactions (to_address, block_number);
create index on etl.logs (address, block_number);
create index on etl.logs (topic0, block_number);
create index on etl.logs (topic1, block_number);
create index on etl.logs (topic2, block_number);`

const blockColumns =
  "number, hash, parent_hash, timestamp, nonce, sha3_uncles, logs_bloom, transactions_root, state_root, receipts_root, withdrawals_root, miner, difficulty, size, extra_data, gas_limit, gas_used, base_fee_per_gas, blob_gas_used, excess_blob_gas, transaction_count"
const transactionColumns =
  "block_number, transaction_index, hash, nonce, from_address, to_address, value, gas, gas_price, max_fee_per_gas, max_priority_fee_per_gas, max_fee_per_blob_gas, input, type, status, cumulative_gas_used, gas_used, effective_gas_price, contract_address, block_hash, block_timestamp"
const logColumns =
  "block_number, log_index, transaction_index, transaction_hash, address, topic0, topic1, topic2, topic3, data, block_hash, block_timestamp"

/** Hex as PostgreSQL reads it into a bytea. @param {string | null | undefined} hex */
const bytes = (hex) => (hex === null || hex === undefined ? null : `\\x${hex.slice(2)}`)

/** @param {string | null | undefined} hex */
const quantity = (hex) => (hex === null || hex === undefined ? null : BigInt(hex).toString())

/** @param {bigint | number} seconds */
const time = (seconds) => new Date(Number(seconds) * 1000).toISOString()

/** @param {Row} block @param {string} timestamp */
const blockRow = (block, timestamp) => [
  block.number,
  bytes(block.hash),
  bytes(block.parentHash),
  timestamp,
  bytes(block.nonce),
  bytes(block.sha3Uncles),
  bytes(block.logsBloom),
  bytes(block.transactionsRoot),
  bytes(block.stateRoot),
  bytes(block.receiptsRoot),
  bytes(block.withdrawalsRoot),
  bytes(block.miner),
  block.difficulty,
  block.size,
  bytes(block.extraData),
  block.gasLimit,
  block.gasUsed,
  block.baseFeePerGas,
  block.blobGasUsed,
  block.excessBlobGas,
  block.transactions.length
]

/** @param {Row} block @param {string} timestamp @param {Row} transaction @param {Row} receipt */
const transactionRow = (block, timestamp, transaction, receipt) => [
  block.number,
  transaction.transactionIndex,
  bytes(transaction.hash),
  transaction.nonce,
  bytes(transaction.from),
  bytes(transaction.to),
  transaction.value,
  transaction.gas,
  transaction.gasPrice,
  transaction.maxFeePerGas,
  transaction.maxPriorityFeePerGas,
  transaction.maxFeePerBlobGas,
  bytes(transaction.input),
  Number(transaction.typeHex),
  Number(receipt.status),
  quantity(receipt.cumulativeGasUsed),
  quantity(receipt.gasUsed),
  quantity(receipt.effectiveGasPrice),
  bytes(receipt.contractAddress),
  bytes(block.hash),
  timestamp
]

/** @param {Row} block @param {string} timestamp @param {Row} log */
const logRow = (block, timestamp, log) => [
  block.number,
  Number(log.logIndex),
  Number(log.transactionIndex),
  bytes(log.transactionHash),
  bytes(log.address),
  bytes(log.topics[0]),
  bytes(log.topics[1]),
  bytes(log.topics[2]),
  bytes(log.topics[3]),
  bytes(log.data),
  bytes(block.hash),
  timestamp
]

/** @param {pg.PoolClient} client @param {string} table @param {string} columns @param {ReadonlyArray<ReadonlyArray<Row>>} rows */
const insert = async (client, table, columns, rows) => {
  for (let from = 0; from < rows.length; from += rowsPerStatement) {
    const chunk = rows.slice(from, from + rowsPerStatement)
    let bind = 0
    const tuples = chunk.map((row) => `(${row.map(() => `$${++bind}`).join(",")})`)
    await client.query(`insert into ${table} (${columns}) values ${tuples.join(",")}`, chunk.flat())
  }
}

/** @param {pg.Pool} pool @param {Row} block @param {ReadonlyArray<Row>} receipts */
const write = async (pool, block, receipts) => {
  const timestamp = time(block.timestamp)
  const client = await pool.connect()
  try {
    await client.query("begin")
    await insert(client, "etl.blocks", blockColumns, [blockRow(block, timestamp)])
    await insert(
      client,
      "etl.transactions",
      transactionColumns,
      block.transactions.map((/** @type {Row} */ transaction, /** @type {number} */ i) =>
        transactionRow(block, timestamp, transaction, receipts[i])
      )
    )
    await insert(
      client,
      "etl.logs",
      logColumns,
      receipts.flatMap((receipt) =>
        receipt.logs.map((/** @type {Row} */ log) => logRow(block, timestamp, log))
      )
    )
    await client.query("commit")
  } catch (cause) {
    await client.query("rollback")
    throw cause
  } finally {
    client.release()
  }
}

const [first, last] = process.argv.slice(2).map(Number)
const client = createPublicClient({ transport: http(process.env["RPC_URL"]) })
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] })
await pool.query(schema)
const limit = pLimit(blocksAtOnce)

/** @param {number} number */
const index = async (number) => {
  const [block, receipts] = await Promise.all([
    client.getBlock({ blockNumber: BigInt(number), includeTransactions: true }),
    client.request(/** @type {any} */ ({ method: "eth_getBlockReceipts", params: [numberToHex(number)] }))
  ])
  await write(pool, block, /** @type {any} */ (receipts))
}

const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
await Promise.all(numbers.map((number) => limit(() => index(number))))
if (process.env["INDEXES"] === "true") await pool.query(indexes)
await pool.end()
