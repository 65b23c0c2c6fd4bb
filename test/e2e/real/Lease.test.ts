/** The leader is stopped while another one waits. */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { schema, tally } from "../../support/ledger.ts"
import { query } from "../../support/PostgresServer.ts"
import * as Program from "../../support/Program.ts"
import {
  catchesUp,
  commitsAgain,
  eventually,
  holding,
  lease,
  leaseRow,
  pauseBelow,
  pauses,
  real,
  settle,
  type World,
  waits,
  world
} from "../../support/real.ts"

describe("everything real: the lease", () => {
  for (const { env, how, name } of [
    { name: "the leader", env: {}, how: "anywhere" },
    { name: "the leader, by the row alone", env: { LEASE_ADVISORY_LOCK: "false" }, how: "anywhere" },
    { name: "the leader amid a commit", env: {}, how: "in a commit" }
  ] as const) {
    real(`SIGSTOP of ${name}, ${pauses} times for ${2.5 * lease} s`, (context) =>
      Effect.gen(function* () {
        const it = yield* world(50)
        const { settle: settled } = yield* it.chain.go
        const programs = new Map<string, Program.Program>()
        for (const name of ["first", "second"]) {
          programs.set(name, yield* it.sluice(name, env))
          yield* eventually("a leader", leaseRow(it), ({ epoch }) => epoch > 0)
        }
        const takeOvers: Array<number> = []
        let takenBack = 0
        for (let i = 0; i < pauses; i++) {
          yield* commitsAgain(it)
          const before = yield* leaseRow(it)
          const leader = programs.get(before.holder)
          if (leader === undefined) return yield* Effect.die(before)
          yield* how === "in a commit" ? stopInCommit(it, before.holder, leader) : stopAnywhere(leader)
          const stoppedAt = yield* Clock.currentTimeMillis
          yield* eventually("a take-over", leaseRow(it), ({ epoch }) => epoch > before.epoch)
          const took = (yield* Clock.currentTimeMillis) - stoppedAt
          takeOvers.push(took)
          yield* commitsAgain(it)
          // The pause itself: it wakes up long after its lease.
          yield* Effect.sleep(Math.max(0, stoppedAt + 2500 * lease - (yield* Clock.currentTimeMillis)))
          yield* leader.kill("SIGCONT")
          yield* Program.until(leader, ({ phase }) => phase === "waiting")
          assert.match(leader.output(), /the lease was lost/)
          // It looks once a second whether it could have the lease.
          const resumedAt = yield* Clock.currentTimeMillis
          const later = yield* eventually(
            "renewals",
            leaseRow(it),
            ({ expires }) => expires > resumedAt + 1000 * lease + 2000
          )
          takenBack += later.holder === before.holder ? 1 : 0
        }
        const leader = programs.get((yield* leaseRow(it)).holder)
        yield* settled
        if (leader !== undefined) yield* catchesUp(leader, it)
        const seconds = takeOvers.map((millis) => (millis / 1000).toFixed(1)).join(", ")
        yield* settle(
          it,
          context,
          `${pauses} pauses, taken over after ${seconds} s, ${takenBack} times taken back`
        )
        assert.isAtMost(Math.max(...takeOvers), 2000 * lease)
        // Who wakes up does not take the lease from the one that has it now.
        assert.strictEqual(takenBack, 0)
      })
    )
  }

  real(
    `nothing but the epoch stops who wakes up, ${pauses} times: renewals wait, and the successor sleeps`,
    (context) =>
      Effect.gen(function* () {
        const it = yield* world(50)
        const { settle: settled } = yield* it.chain.go
        const programs = new Map<string, Program.Program>()
        for (const name of ["first", "second"]) {
          programs.set(name, yield* it.sluice(name))
          yield* eventually("a leader", leaseRow(it), ({ epoch }) => epoch > 0)
        }
        const leading = Effect.flatMap(leaseRow(it), ({ holder }) =>
          Effect.fromNullishOr(programs.get(holder)).pipe(Effect.orDie)
        )
        for (let i = 0; i < pauses; i++) {
          yield* commitsAgain(it)
          const { epoch } = yield* leaseRow(it)
          const leader = yield* leading
          yield* stopAnywhere(leader)
          yield* eventually("a take-over", leaseRow(it), (now) => now.epoch > epoch)
          const successor = yield* leading
          yield* successor.kill("SIGSTOP")
          // Locked so, commits can look at the row and renewals wait: what stops the leader is its own commit, after
          // which it tries to give the lease back, and waits as well.
          yield* holding(
            it,
            `lock table ${schema}.lease in share mode`,
            Effect.andThen(
              leader.kill("SIGCONT"),
              eventually(
                "a commit of the one who woke up",
                Effect.zip(gives(it), tally(it.admin)),
                ([count, { fenced }]) => count > 0 || fenced > 0
              )
            )
          )
          yield* Program.until(leader, ({ phase }) => phase === "waiting")
          yield* successor.kill("SIGCONT")
          yield* commitsAgain(it)
        }
        yield* settled
        yield* eventually(
          "the head, by either",
          Effect.flatMap(leading, ({ status }) => status),
          ({ head, tip }) => head !== null && tip?.hash === head.hash
        )
        yield* catchesUp(yield* leading, it)
        yield* settle(it, context, `${pauses} pauses`)
      })
  )
})

const stopAnywhere = (leader: Program.Program) => Effect.andThen(pauseBelow(300), leader.kill("SIGSTOP"))

/** Stops it while its transaction has written a part and holds the lease's row; what it waited for is free then. */
const stopInCommit = (world: World, user: string, leader: Program.Program) =>
  holding(
    world,
    `lock table ${schema}.blocks in share mode`,
    Effect.andThen(
      eventually("a commit that waits", waits(world, user), (count) => count > 0),
      leader.kill("SIGSTOP")
    )
  )

/** Sessions that wait to give the lease back. */
const gives = ({ admin }: World) =>
  query(
    admin,
    `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
      and query like 'update % set expires_at = clock_timestamp() where %'`
  ).pipe(
    Effect.orDie,
    Effect.map((rows) => rows.length)
  )
