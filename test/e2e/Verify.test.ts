/**
 * `sluice verify` and `sluice gaps` as their user runs them, over tables with damage of every kind.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { Kind } from "../../src/audit/Finding.ts"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as SqlPostgres from "../../src/store/Postgres.ts"
import { chainRows, rpc, tableRows } from "../support/oracle.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Program from "../support/Program.ts"

const platform = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

const schema = "chain_31337"

/** Highest block that is stored; the chain goes on above it. */
const last = 60

/** Creates a contract that emits one log with a topic and a word of data. */
const emitting = "0x6001600052600160206000a100"

/** An Anvil where every second block has a transfer and a log, up to a bit above `height`. */
const chain = Effect.fnUntraced(function* (height: number) {
  const { url } = yield* Anvil.make()
  const [from, to] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
  yield* rpc(url, "evm_setAutomine", [false])
  for (let i = 0; i < height / 2 + 2; i++) {
    yield* rpc(url, "eth_sendTransaction", [{ from, to, value: `0x${i.toString(16)}` }])
    yield* rpc(url, "eth_sendTransaction", [{ from, data: emitting, gas: "0x30000" }])
    yield* rpc(url, "anvil_mine", ["0x2"])
  }
  return url
})

const Line = Schema.fromJsonString(
  Schema.Struct({
    type: Schema.String,
    kind: Schema.optional(Schema.String),
    block: Schema.optional(Schema.NullOr(Schema.Finite)),
    what: Schema.optional(Schema.String),
    reason: Schema.optional(Schema.String),
    from: Schema.optional(Schema.Finite),
    to: Schema.optional(Schema.Finite),
    blocks: Schema.optional(Schema.Finite),
    proven: Schema.optional(Schema.Finite),
    sampled: Schema.optional(Schema.Finite),
    findings: Schema.optional(Schema.Finite),
    repaired: Schema.optional(Schema.Finite),
    left: Schema.optional(Schema.Finite),
    digest: Schema.optional(Schema.String),
    gaps: Schema.optional(Schema.Finite)
  })
)

/** What a command said, line by line, and its exit code. */
const run = Effect.fnUntraced(function* (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) {
  const program = yield* Program.start(["--profile=anvil", ...args, "--json"], env)
  const { code } = yield* program.exited
  const lines = yield* Effect.forEach(
    program
      .output()
      .split("\n")
      .filter((line) => line.startsWith('{"type"')),
    (line) => Schema.decodeEffect(Line)(line)
  )
  return {
    code,
    findings: lines.filter(({ type }) => type === "finding"),
    of: (type: string) => lines.filter((line) => line.type === type),
    summary: lines.at(-1),
    output: program.output()
  }
})

const first = "transaction_index = 0"
const flip = (column: string) => `${column} = set_byte(${column}, 5, 255 - get_byte(${column}, 5))`
const change = (table: string, set: string, number: number, where = "true") =>
  `update ${schema}.${table} set ${set} where ${table === "blocks" ? "number" : "block_number"} = ${number} and ${where}`

type Damage = readonly [kind: Kind, block: number, statement: string]

/** Odd blocks have two transactions and a log. */
const damages: ReadonlyArray<Damage> = [
  ["proof", 1, change("blocks", flip("hash"), 1)],
  ["proof", 3, change("blocks", flip("parent_hash"), 3)],
  ["proof", 5, change("transactions", "value = value + 1", 5, first)],
  ["proof", 7, change("transactions", "gas_used = gas_used + 1", 7, first)],
  ["proof", 9, change("logs", flip("data"), 9)],
  ["proof", 11, change("logs", "topic0 = null", 11)],
  ["row", 13, change("logs", "block_timestamp = block_timestamp + interval '1 microsecond'", 13)],
  ["chain", 15, change("transactions", flip("from_address"), 15, first)],
  ["count", 17, `delete from ${schema}.transactions where block_number = 17 and ${first}`],
  ["count", 19, `delete from ${schema}.logs where block_number = 19`],
  ["missing", 21, `delete from ${schema}.blocks where number = 21`],
  [
    "doubled",
    23,
    `alter table ${schema}.logs drop constraint logs_pkey;
     insert into ${schema}.logs select * from ${schema}.logs where block_number = 23`
  ],
  [
    "level",
    25,
    `update ${schema}.coverage set ranges = case level when 'linked' then ranges + '{[25,26)}'::int8multirange
     else ranges - '{[25,26)}'::int8multirange end`
  ],
  ["uncovered", 27, `update ${schema}.coverage set ranges = ranges - '{[27,28)}'::int8multirange`],
  [
    "missing",
    61,
    `update ${schema}.coverage set ranges = ranges + '{[61,62)}'::int8multirange where level = 'proven'`
  ],
  [
    "uncovered",
    5000,
    `insert into ${schema}.withdrawals values (5000, 1, 1, decode(repeat('00', 20), 'hex'), 1)`
  ],
  ["proof", 33, change("logs", flip("transaction_hash"), 33)]
]

