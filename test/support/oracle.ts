/**
 * A naive reader of chain and tables, sharing nothing with the indexer but SQL: it asks the node block by block, reads
 * the tables row by row, and compares all that both can say.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"

export const rpc = <A>(url: string, method: string, params: ReadonlyArray<unknown> = []): Effect.Effect<A> =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })
    })
    const answer = (await response.json()) as {
      readonly result: A
      readonly error?: { readonly message: string }
    }
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result
  })

interface Block {
  readonly number: string
  readonly hash: string
  readonly parentHash: string
  readonly timestamp: string
  readonly gasUsed: string
  readonly stateRoot: string
  readonly transactions: ReadonlyArray<
    Record<"hash" | "from" | "value" | "input" | "nonce", string> & { to?: string | null }
  >
}

interface Receipt {
  readonly status?: string | null | undefined
  readonly gasUsed: string
  readonly logs: ReadonlyArray<{
    address: string
    data: string
    logIndex: string
    topics: ReadonlyArray<string>
  }>
}

/** A row of `blocks` with the rows that belong to it. */
export interface BlockRow {
  readonly number: number
  readonly hash: string | null
  readonly parentHash: string | null
  readonly timestamp: number
  readonly gasUsed: number
  readonly stateRoot: string | null
  readonly transactions: ReadonlyArray<{
    readonly hash: string | null
    readonly from: string | null
    readonly to: string | null
    readonly value: string
    readonly input: string | null
    readonly nonce: number
    readonly status: number
    readonly gasUsed: number
  }>
  readonly logs: ReadonlyArray<{
    readonly logIndex: number
    readonly address: string | null
    readonly topics: ReadonlyArray<string>
    readonly data: string | null
  }>
}

const hex = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : `0x${Buffer.from(bytes).toString("hex")}`

/** The rows of a block as its node tells it. */
export const expectedRow = (block: Block, receipts: ReadonlyArray<Receipt>): BlockRow => ({
  number: Number(block.number),
  hash: block.hash,
  parentHash: block.parentHash,
  timestamp: Number(block.timestamp),
  gasUsed: Number(block.gasUsed),
  stateRoot: block.stateRoot,
  transactions: block.transactions.map((transaction, i) => ({
    hash: transaction.hash,
    from: transaction.from,
    to: transaction.to ?? null,
    value: BigInt(transaction.value).toString(),
    input: transaction.input,
    nonce: Number(transaction.nonce),
    status: Number(receipts[i]?.status),
    gasUsed: Number(receipts[i]?.gasUsed)
  })),
  logs: receipts.flatMap(({ logs }) =>
    logs.map(({ address, data, logIndex, topics }) => ({
      logIndex: Number(logIndex),
      address,
      topics,
      data
    }))
  )
})

/** Every row of the blocks from `from` to `to` as the chain tells it. */
export const chainRows = Effect.fnUntraced(function* (
  url: string,
  from: number,
  to: number
): Effect.fn.Return<ReadonlyArray<BlockRow>> {
  const numbers = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
  return yield* Effect.forEach(
    numbers,
    Effect.fnUntraced(function* (number) {
      const tag = `0x${number.toString(16)}`
      const block = yield* rpc<Block | null>(url, "eth_getBlockByNumber", [tag, true])
      if (block === null) return yield* Effect.die(`the node has lost block ${number} of ${to}`)
      const receipts = yield* rpc<ReadonlyArray<Receipt>>(url, "eth_getBlockReceipts", [tag])
      return expectedRow(block, receipts)
    }),
    { concurrency: 8 }
  )
})

/** The same from the tables. */
export const tableRows = Effect.fnUntraced(function* (
  schema: string
): Effect.fn.Return<ReadonlyArray<BlockRow>, SqlError, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const table = (name: string) => sql(`${schema}.${name}`)
  const blocks = yield* sql<{
    number: bigint
    hash: Uint8Array
    parent_hash: Uint8Array
    timestamp: Date
    gas_used: bigint
    state_root: Uint8Array
  }>`select number, hash, parent_hash, timestamp, gas_used, state_root from ${table("blocks")} order by number`
  const transactions = yield* sql<{
    block_number: bigint
    hash: Uint8Array
    from_address: Uint8Array
    to_address: Uint8Array | null
    value: string
    input: Uint8Array
    nonce: bigint
    status: number
    gas_used: bigint
  }>`select block_number, hash, from_address, to_address, value, input, nonce, status, gas_used
     from ${table("transactions")} order by block_number, transaction_index`
  const logs = yield* sql<{
    block_number: bigint
    log_index: number
    address: Uint8Array
    topic0: Uint8Array | null
    topic1: Uint8Array | null
    topic2: Uint8Array | null
    topic3: Uint8Array | null
    data: Uint8Array
  }>`select block_number, log_index, address, topic0, topic1, topic2, topic3, data
     from ${table("logs")} order by block_number, log_index`
  const of = <Row extends { readonly block_number: bigint }>(rows: ReadonlyArray<Row>) => {
    const groups = new Map<number, Array<Row>>()
    for (const row of rows) {
      const key = Number(row.block_number)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [row])
      else group.push(row)
    }
    return groups
  }
  const transactionsOf = of(transactions)
  const logsOf = of(logs)
  return blocks.map((block) => {
    const number = Number(block.number)
    return {
      number,
      hash: hex(block.hash),
      parentHash: hex(block.parent_hash),
      timestamp: block.timestamp.getTime() / 1000,
      gasUsed: Number(block.gas_used),
      stateRoot: hex(block.state_root),
      transactions: (transactionsOf.get(number) ?? []).map((row) => ({
        hash: hex(row.hash),
        from: hex(row.from_address),
        to: hex(row.to_address),
        value: row.value,
        input: hex(row.input),
        nonce: Number(row.nonce),
        status: row.status,
        gasUsed: Number(row.gas_used)
      })),
      logs: (logsOf.get(number) ?? []).map((row) => ({
        logIndex: row.log_index,
        address: hex(row.address),
        topics: [row.topic0, row.topic1, row.topic2, row.topic3].flatMap((topic) => hex(topic) ?? []),
        data: hex(row.data)
      }))
    }
  })
})
