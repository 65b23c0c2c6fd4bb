/**
 * Events in the simulation: sources that take some of the simulated logs, two of them the same ones, and what a naive
 * reader makes of them. They live in the real store only.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { decodeEventLog } from "viem"
import type { Hex, RawBlock, RpcLog } from "../../src/chain/Block.ts"
import { column, table } from "../../src/columns/Table.ts"
import type { EventSource } from "../../src/events/EventSource.ts"
import * as Coverage from "../../src/store/Coverage.ts"
import * as Blocks from "./Blocks.ts"

const place = {
  block_number: column("int8", false)(""),
  block_timestamp: column("timestamptz", false)(""),
  transaction_hash: column("bytea", false)(""),
  log_index: column("int4", false)(""),
  contract: column("bytea", false)("")
}
const address = column("bytea", false)("")
const amount = column("numeric", false)("")

const transfers = (contract: string, emitters: EventSource["emitters"]): EventSource => ({
  id: `${contract}.Transfer(address,address,uint256)`,
  fingerprint: contract,
  contract,
  event: Blocks.transfer,
  topic0: Blocks.transferTopic,
  emitters,
  startBlock: 0,
  table: table({
    name: `${contract}_transfer`,
    doc: "",
    key: ["block_number", "log_index"],
    columns: { ...place, from: address, to: address, value: amount }
  }),
  pack: "erc20"
})

const anybody = transfers("anybody", { _tag: "Anybody" })
const listed = transfers("listed", {
  _tag: "Listed",
  addresses: new Set<Hex>([`0x${"c0".repeat(19)}01`])
})
const pairs: EventSource = {
  id: "pairs.Swap(address,uint256,uint256,uint256,uint256,address)",
  fingerprint: "pairs",
  contract: "pairs",
  event: Blocks.swap,
  topic0: Blocks.swapTopic,
  emitters: { _tag: "Anybody" },
  startBlock: 0,
  table: table({
    name: "pairs_swap",
    doc: "",
    key: ["block_number", "log_index"],
    columns: {
      ...place,
      sender: address,
      amount0_in: amount,
      amount1_in: amount,
      amount0_out: amount,
      amount1_out: amount,
      to: address
    }
  }),
  pack: "uniswap-v2"
}

/** What a process that was started so indexes; another start may name more or less. */
export const sourcesFor = (concurrency: number): ReadonlyArray<EventSource> =>
  concurrency > 2 ? [anybody, listed, pairs] : [anybody, pairs]

/** One source as the tables have it. */
export interface Stored {
  readonly id: string
  readonly ranges: ReadonlyArray<{ readonly from: number; readonly to: number }>
  /** Of its own table and of `undecoded`. */
  readonly rows: ReadonlyArray<string>
}

const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString("hex")}`

export const read = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, schema: string) {
  const name = (one: string) => sql(`${schema}.${one}`)
  const sources = yield* sql<{ id: string; table_name: string; ranges: string }>`
    select id, table_name, ranges::text as ranges from ${name("event_sources")}`
  return yield* Effect.forEach(sources, ({ id, ranges, table_name }) =>
    Effect.gen(function* () {
      const amounts = sql.literal(
        id === pairs.id ? "amount0_in, amount1_in, amount0_out, amount1_out" : "value"
      )
      const rows = yield* sql<{ n: bigint; i: number; contract: Uint8Array; to: Uint8Array; value: string }>`
        select block_number as n, log_index as i, contract, "to", concat_ws(' ', ${amounts}) as value
        from ${name(table_name)}`
      const lost = yield* sql<{ n: bigint; i: number }>`
        select block_number as n, log_index as i from ${name("undecoded")} where source_id = ${id}`
      const all = [
        ...rows.map(({ contract, i, n, to, value }) => `${n} ${i} ${hex(contract)} ${hex(to)} ${value}`),
        ...lost.map(({ i, n }) => `${n} ${i} undecoded`)
      ]
      return { id, ranges: Coverage.parse(ranges), rows: all.sort() } satisfies Stored
    })
  )
})

/** The rows that a source has to have of these blocks. */
export const expected = (id: string, blocks: ReadonlyArray<RawBlock>): ReadonlyArray<string> => {
  const { emitters, topic0 } = [listed, pairs].find((one) => one.id === id) ?? anybody
  const logs = blocks.flatMap(({ block, receipts }) =>
    receipts.flatMap((receipt) => receipt.logs.map((log) => ({ log, number: Number(block.number) })))
  )
  return logs
    .filter(({ log }) => log.topics[0] === topic0)
    .filter(({ log }) => emitters._tag !== "Listed" || emitters.addresses.has(log.address))
    .map(({ log, number }) => {
      const place = `${number} ${Number(log.logIndex)}`
      const said = decoded(log)
      if (said === undefined) return `${place} undecoded`
      const values =
        said.eventName === "Transfer"
          ? [said.args.value]
          : [said.args.amount0In, said.args.amount1In, said.args.amount0Out, said.args.amount1Out]
      return `${place} ${log.address} ${said.args.to.toLowerCase()} ${values.join(" ")}`
    })
    .sort()
}

/** Undefined where the data is too short to be one of the simulated events. */
export const decoded = ({ data, topics: [topic0 = "0x", ...topics] }: RpcLog) =>
  data === "0x"
    ? undefined
    : decodeEventLog({ abi: [Blocks.transfer, Blocks.swap], data, topics: [topic0, ...topics] })
