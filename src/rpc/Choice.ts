/**
 * Whom to ask: a pure function of what is known of the endpoints and of what is asked.
 *
 * **Details**: the least expected time wins, waits included. It is the endpoint's own average for such a request,
 * longer while others are under way there, and longer the more of them fail. Left out are endpoints of another chain, those that
 * refused this very request or lack the block, and, while others are in service, those that are out for wrong answers.
 *
 * **Gotchas**: an endpoint whose head is below the block is never asked, since it may answer with nothing as if there
 * was nothing.
 */
import { Duration } from "effect"
import type { CircuitBreaker } from "effect/persistence"
import * as EndpointState from "./EndpointState.ts"
import * as Pace from "./Pace.ts"

export interface Candidate<E> {
  readonly endpoint: E
  readonly id: string
  readonly state: EndpointState.EndpointState
  readonly circuit: CircuitBreaker.State
}

export interface Question {
  /** What is asked, as averages are kept by it. */
  readonly method: string
  /** Lowest and highest block that the answer needs. */
  readonly from: number | undefined
  readonly to: number | undefined
  /** The highest head counts more than time. */
  readonly highest: boolean
  /** Ids of endpoints that cannot answer this. */
  readonly refused: ReadonlySet<string>
  /** How many wrong answers each gave to this. */
  readonly wrong: ReadonlyMap<string, number>
}

export type Choice<E> =
  | { readonly _tag: "Ask"; readonly candidate: Candidate<E>; readonly expected: number }
  /** All of them are busy, or rest: look again after `millis`. */
  | { readonly _tag: "Wait"; readonly millis: number }
  /** None is known to have the block. */
  | { readonly _tag: "Behind"; readonly candidates: ReadonlyArray<Candidate<E>> }
  /** None is left that could answer. */
  | { readonly _tag: "Nobody" }

/** Wrong answers to one request after which an endpoint is not asked it again. */
const wrongAnswers = 2

/** Milliseconds after which to look again at an endpoint that is just being probed. */
const probing = 100

/** Milliseconds until an endpoint may be asked, busy or not. */
export const rest = (
  state: EndpointState.EndpointState,
  circuit: CircuitBreaker.State,
  now: number
): number => {
  const circuitFor =
    circuit._tag === "Open"
      ? Duration.toMillis(circuit.retryAfter)
      : circuit._tag === "HalfOpen" && circuit.probing
        ? probing
        : 0
  return Math.max(circuitFor, Pace.wait(state.pace, now))
}

/** Those that may be asked at all: who is out for wrong answers serves only when nobody else is left. */
export const inService = <E>(
  candidates: ReadonlyArray<Candidate<E>>,
  now: number
): ReadonlyArray<Candidate<E>> => {
  const right = candidates.filter(({ state }) => state.rightChain !== false)
  return preferred(right, ({ state }) => state.outUntil <= now)
}

export const choose = <E>(
  candidates: ReadonlyArray<Candidate<E>>,
  question: Question,
  now: number
): Choice<E> => {
  const { from = Number.POSITIVE_INFINITY, to } = question
  const wrong = (id: string) => question.wrong.get(id) ?? 0
  const able = inService(candidates, now).filter(
    ({ id }) => !question.refused.has(id) && wrong(id) < wrongAnswers
  )
  const fresh = preferred(able, ({ id }) => wrong(id) === 0)
  const old = preferred(fresh, ({ state }) => state.oldestBlock <= from)
  if (old.length === 0) return { _tag: "Nobody" }
  const high =
    to === undefined ? old : old.filter(({ state }) => state.head !== undefined && state.head >= to)
  if (high.length === 0) return { _tag: "Behind", candidates: old }

  let best: { readonly candidate: Candidate<E>; readonly wait: number; readonly expected: number } | undefined
  let bestKey: readonly [number, number] = [0, 0]
  for (const candidate of high) {
    const { circuit, state } = candidate
    const expected = EndpointState.expected(state, question.method, now)
    const full = EndpointState.isFull(state) ? Math.ceil(expected / state.limit) : 0
    const wait = Math.max(rest(state, circuit, now), full)
    const key = [question.highest && wait === 0 ? -(state.head ?? 0) : 0, wait + expected] as const
    if (best === undefined || key[0] < bestKey[0] || (key[0] === bestKey[0] && key[1] < bestKey[1])) {
      best = { candidate, wait, expected }
      bestKey = key
    }
  }
  if (best === undefined) return { _tag: "Nobody" }
  return best.wait > 0
    ? { _tag: "Wait", millis: best.wait }
    : { _tag: "Ask", candidate: best.candidate, expected: best.expected }
}

/** Those for which it holds, or all where it holds for none. */
const preferred = <A>(all: ReadonlyArray<A>, holds: (item: A) => boolean): ReadonlyArray<A> => {
  const some = all.filter(holds)
  return some.length > 0 ? some : all
}
