/**
 * A session advisory lock: the server gives it back when the connection that took it is gone, however that came.
 *
 * **Details**
 *
 * It has a connection of its own, outside the pool, for as long as the scope: a lock on a pooled connection would
 * outlive its taker. The connection listens on a channel that nobody uses, since that is how a driver tells of a
 * connection that breaks while it is idle.
 *
 * **Gotchas**: not for PGlite, which has one connection, nor behind a transaction pooler. It decides nothing; the
 * lease's row does.
 */
import { PgClient, PgConnection, PgTypes } from "@effect/sql-pg"
import { Duration, Effect, Layer, Queue, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { SessionLock } from "./SessionLock.ts"
import { toStoreError } from "./SqlFailure.ts"

export interface AdvisoryLock {
  /** False when another session has it. */
  readonly acquired: boolean
  /** Completes when the connection, and the lock with it, is gone before its scope. */
  readonly lost: Effect.Effect<void>
}

/** Tries to take the lock named `key`, and has it until the scope closes. */
export const advisoryLock = Effect.fnUntraced(
  function* (key: string): Effect.fn.Return<AdvisoryLock, SqlError, Scope.Scope | PgClient.PgClient> {
    const { config } = yield* PgClient.PgClient
    // Pinned first, since listening pins it and nothing else could use it then.
    const connection = yield* Effect.flatMap(PgConnection.make(config), ({ pin }) => pin)
    const id = PgTypes.text(`sluice ${key}`)
    const [row] = yield* connection.queryValues(
      "select pg_try_advisory_lock(hashtextextended($1, 0))",
      [id],
      false
    )
    if (row?.[0] !== true) return { acquired: false, lost: Effect.never }
    const silence = yield* connection.listen("sluice_session")
    // Closing the connection would give it back as well, but only when the server gets to it.
    yield* Effect.addFinalizer(() =>
      Effect.ignore(connection.query("select pg_advisory_unlock(hashtextextended($1, 0))", [id], false))
    )
    return { acquired: true, lost: Effect.asVoid(Effect.exit(Queue.await(silence))) }
  },
  Effect.mapError(toStoreError("take the session lock"))
)

/**
 * Whoever leads without the lock takes it as soon as it can be had: a stand-by that found it free would think the
 * leader gone. So this is less than the second between two looks of a stand-by.
 */
const retryInterval = Duration.millis(400)

/** The lock of a deployment's writer. */
export const layer = (schema: string): Layer.Layer<SessionLock, never, PgClient.PgClient> =>
  Layer.effect(
    SessionLock,
    Effect.map(PgClient.PgClient, (client) => {
      const lock = advisoryLock(`writer of ${schema}`)
      const told = Effect.logWarning("the session lock's connection is gone: the lease alone holds now")
      const pause = Effect.sleep(retryInterval)
      const untilNext = ({ acquired, lost }: AdvisoryLock) => (acquired ? Effect.andThen(lost, told) : pause)
      const keep = Effect.scoped(Effect.flatMap(lock, untilNext)).pipe(
        Effect.catch(() => pause),
        Effect.forever
      )
      const tryLock = Effect.gen(function* () {
        const taken = yield* lock
        yield* Effect.forkScoped(Effect.andThen(untilNext(taken), keep))
        return taken.acquired
      })
      return { tryLock: Effect.provideService(tryLock, PgClient.PgClient, client) }
    })
  )
