/**
 * Several endpoints as one. Requests take turns; a fault is retried on the next endpoint that may have the answer,
 * with `Schedule.exponential` backoff and jitter, `maxRetries` times at most. An endpoint that told to wait is left
 * alone for that long, and one that serves another chain is never asked again.
 */

import type { Redacted } from "effect"
import { Clock, Context, Duration, Effect, Layer, Ref, Schedule } from "effect"
import type { HttpClient } from "effect/http"
import * as Endpoint from "./Endpoint.ts"
import { Malformed, ProviderFault, WrongChain } from "./ProviderFault.ts"

export interface EndpointPoolOptions {
  readonly urls: ReadonlyArray<Redacted.Redacted>
  readonly chainId: number
  readonly maxRetries: number
  readonly timeout: Duration.Duration
  readonly maxResponseBytes: number
}

export interface UseOptions {
  /** The name of what is asked, for messages. */
  readonly method: string
  /** The highest block that the request needs: endpoints known to be below are not asked while others are there. */
  readonly minHead?: number
  /** Ids of endpoints that gave a wrong answer to this very request. */
  readonly avoid?: ReadonlySet<string>
  /** Ask the endpoint with the highest head, not the next in turn. */
  readonly highest?: boolean
}

/** An endpoint's health as `/api/status` shows it. */
export interface EndpointHealth extends Endpoint.EndpointState {
  readonly id: string
  readonly host: string
}

export class EndpointPool extends Context.Service<
  EndpointPool,
  {
    readonly endpoints: ReadonlyArray<Endpoint.Endpoint>
    /** Runs `attempt` on one endpoint after another until one of them can. */
    readonly use: <A>(
      attempt: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>,
      options: UseOptions
    ) => Effect.Effect<A, ProviderFault>
    /** Runs `attempt` on every endpoint of the right chain at once; fails when all of them do. */
    readonly all: <A>(
      attempt: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>
    ) => Effect.Effect<ReadonlyArray<A>, ProviderFault>
    /** Takes note that an endpoint's answer was wrong: it is left alone for a while. */
    readonly report: (fault: ProviderFault) => Effect.Effect<void>
    readonly health: Effect.Effect<ReadonlyArray<EndpointHealth>>
  }
>()("sluice/rpc/EndpointPool") {
  static readonly layer = (
    options: EndpointPoolOptions
  ): Layer.Layer<EndpointPool, never, HttpClient.HttpClient> => Layer.effect(EndpointPool, make(options))
}

/** Milliseconds that an endpoint rests after a fault that named no time of its own. */
const restAfter: Partial<Record<ProviderFault["reason"]["_tag"], number>> = {
  RateLimited: 1_000,
  QuotaExhausted: 60_000,
  Unavailable: 250,
  Malformed: 250,
  Inconsistent: 1_000
}

/** Stands for an endpoint's id when none is left to ask. */
const everyEndpoint = "every endpoint"

const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)

