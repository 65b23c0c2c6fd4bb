/**
 * The simulation, for as long as one likes.
 *
 *     npm run simulate -- --seeds 1000            stories 1 to 1000, on all cores
 *     npm run simulate -- --from 5000 --seeds 50  others
 *     npm run simulate -- --mode safety           faults that never end; only what holds at every commit is looked at
 *     npm run simulate -- --replay 13             one story, event by event, and a digest of its trace
 *     npm run simulate -- --replay 13 --trace     with all that was asked, committed and told
 *     npm run simulate -- --twice                 every story twice: the traces have to be identical
 *     npm run simulate -- --database pglite       over the real store on an embedded database
 *
 * Exit code 1 when a story fails.
 */
import { fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { open } from "../test/simulation/loader.mjs"

const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    mode: { type: "string", default: "liveness" },
    database: { type: "string", default: "memory" },
    replay: { type: "string" },
    trace: { type: "boolean", default: false },
    twice: { type: "boolean", default: false },
    jobs: { type: "string", default: String(availableParallelism()) }
  }
})

const command = "/test/simulation/command.ts"

const say = (text) => process.stdout.write(`${text}\n`)

if (process.send !== undefined) await work()
else if (options.replay !== undefined) await replay()
else await lead()

/** One story, told. */
async function replay() {
  const loader = await open()
  await loader.withModule(command, [], async (modules) => {
    const { text, failed } = await modules.replay({ ...options, seed: Number(options.replay) })
    say(text)
    process.exitCode = failed ? 1 : 0
  })
  await loader.close()
}

/** A process that tells the seeds it is sent. */
async function work() {
  const loader = await open()
  await loader.withModule(command, [], async (modules) => {
    for (let answer = { ready: true }; ; ) {
      const told = new Promise((resolve) => process.once("message", resolve))
      process.send(answer)
      const seed = await told
      if (seed === null) return
      answer = await modules.one({ ...options, seed })
    }
  })
  await loader.close()
  process.disconnect()
}

async function lead() {
  const begin = performance.now()
  const first = Number(options.from)
  const last = first + Number(options.seeds) - 1
  let next = first
  const sum = { stories: 0, failures: 0, commits: 0, crashes: 0, simulated: 0, identical: 0, faults: {} }
  const told = (report) => {
    sum.stories++
    for (const key of ["commits", "crashes", "simulated"]) sum[key] += report[key]
    for (const [fault, count] of Object.entries(report.faults)) {
      sum.faults[fault] = (sum.faults[fault] ?? 0) + count
    }
    if (report.identical) sum.identical++
    if (report.explanation === undefined) return
    sum.failures++
    say(report.explanation)
  }
  const workers = Array.from({ length: Math.min(Number(options.jobs), last - first + 1) }, () => {
    const worker = fork(fileURLToPath(import.meta.url), process.argv.slice(2))
    worker.on("message", (report) => {
      if (report.ready !== true) told(report)
      worker.send(next <= last ? next++ : null)
    })
    return new Promise((resolve) => worker.on("exit", resolve))
  })
  const codes = await Promise.all(workers)
  const seconds = (performance.now() - begin) / 1000
  say(
    `${sum.stories} stories, ${sum.failures} failed; ${(sum.simulated / 3_600_000).toFixed(1)} simulated hours in ` +
      `${seconds.toFixed(0)} s; ${sum.commits} commits, ${sum.crashes} crashes`
  )
  if (options.twice) say(`${sum.identical} of ${sum.stories} traces identical`)
  say("faults injected:")
  for (const [fault, count] of Object.entries(sum.faults).sort(([, a], [, b]) => b - a)) {
    say(`${String(count).padStart(8)}  ${fault}`)
  }
  const isWhole = sum.stories === last - first + 1 && codes.every((code) => code === 0)
  if (!isWhole) say("a process of the campaign died: not all stories were told")
  process.exitCode = sum.failures > 0 || !isWhole ? 1 : 0
}
