/**
 * How fast the two jobs are: `npm run bench -- --rounds 3`. See `docs/benchmarks.md`.
 *
 * - *full*: about 1,000 blocks like mainnet's, with all that is in them;
 * - *events*: the Transfers of 50 tokens out of 50,000 blocks.
 *
 * Each goes from a local node into a local PostgreSQL, by a home-grown indexer and by Sluice, and the events by Ponder
 * too; in turn, each a fresh process with a fresh database. Exits with 1 if one of them stored something else than the
 * chain, with `--strict` also if a promise was missed, and with 2 if it could not measure.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as events from "./events.mjs"
import * as full from "./full.mjs"
import { measure } from "./measure.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { cpuOf } from "./proc.mjs"
import { judge, render, summarize } from "./report.mjs"
import * as sluice from "./sluice.mjs"

const usage = `node bench/main.mjs [options]
  --job <names>         full, events, or both with a comma between them [full,events]
  --rounds <n>          Rounds of every contestant in turn [3]
  --only <names>        Some of baseline,linked,proven,frugal,ponder,sluice, with commas between them
  --blocks <n>          Blocks of a single job [1000 of full, 50000 of events]
  --latency <ms>        That the node waits before each answer; several with commas between them [0]
  --postgres <which>    url (BENCH_DATABASE_URL), local (version 15) or embedded (from npm) [the first there is]
  --indexes             The baseline builds the secondary indexes that Sluice builds
  --cold                Without the run before the first round that nobody counts
  --timeout <seconds>   Longest time of one run [600]
  --cpu-prof <folder>   A CPU profile of each run
  --json                For machines
  --strict              Exit with 1 if a promise was missed`

const here = dirname(fileURLToPath(import.meta.url))
const jobs = { full, events }
/** Who runs without a build of Sluice. */
const others = new Set(["baseline", "frugal", "ponder"])
const names = [...new Set(Object.values(jobs).flatMap(({ contestants }) => contestants))]

/** Ends the process with 2, after `main` has cleaned up. */
class CannotMeasure extends Error {}

const parse = () => {
  try {
    return parseArgs({
      options: {
        job: { type: "string", default: Object.keys(jobs).join(",") },
        rounds: { type: "string", default: "3" },
        only: { type: "string", default: names.join(",") },
        blocks: { type: "string" },
        latency: { type: "string", default: "0" },
        postgres: { type: "string" },
        indexes: { type: "boolean", default: false },
        cold: { type: "boolean", default: false },
        timeout: { type: "string", default: "600" },
        "cpu-prof": { type: "string" },
        json: { type: "boolean", default: false },
        strict: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false }
      }
    }).values
  } catch (cause) {
    throw new CannotMeasure(`${cause instanceof Error ? cause.message : cause}\n\n${usage}`)
  }
}

/** @param {string} name @param {string} value @param {number} least */
const whole = (name, value, least) => {
  const number = Number(value)
  if (Number.isInteger(number) && number >= least) return number
  throw new CannotMeasure(`--${name} has to be a whole number from ${least}, not ${value}`)
}

/** @param {string} flag @param {string} value @param {ReadonlyArray<string>} known */
const some = (flag, value, known) => {
  const chosen = value.split(",").map((name) => name.trim())
  const unknown = chosen.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new CannotMeasure(`--${flag} knows ${known.join(", ")}, not ${unknown.join(", ")}`)
  return known.filter((name) => chosen.includes(name))
}

