/**
 * A lock that the database gives back by itself when the connection that took it is gone. It never decides who may
 * write (the lease's row does): it only spares a successor the wait for that row to expire.
 *
 * `none` is for databases where a session is no promise: behind a transaction pooler.
 */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { toStoreError } from "./SqlFailure.ts"
import type { StoreError } from "./Store.ts"

export class SessionLock extends Context.Service<
  SessionLock,
  {
    /** True when the lock is ours until the scope closes: no living instance has it. */
    readonly tryLock: Effect.Effect<boolean, StoreError, Scope.Scope>
  }
>()("sluice/store/SessionLock") {
  /** An advisory lock on a connection of its own, one for each deployment's schema in a database. */
  static readonly postgres = (schema: string): Layer.Layer<SessionLock, never, SqlClient.SqlClient> =>
    Layer.effect(SessionLock, advisory(schema))
  static readonly none = Layer.succeed(SessionLock, { tryLock: Effect.succeed(false) })
  /** For a database that only one process can have open. */
  static readonly exclusive = Layer.succeed(SessionLock, { tryLock: Effect.succeed(true) })
}

const advisory = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  const key = `sluice ${schema}`
  const tryLock = Effect.gen(function* () {
    const outer = yield* Scope.Scope
    const session = yield* Scope.make()
    const connection = yield* Scope.provide(sql.reserve, session)
    const ask = (what: string) =>
      connection
        .executeValues(`select ${what}(hashtextextended($1, 0))`, [key])
        .pipe(Effect.map((rows) => rows[0]?.[0] === true))
    const locked = yield* ask("pg_try_advisory_lock").pipe(
      Effect.onError(() => Scope.close(session, Exit.void))
    )
    // A connection goes back to the pool with its locks: they are given up first.
    const giveBack = Effect.andThen(Effect.ignore(ask("pg_advisory_unlock")), Scope.close(session, Exit.void))
    yield* locked ? Scope.addFinalizer(outer, giveBack) : Scope.close(session, Exit.void)
    return locked
  }).pipe(Effect.mapError(toStoreError("lock the session")))
  return SessionLock.of({ tryLock: Effect.uninterruptible(tryLock) })
})
