import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Sluice } from "../../src/index.ts"

export const countTransactions = (rpcUrl: string, dataDir: string) =>
  Effect.gen(function* () {
    const sluice = yield* Sluice
    yield* sluice.outcome // "done": everything up to endBlock is committed
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ count: bigint }>`select count(*) from chain_31337.transactions`
    return Number(row?.count)
  }).pipe(Effect.provide(Sluice.layer({ profile: "anvil", rpcUrls: [rpcUrl], dataDir, endBlock: 20 })))
