/**
 * A live chain with many events, through the whole pipeline: `npm run build && node bench/traffic.mjs`. See
 * `docs/benchmarks.md`.
 *
 * - Without `--largest`: so many Transfers and Swaps a second for so many seconds, and in each minute a burst
 *   with silence after it. Queues are looked at, and CPU and memory.
 * - With `--largest`: the rate is doubled until the commits fall behind the head.
 *
 * In the end all events have to be in their tables once, and token metrics have to be what SQL says. Exits with 1 when a
 * promise was broken.
 *
 * **Gotchas**
 *
 * The blocks are made before, and a node shows them by the clock: making them live would take a core.
 */
import { fork, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { cpus, loadavg, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import pg from "pg"
import { load } from "./chain.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { cpuOf } from "./proc.mjs"
import { command, schema } from "./sluice.mjs"
import { countOf, expectedEvents, lostEvents, wrongMetrics } from "./trafficTables.mjs"
import { delays, highest, median, most, percent, quantile, told, watch } from "./watch.mjs"

const { values } = parseArgs({
  options: {
    /** Of the steady rate; bursts and silence come on top. */
    seconds: { type: "string", default: "600" },
    /** Events a second. */
    rate: { type: "string", default: "500" },
    /** Seconds between blocks. */
    pace: { type: "string", default: "1" },
    /** Events of a burst, the blocks that they are in, and seconds without any after it. */
    burst: { type: "string", default: "10000" },
    "burst-blocks": { type: "string", default: "1" },
    silence: { type: "string", default: "10" },
    largest: { type: "boolean", default: false },
    /** The highest rate that is tried, and seconds at each. */
    most: { type: "string", default: "32000" },
    stage: { type: "string", default: "20" }
  }
})

const rate = Number(values.rate)
const pace = Number(values.pace)
const tokens = 120
const here = dirname(fileURLToPath(import.meta.url))

/** Promised share of its capacity that any queue uses at the steady rate. */
const mostUsage = 0.2
/** Seconds by which a rate that is sustained may be behind the head. */
const mostLag = 2
/** Events of a block, above which there are more blocks a second instead. */
const mostInBlock = 2_000
/** Tokens, and pairs, whose metrics are counted anew. */
const sampled = 20

/** What has to be ended when we end, last first. @type {Array<() => Promise<unknown> | void>} */
const cleanups = []
const cleanUp = async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
}

/** @param {import("node:child_process").ChildProcess} child @returns {Promise<number | null>} its exit code */
const end = async (child) => {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = new Promise((done) => child.once("exit", done))
  child.kill("SIGTERM")
  return await ended
}

/** @type {Array<string>} */
const broken = []
/** @param {string} what @param {boolean} kept */
const promise = (what, kept) => {
  print(`${kept ? "kept  " : "BROKEN"}  ${what}`)
  if (!kept) broken.push(what)
}

const mebibytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 2 ** 20)} MiB`

// When each block comes

/**
 * @typedef {import("./chain.mjs").Run} Run
 *
 * @typedef {object} Part Of the timeline: blocks at an even pace.
 * @property {"steady" | "burst" | "silence" | "stage"} name
 * @property {number} blocks
 * @property {number} events In each block.
 * @property {number} seconds Between blocks.
 */

/** @returns {ReadonlyArray<Part>} */
const steadyParts = () => {
  /** @type {Array<Part>} */
  const parts = []
  for (let left = Number(values.seconds); left > 0; left -= 60) {
    const blocks = Math.round(Math.min(60, left) / pace)
    parts.push({ name: "steady", blocks, events: Math.round(rate * pace), seconds: pace })
    if (Number(values.burst) === 0) continue
    const inBlocks = Number(values["burst-blocks"])
    const events = Math.round(Number(values.burst) / inBlocks)
    parts.push({ name: "burst", blocks: inBlocks, events, seconds: pace })
    parts.push({
      name: "silence",
      blocks: Math.round(Number(values.silence) / pace),
      events: 0,
      seconds: pace
    })
  }
  return parts
}

/** @returns {ReadonlyArray<Part>} */
const stages = () => {
  /** @type {Array<Part>} */
  const parts = []
  for (let aim = 2 * rate; aim <= Number(values.most); aim *= 2) {
    const events = Math.min(Math.round(aim * pace), mostInBlock)
    const seconds = events / aim
    parts.push({ name: "stage", blocks: Math.round(Number(values.stage) / seconds), events, seconds })
  }
  return parts
}

// The node, the database, Sluice

/** @param {ReadonlyArray<Run>} traffic */
const startNode = async (traffic) => {
  const child = fork(
    join(here, "node.mjs"),
    ["--traffic", JSON.stringify(traffic), "--tokens", `${tokens}`],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] }
  )
  cleanups.push(() => end(child))
  /** @type {number} */
  const port = await new Promise((done, fail) => {
    child.once("message", (/** @type {any} */ message) => done(message.port))
    child.once("exit", () => fail(new Error("the node has ended")))
  })
  let head = 0
  return {
    port,
    head: () => head,
    /** @param {number} number */
    show: (number) => {
      head = number
      child.send(number)
    }
  }
}

/** @param {string} databaseUrl @param {number} rpcPort */
const startSluice = async (databaseUrl, rpcPort) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-traffic-"))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const contracts = join(folder, "contracts.json")
  writeFileSync(contracts, JSON.stringify({ contracts: [{ pack: "erc20" }, { pack: "uniswap-v2" }] }))
  const { args, env } = command({
    databaseUrl,
    rpcUrl: `http://127.0.0.1:${rpcPort}`,
    folder,
    flags: { contracts, index: "blocks" },
    // As short as on mainnet: a share of the 100,000 that a devnet has would say little.
    env: { RESULTS_CAPACITY: "5000" }
  })
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "inherit"]
  })
  cleanups.push(() => end(child))
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
  /** @param {string} path */
  const get = async (path) => {
    if (child.exitCode !== null) throw new Error(`Sluice has ended:\n${lines.slice(-5).join("\n")}`)
    return await fetch(`http://127.0.0.1:${port}${path}`)
  }
  return {
    pid: child.pid ?? 0,
    lines,
    end: () => end(child),
    /** @returns {Promise<any>} */
    pressure: async () => (await get("/api/backpressure_stats")).json(),
    metrics: async () => {
      const text = await (await get("/metrics")).text()
      return new Map([...text.matchAll(/^(\w\S*) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]))
    }
  }
}

