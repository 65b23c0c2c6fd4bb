/**
 * The events job: all Transfers of 50 tokens, out of 50,000 blocks with few transactions and about 220,000 logs.
 *
 * **Details**
 *
 * The chain is `chain.mjs`'s, made thinner. Its head is 100 blocks above the last one of the job, so that all of the job
 * is final for everyone: who follows the head has other things to do there, and how often it looks would be measured.
 *
 * **Gotchas**
 *
 * Who cannot run here is left out, and that is said: Ponder where npm cannot install it, Sluice where its build has no
 * `--index`.
 */
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { load } from "./chain.mjs"
import * as ponder from "./ponder.mjs"
import * as sluice from "./sluice.mjs"
import { compare, decodedRows, transfersOf } from "./transfers.mjs"

const here = dirname(fileURLToPath(import.meta.url))

export const contestants = ["baseline", "frugal", "ponder", "sluice"]

const watched = 50
const blocksAbove = 100

/** 2.2 transactions and 4.4 logs a block. The busiest tokens are in every block; many others have Transfers too. */
const shape = { density: 0.015085, tokens: 500, steady: watched, withdrawals: 0 }

/** @param {import("./job.mjs").JobOptions} options @returns {Promise<import("./job.mjs").Job>} */
export const make = async ({ blocks = 50_000, contestants, indexes, log }) => {
  const height = blocks + blocksAbove
  const chain = await load({ ...shape, blocks: height, log })
  const tokens = chain.tokens.slice(0, watched)
  const expected = transfersOf(chain, { tokens, last: blocks })
  const logs = chain.entries.slice(1, blocks + 1).reduce((sum, entry) => sum + entry.logs, 0)

  const installed = contestants.includes("ponder") ? await ponder.install(log) : { missing: "not asked for" }
  const absent = new Set()
  if (contestants.includes("ponder") && "missing" in installed) {
    absent.add("ponder")
    log(`Ponder ${ponder.version} is left out: ${installed.missing}`)
  }
  if (contestants.includes("sluice") && !sluice.hasFlag("index")) {
    absent.add("sluice")
    log("Sluice is left out: this build has no --index=events")
  }

  /** @type {Readonly<Record<string, string>>} */
  const rows = {
    baseline: decodedRows("etl.tokens_transfer"),
    frugal: decodedRows("etl.tokens_transfer"),
    ponder: ponder.rows,
    sluice: decodedRows(`${sluice.schema}.tokens_transfer`)
  }
  return {
    name: "events",
    what: `${expected.length} Transfers of ${watched} tokens in ${blocks} blocks with ${logs} logs`,
    figures: { blocks, logs, transfers: expected.length, tokens: watched },
    contestants: contestants.filter((contestant) => !absent.has(contestant)),
    node: [
      "--logs",
      ...Object.entries({ ...shape, blocks: height }).flatMap(([name, value]) => [`--${name}`, `${value}`])
    ],
    command: async (contestant, { databaseUrl, folder, rpcUrl }) => {
      if (contestant === "baseline" || contestant === "frugal") {
        return {
          args: [join(here, "baselineEvents.mjs"), "1", `${blocks}`],
          env: {
            DATABASE_URL: databaseUrl,
            RPC_URL: rpcUrl,
            TOKENS: tokens.join(","),
            TIMESTAMPS: contestant === "frugal" ? "logs" : "blocks",
            INDEXES: `${indexes}`
          }
        }
      }
      if (contestant === "ponder" && "folder" in installed) {
        return await ponder.command({ ...installed, databaseUrl, rpcUrl, tokens, last: blocks })
      }
      const file = join(folder, "contracts.json")
      const contract = { name: "tokens", pack: "erc20", address: tokens, events: ["Transfer"] }
      writeFileSync(file, JSON.stringify({ contracts: [contract] }))
      const flags = { index: "events" }
      // Nobody else keeps metrics of tokens.
      const env = { CONTRACTS: file, TOKEN_METRICS: "false" }
      return sluice.command({ databaseUrl, folder, rpcUrl, last: blocks, flags, env })
    },
    verify: (contestant, url) => compare(url, rows[contestant], expected)
  }
}
