/**
 * The stream itself. `run` reads like the design's line; each word is a module.
 *
 * A run is one pass under one lease: from the coverage as it is now until there is nothing more to do (`END_BLOCK`),
 * a reorg, a fault, or `stop`. Nothing is carried from one run to the next but what is committed, so a fault and a
 * crash are recovered from in the same way.
 */
import { Context, Effect, Layer, Ref, Schedule, Sink, Stream } from "effect"
import type { BlockRange } from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import * as Coverage from "../store/Coverage.ts"
import type { Identity } from "../store/Store.ts"
import { Store, type StoreError } from "../store/Store.ts"
import { BackPressure } from "./BackPressure.ts"
import { Fetcher } from "./Fetcher.ts"
import { Heads, target } from "./Heads.ts"
import { Planner } from "./Planner.ts"
import { loadOf } from "./Pressure.ts"
import { isLast, type SequenceError, Sequencer, type Step } from "./Sequencer.ts"
import { Status } from "./Status.ts"
import { Writer } from "./Writer.ts"

export interface RunOptions {
  readonly identity: Identity
  readonly epoch: number
  /** When this completes, fetching ends at once, and what is whole is committed. */
  readonly stop: Effect.Effect<void>
}

export class Pipeline extends Context.Service<
  Pipeline,
  {
    /** One pass; succeeds with whether everything up to `END_BLOCK` is committed. */
    readonly run: (options: RunOptions) => Effect.Effect<boolean, SequenceError>
  }
>()("sluice/flow/Pipeline") {
  static readonly layer = Layer.effect(
    Pipeline,
    Effect.suspend(() => make)
  )
}

/** Batches that wait while one is being committed. */
const batchesAhead = 1

/** Bytes of rows after which a batch is full, however few its blocks: batches wait in memory, three at a time. */
const batchBytes = 6 * 2 ** 20

interface Batch {
  readonly steps: Array<Step>
  readonly bytes: number
}

/** `groupedWithin`, with a limit in bytes beside the one in blocks. */
const batch = (blocks: number) =>
  Sink.fold(
    (): Batch => ({ steps: [], bytes: 0 }),
    ({ bytes, steps }) => steps.length < blocks && bytes < batchBytes,
    ({ bytes, steps }, step: Step) =>
      Effect.sync((): Batch => {
        steps.push(step)
        return { steps, bytes: bytes + weight(step) }
      })
  )

const weight = (step: Step): number => {
  if (step._tag === "Append") return step.block.bytes
  return step._tag === "Cover" ? step.page.bytes : 0
}

const appended = (steps: ReadonlyArray<Step>): ReadonlyArray<BlockRange> => [
  ...Coverage.runs(steps.flatMap((step) => (step._tag === "Append" ? [step.block] : []))),
  ...steps.flatMap((step) => (step._tag === "Cover" ? [step.page.range] : []))
]

const make = Effect.gen(function* () {
  const settings = yield* Settings
  const heads = yield* Heads
  const planner = yield* Planner
  const fetcher = yield* Fetcher
  const sequencer = yield* Sequencer
  const writer = yield* Writer
  const gate = yield* BackPressure
  const store = yield* Store
  const status = yield* Status

  const run = Effect.fnUntraced(function* ({ epoch, identity, stop }: RunOptions) {
    yield* gate.reset
    yield* status.update({ sequenced: undefined })
    yield* status.committed(0, yield* store.state)
    const { committed, due, giveBack, plan } = yield* planner.start
    const sequence = yield* sequencer.start(identity)
    const lost = yield* Ref.make<ProviderFault | undefined>(undefined)

    yield* heads.stream.pipe(
      Stream.tap(() => writer.index),
      Stream.takeUntil((head) => reachesEnd(head.number)),
      Stream.merge(due, { haltStrategy: "left" }),
      Stream.flatMap(plan),
      Stream.mapEffect(fetcher.fetch, { concurrency: settings.concurrency }),
      // The gate bounds it: what waits here is no longer in the way of the next fetch.
      Stream.buffer({ capacity: "unbounded" }),
      Stream.mapEffect(sequence),
      Stream.tap(waitForCommit),
      Stream.flattenIterable,
      Stream.tap((step) =>
        step._tag === "GiveBack" ? Effect.andThen(giveBack(step), Ref.set(lost, step.fault)) : Effect.void
      ),
      Stream.takeUntil(isLast),
      Stream.interruptWhen(stop),
      Stream.aggregateWithin(batch(settings.batchSize), Schedule.spaced(settings.flushInterval)),
      Stream.map(({ steps }) => steps),
      Stream.buffer({ capacity: batchesAhead }),
      Stream.runForEach((steps) => Effect.andThen(writer.commit(epoch, steps), committed(appended(steps))))
    )
    if (yield* complete) return true
    // Up to END_BLOCK there is no later head that would bring back what was lost: that is for the next run.
    const fault = yield* Ref.get(lost)
    return settings.endBlock !== undefined && fault !== undefined ? yield* fault : false
  }, Effect.scoped)

  /** What is sequenced waits in the sequencer's buffer. */
  const waitForCommit = (steps: ReadonlyArray<Step>) => {
    const through = steps.flatMap((step) => {
      if (step._tag === "Append") return [{ number: step.block.number, bytes: step.block.bytes }]
      return step._tag === "Cover" ? [{ number: step.page.range.to, bytes: step.page.bytes }] : []
    })
    const load = loadOf(through)
    const top = through.at(-1)
    return top === undefined
      ? Effect.void
      : Effect.andThen(
          gate.move(["results", load], ["sequencer", load]),
          status.update({ sequenced: top.number })
        )
  }

  const reachesEnd = (head: number) =>
    settings.endBlock !== undefined && target(settings, head) >= settings.endBlock

  const complete: Effect.Effect<boolean, StoreError> = Effect.gen(function* () {
    if (settings.endBlock === undefined) return false
    const gaps = yield* store.gaps({ from: settings.startBlock, to: settings.endBlock }, 1)
    return gaps.length === 0
  })

  return Pipeline.of({ run })
})
