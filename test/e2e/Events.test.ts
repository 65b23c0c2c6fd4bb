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
import { Effect, Fiber, Layer, Logger, Random, type Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { createPublicClient, http, parseAbi } from "viem"
import * as Traffic from "../../src/devnet/Traffic.ts"
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

const pairCreated = parseAbi([
  "event PairCreated(address indexed token0, address indexed token1, address pair, uint256 pairs)"
])

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
const own = (factory: string) => ({ factory: pairs(factory).factory })
/** The same tables without a factory. */
const anyPair = { name: "pair", abi: pairLines }

const contractsFile = Effect.fnUntraced(function* (path: string, contracts: ReadonlyArray<unknown>) {
  const file = join(path, "contracts.json")
  yield* Effect.sync(() => writeFileSync(file, JSON.stringify({ contracts })))
  return file
})

/** All columns of all rows, in order. */
const everyRow = Effect.fnUntraced(function* (table: string) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql.unsafe<Record<string, unknown>>(
    `select * from chain_31337.${table} order by block_number, log_index`
  )
  return rows.map((row) => Object.values(row).map(shown).join(" "))
})

/** The market with a second one after it, whose pairs are another factory's, and quiet blocks above. */
const withStrangers = Effect.fnUntraced(function* (quietBlocks: number) {
  const { factory, url } = yield* market(1)
  yield* rpc(url, "evm_setAutomine", [false])
  const miner = yield* rpc(url, "evm_mine").pipe(
    Effect.schedule(Schedule.spaced("80 millis")),
    Effect.forkChild
  )
  const traffic = yield* Traffic.run({ url, transactionsPerSecond: 60 }).pipe(
    Random.withSeed("strangers"),
    Effect.forkChild
  )
  const client = createPublicClient({ transport: http(url) })
  const swaps = Effect.promise(() =>
    client.getContractEvents({ abi: abis.pair, eventName: "Swap", fromBlock: 0n, strict: true })
  )
  const created = Effect.promise(() =>
    client.getContractEvents({ abi: pairCreated, eventName: "PairCreated", fromBlock: 0n, strict: true })
  )
  const own = new Set((yield* created).map(({ args }) => args.pair.toLowerCase()))
  yield* Effect.repeat(swaps, {
    schedule: Schedule.spaced("200 millis"),
    until: (found) => found.filter(({ address }) => !own.has(address.toLowerCase())).length >= 30
  })
  yield* Fiber.interrupt(traffic)
  yield* Fiber.interrupt(miner)
  yield* rpc(url, "anvil_dropAllTransactions")
  yield* rpc(url, "anvil_mine", [quietBlocks])
  const others = (yield* created).filter(({ args }) => !own.has(args.pair.toLowerCase()))
  const strangers = others.map(({ args }) => args.pair.toLowerCase())
  /** Where the second factory names its first pair. */
  const second = { factory: others[0]?.address ?? "0x", named: Number(others[0]?.blockNumber) }
  return { url, factory, second, strangers, head: Number(yield* rpc<string>(url, "eth_blockNumber")) }
})

const sync = (
  url: string,
  databaseUrl: Redacted.Redacted,
  options: {
    readonly contracts?: string
    readonly index?: "blocks" | "events" | "auto"
    readonly startBlock?: number
    readonly endBlock: number
  }
) =>
  Layer.fresh(Sluice.layer({ profile: "anvil", rpcUrls: [url], databaseUrl, finalityDepth: 5, ...options }))

