/**
 * A token's logs in made-up blocks, and a store with handlers on them, over each database there is.
 */
import { describe, layer } from "@effect/vitest"
import { Effect, type Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { AbiEvent } from "viem"
import { encodeAbiParameters, encodeEventTopics, parseAbi } from "viem/utils"
import type { Hex, RpcLog } from "../../src/chain/Block.ts"
import type { EventSource, SourceLog } from "../../src/events/EventSource.ts"
import type { Handler, HandlerTable } from "../../src/handlers/Handler.ts"
import * as Handlers from "../../src/handlers/Handlers.ts"
import type { EncodedBlock } from "../../src/store/Columns.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import type { StoreError } from "../../src/store/Store.ts"
import { encoded, linked } from "../store/contract.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import * as Postgres from "../support/Postgres.ts"

export const abi = parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "event Paused(bool paused)"
])

export const token = { name: "token", abi } as const

const sourceOf = (name: "Transfer" | "Paused"): EventSource => {
  const event: AbiEvent | undefined = abi.find((item) => item.name === name)
  if (event === undefined) throw new Error(name)
  return {
    id: `token.${name}`,
    fingerprint: name,
    contract: "token",
    event,
    topic0: encodeEventTopics({ abi, eventName: name })[0],
    emitters: { _tag: "Anybody" },
    startBlock: 0,
    table: {
      name: `token_${name}`,
      doc: "",
      columns: { block_number: { type: "int8", nullable: false, doc: "" } },
      key: ["block_number"]
    },
    pack: undefined
  }
}

const sources = { Transfer: sourceOf("Transfer"), Paused: sourceOf("Paused") }

/** The same for a contract of another name. */
export const sourcesOf = (contract: string): ReadonlyArray<EventSource> =>
  Object.values(sources).map((source) => ({ ...source, contract }))

export const address = (n: number): Hex => `0x${n.toString(16).padStart(40, "0")}`

export interface Transfer {
  readonly from: number
  readonly to: number
  readonly value: bigint
}

const rpcLog = (index: number, rest: Pick<RpcLog, "topics" | "data">): RpcLog => ({
  address: address(0x70),
  logIndex: `0x${index.toString(16)}`,
  transactionIndex: "0x0",
  transactionHash: `0x${index.toString(16).padStart(64, "0")}`,
  ...rest
})

/** A transfer, a pause (`boolean`), or a log that does not decode. */
export type Said = Transfer | boolean | "garbage"

export const logsFrom = (block: EncodedBlock, said: ReadonlyArray<Said>): ReadonlyArray<SourceLog> =>
  said.map((what, index): SourceLog => {
    const place = { blockNumber: block.number, timestamp: block.timestamp }
    if (what === "garbage") {
      const topics = [sources.Transfer.topic0]
      return { ...place, source: sources.Transfer, log: rpcLog(index, { topics, data: "0x01" }) }
    }
    if (typeof what === "boolean") {
      const data = encodeAbiParameters([{ type: "bool" }], [what])
      return {
        ...place,
        source: sources.Paused,
        log: rpcLog(index, { topics: [sources.Paused.topic0], data })
      }
    }
    const word = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`
    const topics = [sources.Transfer.topic0, word(what.from), word(what.to)]
    const data = encodeAbiParameters([{ type: "uint256" }], [what.value])
    return { ...place, source: sources.Transfer, log: rpcLog(index, { topics, data }) }
  })

/** Blocks from 0 on; `fork` gives others with the same numbers. */
export const blocks = (count: number, from = 0, parentHash?: Hex, fork = 1): ReadonlyArray<EncodedBlock> =>
  encoded(linked(from, count, { seed: fork, ...(parentHash === undefined ? {} : { parentHash }) }))

export interface Deployment<H extends Handler<unknown>> {
  readonly schema: string
  readonly handlers: ReadonlyArray<H>
  readonly tables?: ReadonlyArray<HandlerTable>
  readonly startBlock?: number
  /** What the block with this hash says. */
  readonly said: ReadonlyMap<Hex, ReadonlyArray<Said>>
}

/** A store with handlers, as a start of the program makes it. */
export const storeWith = <H extends Handler<unknown>>({
  handlers,
  said,
  schema,
  startBlock = 0,
  tables = []
}: Deployment<H>) =>
  Effect.gen(function* () {
    const participant = yield* Handlers.participant({
      schema,
      startBlock,
      handlers,
      tables,
      events: {
        sources: sourcesOf(handlers[0]?.contract.name ?? token.name),
        logsOf: (block) => logsFrom(block, said.get(block.hash) ?? []),
        logsOfPage: () => []
      }
    })
    return yield* SqlStore.make({ schema, partitionBlocks: 1_000_000, participants: [participant] })
  })

let schemas = 0

export type Test = (schema: string) => Effect.Effect<void, unknown, SqlClient.SqlClient | Scope.Scope>

/** Each test in a schema of its own, over each database. `app_<schema>` is an empty schema for tables of the test's. */
export const overEach = (title: string, tests: Readonly<Record<string, Test>>) => {
  const suite = (name: string, database: Layer.Layer<SqlClient.SqlClient, unknown>) =>
    describe(`${title}, ${name}`, () => {
      layer(database, { timeout: "2 minutes", excludeTestServices: true })((it) => {
        for (const [title, test] of Object.entries(tests)) {
          it.effect(title, () =>
            Effect.gen(function* () {
              const schema = `handlers_${schemas++}`
              const sql = yield* SqlClient.SqlClient
              yield* sql.unsafe(`create schema app_${schema}`)
              yield* test(schema)
            })
          )
        }
      })
    })
  suite("PGlite", PGliteTest.layer)
  suite("PostgreSQL", Postgres.layer)
}

/** Rows of a query, each column as text. */
export const rowsOf = (query: string): Effect.Effect<ReadonlyArray<string>, unknown, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql.unsafe<{ readonly row: string }>(`select q::text as row from (${query}) q`)
    return rows.map(({ row }) => row)
  })

export const failureOf = <A, R>(
  effect: Effect.Effect<A, StoreError, R>
): Effect.Effect<StoreError, string, R> =>
  Effect.matchEffect(effect, {
    onFailure: Effect.succeed,
    onSuccess: () => Effect.fail("it did not fail")
  })
