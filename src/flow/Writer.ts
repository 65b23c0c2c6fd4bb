/**
 * Commits what the sequencer says, a batch at a time, and tells readers afterwards.
 *
 * A commit is never tried again as it is: where the connection broke in the middle, nobody knows whether it went
 * through. The run ends instead, and the next one asks the coverage.
 */
import { Clock, Context, Effect, Layer } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import { Feed } from "../delivery/Feed.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import { type LogPage, Store, type StoreError } from "../store/Store.ts"
import { TokenFollower } from "../tokens/TokenFollower.ts"
import { BackPressure } from "./BackPressure.ts"
import { type Final, Heads } from "./Heads.ts"
import * as Metrics from "./Metrics.ts"
import { loadOf } from "./Pressure.ts"
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
  const tokens = yield* TokenFollower
  const status = yield* Status.Status
  const { endBlock, finalityDepth } = yield* Settings

  /** A backfill is faster without secondary indexes; they are built once, when it is through. */
  const index = Effect.gen(function* () {
    const now = yield* status.get
    // A run up to END_BLOCK is one part of a larger job: the run that follows the head builds them.
    if (endBlock !== undefined || now.indexed || Status.remaining(now) !== 0) return
    if (yield* store.ensureIndexes) yield* Effect.logInfo("secondary indexes built")
    yield* status.update({ indexed: true })
  })

  /** What can be called final once these blocks are committed. */
  const finalWith = Effect.fnUntraced(function* (
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<LogPage>
  ) {
    const { coverage, finalized } = (yield* status.get).store
    const final = yield* heads.finalized
    if (final === undefined) return undefined
    const ranges = [
      ...coverage,
      ...pages.map(({ range }) => range),
      ...blocks.map(({ number }) => BlockRange.make(number, number))
    ]
    const merged = ranges.reduce(BlockRange.add, [] as ReadonlyArray<BlockRange.BlockRange>)
    const number = linkedFinal(final, finalityDepth, finalized, merged)
    if (number === undefined || final.hash === undefined) return number
    const ours =
      blocks.find((block) => block.number === number) ??
      (yield* store.headers(BlockRange.make(number, number)))[0]
    return ours?.hash === final.hash ? number : undefined
  })

  const append = Effect.fnUntraced(function* (
    epoch: number,
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<LogPage>
  ) {
    const finalized = yield* finalWith(blocks, pages)
    const started = yield* Clock.currentTimeMillis
    const state = yield* store.append({ epoch, blocks, pages, finalized })
    const took = (yield* Clock.currentTimeMillis) - started
    yield* Metrics.written(blocks.length, took)
    yield* tokens.committed(blocks, pages, state.tip)
    const covered = pages.reduce((sum, { range }) => sum + BlockRange.size(range), blocks.length)
    yield* status.committed(covered, state, took)
    yield* gate.leave("sequencer", loadOf([...blocks, ...pages]))
    yield* index
    yield* feed.publish(
      blocks.map(({ number, hash, parentHash, timestamp, level, transactions, logs }) => ({
        _tag: "BlockCommitted",
        commit: state.commit,
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
    const { at, blocks, commit, depth, logs, removed, transactions } = yield* store.rollback({
      epoch,
      ancestor
    })
    yield* Metrics.rolledBack(depth, blocks + transactions + logs)
    const state = yield* store.state
    yield* tokens.rolledBack(state.tip)
    yield* status.committed(0, state)
    yield* feed.publish([{ _tag: "RolledBack", commit, ancestor, depth, at, removed }])
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
      const pages = steps.flatMap((step) => (step._tag === "Cover" ? [step.page] : []))
      if (blocks.length + pages.length > 0)
        yield* Effect.withSpan(append(epoch, blocks, pages), "commit", spanOf(epoch, blocks, steps))
      const end = steps.find(isLast)
      if (end?._tag === "Rollback") {
        const attributes = { epoch, ancestor: end.ancestor }
        yield* Effect.withSpan(rollback(epoch, end), "rollback", { root: true, attributes })
      }
      if (end?._tag === "Stop") return yield* end.error
    })
  })
})

/** The commit's own trace, linked to those of the fetches that it writes. */
const spanOf = (epoch: number, blocks: ReadonlyArray<EncodedBlock>, steps: ReadonlyArray<Step>) => {
  const fetches = new Set(steps.flatMap((step) => ("span" in step && step.span ? [step.span] : [])))
  return {
    root: true,
    attributes: { epoch, from: blocks[0]?.number, to: blocks.at(-1)?.number, blocks: blocks.length },
    links: [...fetches].map((span) => ({ span, attributes: {} }))
  }
}

/**
 * Up to where the rows in `ranges` can be called final. What the chain says of a height is not enough, since the rows
 * may be those of a dead fork that a stale endpoint still serves: the finalized block itself has to be among them (its
 * hash is for the caller to compare), or, where it is only counted from the head, so many blocks above it. All of them
 * linked: not above a hole, as long as there is something below it that was not final `before`.
 */
export const linkedFinal = (
  final: Final,
  finalityDepth: number,
  before: number | undefined,
  ranges: ReadonlyArray<BlockRange.BlockRange>
): number | undefined => {
  const lowest = ranges.find(({ to }) => to > (before ?? -1))
  if (lowest === undefined) return undefined
  const number = final.hash === undefined ? Math.min(final.number, lowest.to - finalityDepth) : final.number
  return number > (before ?? -1) && BlockRange.contains(lowest, number) ? number : undefined
}
