/**
 * What is known of one endpoint: what it can do, how it does, what it cost. All of it was learned by using it, and
 * everything here is a value or a function from one value to the next.
 *
 * **Gotchas**: times are milliseconds since 1970, durations milliseconds.
 */
import { Schema } from "effect"
import type { Spent } from "./Cost.ts"
import * as Pace from "./Pace.ts"
import type { Reason } from "./ProviderFault.ts"

/** What an endpoint can do, and how it stands: worth keeping through a restart. */
export const Memory = Schema.Struct({
  /** Most calls in one HTTP request; 1 where it takes no batches. */
  maxBatch: Schema.Finite,
  /** False once it answered that it does not know eth_getBlockReceipts. */
  blockReceipts: Schema.Boolean,
  /** Blocks to ask for in one eth_getLogs; undefined before the first. */
  logRange: Schema.optional(Schema.Finite),
  /** Most addresses in a filter of eth_getLogs; undefined where none were too many. */
  logAddresses: Schema.optional(Schema.Finite),
  /** Oldest block that it is believed to serve. */
  oldestBlock: Schema.Finite,
  /** Duration of a request, by what was asked. */
  latency: Schema.Record(Schema.String, Schema.Finite),
  /** Calls a second that it takes; undefined while it was never too many. */
  perSecond: Schema.optional(Schema.Finite),
  /** Until when it told to be left alone. */
  restUntil: Schema.Finite,
  /** Until when it is out of use after wrong answers. */
  outUntil: Schema.Finite
})
export type Memory = typeof Memory.Type

export interface EndpointState extends Omit<Memory, "perSecond" | "restUntil"> {
  /** Highest block it was seen to have. */
  readonly head: number | undefined
  /** Most blocks in one eth_getLogs, as it said. */
  readonly logRangeLimit: number | undefined
  /** Whether it serves the chain that it should; undefined until it was asked. */
  readonly rightChain: boolean | undefined
  readonly pace: Pace.Pace
  /** Requests under way, and how many may be. */
  readonly inFlight: number
  readonly limit: number
  /** When `limit` was lowered last. */
  readonly narrowedAt: number
  /** Moving average of how many requests are answered, 0 to 1. */
  readonly success: number
  /** When `latency` and `success` were updated last. */
  readonly measuredAt: number
  /** When it gave wrong answers, lately. */
  readonly strikes: ReadonlyArray<number>
  /** HTTP requests. */
  readonly requests: number
  /** By method. */
  readonly spent: Readonly<Record<string, Spent>>
  /** Bytes of an answer by method, as measured last, and when that was. */
  readonly usualBytes: Readonly<Record<string, number>>
  readonly sizedAt: number
  /** By the reason's tag. */
  readonly faults: Readonly<Record<string, number>>
  readonly lastFault: string | undefined
}

/** Calls in one request until a provider says that this is too many; most take 100 or more. */
const batchLimit = 100

export const initial: EndpointState = {
  maxBatch: batchLimit,
  blockReceipts: true,
  logRange: undefined,
  logAddresses: undefined,
  oldestBlock: 0,
  latency: {},
  outUntil: 0,
  head: undefined,
  logRangeLimit: undefined,
  rightChain: undefined,
  pace: Pace.open,
  inFlight: 0,
  limit: 1,
  narrowedAt: 0,
  success: 1,
  measuredAt: 0,
  strikes: [],
  requests: 0,
  spent: {},
  usualBytes: {},
  sizedAt: 0,
  faults: {},
  lastFault: undefined
}

export const memoryOf = (state: EndpointState): Memory => ({
  maxBatch: state.maxBatch,
  blockReceipts: state.blockReceipts,
  logRange: state.logRange,
  logAddresses: state.logAddresses,
  oldestBlock: state.oldestBlock,
  latency: Object.fromEntries(Object.entries(state.latency).map(([what, ms]) => [what, Math.round(ms)])),
  perSecond: state.pace.perSecond,
  restUntil: state.pace.restUntil,
  outUntil: state.outUntil
})

export const recall = (state: EndpointState, { perSecond, restUntil, ...memory }: Memory): EndpointState => ({
  ...state,
  ...memory,
  pace: {
    ...state.pace,
    restUntil,
    perSecond,
    refusedAt: perSecond === undefined ? state.pace.refusedAt : perSecond * 2
  }
})

// Measuring

/** Milliseconds in which what was measured loses half of its weight, so that a slow or failing endpoint is tried anew. */
const halfLife = 30_000

const faded = (state: EndpointState, now: number): number => 0.5 ** ((now - state.measuredAt) / halfLife)

