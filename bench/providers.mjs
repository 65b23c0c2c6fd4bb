/**
 * Providers in a process of their own, over one chain: `pool.mjs` starts it, tells it what to serve, and asks how it went.
 *
 * Messages to it: `{serve: {blocks, density, providers, outage}}`, answered with `{urls}`, once a run; then `"stats"`,
 * answered with `{stats}`. A provider is `{name, latency, perCall, behaviours: [[kind, options], ...]}`, its outage
 * `{name, afterBlocks, ms}`: when all providers together have sent so many blocks, this one is gone for so long.
 */
import { readFileSync } from "node:fs"
import { answersFile, load } from "./chain.mjs"
import { note } from "./print.mjs"
import { failing, lagging, randomFrom, rateLimited, start } from "./provider.mjs"

/** @typedef {import("./provider.mjs").Provider} Provider */

// Before anything that takes time.
process.on("disconnect", () => process.exit(0))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0))

/** @type {Readonly<Record<string, (options: any, seed: number) => import("./provider.mjs").Behaviour>>} */
const kinds = {
  rateLimited,
  failing,
  lagging: ({ most }, seed) => {
    const random = randomFrom(seed)
    return lagging({ behind: () => 1 + Math.floor(random() * most) })
  }
}

/** @type {Map<string, import("./provider.mjs").Served>} */
const chains = new Map()

/** @param {{blocks: number, density: number}} options */
const chainOf = async ({ blocks, density }) => {
  const key = `${blocks} ${density}`
  const known = chains.get(key)
  if (known !== undefined) return known
  const chain = await load({ blocks, density, log: note })
  const answers = readFileSync(answersFile(chain.folder))
  /** @param {"full" | "light" | "receipts"} what @returns {(number: number) => string} */
  const text = (what) => (number) => {
    const { at, length } = chain.entries[number][what]
    return answers.latin1Slice(at, at + length)
  }
  const served = {
    chainId: chain.chainId,
    head: () => chain.blocks,
    full: text("full"),
    light: text("light"),
    receipts: text("receipts")
  }
  chains.set(key, served)
  return served
}

/** @type {Map<string, Provider>} */
let running = new Map()
/** @type {{from: number, to: number | undefined, before: number, during: number} | undefined} */
let outageSeen

/** @param {any} job */
const serve = async ({ outage, providers, ...options }) => {
  for (const provider of running.values()) await provider.close()
  running = new Map()
  outageSeen = undefined
  const chain = await chainOf(options)
  let sent = 0
  /** @param {number} blocks */
  const onBlocks = (blocks) => {
    sent += blocks
    if (outage === undefined) return
    if (outageSeen === undefined && sent >= outage.afterBlocks) {
      const seen = { from: performance.now(), to: undefined, before: sent, during: 0 }
      outageSeen = seen
      const gone = running.get(outage.name)
      gone?.down()
      setTimeout(() => {
        gone?.up()
        if (outageSeen === seen) outageSeen.to = performance.now()
      }, outage.ms).unref()
    } else if (outageSeen !== undefined && outageSeen.to === undefined) outageSeen.during += blocks
  }
  for (const [i, { behaviours, latency, name, perCall }] of providers.entries()) {
    running.set(
      name,
      await start({
        chain,
        behaviours: behaviours.map((/** @type {[string, any]} */ [kind, how]) => kinds[kind](how, i + 1)),
        delay: (calls) => latency + perCall * calls,
        seed: i + 1,
        onBlocks
      })
    )
  }
  return [...running.values()].map(({ url }) => url)
}

process.on("message", async (/** @type {any} */ message) => {
  if (message === "stats") {
    const stats = Object.fromEntries([...running].map(([name, provider]) => [name, provider.stats]))
    process.send?.({ stats, outage: outageSeen })
  } else process.send?.({ urls: await serve(message.serve) })
})
