/**
 * What `sluice verify` costs and finds: `node bench/audit.mjs --blocks 100000`. See `docs/benchmarks.md`.
 *
 * Fills a PostgreSQL with a made-up chain, verifies it, plants one damage of each kind, and expects that every one is
 * found, that all of them are repaired, and that the digest is again what it was. Exits with 1 where that is not so.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import pg from "pg"
import { load } from "./chain.mjs"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"
import { cpuOf, peakMemory } from "./proc.mjs"

const { values: flags } = parseArgs({
  options: {
    blocks: { type: "string", default: "100000" },
    density: { type: "string", default: "0.02" },
    postgres: { type: "string" }
  }
})
const blocks = Number(flags.blocks)
const here = dirname(fileURLToPath(import.meta.url))
const schema = "sluice_bench"
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-data-"))

/** What has to be ended when we end, last first. @type {Array<() => Promise<void> | void>} */
const cleanups = [() => rmSync(folder, { recursive: true, force: true })]

/** @param {string} table @param {string} set @param {number} number @param {string} [where] */
const change = (table, set, number, where = "true") =>
  `update ${schema}.${table} set ${set} where ${table === "blocks" ? "number" : "block_number"} = ${number} and ${where}`

const first = "transaction_index = 0"
const flipped = (/** @type {string} */ column) =>
  `${column} = set_byte(${column}, 3, 255 - get_byte(${column}, 3))`

/** One damage of each kind, every one at another block. @type {ReadonlyArray<(number: number) => string>} */
const damages = [
  (n) => change("blocks", flipped("hash"), n),
  (n) => change("blocks", flipped("parent_hash"), n),
  (n) => change("blocks", flipped("state_root"), n),
  (n) => change("blocks", flipped("logs_bloom"), n),
  (n) => change("blocks", "gas_limit = gas_limit + 1", n),
  (n) => change("blocks", "timestamp = timestamp + interval '1 second'", n),
  (n) => change("transactions", "value = value + 1", n, first),
  (n) => change("transactions", flipped("hash"), n, first),
  (n) => change("transactions", "cumulative_gas_used = cumulative_gas_used + 1", n, first),
  (n) => change("transactions", "block_timestamp = block_timestamp - interval '1 second'", n, first),
  (n) => change("transactions", "status = 1 - status", n, first),
  (n) => change("logs", flipped("address"), n, "log_index = 0"),
  (n) => change("logs", "data = data || '\\x00'", n, "log_index = 0"),
  (n) => change("logs", flipped("transaction_hash"), n, "log_index = 0"),
  (n) => `delete from ${schema}.blocks where number = ${n}`,
  (n) => `delete from ${schema}.transactions where block_number = ${n} and ${first}`,
  (n) => `delete from ${schema}.logs where block_number = ${n} and log_index = 0`,
  // A primary key that lost its uniqueness, as a broken index does.
  (n) => `alter table ${schema}.logs drop constraint logs_pkey;
    create index on ${schema}.logs (block_number, log_index);
    insert into ${schema}.logs select * from ${schema}.logs where block_number = ${n} and log_index = 0`,
  (
    n
  ) => `update ${schema}.coverage set ranges = case level when 'linked' then ranges + int8multirange(int8range(${n}, ${n + 1}))
    else ranges - int8multirange(int8range(${n}, ${n + 1})) end`,
  (n) => `update ${schema}.coverage set ranges = ranges - int8multirange(int8range(${n}, ${n + 1}))`
]

/**
 * One `sluice`, from its start to its end.
 * @param {string} databaseUrl @param {string} rpcUrl @param {ReadonlyArray<string>} args
 */
const sluice = async (databaseUrl, rpcUrl, args) => {
  const start = performance.now()
  const before = cpuOf("self")?.ended ?? 0
  const child = spawn(process.execPath, [join(here, "..", "dist", "main.js"), ...args], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      PROFILE: "anvil",
      RPC_URL: rpcUrl,
      DATABASE_URL: databaseUrl,
      DATABASE_SCHEMA: schema,
      HTTP_PORT: "0",
      LOG_FORMAT: "json"
    },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const stop = () => void child.kill("SIGKILL")
  cleanups.push(stop)
  let out = ""
  child.stdout.setEncoding("utf8").on("data", (text) => {
    out += text
  })
  let memory = 0
  const look = setInterval(() => {
    if (child.pid !== undefined) memory = peakMemory(child.pid) ?? memory
  }, 50)
  /** @type {number | null} */
  const code = await new Promise((done) => child.once("close", done))
  clearInterval(look)
  cleanups.splice(cleanups.indexOf(stop), 1)
  const cpu = (cpuOf("self")?.ended ?? 0) - before
  return { code, out, seconds: (performance.now() - start) / 1000, cpu, megabytes: memory / 1e6 }
}

