/**
 * Events as tables, from a real Anvil with a market on it into a real PostgreSQL: every row equal to what viem makes of
 * the chain, whichever way it was fetched, also for contracts that are named later, and through reorgs.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, type Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { createPublicClient, http, parseAbi } from "viem"
import { Sluice } from "../../src/Sluice.ts"
import { market } from "../support/market.ts"
import { rpc } from "../support/oracle.ts"
import * as Postgres from "../support/Postgres.ts"
import { plainSql } from "../tokens/world.ts"

const world = Layer.mergeAll(NodeHttpClient.layerNodeHttp, NodeServices.layer, Logger.layer([]))

const pairLines = [
  "event Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to)",
  "event Sync(uint112 reserve0, uint112 reserve1)"
] as const

const abis = {
  erc20: parseAbi([
    "event Transfer(address indexed from, address indexed to, uint256 value)",
    "event Approval(address indexed owner, address indexed spender, uint256 value)"
  ]),
  pair: parseAbi(pairLines)
}

const columns = {
  erc20_transfer: ["from", "to", "value"],
  erc20_approval: ["owner", "spender", "value"],
  pair_swap: ["sender", "amount0_in", "amount1_in", "amount0_out", "amount1_out", "to"],
  pair_sync: ["reserve0", "reserve1"]
} as const
type TableName = keyof typeof columns

const all = [...abis.erc20, ...abis.pair] as const
const events = {
  erc20_transfer: "Transfer",
  erc20_approval: "Approval",
  pair_swap: "Swap",
  pair_sync: "Sync"
} as const

const shown = (value: unknown): string =>
  (value instanceof Uint8Array ? hex(value) : String(value)).toLowerCase()
const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString("hex")}`

/** `amount0_in` of the table is `amount0In` of viem. */
const valueOf = (args: object, column: string): unknown =>
  Object.entries(args).find(([name]) => name.toLowerCase() === column.replaceAll("_", ""))?.[1]

/** What viem reads from the chain, a line for each event. */
const onChain = (url: string, table: TableName, toBlock: number) =>
  Effect.promise(async () => {
    const client = createPublicClient({ transport: http(url) })
    const range = { fromBlock: 0n, toBlock: BigInt(toBlock), strict: true } as const
    const logs = await client.getContractEvents({ abi: all, eventName: events[table], ...range })
    return logs.map(({ address, args, blockNumber, logIndex, transactionHash }) =>
      [
        blockNumber,
        logIndex,
        transactionHash,
        address,
        ...columns[table].map((column) => valueOf(args, column))
      ]
        .map(shown)
        .join(" ")
    )
  })

const inTable = Effect.fnUntraced(function* (table: TableName) {
  const sql = yield* SqlClient.SqlClient
  const own = columns[table].map((column) => `"${column}"`).join(", ")
  const rows = yield* sql.unsafe<Record<string, unknown>>(
    `select block_number, log_index, transaction_hash, contract, ${own}
     from chain_31337.${table} order by block_number, log_index`
  )
  return rows.map((row) => Object.values(row).map(shown).join(" "))
})

const equal = Effect.fnUntraced(function* (url: string, table: TableName, to: number) {
  const expected = yield* onChain(url, table, to)
  assert.isAbove(expected.length, 20, table)
  const stored = yield* inTable(table)
  assert.strictEqual(stored.length, expected.length, table)
  for (const [i, row] of stored.entries()) assert.strictEqual(row, expected[i], table)
})

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-contracts-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const erc20 = { pack: "erc20" }
const pairs = (factory: string) => ({
  name: "pair",
  abi: pairLines,
  factory: {
    address: factory,
    event: "event PairCreated(address indexed token0, address indexed token1, address pair, uint256)",
    parameter: "pair"
  }
})
/** The same tables without a factory. */
const anyPair = { name: "pair", abi: pairLines }

const contractsFile = Effect.fnUntraced(function* (path: string, contracts: ReadonlyArray<unknown>) {
  const file = join(path, "contracts.json")
  yield* Effect.sync(() => writeFileSync(file, JSON.stringify({ contracts })))
  return file
})

const sync = (
  url: string,
  databaseUrl: Redacted.Redacted,
  options: {
    readonly contracts?: string
    readonly index?: "blocks" | "events" | "auto"
    readonly endBlock: number
  }
) =>
  Layer.fresh(Sluice.layer({ profile: "anvil", rpcUrls: [url], databaseUrl, finalityDepth: 5, ...options }))

const done = Effect.flatMap(Sluice, ({ outcome }) => outcome)

