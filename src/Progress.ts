/**
 * How a long backfill shows itself: a line that stays in place on a terminal, one log line every 30 seconds
 * otherwise. Once the stream follows the head it is silent.
 */
import { Clock, Duration, Effect, Layer, Ref, Schedule, Stdio, Stream } from "effect"
import { Settings } from "./config/Settings.ts"
import * as Status from "./flow/Status.ts"
import { Sluice } from "./Sluice.ts"

const redraw = Duration.millis(500)
const logEvery = Duration.seconds(30)

/** `syncing 41.3 %  12,400 of 30,000 blocks  830 blocks/s  about 21s left` */
export const line = (status: Status.SyncStatus, now: number): string => {
  const eta = Status.etaSeconds(status, now)
  return [
    `syncing ${Status.progressPercent(status).toFixed(1)} %`,
    `${count(Status.covered(status))} of ${count((status.target ?? 0) - status.start + 1)} blocks`,
    `${count(Math.round(Status.blocksPerSecond(status, now)))} blocks/s`,
    eta === undefined ? "" : `about ${spoken(eta)} left`
  ]
    .filter((part) => part !== "")
    .join("  ")
}

const count = (value: number): string => value.toLocaleString("en-US")

const spoken = (seconds: number): string =>
  seconds < 90
    ? `${Math.ceil(seconds)}s`
    : seconds < 5400
      ? `${Math.round(seconds / 60)}m`
      : `${(seconds / 3600).toFixed(1)}h`

const logged = Effect.gen(function* () {
  const status = yield* (yield* Sluice).status
  if (status.phase !== "syncing") return
  const now = yield* Clock.currentTimeMillis
  yield* Effect.logInfo("syncing").pipe(
    Effect.annotateLogs({
      percent: Number(Status.progressPercent(status).toFixed(2)),
      committed: Status.covered(status),
      target: status.target,
      blocksPerSecond: Math.round(Status.blocksPerSecond(status, now)),
      etaSeconds: Math.round(Status.etaSeconds(status, now) ?? -1)
    })
  )
})

const drawn = Effect.gen(function* () {
  const sluice = yield* Sluice
  const { stderr } = yield* Stdio.Stdio
  const shown = yield* Ref.make(false)
  const write = (text: string) =>
    Stream.run(Stream.make(text), stderr({ endOnDone: false })).pipe(Effect.ignore)
  const draw = Effect.gen(function* () {
    const status = yield* sluice.status
    const syncing = status.phase === "syncing" && (Status.remaining(status) ?? 0) > 0
    if (syncing) yield* write(`\r\u001b[2K${line(status, yield* Clock.currentTimeMillis)}`)
    if (!syncing && (yield* Ref.get(shown))) yield* write("\r\u001b[2K")
    yield* Ref.set(shown, syncing)
  })
  return yield* Effect.schedule(draw, Schedule.spaced(redraw))
})

/** Shows progress for as long as the scope is open. */
export const layer: Layer.Layer<never, never, Sluice | Settings | Stdio.Stdio> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { logFormat } = yield* Settings
    yield* (logFormat === "pretty" ? drawn : Effect.schedule(logged, Schedule.spaced(logEvery))).pipe(
      Effect.forkScoped
    )
  })
)