const checked = () => {
  const flags = parse()
  const only = some("only", flags.only, names)
  const chosen = some("job", flags.job, Object.keys(jobs)).flatMap((name) => {
    const { contestants, make } = jobs[/** @type {keyof typeof jobs} */ (name)]
    const own = contestants.filter((contestant) => only.includes(contestant))
    return own.length === 0 ? [] : [{ make, contestants: own }]
  })
  if (flags.postgres !== undefined && !["url", "local", "embedded"].includes(flags.postgres)) {
    throw new CannotMeasure(`--postgres knows url, local and embedded, not ${flags.postgres}`)
  }
  if (chosen.length === 0) throw new CannotMeasure(`No such contestants in --job ${flags.job}`)
  if (flags.blocks !== undefined && chosen.length > 1) {
    throw new CannotMeasure("--blocks is of one job: say which one with --job")
  }
  const needsBuild = chosen.some(({ contestants }) => contestants.some((name) => !others.has(name)))
  if (!flags.help && needsBuild && !existsSync(sluice.program)) {
    throw new CannotMeasure("There is no dist/main.js: run `npm run build`, or measure `--only baseline`")
  }
  return {
    ...flags,
    jobs: chosen,
    rounds: whole("rounds", flags.rounds, 1),
    blocks: flags.blocks === undefined ? undefined : whole("blocks", flags.blocks, 1),
    latencies: flags.latency.split(",").map((one) => whole("latency", one, 0)),
    timeout: whole("timeout", flags.timeout, 1),
    profiles: flags["cpu-prof"] === undefined ? undefined : resolve(flags["cpu-prof"])
  }
}

/** @typedef {ReturnType<typeof checked>} Options */

/** What has to be ended when we end, last first. @type {Array<() => Promise<void> | void>} */
const cleanups = []

const cleanUp = async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) {
    try {
      await next()
    } catch (cause) {
      note(`while cleaning up: ${cause}`)
    }
  }
}

/**
 * @typedef {object} Node
 * @property {number} port
 * @property {() => Promise<{requests: number, calls: number, bytes: number}>} stats
 * @property {() => number | undefined} cpuSeconds
 * @property {() => Promise<void>} stop
 *
 * @param {ReadonlyArray<string>} args @returns {Promise<Node>}
 */
