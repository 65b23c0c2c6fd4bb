/**
 * What live readers cost, and how late they are: `npm run build && node bench/live.mjs`. See `docs/benchmarks.md`.
 *
 * The full job of `main.mjs` (`linked`), once without and once with readers of `/ws` in each round. The node has
 * nothing until all readers are connected, and the clock runs from its first blocks until the last one is committed.
 * A share of the readers is stalled: they are connected, and never read.
 */
import { fork, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { loadavg, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { load } from "./chain.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { cpuOf, peakMemory } from "./proc.mjs"

const { values } = parseArgs({
  options: {
    readers: { type: "string", default: "1000" },
    stalled: { type: "string", default: "0.1" },
    rounds: { type: "string", default: "3" },
    blocks: { type: "string", default: "1000" },
    port: { type: "string" }
  }
})
const here = dirname(fileURLToPath(import.meta.url))

/** Readers are a process of their own: what they spend is not the server's. */
const beReaders = () => {
  const stalled = Math.round(Number(values.readers) * Number(values.stalled))
  const port = Number(values.port)
  /** @type {Array<number>} */
  let delays = []
  let connected = 0
  let bytes = 0
  const upgrade = [
    "GET /ws HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "",
    ""
  ].join("\r\n")
  /** A pong by RFC 6455, masked with zeros. */
  const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

  /** @param {boolean} isStalled */
  const reader = (isStalled) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(upgrade))
    socket.on("error", () => undefined)
    let tail = ""
    socket.once("data", () => {
      connected++
      process.send?.({ connected })
      if (isStalled) return socket.pause()
      socket.on("data", (chunk) => {
        bytes += chunk.length
        // Of a message only the time of its snapshot is read; a frame may come in several chunks.
        const text = tail + chunk.latin1Slice()
        for (const [, at] of text.matchAll(/"snapshot":\{"at":(\d{13}),/g))
          delays.push(Date.now() - Number(at))
        tail = text.slice(-30)
      })
      setInterval(() => socket.write(pong), 10_000)
    })
  }
  for (let i = 0; i < Number(values.readers); i++) reader(i < stalled)
  process.on("message", (asked) => {
    if (asked === "start") {
      delays = []
      bytes = 0
    } else process.send?.({ delays, bytes })
  })
  process.on("disconnect", () => process.exit(0))
}

/** What has to be ended when we end, last first. @type {Array<() => Promise<void> | void>} */
const cleanups = []
const cleanUp = async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
}

/** @param {import("node:child_process").ChildProcess} child @param {NodeJS.Signals} [signal] */
const end = async (child, signal = "SIGTERM") => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((done) => child.once("exit", done))
  child.kill(signal)
  await ended
}

/** The next message for which `pick` is not undefined. @template A @param {import("node:child_process").ChildProcess} child @param {(message: any) => A | undefined} pick @returns {Promise<A>} */
const message = (child, pick) =>
  new Promise((done, fail) => {
    const gone = () => fail(new Error("a helper has ended"))
    /** @param {any} told */
    const listen = (told) => {
      const found = pick(told)
      if (found === undefined) return
      child.off("message", listen).off("exit", gone)
      done(found)
    }
    child.on("message", listen).on("exit", gone)
  })

/** @param {ReadonlyArray<number>} values @param {number} share */
const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? Number.NaN

const median = (/** @type {ReadonlyArray<number>} */ values) => quantile(values, 0.5)

/** @param {{databaseUrl: string, rpcPort: number, blocks: number, folder: string}} job */
const startSluice = async ({ blocks, databaseUrl, folder, rpcPort }) => {
  const flags = {
    profile: "anvil",
    "rpc-url": `http://127.0.0.1:${rpcPort}`,
    "start-block": "1",
    "end-block": `${blocks}`,
    proof: "linked",
    "http-port": "0",
    "log-format": "json"
  }
  const child = spawn(
    process.execPath,
    [
      join(here, "..", "dist", "main.js"),
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    ],
    {
      env: {
        PATH: process.env["PATH"],
        DATABASE_URL: databaseUrl,
        DATABASE_SCHEMA: "sluice_bench",
        SLUICE_DATA_DIR: folder
      },
      stdio: ["ignore", "pipe", "inherit"]
    }
  )
  cleanups.push(() => end(child))
  let log = ""
  const port = await new Promise((done, fail) => {
    child.once("exit", () => fail(new Error(log)))
    child.stdout.setEncoding("utf8").on("data", (text) => {
      log += text
      const found = /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(log)?.[1]
      if (found !== undefined) done(Number(found))
    })
  })
  return { child, port, pid: child.pid ?? 0 }
}

