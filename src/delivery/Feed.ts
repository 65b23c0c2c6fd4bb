/**
 * What just happened, for live readers, and where each of it stands in the feed. Subscribers that are slow miss the
 * oldest commits (the PubSub slides): a reader can never slow the stream. Whoever needs every event reads the feed of
 * the store (`Store.events`), where the same events stand under the same places.
 *
 * **Details**: a commit has the next number, without holes; it is one rollback, or blocks in ascending order. So a
 * place is the commit, and the block within it: `17.1900` is block 1900 of commit 17, `17` is the end of commit 17.
 */
import { Context, Effect, Layer, PubSub, type Scope } from "effect"
import type { BlockHeader, Hex, ProofLevel } from "../chain/Block.ts"

/** A block is committed: its rows can be read. */
export interface BlockCommitted extends BlockHeader {
  readonly _tag: "BlockCommitted"
  /** The commit that wrote it, in the order of the feed. */
  readonly commit: number
  readonly level: ProofLevel
  readonly transactions: number
  readonly logs: number
}

/** Blocks above `ancestor` are gone from the tables. */
export interface RolledBack {
  readonly _tag: "RolledBack"
  readonly commit: number
  readonly ancestor: number
  readonly depth: number
  /** Milliseconds since 1970, by the database's clock. */
  readonly at: number
  /** What was taken back, in ascending order. */
  readonly removed: ReadonlyArray<RemovedBlock>
}

export interface RemovedBlock {
  readonly number: number
  readonly hash: Hex
}

export type FeedEvent = BlockCommitted | RolledBack

/** A place between two events. */
export interface FeedPlace {
  readonly commit: number
  /** The last block of it that was read; undefined when all of the commit was. */
  readonly number: number | undefined
}

/** The place right after an event. */
export const placeOf = (event: FeedEvent): FeedPlace => ({
  commit: event.commit,
  number: event._tag === "BlockCommitted" ? event.number : undefined
})

export const printPlace = ({ commit, number }: FeedPlace): string =>
  number === undefined ? String(commit) : `${commit}.${number}`

/** Undefined for what no feed has given out. */
export const parsePlace = (text: string): FeedPlace | undefined => {
  const [, commit, number] = /^(\d{1,15})(?:\.(\d{1,15}))?$/.exec(text.trim()) ?? []
  return commit === undefined
    ? undefined
    : { commit: Number(commit), number: number === undefined ? undefined : Number(number) }
}

/** Negative when `a` comes before `b`. */
export const comparePlaces = (a: FeedPlace, b: FeedPlace): number =>
  a.commit - b.commit || (a.number === b.number ? 0 : (a.number ?? Infinity) - (b.number ?? Infinity))

/** Commits that a slow reader may lag behind before it misses some. */
const capacity = 64

export class Feed extends Context.Service<
  Feed,
  {
    /** The events of one commit. */
    readonly publish: (events: ReadonlyArray<FeedEvent>) => Effect.Effect<void>
    /** A commit at a time, whole. */
    readonly subscribe: Effect.Effect<PubSub.Subscription<ReadonlyArray<FeedEvent>>, never, Scope.Scope>
  }
>()("sluice/delivery/Feed") {
  static readonly layer = Layer.effect(
    Feed,
    Effect.gen(function* () {
      const events = yield* Effect.acquireRelease(
        PubSub.sliding<ReadonlyArray<FeedEvent>>(capacity),
        PubSub.shutdown
      )
      return Feed.of({
        publish: (commit) => Effect.asVoid(PubSub.publish(events, commit)),
        subscribe: PubSub.subscribe(events)
      })
    })
  )
}