/** Shows the blocks of a part by the clock. @param {Awaited<ReturnType<typeof startNode>>} node @param {Part} part */
const play = async (node, { blocks, seconds }) => {
  const begin = performance.now()
  const first = node.head() + 1
  for (let i = 0; i < blocks; i++) {
    node.show(first + i)
    await sleep(Math.max(0, begin + (i + 1) * seconds * 1000 - performance.now()))
  }
}

/** @param {number} seconds @param {string} what @param {() => Promise<boolean>} look */
const until = async (seconds, what, look) => {
  const begin = performance.now()
  while (!(await look())) {
    if (performance.now() - begin > seconds * 1000) {
      note(`${what}: not within ${seconds} s`)
      return false
    }
    await sleep(100)
  }
  return true
}

/** @param {Awaited<ReturnType<typeof startSluice>>} sluice @param {Awaited<ReturnType<typeof startNode>>} node */
const caughtUp = (sluice, node) =>
  until(
    300,
    "the last block is committed",
    async () => (await sluice.pressure()).disk_watermark === node.head()
  )

// Both ways

const setUp = async (/** @type {ReadonlyArray<Part>} */ parts) => {
  if (loadavg()[0] > 0.7) note(`This machine has other things to do (load ${loadavg()[0].toFixed(1)})`)
  const traffic = parts.map(({ blocks, events, seconds }) => /** @type {const} */ ([blocks, events, seconds]))
  const chain = await load({ traffic, tokens, log: note })
  const postgres = await startPostgres()
  cleanups.push(postgres.stop)
  const node = await startNode(traffic)
  node.show(0)
  const name = `sluice_traffic_${process.pid}`
  const url = await postgres.create(name)
  cleanups.push(() => postgres.drop(name))
  await postgres.checkpoint()
  const sluice = await startSluice(url, node.port)
  // By then it waits for blocks.
  await sleep(2000)
  const cpu = () => ({
    sluice: cpuOf(sluice.pid)?.own ?? Number.NaN,
    postgres: postgres.cpuSeconds() ?? Number.NaN
  })
  return { chain, cpu, node, sluice, url }
}

