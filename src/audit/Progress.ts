/**
 * How far an audit is: a bar with the time that is left, in one place on a terminal; a log line now and then otherwise.
 */
import { Clock, Duration, Effect, Ref, Stdio, Stream } from "effect"
import type { AuditEvent } from "./Finding.ts"
import { count } from "./Report.ts"

/** Passes events on to whoever prints lines, and shows progress between them. */
export interface Progress {
  readonly around: <E>(event: AuditEvent, print: Effect.Effect<void, E>) => Effect.Effect<void, E>
}

const redraw = Duration.millis(200)
const logEvery = Duration.seconds(30)
const width = 30

/** `[#####.....] 16.7 %  16,700 of 100,000 blocks  830 blocks/s  about 101s left` */
export const bar = (done: number, total: number, seconds: number): string => {
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const full = Math.floor(share * width)
  const speed = seconds === 0 ? 0 : done / seconds
  return [
    `[${"#".repeat(full)}${".".repeat(width - full)}] ${(share * 100).toFixed(1)} %`,
    `${count(done)} of ${count(total)} blocks`,
    `${count(Math.round(speed))} blocks/s`,
    ...(speed === 0
      ? []
      : [`about ${Duration.format(Duration.seconds(Math.ceil(Math.max(0, total - done) / speed)))} left`])
  ].join("  ")
}

export const make = Effect.gen(function* () {
  const { stderr, stderrIsTerminal } = yield* Stdio.Stdio
  const isTerminal = yield* stderrIsTerminal
  const started = yield* Clock.currentTimeMillis
  const progress = yield* Ref.make({ done: 0, total: 0, shown: started })
  const write = (text: string) =>
    Stream.run(Stream.make(text), stderr({ endOnDone: false })).pipe(Effect.ignore)
  const clear = isTerminal ? write("\r\u001b[2K") : Effect.void

  const show = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const { done, shown, total } = yield* Ref.get(progress)
    if (now - shown < Duration.toMillis(isTerminal ? redraw : logEvery)) return
    yield* Ref.update(progress, (before) => ({ ...before, shown: now }))
    const line = bar(done, total, (now - started) / 1000)
    yield* isTerminal ? write(`\r\u001b[2K${line}`) : Effect.logInfo(`verifying ${line}`)
  })

  const around: Progress["around"] = (event, print) => {
    switch (event._tag) {
      case "Started":
        return Ref.update(progress, (before) => ({ ...before, total: event.blocks }))
      case "Checked":
        return Effect.andThen(
          Ref.update(progress, (before) => ({ ...before, done: before.done + event.blocks })),
          show
        )
      default:
        return Effect.andThen(clear, print)
    }
  }
  return { around } satisfies Progress
})
