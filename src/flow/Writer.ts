/**
 * Commits what the sequencer says, a batch at a time, and tells readers afterwards.
 *
 * A commit is never tried again as it is: where the connection broke in the middle, nobody knows whether it went
 * through. The run ends instead, and the next one asks the coverage.
 */
import { Context, Effect, Layer } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import { Feed } from "../delivery/Feed.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import { Store, type StoreError, type StoreState } from "../store/Store.ts"
import { BackPressure } from "./BackPressure.ts"
import { Heads } from "./Heads.ts"
import { isLast, type SequenceError, type Step } from "./Sequencer.ts"
import * as Status from "./Status.ts"

export class Writer extends Context.Service<
  Writer,
  {
    /** Writes the steps under `epoch`. A `Stop` among them is failed with after what came before it is committed. */
    readonly commit: (epoch: number, steps: ReadonlyArray<Step>) => Effect.Effect<void, SequenceError>
    /** Builds the secondary indexes once it follows the head; before that, and afterwards, it does nothing. */
    readonly index: Effect.Effect<void, StoreError>
  }
>()("sluice/flow/Writer") {
  static readonly layer = Layer.effect(
    Writer,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const store = yield* Store
  const heads = yield* Heads
  const gate = yield* BackPressure
  const feed = yield* Feed
  const status = yield* Status.Status
  const { endBlock } = yield* Settings

  /** A backfill is faster without secondary indexes; they are built once, when it is through. */
  const index = Effect.gen(function* () {
    const now = yield* status.get
    // A run up to END_BLOCK is one part of a larger job: the run that follows the head builds them.
    if (endBlock !== undefined || now.indexed || Status.remaining(now) !== 0) return
    if (yield* store.ensureIndexes) yield* Effect.logInfo("secondary indexes built")
    yield* status.update({ indexed: true })
  })

  const append = Effect.fnUntraced(function* (epoch: number, blocks: ReadonlyArray<EncodedBlock>) {
    const finalized = confirmedFinal(yield* heads.finalized, (yield* status.get).store, blocks)
    const state = yield* store.append({ epoch, blocks, finalized })
    yield* status.committed(blocks.length, state)
    yield* gate.adjust({
      blocks: -blocks.length,
      bytes: -blocks.reduce((sum, block) => sum + block.bytes, 0)
    })
    yield* index
    yield* feed.publish(
      blocks.map(({ number, hash, parentHash, timestamp, level, transactions, logs }) => ({
        _tag: "BlockCommitted",
        number,
        hash,
        parentHash,
        timestamp,
        level,
        transactions,
        logs
      }))
    )
  })

  const rollback = Effect.fnUntraced(function* (
    epoch: number,
    { ancestor, mismatch }: Extract<Step, { readonly _tag: "Rollback" }>
  ): Effect.fn.Return<void, StoreError> {
    const { depth } = yield* store.rollback({ epoch, ancestor })
    yield* status.committed(0, yield* store.state)
    yield* feed.publish([{ _tag: "RolledBack", ancestor, depth }])
    yield* Effect.logInfo("reorg taken back").pipe(
      Effect.annotateLogs({
        ancestor,
        depth,
        block: mismatch.number,
        ours: mismatch.ours,
        theirs: mismatch.theirs
      })
    )
  })

  return Writer.of({
    index,
    commit: Effect.fnUntraced(function* (epoch, steps) {
      // What was given back once comes after what lies above it.
      const blocks = steps
        .flatMap((step) => (step._tag === "Append" ? [step.block] : []))
        .sort((a, b) => a.number - b.number)
      if (blocks.length > 0) yield* append(epoch, blocks)
      const end = steps.find(isLast)
      if (end?._tag === "Rollback") yield* rollback(epoch, end)
      if (end?._tag === "Stop") return yield* end.error
    })
  })
})

/**
 * The highest block that is final as it is stored: final on the chain, and below a block of this commit that is linked
 * down to it. What was stored before a pause may have been replaced since, however final its height is by now; and
 * nothing becomes final above a hole with blocks below it that nobody has linked yet.
 */
export const confirmedFinal = (
  finalized: number | undefined,
  stored: Pick<StoreState, "coverage" | "finalized">,
  blocks: ReadonlyArray<{ readonly number: number }>
): number | undefined => {
  if (finalized === undefined) return undefined
  const runs = blocks.reduce(
    (ranges, { number }) => BlockRange.add(ranges, BlockRange.make(number, number)),
    stored.coverage.reduce(BlockRange.add, [] as ReadonlyArray<BlockRange.BlockRange>)
  )
  const lowest = runs.find(({ to }) => to > (stored.finalized ?? -1))
  const top = blocks.findLast(({ number }) => lowest !== undefined && BlockRange.contains(lowest, number))
  if (lowest === undefined || top === undefined) return undefined
  const final = Math.min(finalized, top.number - 1)
  return final >= lowest.from ? final : undefined
}
