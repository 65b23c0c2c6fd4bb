/**
 * What to fetch next: `target − coverage`, always asked anew, behind the gate.
 *
 * A crash, a skipped head, a repaired hole, a lowered start block are all the same here: a gap. What this run has
 * scheduled already and not committed yet is left out; a run that failed forgets it, and coverage brings it back.
 */
import { Context, Data, Effect, Layer, Option, Ref, Stream } from "effect"
import type { BlockHeader } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { Store, type StoreError } from "../store/Store.ts"
import { BackPressure } from "./BackPressure.ts"
import { target } from "./Heads.ts"

export type Plan = Data.TaggedEnum<{
  /** Fetch these blocks; `bytes` were admitted for them. `seam` when the block above `range` is committed. */
  Fetch: { readonly range: BlockRange.BlockRange; readonly bytes: number; readonly seam: boolean }
  /** The head is at a height that is scheduled or committed: is it still the same block? */
  Verify: { readonly head: BlockHeader }
}>
export const Plan = Data.taggedEnum<Plan>()

/** Gaps read from the store at a time; a coverage with more holes is read in pages. */
const gapPage = 1000

export class Planner extends Context.Service<
  Planner,
  {
    /** A stateful planner for one run. */
    readonly start: Effect.Effect<(head: BlockHeader) => Stream.Stream<Plan, StoreError>>
  }
>()("sluice/flow/Planner") {
  static readonly layer = Layer.effect(
    Planner,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const settings = yield* Settings
  const store = yield* Store
  const source = yield* ChainSource
  const gate = yield* BackPressure

  const start = Effect.gen(function* () {
    const scheduled = yield* Ref.make<ReadonlyArray<BlockRange.BlockRange>>([])

    /** The gaps of one page, cut to what is not scheduled, and where the next page starts. */
    const gapsFrom = Effect.fnUntraced(function* (range: BlockRange.BlockRange) {
      const gaps = yield* store.gaps(range, gapPage)
      const taken = yield* Ref.get(scheduled)
      const last = gaps.at(-1)
      return {
        gaps: gaps.flatMap((gap) => BlockRange.subtract(gap, taken)),
        next: gaps.length === gapPage && last !== undefined ? last.to + 1 : undefined
      }
    })

    /** One gap in chunks of the size that the source likes best now, each behind the gate. */
    const chunks = (gap: BlockRange.BlockRange, to: number): Stream.Stream<Plan> =>
      Stream.unfold(
        gap.from,
        Effect.fnUntraced(function* (from: number) {
          if (from > gap.to) return undefined
          const { blocks, bytes } = yield* source.chunk
          const range = BlockRange.make(from, Math.min(gap.to, from + blocks - 1))
          const size = { blocks: BlockRange.size(range), bytes: BlockRange.size(range) * bytes }
          yield* gate.admit(size)
          yield* Ref.update(scheduled, (ranges) => BlockRange.add(ranges, range))
          const seam = range.to === gap.to && gap.to < to
          return [Plan.Fetch({ range, bytes: size.bytes, seam }), range.to + 1] as const
        })
      )

    const plan = Effect.fnUntraced(function* (head: BlockHeader) {
      const to = target(settings, head.number)
      const known = (yield* Ref.get(scheduled)).at(-1)?.to ?? -1
      const { tip } = yield* store.state
      const verify = head.number <= Math.max(known, tip?.number ?? -1) ? [Plan.Verify({ head })] : []
      const gaps = Stream.paginate(
        settings.startBlock,
        Effect.fnUntraced(function* (from: number) {
          const page = yield* gapsFrom(BlockRange.make(from, to))
          return [page.gaps, Option.fromUndefinedOr(page.next)] as const
        })
      )
      return Stream.concat(
        Stream.fromIterable(verify),
        to < settings.startBlock ? Stream.empty : Stream.flatMap(gaps, (gap) => chunks(gap, to))
      )
    })

    return (head: BlockHeader) => Stream.unwrap(plan(head))
  })

  return Planner.of({ start })
})
