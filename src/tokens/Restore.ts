/**
 * The state from the checkpoint: tokens as they were at its block, then the events above it.
 *
 * **Details**
 *
 * What comes out is what the whole last day would have given, for the tip and for every block that can be gone back
 * to. Tokens that would be dropped at once for being idle are not even decoded: they are told as `asleep`.
 */
import { Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { Checkpoint, CheckpointRows, ListRow } from "./CheckpointRows.ts"
import { slack } from "./ReadBack.ts"
import * as StateCode from "./StateCode.ts"
import { type AsOf, blocksOf } from "./TokenEvent.ts"
import type { Pruned, TokenMemory } from "./TokenMemory.ts"
import type { EventRange, TokenSources } from "./TokenSources.ts"
import { type Moment, TokenState } from "./TokenState.ts"
import { coarseReach } from "./Windows.ts"

/** Tokens decoded at once. */
const page = 200

/** Tokens without a state that are read from the event tables; more of them are read faster with all others. */
const mostWithout = 1_000

export interface Restored {
  readonly state: TokenState
  readonly asleep: ReadonlyArray<readonly [Hex, Pruned]>
  /** Tokens that are not in the checkpoint as they are now. */
  readonly unsaved: Iterable<Hex>
  readonly savedAt: number
}

/**
 * Events up to the tip into a state: at once up to the floor, and so that they can be taken back above it. Blocks that
 * are older than the floor's time are not gone back to, and have no seconds to be counted in.
 */
export const replay = Effect.fnUntraced(function* (
  sources: TokenSources,
  state: TokenState,
  range: Pick<EventRange, "from" | "after">,
  floor: Moment,
  tip: AsOf
): Effect.fn.Return<void, SqlError> {
  yield* sources.scan({ ...range, to: tip.number }, (events) => {
    const settled = events.findIndex(
      ({ blockNumber, timestamp }) => blockNumber > floor.number && timestamp >= floor.timestamp
    )
    state.load(settled < 0 ? events : events.slice(0, settled), floor.number)
    for (const block of settled < 0 ? [] : blocksOf(events.slice(settled))) state.apply(block, block.events)
  })
  state.advance(tip)
})

export const make = ({
  format,
  memory,
  saved,
  sources
}: {
  readonly saved: CheckpointRows
  readonly sources: TokenSources
  readonly memory: TokenMemory
  /** Of a checkpoint that can be read. */
  readonly format: string
}) => {
  const { pruneThreshold, undoBlocks } = memory

  /** Whether it says all that has to be known at the tip; one of long ago is more to read than the last day. */
  const isUsable = (checkpoint: Checkpoint, tip: AsOf): boolean =>
    checkpoint.format === format &&
    checkpoint.number <= tip.number &&
    checkpoint.knownFrom <= tip.timestamp - coarseReach &&
    checkpoint.timestamp >= tip.timestamp - coarseReach

  /**
   * The state at the tip, from a checkpoint whose block is stored and below which nothing has changed; undefined where
   * it is of no use. `flushed` is the block that rows hold as of.
   */
  return Effect.fnUntraced(function* (
    checkpoint: Checkpoint,
    tip: AsOf,
    flushed: number | undefined
  ): Effect.fn.Return<Restored | undefined, SqlError> {
    if (!isUsable(checkpoint, tip)) return undefined
    const day = tip.timestamp - coarseReach - slack
    const floor = {
      number: Math.max(checkpoint.number, tip.number - undoBlocks),
      timestamp: Math.max(0, checkpoint.timestamp, tip.timestamp - slack)
    }
    const knownFrom = Math.max(checkpoint.knownFrom, day)
    const state = new TokenState({ undoBlocks, knownFrom, floor })
    const above = { from: checkpoint.number + 1, after: checkpoint.timestamp - 1 }
    const moved = new Set(yield* sources.moved({ ...above, to: tip.number }))
    const isAsleep = ({ address, lastBlock, lastTime }: ListRow) =>
      lastTime < tip.timestamp - pruneThreshold &&
      lastBlock <= tip.number - undoBlocks &&
      flushed !== undefined &&
      lastBlock <= flushed &&
      !moved.has(address)
    const all = yield* saved.list(checkpoint.generation, day - 1)
    const awake = all.filter((row) => !isAsleep(row))
    const told = awake.flatMap((row) => (row.told ? [row.address] : []))
    const without = awake.flatMap((row) => (row.told ? [] : [row.address]))
    if (without.length > mostWithout) return undefined
    for (let i = 0; i < told.length; i += page) {
      const asked = told.slice(i, i + page)
      const bodies = yield* saved.bodies(checkpoint.generation, asked)
      if (bodies.length < asked.length) return undefined
      for (const { address, body } of bodies) {
        if (StateCode.decode(state, address, body, floor.number)) continue
        yield* Effect.logWarning("the checkpoint of token metrics is damaged").pipe(
          Effect.annotateLogs({ token: address })
        )
        return undefined
      }
    }
    if (without.length > 0) {
      const from = yield* sources.firstBlock(day - 1, checkpoint.number)
      const range = { from, to: checkpoint.number, after: day - 1, addresses: without }
      yield* sources.scan(range, (events) => state.load(events, floor.number))
    }
    yield* replay(sources, state, above, floor, tip)
    return {
      state,
      asleep: all.flatMap((row) => (isAsleep(row) ? [[row.address, row] as const] : [])),
      unsaved: [...without, ...moved],
      savedAt: checkpoint.number
    }
  })
}
