/**
 * The gate before every fetch: how many blocks, and how many bytes, may be between the planner and the commit.
 *
 * **Details**
 *
 * Above a high watermark scheduling suspends; nothing is dropped. It tries again after 100 ms, and after twice as long
 * each time up to 3.2 s (levels 0 to 5, at once 5 above the critical watermark), or as soon as a commit has made room;
 * then the level is 0 again.
 *
 * All that tells of it (`/api/backpressure_stats`, the metrics, the log) reads the one state in here.
 */
import { Context, Effect, Latch, Layer, Option, Ref, Schedule } from "effect"
import { Settings } from "../config/Settings.ts"
import * as Metrics from "./Metrics.ts"
import * as Pressure from "./Pressure.ts"

export class BackPressure extends Context.Service<
  BackPressure,
  {
    readonly limits: Pressure.Limits
    readonly pressure: Effect.Effect<Pressure.Pressure>
    /** Waits until there is room for more jobs, then takes it. */
    readonly admit: (more: Pressure.Load) => Effect.Effect<void>
    /** Blocks go from one component to the next; what they weigh there may differ. */
    readonly move: (
      from: readonly [Pressure.Component, Pressure.Load],
      to: readonly [Pressure.Component, Pressure.Load]
    ) => Effect.Effect<void>
    /** Blocks are through, or were given up. */
    readonly leave: (component: Pressure.Component, load: Pressure.Load) => Effect.Effect<void>
    /** Waits until a whole batch has room, for a merge window at most: what is asked for meanwhile becomes one request. */
    readonly calm: Effect.Effect<void>
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
  const settings = yield* Settings
  const { mergeWindow } = settings.profile
  const limits = Pressure.limits({
    memoryBytes: settings.memoryBytes,
    bufferBytes: settings.bufferBytes,
    cap: settings.profile.resultsCapacity,
    batchSize: settings.batchSize,
    high: settings.highWatermarkPct,
    critical: settings.criticalWatermarkPct
  })
  const state = yield* Ref.make(Pressure.empty)
  const room = yield* Latch.make(true)
  /** Highest level since the log was last looked at. */
  const peak = yield* Ref.make(0)

  const changed = (pressure: Pressure.Pressure) =>
    Effect.andThen(
      Metrics.backPressure(limits, pressure),
      Ref.update(peak, (before) => Math.max(before, pressure.level))
    )
  const update = (change: (pressure: Pressure.Pressure) => Pressure.Pressure) =>
    Effect.flatMap(Ref.updateAndGet(state, change), changed)

  const tryAdmit = (more: Pressure.Load) =>
    Ref.modify(state, (pressure): [Pressure.Component | undefined, Pressure.Pressure] => {
      const component = Pressure.inTheWay(limits, pressure, more)
      return component === undefined
        ? [undefined, { ...Pressure.add(pressure, "jobs", more), level: 0 }]
        : [component, pressure]
    })

  const hasRoom = (more: Pressure.Load) =>
    Effect.map(Ref.get(state), (pressure) => Pressure.inTheWay(limits, pressure, more) === undefined)

  const untilRoom = Effect.fnUntraced(function* (more: Pressure.Load) {
    while (!(yield* hasRoom(more))) {
      yield* Latch.close(room)
      // Room that came up between the look and the closing is seen here.
      if (yield* hasRoom(more)) return
      yield* room.await
    }
  })

  /** Until there is room, or the pause of this level is over. */
  const backOff = Effect.fnUntraced(function* (more: Pressure.Load) {
    const { level } = yield* Ref.get(state)
    const isInTime = yield* Effect.timeoutOption(untilRoom(more), Pressure.pause(level))
    if (Option.isSome(isInTime)) return
    yield* update((now) => ({
      ...now,
      level: Pressure.isCritical(limits, now) ? Pressure.maxLevel : Math.min(Pressure.maxLevel, now.level + 1)
    }))
  })

  const admit = Effect.fnUntraced(function* (more: Pressure.Load) {
    let component = yield* tryAdmit(more)
    if (component !== undefined) {
      const first = component
      yield* Metrics.blocked(first)
      yield* update((now) => ({ ...now, blocked: { ...now.blocked, [first]: now.blocked[first] + 1 } }))
      while (component !== undefined) {
        yield* backOff(more)
        component = yield* tryAdmit(more)
      }
    }
    yield* Effect.flatMap(Ref.get(state), changed)
  })

  const release = (change: (pressure: Pressure.Pressure) => Pressure.Pressure) =>
    Effect.andThen(update(change), Latch.open(room))

  /**
   * One line when it begins, when it grows worse and when it is over, by the highest level of a merge window: between
   * two commits the level goes up and down.
   */
  const tell = Effect.gen(function* () {
    let told = 0
    const look = Effect.gen(function* () {
      const pressure = yield* Ref.get(state)
      const highest = yield* Ref.getAndSet(peak, pressure.level)
      if (highest > 0 ? highest <= told : told === 0) return
      told = highest
      const { blocks, bytes } = Pressure.total(pressure)
      yield* Effect.logInfo(highest === 0 ? "back-pressure is over" : "back-pressure").pipe(
        Effect.annotateLogs({ level: highest, blocks, bytes, blocked: blockedCount(pressure) })
      )
    })
    yield* Effect.schedule(look, Schedule.spaced(mergeWindow))
  })
  yield* Effect.forkScoped(tell)

  return BackPressure.of({
    limits,
    pressure: Ref.get(state),
    admit,
    move: ([from, taken], [to, put]) =>
      release((pressure) => Pressure.add(Pressure.add(pressure, from, Pressure.negated(taken)), to, put)),
    leave: (component, load) =>
      release((pressure) => Pressure.add(pressure, component, Pressure.negated(load))),
    calm: Effect.asVoid(
      Effect.timeoutOption(untilRoom({ blocks: settings.batchSize, bytes: 0 }), mergeWindow)
    ),
    reset: release((pressure) => ({ ...Pressure.empty, blocked: pressure.blocked }))
  })
})

/** How often scheduling had to wait. */
export const blockedCount = ({ blocked }: Pressure.Pressure): number =>
  blocked.jobs + blocked.results + blocked.sequencer
