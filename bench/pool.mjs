/**
 * What bad company costs: `npm run build && node bench/pool.mjs`.
 *
 * A whole Sluice indexes some thousand small blocks into PostgreSQL from one good endpoint (*alone*), then from that one
 * beside one that is limited to five requests a second and one that fails half of its requests in ten ways (*three*),
 * in turn; then once more from the three, while the good one is gone for half a minute (*outage*).
 *
 * Exits with 1 when three are slower than 80 % of one, when a wait that was told was not kept, when a run did not finish,
 * or when the tables are not the chain; with 2 if it could not measure.
 *
 * **Details**: endpoints live in a process of their own, and answer after a latency and some time for each call, as
 * nodes do. Throughput is blocks by wall time, start and shutdown of the process included. A request that arrives up to
 * 50 ms after a wait was told was on its way, and breaks nothing; see `rateLimited` in `provider.mjs`.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { load } from "./chain.mjs"
import { measure } from "./measure.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { verify } from "./verify.mjs"

const usage = `node bench/pool.mjs [options]
  --rounds <n>          Rounds of alone and three [3]
  --blocks <n>          Blocks of the chain [4000]
  --latency <ms>        Before each answer [50]
  --per-call <ms>       More for each call of a batch [5]
  --concurrency <n>     Fetches in flight [4]
  --rpc-timeout <d>     After which Sluice gives a request up [5s]
  --per-second <n>      Requests that the limited one allows [5]
  --outage <ms>         That the good one is gone, in the last run; 0 leaves that run out [30000]
  --timeout <seconds>   Longest time of one run [180]
  --postgres <which>    url (BENCH_DATABASE_URL), local (version 15) or embedded (from npm) [the first there is]
  --verbose             What each endpoint did`

const least = 0.8
const density = 0.04

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    blocks: { type: "string", default: "4000" },
    latency: { type: "string", default: "50" },
    "per-call": { type: "string", default: "5" },
    concurrency: { type: "string", default: "4" },
    "rpc-timeout": { type: "string", default: "5s" },
    "per-second": { type: "string", default: "5" },
    outage: { type: "string", default: "30000" },
    timeout: { type: "string", default: "180" },
    postgres: { type: "string" },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false }
  }
})

const here = dirname(fileURLToPath(import.meta.url))
const sluice = join(here, "..", "dist", "main.js")
const schema = "sluice_bench"
const blocks = Number(options.blocks)

/** What has to be ended when we end, last first. @type {Array<() => Promise<unknown> | void>} */
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

