/**
 * How fast the full job is: `npm run bench -- --rounds 3`. See `docs/benchmarks.md`.
 *
 * About 1,000 blocks like mainnet's from a local node into a local PostgreSQL, by a home-grown indexer and by Sluice,
 * in turn, each a fresh process with a fresh database. Exits with 1 if one of them stored something else than the
 * chain, with `--strict` also if a promise was missed, and with 2 if it could not measure.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { load } from "./chain.mjs"
import { measure } from "./measure.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { cpuOf } from "./proc.mjs"
import { judge, render, summarize } from "./report.mjs"
import { verify } from "./verify.mjs"

const usage = `node bench/main.mjs [options]
  --rounds <n>          Rounds of every contestant in turn [3]
  --only <names>        Some of baseline,linked,proven, with commas between them
  --blocks <n>          Blocks of the chain [1000]
  --latency <ms>        That the node waits before each answer [0]
  --postgres <which>    url (BENCH_DATABASE_URL), local (version 15) or embedded (from npm) [the first there is]
  --indexes             The baseline builds the secondary indexes that Sluice builds
  --cold                Without the run before the first round that nobody counts
  --timeout <seconds>   Longest time of one run [300]
  --cpu-prof <folder>   A CPU profile of each run
  --json                For machines
  --strict              Exit with 1 if a promise was missed`

const here = dirname(fileURLToPath(import.meta.url))
const sluice = join(here, "..", "dist", "main.js")
const names = ["baseline", "linked", "proven"]

/** Ends the process with 2, after `main` has cleaned up. */
class CannotMeasure extends Error {}

