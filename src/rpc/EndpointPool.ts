/**
 * Several endpoints as one: each request goes where an answer is expected soonest, and goes elsewhere when it fails.
 *
 * **Details**
 *
 * - A fault is asked again at once of an endpoint that was not asked yet, and with `Schedule.exponential` backoff and
 *   jitter of those that were; never more than `maxRetries` times.
 * - Each endpoint has a circuit. When most of its requests fail it opens, for 500 ms at first and 30 s at most, and
 *   the first request afterwards is its probe. When all circuits are open, requests wait.
 * - A request that takes far longer than usual is asked of a second endpoint too; who answers first wins.
 * - Wrong answers count against an endpoint when another answer contradicts them. What all endpoints agree on may be
 *   our own mistake, and fails the request instead.
 * - What was learned is kept in `EndpointMemory`.
 *
 * **Gotchas**: who serves another chain, by its id or by its genesis, is removed until the process ends.
 */
import type { Redacted } from "effect"
import {
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  Latch,
  Layer,
  Metric,
  Ref,
  Schedule,
  type Scope,
  Stream
} from "effect"
import type { HttpClient } from "effect/http"
import { CircuitBreaker } from "effect/persistence"
import type { Hex } from "../chain/Block.ts"
import * as Asking from "./Asking.ts"
import * as Choice from "./Choice.ts"
import type * as Cost from "./Cost.ts"
import * as Endpoint from "./Endpoint.ts"
import * as EndpointHealth from "./EndpointHealth.ts"
import * as EndpointMemory from "./EndpointMemory.ts"
import * as EndpointState from "./EndpointState.ts"
import * as Headers from "./Headers.ts"
import * as Identity from "./Identity.ts"
import * as Metrics from "./Metrics.ts"
import { type ProviderFault, Unavailable } from "./ProviderFault.ts"

export interface EndpointPoolOptions {
  readonly urls: ReadonlyArray<Redacted.Redacted>
  readonly chainId: number
  /** Attempts after the first one. */
  readonly maxRetries: number
  readonly timeout: Duration.Duration
  readonly maxResponseBytes: number
  /** Requests in flight on one endpoint, at most. */
  readonly concurrency: number
  readonly prices: Cost.Prices
}

type Attempt<A> = (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>

export class EndpointPool extends Context.Service<
  EndpointPool,
  {
    readonly endpoints: ReadonlyArray<Endpoint.Endpoint>
    /**
     * Runs `attempt` on the endpoint that may be expected to answer first, then on others, until it succeeds; fails
     * with the last fault after `maxRetries`, or when nobody is left who could answer.
     */
    readonly use: <A>(attempt: Attempt<A>, options: Asking.UseOptions) => Effect.Effect<A, ProviderFault>
    /** Runs `attempt` once on this endpoint; its time counts for nothing. Fails at once while its circuit is open. */
    readonly ask: <A>(endpoint: Endpoint.Endpoint, attempt: Attempt<A>) => Effect.Effect<A, ProviderFault>
    /** False while it is out of use after wrong answers, or for good. */
    readonly isInService: (endpoint: Endpoint.Endpoint) => Effect.Effect<boolean>
    /**
     * Genesis hash of the chain that the endpoints serve, `pinned` if one of them does; the others are removed. When
     * none serves what is pinned, it is theirs.
     */
    readonly genesis: (pinned: Hex | undefined) => Effect.Effect<Hex, ProviderFault>
    /** An answer turned out to be wrong only after it had been taken. */
    readonly report: (fault: ProviderFault) => Effect.Effect<void>
    readonly health: Effect.Effect<ReadonlyArray<EndpointHealth.EndpointHealth>>
  }
>()("sluice/rpc/EndpointPool") {
  static readonly layer = (
    options: EndpointPoolOptions
  ): Layer.Layer<EndpointPool, never, HttpClient.HttpClient> =>
    Layer.effect(EndpointPool, make(options)).pipe(Layer.provide(CircuitBreaker.layerStoreMemory()))
}

/** Longest delay before the same endpoint is asked the same again. */
const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)

/** A circuit opens when four of five among the last twenty requests failed; a half of them is no reason to do without. */
const tripPolicy = CircuitBreaker.rate({ threshold: 0.8, size: 20, minimumCalls: 5 })

