/**
 * The layers put together: a chain becomes tables for as long as the scope is open.
 *
 * **When to use**: `Sluice.layer(options)` in a program of one's own; `docs/embedding.md` shows how. There is no state
 * outside the layer, no signal handler and no `process.exit`: two of them run in one process side by side.
 *
 * **Details**: `layer` reads from the JSON-RPC endpoints in the options (or from a devnet of its own, with the anvil
 * profile and none), and writes to the database in the options (or to an embedded one). `layerCore` leaves both to the
 * host: it wants a `ChainSource`, a `Store` and a `SessionLock`.
 *
 * **Gotchas**: the layer is built before anything is synced, and a failure later on does not tear it down: wait for
 * `outcome`, or look at `status`.
 */
import { Context, Deferred, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { Proof } from "./chain/Proof.ts"
import { Lease, type LeaseHeld } from "./cluster/Lease.ts"
import { Settings } from "./config/Settings.ts"
import { Feed, type FeedEvent } from "./delivery/Feed.ts"
import { BackPressure } from "./flow/BackPressure.ts"
import { Fetcher } from "./flow/Fetcher.ts"
import { Heads } from "./flow/Heads.ts"
import { Pipeline } from "./flow/Pipeline.ts"
import { Planner } from "./flow/Planner.ts"
import { Sequencer } from "./flow/Sequencer.ts"
import { type Outcome, Session } from "./flow/Session.ts"
import { Status, type SyncStatus } from "./flow/Status.ts"
import { Writer } from "./flow/Writer.ts"
import type { ProviderFault } from "./rpc/ProviderFault.ts"
import type { ChainSource } from "./source/ChainSource.ts"
import type { SessionLock } from "./store/SessionLock.ts"
import type { Store, StoreError } from "./store/Store.ts"

export type { Outcome } from "./flow/Session.ts"

/** How long what is whole may take to be committed when the layer is torn down. */
const stopTimeout = Duration.seconds(8)

export class Sluice extends Context.Service<
  Sluice,
  {
    /** What it is doing now. */
    readonly status: Effect.Effect<SyncStatus>
    /**
     * How it ended: `done` when everything up to `endBlock` is committed, `stopped` when it was told to stop. Fails
     * when it could not start, or when another instance has the lease and `whenHeld` is `exit`.
     */
    readonly outcome: Effect.Effect<Outcome, LeaseHeld | StoreError | ProviderFault>
    /** Committed blocks and reorgs from now on; a slow reader misses the oldest. */
    readonly events: Stream.Stream<FeedEvent>
    /** Commits what is whole and ends; `outcome` tells when that is done. */
    readonly stop: Effect.Effect<void>
  }
>()("sluice/Sluice") {}

/** What an HTTP server shows of a running Sluice. */
export type Shown = Sluice | Settings | Status | BackPressure | ChainSource

const service = Effect.gen(function* () {
  const session = yield* Session
  const status = yield* Status
  const feed = yield* Feed
  const outcome = yield* Deferred.make<Outcome, LeaseHeld | StoreError | ProviderFault>()
  yield* Effect.acquireRelease(
    // Not a child of this fiber: it has to outlive the interruption of whoever built the layer, until it is whole.
    Effect.forkDetach(Deferred.into(session.run, outcome)),
    (fiber) =>
      Effect.andThen(session.stop, Fiber.await(fiber)).pipe(
        Effect.timeoutOption(stopTimeout),
        Effect.andThen(Fiber.interrupt(fiber))
      )
  )
  return Sluice.of({
    status: status.get,
    outcome: Deferred.await(outcome),
    events: Stream.unwrap(Effect.map(feed.subscribe, Stream.fromSubscription)),
    stop: session.stop
  })
})

/** Syncing, for a host that brings source and store. */
export const layerCore: Layer.Layer<
  Sluice | Status | BackPressure,
  never,
  Settings | ChainSource | Store | SessionLock
> = Layer.unwrap(
  Effect.map(Settings, ({ chainId, startBlock }) =>
    Layer.effect(Sluice, service).pipe(
      Layer.provide(Session.layer),
      Layer.provide([Pipeline.layer, Lease.layer]),
      Layer.provide([Planner.layer, Fetcher.layer, Sequencer.layer, Writer.layer]),
      Layer.provide([Heads.layer, Feed.layer, Proof.layer(chainId)]),
      Layer.provideMerge(BackPressure.layer),
      Layer.provideMerge(Status.layer(startBlock))
    )
  )
)
