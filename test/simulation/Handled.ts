/**
 * A handler in the simulation, which keeps tables that tell whatever it was given wrongly: running sums and a digest of
 * all events in their order for each contract, and a row for each block. The oracle makes the same of the stored blocks.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { decodeEventLog } from "viem"
import type { RawBlock } from "../../src/chain/Block.ts"
import { handle, table } from "../../src/handlers/Handler.ts"
import * as Handlers from "../../src/handlers/Handlers.ts"
import type { EventTablesShape } from "../../src/store/EventTables.ts"
import * as Blocks from "./Blocks.ts"

/** What the handler has made; in `blocks` a line for each block that has events. */
export interface Kept {
  /** The last block that it has seen; undefined before the first. */
  readonly block: number | undefined
  readonly sums: ReadonlyArray<string>
  readonly blocks: ReadonlyArray<string>
}

interface Event {
  readonly contract: string
  readonly block: number
  readonly logIndex: number
  readonly value: bigint
}

interface Sum {
  events: number
  total: bigint
  digest: string
}

const add = (sums: Map<string, Sum>, { block, contract, logIndex, value }: Event): void => {
  const sum = sums.get(contract) ?? { events: 0, total: 0n, digest: "" }
  sums.set(contract, {
    events: sum.events + 1,
    total: sum.total + value,
    digest: createHash("md5").update(`${sum.digest} ${block} ${logIndex} ${value}`).digest("hex")
  })
}

const byBlock = (events: ReadonlyArray<Event>): ReadonlyMap<number, string> => {
  const lines = new Map<number, string>()
  for (const { block, contract, logIndex, value } of events) {
    lines.set(block, `${lines.get(block) ?? ""}${logIndex} ${contract} ${value};`)
  }
  return lines
}

const anybody = { name: "anybody", abi: [Blocks.transfer] } as const

/** The handlers of a process, with what it indexes. */
export const participant = (schema: string, startBlock: number, events: EventTablesShape) => {
  const sums = `app_${schema}.sums`
  const blocks = `app_${schema}.blocks`
  const keep = handle(anybody, "Transfer", (given) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const found = given.map(
        ({ address, args, block, logIndex }): Event => ({
          contract: address,
          block: block.number,
          logIndex,
          value: args.value
        })
      )
      const rows = yield* sql<{ contract: string; events: number; total: string; digest: string }>`
        select contract, events, total::text as total, digest from ${sql(sums)}`
      const now = new Map(
        rows.map(({ contract, total, ...row }): [string, Sum] => [contract, { ...row, total: BigInt(total) }])
      )
      for (const event of found) add(now, event)
      const changed = [...now].map(([contract, sum]) => ({ contract, ...sum, total: String(sum.total) }))
      yield* sql`
        insert into ${sql(sums)} (contract, events, total, digest)
        select contract, events, total, digest
        from json_to_recordset(${JSON.stringify(changed)}::json) r(contract text, events int, total numeric, digest text)
        on conflict (contract) do update
          set events = excluded.events, total = excluded.total, digest = excluded.digest`
      const lines = [...byBlock(found)].map(([number, line]) => ({ number, line }))
      yield* sql`
        insert into ${sql(blocks)} (number, line)
        select number, line from json_to_recordset(${JSON.stringify(lines)}::json) r(number int8, line text)`
    })
  )
  const create = (statement: string) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql.unsafe(`create schema if not exists app_${schema}`)
      yield* sql.unsafe(statement)
    })
  return Handlers.participant({
    schema,
    startBlock,
    handlers: [keep],
    tables: [
      table(sums, {
        create: create(
          `create table ${sums} (contract text primary key, events int4, total numeric, digest text)`
        )
      }),
      table(blocks, { create: create(`create table ${blocks} (number int8 primary key, line text)`) })
    ],
    events
  })
}

export const read = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, schema: string) {
  const [state] = yield* sql<{ readonly block: bigint }>`select block from ${sql(`${schema}.handler_state`)}`
  const sums = yield* sql<{ line: string }>`
    select concat_ws(' ', contract, events, total, digest) as line from ${sql(`app_${schema}.sums`)}`
  const blocks = yield* sql<{ line: string }>`
    select concat_ws(' ', number, line) as line from ${sql(`app_${schema}.blocks`)} order by number`
  return {
    block: state === undefined ? undefined : Number(state.block),
    sums: sums.map(({ line }) => line).sort(),
    blocks: blocks.map(({ line }) => line)
  } satisfies Kept
})

/** What has to be there when these blocks, in ascending order, are stored. */
export const expected = (stored: ReadonlyArray<RawBlock>): Kept => {
  const events = stored.flatMap(({ block, receipts }) =>
    receipts.flatMap(({ logs }) =>
      logs.flatMap(
        ({ address, data, logIndex, topics: [topic0 = "0x", ...topics] }): ReadonlyArray<Event> => {
          if (topic0 !== Blocks.transferTopic || data.length < 66) return []
          const { args } = decodeEventLog({ abi: [Blocks.transfer], data, topics: [topic0, ...topics] })
          return [
            {
              contract: address,
              block: Number(block.number),
              logIndex: Number(logIndex),
              value: args.value
            }
          ]
        }
      )
    )
  )
  const sums = new Map<string, Sum>()
  for (const event of events) add(sums, event)
  const last = stored.at(-1)
  return {
    block: last === undefined ? undefined : Number(last.block.number),
    sums: [...sums]
      .map(([contract, { digest, events, total }]) => `${contract} ${events} ${total} ${digest}`)
      .sort(),
    blocks: [...byBlock(events)].map(([number, line]) => `${number} ${line}`)
  }
}