export const make = Effect.fnUntraced(function* (options: EndpointPoolOptions) {
  const endpoints = yield* Effect.forEach(options.urls, (url, index) =>
    Endpoint.make({
      id: `rpc-${index + 1}`,
      url,
      timeout: options.timeout,
      maxResponseBytes: options.maxResponseBytes
    })
  )
  const turn = yield* Ref.make(0)

  const report = Effect.fnUntraced(function* (fault: ProviderFault) {
    const endpoint = endpoints.find(({ id }) => id === fault.endpoint)
    if (endpoint === undefined) return
    const told = fault.reason._tag === "RateLimited" ? fault.reason.retryAfter : undefined
    const rest = told ?? restAfter[fault.reason._tag] ?? 0
    const now = yield* Clock.currentTimeMillis
    yield* Ref.update(endpoint.state, (s) => ({
      ...s,
      faults: s.faults + 1,
      lastFault: `${fault.reason._tag}: ${fault.reason.detail}`,
      restUntil: Math.max(s.restUntil, now + rest)
    }))
  })

  /** Endpoints that serve the right chain or have not been asked yet, those that rest last. */
  const candidates = Effect.fnUntraced(function* (use: UseOptions) {
    const now = yield* Clock.currentTimeMillis
    const first = yield* Ref.getAndUpdate(turn, (n) => n + 1)
    const ranked = yield* Effect.forEach(endpoints, (endpoint, index) =>
      Effect.map(Ref.get(endpoint.state), (state) => ({
        endpoint,
        state,
        order: (index - (first % endpoints.length) + endpoints.length) % endpoints.length
      }))
    )
    const cost = ({ endpoint, state, order }: (typeof ranked)[number]): ReadonlyArray<number> => [
      use.avoid?.has(endpoint.id) === true ? 1 : 0,
      use.minHead !== undefined && state.head !== undefined && state.head < use.minHead ? 1 : 0,
      Math.max(0, state.restUntil - now),
      use.highest === true ? -(state.head ?? 0) : 0,
      order
    ]
    return ranked
      .filter(({ state }) => state.rightChain !== false)
      .sort((a, b) => compare(cost(a), cost(b)))
      .map(({ endpoint, state }) => ({ endpoint, wait: Math.max(0, state.restUntil - now) }))
  })

  const onRightChain = Effect.fnUntraced(function* (endpoint: Endpoint.Endpoint) {
    const { rightChain } = yield* Ref.get(endpoint.state)
    if (rightChain !== undefined) return
    const answer = yield* endpoint.call("eth_chainId", [])
    if (typeof answer !== "string" || !/^0x[0-9a-f]{1,13}$/i.test(answer)) {
      return yield* endpoint.fault("eth_chainId", new Malformed({ detail: "no chain id" }))
    }
    const seen = Number.parseInt(answer, 16)
    yield* Ref.update(endpoint.state, (s) => ({ ...s, rightChain: seen === options.chainId }))
    if (seen !== options.chainId) {
      const detail = `serves chain ${seen}, expected chain ${options.chainId}`
      yield* Effect.logWarning("endpoint left out").pipe(
        Effect.annotateLogs({ endpoint: endpoint.id, reason: detail })
      )
      return yield* endpoint.fault("eth_chainId", new WrongChain({ detail }))
    }
  })

  const on = <A>(
    endpoint: Endpoint.Endpoint,
    attempt: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>
  ) => Effect.andThen(onRightChain(endpoint), attempt(endpoint)).pipe(Effect.tapError(report))

  const noneLeft = (method: string) =>
    new ProviderFault({
      endpoint: everyEndpoint,
      method,
      reason: new WrongChain({ detail: `no endpoint serves chain ${options.chainId}` })
    })

  const use = <A>(
    attempt: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>,
    how: UseOptions
  ): Effect.Effect<A, ProviderFault> =>
    Effect.gen(function* () {
      const [best] = yield* candidates(how)
      if (best === undefined) return yield* noneLeft(how.method)
      if (best.wait > 0) yield* Effect.sleep(Duration.millis(best.wait))
      return yield* on(best.endpoint, attempt)
    }).pipe(
      Effect.retry({
        schedule: backoff,
        times: options.maxRetries,
        while: (fault) => fault.isRetryableHere || (endpoints.length > 1 && fault.endpoint !== everyEndpoint)
      })
    )

  const all = Effect.fnUntraced(function* <A>(
    attempt: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, ProviderFault>
  ) {
    const ranked = yield* candidates({ method: "all" })
    // Those that rest are asked too when there is nobody else.
    const awake = ranked.filter(({ wait }) => wait === 0)
    const asked = awake.length > 0 ? awake : ranked.slice(0, 1)
    const [results, faults] = yield* Effect.partition(asked, ({ endpoint }) => on(endpoint, attempt), {
      concurrency: "unbounded"
    })
    if (results.length > 0) return results
    return yield* faults[0] ?? noneLeft("all")
  })

  const health = Effect.forEach(endpoints, ({ id, host, state }) =>
    Effect.map(Ref.get(state), (s): EndpointHealth => ({ id, host, ...s }))
  )

  return EndpointPool.of({ endpoints, use, all, report, health })
})

const compare = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
