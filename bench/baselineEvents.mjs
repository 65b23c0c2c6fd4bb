/**
 * The indexer of events that most teams write for themselves, and the 1.0 of the events job:
 * `RPC_URL=... DATABASE_URL=... TOKENS=0x..,0x.. node bench/baselineEvents.mjs <first block> <last block>`.
 *
 * viem with its default HTTP transport, and `p-limit`: at most 10 requests at once. `eth_getLogs` over 1,000 blocks at a
 * time, decoded by viem; then the block of each log, once, for its timestamp; then one transaction of multi-row inserts
 * with `pg`, 500 rows a statement. Ten ranges are in the works at once, so that requests and inserts overlap. It checks
 * nothing and cannot resume. Its table is the one that Sluice makes: the same types, named alike.
 *
 * **Gotchas**
 *
 * New nodes send each log's time with it. Most indexers do not rely on that: they are older than it, or have to work
 * everywhere. With `TIMESTAMPS=logs` this one does, and asks for no block.
 *
 * With `INDEXES=true` it also builds the index on contract and block.
 */
import pLimit from "p-limit"
import pg from "pg"
import { createPublicClient, http, parseAbiItem } from "viem"

const blocksAtOnce = 1_000
const requestsAtOnce = 10
const rangesAtOnce = 10
const rowsPerStatement = 500

const schema = `
create schema etl;
create table etl.tokens_transfer (
  block_number bigint not null, block_timestamp timestamptz not null, transaction_hash bytea not null,
  log_index integer not null, contract bytea not null, "from" bytea not null, "to" bytea not null,
  "value" numeric(78,0) not null,
  primary key (block_number, log_index)
);`

const columns = 'block_number, block_timestamp, transaction_hash, log_index, contract, "from", "to", "value"'

const event = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)")

const [first, last] = process.argv.slice(2).map(Number)
const address = /** @type {Array<`0x${string}`>} */ ((process.env["TOKENS"] ?? "").split(","))
const client = createPublicClient({ transport: http(process.env["RPC_URL"]) })
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] })
await pool.query(schema)
const request = pLimit(requestsAtOnce)

/** Hex as PostgreSQL reads it into a bytea. @param {string} hex */
const bytes = (hex) => `\\x${hex.slice(2)}`

/** @param {bigint} seconds */
const time = (seconds) => new Date(Number(seconds) * 1000).toISOString()

/** @param {ReadonlyArray<ReadonlyArray<unknown>>} rows */
const write = async (rows) => {
  const connection = await pool.connect()
  try {
    await connection.query("begin")
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      const chunk = rows.slice(from, from + rowsPerStatement)
      let bind = 0
      const tuples = chunk.map((row) => `(${row.map(() => `$${++bind}`).join(",")})`)
      await connection.query(
        `insert into etl.tokens_transfer (${columns}) values ${tuples.join(",")}`,
        chunk.flat()
      )
    }
    await connection.query("commit")
  } catch (cause) {
    await connection.query("rollback")
    throw cause
  } finally {
    connection.release()
  }
}

/** @typedef {{blockNumber: bigint, blockTimestamp?: bigint | undefined}} Placed */

/** Seconds by block. @param {ReadonlyArray<Placed>} logs @returns {Promise<Map<bigint, bigint>>} */
const timesOf = async (logs) => {
  if (process.env["TIMESTAMPS"] === "logs") {
    return new Map(logs.map(({ blockNumber, blockTimestamp = 0n }) => [blockNumber, blockTimestamp]))
  }
  const numbers = [...new Set(logs.map(({ blockNumber }) => blockNumber))]
  const blocks = await Promise.all(
    numbers.map((blockNumber) => request(() => client.getBlock({ blockNumber })))
  )
  return new Map(blocks.map(({ number, timestamp }) => [number, timestamp]))
}

/** @param {number} from */
const index = async (from) => {
  const to = Math.min(last, from + blocksAtOnce - 1)
  const logs = await request(() =>
    client.getLogs({ address, event, fromBlock: BigInt(from), toBlock: BigInt(to), strict: true })
  )
  const times = await timesOf(logs)
  await write(
    logs.map(({ address, args, blockNumber, logIndex, transactionHash }) => [
      blockNumber,
      time(times.get(blockNumber) ?? 0n),
      bytes(transactionHash),
      logIndex,
      bytes(address),
      bytes(args.from),
      bytes(args.to),
      args.value
    ])
  )
}

const range = pLimit(rangesAtOnce)
const starts = Array.from(
  { length: Math.ceil((last - first + 1) / blocksAtOnce) },
  (_, i) => first + i * blocksAtOnce
)
await Promise.all(starts.map((from) => range(() => index(from))))
if (process.env["INDEXES"] === "true")
  await pool.query("create index on etl.tokens_transfer (contract, block_number)")
await pool.end()
