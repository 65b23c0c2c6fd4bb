/**
 * A running Sluice, looked at by the clock: how full its queues are, how far behind the node, and what memory it holds.
 *
 * **Gotchas**
 *
 * Queues fill and empty within milliseconds of a block: between two looks they may have been fuller than either says. The
 * looks do not keep step with blocks that come each second, so over some minutes they see every phase of one.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { memoryOf } from "./proc.mjs"

export const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)} %`
export const most = (/** @type {ReadonlyArray<number>} */ all) => all.reduce((a, b) => Math.max(a, b), 0)
/** @param {ReadonlyArray<number>} all @param {number} share */
export const quantile = (all, share) =>
  [...all].sort((a, b) => a - b)[Math.max(0, Math.ceil(all.length * share) - 1)] ?? 0
export const median = (/** @type {ReadonlyArray<number>} */ all) => quantile(all, 0.5)

/**
 * @typedef {object} Sluice
 * @property {number} pid
 * @property {() => Promise<any>} pressure Its `/api/backpressure_stats`.
 * @property {() => Promise<ReadonlyMap<string, number>>} metrics Its `/metrics`, by name and labels.
 *
 * @typedef {object} Look Ten times a second.
 * @property {string} part
 * @property {number} at Seconds since the first block.
 * @property {number} lag Blocks that the node has and the tables do not.
 * @property {Readonly<Record<string, number>>} usage Shares of capacities.
 * @property {number} level Of backing off.
 *
 * @typedef {object} Sample Once a second.
 * @property {string} part
 * @property {number} at
 * @property {Readonly<Record<string, number>>} usage
 * @property {number} memory Resident bytes.
 * @property {number} heap Its used bytes.
 * @property {number} delay Of the event loop, its 99th percentile in seconds.
 */

/** Not a whole second, so that the looks do not keep step with the blocks. */
const sampleMillis = 970
const lookMillis = 97

const components = ["jobs", "results", "sequencer"]

/** @param {Sluice} sluice @param {{head: () => number}} node what the node shows */
export const watch = (sluice, node) => {
  /** @type {Array<Look>} */
  const looks = []
  /** @type {Array<Sample>} */
  const samples = []
  let part = "start"
  let over = false
  const begin = performance.now()
  const clock = () => (performance.now() - begin) / 1000
  const looking = async () => {
    while (!over) {
      const during = part
      const head = node.head()
      const stats = await sluice.pressure()
      looks.push({
        part: during,
        at: clock(),
        lag: Math.max(0, head - (stats.disk_watermark ?? 0)),
        usage: {
          jobs: stats.current_jobs_depth / stats.max_jobs_capacity,
          results: stats.current_results_depth / stats.max_results_capacity,
          sequencer: stats.current_seq_buffer / stats.max_seq_buffer,
          bytes: stats.current_bytes / stats.max_bytes
        },
        level: stats.backoff_level
      })
      await sleep(lookMillis)
    }
  }
  const sampling = async () => {
    while (!over) {
      const during = part
      const metrics = await sluice.metrics()
      samples.push({
        part: during,
        at: clock(),
        usage: Object.fromEntries(
          components.map((component) => [
            component,
            metrics.get(`indexer_backpressure_channel_usage{component="${component}"}`) ?? Number.NaN
          ])
        ),
        memory: memoryOf(sluice.pid) ?? 0,
        heap: metrics.get("nodejs_heap_used_bytes") ?? 0,
        delay: metrics.get('nodejs_eventloop_delay_seconds{quantile="0.99"}') ?? 0
      })
      await sleep(sampleMillis)
    }
  }
  const both = Promise.all([looking(), sampling()])
  // A failure is told by `stop`, which comes later.
  both.catch(() => undefined)
  return {
    looks,
    samples,
    clock,
    /** @param {string} name */
    enter: (name) => {
      part = name
    },
    stop: async () => {
      over = true
      await both
    }
  }
}

/** Highest usage of each queue in these parts, by the looks and the metrics. @param {ReturnType<typeof watch>} seen @param {ReadonlyArray<string>} parts */
export const highest = ({ looks, samples }, parts) => {
  const all = [...looks, ...samples].filter(({ part }) => parts.includes(part))
  return [...components, "bytes"].map((queue) => ({
    queue,
    usage: most(all.map(({ usage }) => usage[queue] ?? 0))
  }))
}

/** @param {ReturnType<typeof highest>} queues */
export const told = (queues) => queues.map(({ queue, usage }) => `${queue} ${percent(usage)}`).join(", ")

/** Seconds from each burst's block to the first look that sees all committed. @param {ReadonlyArray<Look>} looks */
export const delays = (looks) => {
  const found = []
  for (const [i, look] of looks.entries()) {
    if (look.part !== "burst" || looks[i - 1]?.part === "burst") continue
    const done = looks.slice(i).find(({ lag }) => lag === 0)
    found.push(done === undefined ? "more" : (done.at - look.at).toFixed(1))
  }
  return found
}