/** @param {{postgres: any, node: import("node:child_process").ChildProcess, rpcPort: number, blocks: number, readers: number, name: string}} job */
const run = async ({ blocks, name, node, postgres, readers, rpcPort }) => {
  const databaseUrl = await postgres.create(name)
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-live-"))
  cleanups.push(async () => {
    await postgres.drop(name)
    rmSync(folder, { recursive: true, force: true })
  })
  await postgres.checkpoint()
  node.send("hold")
  const { child, pid, port } = await startSluice({ databaseUrl, rpcPort, blocks, folder })
  const crowd =
    readers === 0
      ? undefined
      : fork(fileURLToPath(import.meta.url), [
          "--port",
          `${port}`,
          "--readers",
          `${readers}`,
          "--stalled",
          values.stalled
        ])
  if (crowd !== undefined) {
    cleanups.push(() => end(crowd))
    await message(crowd, ({ connected }) => (connected === readers ? connected : undefined))
    crowd.send("start")
  }
  // By then it waits for blocks.
  await sleep(1000)
  const ended = new Promise((done) => child.once("exit", done))
  const before = cpuOf(pid)?.own ?? 0
  let cpu = 0
  let memory = 0
  const watch = setInterval(() => {
    cpu = (cpuOf(pid)?.own ?? cpu + before) - before
    memory = peakMemory(pid) ?? memory
  }, 50)
  const started = process.hrtime.bigint()
  node.send("go")
  // Readers are asked before the end, at which all of them are closed.
  let seen = { delays: [], bytes: 0 }
  const ask = setInterval(async () => {
    if (crowd?.connected !== true || child.exitCode !== null) return
    const answer = message(crowd, (told) => (told.delays === undefined ? undefined : told))
    crowd.send("delays")
    seen = await answer.catch(() => seen)
  }, 500)
  const code = await ended
  const wall = Number(process.hrtime.bigint() - started) / 1e9
  clearInterval(watch)
  clearInterval(ask)
  if (code !== 0) throw new Error(`Sluice ended with ${code}`)
  await cleanUpTo(2)
  return { wall, cpu, memory, ...seen }
}

/** Cleans up until only so many are left: those of the whole bench. @param {number} left */
const cleanUpTo = async (left) => {
  while (cleanups.length > left) await cleanups.pop()?.()
}

const bench = async () => {
  const blocks = Number(values.blocks)
  const readers = Number(values.readers)
  if (loadavg()[0] > 0.7) note(`This machine has other things to do (load ${loadavg()[0].toFixed(1)})`)
  await load({ blocks, log: note })
  const postgres = await startPostgres()
  cleanups.push(postgres.stop)
  const node = fork(join(here, "node.mjs"), ["--blocks", `${blocks}`], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  cleanups.push(() => end(node))
  const rpcPort = await message(node, ({ port }) => port)
  const job = { postgres, node, rpcPort, blocks }
  await run({ ...job, readers: 0, name: `sluice_live_${process.pid}_0` })
  const rounds = []
  for (let i = 1; i <= Number(values.rounds); i++) {
    const alone = await run({ ...job, readers: 0, name: `sluice_live_${process.pid}_${i}a` })
    const read = await run({ ...job, readers, name: `sluice_live_${process.pid}_${i}b` })
    rounds.push({ alone, read })
    const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(read.delays, share))
    print(
      `round ${i}  alone ${alone.wall.toFixed(2)} s, ${alone.cpu.toFixed(2)} s of CPU, ${(alone.memory / 1e6).toFixed(0)} MB` +
        `  with ${readers} readers ${read.wall.toFixed(2)} s, ${read.cpu.toFixed(2)} s, ${(read.memory / 1e6).toFixed(0)} MB` +
        `  delay p50 ${p50} ms, p99 ${p99} ms, most ${most} ms of ${read.delays.length} messages, ${(read.bytes / 1e6).toFixed(0)} MB`
    )
  }
  const ratio = (/** @type {"wall" | "cpu"} */ of) =>
    median(rounds.map(({ alone, read }) => alone[of] / read[of]))
  print(
    `throughput with ${readers} readers (${Number(values.stalled) * 100} % stalled): ${(100 * ratio("wall")).toFixed(0)} % of that without; ` +
      `CPU ${(100 / ratio("cpu")).toFixed(0)} %; p99 delay ${median(rounds.map(({ read }) => quantile(read.delays, 0.99)))} ms`
  )
}

if (values.port !== undefined) beReaders()
else {
  for (const signal of ["SIGINT", "SIGTERM"])
    process.on(signal, () => cleanUp().finally(() => process.exit(130)))
  try {
    await bench()
  } finally {
    await cleanUp()
  }
}
