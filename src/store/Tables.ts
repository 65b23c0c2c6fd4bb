/**
 * The data tables: what they hold, in which columns, and why.
 *
 * Everything that depends on it comes from here: the DDL (`Migrations`), the partitions, the insert statements, the
 * encoder's columns (`Columns`) and the reference in `docs/tables.md`. Names follow ethereum-etl and Dune.
 *
 * **Details**
 *
 * - The rows hold all that the block's hash, its roots and its bloom filter are made of, so that a block can be proven
 *   again from the tables alone.
 * - In `transactions` and `logs`, columns of fixed width stand first: PostgreSQL pads none of them there.
 * - A quantity without a limit by consensus is a `numeric(78,0)`, which holds any uint256.
 */
import { column, type Table, table } from "../columns/Table.ts"

const int2 = column("int2", false)
const int4 = column("int4", false)
const int8 = column("int8", false)
const numeric = column("numeric", false)
const bytea = column("bytea", false)
const timestamptz = column("timestamptz", false)
const optional = {
  int2: column("int2", true),
  int8: column("int8", true),
  numeric: column("numeric", true),
  bytea: column("bytea", true),
  jsonb: column("jsonb", true)
}

export const blocks = table({
  name: "blocks",
  doc: "One row for each block.",
  key: ["number"],
  columns: {
    number: int8("Height of the block."),
    hash: bytea("Keccak of the header, 32 bytes."),
    parent_hash: bytea("Hash of block `number - 1`."),
    timestamp: timestamptz("When the block was made, by its own header."),
    miner: bytea("Who got the fees (`coinbase`), 20 bytes."),
    gas_used: int8("Gas used by all transactions."),
    gas_limit: numeric("Most gas that the block may use; development chains without a limit say 2^64-1."),
    base_fee_per_gas: optional.numeric("Wei; since London."),
    difficulty: numeric("0 since the Merge."),
    total_difficulty: optional.numeric("As the node sends it; newer nodes do not."),
    size: optional.int8("Bytes of the encoded block, as the node says."),
    extra_data: bytea("Whatever the proposer put there."),
    nonce: optional.bytea("8 bytes; zeros since the Merge."),
    mix_hash: optional.bytea("32 bytes; `prevRandao` since the Merge."),
    sha3_uncles: bytea("Hash of the list of uncles."),
    state_root: bytea("Root of the state after the block."),
    transactions_root: bytea("Root over the transactions; checked where the block is `proven`."),
    receipts_root: bytea("Root over the receipts; checked where the block is `proven`."),
    withdrawals_root: optional.bytea("Root over the withdrawals; since Shanghai."),
    logs_bloom: bytea("Bloom filter of the logs, 256 bytes; checked where the block is `proven`."),
    blob_gas_used: optional.int8("Since Cancun."),
    excess_blob_gas: optional.int8("Since Cancun."),
    parent_beacon_block_root: optional.bytea("Since Cancun."),
    requests_hash: optional.bytea("Since Prague."),
    transaction_count: int4("Rows of this block in `transactions`."),
    log_count: int4("Rows of this block in `logs`.")
  }
})

