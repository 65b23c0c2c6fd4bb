/**
 * What only a server can show: several connections at once, and connections that die.
 */
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Schedule, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { advisoryLock, layer as sessionLock } from "../../src/store/AdvisoryLock.ts"
import * as Postgres from "../../src/store/Postgres.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store, type StoreError } from "../../src/store/Store.ts"
import * as TestPostgres from "../support/Postgres.ts"
import { encoded, lead, linked, tag } from "./contract.ts"

const schema = "deployment"
const database = Layer.fresh(TestPostgres.layer)
const provideStore = Effect.provide(SqlStore.layer({ schema }).pipe(Layer.provideMerge(database)), {
  local: true
})

/** Sessions that wait for a lock. (`pg_stat_activity` would stand still within a transaction.) */
const waiting = (sql: SqlClient.SqlClient, count: number) =>
  sql<{ readonly pid: number }>`select distinct pid from pg_locks where not granted`.pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (rows) => rows.length === count })
  )

/** Runs `during` while inserts into `logs` have to wait, which holds an append in the middle. */
const whileInsertsWait = <A, E, R>(sql: SqlClient.SqlClient, during: Effect.Effect<A, E, R>) =>
  sql.withTransaction(Effect.andThen(sql.unsafe(`lock table "${schema}".logs in share mode`), during))

const blocks = encoded(linked(0, 3))

it.live("a take-over waits for a commit that is under way, and fences the next", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const sql = yield* SqlClient.SqlClient
    const epoch = yield* lead
    yield* store.append({ epoch, blocks: blocks.slice(0, 1), finalized: undefined })
    const gate = yield* Effect.forkChild(
      whileInsertsWait(sql, Effect.andThen(waiting(sql, 2), Effect.sleep("50 millis")))
    )
    yield* waitForLock(sql)
    const append = yield* Effect.forkChild(
      store.append({ epoch, blocks: blocks.slice(1, 2), finalized: undefined })
    )
    yield* waiting(sql, 1)
    // A renewal does not wait.
    yield* store.renewLease({ epoch, duration: 60_000 })
    const takeOver = yield* Effect.forkChild(
      store.acquireLease({ holder: "other", duration: 60_000, evenIfHeld: true })
    )
    yield* Fiber.join(gate)
    expect((yield* Fiber.join(append)).totals.blocks).toBe(2)
    expect(yield* Fiber.join(takeOver)).toMatchObject({ _tag: "Acquired", lease: { epoch: epoch + 1 } })
    expect(yield* tag(store.append({ epoch, blocks: blocks.slice(2), finalized: undefined }))).toBe("Fenced")
  }).pipe(provideStore)
)

/** Until the gate has its lock. */
const waitForLock = (sql: SqlClient.SqlClient) =>
  sql<{ readonly n: bigint }>`
    select count(*) as n from pg_locks where mode = 'ShareLock' and granted and locktype = 'relation'`.pipe(
    Effect.repeat({
      schedule: Schedule.spaced("10 millis"),
      until: (rows) => Number(rows[0]?.n) > 0
    })
  )

it.live("a connection that is killed in the middle of a commit leaves nothing behind", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const sql = yield* SqlClient.SqlClient
    const epoch = yield* lead
    yield* store.append({ epoch, blocks: blocks.slice(0, 1), finalized: undefined })
    const before = yield* store.state
    const gate = yield* Effect.forkChild(
      whileInsertsWait(
        sql,
        Effect.flatMap(waiting(sql, 1), ([victim]) => sql`select pg_terminate_backend(${victim?.pid})`)
      )
    )
    yield* waitForLock(sql)
    const failure: StoreError = yield* Effect.flip(
      store.append({ epoch, blocks: blocks.slice(1), finalized: undefined })
    )
    yield* Fiber.join(gate)
    expect(failure.reason._tag).toBe("DatabaseFailure")
    expect(failure.isRetryable).toBe(true)
    expect(yield* store.state).toEqual(before)
    const after = yield* store.append({ epoch, blocks: blocks.slice(1), finalized: undefined })
    expect(after.totals.blocks).toBe(3)
  }).pipe(provideStore)
)

it.live("an append can be interrupted while it waits", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const sql = yield* SqlClient.SqlClient
    const epoch = yield* lead
    yield* store.append({ epoch, blocks: blocks.slice(0, 1), finalized: undefined })
    const open = yield* Deferred.make<void>()
    const gate = yield* Effect.forkChild(whileInsertsWait(sql, Deferred.await(open)))
    yield* waitForLock(sql)
    const append = yield* Effect.forkChild(
      store.append({ epoch, blocks: blocks.slice(1), finalized: undefined })
    )
    yield* waiting(sql, 1)
    yield* Fiber.interrupt(append)
    yield* Deferred.succeed(open, undefined)
    yield* Fiber.join(gate)
    expect((yield* store.state).totals.blocks).toBe(1)
    expect(yield* tag(store.append({ epoch, blocks: blocks.slice(1), finalized: undefined }))).toBe("Success")
  }).pipe(provideStore)
)

