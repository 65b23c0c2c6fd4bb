/**
 * Sluice as its user runs it: `node dist/main.js` as a process of its own, with its log read line by line.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import type { StatusAnswer } from "../../src/api/Api.ts"

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Program {
  readonly pid: number
  readonly exited: Effect.Effect<Exit>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Everything it has written so far. */
  readonly output: () => string
  /** Where it listens, once it says so. */
  readonly url: Effect.Effect<string>
  readonly status: Effect.Effect<typeof StatusAnswer.Type>
}

const within = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds: number, what: () => string) =>
  Effect.timeoutOrElse(effect, {
    duration: `${seconds} seconds`,
    orElse: () => Effect.die(`no ${what()}`)
  })

/** Starts it; when the scope closes and it is still there, it is killed. */
export const start = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
) {
  let output = ""
  const spawned = (child: ChildProcess) =>
    Effect.callback<Exit>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        resume(Effect.succeed({ code: child.exitCode, signal: child.signalCode }))
      } else child.once("exit", (code, signal) => resume(Effect.succeed({ code, signal })))
    })
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const process_ = spawn(process.execPath, ["dist/main.js", ...args], {
        env: { PATH: process.env["PATH"] ?? "", LOG_FORMAT: "json", HTTP_PORT: "0", ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      for (const stream of [process_.stdout, process_.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          output += text
        })
      }
      return process_
    }),
    (running) =>
      Effect.suspend(() => {
        if (running.exitCode !== null || running.signalCode !== null) return Effect.void
        running.kill("SIGKILL")
        return spawned(running)
      })
  )
  const exited = spawned(child)
  const url = Effect.suspend(() => {
    const found = /"message":"listening".*?"url":"(http:[^"]+)"/.exec(output)?.[1]
    return found === undefined ? Effect.fail("not yet") : Effect.succeed(found)
  }).pipe(Effect.retry(Schedule.spaced("20 millis")), Effect.orDie, (listening) =>
    within(listening, 60, () => `address in:\n${output}`)
  )
  const status = Effect.flatMap(url, (base) =>
    Effect.promise(async () => (await (await fetch(`${base}/api/status`)).json()) as typeof StatusAnswer.Type)
  )
  return {
    pid: child.pid ?? 0,
    exited,
    kill: (signal) => Effect.sync(() => void child.kill(signal)),
    output: () => output,
    url,
    status
  } satisfies Program
})

/** Waits until the status is as wanted. */
export const until = (
  program: Program,
  wanted: (status: typeof StatusAnswer.Type) => boolean,
  seconds = 60
) =>
  program.status.pipe(
    Effect.flatMap((status) => (wanted(status) ? Effect.succeed(status) : Effect.fail("not yet"))),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.orDie,
    (waiting) => within(waiting, seconds, () => `such status; it said:\n${program.output().slice(-4000)}`)
  )

/** A folder of its own for the embedded database, gone when the scope closes. */
export const dataDir = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)
