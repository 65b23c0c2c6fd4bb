/**
 * A database that does not keep up, or is away: `npm run build && node bench/pressure.mjs`. See `docs/benchmarks.md`.
 *
 * - *slow*: each commit is made to take its time, so that the source is about ten times as fast. Progress must never
 *   stand still, no queue may be above its watermark, memory stays within the budget, and the log stays short.
 * - *stopped*: all processes of PostgreSQL are stopped (SIGSTOP) in mid-backfill, and go on later. Then one of its
 *   backends is killed, which makes the server recover from a crash. Nothing may be missing in the end.
 *
 * Exits with 1 when a promise was broken.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import pg from "pg"
import { load } from "./chain.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { peakMemory } from "./proc.mjs"
import { verify } from "./verify.mjs"

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    blocks: { type: "string", default: "16000" },
    density: { type: "string", default: "0.04" },
    /** Milliseconds that each commit is made to take, and seconds of looking. */
    commit: { type: "string", default: "400" },
    seconds: { type: "string", default: "300" },
    /** Seconds without a database. */
    away: { type: "string", default: "120" }
  }
})

const here = dirname(fileURLToPath(import.meta.url))
const schema = "sluice_bench"
const blocks = Number(values.blocks)
const density = Number(values.density)

/** What has to be ended when we end, last first. @type {Array<() => Promise<unknown> | void>} */
const cleanups = []
const cleanUp = async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
}

/** @param {import("node:child_process").ChildProcess} child */
const end = async (child) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((done) => child.once("exit", done))
  child.kill("SIGTERM")
  await ended
}

const startNode = async () => {
  const child = spawn(
    process.execPath,
    [join(here, "node.mjs"), "--blocks", `${blocks}`, "--density", `${density}`],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] }
  )
  cleanups.push(() => end(child))
  const { port } = await new Promise((done) => child.once("message", done))
  return Number(port)
}

/** @param {string} databaseUrl @param {number} rpcPort */
const startSluice = async (databaseUrl, rpcPort) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-pressure-"))
  const flags = [
    "--profile=anvil",
    `--rpc-url=http://127.0.0.1:${rpcPort}`,
    "--start-block=1",
    `--end-block=${blocks}`,
    "--batch-size=20",
    "--concurrency=20",
    "--http-port=0",
    "--log-format=json"
  ]
  const child = spawn(process.execPath, [join(here, "..", "dist", "main.js"), ...flags], {
    // The capacity is that of the mainnet profile.
    env: {
      PATH: process.env["PATH"],
      DATABASE_URL: databaseUrl,
      DATABASE_SCHEMA: schema,
      SLUICE_DATA_DIR: folder,
      RESULTS_CAPACITY: "5000"
    },
    stdio: ["ignore", "pipe", "inherit"]
  })
  cleanups.push(async () => {
    await end(child)
    rmSync(folder, { recursive: true, force: true })
  })
  /** @type {Array<string>} */
  const lines = []
  const port = await new Promise((done, fail) => {
    child.once("exit", () => fail(new Error(lines.join("\n"))))
    let rest = ""
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      lines.push(...parts)
      const found = /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(parts.join("\n"))?.[1]
      if (found !== undefined) done(Number(found))
    })
  })
  /** @param {string} path @returns {Promise<any>} */
  const ask = async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).json()
  const ended = new Promise((done) => child.once("exit", done))
  ended.then((code) => code !== 0 && note(`Sluice ended with ${code}:\n${lines.slice(-5).join("\n")}`))
  return { ask, child, ended, lines, memory: () => peakMemory(child.pid ?? 0) ?? 0 }
}

/** @param {any} postgres @param {string} name */
const freshDatabase = async (postgres, name) => {
  const url = await postgres.create(name)
  cleanups.push(() => postgres.drop(name))
  const client = new pg.Client(url)
  // A server that recovers cuts the connection.
  client.on("error", () => undefined)
  await client.connect()
  cleanups.push(() => client.end().catch(() => undefined))
  return { url, client }
}

/** Until the tables are there. @param {() => Promise<any>} look */
const eventually = async (look) => {
  for (;;) {
    const found = await look().catch(() => undefined)
    if (found) return found
    await sleep(100)
  }
}

/** @type {Array<string>} */
const broken = []
/** @param {string} what @param {boolean} kept */
const promise = (what, kept) => {
  print(`${kept ? "kept  " : "BROKEN"}  ${what}`)
  if (!kept) broken.push(what)
}

const mebibytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 2 ** 20)} MiB`

/** @param {any} postgres @param {number} rpcPort */
const slow = async (postgres, rpcPort) => {
  const { client, url } = await freshDatabase(postgres, `sluice_slow_${process.pid}`)
  const sluice = await startSluice(url, rpcPort)
  await eventually(() => client.query(`select from ${schema}.blocks limit 1`))
  await client.query(`
    create function public.take_time() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${Number(values.commit) / 1000}); return null; end $$;
    create trigger take_time after insert on ${schema}.blocks
      for each statement execute function public.take_time()`)
  const seen = { level: 0, jobs: 0, results: 0, sequencer: 0, bytes: 0, above: 0, still: 0, longest: 0 }
  let stats = await sluice.ask("/api/backpressure_stats")
  let { totals } = await sluice.ask("/api/status")
  const first = totals.blocks
  const begin = performance.now()
  while (performance.now() - begin < Number(values.seconds) * 1000 && sluice.child.exitCode === null) {
    await sleep(500)
    stats = await sluice.ask("/api/backpressure_stats")
    const now = await sluice.ask("/api/status")
    seen.still = now.totals.blocks === totals.blocks ? seen.still + 0.5 : 0
    seen.longest = Math.max(seen.longest, seen.still)
    totals = now.totals
    seen.level = Math.max(seen.level, stats.backoff_level)
    seen.jobs = Math.max(seen.jobs, stats.current_jobs_depth)
    seen.results = Math.max(seen.results, stats.current_results_depth)
    seen.sequencer = Math.max(seen.sequencer, stats.current_seq_buffer)
    seen.bytes = Math.max(seen.bytes, stats.current_bytes)
    if (stats.current_jobs_depth + stats.current_results_depth > stats.results_watermark) seen.above++
  }
  const seconds = (performance.now() - begin) / 1000
  const rate = (totals.blocks - first) / seconds
  print(`slow database, ${seconds.toFixed(0)} s: ${rate.toFixed(0)} blocks/s committed`)
  print(
    `  most seen: jobs ${seen.jobs}, results ${seen.results} (watermark ${stats.results_watermark}), ` +
      `sequencer ${seen.sequencer}, ${mebibytes(seen.bytes)} of ${mebibytes(stats.max_bytes)}, level ${seen.level}`
  )
  print(
    `  waited ${stats.total_blocked_count} times; peak memory ${mebibytes(sluice.memory())}; ` +
      `${sluice.lines.length} log lines`
  )
  promise("progress never stands still for 5 s", seen.longest < 5)
  promise("no more blocks on their way than the watermark", seen.above === 0)
  promise("fewer than 50 log lines", sluice.lines.length < 50)
  await client.query("drop function public.take_time() cascade")
  await sluice.ended
  const wrong = await verify(url, schema, (await load({ blocks, density })).expected)
  promise("the tables are the chain", wrong.length === 0)
  await cleanUpTo(2)
}

/** @param {any} postgres @param {number} rpcPort */
const stopped = async (postgres, rpcPort) => {
  const { client, url } = await freshDatabase(postgres, `sluice_stopped_${process.pid}`)
  const sluice = await startSluice(url, rpcPort)
  const blocksOf = async () => (await sluice.ask("/api/status")).totals.blocks
  await eventually(async () => (await blocksOf()) > blocks / 10)
  const before = { blocks: await blocksOf(), memory: sluice.memory() }
  postgres.signal("SIGSTOP")
  // A stopped server cannot be ended.
  cleanups.push(() => postgres.signal("SIGCONT"))
  const begin = performance.now()
  await sleep(Number(values.away) * 1000)
  const during = { blocks: await blocksOf(), stats: await sluice.ask("/api/backpressure_stats") }
  const grown = sluice.memory() - before.memory
  postgres.signal("SIGCONT")
  const back = performance.now()
  await eventually(async () => (await blocksOf()) > during.blocks)
  const recovered = (performance.now() - back) / 1000
  await eventually(async () => (await blocksOf()) > blocks / 2)
  const { rows } = await client.query(
    "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name = 'sluice' limit 1"
  )
  process.kill(rows[0].pid, "SIGKILL")
  const killed = performance.now()
  const atKill = await blocksOf()
  await eventually(async () => (await blocksOf()) > atKill + 100)
  const recoveredAgain = (performance.now() - killed) / 1000
  await sluice.ended
  print(
    `PostgreSQL stopped for ${((back - begin) / 1000).toFixed(0)} s at block ${before.blocks}: ` +
      `${during.blocks - before.blocks} blocks committed meanwhile, ${mebibytes(during.stats.current_bytes)} in flight`
  )
  print(
    `  peak memory grew by ${mebibytes(grown)}; committing again ${recovered.toFixed(1)} s after it went on, ` +
      `and ${recoveredAgain.toFixed(1)} s after a backend was killed; ${sluice.lines.length} log lines`
  )
  promise("memory grows by less than the budget", grown < during.stats.max_bytes)
  const wrong = await verify(url, schema, (await load({ blocks, density })).expected)
  promise("the tables are the chain", wrong.length === 0)
  for (const line of wrong) note(line)
  await cleanUpTo(2)
}

/** Leaves the first of what has to be ended: node and server. @param {number} count */
const cleanUpTo = async (count) => {
  while (cleanups.length > count) await cleanups.pop()?.()
}

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.on(signal, () => cleanUp().finally(() => process.exit(2)))
}

try {
  const postgres = await startPostgres()
  cleanups.push(postgres.stop)
  const rpcPort = await startNode()
  if (values.only !== "stopped") await slow(postgres, rpcPort)
  if (values.only !== "slow") await stopped(postgres, rpcPort)
} catch (cause) {
  note(cause instanceof Error ? (cause.stack ?? cause.message) : `${cause}`)
  process.exitCode = 2
} finally {
  await cleanUp()
}
if (broken.length > 0) process.exitCode = 1