describe("events as tables", () => {
  it.live(
    "from whole blocks: every row is what viem makes of the chain, with a factory, and for contracts named later",
    () =>
      Effect.gen(function* () {
        const { factory, head, url } = yield* market(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const path = yield* folder
        const contracts = yield* contractsFile(path, [erc20])
        yield* Effect.gen(function* () {
          yield* done
          yield* equal(url, "erc20_transfer", head)
          yield* equal(url, "erc20_approval", head)
        }).pipe(Effect.provide(sync(url, databaseUrl, { contracts, endBlock: head })))
        // Everything is stored: what is new comes from the tables.
        yield* contractsFile(path, [erc20, pairs(factory)])
        yield* Effect.gen(function* () {
          yield* done
          for (const table of ["erc20_transfer", "erc20_approval", "pair_swap", "pair_sync"] as const) {
            yield* equal(url, table, head)
          }
        }).pipe(Effect.provide(sync(url, databaseUrl, { contracts, endBlock: head })))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "from eth_getLogs alone: the same rows, also for contracts named later, and no transactions or logs stored",
    () =>
      Effect.gen(function* () {
        const { head, url } = yield* market(80)
        const databaseUrl = yield* Postgres.freshDatabase
        const path = yield* folder
        const contracts = yield* contractsFile(path, [erc20])
        const options = { contracts, index: "events", endBlock: head } as const
        yield* Effect.gen(function* () {
          yield* done
          yield* equal(url, "erc20_transfer", head)
        }).pipe(Effect.provide(sync(url, databaseUrl, options)))
        yield* contractsFile(path, [erc20, anyPair])
        yield* Effect.gen(function* () {
          yield* done
          yield* equal(url, "erc20_transfer", head)
          yield* equal(url, "pair_swap", head)
          const sql = yield* SqlClient.SqlClient
          const [count] = yield* sql<Record<string, bigint>>`
            select (select count(*) from chain_31337.logs) as logs,
              (select count(*) from chain_31337.transactions) as transactions,
              (select count(*) from chain_31337.blocks) as blocks`
          assert.strictEqual(count?.["logs"], 0n)
          assert.strictEqual(count?.["transactions"], 0n)
          assert.isAtMost(Number(count?.["blocks"]), 70)
        }).pipe(Effect.provide(sync(url, databaseUrl, options)))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.effect("a factory with INDEX=events is refused, since its contracts are found on the way", () =>
    Effect.gen(function* () {
      const contracts = yield* contractsFile(yield* folder, [pairs(`0x${"fa".repeat(20)}`)])
      const settings = {
        profile: "anvil",
        rpcUrls: ["http://localhost:1"],
        contracts,
        index: "events"
      } as const
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Sluice.layer(settings))))
      assert.include(error.message, "pair: has a factory, which needs INDEX=blocks")
    })
  )

  it.live(
    "INDEX=auto takes the way that needs fewer bytes",
    () =>
      Effect.gen(function* () {
        const { head, url } = yield* market(1100)
        const databaseUrl = yield* Postgres.freshDatabase
        const contracts = yield* contractsFile(yield* folder, [erc20])
        yield* Effect.gen(function* () {
          yield* done
          yield* equal(url, "erc20_transfer", head)
          const { coverage } = (yield* (yield* Sluice).status).store
          assert.deepStrictEqual(coverage, [{ from: 0, to: head, level: "events" }])
        }).pipe(Effect.provide(sync(url, databaseUrl, { contracts, index: "auto", endBlock: head })))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "through reorgs and restarts: what is taken back is gone, and the metrics of tokens are what plain SQL says",
    () =>
      Effect.gen(function* () {
        const { head, url } = yield* market(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const packs = [erc20, anyPair, { pack: "uniswap-v2" }, { pack: "uniswap-v3" }]
        const contracts = yield* contractsFile(yield* folder, packs)
        const sluice = Layer.fresh(
          Sluice.layer({
            profile: "anvil",
            rpcUrls: [url],
            databaseUrl,
            contracts,
            tokenFlushInterval: "200 millis",
            tokenFullFlushInterval: "1 second"
          })
        )
        const reaches = (number: number, hash: string) =>
          Effect.flatMap(Sluice, ({ status }) => status).pipe(
            Effect.repeat({
              schedule: Schedule.spaced("20 millis"),
              until: ({ store }) => store.tip?.number === number && store.tip.hash === hash
            }),
            Effect.timeoutOrElse({
              duration: "30 seconds",
              orElse: () =>
                Effect.flatMap(Sluice, ({ status }) =>
                  Effect.flatMap(status, ({ head, phase, reason, store }) =>
                    Effect.die({ wanted: { number, hash }, head, phase, reason, store })
                  )
                )
            })
          )
        for (const depth of [2, 7, 13]) {
          // Each time another process, which follows one reorg, and finds another one that came while it was away.
          yield* rpc(url, "anvil_reorg", [depth, []])
          yield* Effect.gen(function* () {
            for (const more of [0, depth]) {
              if (more > 0) yield* rpc(url, "anvil_reorg", [more, []])
              yield* rpc(url, "evm_mine")
              const block = yield* rpc<{ number: string; hash: string }>(url, "eth_getBlockByNumber", [
                "latest",
                false
              ])
              yield* reaches(Number(block.number), block.hash)
              yield* equal(url, "erc20_transfer", head + 10)
              yield* equal(url, "pair_swap", head + 10)
              const sql = yield* SqlClient.SqlClient
              const { homeless, wrong } = plainSql(sql, "chain_31337")
              assert.deepStrictEqual(yield* wrong(), [])
              assert.deepStrictEqual(yield* homeless, [])
            }
          }).pipe(Effect.provide(sluice))
        }
      }).pipe(Effect.provide(world)),
    120_000
  )
})