/** Who was never asked is tried before all others; who was, and never answered, is not. */
const untried = 1
const unanswered = 100

/** Expected duration of a request, not counting waits. */
export const expected = (state: EndpointState, what: string, now: number): number => {
  const latency = state.latency[what]
  const success = 1 - (1 - state.success) * faded(state, now)
  const alone =
    latency === undefined
      ? state.success < 1
        ? unanswered
        : untried
      : Math.max(untried, latency * faded(state, now))
  return (alone * (1 + state.inFlight / state.limit)) / Math.max(0.01, success)
}

/** A request came to its end after `duration`. Failures count for `success` alone: many of them are quick. */
export const measured = (
  state: EndpointState,
  outcome: { readonly what: string; readonly now: number; readonly duration: number; readonly ok: boolean }
): EndpointState => {
  const { duration, now, ok, what } = outcome
  const mean = state.latency[what]
  const success = state.success * 0.9 + (ok ? 0.1 : 0)
  if (!ok) return { ...state, success, measuredAt: now }
  return {
    ...state,
    success,
    measuredAt: now,
    latency: { ...state.latency, [what]: mean === undefined ? duration : mean * 0.8 + duration * 0.2 }
  }
}

/** A request was given up after `duration` because another endpoint had answered: it would have taken longer still. */
export const overtaken = (
  state: EndpointState,
  { duration, now, what }: { readonly what: string; readonly now: number; readonly duration: number }
): EndpointState =>
  duration <= (state.latency[what] ?? 0)
    ? state
    : measured(state, { what, now, duration: duration * 1.5, ok: true })

// Concurrency: a little more after each answer, half of it after a sign of overload

/** Part of a request by which an answer widens a narrow limit; a wide one grows by one in a full round. */
const growth = 0.25

/** Milliseconds in which all signs of overload count as one. */
const overload = 1000

export const widened = (state: EndpointState, most: number): EndpointState =>
  state.limit >= most
    ? state
    : { ...state, limit: Math.min(most, state.limit + Math.max(growth, 1 / state.limit)) }

export const narrowed = (state: EndpointState, now: number): EndpointState =>
  now - state.narrowedAt < overload
    ? state
    : { ...state, narrowedAt: now, limit: Math.max(1, state.limit / 2) }

export const isFull = (state: EndpointState): boolean =>
  state.inFlight >= Math.max(1, Math.floor(state.limit))

// Faults

/** What a fault says of the endpoint's health, head, history and patience. */
export const failed = (
  state: EndpointState,
  reason: Reason,
  asked: { readonly method: string; readonly from?: number; readonly to?: number } | undefined,
  now: number
): EndpointState => {
  const s = {
    ...state,
    faults: { ...state.faults, [reason._tag]: (state.faults[reason._tag] ?? 0) + 1 },
    lastFault: `${reason._tag}: ${reason.detail}`
  }
  switch (reason._tag) {
    case "Unavailable":
      return resting(narrowed(unwell(s, asked, now), now), now, reason.retryAfter)
    case "Malformed":
    case "Inconsistent":
    case "MethodUnsupported":
    case "Rejected":
      return unwell(s, asked, now)
    case "QuotaExhausted":
      return resting(s, now, reason.retryAfter ?? quotaRest)
    case "HeadLag": {
      const seen = reason.head ?? (asked?.to === undefined ? undefined : asked.to - 1)
      return seen === undefined ? s : { ...s, head: Math.min(s.head ?? seen, seen) }
    }
    case "MissingData":
      return asked?.from === undefined ? s : { ...s, oldestBlock: Math.max(s.oldestBlock, asked.from + 1) }
    default:
      return s
  }
}

/** Rest after a used-up quota that told no wait. */
const quotaRest = 10 * 60_000

const resting = (state: EndpointState, now: number, millis: number | undefined): EndpointState =>
  millis === undefined ? state : { ...state, pace: Pace.rest(state.pace, now, millis) }

const unwell = (
  state: EndpointState,
  asked: { readonly method: string } | undefined,
  now: number
): EndpointState =>
  asked === undefined ? state : measured(state, { what: asked.method, now, duration: 0, ok: false })

/** So many wrong answers within `strikeWindow` put an endpoint out of use for `outFor`. */
const strikesAllowed = 3
const strikeWindow = 10 * 60_000
const outFor = 60 * 60_000

/** It gave a wrong answer. */
export const struck = (state: EndpointState, now: number): EndpointState => {
  const strikes = [...state.strikes.filter((at) => now - at < strikeWindow), now]
  return strikes.length < strikesAllowed
    ? { ...state, strikes }
    : { ...state, strikes: [], outUntil: now + outFor }
}