/** @param {string} out @returns {ReadonlyArray<Record<string, any>>} */
const linesOf = (out) =>
  out
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))

/** @param {string} what @param {{seconds: number, cpu: number, megabytes: number}} used @param {string} said */
const tell = (what, { cpu, megabytes, seconds }, said) => {
  const figures = [`${seconds.toFixed(1)} s`, `${cpu.toFixed(1)} s of CPU`, `${megabytes.toFixed(0)} MB`]
  print(`${what.padEnd(14)} ${figures.map((text) => text.padStart(15)).join(" ")}  ${said}`)
}

const main = async () => {
  const { expected } = await load({ blocks, density: Number(flags.density), log: note })
  print(`${blocks} blocks, ${expected.transactions} transactions, ${expected.logs} logs`)
  const postgres = await startPostgres({ choice: flags.postgres })
  cleanups.push(postgres.stop)
  const node = spawn(
    process.execPath,
    [join(here, "node.mjs"), "--blocks", flags.blocks, "--density", flags.density],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] }
  )
  cleanups.push(() => void node.kill("SIGTERM"))
  /** @type {{port: number}} */
  const { port } = await new Promise((done) => node.once("message", done))
  const database = `sluice_bench_${process.pid}`
  const databaseUrl = await postgres.create(database)
  cleanups.push(() => postgres.drop(database))
  const rpcUrl = `http://127.0.0.1:${port}`
  /** @param {ReadonlyArray<string>} args */
  const run = (args) => sluice(databaseUrl, rpcUrl, args)

  tell("filled", await run([`--end-block=${blocks}`]), "")
  const sound = await run(["verify", "--json"])
  const before = linesOf(sound.out).at(-1)
  tell("verified", sound, `exit ${sound.code}, ${before?.findings} findings, ${before?.proven} proven`)

  // Blocks with transactions and logs, some way apart.
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query(
    `select min(b.number)::int as number from ${schema}.blocks b
     join ${schema}.logs l on l.block_number = b.number and l.log_index = 0 and l.transaction_index = 0
     where b.log_count > 1 and b.number > 0 group by b.number / $1 order by 1 limit $2`,
    [Math.floor(blocks / (damages.length + 2)), damages.length]
  )
  const planted = rows.map(({ number }) => number)
  try {
    for (const [i, damage] of damages.entries()) await client.query(damage(planted[i]))
  } finally {
    await client.end()
  }

  const damaged = await run(["verify", "--json"])
  const findings = linesOf(damaged.out).filter(({ type }) => type === "finding")
  const found = new Set(findings.map(({ block }) => block))
  const missed = planted.filter((number) => !found.has(number))
  tell(
    "damaged",
    damaged,
    `exit ${damaged.code}, ${planted.length - missed.length} of ${planted.length} found`
  )
  for (const { block, kind, reason } of findings) print(`    ${kind} ${block ?? ""} ${reason}`)
  const mended = await run(["verify", "--json", "--repair"])
  const repair = linesOf(mended.out).at(-1)
  tell(
    "repaired",
    mended,
    `exit ${mended.code}, ${repair?.repaired} blocks repaired, ${repair?.left} findings left`
  )
  const again = await run(["verify", "--json"])
  const after = linesOf(again.out).at(-1)
  const same = after?.digest === before?.digest
  tell("verified again", again, `exit ${again.code}, ${same ? "the digest is the same" : "ANOTHER DIGEST"}`)
  const right = sound.code === 0 && planted.length === damages.length && missed.length === 0
  return right && repair?.left === 0 && again.code === 0 && same ? 0 : 1
}

const cleanUp = async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
}

for (const [signal, code] of /** @type {const} */ ([
  ["SIGINT", 130],
  ["SIGTERM", 143]
])) {
  process.once(signal, () => cleanUp().finally(() => process.exit(code)))
}

try {
  process.exitCode = await main()
} finally {
  await cleanUp()
}