const openDuration = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")])

/** A request is asked of a second endpoint too after this many times its usual duration, and not before a second. */
const slowFactor = 4
const slowest = 1000

/** Longest sleep, in milliseconds, before endpoints are looked at again. */
const lookAgain = 5000

export const make = Effect.fnUntraced(function* (options: EndpointPoolOptions) {
  const endpoints = yield* Effect.forEach(options.urls, (url, index) =>
    Endpoint.make({ ...options, id: `rpc-${index + 1}`, url })
  )
  for (const { id, state } of endpoints) {
    yield* Ref.update(state, (s) => ({ ...s, limit: options.concurrency }))
    yield* Metrics.zero(id)
  }
  const breaker = yield* CircuitBreaker.make({ tripPolicy, openDuration })
  const identity = yield* Identity.make({ chainId: options.chainId, endpoints })
  /** Released whenever a request has ended: whoever waits for an endpoint looks again. */
  const changed = yield* Latch.make()
  const find = (id: string) => endpoints.find((endpoint) => endpoint.id === id)

  // One request on one endpoint

  const noted = Effect.fnUntraced(function* (endpoint: Endpoint.Endpoint, fault: ProviderFault) {
    const { reason } = fault
    const labels = { endpoint: endpoint.id }
    yield* Metrics.faulted(endpoint.id, reason._tag)
    if (reason._tag !== "Inconsistent") return
    yield* Metric.update(Metric.withAttributes(Metrics.wrongAnswers, { ...labels, check: reason.check }), 1)
    yield* Effect.logWarning("wrong answer").pipe(
      Effect.annotateLogs({ ...labels, check: reason.check, reason: reason.detail })
    )
  })

  /** What an endpoint's state learns from the end of a request. `how` is undefined for those that are no measure. */
  const learn = Effect.fnUntraced(function* <A>(
    endpoint: Endpoint.Endpoint,
    how: Asking.UseOptions | undefined,
    started: number,
    exit: Exit.Exit<A, ProviderFault>
  ) {
    const now = yield* Clock.currentTimeMillis
    const fault = faultOf(exit)
    const sample = how === undefined ? undefined : { what: how.method, now, duration: now - started }
    yield* Ref.update(endpoint.state, (before) => {
      const s = { ...before, inFlight: before.inFlight - 1 }
      if (fault !== undefined) return EndpointState.failed(s, fault.reason, how, now)
      if (sample === undefined) return s
      return Exit.isSuccess(exit)
        ? EndpointState.widened(EndpointState.measured(s, { ...sample, ok: true }), options.concurrency)
        : EndpointState.overtaken(s, sample)
    })
    if (fault !== undefined) yield* noted(endpoint, fault)
    yield* Metric.update(
      Metric.withAttributes(Metrics.latency, { endpoint: endpoint.id }),
      (now - started) / 1000
    )
    yield* changed.release
  })

  const on = <A>(
    endpoint: Endpoint.Endpoint,
    attempt: Attempt<A>,
    how: Asking.UseOptions | undefined
  ): Effect.Effect<A, ProviderFault> =>
    Effect.acquireUseRelease(
      Effect.andThen(
        Ref.update(endpoint.state, (s) => ({ ...s, inFlight: s.inFlight + 1 })),
        Clock.currentTimeMillis
      ),
      () => Effect.andThen(identity.confirm(endpoint), attempt(endpoint)),
      (started, exit) => learn(endpoint, how, started, exit)
    ).pipe(
      breaker.execute({ key: endpoint.id, classify }),
      Effect.catchTag("CircuitBreakerError", () =>
        Effect.flatMap(Ref.get(endpoint.state), ({ lastFault }) =>
          Effect.fail(
            endpoint.fault(
              how?.method ?? "request",
              new Unavailable({ detail: `left alone for a while, after ${lastFault}` })
            )
          )
        )
      )
    )

  const ask = <A>(endpoint: Endpoint.Endpoint, attempt: Attempt<A>) => on(endpoint, attempt, undefined)

  // Whom to ask

  const circuitOf = (id: string) =>
    breaker.state(id).pipe(Effect.orElseSucceed((): CircuitBreaker.State => ({ _tag: "Closed", key: id })))

  const candidates = Effect.forEach(endpoints, (endpoint) =>
    Effect.all({
      endpoint: Effect.succeed(endpoint),
      id: Effect.succeed(endpoint.id),
      state: Ref.get(endpoint.state),
      circuit: circuitOf(endpoint.id)
    })
  )

  /** Asks those that seem to lag, and are not resting, where they are now. */
  const refreshHeads = (behind: ReadonlyArray<Choice.Candidate<Endpoint.Endpoint>>, now: number) =>
    Effect.forEach(
      behind.filter(({ circuit, state }) => Choice.rest(state, circuit, now) === 0),
      ({ endpoint }) => Effect.ignore(ask(endpoint, Headers.latest)),
      { concurrency: "unbounded", discard: true }
    )

  /** The best endpoint for a request, as soon as there is one that may be asked. */
  const whom = Effect.fnUntraced(function* (asking: Asking.Asking) {
    let refreshed = false
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const choice = Choice.choose(yield* candidates, Asking.question(asking), now)
      switch (choice._tag) {
        case "Ask":
          return choice.candidate
        case "Wait":
          yield* Effect.timeoutOption(changed.await, Duration.millis(Math.min(lookAgain, choice.millis)))
          break
        case "Behind":
          if (refreshed) return yield* Asking.behind(asking, choice.candidates)
          refreshed = true
          yield* refreshHeads(choice.candidates, now)
          break
        case "Nobody":
          asking.isOver = true
          return yield* asking.last ?? Identity.noneServes(options.chainId, asking.how.method)
      }
    }
  })

  // One request on one endpoint after another

  const attempted = <A>(asking: Asking.Asking, endpoint: Endpoint.Endpoint, attempt: Attempt<A>) => {
    asking.attempts++
    asking.asked.add(endpoint.id)
    return Effect.tapError(on(endpoint, attempt, asking.how), (fault) =>
      Effect.sync(() => Asking.remember(asking, fault))
    )
  }

  /** A second endpoint for a request that takes too long; it never ends but with an answer. */
  const hedge = Effect.fnUntraced(
    function* <A>(asking: Asking.Asking, slow: Choice.Candidate<Endpoint.Endpoint>, attempt: Attempt<A>) {
      const usual = slow.state.latency[asking.how.method] ?? 0
      yield* Effect.sleep(Duration.millis(Math.max(slowest, slowFactor * usual)))
      if (asking.attempts > options.maxRetries) return yield* Effect.never
      const others = (yield* candidates).filter(({ id }) => id !== slow.id)
      const choice = Choice.choose(others, Asking.question(asking), yield* Clock.currentTimeMillis)
      if (choice._tag !== "Ask") return yield* Effect.never
      yield* Metric.update(Metric.withAttributes(Metrics.hedges, { endpoint: slow.id }), 1)
      return yield* attempted(asking, choice.candidate.endpoint, attempt)
    },
    Effect.catch(() => Effect.never)
  )

  const once = Effect.fnUntraced(function* <A>(asking: Asking.Asking, attempt: Attempt<A>) {
    const best = yield* whom(asking)
    const first = attempted(asking, best.endpoint, attempt)
    return yield* endpoints.length === 1 ? first : Effect.raceFirst(first, hedge(asking, best, attempt))
  })

  /** Whether somebody may be asked now who was not asked this yet. */
  const somebodyElse = Effect.fnUntraced(function* (asking: Asking.Asking) {
    const others = (yield* candidates).filter(({ id }) => !asking.asked.has(id))
    const choice = Choice.choose(others, Asking.question(asking), yield* Clock.currentTimeMillis)
    return choice._tag === "Ask"
  })

  const use = <A>(attempt: Attempt<A>, how: Asking.UseOptions): Effect.Effect<A, ProviderFault> =>
    Effect.suspend(() => {
      const asking = Asking.start(how)
      return once(asking, attempt).pipe(
        Effect.retry({
          schedule: backoff.pipe(
            Schedule.modifyDelay(({ duration }) =>
              Effect.map(somebodyElse(asking), (found) => (found ? Duration.zero : duration))
            )
          ),
          while: (fault) => fault.isRetryable && !asking.isOver && asking.attempts <= options.maxRetries
        }),
        // What did not fit says more than that somebody else could not be reached.
        Effect.mapError((fault) => asking.lastWrong ?? fault),
        Effect.onExit((exit) => settle(asking, exit))
      )
    })

  // Wrong answers

  const strike = Effect.fnUntraced(function* (id: string) {
    const endpoint = find(id)
    if (endpoint === undefined) return
    const now = yield* Clock.currentTimeMillis
    const out = yield* Ref.modify(endpoint.state, (before) => {
      const after = EndpointState.struck(before, now)
      return [after.outUntil > before.outUntil ? after.outUntil : undefined, after]
    })
    if (out === undefined) return
    yield* Effect.logWarning("endpoint out of use after wrong answers").pipe(
      Effect.annotateLogs({ endpoint: id, until: new Date(out).toISOString() })
    )
  })

  /** Counts wrong answers against those who gave them, unless all that was heard is the same. */
  const settle = <A>(asking: Asking.Asking, exit: Exit.Exit<A, ProviderFault>) =>
    asking.wrong.size === 0 || (!Exit.isSuccess(exit) && asking.whatWasWrong.size === 1)
      ? Effect.void
      : Effect.forEach(asking.wrong.keys(), strike, { discard: true })

  const report = Effect.fnUntraced(function* (fault: ProviderFault) {
    const endpoint = find(fault.endpoint)
    if (endpoint === undefined) return
    const now = yield* Clock.currentTimeMillis
    yield* Ref.update(endpoint.state, (s) => EndpointState.failed(s, fault.reason, undefined, now))
    yield* noted(endpoint, fault)
    if (fault.reason._tag === "Inconsistent") yield* strike(endpoint.id)
  })

  yield* circuitsSaid(breaker, find)
  yield* EndpointMemory.keep(endpoints)

  return EndpointPool.of({
    endpoints,
    use,
    ask,
    isInService: Effect.fnUntraced(function* ({ id }) {
      const serving = Choice.inService(yield* candidates, yield* Clock.currentTimeMillis)
      return serving.some((candidate) => candidate.id === id)
    }),
    genesis: (pinned) => identity.genesis(pinned, ask),
    report,
    health: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      return (yield* candidates).map(({ circuit, endpoint, id, state }) =>
        EndpointHealth.make({ id, host: endpoint.host, state, circuit, prices: options.prices, now })
      )
    })
  })
})

