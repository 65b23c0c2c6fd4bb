/**
 * The gate before every fetch: how many blocks, and how many bytes, may be between the planner and the commit.
 *
 * Above the high watermark of either, scheduling suspends until a commit makes room; nothing is dropped. A range
 * that is larger than the whole budget passes alone.
 */
import { Context, Effect, Latch, Layer, Ref } from "effect"
import { Settings } from "../config/Settings.ts"

export interface Limits {
  readonly blocks: number
  readonly bytes: number
}

export interface Usage extends Limits {
  /** How often scheduling had to wait. */
  readonly blocked: number
}

/** Blocks for each GiB of memory that the process may use. */
const blocksPerGiB = 1000

/** Whether `more` may pass: not above the high watermark with it, or alone. */
export const admits = (watermark: Limits, usage: Limits, more: Limits): boolean =>
  usage.blocks === 0 ||
  (usage.blocks + more.blocks <= watermark.blocks && usage.bytes + more.bytes <= watermark.bytes)

export class BackPressure extends Context.Service<
  BackPressure,
  {
    readonly limits: Limits
    readonly usage: Effect.Effect<Usage>
    /** Waits until there is room, then takes it. */
    readonly admit: (more: Limits) => Effect.Effect<void>
    /** What was admitted turned out larger or smaller, or was committed (negative). */
    readonly adjust: (change: Limits) => Effect.Effect<void>
    /** A new run starts with nothing in flight. */
    readonly reset: Effect.Effect<void>
  }
>()("sluice/flow/BackPressure") {
  static readonly layer = Layer.effect(
    BackPressure,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const { batchSize, bufferBytes, highWatermarkPct, memoryBytes, profile } = yield* Settings
  const limits: Limits = {
    blocks: Math.max(
      batchSize,
      Math.min(profile.resultsCapacity, Math.floor((memoryBytes / 2 ** 30) * blocksPerGiB))
    ),
    bytes: bufferBytes
  }
  const watermark: Limits = {
    blocks: (limits.blocks * highWatermarkPct) / 100,
    bytes: (limits.bytes * highWatermarkPct) / 100
  }
  const state = yield* Ref.make<Usage>({ blocks: 0, bytes: 0, blocked: 0 })
  const room = yield* Latch.make(true)

  const admit = (more: Limits): Effect.Effect<void> =>
    Effect.gen(function* () {
      const admitted = yield* Ref.modify(state, (usage) =>
        admits(watermark, usage, more)
          ? [true, { ...usage, blocks: usage.blocks + more.blocks, bytes: usage.bytes + more.bytes }]
          : [false, { ...usage, blocked: usage.blocked + 1 }]
      )
      if (admitted) return
      yield* Latch.close(room)
      // Room that came up between the look and the closing is seen here.
      if (admits(watermark, yield* Ref.get(state), more)) yield* Latch.open(room)
      yield* room.await
      yield* admit(more)
    })

  const adjust = (change: Limits) =>
    Effect.andThen(
      Ref.update(state, (usage) => ({
        ...usage,
        blocks: Math.max(0, usage.blocks + change.blocks),
        bytes: Math.max(0, usage.bytes + change.bytes)
      })),
      Latch.open(room)
    )

  return BackPressure.of({
    limits,
    usage: Ref.get(state),
    admit,
    adjust,
    reset: Effect.andThen(
      Ref.update(state, (usage) => ({ ...usage, blocks: 0, bytes: 0 })),
      Latch.open(room)
    )
  })
})
