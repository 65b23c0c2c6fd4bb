/**
 * What just happened, for live readers. Subscribers that are slow miss the oldest events (the PubSub slides): a
 * reader can never slow the stream, and whoever needs every event reads the tables.
 */
import { Context, Effect, Layer, PubSub, type Scope } from "effect"
import type { BlockHeader, ProofLevel } from "../chain/Block.ts"

/** A block is committed: its rows can be read. */
export interface BlockCommitted extends BlockHeader {
  readonly _tag: "BlockCommitted"
  readonly level: ProofLevel
  readonly transactions: number
  readonly logs: number
}

/** Blocks above `ancestor` are gone from the tables. */
export interface RolledBack {
  readonly _tag: "RolledBack"
  readonly ancestor: number
  readonly depth: number
}

export type FeedEvent = BlockCommitted | RolledBack

/** Events that a slow reader may lag behind before it misses some. */
const capacity = 1024

export class Feed extends Context.Service<
  Feed,
  {
    readonly publish: (events: ReadonlyArray<FeedEvent>) => Effect.Effect<void>
    readonly subscribe: Effect.Effect<PubSub.Subscription<FeedEvent>, never, Scope.Scope>
  }
>()("sluice/delivery/Feed") {
  static readonly layer = Layer.effect(
    Feed,
    Effect.gen(function* () {
      const events = yield* Effect.acquireRelease(PubSub.sliding<FeedEvent>(capacity), PubSub.shutdown)
      return Feed.of({
        publish: (batch) => Effect.asVoid(PubSub.publishAll(events, batch)),
        subscribe: PubSub.subscribe(events)
      })
    })
  )
}
