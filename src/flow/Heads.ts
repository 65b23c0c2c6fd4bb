/**
 * The newest head, and what the chain calls safe and final.
 *
 * Heads pass through a sliding queue of one: a newer head says all that an older one said, so a busy pipeline skips
 * those in between. Each run of the pipeline starts from the newest head, whatever an earlier run took and dropped.
 */
import { Context, Duration, Effect, Layer, Option, Queue, Ref, Schedule, Stream } from "effect"
import type { BlockHeader, Hex } from "../chain/Block.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import * as Metrics from "./Metrics.ts"
import { Status } from "./Status.ts"

export interface Final {
  readonly number: number
  /** Undefined where it is only counted from the head. */
  readonly hash: Hex | undefined
}

export class Heads extends Context.Service<
  Heads,
  {
    /** The newest head at once, then each newer one; fails when no endpoint serves the chain. */
    readonly stream: Stream.Stream<BlockHeader, ProviderFault>
    readonly latest: Effect.Effect<BlockHeader | undefined>
    readonly safe: Effect.Effect<BlockHeader | undefined>
    /**
     * The highest block that can no longer be taken back: by the chain's `finalized` tag, or, without one,
     * `FINALITY_DEPTH` blocks below the head. Undefined before the first head.
     */
    readonly finalized: Effect.Effect<Final | undefined>
  }
>()("sluice/flow/Heads") {
  static readonly layer = Layer.effect(
    Heads,
    Effect.suspend(() => make)
  )
}

/** Tags move once in an epoch; asking more often than this only costs. */
const tagInterval = Duration.seconds(4)

/** The highest block to have when the head is at `head`; below `startBlock` when there is none yet. */
export const target = (
  settings: Pick<Settings["Service"], "confirmationDepth" | "endBlock">,
  head: number
): number => Math.min(head - settings.confirmationDepth, settings.endBlock ?? Number.POSITIVE_INFINITY)

const make = Effect.gen(function* () {
  const source = yield* ChainSource
  const settings = yield* Settings
  const status = yield* Status
  const queue = yield* Queue.sliding<BlockHeader, ProviderFault>(1)
  const latest = yield* Ref.make(Option.none<BlockHeader>())
  const safe = yield* Ref.make<BlockHeader | undefined>(undefined)
  const tagged = yield* Ref.make<BlockHeader | undefined>(undefined)

  const head = Effect.map(Ref.get(latest), Option.getOrUndefined)
  const finalized = Effect.gen(function* () {
    const tag = yield* Ref.get(tagged)
    const newest = yield* head
    if (tag !== undefined) return { number: tag.number, hash: tag.hash } satisfies Final
    if (newest === undefined) return undefined
    return { number: Math.max(0, newest.number - settings.finalityDepth), hash: undefined } satisfies Final
  })

  const refreshTags = Effect.gen(function* () {
    yield* Ref.set(tagged, yield* source.finalized)
    yield* Ref.set(safe, yield* source.safe)
  }).pipe(
    Effect.catch((fault) =>
      Effect.logDebug("finalized tag not read").pipe(Effect.annotateLogs({ reason: fault.message }))
    )
  )

  yield* source.heads.pipe(
    Stream.runForEach((head) =>
      Effect.gen(function* () {
        // The first head waits for the tags: finality is known before anything is written.
        if (Option.isNone(yield* Ref.get(latest))) yield* refreshTags
        yield* Ref.set(latest, Option.some(head))
        yield* Metrics.mergedRequests(yield* Queue.size(queue))
        yield* Queue.offer(queue, head)
        yield* status.update({
          head,
          target: target(settings, head.number),
          safe: (yield* Ref.get(safe))?.number,
          finalized: (yield* finalized)?.number
        })
      })
    ),
    Effect.catch((fault) => Queue.fail(queue, fault)),
    Effect.forkScoped
  )
  yield* refreshTags.pipe(
    Effect.schedule(Schedule.spaced(Duration.max(tagInterval, settings.pollInterval))),
    Effect.forkScoped
  )

  return Heads.of({
    stream: Stream.concat(
      Stream.fromIterableEffect(Effect.map(Ref.get(latest), Option.toArray)),
      Stream.fromEffectRepeat(Queue.take(queue))
    ),
    latest: head,
    safe: Ref.get(safe),
    finalized
  })
})
