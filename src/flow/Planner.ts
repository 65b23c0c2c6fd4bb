/**
 * What to fetch next: `target − coverage`, always asked anew, behind the gate.
 *
 * A crash, a skipped head, a repaired hole, a lowered start block are all the same here: a gap. What this run has
 * scheduled already and not committed yet is left out; a run that failed forgets it, and coverage brings it back.
 *
 * A range that nobody could answer comes back here, while the rest goes on. It is planned again after a while, in
 * halves, so that in the end only the block that cannot be had is missing. Later runs remember where it was cut.
 */
import { Context, Data, Duration, Effect, Layer, Option, Queue, Ref, type Scope, Stream } from "effect"
import type { BlockHeader } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { Store, type StoreError } from "../store/Store.ts"
import { BackPressure } from "./BackPressure.ts"
import { Heads, target } from "./Heads.ts"
import { IndexMode } from "./IndexMode.ts"
import * as Metrics from "./Metrics.ts"
import type { Component, Load } from "./Pressure.ts"
import { Status } from "./Status.ts"

export type Plan = Data.TaggedEnum<{
  Fetch: {
    readonly range: BlockRange.BlockRange
    /** Whole blocks, whole blocks of which only events are stored, or only the logs of some contracts. */
    readonly what: "blocks" | "window" | "events"
    /** What the gate let in for it. */
    readonly load: Load
    /** The block above `range` may be there already. */
    readonly seam: boolean
    /** How often it was given back. */
    readonly attempt: number
  }
  /** The highest block to have is scheduled or committed: is it still the same one on the chain of this head? */
  Verify: { readonly number: number; readonly head: BlockHeader }
}>
export const Plan = Data.taggedEnum<Plan>()

export type FetchPlan = Data.TaggedEnum.Value<Plan, "Fetch">

export interface Planning {
  readonly plan: (head: BlockHeader) => Stream.Stream<Plan, StoreError | ProviderFault>
  /** These are in the store: from now on its coverage tells whether they have to be fetched. */
  readonly committed: (ranges: ReadonlyArray<BlockRange.BlockRange>) => Effect.Effect<void>
  /** The latest head whenever something that was given back is due. */
  readonly due: Stream.Stream<BlockHeader>
  /** These blocks of a plan could not be had; `load` of the gate's room was still theirs, where they were last. */
  readonly giveBack: (lost: {
    readonly from: Component
    readonly range: BlockRange.BlockRange
    readonly load: Load
    readonly attempt: number
    readonly fault: ProviderFault
  }) => Effect.Effect<void>
}

/** Gaps read from the store at a time; a coverage with more holes is read in pages. */
const gapPage = 1000

/** More than the halvings of all ranges that may be in flight. */
const cutsKept = 500

/** What a page of events is taken to weigh until it is there; one of them takes the room of a block. */
const pageLoad: Load = { blocks: 1, bytes: 2 * 2 ** 20 }

/** How long something that was given back for the n-th time waits. */
const backoff = (attempt: number): Duration.Duration =>
  Duration.min(Duration.seconds(30), Duration.times(Duration.millis(500), 2 ** Math.min(attempt, 10)))

/** What is planned again when its time has come. */
interface Returned {
  readonly range: BlockRange.BlockRange
  readonly attempt: number
}

