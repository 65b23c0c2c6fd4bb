/**
 * One contestant as one process, from its start to its end, or until it is done where it never ends.
 *
 * **Details**
 *
 * - *Wall* includes Node's start and the shutdown.
 * - *CPU* is what the kernel adds to the times of our ended children when this one is waited for, so it is complete
 *   and exact to 10 ms. It takes that no other child ends meanwhile; node and database run all the time.
 * - *Memory* is the peak that the kernel keeps itself (VmHWM), read every 50 ms: only a peak in the last 50 ms of a
 *   process can be missed.
 */
import { spawn } from "node:child_process"
import { cpuOf, peakMemory } from "./proc.mjs"

/**
 * @typedef {object} Used
 * @property {number} wall Seconds, as all times here.
 * @property {number | undefined} cpu
 * @property {number | undefined} memory Bytes.
 * @property {string | undefined} failure
 *
 * @param {object} options
 * @param {ReadonlyArray<string>} options.args To `node`.
 * @param {Readonly<Record<string, string>>} options.env
 * @param {string} options.cwd
 * @param {number} options.timeout Seconds.
 * @param {(stop: () => Promise<void>) => void} options.started Gets what ends it early.
 * @param {((signal: AbortSignal) => Promise<void>) | undefined} options.done For a process that never ends: when this
 *   resolves, it is over.
 * @returns {Promise<Used>}
 */
export const measure = async ({ args, cwd, done, env, started, timeout }) => {
  const before = cpuOf("self")
  const start = performance.now()
  const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
  let tail = ""
  /** @param {unknown} chunk */
  const keep = (chunk) => {
    tail = `${tail}${chunk}`.slice(-4_000)
  }
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  /** @type {number | undefined} */
  let memory
  const look = setInterval(() => {
    if (child.pid !== undefined) memory = peakMemory(child.pid) ?? memory
  }, 50)
  let late = false
  const limit = setTimeout(() => {
    late = true
    child.kill("SIGKILL")
  }, timeout * 1000)
  /** @type {Promise<string | undefined>} */
  const ended = new Promise((resolve) => {
    child.once("error", (cause) => resolve(cause.message))
    child.once("exit", (code, signal) =>
      resolve(code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}`)
    )
  })
  started(async () => {
    child.kill("SIGKILL")
    await ended
  })
  const waiting = new AbortController()
  const finished = done?.(waiting.signal).then(() => undefined)
  const failure = await (finished === undefined ? ended : Promise.race([ended, finished]))
  const wall = (performance.now() - start) / 1000
  waiting.abort()
  if (finished !== undefined) {
    child.kill("SIGKILL")
    await ended
  }
  clearInterval(look)
  clearTimeout(limit)
  const after = cpuOf("self")
  return {
    wall,
    cpu: before === undefined || after === undefined ? undefined : after.ended - before.ended,
    memory,
    failure: failure && `${late ? `took more than ${timeout} s` : failure}\n${tail}`.trim()
  }
}