const startNode = async (args) => {
  const child = spawn(process.execPath, [join(here, "node.mjs"), ...args], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const ended = new Promise((done) => child.once("exit", done))
  const stop = async () => {
    child.kill("SIGTERM")
    await ended
  }
  cleanups.push(stop)
  /** @returns {Promise<any>} */
  const message = () =>
    new Promise((done, fail) => {
      child.once("message", done)
      ended.then(() => fail(new CannotMeasure("The node has ended")))
    })
  const { port } = await message()
  return {
    port,
    stats: async () => {
      const answer = message()
      child.send("stats")
      return (await answer).stats
    },
    cpuSeconds: () => (child.pid === undefined ? undefined : cpuOf(child.pid)?.own),
    stop
  }
}

/** @param {number | undefined} before @param {number | undefined} after */
const difference = (before, after) =>
  before === undefined || after === undefined ? undefined : after - before

/**
 * One job at one latency: every contestant in turn, round by round.
 *
 * @param {Options} options
 * @param {import("./job.mjs").Job} job
 * @param {number} latency
 * @param {import("./postgres.mjs").Server} postgres
 */
const bench = async (options, job, latency, postgres) => {
  const { profiles, rounds, timeout } = options
  const { contestants } = job
  const node = await startNode([...job.node, "--latency", `${latency}`])
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-data-"))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  cleanups.push(remove)
  if (!options.json) {
    print(`${job.name} job${latency === 0 ? "" : `, ${latency} ms a request`}: ${job.what}`)
  }

  /** @param {string} contestant @param {number} round @returns {Promise<import("./report.mjs").Run>} */
  const run = async (contestant, round) => {
    const database = `sluice_bench_${process.pid}`
    const databaseUrl = await postgres.create(database)
    const drop = () => postgres.drop(database)
    cleanups.push(drop)
    const rpcUrl = `http://127.0.0.1:${node.port}`
    const command = await job.command(contestant, { databaseUrl, rpcUrl, folder })
    const profile = profiles === undefined || round === 0 ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`]
    await postgres.checkpoint()
    const asked = await node.stats()
    const databaseCpu = postgres.cpuSeconds()
    const nodeCpu = node.cpuSeconds()
    const used = await measure({
      args: [...profile, ...command.args],
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? folder, ...command.env },
      cwd: command.cwd ?? folder,
      done: command.done,
      timeout,
      started: (stop) => cleanups.push(stop)
    })
    cleanups.pop()
    const answered = await node.stats()
    const measured = {
      databaseCpu: difference(databaseCpu, postgres.cpuSeconds()),
      nodeCpu: difference(nodeCpu, node.cpuSeconds()),
      requests: answered.requests - asked.requests,
      calls: answered.calls - asked.calls
    }
    const wrong = used.failure === undefined ? await job.verify(contestant, databaseUrl) : [used.failure]
    // The one that nobody counts will fail again when it counts.
    if (round > 0) for (const line of wrong) note(`${contestant}, round ${round}: ${line}`)
    await drop()
    cleanups.pop()
    return { round, contestant, wall: used.wall, cpu: used.cpu, memory: used.memory, ...measured, wrong }
  }

  // A fresh server has to make its first files of WAL, which later ones only rename: nobody's first run should pay it.
  // Where each request takes long, that is a small part of what is measured, and a run takes minutes.
  if (!options.cold && latency === 0) await run(contestants[0], 0)
  const runs = []
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const done = await run(contestant, round)
      runs.push(done)
      if (!options.json) print(`round ${round}  ${contestant.padEnd(8)}  ${done.wall.toFixed(2)} s`)
    }
  }
  remove()
  cleanups.pop()
  await node.stop()
  cleanups.pop()
  const summaries = summarize(runs, contestants)
  const bars = judge(job.name, latency, summaries)
  if (!options.json) print(`\n${render(runs, summaries, bars).join("\n")}\n`)
  return { job: job.name, latency, ...job.figures, runs, summaries, bars }
}

/** @param {Options} options */
const benchAll = async (options) => {
  const [load1] = loadavg()
  if (load1 > 0.7)
    note(
      `This machine has other things to do (load ${load1.toFixed(1)}): figures will be worse and vary more`
    )
  const postgres = await startPostgres({ choice: options.postgres })
  cleanups.push(postgres.stop)
  if (options.profiles !== undefined) mkdirSync(options.profiles, { recursive: true })
  const machine = {
    node: process.version,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? "unknown",
    memory: totalmem(),
    postgres: { version: postgres.version, from: postgres.where, settings: postgres.settings }
  }
  if (!options.json) {
    print(`Node ${machine.node}, ${machine.cores} cores, ${machine.cpu}`)
    print(`PostgreSQL ${postgres.version} (${postgres.where}), ${settingsLine(postgres.settings)}\n`)
  }
  const reports = []
  for (const { contestants, make } of options.jobs) {
    const job = await make({ contestants, blocks: options.blocks, indexes: options.indexes, log: note })
    if (job.contestants.length === 0) continue
    for (const latency of options.latencies) reports.push(await bench(options, job, latency, postgres))
  }
  if (reports.length === 0) throw new CannotMeasure("Nobody who was asked for can run here")
  if (options.json) print(JSON.stringify({ indexes: options.indexes, machine, reports }, undefined, 2))
  const wrong = reports.some(({ summaries }) => summaries.some(({ right }) => !right))
  const missed = reports.some(({ bars }) => bars.some(({ met }) => met === false))
  return wrong || (options.strict && missed) ? 1 : 0
}

/** @param {Readonly<Record<string, string>>} settings */
const settingsLine = (settings) =>
  Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ")

const main = async () => {
  const options = checked()
  if (options.help) {
    print(usage)
    return 0
  }
  return await benchAll(options)
}

let interrupted = false
for (const [signal, code] of /** @type {const} */ ([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129]
])) {
  process.on(signal, () => {
    if (interrupted) return
    interrupted = true
    cleanUp().finally(() => process.exit(code))
  })
}

try {
  process.exitCode = await main()
} catch (cause) {
  // What fails because we are ending is no news.
  if (!interrupted) {
    note(cause instanceof CannotMeasure ? cause.message : `${cause instanceof Error ? cause.stack : cause}`)
    process.exitCode = 2
  }
} finally {
  if (!interrupted) await cleanUp()
}
