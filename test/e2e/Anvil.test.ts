import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import type { SettingsOptions } from "../../src/config/Settings.ts"
import { Anvil } from "../../src/devnet/Anvil.ts"
import { Sluice } from "../../src/Sluice.ts"
import { chainRows, rpc, tableRows } from "../support/oracle.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Program from "../support/Program.ts"

const platform = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

/** How many reorgs; the long run of them is for releases. */
const reorgs = Number(process.env["TEST_REORGS"] ?? 8)

const waitFor = (number: number, hash: string) =>
  Effect.gen(function* () {
    const { status } = yield* Sluice
    const isThere = Effect.map(status, ({ store }) => store.tip?.number === number && store.tip.hash === hash)
    yield* Effect.repeat(isThere, { schedule: Schedule.spaced("20 millis"), until: (there) => there }).pipe(
      Effect.timeoutOrElse({
        duration: "60 seconds",
        orElse: () =>
          Effect.flatMap(status, ({ head, phase, reason, store, target }) =>
            Effect.die({ wanted: { number, hash }, head, target, phase, reason, tip: store.tip, store })
          )
      })
    )
  })

const reachesHead = Effect.fnUntraced(function* (url: string) {
  const head = yield* rpc<{ number: string; hash: string }>(url, "eth_getBlockByNumber", ["latest", false])
  yield* waitFor(Number(head.number), head.hash)
  return Number(head.number)
})

/** The tables are whole up to the chain's head, and equal to it in every row. */
const equalsChain = Effect.fnUntraced(function* (url: string) {
  const head = yield* reachesHead(url)
  assert.deepStrictEqual(yield* tableRows("chain_31337"), yield* chainRows(url, 0, head))
  const sql = yield* SqlClient.SqlClient
  const [count] = yield* sql<{ blocks: bigint; transactions: bigint; logs: bigint }>`
    select (select count(*) from chain_31337.blocks) as blocks,
           (select count(*) from chain_31337.transactions) as transactions,
           (select count(*) from chain_31337.logs) as logs`
  const { totals } = (yield* (yield* Sluice).status).store
  assert.deepStrictEqual(totals, {
    blocks: Number(count?.blocks),
    transactions: Number(count?.transactions),
    logs: Number(count?.logs)
  })
})

const databases: Record<
  string,
  Effect.Effect<Partial<SettingsOptions>, never, import("effect").Scope.Scope>
> = {
  PGlite: Effect.map(Program.dataDir, (dataDir) => ({ dataDir })),
  PostgreSQL: Effect.orDie(Effect.map(Postgres.freshDatabase, (databaseUrl) => ({ databaseUrl })))
}

for (const [name, database] of Object.entries(databases)) {
  describe(`a real Anvil into ${name}`, () => {
    it.live(
      "through transfers, reorgs of random depth and a restart, tables equal the chain",
      () =>
        Effect.gen(function* () {
          const { url } = yield* Anvil.make({ history: 200 })
          const [from, to] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
          // Mined by hand: an Anvil that mines by itself loses blocks when a reorg meets a pending transaction.
          yield* rpc(url, "evm_setAutomine", [false])
          const transfer = Effect.andThen(
            rpc(url, "eth_sendTransaction", [{ from, to, value: "0x1" }]),
            rpc(url, "evm_mine")
          )
          const options = { profile: "anvil", rpcUrls: [url], ...(yield* database) } as const
          const sluice = Layer.fresh(Sluice.layer(options))
          yield* Effect.repeat(transfer, { times: 40 })

          yield* Effect.gen(function* () {
            yield* equalsChain(url)
            for (let i = 0; i < reorgs; i++) {
              const depth = yield* Random.nextIntBetween(1, 31)
              yield* reachesHead(url)
              const before = (yield* (yield* Sluice).status).store.tip?.hash
              // With a transaction of its own, so that the new blocks are other ones.
              yield* rpc(url, "anvil_reorg", [depth, [[{ from, to, value: `0x${(i + 2).toString(16)}` }, 0]]])
              yield* equalsChain(url)
              const { lastReorg, tip } = (yield* (yield* Sluice).status).store
              assert.notStrictEqual(tip?.hash, before)
              // Less where the lowest of the new blocks, still empty, are the old ones to the bit.
              assert.isAtMost(lastReorg?.depth ?? 0, depth)
              yield* Effect.repeat(transfer, { times: yield* Random.nextIntBetween(0, 5) })
            }
            // A chain that only got shorter, and then another block at a height that we have.
            yield* rpc(url, "anvil_rollback", [3])
            yield* Effect.repeat(transfer, { times: 4 })
            yield* equalsChain(url)
          }).pipe(Effect.provide(sluice))

          // Down while the chain reorganises.
          yield* rpc(url, "anvil_reorg", [7, []])
          yield* Effect.repeat(transfer, { times: 9 })
          yield* equalsChain(url).pipe(Effect.provide(sluice))

          // Another genesis is refused.
          yield* rpc(url, "anvil_reset")
          const error = yield* Effect.flatMap(Sluice, ({ outcome }) => Effect.flip(outcome)).pipe(
            Effect.provide(sluice)
          )
          assert.match(error.message, /belongs to another chain: its genesis hash is 0x/)
        }).pipe(Effect.provide(platform)),
      180_000
    )
  })
}