const faultOf = <A>(exit: Exit.Exit<A, ProviderFault>): ProviderFault | undefined =>
  Exit.isSuccess(exit)
    ? undefined
    : exit.cause.reasons.flatMap((r) => (r._tag === "Fail" ? [r.error] : []))[0]

/** Only what says that the endpoint is not well counts against its circuit. */
const classify = <A>(exit: Exit.Exit<A, ProviderFault>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return CircuitBreaker.success
  const reason = faultOf(exit)?.reason
  return reason?._tag === "Unavailable" || reason?._tag === "Malformed"
    ? CircuitBreaker.failure()
    : CircuitBreaker.ignored
}

/** One log line when an endpoint goes down, and one when it is back, which may be another chain's by then. */
const circuitsSaid = (
  breaker: CircuitBreaker.CircuitBreaker,
  find: (id: string) => Endpoint.Endpoint | undefined
): Effect.Effect<void, never, Scope.Scope> =>
  breaker.transitions.pipe(
    Stream.runForEach((transition) => {
      const endpoint = find(transition.key)
      if (endpoint === undefined) return Effect.void
      const said = { endpoint: endpoint.id, host: endpoint.host }
      if (transition.to === "Closed")
        return Effect.logInfo("endpoint is back").pipe(Effect.annotateLogs(said))
      if (transition.from !== "Closed") return Effect.void
      return Effect.gen(function* () {
        const { lastFault } = yield* Ref.updateAndGet(endpoint.state, (s) => ({
          ...s,
          rightChain: s.rightChain === true ? undefined : s.rightChain
        }))
        yield* Effect.logWarning("endpoint is down").pipe(Effect.annotateLogs({ ...said, reason: lastFault }))
      })
    }),
    Effect.forkScoped({ startImmediately: true }),
    Effect.asVoid
  )
