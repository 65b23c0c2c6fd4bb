/**
 * The newest events, in memory, so that readers who are up to date cost the database nothing.
 *
 * **Details**: it holds everything after the place `from`, without holes. Commits have no holes in their numbers, so a
 * commit that does not follow the last one shows that some were missed (they slid away, or another instance wrote
 * them): the window then begins anew, and whoever is behind it reads the store.
 */
import { comparePlaces, type FeedEvent, type FeedPlace } from "../delivery/Feed.ts"
import * as LiveEvent from "./LiveEvent.ts"

export interface EventWindow {
  readonly from: FeedPlace
  readonly events: ReadonlyArray<LiveEvent.LiveEvent>
}

/** Events that it holds, about. */
const size = 4096

export const empty = (from: FeedPlace): EventWindow => ({ from, events: [] })

/** The place after the last event. */
export const end = ({ events, from }: EventWindow): FeedPlace => events.at(-1)?.place ?? from

const before = (commit: number): FeedPlace => ({ commit: commit - 1, number: undefined })

const follows = (window: EventWindow, event: FeedEvent): boolean => event.commit <= end(window).commit + 1

/** With what came after it; what it has already is left out. */
export const add = (
  window: EventWindow | undefined,
  added: ReadonlyArray<FeedEvent>
): EventWindow | undefined => {
  let { events, from } = window ?? empty(before(added[0]?.commit ?? 1))
  const next: Array<LiveEvent.LiveEvent> = [...events]
  for (const event of added) {
    const live = LiveEvent.make(event)
    const last = next.at(-1)?.place ?? from
    if (comparePlaces(live.place, last) <= 0) continue
    if (!follows({ from, events: next }, event)) {
      next.length = 0
      from = before(event.commit)
    }
    next.push(live)
  }
  if (next.length > 2 * size) {
    const dropped = next.splice(0, next.length - size)
    from = dropped.at(-1)?.place ?? from
  }
  events = next
  return added.length === 0 ? window : { from, events }
}

/** The next events after a place, at most `limit`; undefined when it does not reach back that far. */
export const after = (
  window: EventWindow,
  place: FeedPlace,
  limit: number
): ReadonlyArray<LiveEvent.LiveEvent> | undefined => {
  if (comparePlaces(place, window.from) < 0 || place.commit > end(window).commit) return undefined
  let low = 0
  let high = window.events.length
  while (low < high) {
    const middle = (low + high) >> 1
    const event = window.events[middle]
    if (event !== undefined && comparePlaces(event.place, place) <= 0) low = middle + 1
    else high = middle
  }
  return window.events.slice(low, low + limit)
}
