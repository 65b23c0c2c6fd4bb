/**
 * How an endpoint stands, as pages and probes show it.
 */
import { Duration } from "effect"
import type { CircuitBreaker } from "effect/persistence"
import * as Cost from "./Cost.ts"
import type { EndpointState } from "./EndpointState.ts"

/**
 * `available`; `resting` for as long as it told, or after refusals; `down` while most of its requests fail; `out`
 * after wrong answers; `removed` because it serves another chain.
 */
export type Standing = "available" | "resting" | "down" | "out" | "removed"

export interface EndpointHealth {
  /** `rpc-1`, `rpc-2`, ... in the order of the setting. */
  readonly id: string
  readonly host: string
  readonly standing: Standing
  /** Milliseconds since 1970 until which it stands so, where that is known. */
  readonly until: number | undefined
  readonly head: number | undefined
  /** Moving average of a request for blocks, or of the slowest kind of request where there was none, milliseconds. */
  readonly latency: number | undefined
  /** Calls a second that it takes; undefined where it was never too many. */
  readonly perSecond: number | undefined
  /** Requests in flight that it takes at once. */
  readonly concurrency: number
  /** HTTP requests. */
  readonly requests: number
  /** By method. */
  readonly spent: Cost.Spending
  readonly credits: number
  /** By reason. */
  readonly faults: Readonly<Record<string, number>>
  readonly lastFault: string | undefined
}

/** Shorter rests are the ordinary work of a rate limiter. */
const noticeable = 1000

const standing = (
  state: EndpointState,
  circuit: CircuitBreaker.State,
  now: number
): Pick<EndpointHealth, "standing" | "until"> => {
  if (state.rightChain === false) return { standing: "removed", until: undefined }
  if (state.outUntil > now) return { standing: "out", until: state.outUntil }
  if (circuit._tag !== "Closed") {
    return {
      standing: "down",
      until: circuit._tag === "Open" ? now + Duration.toMillis(circuit.retryAfter) : undefined
    }
  }
  const { restUntil } = state.pace
  return restUntil > now + noticeable
    ? { standing: "resting", until: restUntil }
    : { standing: "available", until: undefined }
}

export const make = (options: {
  readonly id: string
  readonly host: string
  readonly state: EndpointState
  readonly circuit: CircuitBreaker.State
  readonly prices: Cost.Prices
  readonly now: number
}): EndpointHealth => {
  const { circuit, host, id, now, prices, state } = options
  return {
    id,
    host,
    ...standing(state, circuit, now),
    head: state.head,
    latency:
      state.latency["eth_getBlockByNumber"] ??
      Object.values(state.latency).reduce<number | undefined>((a, b) => Math.max(a ?? 0, b), undefined),
    perSecond: state.pace.perSecond,
    concurrency: Math.max(1, Math.floor(state.limit)),
    requests: state.requests,
    spent: state.spent,
    credits: Cost.credits(prices, state.spent),
    faults: state.faults,
    lastFault: state.lastFault
  }
}

/** Why nothing can be asked at the moment, in a sentence; undefined while one endpoint is there. */
export const outage = (endpoints: ReadonlyArray<EndpointHealth>, now: number): string | undefined => {
  if (endpoints.length === 0 || endpoints.some((endpoint) => endpoint.standing === "available"))
    return undefined
  // Who is out for wrong answers serves when nobody else is left.
  const left = endpoints.filter((endpoint) => endpoint.standing !== "removed")
  if (left.length > 0 && left.every((endpoint) => endpoint.standing === "out")) return undefined
  return `no RPC endpoint can be asked: ${endpoints.map((endpoint) => said(endpoint, now)).join("; ")}`
}

const said = ({ host, id, lastFault, standing, until }: EndpointHealth, now: number): string => {
  const again =
    until === undefined ? "" : `, asked again in ${Math.max(1, Math.ceil((until - now) / 1000))} s`
  return `${id} (${host}) is ${standing}${again}${lastFault === undefined ? "" : ` (${lastFault})`}`
}
