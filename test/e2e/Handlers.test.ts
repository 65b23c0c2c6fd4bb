/**
 * Handlers on a real chain and a real PostgreSQL: balances of every token are at each committed tip what a naive reader
 * makes of its transfers, whichever way they were fetched, through failures, restarts, reorgs and contracts that are
 * named later.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, type Redacted, Ref, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { createPublicClient, http } from "viem"
import { at, Contract, type Handler, type SettingsOptions, Sluice, type SyncStatus } from "../../src/index.ts"
import { market } from "../support/market.ts"
import { rpc } from "../support/oracle.ts"
import * as Postgres from "../support/Postgres.ts"

const world = Layer.mergeAll(NodeHttpClient.layerNodeHttp, NodeServices.layer, Logger.layer([]))

/** Any ERC-20. */
const token = Contract.make({
  name: "erc20",
  abi: ["event Transfer(address indexed from, address indexed to, uint256 value)"]
})

const pair = Contract.make({ name: "pair", abi: ["event Sync(uint112 reserve0, uint112 reserve1)"] })

const balances = Sluice.table("app.balances", {
  create: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create schema if not exists app`
    yield* sql`
      create table app.balances (
        token bytea, holder bytea, amount numeric(78, 0) not null, primary key (token, holder)
      )`
  })
})

const bytes = (hex: string): Buffer => Buffer.from(hex.slice(2), "hex")

/** The transaction and the log at which the handler breaks. */
const broken = Ref.makeUnsafe<string | undefined>(undefined)

const keepBalances = Sluice.handle(token, "Transfer", (events) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const add = (contract: string, holder: string, amount: bigint) => sql`
      insert into app.balances as b values (${bytes(contract)}, ${bytes(holder)}, ${String(amount)}::text::numeric)
      on conflict (token, holder) do update set amount = b.amount + excluded.amount`
    for (const event of events) {
      const { address, args, logIndex, transactionHash } = event
      const isBroken = (yield* Ref.get(broken)) === `${transactionHash} ${logIndex}`
      yield* add(address, args.from, -args.value)
      if (isBroken) return yield* at(event)(Effect.fail("the holder is unknown"))
      yield* add(address, args.to, args.value)
    }
  })
)

interface Transfer {
  readonly block: number
  readonly log: number
  readonly transaction: string
  readonly token: string
  readonly from: string
  readonly to: string
  readonly value: bigint
}

/** What viem reads with eth_getLogs. */
const transfersOn = (url: string, toBlock: number): Effect.Effect<ReadonlyArray<Transfer>> =>
  Effect.promise(async () => {
    const client = createPublicClient({ transport: http(url) })
    const logs = await client.getContractEvents({
      abi: token.abi,
      eventName: "Transfer",
      fromBlock: 0n,
      toBlock: BigInt(toBlock),
      strict: true
    })
    return logs.map(({ address, args, blockNumber, logIndex, transactionHash }) => ({
      block: Number(blockNumber),
      log: logIndex,
      transaction: transactionHash,
      token: address,
      ...args
    }))
  })

const naive = (transfers: ReadonlyArray<Transfer>): ReadonlyArray<string> => {
  const sums = new Map<string, bigint>()
  const add = (token: string, holder: string, amount: bigint) => {
    const key = `${token} ${holder}`.toLowerCase()
    sums.set(key, (sums.get(key) ?? 0n) + amount)
  }
  for (const { from, to, token, value } of transfers) {
    add(token, from, -value)
    add(token, to, value)
  }
  return [...sums].map(([key, amount]) => `${key} ${amount}`).sort()
}

const lines = (query: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql.unsafe<Record<"token" | "holder" | "amount", string>>(`
      select '0x' || encode(token, 'hex') as token, '0x' || encode(holder, 'hex') as holder, amount::text as amount
      from (${query}) q`)
    return rows.map(({ amount, holder, token }) => `${token} ${holder} ${amount}`).sort()
  })

const kept = lines("select token, holder, amount from app.balances")
const fromRows = lines(`
  select contract as token, holder, sum(amount) as amount from (
    select contract, "from" as holder, -value as amount from chain_31337.erc20_transfer
    union all select contract, "to", value from chain_31337.erc20_transfer
  ) t group by 1, 2`)

/** The table, the rows of the events and the chain say the same as of the committed tip, which is returned. */
const agree = Effect.fnUntraced(function* (url: string) {
  const { store } = yield* Effect.flatMap(Sluice, ({ status }) => status)
  const tip = store.tip?.number ?? -1
  const expected = naive(yield* transfersOn(url, tip))
  assert.isAbove(expected.length, 20)
  assert.deepStrictEqual(yield* kept, expected)
  assert.deepStrictEqual(yield* fromRows, expected)
  return tip
})

const sluice = (url: string, databaseUrl: Redacted.Redacted, options: Partial<SettingsOptions> = {}) =>
  Layer.fresh(
    Sluice.layer(
      { profile: "anvil", rpcUrls: [url], databaseUrl, finalityDepth: 60, batchSize: 3, ...options },
      { contracts: [token], handlers: [keepBalances], tables: [balances] }
    )
  )

const until = (is: (status: SyncStatus) => boolean) =>
  Effect.gen(function* () {
    const { status } = yield* Sluice
    return yield* Effect.repeat(status, { schedule: Schedule.spaced("20 millis"), until: is }).pipe(
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () =>
          Effect.flatMap(status, ({ head, phase, reason, store }) =>
            Effect.die({ head, phase, reason, store })
          )
      })
    )
  })

const reorg = Effect.fnUntraced(function* (url: string, depth: number) {
  yield* rpc(url, "anvil_reorg", [depth, []])
  yield* rpc(url, "evm_mine")
})

/** The chain's head is committed. */
const follows = Effect.fnUntraced(function* (url: string) {
  const head = yield* rpc<{ number: string; hash: string }>(url, "eth_getBlockByNumber", ["latest", false])
  yield* until(({ store }) => store.tip?.hash === head.hash)
})

const done = Effect.flatMap(Sluice, ({ outcome }) => outcome)

describe("handlers", () => {
  it.live(
    "halt where they fail, go on where they were, and follow reorgs, before and after a restart",
    () =>
      Effect.gen(function* () {
        const { head, url } = yield* market(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const transfers = yield* transfersOn(url, head)
        // Late enough that batches before it are committed.
        const bad = transfers.at(-1)
        assert.isDefined(bad)
        yield* Ref.set(broken, `${bad.transaction} ${bad.log}`)
        yield* Effect.gen(function* () {
          const { reason } = yield* until(({ phase }) => phase === "halted")
          assert.strictEqual(
            reason,
            `the handler erc20.Transfer failed at block ${bad.block}, log ${bad.log} ` +
              `(transaction ${bad.transaction}): the holder is unknown`
          )
          assert.isBelow(yield* agree(url), bad.block)
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql<{ readonly written: bigint; readonly tip: bigint }>`
            select greatest(
                (select max(number) from chain_31337.blocks), (select max(block_number) from chain_31337.logs),
                (select max(block_number) from chain_31337.erc20_transfer)
              ) as written, (select block from chain_31337.handler_state) as tip`
          assert.strictEqual(row?.written, row?.tip)
        }).pipe(Effect.provide(sluice(url, databaseUrl)))
        yield* Ref.set(broken, undefined)
        yield* Effect.gen(function* () {
          yield* follows(url)
          assert.strictEqual(yield* agree(url), head)
          for (const depth of [2, 7, 13]) {
            yield* reorg(url, depth)
            yield* follows(url)
            yield* agree(url)
          }
        }).pipe(Effect.provide(sluice(url, databaseUrl)))
        yield* reorg(url, 25)
        yield* Effect.gen(function* () {
          yield* follows(url)
          yield* agree(url)
        }).pipe(Effect.provide(sluice(url, databaseUrl)))
        assert.isBelow((yield* transfersOn(url, head + 10)).length, transfers.length - 50)
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "keep the same from eth_getLogs alone, also when a contract is named later",
    () =>
      Effect.gen(function* () {
        // Anvil calls final what is 64 blocks old: the lower half of the trades, which come in pages.
        const { head: trades, url } = yield* market(1)
        const quiet = 64 - Math.floor(trades / 2)
        yield* rpc(url, "anvil_mine", [quiet])
        const head = trades + quiet
        const databaseUrl = yield* Postgres.freshDatabase
        const options = { index: "events" } as const
        yield* Effect.gen(function* () {
          yield* done
          assert.strictEqual(yield* agree(url), head)
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql<{
            readonly logs: bigint
            readonly covered: string
            readonly kept: bigint
          }>`
            select (select count(*) from chain_31337.logs) as logs,
              (select ranges::text from chain_31337.coverage where level = 'events') as covered,
              (select min(number) from chain_31337.blocks) as kept`
          assert.strictEqual(row?.logs, 0n)
          assert.strictEqual(row?.covered, `{[0,${head + 1})}`)
          assert.strictEqual(Number(row?.kept), head - 64)
        }).pipe(Effect.provide(sluice(url, databaseUrl, { ...options, endBlock: head })))
        yield* reorg(url, quiet + 3)
        yield* Effect.gen(function* () {
          yield* follows(url)
          yield* agree(url)
          yield* reorg(url, 7)
          yield* follows(url)
          yield* agree(url)
        }).pipe(Effect.provide(sluice(url, databaseUrl, options)))
        // What is not final is fetched again for it, perhaps from another fork; handlers see only that of it.
        yield* reorg(url, quiet + 6)
        const more = Layer.fresh(
          Sluice.layer(
            { profile: "anvil", rpcUrls: [url], databaseUrl, finalityDepth: 60, ...options },
            { contracts: [token, pair], handlers: [keepBalances], tables: [balances] }
          )
        )
        yield* Effect.gen(function* () {
          yield* follows(url)
          yield* agree(url)
          yield* reorg(url, 9)
          yield* follows(url)
          yield* agree(url)
        }).pipe(Effect.provide(more))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.live(
    "go on where INDEX became events and a contract is named later, over blocks that are not final",
    () =>
      Effect.gen(function* () {
        // All trades are above what Anvil calls final.
        const { head, url } = yield* market(1)
        const databaseUrl = yield* Postgres.freshDatabase
        const run = (contracts: ReadonlyArray<Contract.Contract>, options: Partial<SettingsOptions>) =>
          Layer.fresh(
            Sluice.layer(
              { profile: "anvil", rpcUrls: [url], databaseUrl, finalityDepth: 60, ...options },
              { contracts, handlers: [keepBalances], tables: [balances] }
            )
          )
        const reaches = (endBlock: number, index: "blocks" | "events") =>
          Effect.andThen(done, agree(url)).pipe(Effect.provide(run([token], { index, endBlock })))
        yield* reaches(head - 8, "blocks")
        yield* reaches(head - 5, "events")
        yield* reaches(head - 3, "blocks")
        yield* reaches(head, "events")
        const wholeBlocks = Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql<{ readonly ranges: string }>`
            select ranges::text as ranges from chain_31337.coverage where level = 'proven'`
          return row?.ranges
        })
        // The same blocks again for the new contract, some of them from another fork.
        yield* reorg(url, 2)
        yield* Effect.gen(function* () {
          yield* follows(url)
          yield* agree(url)
          assert.strictEqual(yield* wholeBlocks, `{[0,${head - 7}),[${head - 4},${head - 2})}`)
          yield* reorg(url, 6)
          yield* follows(url)
          yield* agree(url)
        }).pipe(Effect.provide(run([token, pair], { index: "events" })))
      }).pipe(Effect.provide(world)),
    120_000
  )

  it.effect("of what is not indexed are refused at the start", () =>
    Effect.gen(function* () {
      const databaseUrl = yield* Postgres.freshDatabase
      const other = Contract.make({ name: "other", abi: token.abi })
      const half = Contract.make({
        name: "half",
        abi: ["event Ping(address who)", "event Pong(address who)"],
        events: ["Ping"]
      })
      const namesake = Contract.make({ name: "half", abi: ["event Ping(address whom)"] })
      const ignore = () => Effect.void
      const refusal = (handler: Handler) =>
        Effect.gen(function* () {
          const layer = Sluice.layer(
            { profile: "anvil", rpcUrls: ["http://127.0.0.1:1"], databaseUrl },
            { contracts: [token, half], handlers: [handler] }
          )
          const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(layer))))
          return error.message
        })
      assert.strictEqual(
        yield* refusal(Sluice.handle(other, "Transfer", ignore)),
        "the handler other.Transfer is of the contract other, which is not indexed (known: erc20, half); " +
          "give it to the layer in `contracts`, or name it in the file of CONTRACTS"
      )
      assert.strictEqual(
        yield* refusal(Sluice.handle(half, ["Ping", "Pong"], ignore)),
        "the handler half.Ping|Pong is of Pong, which is not indexed (of half: Ping); add it to the contract's `events`"
      )
      assert.strictEqual(
        yield* refusal(Sluice.handle(namesake, "Ping", ignore)),
        "the handler half.Ping is of another Ping than the one that is indexed, which is Ping(address who); " +
          "make it of the same contract"
      )
    })
  )
})
