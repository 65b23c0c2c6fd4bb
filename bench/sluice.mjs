/** The command line of Sluice as a contestant, and whether this build has what a job needs. */
import { execFileSync } from "node:child_process"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const program = join(dirname(fileURLToPath(import.meta.url)), "..", "dist", "main.js")

export const schema = "sluice_bench"

/**
 * @param {object} job
 * @param {string} job.databaseUrl
 * @param {string} job.rpcUrl
 * @param {string} job.folder
 * @param {number} [job.last] Without it, it follows the head.
 * @param {Readonly<Record<string, string>>} job.flags
 * @param {Readonly<Record<string, string>>} [job.env]
 * @returns {import("./job.mjs").Command}
 */
export const command = ({ databaseUrl, env = {}, flags, folder, last, rpcUrl }) => {
  const all = {
    profile: "anvil",
    "rpc-url": rpcUrl,
    "start-block": "1",
    ...(last === undefined ? {} : { "end-block": `${last}` }),
    "http-port": "0",
    "log-format": "json",
    ...flags
  }
  return {
    args: [program, ...Object.entries(all).map(([flag, value]) => `--${flag}=${value}`)],
    env: { DATABASE_URL: databaseUrl, DATABASE_SCHEMA: schema, SLUICE_DATA_DIR: folder, ...env }
  }
}

/** Whether its help names a flag. @param {string} flag */
export const hasFlag = (flag) =>
  new RegExp(`--${flag}(?![\\w-])`).test(
    execFileSync(process.execPath, [program, "--help"], { encoding: "utf8" })
  )
