/**
 * The life of one instance: make sure that database and chain belong together, hold the lease, run the pipeline over
 * and over, until everything is done, it is told to stop, or something is so wrong that only a person can tell what
 * to do next.
 */
import { Context, Deferred, Duration, Effect, Layer, Schedule } from "effect"
import { Lease, type LeaseHeld } from "../cluster/Lease.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { EventTables } from "../store/EventTables.ts"
import { type Identity, Store, type StoreError } from "../store/Store.ts"
import { TokenFollower } from "../tokens/TokenFollower.ts"
import * as Metrics from "./Metrics.ts"
import { Pipeline } from "./Pipeline.ts"
import type { SequenceError } from "./Sequencer.ts"
import { Status } from "./Status.ts"

/** How it ended: everything up to `END_BLOCK` is committed, or it was told to stop. */
export type Outcome = "done" | "stopped"

export class Session extends Context.Service<
  Session,
  {
    /**
     * Runs until there is an outcome. Fails when it cannot start (another chain, a database that refuses) and, with
     * `WHEN_HELD=exit`, when another instance has the lease.
     */
    readonly run: Effect.Effect<Outcome, LeaseHeld | StoreError | ProviderFault>
    /** Asks `run` to commit what is whole and to end. */
    readonly stop: Effect.Effect<void>
  }
>()("sluice/flow/Session") {
  static readonly layer = Layer.effect(
    Session,
    Effect.suspend(() => make)
  )
}

/** Between two looks at a lease that is another's. */
const waitInterval = Duration.seconds(1)

const backoff = (attempt: number): Duration.Duration =>
  Duration.min(Duration.seconds(30), Duration.times(Duration.millis(250), 2 ** Math.min(attempt, 10)))

const make = Effect.gen(function* () {
  const settings = yield* Settings
  const source = yield* ChainSource
  const store = yield* Store
  const lease = yield* Lease
  const pipeline = yield* Pipeline
  const events = yield* EventTables
  const tokens = yield* TokenFollower
  const status = yield* Status
  const stopped = yield* Deferred.make<void>()
  const stopping = Deferred.await(stopped)

  /** A chain is known by its id and its genesis; the id was checked with each endpoint's first use. */
  const identity = Effect.gen(function* () {
    const pinned = yield* store.identity
    const who: Identity = {
      chainId: settings.chainId,
      genesisHash: yield* source.genesis(pinned?.genesisHash)
    }
    yield* store.pin(who)
    return who
  }).pipe(
    Effect.tapError((fault) => status.update({ phase: "retrying", reason: fault.message })),
    Effect.tapError((fault) =>
      Effect.logWarning("chain and database cannot be compared yet").pipe(
        Effect.annotateLogs({ reason: fault.message })
      )
    ),
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]),
      while: (error) =>
        error._tag === "ProviderFault" ? error.reason._tag !== "WrongChain" : error.isRetryable
    })
  )

  const halt = Effect.fnUntraced(function* (error: SequenceError) {
    yield* status.update({ phase: "halted", reason: error.message })
    yield* Effect.logError("halted: nothing is written any more").pipe(
      Effect.annotateLogs({ reason: error.message })
    )
    yield* stopping
    return "stopped" as const
  })

  /** Runs under one lease; `lost` when another instance has it now. */
  const lead = Effect.fnUntraced(function* (who: Identity) {
    const held = yield* lease.take
    // With what is stored, so that nobody who looks takes the tables for empty.
    yield* status.update({
      phase: "syncing",
      reason: undefined,
      lease: yield* held.row,
      store: yield* store.state
    })
    yield* Effect.logInfo("leading").pipe(
      Effect.annotateLogs({ holder: settings.instanceId, epoch: held.epoch })
    )
    yield* Effect.flatMap(held.row, (lease) => status.update({ lease })).pipe(
      Effect.schedule(Schedule.spaced(settings.leaseDuration)),
      Effect.forkScoped
    )
    let failures = 0
    while (true) {
      const before = (yield* status.get).store.totals.blocks
      const run = yield* events.prepare(held.epoch).pipe(
        Effect.andThen(store.state),
        Effect.andThen(({ tip }) => tokens.start(held.epoch, tip)),
        Effect.andThen(
          pipeline
            .run({ identity: who, epoch: held.epoch, stop: stopping })
            .pipe(Effect.tap(tokens.flush), Effect.raceFirst(tokens.run))
        ),
        Effect.raceFirst(held.lost),
        Effect.result
      )
      if (run._tag === "Success") {
        if (run.success) return "done" as const
        if (yield* Deferred.isDone(stopped)) return "stopped" as const
        // A run that ended and left everything as it was would do so again at once.
        const moved = (yield* status.get).store.totals.blocks !== before
        failures = moved ? 0 : failures + 1
        if (!moved) yield* Effect.timeoutOption(stopping, backoff(failures))
        continue
      }
      const error = run.failure
      if (isFenced(error)) return "lost" as const
      if (isFatal(error)) return yield* halt(error)
      failures = (yield* status.get).store.totals.blocks > before ? 0 : failures + 1
      yield* status.update({ phase: "retrying", reason: error.message })
      yield* Effect.logWarning("starting over from the coverage").pipe(
        Effect.annotateLogs({ reason: error.message, attempt: failures })
      )
      yield* Effect.timeoutOption(stopping, backoff(failures))
      if (yield* Deferred.isDone(stopped)) return "stopped" as const
    }
  }, Effect.scoped)

  const run = Effect.gen(function* () {
    const who = yield* Effect.raceFirst(identity, stopping)
    if (who === undefined) return "stopped" as const
    let waiting = false
    while (true) {
      const led = yield* Effect.result(lead(who))
      if (led._tag === "Success" && led.success !== "lost") {
        yield* status.update({
          phase: led.success === "done" ? "done" : "stopping",
          reason: undefined,
          lease: undefined
        })
        return led.success
      }
      if (led._tag === "Failure") {
        const error = led.failure
        if (error._tag === "StoreError" && !error.isRetryable) return yield* error
        if (error._tag === "LeaseHeld" && settings.whenHeld === "exit") return yield* error
        // A database that does not answer is no hand-over, which readers are told to sit out.
        const phase = error._tag === "LeaseHeld" ? "waiting" : "retrying"
        yield* status.update({ phase, reason: error.message, lease: yield* leaseRow })
        if (!waiting)
          yield* Effect.logInfo("waiting for the lease").pipe(Effect.annotateLogs({ reason: error.message }))
        waiting = true
      } else {
        waiting = false
        yield* Metrics.lostLease
        yield* status.update({ phase: "waiting", reason: "the lease was lost", lease: undefined })
        yield* Effect.logWarning("the lease was lost: another instance may write now")
      }
      yield* Effect.timeoutOption(stopping, waitInterval)
      if (yield* Deferred.isDone(stopped)) return "stopped" as const
    }
  })

  const leaseRow = store.readLease.pipe(Effect.orElseSucceed(() => undefined))

  return Session.of({
    run,
    stop: Effect.andThen(status.update({ phase: "stopping" }), Deferred.succeed(stopped, undefined))
  })
})

const isFenced = (error: SequenceError): boolean =>
  error._tag === "StoreError" && error.reason._tag === "Fenced"

/** What no retry can mend: the chain or the database contradicts what is stored. */
const isFatal = (error: SequenceError): boolean => {
  switch (error._tag) {
    case "FinalityViolation":
      return true
    case "ProviderFault":
      return error.reason._tag === "WrongChain"
    case "StoreError":
      return !error.isRetryable
  }
}
