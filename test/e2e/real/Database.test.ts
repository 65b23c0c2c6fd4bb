/** PostgreSQL goes away, its connections break, its disk is full. */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import { compare, schema } from "../../support/ledger.ts"
import * as PostgresServer from "../../support/PostgresServer.ts"
import { query } from "../../support/PostgresServer.ts"
import * as Program from "../../support/Program.ts"
import {
  catchesUp,
  commitsAgain,
  cuts,
  eventually,
  fills,
  holding,
  lease,
  leaseRow,
  pauseBelow,
  real,
  reasons,
  restarts,
  settle,
  waits,
  world
} from "../../support/real.ts"
import * as Relay from "../../support/relay.ts"

describe("everything real: the database", () => {
  real(`PostgreSQL stopped, killed and away, ${restarts} times each`, (context) =>
    Effect.gen(function* () {
      const it = yield* world(50)
      const { settle: settled } = yield* it.chain.go
      const program = yield* it.sluice("single")
      yield* Program.until(program, ({ phase }) => phase === "following")
      const back: Array<number> = []
      for (let i = 0; i < restarts; i++) {
        for (const how of ["fast", "immediate", "kill", "away"] as const) {
          yield* eventually("ready", reasons(program), (found) => found.length === 0)
          yield* commitsAgain(it)
          yield* pauseBelow(300)
          yield* it.server.stop(how === "away" ? "fast" : how)
          yield* eventually(`says why, ${how}`, reasons(program), (found) =>
            /connect|database/i.test(found.join())
          )
          assert.match((yield* program.status).reason ?? "", /connect|database/i)
          // Away for longer than the lease: the program has to get it anew.
          if (how === "away") yield* Effect.sleep(2500 * lease)
          assert.notDeepEqual(yield* reasons(program), [])
          yield* it.server.start
          const startedAt = yield* Clock.currentTimeMillis
          yield* commitsAgain(it)
          back.push((yield* Clock.currentTimeMillis) - startedAt)
        }
      }
      yield* settled
      yield* catchesUp(program, it)
      yield* eventually("ready", reasons(program), (found) => found.length === 0)
      const seconds = back.map((millis) => (millis / 1000).toFixed(1)).join(", ")
      yield* settle(it, context, `${4 * restarts} outages, committing again after ${seconds} s`)
    })
  )

  real(`${cuts} connections cut by pg_terminate_backend`, (context) =>
    Effect.gen(function* () {
      const it = yield* world(300)
      const { settle: settled } = yield* it.chain.go
      const first = yield* it.sluice("first", { BATCH_SIZE: "10" })
      yield* eventually("a leader", leaseRow(it), ({ epoch }) => epoch > 0)
      const second = yield* it.sluice("second", { BATCH_SIZE: "10" })
      let cut = 0
      while (cut < cuts) {
        yield* pauseBelow(200)
        const share = yield* Random.next
        const gone = yield* Effect.orDie(
          query(
            it.admin,
            `select pg_terminate_backend(pid) from pg_stat_activity
               where usename in ('first', 'second') and datname = current_database() and random() < ${share}`
          )
        )
        cut += gone.length
      }
      yield* settled
      const leader = (yield* leaseRow(it)).holder === "first" ? first : second
      yield* catchesUp(leader, it)
      yield* settle(it, context, `${cut} connections cut`)
      for (const program of [first, second]) {
        yield* program.kill("SIGTERM")
        assert.deepStrictEqual(yield* program.exited, { code: 0, signal: null }, program.output())
      }
    })
  )

  real(`connections cut while the server goes on committing, ${restarts} times`, (context) =>
    Effect.gen(function* () {
      const it = yield* world(50)
      const { settle: settled } = yield* it.chain.go
      const relay = yield* Relay.make(Number(new URL(it.admin).port))
      const url = new URL(it.admin)
      url.port = String(relay.port)
      url.username = "single"
      const program = yield* it.sluice("single", { DATABASE_URL: url.href })
      yield* Program.until(program, ({ phase }) => phase === "following")
      // A commit waits at its very end for as long as somebody has this lock.
      yield* Effect.orDie(
        query(
          it.admin,
          `do $do$ begin
              create function watched.hold() returns trigger language plpgsql as $$ begin
                perform pg_advisory_xact_lock_shared(1);
                return null;
              end $$;
              create constraint trigger held after update on ${schema}.sync_state
                deferrable initially deferred for each row execute function watched.hold();
            end $do$`
        )
      )
      for (let i = 0; i < restarts; i++) {
        yield* commitsAgain(it)
        yield* holding(
          it,
          "select pg_advisory_xact_lock(1)",
          Effect.gen(function* () {
            yield* eventually("a commit that waits", waits(it, "single"), (count) => count === 1)
            yield* relay.cut
            // The next run waits for what becomes of it.
            yield* eventually("the next run", waits(it, "single"), (count) => count === 2)
          })
        )
        yield* commitsAgain(it)
      }
      yield* settled
      yield* catchesUp(program, it)
      yield* settle(it, context, `${restarts} commits of which nobody was told`)
    })
  )

  for (const what of ["data", "WAL"] as const) {
    real(`no space left for ${what}, ${fills} times`, (context) =>
      Effect.gen(function* () {
        const disk = yield* PostgresServer.smallDisk(160)
        if (disk === undefined) return context.skip("no file system can be mounted here")
        const home = yield* PostgresServer.folder
        const it = yield* world(
          50,
          what === "data" ? { folder: disk.folder, walFolder: home } : { walFolder: disk.folder }
        )
        // As much as a busy neighbour would write; without the space for it the server panics.
        const write = query(it.admin, `select pg_logical_emit_message(false, '', repeat('.', 1000000))`)
        const use =
          what === "data" ? it.chain.mine(10) : Effect.andThen(it.chain.mine(1), Effect.ignore(write))
        const program = yield* it.sluice("single")
        for (let i = 0; i < fills; i++) {
          yield* catchesUp(program, it)
          yield* disk.fill
          const said = yield* eventually(
            "says that it is full",
            Effect.andThen(use, program.status),
            ({ reason }) => /No space left|connect/i.test(reason ?? "")
          )
          yield* eventually("not ready", reasons(program), (found) => found.length > 0)
          if (what === "data") {
            // Nothing by halves: all up to the tip, and not a row more.
            const { doubled, isAgreed, lost } = yield* compare(it.rpcUrl, it.admin, said.tip?.number)
            assert.deepStrictEqual({ doubled, isAgreed, lost }, { doubled: 0, isAgreed: true, lost: 0 })
          }
          yield* disk.clear
          if (what === "WAL") {
            // Ended by then, or stuck in its own recovery, which PostgreSQL 18.4 was seen to be: its operator's turn.
            yield* it.server.stop("immediate")
            yield* it.server.start
          }
          yield* catchesUp(program, it)
        }
        yield* eventually("ready", reasons(program), (found) => found.length === 0)
        yield* settle(it, context, `${fills} times full`)
      })
    )
  }
})
