/**
 * The full job: about 1,000 blocks like mainnet's, with all their transactions and logs.
 */
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { load } from "./chain.mjs"
import { command, schema } from "./sluice.mjs"
import { verify } from "./verify.mjs"

const here = dirname(fileURLToPath(import.meta.url))

export const contestants = ["baseline", "linked", "proven"]

/** @param {import("./job.mjs").JobOptions} options @returns {Promise<import("./job.mjs").Job>} */
export const make = async ({ blocks = 1000, contestants, indexes, log }) => {
  const { bytes, expected } = await load({ blocks, log })
  const { logs, transactions } = expected
  return {
    name: "full",
    what: `${blocks} blocks, ${transactions} transactions, ${logs} logs, ${(bytes / 1e6).toFixed(0)} MB of JSON`,
    figures: { bytes, expected },
    contestants,
    node: ["--blocks", `${blocks}`],
    command: async (contestant, { databaseUrl, folder, rpcUrl }) =>
      contestant === "baseline"
        ? {
            args: [join(here, "baseline.mjs"), "1", `${blocks}`],
            env: { DATABASE_URL: databaseUrl, RPC_URL: rpcUrl, INDEXES: `${indexes}` }
          }
        : command({ databaseUrl, folder, rpcUrl, last: blocks, flags: { proof: contestant } }),
    verify: (contestant, url) => verify(url, contestant === "baseline" ? "etl" : schema, expected)
  }
}
