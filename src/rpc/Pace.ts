/**
 * How fast an endpoint may be asked: a pure state that learns from its refusals.
 *
 * **Details**
 *
 * It starts open. The first refusal halves what was really sent in the last second, each later one halves the pace
 * (once for all requests that were under way when it was heard); answers let it creep up again, fast to where it was
 * refused last and slowly beyond, until it is open once more. A wait that was told is kept to the millisecond: `wait`
 * is asked again after every sleep.
 *
 * It counts calls, as providers do: a batch of forty costs forty. Where a provider counts HTTP requests instead, the
 * pace it learns is as many times larger.
 *
 * **Gotchas**: times are milliseconds since 1970.
 */

export interface Pace {
  /** Calls a second; undefined while it is open. */
  readonly perSecond: number | undefined
  /** Calls a second that the provider said it allows. */
  readonly told: number | undefined
  /** Calls a second at which it was refused last. */
  readonly refusedAt: number
  /** When something was sent last. */
  readonly sentAt: number
  /** When the next call may go, as far as the pace is concerned. */
  readonly freeAt: number
  /** Until when nothing may be sent, because it was told or after a refusal that told nothing. */
  readonly restUntil: number
  /** Requests sent before this moment do not halve the pace again. */
  readonly slowedAt: number
  /** Refusals since the last answer. */
  readonly refusals: number
  /** When the pace was raised last. */
  readonly raisedAt: number
  /** Calls sent in the second that began at `since`, and in the one before. */
  readonly sent: { readonly since: number; readonly calls: number; readonly before: number }
}

export const open: Pace = {
  perSecond: undefined,
  told: undefined,
  refusedAt: Number.POSITIVE_INFINITY,
  sentAt: 0,
  freeAt: 0,
  restUntil: 0,
  slowedAt: 0,
  refusals: 0,
  raisedAt: 0,
  sent: { since: 0, calls: 0, before: 0 }
}

/** Slowest pace: one call in ten seconds. */
const slowest = 0.1

/** Longest rest after refusals that told no wait, milliseconds. */
const longestRest = 30_000

/** Whole milliseconds until something may be sent. */
export const wait = (pace: Pace, now: number): number =>
  Math.ceil(Math.max(0, pace.freeAt - now, pace.restUntil - now))

/** So many calls go out now. */
export const take = (pace: Pace, now: number, calls: number): Pace => {
  const { sent } = pace
  const second =
    now - sent.since < 1000
      ? { ...sent, calls: sent.calls + calls }
      : { since: now, calls, before: now - sent.since < 2000 ? sent.calls : 0 }
  return {
    ...pace,
    sent: second,
    sentAt: now,
    freeAt:
      pace.perSecond === undefined
        ? pace.freeAt
        : Math.max(pace.freeAt, now) + (calls * 1000) / pace.perSecond
  }
}

export interface Refusal {
  /** When the refused request was sent. */
  readonly sentAt: number
  /** Milliseconds it told to wait. */
  readonly retryAfter: number | undefined
  /** Calls a second it said it allows. */
  readonly perSecond: number | undefined
}

/** A request was refused because there were too many. */
export const refused = (pace: Pace, now: number, refusal: Refusal): Pace => {
  const rest = refusal.retryAfter ?? Math.min(longestRest, 250 * 2 ** Math.min(pace.refusals, 10))
  const rested = {
    ...pace,
    refusals: pace.refusals + 1,
    told: refusal.perSecond ?? pace.told,
    restUntil: Math.max(pace.restUntil, now + rest)
  }
  if (refusal.sentAt < pace.slowedAt) return rested
  const before = pace.perSecond ?? Math.max(1, pace.sent.calls, pace.sent.before)
  const half = Math.max(slowest, before / 2)
  return {
    ...rested,
    refusedAt: before,
    perSecond: rested.told === undefined ? half : Math.min(half, Math.max(slowest, rested.told)),
    slowedAt: now,
    raisedAt: now
  }
}

/** It told to be left alone for so long, for another reason than that there were too many requests. */
export const rest = (pace: Pace, now: number, millis: number): Pace => ({
  ...pace,
  restUntil: Math.max(pace.restUntil, now + millis)
})

/** A request was answered: the pace creeps up. */
export const answered = (pace: Pace, now: number): Pace => {
  if (pace.perSecond === undefined) return pace.refusals === 0 ? pace : { ...pace, refusals: 0 }
  const seconds = Math.min(1, (now - pace.raisedAt) / 1000)
  if (seconds <= 0) return pace
  const growth = pace.perSecond < 0.9 * pace.refusedAt ? 0.1 : 0.02
  const raised = pace.perSecond * (1 + growth * seconds)
  const perSecond = Math.min(raised, pace.told ?? raised)
  const opens = pace.told === undefined && perSecond > 4 * pace.refusedAt
  return { ...pace, refusals: 0, raisedAt: now, perSecond: opens ? undefined : perSecond }
}
