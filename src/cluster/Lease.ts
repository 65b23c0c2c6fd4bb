/**
 * One instance writes. The lease is a row in the database: holder, epoch, expiry. Whoever takes it raises the epoch
 * by one, and every commit checks its epoch in its own transaction, so an instance that wakes up after a long pause
 * cannot write, however sure it is of itself.
 *
 * Where the database has sessions (`SessionLock`), a session lock says at once when the holder's connection is gone;
 * otherwise its successor waits for the row to expire.
 */
import { Clock, Context, Deferred, Duration, Effect, Layer, Ref, Schema, type Scope } from "effect"
import { Settings } from "../config/Settings.ts"
import { SessionLock } from "../store/SessionLock.ts"
import { Fenced, type LeaseRow, Store, StoreError } from "../store/Store.ts"

/** Another instance has the lease. */
export class LeaseHeld extends Schema.TaggedError<LeaseHeld>()("LeaseHeld", {
  holder: Schema.String,
  /** Milliseconds since 1970. */
  since: Schema.Finite
}) {
  override get message(): string {
    return `another instance is already syncing (${this.holder}, since ${new Date(this.since).toISOString()})`
  }
}

/** A lease that this instance has, for as long as the scope is open and nobody takes it. */
export interface Held {
  readonly epoch: number
  readonly row: Effect.Effect<LeaseRow>
  /** Fails when the lease is another's, or could not be renewed until it expired. */
  readonly lost: Effect.Effect<never, StoreError>
}

export class Lease extends Context.Service<
  Lease,
  {
    /** Takes the lease if it can be had now, and renews it until the scope closes, which gives it back. */
    readonly take: Effect.Effect<Held, LeaseHeld | StoreError, Scope.Scope>
  }
>()("sluice/cluster/Lease") {
  static readonly layer = Layer.effect(
    Lease,
    Effect.suspend(() => make)
  )
}

/** Renewals in the life of a lease: two may fail without harm. */
const renewals = 3

const make = Effect.gen(function* () {
  const store = yield* Store
  const lock = yield* SessionLock
  const { instanceId, leaseDuration } = yield* Settings
  const duration = Duration.toMillis(leaseDuration)

  const take = Effect.gen(function* () {
    const holderIsGone = yield* lock.tryLock
    const attempt = yield* store.acquireLease({ holder: instanceId, duration, evenIfHeld: holderIsGone })
    if (attempt._tag === "Held") {
      return yield* new LeaseHeld({ holder: attempt.lease.holder, since: attempt.lease.acquiredAt })
    }
    const { epoch } = attempt.lease
    const row = yield* Ref.make(attempt.lease)
    const lost = yield* Deferred.make<never, StoreError>()
    yield* Effect.addFinalizer(() => Effect.ignore(store.releaseLease(epoch)))

    /** The local clock counts only how long ago the last renewal was; the database's decides. */
    const renew = (renewedAt: number): Effect.Effect<never, StoreError> =>
      Effect.gen(function* () {
        yield* Effect.sleep(Duration.millis(duration / renewals))
        const now = yield* Clock.currentTimeMillis
        const renewed = yield* Effect.result(store.renewLease({ epoch, duration }))
        if (renewed._tag === "Success") {
          yield* Ref.set(row, renewed.success)
          return yield* renew(now)
        }
        if (!renewed.failure.isRetryable) return yield* renewed.failure
        if (now - renewedAt < duration) return yield* renew(renewedAt)
        return yield* new StoreError({
          reason: new Fenced({ epoch, current: epoch, holder: "nobody: it expired" })
        })
      })
    yield* Clock.currentTimeMillis.pipe(
      Effect.flatMap(renew),
      Effect.catch((error) => Deferred.fail(lost, error)),
      Effect.forkScoped
    )
    return { epoch, row: Ref.get(row), lost: Deferred.await(lost) }
  })

  return Lease.of({ take })
})
