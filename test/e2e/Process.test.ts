import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Random, Redacted, Schedule } from "effect"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as SqlPostgres from "../../src/store/Postgres.ts"
import { chainRows, rpc, tableRows } from "../support/oracle.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Program from "../support/Program.ts"

const platform = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

/** More of both for a release: TEST_KILLS=20 TEST_KILL_BLOCKS=20000. */
const kills = Number(process.env["TEST_KILLS"] ?? 4)
const blocks = Number(process.env["TEST_KILL_BLOCKS"] ?? 3000)

const hex = (n: number) => `0x${n.toString(16)}`

/** An Anvil with so many blocks, every tenth or so of the first with a transaction. */
const chain = Effect.fnUntraced(function* (height: number) {
  const { url } = yield* Anvil.make()
  const [from, to] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
  for (let i = 0; i < 20; i++) {
    yield* rpc(url, "eth_sendTransaction", [{ from, to, value: hex(i) }])
    yield* rpc(url, "anvil_mine", [hex(Math.floor(height / 20) - 1)])
  }
  return { url, height: Number(yield* rpc<string>(url, "eth_blockNumber")) }
})

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("the program", () => {
  it.live(
    `kill -9 ${kills} times during a backfill of ${blocks} blocks loses nothing and doubles nothing`,
    () =>
      Effect.gen(function* () {
        const { height, url } = yield* chain(blocks)
        const databaseUrl = yield* Postgres.freshDatabase
        const flags = [`--profile=anvil`, `--end-block=${height}`, "--batch-size=25", "--concurrency=2"]
        const env = { RPC_URL: url, DATABASE_URL: Redacted.value(databaseUrl) }
        for (let i = 0; i < kills; i++) {
          const program = yield* Program.start(flags, env)
          const before = yield* Effect.map(program.status, ({ totals }) => totals.blocks)
          yield* Program.until(program, ({ totals }) => totals.blocks > before || totals.blocks > height)
          yield* Effect.sleep(yield* Random.nextBetween(0, 100))
          yield* program.kill("SIGKILL")
          yield* program.exited
        }
        const last = yield* Program.start(flags, env)
        assert.deepStrictEqual(yield* last.exited, { code: 0, signal: null }, last.output())
        yield* Effect.gen(function* () {
          assert.deepStrictEqual(yield* tableRows("chain_31337"), yield* chainRows(url, 0, height))
        }).pipe(Effect.provide(SqlPostgres.layer({ url: databaseUrl })))
      }).pipe(Effect.provide(platform)),
    600_000
  )

  it.live("SIGTERM commits what is whole, ends with 0 in time, and leaves no process behind", () =>
    Effect.gen(function* () {
      const dataDir = yield* Program.dataDir
      const program = yield* Program.start(["--profile=anvil", "--traffic", `--data-dir=${dataDir}`])
      yield* Program.until(program, ({ totals }) => totals.logs > 20)
      const anvil = Number(/"pid":(\d+)/.exec(program.output())?.[1])
      assert.isTrue(alive(anvil))
      const asked = yield* Clock.currentTimeMillis
      yield* program.kill("SIGTERM")
      assert.deepStrictEqual(yield* program.exited, { code: 0, signal: null })
      assert.isBelow((yield* Clock.currentTimeMillis) - asked, 10_000)
      assert.isFalse(alive(anvil))

      // Both go on where they were: the chain in its file, the tables in theirs.
      const again = yield* Program.start(["--profile=anvil", `--data-dir=${dataDir}`])
      const { totals } = yield* Program.until(again, ({ phase }) => phase === "following")
      assert.isAbove(totals.logs, 20)
      yield* again.kill("SIGTERM")
      assert.deepStrictEqual(yield* again.exited, { code: 0, signal: null })
    })
  )

  it.live("kill -9 of the devnet, three times: chain and tables go on together", () =>
    Effect.gen(function* () {
      const flags = ["--profile=anvil", "--traffic", `--data-dir=${yield* Program.dataDir}`]
      let blocks = 0
      for (let i = 0; i < 3; i++) {
        const program = yield* Program.start(flags)
        const { totals } = yield* Program.until(
          program,
          ({ phase, totals }) => phase === "following" && totals.blocks > blocks + 1
        )
        blocks = totals.blocks
        const anvil = Number(/"pid":(\d+)/.exec(program.output())?.[1])
        yield* program.kill("SIGKILL")
        yield* program.exited
        // Anvil has seen its parent die, and writes its chain.
        yield* Effect.repeat(
          Effect.sync(() => alive(anvil)),
          { schedule: Schedule.spaced("20 millis"), while: (isAlive) => isAlive }
        )
      }
      const last = yield* Program.start(flags)
      const { last_reorg } = yield* Program.until(last, ({ totals }) => totals.blocks > blocks)
      assert.isNull(last_reorg)
      yield* last.kill("SIGTERM")
      assert.deepStrictEqual(yield* last.exited, { code: 0, signal: null })
    })
  )

  it.live("a second one says who is syncing and ends with 0", () =>
    Effect.gen(function* () {
      const { url } = yield* chain(40)
      for (const where of [
        { DATABASE_URL: Redacted.value(yield* Postgres.freshDatabase) },
        { SLUICE_DATA_DIR: yield* Program.dataDir }
      ]) {
        const env = { RPC_URL: url, ...where }
        const first = yield* Program.start(["--profile=anvil", "--instance-id=first"], env)
        yield* Program.until(first, ({ phase }) => phase === "following")
        const second = yield* Program.start(["--profile=anvil"], env)
        assert.deepStrictEqual(yield* second.exited, { code: 0, signal: null })
        assert.match(second.output(), /another instance is already syncing \(first, since \d{4}-/)

        const waiting = yield* Program.start(["--profile=anvil", "--instance-id=third"], {
          ...env,
          WHEN_HELD: "wait"
        })
        yield* first.kill("SIGKILL")
        yield* Program.until(waiting, ({ lease }) => lease?.ours === true)
        yield* waiting.kill("SIGTERM")
        assert.deepStrictEqual(yield* waiting.exited, { code: 0, signal: null })
      }
    }).pipe(Effect.provide(platform))
  )

  it.live("a node of another chain is refused before any write", () =>
    Effect.gen(function* () {
      const { url } = yield* Anvil.make({ chainId: 5 })
      const program = yield* Program.start(["--profile=anvil", `--data-dir=${yield* Program.dataDir}`], {
        RPC_URL: url
      })
      assert.strictEqual((yield* program.exited).code, 1)
      assert.include(program.output(), "serves chain 5, expected chain 31337")
      assert.notInclude(program.output(), "    at ")
    }).pipe(Effect.provide(platform))
  )

  it.live("wrong settings: all of them at once, exit code 2, no stack, no secret", () =>
    Effect.gen(function* () {
      const program = yield* Program.start(["--profile=mainnet", "--batch-size=0", "--start-block=x"], {
        DATABASE_URL: "mysql://root:hunter2@db/x"
      })
      assert.strictEqual((yield* program.exited).code, 2)
      for (const name of ["RPC_URL", "DATABASE_URL", "--batch-size", "--start-block"]) {
        assert.include(program.output(), name)
      }
      assert.notMatch(program.output(), /hunter2|\n\s+at /)
    })
  )
})