it.live("two commits of the same block: one of them fails", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const epoch = yield* lead
    yield* store.append({ epoch, blocks: blocks.slice(0, 1), finalized: undefined })
    const twice = tag(store.append({ epoch, blocks: blocks.slice(1), finalized: undefined }))
    const results = yield* Effect.all([twice, twice], { concurrency: 2 })
    expect([...results].sort()).toEqual(["Duplicate", "Success"])
    expect((yield* store.state).totals.blocks).toBe(3)
  }).pipe(provideStore)
)

it.live("two take-overs at once get two epochs", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const acquire = (evenIfHeld: boolean) =>
      Effect.forEach(
        ["a", "b", "c"],
        (holder) => store.acquireLease({ holder, duration: 60_000, evenIfHeld }),
        { concurrency: 3 }
      )
    const first = yield* acquire(false)
    expect(first.filter(({ _tag }) => _tag === "Acquired")).toHaveLength(1)
    const forced = yield* acquire(true)
    expect(forced.map(({ lease }) => lease.epoch).sort()).toEqual([2, 3, 4])
  }).pipe(provideStore)
)

it.live("instances that start at once migrate once", () =>
  Effect.gen(function* () {
    const stores = yield* Effect.replicateEffect(SqlStore.make({ schema: "together" }), 4, { concurrency: 4 })
    expect(yield* Effect.forEach(stores, ({ state }) => state)).toHaveLength(4)
  }).pipe(Effect.provide(database, { local: true }))
)

it.live("the tables are made in transactions that may not idle: a process may be stopped in the middle", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`create function refuse() returns event_trigger language plpgsql as $$ begin
      if current_setting('idle_in_transaction_session_timeout') = '0' then raise 'may idle for ever'; end if;
    end $$`)
    yield* sql.unsafe("create event trigger refuse on ddl_command_end execute function refuse()")
    const store = yield* SqlStore.make({ schema, partitionBlocks: 2 })
    yield* store.acquireLease({ holder: "one", duration: 60_000, evenIfHeld: false })
    expect((yield* store.append({ epoch: 1, blocks, finalized: undefined })).totals.blocks).toBe(3)
  }).pipe(Effect.provide(database, { local: true }))
)

it.live("the state waits for a commit that the server goes on with", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const sql = yield* SqlClient.SqlClient
    const written = yield* Deferred.make<void>()
    const commit = yield* sql
      .unsafe(`update "${schema}".sync_state set blocks = 7`)
      .pipe(
        Effect.andThen(Deferred.succeed(written, undefined)),
        Effect.andThen(waiting(sql, 1)),
        sql.withTransaction,
        Effect.forkChild
      )
    yield* Deferred.await(written)
    expect((yield* store.state).totals.blocks).toBe(7)
    yield* Fiber.join(commit)
  }).pipe(provideStore)
)

it.live("survives the loss of every connection", () =>
  Effect.gen(function* () {
    const store = yield* Store
    const sql = yield* SqlClient.SqlClient
    const before = yield* store.state
    yield* sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`
    yield* Effect.ignore(sql`select pg_terminate_backend(pg_backend_pid())`)
    const after = yield* Effect.retry(store.state, { times: 5, while: (error) => error.isRetryable })
    expect(after).toEqual(before)
  }).pipe(provideStore)
)

it.live("an advisory lock is one session's, and its loss is told", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const taken = yield* advisoryLock("k")
    expect(taken.acquired).toBe(true)
    expect((yield* Effect.scoped(advisoryLock("k"))).acquired).toBe(false)
    expect((yield* Effect.scoped(advisoryLock("other"))).acquired).toBe(true)
    expect((yield* Effect.scoped(advisoryLock("other"))).acquired).toBe(true)
    yield* sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'`
    yield* taken.lost
    expect((yield* Effect.scoped(advisoryLock("k"))).acquired).toBe(true)
  }).pipe(Effect.scoped, Effect.provide(database, { local: true }))
)

it.live("whoever leads has the session lock anew as soon as it can be had", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { tryLock } = yield* SessionLock
    const holders = sql<{ readonly pid: number }>`
      select pid from pg_locks where locktype = 'advisory' and granted`
    const held = Effect.repeat(holders, {
      schedule: Schedule.spaced("10 millis"),
      until: (rows) => rows.length === 1
    })
    // It was another's, and its connection broke.
    const other = yield* Scope.make()
    expect(yield* Scope.provide(tryLock, other)).toBe(true)
    expect(yield* tryLock).toBe(false)
    yield* Scope.close(other, Exit.void)
    const [first] = yield* held
    // Ours broke.
    yield* sql`select pg_terminate_backend(${first?.pid}, 5000)`
    expect((yield* held)[0]?.pid).not.toBe(first?.pid)
  }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(sessionLock(schema), database), { local: true }))
)

it.live("errors do not tell the URL", () =>
  Effect.gen(function* () {
    for (const url of [
      "postgres://user:hunter2@127.0.0.1:1/none",
      "postgres://user:hunter2@[broken/none",
      "mysql://user:hunter2@127.0.0.1/none"
    ]) {
      const failure = yield* SqlClient.SqlClient.pipe(
        Effect.flatMap((sql) =>
          SqlStore.make({ schema }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
        ),
        Effect.timeout("2 seconds"),
        Effect.provide(Postgres.layer({ url: Redacted.make(url) }), { local: true }),
        Effect.exit
      )
      expect(JSON.stringify(failure)).not.toContain("hunter2")
    }
  })
)
