/**
 * Everything real, to be hurt on purpose: Sluice as a process, a PostgreSQL and an Anvil of the test's own.
 *
 * **Details**: whatever is done to them, in the end the tables equal the chain in every row, and no instance has
 * written without the lease. Each case notes its figures, which `--reporter=verbose` prints.
 *
 * More of each for a release, with TEST_REAL_LEASE=8 (in seconds) for pauses of 20 s:
 *
 * ```sh
 * TEST_REAL_KILLS=40 TEST_REAL_PAUSES=6 TEST_REAL_LEASE=8 TEST_REAL_RESTARTS=5 TEST_REAL_CUTS=500 TEST_REAL_FILLS=8 \
 *   npx vitest run test/e2e/real --reporter=verbose
 * ```
 *
 * **Gotchas**: it takes the signals of a Unix; on Windows all of it is skipped.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Random, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { TestContext } from "vitest"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as Growth from "./growth.ts"
import { compare, schema, type Tally, tally, watch } from "./ledger.ts"
import { rpc } from "./oracle.ts"
import * as PostgresServer from "./PostgresServer.ts"
import { query } from "./PostgresServer.ts"
import * as Program from "./Program.ts"

const setting = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)

const platform = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

export const kills = setting("TEST_REAL_KILLS", 4)
export const pauses = setting("TEST_REAL_PAUSES", 1)
/** Seconds. */
export const lease = setting("TEST_REAL_LEASE", 3)
/** Of PostgreSQL in each way, and of Anvil. */
export const restarts = setting("TEST_REAL_RESTARTS", 1)
export const fills = setting("TEST_REAL_FILLS", 1)
export const cuts = setting("TEST_REAL_CUTS", 60)

export interface World {
  readonly server: PostgresServer.PostgresServer
  readonly chain: Growth.Growth
  readonly rpcUrl: string
  /** Of the database, for the test itself. */
  readonly admin: string
  /** Starts an instance of that name. */
  readonly sluice: (
    name: string,
    env?: Readonly<Record<string, string>>
  ) => Effect.Effect<Program.Program, never, Scope.Scope>
}

/** A chain of so many blocks, and a database that is watched. */
export const world = Effect.fnUntraced(function* (
  blocks: number,
  options: PostgresServer.ServerOptions = {}
) {
  const server = yield* PostgresServer.make(options)
  const { url } = yield* Anvil.make({ history: 200 })
  return yield* worldOf(server, url, blocks)
})

export const worldOf = Effect.fnUntraced(function* (
  server: PostgresServer.PostgresServer,
  rpcUrl: string,
  blocks: number
): Effect.fn.Return<World> {
  const chain = yield* Growth.make(rpcUrl)
  yield* chain.mine(blocks)
  const database = yield* server.database
  const admin = yield* server.url(database)
  yield* watch(admin)
  return {
    server,
    chain,
    rpcUrl,
    admin,
    sluice: Effect.fnUntraced(function* (name, env = {}) {
      const url = yield* server.url(database, name)
      const flags = ["--profile=anvil", `--instance-id=${name}`]
      return yield* Program.start(flags, {
        RPC_URL: rpcUrl,
        DATABASE_URL: url,
        RPC_TIMEOUT: "2s",
        LEASE_DURATION: `${lease}s`,
        WHEN_HELD: "wait",
        READY_MAX_LAG: "2",
        ...env
      })
    })
  }
})

export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  wanted: (found: A) => boolean,
  seconds = 90
): Effect.Effect<A, E, R> => {
  let last: A | undefined
  return Effect.gen(function* () {
    while (true) {
      last = yield* look
      if (wanted(last)) return last
      yield* Effect.sleep("25 millis")
    }
  }).pipe(
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () => Effect.die(`not in ${seconds} s: ${what}; last seen: ${shown(last)}`)
    })
  )
}

const shown = (value: unknown) =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? Number(part) : part))

/** Follows the chain to its very head. */
export const catchesUp = Effect.fnUntraced(function* (program: Program.Program, { rpcUrl }: World) {
  const head = yield* rpc<{ readonly hash: string }>(rpcUrl, "eth_getBlockByNumber", ["latest", false])
  yield* Program.until(program, ({ tip }) => tip?.hash === head.hash, 120)
})

/** What `/ready` has against it; nothing when it is ready. */
export const reasons = ({ url }: Program.Program) =>
  Effect.flatMap(url, (base) =>
    Effect.promise(async () => {
      const answer = await fetch(`${base}/ready`)
      const { reasons } = (await answer.json()) as { readonly reasons?: ReadonlyArray<string> }
      return reasons ?? []
    })
  )

/** Rows, losses and commits of the case; fails where there is one too many of anything. */
export const settle = Effect.fnUntraced(function* (
  { admin, chain, rpcUrl }: World,
  { annotate }: TestContext,
  figures: string
): Effect.fn.Return<Tally> {
  const { doubled, isAgreed, lost, rows } = yield* compare(rpcUrl, admin)
  const counted = yield* tally(admin)
  const { commits, epochs, fenced, reorgs } = counted
  const summary =
    `${figures}; ${yield* chain.reorgs} reorgs, ${reorgs} of them taken back; ${rows} rows compared: ` +
    `${lost} lost, ${doubled} doubled; ${commits} commits under ${epochs} epochs, ${fenced} by a fenced one`
  yield* Effect.promise(() => annotate(summary))
  assert.deepStrictEqual(
    { lost, doubled, fenced, isAgreed },
    { lost: 0, doubled: 0, fenced: 0, isAgreed: true },
    summary
  )
  return counted
})

export const pauseBelow = (millis: number) => Effect.flatMap(Random.nextBetween(0, millis), Effect.sleep)

const commits = ({ admin }: World) => Effect.map(tally(admin), ({ commits }) => commits)

/** Until there is a commit that was not there when this was asked for. */
export const commitsAgain = Effect.fnUntraced(function* (world: World) {
  const before = yield* commits(world)
  yield* eventually("a commit", commits(world), (now) => now > before)
})

export const leaseRow = ({ admin }: World) =>
  query<{ readonly holder: string; readonly epoch: bigint; readonly expires: number }>(
    admin,
    `select holder, epoch, (extract(epoch from expires_at) * 1000)::float8 as expires from ${schema}.lease`
  ).pipe(
    Effect.orDie,
    Effect.map(([row]) => ({
      holder: row?.holder ?? "",
      epoch: Number(row?.epoch),
      expires: row?.expires ?? 0
    }))
  )

/** Sessions of that user that wait for a lock. */
export const waits = ({ admin }: World, user: string) =>
  query(
    admin,
    `select distinct pid from pg_locks join pg_stat_activity using (pid) where not granted and usename = '${user}'`
  ).pipe(
    Effect.orDie,
    Effect.map((rows) => rows.length)
  )

/** Runs `during` while a transaction has what `statement` locks. */
export const holding = <A, E, R>({ admin }: World, statement: string, during: Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* PgClient.make({ url: Redacted.make(admin), maxConnections: 1 })
      yield* sql.withTransaction(Effect.andThen(sql.unsafe(statement), during))
    })
  ).pipe(Effect.provide(Reactivity.layer), Effect.orDie)

/** A case, with as much time as the variables above make it take. */
export const real = <E>(
  name: string,
  run: (context: TestContext) => Effect.Effect<void, E, Scope.Scope | Layer.Success<typeof platform>>
): void =>
  it.live.skipIf(process.platform === "win32")(
    name,
    (context) => Effect.provide(run(context), platform),
    3_600_000
  )