describe("an audit", () => {
  it.live(
    "finds damage of every kind, mends it, and the tables are the chain again",
    () =>
      Effect.gen(function* () {
        const url = yield* chain(last)
        const databaseUrl = yield* Postgres.freshDatabase
        const env = { RPC_URL: url, DATABASE_URL: Redacted.value(databaseUrl) }
        const filled = yield* Program.start(["--profile=anvil", `--end-block=${last}`], env)
        assert.strictEqual((yield* filled.exited).code, 0, filled.output())

        const sound = yield* run(["verify", "--sample=1000"], env)
        assert.strictEqual(sound.code, 0, sound.output)
        assert.deepInclude(sound.summary, { blocks: 61, proven: 61, sampled: 61, findings: 0, left: 0 })

        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          for (const [, , statement] of damages) {
            for (const part of statement.split(";")) yield* sql.unsafe(part)
          }
          yield* sql.unsafe(`update ${schema}.sync_state set tip_number = 59`)

          // Without the chain: all that needs none.
          const alone = yield* run(["verify"], { DATABASE_URL: env.DATABASE_URL })
          assert.strictEqual(alone.code, 1)
          assert.strictEqual(alone.of("omitted")[0]?.what, "comparison with the chain")
          assert.notInclude(
            alone.findings.map(({ kind }) => kind),
            "chain"
          )

          const damaged = yield* run(["verify", "--sample=1000"], env)
          assert.strictEqual(damaged.code, 1)
          const expected = damages.map(([kind, block]) => `${kind} ${block}`)
          assert.sameMembers(
            damaged.findings
              .filter(({ block }) => block !== null)
              .map(({ block, kind }) => `${kind} ${block}`),
            expected
          )
          assert.isAtLeast(damaged.findings.filter(({ kind }) => kind === "totals").length, 2)

          const missing = yield* run(["gaps", "--to=63"], env)
          assert.strictEqual(missing.code, 1)
          assert.deepStrictEqual(
            missing.of("gap").map(({ from, to }) => [from, to]),
            [
              [27, 27],
              [62, 63]
            ]
          )

          const mended = yield* run(["verify", "--sample=1000", "--repair"], env)
          assert.strictEqual(mended.code, 1, mended.output)
          assert.deepInclude(mended.summary, {
            findings: damaged.findings.length,
            repaired: damages.length,
            left: 0
          })

          const after = yield* run(["verify", "--sample=1000"], env)
          assert.strictEqual(after.code, 0, after.output)
          assert.deepInclude(after.summary, { blocks: 62, proven: 62, findings: 0 })
          assert.deepStrictEqual(yield* tableRows(schema), yield* chainRows(url, 0, last + 1))
          const none = yield* run(["gaps"], env)
          assert.strictEqual(none.code, 0)
          assert.deepInclude(none.summary, { gaps: 0, blocks: 0 })

          // A part of it is the same part of the digest.
          const part = yield* run(["verify", "--from=10", "--to=19", "--sample=0"], env)
          const [row] = yield* sql<{ readonly digest: string }>`
            select encode(${sql(`${schema}.range_digest`)}(10, 19), 'hex') as digest`
          assert.deepInclude(part.summary, { blocks: 10, sampled: 0, digest: row?.digest })
        }).pipe(Effect.provide(SqlPostgres.layer({ url: databaseUrl })))
      }).pipe(Effect.provide(platform)),
    120_000
  )

  it.live(
    "looks beside a running instance, which fills holes itself, and repairs only without it",
    () =>
      Effect.gen(function* () {
        const url = yield* chain(10)
        const databaseUrl = yield* Postgres.freshDatabase
        const env = { RPC_URL: url, DATABASE_URL: Redacted.value(databaseUrl) }
        const running = yield* Program.start(["--profile=anvil", "--instance-id=first"], env)
        yield* Program.until(running, ({ phase }) => phase === "following")
        const beside = yield* run(["verify"], env)
        assert.strictEqual(beside.code, 0, beside.output)
        const refused = yield* run(["verify", "--repair"], env)
        assert.strictEqual(refused.code, 1)
        assert.match(refused.output, /another instance is already syncing \(first, since .*stop it first/)

        // A hole that appears while it runs is filled with the next head.
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          for (const table of ["transactions", "logs"]) {
            yield* sql.unsafe(`delete from ${schema}.${table} where block_number = 5`)
          }
          yield* sql.unsafe(`delete from ${schema}.blocks where number = 5`)
          yield* sql.unsafe(`update ${schema}.coverage set ranges = ranges - '{[5,6)}'::int8multirange`)
          assert.strictEqual((yield* run(["gaps"], env)).code, 1)
          yield* rpc(url, "anvil_mine", ["0x1"])
          const head = Number(yield* rpc<string>(url, "eth_blockNumber"))
          yield* Program.until(running, ({ committed_cursor }) => committed_cursor === head)
          assert.strictEqual((yield* run(["gaps"], env)).code, 0)
        }).pipe(Effect.provide(SqlPostgres.layer({ url: databaseUrl })))
        yield* running.kill("SIGTERM")
        yield* running.exited
      }).pipe(Effect.provide(platform)),
    120_000
  )

  it.live("an embedded database is audited once its process has ended", () =>
    Effect.gen(function* () {
      const env = { SLUICE_DATA_DIR: yield* Program.dataDir, RPC_URL: yield* chain(4) }
      const running = yield* Program.start(["--profile=anvil", `--instance-id=first`], env)
      yield* Program.until(running, ({ phase }) => phase === "following")
      const held = yield* run(["verify"], env)
      assert.strictEqual(held.code, 1)
      assert.match(held.output, /another instance is already syncing \(first.*stop it first/)
      yield* running.kill("SIGTERM")
      yield* running.exited
      const verified = yield* run(["verify", "--repair"], env)
      assert.strictEqual(verified.code, 0, verified.output)
      assert.deepInclude(verified.summary, { findings: 0, left: 0 })
    }).pipe(Effect.provide(platform))
  )
})