export class Planner extends Context.Service<
  Planner,
  {
    /** A stateful planner for one run. */
    readonly start: Effect.Effect<Planning, never, Scope.Scope>
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
  const heads = yield* Heads
  const status = yield* Status
  const indexMode = yield* IndexMode
  /** Blocks that a chunk has to start with. */
  const cuts = yield* Ref.make<ReadonlyArray<number>>([])

  const start = Effect.gen(function* () {
    const scope = yield* Effect.scope
    const scheduled = yield* Ref.make<ReadonlyArray<BlockRange.BlockRange>>([])
    const returned = yield* Ref.make<ReadonlyArray<Returned>>([])
    const signals = yield* Queue.sliding<void>(1)

    /** The gaps of one page, cut to what is not scheduled, and where the next page starts. */
    const gapsFrom = Effect.fnUntraced(function* (range: BlockRange.BlockRange) {
      // Before the gaps: what is committed in between is in one of the two.
      const taken = yield* Ref.get(scheduled)
      const gaps = yield* store.gaps(range, gapPage)
      const last = gaps.at(-1)
      const left = gaps.map((gap) => BlockRange.subtract(gap, taken))
      const merged = gaps.filter((gap, i) => !isWhole(gap, left[i] ?? []))
      yield* Metrics.mergedRequests(merged.length)
      return {
        gaps: left.flat(),
        next: gaps.length === gapPage && last !== undefined ? last.to + 1 : undefined
      }
    })

    const fetch = Effect.fnUntraced(function* (range: BlockRange.BlockRange, seam: boolean, attempt: number) {
      const { bytes } = yield* source.chunk
      const below = yield* Ref.get(eventsBelow)
      const what = below === undefined ? "blocks" : range.to < below ? "events" : "window"
      const blocks = BlockRange.size(range)
      const load = what === "events" ? pageLoad : { blocks, bytes: blocks * bytes }
      yield* gate.admit(load)
      yield* Ref.update(scheduled, (ranges) => BlockRange.add(ranges, range))
      return Plan.Fetch({ range, what, load, seam, attempt })
    })

    /**
     * Below this block only events are asked for: what is not final has to be linked, block by block. Undefined where
     * whole blocks are stored.
     */
    const eventsBelow = yield* Ref.make<number | undefined>(undefined)

    /** What was given back and is due, one after another. */
    const again = Effect.gen(function* () {
      const first = yield* Ref.modify(
        returned,
        ([next, ...rest]): [Returned | undefined, ReadonlyArray<Returned>] => [next, rest]
      )
      return first === undefined ? undefined : yield* fetch(first.range, true, first.attempt)
    })

    /** One gap in chunks of the size that the source likes best now, each behind the gate. */
    const chunks = (gap: BlockRange.BlockRange, to: number): Stream.Stream<Plan> =>
      Stream.unfold(
        gap.from,
        Effect.fnUntraced(function* (from: number) {
          if (from > gap.to) return undefined
          const before = yield* again
          if (before !== undefined) return [before, from] as const
          const below = (yield* Ref.get(eventsBelow)) ?? 0
          const blocks = from < below ? yield* source.logChunk : (yield* source.chunk).blocks
          const cut = [...(yield* Ref.get(cuts)), below].filter((at) => at > from)
          const range = BlockRange.make(from, Math.min(gap.to, from + blocks - 1, ...cut.map((at) => at - 1)))
          const seam = range.to === gap.to && gap.to < to
          return [yield* fetch(range, seam, 0), range.to + 1] as const
        })
      )

    const plan = Effect.fnUntraced(function* (head: BlockHeader) {
      yield* gate.calm
      const final = (yield* heads.finalized)?.number ?? 0
      yield* Ref.set(eventsBelow, (yield* indexMode.decide(final)) === "events" ? final : undefined)
      const to = target(settings, head.number)
      const known = (yield* Ref.get(scheduled)).at(-1)?.to ?? -1
      const { tip } = (yield* status.get).store
      const isKnown = to >= settings.startBlock && to <= Math.max(known, tip?.number ?? -1)
      const verify = isKnown ? [Plan.Verify({ number: to, head })] : []
      const gaps = Stream.paginate(
        settings.startBlock,
        Effect.fnUntraced(function* (from: number) {
          const page = yield* gapsFrom(BlockRange.make(from, to))
          return [page.gaps, Option.fromUndefinedOr(page.next)] as const
        })
      )
      const due = Stream.unfold(undefined, () =>
        Effect.map(again, (found) => (found === undefined ? undefined : ([found, undefined] as const)))
      )
      return Stream.fromIterable(verify).pipe(
        Stream.concat(due),
        Stream.concat(
          to < settings.startBlock ? Stream.empty : Stream.flatMap(gaps, (gap) => chunks(gap, to))
        )
      )
    })

    const giveBack: Planning["giveBack"] = Effect.fnUntraced(function* ({
      attempt,
      fault,
      from,
      load,
      range
    }) {
      const wait = backoff(attempt)
      yield* gate.leave(from, load)
      yield* status.stuck({ ...range, reason: fault.message, attempts: attempt + 1, retryIn: wait })
      yield* Effect.logWarning("blocks given back, the rest goes on").pipe(
        Effect.annotateLogs({ ...range, reason: fault.message, retryIn: Duration.format(wait) })
      )
      const parts = halves(range).map((part): Returned => ({ range: part, attempt: attempt + 1 }))
      yield* Ref.update(cuts, (before) =>
        [...new Set([...before, ...parts.flatMap((part) => [part.range.from, part.range.to + 1])])].slice(
          -cutsKept
        )
      )
      yield* Effect.sleep(wait).pipe(
        Effect.andThen(Ref.update(returned, (before) => [...before, ...parts])),
        Effect.andThen(Queue.offer(signals, undefined)),
        Effect.forkIn(scope)
      )
    })

    const committed: Planning["committed"] = (ranges) =>
      Ref.update(scheduled, (before) => before.flatMap((range) => BlockRange.subtract(range, ranges)))

    return {
      committed,
      plan: (head: BlockHeader) => Stream.unwrap(plan(head)),
      due: Stream.fromEffectRepeat(Queue.take(signals)).pipe(
        Stream.mapEffect(() => heads.latest),
        Stream.filter((head) => head !== undefined)
      ),
      giveBack
    } satisfies Planning
  })

  return Planner.of({ start })
})

const isWhole = (gap: BlockRange.BlockRange, [first]: ReadonlyArray<BlockRange.BlockRange>): boolean =>
  first?.from === gap.from && first.to === gap.to

const halves = ({ from, to }: BlockRange.BlockRange): ReadonlyArray<BlockRange.BlockRange> => {
  if (from === to) return [{ from, to }]
  const middle = Math.floor((from + to) / 2)
  return [BlockRange.make(from, middle), BlockRange.make(middle + 1, to)]
}