const parse = () => {
  try {
    return parseArgs({
      options: {
        rounds: { type: "string", default: "3" },
        only: { type: "string", default: names.join(",") },
        blocks: { type: "string", default: "1000" },
        latency: { type: "string", default: "0" },
        postgres: { type: "string" },
        indexes: { type: "boolean", default: false },
        cold: { type: "boolean", default: false },
        timeout: { type: "string", default: "300" },
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

const checked = () => {
  const flags = parse()
  const only = flags.only.split(",").map((name) => name.trim())
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new CannotMeasure(`--only knows ${names.join(", ")}, not ${unknown.join(", ")}`)
  if (flags.postgres !== undefined && !["url", "local", "embedded"].includes(flags.postgres)) {
    throw new CannotMeasure(`--postgres knows url, local and embedded, not ${flags.postgres}`)
  }
  const contestants = names.filter((name) => only.includes(name))
  if (!flags.help && contestants.some((name) => name !== "baseline") && !existsSync(sluice)) {
    throw new CannotMeasure("There is no dist/main.js: run `npm run build`, or measure `--only baseline`")
  }
  return {
    ...flags,
    contestants,
    rounds: whole("rounds", flags.rounds, 1),
    blocks: whole("blocks", flags.blocks, 1),
    latency: whole("latency", flags.latency, 0),
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
 *
 * @param {Options} options @returns {Promise<Node>}
 */
const startNode = async ({ blocks, latency }) => {
  const args = [join(here, "node.mjs"), "--blocks", `${blocks}`, "--latency", `${latency}`]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  const ended = new Promise((done) => child.once("exit", done))
  cleanups.push(async () => {
    child.kill("SIGTERM")
    await ended
  })
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
    cpuSeconds: () => (child.pid === undefined ? undefined : cpuOf(child.pid)?.own)
  }
}

/** The command line and the environment of a contestant. @param {string} contestant @param {{databaseUrl: string, rpcUrl: string, last: number, folder: string, indexes: boolean}} job */
const command = (contestant, { databaseUrl, folder, indexes, last, rpcUrl }) => {
  // Nothing else: a variable of the shell could be a setting of Sluice.
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: process.env["HOME"] ?? folder,
    DATABASE_URL: databaseUrl
  }
  if (contestant === "baseline") {
    return {
      args: [join(here, "baseline.mjs"), "1", `${last}`],
      env: { ...env, RPC_URL: rpcUrl, INDEXES: `${indexes}` },
      schema: "etl"
    }
  }
  const flags = {
    profile: "anvil",
    "rpc-url": rpcUrl,
    "start-block": "1",
    "end-block": `${last}`,
    proof: contestant,
    "http-port": "0",
    "log-format": "json"
  }
  return {
    args: [sluice, ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
    env: { ...env, DATABASE_SCHEMA: "sluice_bench", SLUICE_DATA_DIR: folder },
    schema: "sluice_bench"
  }
}

/** @param {number | undefined} before @param {number | undefined} after */
const difference = (before, after) =>
  before === undefined || after === undefined ? undefined : after - before

/** @param {Options} options */
const bench = async (options) => {
  const { blocks, contestants, profiles, rounds, timeout } = options
  const [load1] = loadavg()
  if (load1 > 0.7)
    note(
      `This machine has other things to do (load ${load1.toFixed(1)}): figures will be worse and vary more`
    )
  const { bytes, expected } = await load({ blocks, log: note })
  const postgres = await startPostgres({ choice: options.postgres })
  cleanups.push(postgres.stop)
  const node = await startNode(options)
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-data-"))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  if (profiles !== undefined) mkdirSync(profiles, { recursive: true })
  const machine = {
    node: process.version,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? "unknown",
    memory: totalmem(),
    postgres: { version: postgres.version, from: postgres.where, settings: postgres.settings }
  }
  if (!options.json) {
    const { logs, transactions } = expected
    print(
      `full job: ${blocks} blocks, ${transactions} transactions, ${logs} logs, ${(bytes / 1e6).toFixed(0)} MB of JSON`
    )
    print(`Node ${machine.node}, ${machine.cores} cores, ${machine.cpu}`)
    print(`PostgreSQL ${postgres.version} (${postgres.where}), ${settingsLine(postgres.settings)}\n`)
  }

  /** @param {string} contestant @param {number} round @returns {Promise<import("./report.mjs").Run>} */
  const run = async (contestant, round) => {
    const database = `sluice_bench_${process.pid}`
    const databaseUrl = await postgres.create(database)
    const drop = () => postgres.drop(database)
    cleanups.push(drop)
    const { args, env, schema } = command(contestant, {
      databaseUrl,
      rpcUrl: `http://127.0.0.1:${node.port}`,
      last: blocks,
      folder,
      indexes: options.indexes
    })
    const profile = profiles === undefined || round === 0 ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`]
    await postgres.checkpoint()
    const asked = await node.stats()
    const databaseCpu = postgres.cpuSeconds()
    const nodeCpu = node.cpuSeconds()
    const used = await measure({
      args: [...profile, ...args],
      env,
      cwd: folder,
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
    const wrong = used.failure === undefined ? await verify(databaseUrl, schema, expected) : [used.failure]
    // The one that nobody counts will fail again when it counts.
    if (round > 0) for (const line of wrong) note(`${contestant}, round ${round}: ${line}`)
    await drop()
    cleanups.pop()
    return { round, contestant, wall: used.wall, cpu: used.cpu, memory: used.memory, ...measured, wrong }
  }

  // A fresh server has to make its first files of WAL, which later ones only rename: nobody's first run should pay it.
  if (!options.cold) await run(contestants[0], 0)
  const runs = []
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const done = await run(contestant, round)
      runs.push(done)
      if (!options.json) print(`round ${round}  ${contestant.padEnd(8)}  ${done.wall.toFixed(2)} s`)
    }
  }
  const summaries = summarize(runs, contestants)
  const bars = judge(summaries)
  if (options.json) {
    print(
      JSON.stringify(
        {
          job: "full",
          latency: options.latency,
          indexes: options.indexes,
          bytes,
          expected,
          machine,
          runs,
          summaries,
          bars
        },
        undefined,
        2
      )
    )
  } else print(`\n${render(runs, summaries, bars).join("\n")}`)
  const wrong = summaries.some(({ right }) => !right)
  return wrong || (options.strict && bars.some(({ met }) => met === false)) ? 1 : 0
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
  return await bench(options)
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
