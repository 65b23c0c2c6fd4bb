/**
 * A lock that the database gives back by itself when the connection that took it is gone. It never decides who may
 * write (the lease's row does): it only spares a successor the wait for that row to expire.
 *
 * `AdvisoryLock.layer` is the one of PostgreSQL. `none` is for databases where a session is no promise: behind a transaction pooler.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import type { StoreError } from "./Store.ts"

export class SessionLock extends Context.Service<
  SessionLock,
  {
    /** True when the lock is ours until the scope closes: no living instance has it. */
    readonly tryLock: Effect.Effect<boolean, StoreError, Scope.Scope>
  }
>()("sluice/store/SessionLock") {
  static readonly none = Layer.succeed(SessionLock, { tryLock: Effect.succeed(false) })
  /** For a database that only one process can have open. */
  static readonly exclusive = Layer.succeed(SessionLock, { tryLock: Effect.succeed(true) })
}