/** Once all is flushed and counted anew: what is lost, and what metrics say. @param {Awaited<ReturnType<typeof setUp>>} bench */
const judge = async ({ chain, node, sluice, url }) => {
  const last = node.head()
  await caughtUp(sluice, node)
  const client = new pg.Client(url)
  await client.connect()
  try {
    const checked = await until(200, "all metrics hold as of the last block", async () => {
      const { rows } = await client.query(`select checked_number from ${schema}.token_checkpoint`)
      return Number(rows[0].checked_number) === last
    })
    const metrics = await sluice.metrics()
    const expected = expectedEvents(chain, last)
    const lost = await lostEvents(client, schema, expected)
    for (const line of lost.slice(0, 10)) note(line)
    const { rows, wrong } = await wrongMetrics(client, schema, sampled)
    for (const line of wrong.slice(0, 10)) note(`metrics are not what SQL says: ${line}`)
    const [transfers, swaps] = [countOf(expected.transfers), countOf(expected.swaps)]
    const fulls = metrics.get('indexer_token_flush_seconds_count{kind="full"}')
    const differences = metrics.get("indexer_token_differences_total")
    promise(
      `${transfers} Transfers and ${swaps} Swaps in ${last} blocks, each in its table once`,
      lost.length === 0
    )
    promise(
      `${rows} rows of metrics of ${sampled} tokens and ${sampled} pairs are what SQL says`,
      wrong.length === 0 && rows > 0 && checked
    )
    promise(
      `${fulls} full flushes of ${metrics.get("indexer_tokens_in_memory")} tokens and pairs found no difference`,
      differences === 0
    )
  } finally {
    await client.end()
  }
  promise("it ends when it is told to", (await sluice.end()) === 0)
  const loud = sluice.lines.filter((line) => /"level":"(WARN|ERROR|FATAL)"/i.test(line))
  for (const line of loud.slice(0, 10)) note(line)
}

/** @param {number} from @param {number} to @param {number} seconds */
const share = (from, to, seconds) => percent((to - from) / seconds)

const steady = async () => {
  const parts = steadyParts()
  const bench = await setUp(parts)
  const { cpu, node, sluice } = bench
  const seen = watch(sluice, node)
  const used = { seconds: 0, sluice: 0, postgres: 0 }
  const whole = cpu()
  for (const part of parts) {
    seen.enter(part.name)
    const [before, from] = [cpu(), seen.clock()]
    await play(node, part)
    if (part.name !== "steady") continue
    const after = cpu()
    used.seconds += seen.clock() - from
    used.sluice += after.sluice - before.sluice
    used.postgres += after.postgres - before.postgres
  }
  const [after, seconds] = [cpu(), seen.clock()]
  await caughtUp(sluice, node)
  await seen.stop()

  const warm = Math.min(60, seconds / 6)
  const settled = seen.looks.filter(({ at, part }) => part === "steady" && at > warm)
  const queues = highest(seen, ["steady", "start"])
  const lags = settled.map(({ lag }) => lag)
  print(
    `${rate} events a second in blocks of ${pace} s for ${used.seconds.toFixed(0)} s: ` +
      `${share(0, used.sluice, used.seconds)} of a core, PostgreSQL ${share(0, used.postgres, used.seconds)} ` +
      `(bursts and silence included: ${share(whole.sluice, after.sluice, seconds)} and ` +
      `${share(whole.postgres, after.postgres, seconds)})`
  )
  print(
    `  most of each queue: ${told(queues)}; backing off: level ${most(seen.looks.map(({ level }) => level))}`
  )
  print(
    `  behind the head: median ${median(lags)} blocks, p99 ${quantile(lags, 0.99)}; ` +
      `p99 delay of the event loop: median ${(1000 * median(seen.samples.map(({ delay }) => delay))).toFixed(0)} ms, ` +
      `most ${(1000 * most(seen.samples.map(({ delay }) => delay))).toFixed(0)} ms`
  )
  if (Number(values.burst) > 0) {
    print(
      `  bursts of ${values.burst} events in ${values["burst-blocks"]} block(s), then ${values.silence} s of silence`
    )
    print(`    most of each queue: ${told(highest(seen, ["burst", "silence"]))}`)
    print(
      `    from a burst's first block to a look that sees all committed: ${delays(seen.looks).join(", ")} s`
    )
  }
  const during = (/** @type {number} */ from, /** @type {number} */ to) => {
    const samples = seen.samples.filter(({ at }) => at >= from && at < to)
    return {
      memory: median(samples.map(({ memory }) => memory)),
      // What is left after a collection.
      heap: Math.min(...samples.map(({ heap }) => heap))
    }
  }
  const [early, late] = [during(warm, warm + 60), during(seconds - 60, seconds)]
  const growth = late.memory / early.memory - 1
  print(
    `  memory: median ${mebibytes(early.memory)} in the minute after ${warm.toFixed(0)} s, ` +
      `${mebibytes(late.memory)} in the last one (${growth < 0 ? "" : "+"}${percent(growth)}), ` +
      `most ${mebibytes(most(seen.samples.map(({ memory }) => memory)))}; ` +
      `least used heap ${mebibytes(early.heap)} and ${mebibytes(late.heap)}`
  )
  promise(
    `no queue uses more than ${percent(mostUsage)} at the steady rate`,
    queues.every(({ usage }) => usage <= mostUsage)
  )
  await judge(bench)
}

