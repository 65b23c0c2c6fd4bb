import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Contract, Sluice } from "../../src/index.ts"

export const token = Contract.make({
  name: "usdc",
  address: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
  abi: ["event Transfer(address indexed from, address indexed to, uint256 value)"]
})

export const balances = Sluice.table("app.balances", {
  create: Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create schema if not exists app`
    yield* sql`create table app.balances (holder bytea primary key, amount numeric(78, 0) not null)`
  })
})

export const keepBalances = Sluice.handle(token, "Transfer", (events) =>
  Effect.gen(function* () {
    const changes = new Map<string, bigint>()
    const add = (holder: string, amount: bigint) => changes.set(holder, (changes.get(holder) ?? 0n) + amount)
    for (const { args } of events) {
      add(args.from, -args.value)
      add(args.to, args.value)
    }
    const rows = [...changes].map(([holder, amount]) => ({ holder: holder.slice(2), amount: `${amount}` }))
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      insert into app.balances as b (holder, amount)
      select decode(holder, 'hex'), amount
      from json_to_recordset(${JSON.stringify(rows)}::json) r(holder text, amount numeric)
      on conflict (holder) do update set amount = b.amount + excluded.amount`
  })
)
