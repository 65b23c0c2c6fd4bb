/**
 * CPU time that proving a block takes, parsing excluded: `npm run build && node bench/proof.mjs`.
 *
 * Over real blocks where `../shared/fixtures/real` is there, else over the recorded ones of the tests.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import { Effect } from "effect"
import * as BlockParser from "../dist/chain/BlockParser.js"
import * as Proof from "../dist/chain/Proof.js"

const here = dirname(fileURLToPath(import.meta.url))
const fixtures = join(here, "../../shared/fixtures/real/ethereum")
const recorded = join(here, "../test/chain/recorded")

const names = (folder) => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const load = (folder, name) => {
  const file = names(folder).find((entry) => entry === `${name}.json` || entry === `${name}.json.gz`)
  if (file === undefined) return undefined
  const content = readFileSync(join(folder, file))
  return JSON.parse((file.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8"))
}

const real = names(fixtures).flatMap((name) => {
  const block = load(join(fixtures, name), "block")
  const receipts = load(join(fixtures, name), "receipts")
  return block && receipts ? [{ name: `ethereum/${name}`, chainId: 1, block, receipts }] : []
})
const own = names(recorded)
  .filter((file) => file.endsWith(".json"))
  .flatMap((file) => {
    const { block, receipts, chainId } = JSON.parse(readFileSync(join(recorded, file), "utf8"))
    return block && receipts ? [{ name: file, chainId, block, receipts }] : []
  })

/** Milliseconds of CPU for each of `rounds` calls, after as many to warm up. */
const measure = (rounds, run) => {
  for (let i = 0; i < rounds; i++) run()
  const start = process.cpuUsage()
  for (let i = 0; i < rounds; i++) run()
  const { system, user } = process.cpuUsage(start)
  return (user + system) / 1000 / rounds
}

const lines = []
for (const { block, chainId, name, receipts } of real.length > 0 ? real : own) {
  const proof = await Effect.runPromise(Proof.make(chainId))
  const number = Number(block.number)
  const raw = BlockParser.parse(block, receipts, number)
  if ("_tag" in raw) throw new Error(raw.message)
  const verdict = proof.verify(raw)
  if (verdict._tag === "Unprovable") continue
  if (verdict._tag === "Mismatch") throw new Error(`${name}: ${JSON.stringify(verdict)}`)
  const rounds = 300
  lines.push({
    block: name,
    transactions: raw.block.transactions.length,
    logs: raw.receipts.reduce((sum, receipt) => sum + receipt.logs.length, 0),
    "prove, ms CPU": Number(measure(rounds, () => proof.verify(raw)).toFixed(3)),
    "check fields, ms CPU": Number(
      measure(rounds, () => BlockParser.parse(block, receipts, number)).toFixed(3)
    )
  })
}
// biome-ignore lint/suspicious/noConsole: a bench prints what it measured.
console.table(lines)