/** Events a second. @param {Part} part */
const aimOf = ({ events, seconds }) => Math.round(events / seconds)

const largest = async () => {
  const parts = stages()
  const bench = await setUp(parts)
  const { cpu, node, sluice } = bench
  const seen = watch(sluice, node)
  let sustained = 0
  const highestAim = most(parts.map(aimOf))
  for (const [i, part] of parts.entries()) {
    const aim = aimOf(part)
    const name = `stage ${i}`
    seen.enter(name)
    const [before, from, below] = [cpu(), seen.clock(), (await sluice.pressure()).disk_watermark ?? 0]
    await play(node, part)
    const [after, to, above] = [cpu(), seen.clock(), (await sluice.pressure()).disk_watermark ?? 0]
    const lags = seen.looks
      .filter(({ at, part: during }) => during === name && at > to - (to - from) / 4)
      .map(({ lag }) => lag * part.seconds)
    const keepsUp = median(lags) <= mostLag
    print(
      `${aim} events a second, ${(1 / part.seconds).toFixed(0)} blocks: ${keepsUp ? "sustained" : "falls behind"}, ` +
        `${Math.round(((above - below) * part.events) / (to - from))} a second committed, ` +
        `${median(lags).toFixed(1)} s behind the head in the last quarter; ` +
        `${share(before.sluice, after.sluice, to - from)} of a core, ` +
        `PostgreSQL ${share(before.postgres, after.postgres, to - from)}`
    )
    print(`  most of each queue: ${told(highest(seen, [name]))}`)
    if (keepsUp) sustained = aim
    await caughtUp(sluice, node)
    if (!keepsUp) break
  }
  await seen.stop()
  const reached =
    sustained === 0 ? `less than ${2 * rate}` : sustained === highestAim ? `at least ${sustained}` : sustained
  print(
    `largest rate that is sustained: ${reached} events a second ` +
      `(${cpus().length} cores for all, load ${loadavg()[0].toFixed(1)}); ` +
      `memory at most ${mebibytes(most(seen.samples.map(({ memory }) => memory)))}`
  )
  await judge(bench)
}

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.on(signal, () => cleanUp().finally(() => process.exit(2)))
}

try {
  await (values.largest ? largest() : steady())
} catch (cause) {
  note(cause instanceof Error ? (cause.stack ?? cause.message) : `${cause}`)
  process.exitCode = 2
} finally {
  await cleanUp()
}
if (broken.length > 0 && process.exitCode === undefined) process.exitCode = 1