export const transactions = table({
  name: "transactions",
  doc: "One row for each transaction, with its receipt.",
  key: ["block_number", "transaction_index"],
  columns: {
    block_number: int8("Its block."),
    transaction_index: int4("Place in the block, from 0."),
    type: int2("0 legacy, 1 access list, 2 EIP-1559, 3 blob, 4 set code; others belong to the chain."),
    status: optional.int2("1 succeeded, 0 reverted; null before Byzantium."),
    block_timestamp: timestamptz("As in `blocks`, so that a filter by time needs no join."),
    nonce: int8("Transactions that the sender had sent before."),
    gas: int8("Gas limit."),
    gas_used: int8("Gas that it used."),
    cumulative_gas_used: int8("Gas used in the block up to and including this one."),
    hash: bytea("Keccak of the signed transaction, 32 bytes."),
    from_address: bytea("Sender, 20 bytes."),
    to_address: optional.bytea("Recipient; null where a contract was created."),
    value: numeric("Wei."),
    gas_price: optional.numeric("Wei, as the node sends it; see `effective_gas_price` for what was paid."),
    max_fee_per_gas: optional.numeric("Wei; types 2 to 4."),
    max_priority_fee_per_gas: optional.numeric("Wei; types 2 to 4."),
    max_fee_per_blob_gas: optional.numeric("Wei; type 3."),
    effective_gas_price: optional.numeric(
      "Wei that each unit of gas cost; old nodes leave it out for old blocks."
    ),
    blob_gas_used: optional.int8("Type 3."),
    blob_gas_price: optional.numeric("Wei; type 3."),
    contract_address: optional.bytea("The contract that was created."),
    input: bytea("Call data, or the code that creates a contract."),
    access_list: optional.jsonb('`[{"address", "storageKeys"}]`; null where it has none.'),
    blob_versioned_hashes: optional.jsonb("Hashes of its blobs, as an array of hex strings; type 3."),
    authorization_list: optional.jsonb(
      '`[{"chainId", "address", "nonce", "yParity", "r", "s"}]`, in hex; type 4.'
    ),
    v: optional.numeric("Of the signature: `v` of type 0, the parity (0 or 1) of others."),
    r: optional.bytea("Of the signature, 32 bytes; null where nothing is signed."),
    s: optional.bytea("Of the signature, 32 bytes; null where nothing is signed."),
    post_state_root: optional.bytea("State root after the transaction; before Byzantium."),
    extra: optional.jsonb(
      'Types above 4 only: `{"transaction", "receipt"}` with the fields that have no column, as the node sends them.'
    )
  }
})

export const logs = table({
  name: "logs",
  doc: "One row for each log (an event of a contract).",
  key: ["block_number", "log_index"],
  columns: {
    block_number: int8("Its block."),
    log_index: int4("Place in the block, from 0."),
    transaction_index: int4("Its transaction's place in the block."),
    block_timestamp: timestamptz("As in `blocks`, so that a filter by time needs no join."),
    transaction_hash: bytea("Its transaction's hash."),
    address: bytea("The contract that emitted it, 20 bytes."),
    topic0: optional.bytea("Keccak of the event's signature, unless the event is anonymous."),
    topic1: optional.bytea("First indexed argument, 32 bytes."),
    topic2: optional.bytea("Second indexed argument, 32 bytes."),
    topic3: optional.bytea("Third indexed argument, 32 bytes."),
    data: bytea("The arguments that are not indexed, ABI-encoded.")
  }
})

export const withdrawals = table({
  name: "withdrawals",
  doc: "One row for each withdrawal of a validator (since Shanghai).",
  key: ["block_number", "withdrawal_index"],
  columns: {
    block_number: int8("Its block."),
    withdrawal_index: int8("Counts all withdrawals of the chain."),
    validator_index: int8("Who withdrew."),
    address: bytea("Recipient, 20 bytes."),
    amount: int8("**Gwei**, not wei.")
  }
})

/** All data tables, in the order of `EncodedBlock.rows`. */
export const tables: ReadonlyArray<Table> = [blocks, transactions, logs, withdrawals]

export interface Index {
  readonly name: string
  readonly table: Table
  readonly columns: ReadonlyArray<string>
}

const index = <C extends string>(on: Table<C>, ...columns: ReadonlyArray<C>): Index => ({
  name: `${on.name}_${columns[0]}_index`,
  table: on,
  columns
})

/** Built once a backfill is done: see `Store.ensureIndexes`. */
export const indexes: ReadonlyArray<Index> = [
  index(blocks, "hash"),
  index(blocks, "timestamp"),
  index(transactions, "hash"),
  index(transactions, "from_address", "block_number"),
  index(transactions, "to_address", "block_number"),
  index(logs, "address", "block_number"),
  index(logs, "topic0", "block_number"),
  index(logs, "topic1", "block_number"),
  index(logs, "topic2", "block_number")
]
