/**
 * What happened, as `/ws` and `/events` write it. docs/live.md describes the fields for readers.
 */
import { type FeedEvent, type FeedPlace, placeOf, printPlace } from "../delivery/Feed.ts"

/** An event that is rendered once, whoever reads it. */
export interface LiveEvent {
  readonly type: "block" | "reorg"
  readonly place: FeedPlace
  readonly id: string
  /** A JSON object. */
  readonly json: string
}

const fields = (event: FeedEvent) => {
  if (event._tag === "RolledBack") {
    const { ancestor, at, depth, removed } = event
    return { type: "reorg", ancestor, depth, at: new Date(at).toISOString(), removed } as const
  }
  const { hash, level, logs, number, parentHash, timestamp, transactions } = event
  return {
    type: "block",
    number,
    hash,
    parent_hash: parentHash,
    timestamp,
    level,
    transactions,
    logs
  } as const
}

export const make = (event: FeedEvent): LiveEvent => {
  const place = placeOf(event)
  const id = printPlace(place)
  const { type, ...rest } = fields(event)
  let json: string | undefined
  return {
    type,
    place,
    id,
    get json() {
      json ??= JSON.stringify({ id, type, ...rest })
      return json
    }
  }
}