const startProviders = () => {
  const child = spawn(process.execPath, [join(here, "providers.mjs")], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const ended = new Promise((done) => child.once("exit", done))
  cleanups.push(async () => {
    child.kill("SIGTERM")
    await ended
  })
  /** @param {any} message @returns {Promise<any>} */
  return (message) =>
    new Promise((done, fail) => {
      child.once("message", done)
      ended.then(() => fail(new Error("The providers have ended")))
      child.send(message)
    })
}

const speed = { latency: Number(options.latency), perCall: Number(options["per-call"]) }
const good = { name: "good", ...speed, behaviours: [] }
const limited = {
  name: "limited",
  ...speed,
  behaviours: [["rateLimited", { perSecond: Number(options["per-second"]), tell: "mixed" }]]
}
const broken = { name: "broken", ...speed, behaviours: [["failing", { share: 0.5 }]] }

/** The good one stands last where it is not alone, so that nobody is right by asking the first. */
const casts = {
  alone: [good],
  three: [limited, broken, good],
  outage: [limited, broken, good]
}

/**
 * @typedef {object} Run
 * @property {keyof typeof casts} cast
 * @property {number} wall Seconds.
 * @property {ReadonlyArray<number>} violations Milliseconds from each telling to the request that broke it.
 * @property {number} told How often somebody was told to wait.
 * @property {ReadonlyArray<string>} wrong
 * @property {{before: number, during: number} | undefined} outage
 * @property {Record<string, import("./provider.mjs").Stats>} stats
 */

/** @param {keyof typeof casts} cast @param {{ask: (message: any) => Promise<any>, postgres: any, expected: any, folder: string}} world @returns {Promise<Run>} */
const run = async (cast, { ask, expected, folder, postgres }) => {
  const database = `sluice_pool_${process.pid}`
  const databaseUrl = await postgres.create(database)
  const drop = () => postgres.drop(database)
  cleanups.push(drop)
  const outage =
    cast === "outage" ? { name: "good", afterBlocks: blocks / 2, ms: Number(options.outage) } : undefined
  const { urls } = await ask({ serve: { blocks, density, providers: casts[cast], outage } })
  const flags = {
    profile: "anvil",
    "start-block": "1",
    "end-block": `${blocks}`,
    concurrency: options.concurrency,
    "rpc-timeout": options["rpc-timeout"],
    "http-port": "0",
    "log-format": "json"
  }
  await postgres.checkpoint()
  const used = await measure({
    args: [sluice, ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
    // Nothing else: a variable of the shell could be a setting of Sluice.
    env: {
      PATH: process.env["PATH"] ?? "",
      RPC_URL: urls.join(","),
      DATABASE_URL: databaseUrl,
      DATABASE_SCHEMA: schema,
      SLUICE_DATA_DIR: folder
    },
    cwd: folder,
    timeout: Number(options.timeout),
    started: (stop) => cleanups.push(stop)
  })
  cleanups.pop()
  const answered = await ask("stats")
  const wrong = used.failure === undefined ? await verify(databaseUrl, schema, expected) : [used.failure]
  await drop()
  cleanups.pop()
  return {
    cast,
    wall: used.wall,
    violations: answered.stats.limited?.violations ?? [],
    told: answered.stats.limited?.notes["told to wait"] ?? 0,
    wrong,
    outage: answered.outage,
    stats: answered.stats
  }
}

/** @param {ReadonlyArray<number>} values */
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** @param {ReadonlyArray<ReadonlyArray<string>>} rows */
const table = (rows) => {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  for (const row of rows) print(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  "))
}

const head = ["run", "wall", "blocks/s", "told", "violations", "requests", "tables"]

/** @param {Run} run */
const rowOf = ({ cast, stats, told, violations, wall, wrong }) => [
  cast,
  `${wall.toFixed(1)} s`,
  wrong.length > 0 ? "-" : (blocks / wall).toFixed(0),
  `${told}`,
  violations.length === 0 ? "0" : `${violations.length} (after ${violations.slice(0, 5).join(", ")} ms)`,
  Object.entries(stats)
    .map(([name, { requests }]) => `${name} ${requests}`)
    .join(", "),
  wrong.length === 0 ? "equal" : "WRONG"
]

/** @param {Run} run */
const details = ({ outage, stats, wrong }) => {
  for (const line of wrong) note(line)
  if (outage) print(`  ${outage.before} blocks were sent before the outage, ${outage.during} during it`)
  if (!options.verbose) return
  for (const [name, { blocks, calls, notes, peak, requests }] of Object.entries(stats)) {
    const did = Object.entries(notes).map(([what, n]) => `${n} ${what}`)
    print(
      `  ${name}: ${requests} requests, ${calls} calls, ${blocks} blocks, ${peak} at once; ${did.join(", ")}`
    )
  }
}

/** What was promised and is not so, in words. @param {ReadonlyArray<Run>} runs */
const judge = (runs) => {
  /** @param {keyof typeof casts} cast */
  const wall = (cast) => median(runs.filter((run) => run.cast === cast).map((run) => run.wall))
  const share = wall("alone") / wall("three")
  const finished = runs.every(({ wrong }) => wrong.length === 0)
  const violations = runs.reduce((sum, run) => sum + run.violations.length, 0)
  if (finished) print(`three endpoints are ${(share * 100).toFixed(0)} % as fast as the good one alone`)
  return [
    ...(finished ? [] : ["a run did not finish, or left tables that are not the chain"]),
    ...(finished && !(share >= least) ? [`less than ${least * 100} % of the throughput`] : []),
    ...(violations === 0 ? [] : [`${violations} requests came before the time that was told`])
  ]
}

const main = async () => {
  if (options.help) {
    print(usage)
    return 0
  }
  if (!existsSync(sluice)) throw new Error("There is no dist/main.js: run `npm run build`")
  const { bytes, expected } = await load({ blocks, density, log: note })
  const postgres = await startPostgres({ choice: options.postgres })
  cleanups.push(postgres.stop)
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-pool-"))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const world = { ask: startProviders(), postgres, expected, folder }
  print(
    `${blocks} blocks, ${(bytes / 1e6).toFixed(0)} MB; ${speed.latency} ms and ${speed.perCall} ms a call; ` +
      `${options.concurrency} fetches in flight, given up after ${options["rpc-timeout"]}`
  )
  /** @type {Array<Run>} */
  const runs = []
  /** @param {keyof typeof casts} cast */
  const add = async (cast) => {
    const done = await run(cast, world)
    runs.push(done)
    note(rowOf(done).join("  "))
    details(done)
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    await add("alone")
    await add("three")
  }
  if (Number(options.outage) > 0) await add("outage")
  print("")
  table([head, ...runs.map(rowOf)])
  const failures = judge(runs)
  for (const failure of failures) print(`FAILED: ${failure}`)
  return failures.length === 0 ? 0 : 1
}

let interrupted = false
for (const [signal, code] of /** @type {const} */ ([
  ["SIGINT", 130],
  ["SIGTERM", 143]
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
    note(`${cause instanceof Error ? cause.stack : cause}`)
    process.exitCode = 2
  }
} finally {
  if (!interrupted) await cleanUp()
}
