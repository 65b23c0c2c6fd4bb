/**
 * Token metrics beside the stream: every commit is told to them, and every reorg.
 */
import { Context, Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql"
import type { BlockHeader } from "../chain/Block.ts"
import { Settings } from "../config/Settings.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import { EventTables } from "../store/EventTables.ts"
import * as Fence from "../store/Fence.ts"
import type { LogPage, StoreError } from "../store/Store.ts"
import type { TokenEvent } from "./TokenEvent.ts"
import * as TokenLogs from "./TokenLogs.ts"
import * as TokenMetrics from "./TokenMetrics.ts"
import { TokenReads } from "./TokenReads.ts"

export interface TokenFollowerShape {
  /** Under a new lease, or after a fault: reads from the tables what holds at the tip. */
  readonly start: (epoch: number, tip: BlockHeader | undefined) => Effect.Effect<void, StoreError>
  /** These are committed; the tip is the highest block that is stored. */
  readonly committed: (
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<LogPage>,
    tip: BlockHeader | undefined
  ) => Effect.Effect<void, StoreError>
  readonly rolledBack: (tip: BlockHeader | undefined) => Effect.Effect<void, StoreError>
  /** Writes what is due now. */
  readonly flush: Effect.Effect<void, StoreError>
  /** Writes what is due by the clock, for as long as the lease. */
  readonly run: Effect.Effect<never, StoreError>
}

/** Without a layer there are no token metrics. */
export const TokenFollower = Context.Reference<TokenFollowerShape>("sluice/tokens/TokenFollower", {
  defaultValue: () => ({
    start: () => Effect.void,
    committed: () => Effect.void,
    rolledBack: () => Effect.void,
    flush: Effect.void,
    run: Effect.never
  })
})

/**
 * Follows the transfers and swaps among the deployment's events, and provides `TokenReads` for who asks whether it is
 * there; nothing of both where there are no such events.
 */
export const layer: Layer.Layer<never, never, Settings | SqlClient.SqlClient> = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* Settings
    const events = yield* EventTables
    const { followed, leftOut } = TokenLogs.choose(events.sources)
    for (const { id } of settings.tokenMetrics ? leftOut : []) {
      yield* Effect.logWarning("not in the token metrics: another source may have the same logs").pipe(
        Effect.annotateLogs({ source: id })
      )
    }
    if (!settings.tokenMetrics || followed.length === 0) return Layer.empty
    const metrics = TokenMetrics.make({
      schema: settings.databaseSchema,
      sources: followed.map(({ kind, source }) => ({ kind, table: source.table.name })),
      transaction: yield* Fence.make(settings.databaseSchema, "write token metrics"),
      flushInterval: settings.tokenFlushInterval,
      fullFlushInterval: settings.tokenFullFlushInterval,
      checkpointInterval: settings.tokenCheckpointInterval,
      flushBatchSize: settings.flushBatchSize,
      pruneThreshold: settings.tokenPruneThreshold
    })
    const kindOf = new Map(followed.map(({ kind, source }) => [source, kind]))
    const follower = Layer.effect(
      TokenFollower,
      Effect.map(metrics, ({ committed, flush, rolledBack, run, start }): TokenFollowerShape => {
        const eventsOf = (blocks: ReadonlyArray<EncodedBlock>, pages: ReadonlyArray<LogPage>) => {
          // What is stored above the tip is not in memory, though its source has seen it: it counts when it is covered.
          // A commit may have blocks below its pages.
          const logs = [
            ...pages.flatMap((page) => events.logsOfPage(page, "all")),
            ...blocks.flatMap((block) => events.logsOf(block, "all"))
          ].sort((a, b) => a.blockNumber - b.blockNumber)
          return logs.flatMap(({ blockNumber, log, source, timestamp }): ReadonlyArray<TokenEvent> => {
            const kind = kindOf.get(source)
            const event = kind && TokenLogs.eventOf(kind, log, { blockNumber, timestamp })
            return event === undefined ? [] : [event]
          })
        }
        return {
          start,
          committed: (blocks, pages, tip) =>
            tip === undefined ? Effect.void : committed(eventsOf(blocks, pages), tip),
          rolledBack,
          flush,
          run
        }
      })
    )
    return Layer.merge(follower, TokenReads.layer(settings.databaseSchema))
  })
)