/** Until the newest block of the chain is committed. */
const follows = Effect.fnUntraced(function* (url: string) {
  const block = yield* rpc<{ readonly hash: string }>(url, "eth_getBlockByNumber", ["latest", false])
  yield* Effect.flatMap(Sluice, ({ status }) => status).pipe(
    Effect.repeat({
      schedule: Schedule.spaced("20 millis"),
      until: ({ store }) => store.tip?.hash === block.hash
    }),
    Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.die("not followed") })
  )
})

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

  it.live(
    "a factory's contracts from eth_getLogs alone: the rows of INDEX=blocks, without those of strangers",
    () =>
      Effect.gen(function* () {
        const { factory, head, strangers, url } = yield* withStrangers(80)
        const databaseUrl = yield* Postgres.freshDatabase
        const path = yield* folder
        const contracts = yield* contractsFile(path, [
          erc20,
          pairs(factory),
          { pack: "uniswap-v2", ...own(factory) },
          { pack: "uniswap-v3" }
        ])
        const rows = Effect.gen(function* () {
          yield* done
          return yield* Effect.forEach(["pair_swap", "pair_sync", "uniswap_v2_swap"], everyRow)
        })
        const fromBlocks = yield* Effect.provide(
          rows,
          sync(url, yield* Postgres.freshDatabase, { contracts, endBlock: head })
        )
        const isStrange = (line: string) => strangers.some((address) => line.includes(address))
        // In two processes, the second of which reads from the database which contracts there are.
        const events = { contracts, index: "events" } as const
        const half = Math.floor(head / 2)
        yield* Effect.provide(done, sync(url, databaseUrl, { ...events, endBlock: half }))
        const fromLogs = yield* Effect.provide(
          Effect.gen(function* () {
            const found = yield* rows
            for (const table of ["pair_swap", "pair_sync"] as const) {
              const chain = yield* onChain(url, table, head)
              // Pairs of another factory have the same events.
              assert.isAbove(chain.filter(isStrange).length, 10)
              assert.deepStrictEqual(
                yield* inTable(table),
                chain.filter((line) => !isStrange(line))
              )
            }
            const sql = yield* SqlClient.SqlClient
            const { wrong } = plainSql(sql, "chain_31337")
            assert.deepStrictEqual(yield* wrong(), [])
            return found
          }),
          sync(url, databaseUrl, { ...events, endBlock: head })
        )
        assert.deepStrictEqual(fromLogs, fromBlocks)
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "a factory that is named later, and a lower start: what was fetched without its contracts is fetched again",
    () =>
      Effect.gen(function* () {
        const { factory, head, url } = yield* withStrangers(80)
        const path = yield* folder
        const contracts = yield* contractsFile(path, [erc20, pairs(factory)])
        const tables = ["pair_swap", "pair_sync", "erc20_transfer"]
        const rows = Effect.andThen(done, Effect.forEach(tables, everyRow))
        const run = <A, E>(
          effect: Effect.Effect<A, E, Sluice | SqlClient.SqlClient>,
          databaseUrl: Redacted.Redacted,
          options: Partial<Parameters<typeof sync>[2]>
        ) => Effect.provide(effect, sync(url, databaseUrl, { contracts, endBlock: head, ...options }))
        const expected = yield* run(rows, yield* Postgres.freshDatabase, { index: "blocks" })

        const named = yield* Postgres.freshDatabase
        yield* contractsFile(path, [erc20])
        yield* run(done, named, { index: "events" })
        yield* contractsFile(path, [erc20, pairs(factory)])
        assert.deepStrictEqual(yield* run(rows, named, { index: "events" }), expected)

        // The pairs are named below: all that is above has to be asked for again.
        const lowered = yield* Postgres.freshDatabase
        yield* run(done, lowered, { index: "events", startBlock: 30 })
        const [none] = yield* run(Effect.forEach(tables, everyRow), lowered, {
          index: "events",
          startBlock: 30
        })
        assert.deepStrictEqual(none, [])
        assert.deepStrictEqual(yield* run(rows, lowered, { index: "events", startBlock: 0 }), expected)
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "reorgs that take back the logs in which a factory names its contracts",
    () =>
      Effect.gen(function* () {
        // The second factory's logs are not final yet.
        const { head, second, strangers, url } = yield* withStrangers(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const contracts = yield* contractsFile(yield* folder, [erc20, pairs(second.factory)])
        const layer = Layer.fresh(
          Sluice.layer({ profile: "anvil", rpcUrls: [url], databaseUrl, contracts, index: "events" })
        )
        const children = Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql<{ readonly count: bigint }>`
            select count(distinct address) as count from chain_31337.event_children`
          return Number(row?.count)
        })
        const ownSwaps = Effect.map(onChain(url, "pair_swap", head), (lines) =>
          lines.filter((line) => strangers.some((address) => line.includes(address)))
        )
        yield* Effect.gen(function* () {
          yield* follows(url)
          assert.isAbove((yield* ownSwaps).length, 20)
          assert.deepStrictEqual(yield* inTable("pair_swap"), yield* ownSwaps)
        }).pipe(Effect.provide(layer))
        // The next process knows the contracts from the database.
        yield* Effect.gen(function* () {
          yield* rpc(url, "evm_mine")
          yield* follows(url)
          assert.strictEqual(yield* children, strangers.length)
          yield* rpc(url, "anvil_reorg", [head - second.named + 2, []])
          yield* rpc(url, "evm_mine")
          yield* follows(url)
          assert.strictEqual(yield* children, 0)
          assert.deepStrictEqual(yield* everyRow("pair_swap"), [])
          assert.deepStrictEqual(yield* everyRow("pair_sync"), [])
        }).pipe(Effect.provide(layer))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "from eth_getLogs alone, after a reorg that was final before anybody saw it",
    () =>
      Effect.gen(function* () {
        const { head, url } = yield* market(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const contracts = yield* contractsFile(yield* folder, [erc20, anyPair])
        const options = { profile: "anvil", rpcUrls: [url], databaseUrl, contracts, index: "events" } as const
        const agrees = Effect.gen(function* () {
          yield* follows(url)
          yield* equal(url, "erc20_transfer", head)
          yield* equal(url, "pair_swap", head)
        })
        yield* Effect.provide(agrees, Layer.fresh(Sluice.layer(options)))
        const before = yield* onChain(url, "erc20_transfer", head)
        yield* rpc(url, "anvil_reorg", [20, []])
        // What came in the place of those blocks is below what Anvil calls final.
        yield* rpc(url, "anvil_mine", [150])
        assert.isBelow((yield* onChain(url, "erc20_transfer", head)).length, before.length)
        yield* Effect.provide(agrees, Layer.fresh(Sluice.layer(options)))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "INDEX=auto takes the way that needs fewer bytes, with a factory too",
    () =>
      Effect.gen(function* () {
        const { factory, head, url } = yield* market(1100)
        const databaseUrl = yield* Postgres.freshDatabase
        const contracts = yield* contractsFile(yield* folder, [erc20, pairs(factory)])
        yield* Effect.gen(function* () {
          yield* done
          yield* equal(url, "erc20_transfer", head)
          yield* equal(url, "pair_swap", head)
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
