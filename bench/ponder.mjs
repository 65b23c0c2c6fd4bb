/**
 * Ponder from npm, in a folder of its own: what the events job compares with where it can be installed.
 *
 * **Details**
 *
 * npm's `latest` is 1.0.0, the code of 0.10 by its own change log. It is the version with an option for the rate cap,
 * which is lifted here. Its project is the least that says the same as our own: the Transfers of 50 tokens into one
 * table with the same columns, in the same PostgreSQL. Ponder stores hex as text, and keeps logs and blocks that it
 * fetched in tables of its own.
 *
 * **Gotchas**
 *
 * `ponder start` never ends: it is done when its `/ready` says so, which is when all rows are committed.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "./postgres.mjs"

/** With what it was tried; `typescript` and `hono` are peers that it wants. */
const dependencies = { ponder: "1.0.0", viem: "2.57.1", hono: "4.9.0", typescript: "5.9.3" }

export const version = dependencies.ponder

const schema = "ponder_bench"

const installSeconds = 300

/** @type {Readonly<Record<string, string>>} */
const project = {
  "ponder.config.ts": `
import { createConfig } from "ponder"
import { http, parseAbi } from "viem"
const { DATABASE_URL, FIRST, LAST, RPC_URL, TOKENS } = process.env
export default createConfig({
  database: { kind: "postgres", connectionString: DATABASE_URL },
  networks: { bench: { chainId: 31337, transport: http(RPC_URL), maxRequestsPerSecond: 10_000 } },
  contracts: {
    tokens: {
      network: "bench",
      abi: parseAbi(["event Transfer(address indexed from, address indexed to, uint256 value)"]),
      address: TOKENS.split(","),
      startBlock: Number(FIRST),
      endBlock: Number(LAST)
    }
  }
})`,
  "ponder.schema.ts": `
import { onchainTable, primaryKey } from "ponder"
export const tokensTransfer = onchainTable("tokens_transfer", (t) => ({
  blockNumber: t.bigint().notNull(),
  blockTimestamp: t.bigint().notNull(),
  transactionHash: t.hex().notNull(),
  logIndex: t.integer().notNull(),
  contract: t.hex().notNull(),
  from: t.hex().notNull(),
  to: t.hex().notNull(),
  value: t.bigint().notNull()
}), (table) => ({ pk: primaryKey({ columns: [table.blockNumber, table.logIndex] }) }))`,
  "src/index.ts": `
import { ponder } from "ponder:registry"
import { tokensTransfer } from "ponder:schema"
ponder.on("tokens:Transfer", async ({ context, event }) => {
  await context.db.insert(tokensTransfer).values({
    blockNumber: event.block.number,
    blockTimestamp: event.block.timestamp,
    transactionHash: event.transaction.hash,
    logIndex: event.log.logIndex,
    contract: event.log.address,
    from: event.args.from,
    to: event.args.to,
    value: event.args.value
  })
})`,
  // It insists on one.
  "src/api/index.ts": `
import { Hono } from "hono"
export default new Hono()`
}

/** The rows as lines, see `transfers.mjs`. */
export const rows = `
  select concat_ws(' ', block_number, block_timestamp, transaction_hash, log_index, lower(contract), lower("from"),
    lower("to"), "value") as line
  from ${schema}.tokens_transfer order by block_number, log_index`

/**
 * The folder with Ponder in it, from npm if it is not there yet; or why there is none.
 *
 * @param {(line: string) => void} log
 * @returns {Promise<{folder: string} | {missing: string}>}
 */
export const install = async (log) => {
  const folder = join(tmpdir(), `sluice-bench-ponder-${version}`)
  if (!existsSync(folder)) {
    log(`installing Ponder ${version} in ${folder}`)
    const draft = `${folder}.${process.pid}`
    mkdirSync(draft, { recursive: true })
    writeFileSync(
      join(draft, "package.json"),
      JSON.stringify({ private: true, type: "module", dependencies })
    )
    const failure = await npmInstall(draft)
    if (failure !== undefined) {
      rmSync(draft, { recursive: true, force: true })
      return { missing: failure }
    }
    if (existsSync(folder)) rmSync(draft, { recursive: true, force: true })
    else renameSync(draft, folder)
  }
  for (const [name, text] of Object.entries(project)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), `${text.trim()}\n`)
  }
  return { folder }
}

/** @param {string} cwd @returns {Promise<string | undefined>} */
const npmInstall = (cwd) =>
  new Promise((done) => {
    const flags = ["install", "--no-audit", "--no-fund", "--loglevel=error"]
    const npm = spawn("npm", flags, {
      cwd,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: installSeconds * 1000
    })
    let tail = ""
    npm.stderr.on("data", (chunk) => {
      tail = `${tail}${chunk}`.slice(-500)
    })
    npm.once("error", ({ message }) => done(message))
    npm.once("exit", (code, signal) =>
      done(code === 0 ? undefined : `npm ended with ${signal ?? `code ${code}`}: ${tail.trim()}`)
    )
  })

/**
 * @param {object} job
 * @param {string} job.folder As `install` says.
 * @param {string} job.rpcUrl
 * @param {string} job.databaseUrl
 * @param {ReadonlyArray<string>} job.tokens
 * @param {number} job.last
 * @returns {Promise<import("./job.mjs").Command>}
 */
export const command = async ({ databaseUrl, folder, last, rpcUrl, tokens }) => {
  const port = await freePort()
  const { bin } = JSON.parse(readFileSync(join(folder, "node_modules/ponder/package.json"), "utf8"))
  const program = join(folder, "node_modules/ponder", bin.ponder)
  const flags = ["--root", folder, "--schema", schema, "--port", `${port}`, "--hostname", "127.0.0.1"]
  return {
    args: [program, "start", ...flags, "--log-level", "warn"],
    env: {
      DATABASE_URL: databaseUrl,
      FIRST: "1",
      LAST: `${last}`,
      PONDER_TELEMETRY_DISABLED: "true",
      RPC_URL: rpcUrl,
      TOKENS: tokens.join(",")
    },
    cwd: folder,
    done: async (signal) => {
      while (!signal.aborted && !(await isReady(port))) await sleep(50)
    }
  }
}

/** @param {number} port */
const isReady = async (port) => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/ready`)
    await response.arrayBuffer()
    return response.status === 200
  } catch {
    return false
  }
}
