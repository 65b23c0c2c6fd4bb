/**
 * The state behind the gate, and all that follows from it, as plain values: what is where, what may still come, and
 * who is in the way.
 *
 * **Details**
 *
 * A block is a job from when it is planned until it is fetched, a result until it is sequenced, and in the sequencer's
 * buffer until it is committed. A job will be a result, so a job is let in only where there will be room for its
 * result: no part is ever above its high watermark in blocks. In bytes it may be, for a while, where blocks turn out
 * heavier than expected.
 */

export const components = ["jobs", "results", "sequencer"] as const
export type Component = (typeof components)[number]

export interface Load {
  readonly blocks: number
  readonly bytes: number
}

export interface Limits {
  /** Blocks, by component. */
  readonly capacity: Readonly<Record<Component, number>>
  /** Bytes in all of them together. */
  readonly bytes: number
  /** Percent of the capacity above which nothing is let in. */
  readonly high: number
  /** Percent of it at which backing off starts at the top. */
  readonly critical: number
}

export interface Pressure {
  readonly loads: Readonly<Record<Component, Load>>
  /** 0 to `maxLevel`. */
  readonly level: number
  /** How often something had to wait, by who was in the way. */
  readonly blocked: Readonly<Record<Component, number>>
}

export const maxLevel = 5

/** Milliseconds of the first pause; each level doubles it. */
const firstPause = 100

/** Blocks for each GiB of memory that the process may use. */
const blocksPerGiB = 1000
const jobsCapacity = 20_000
const sequencerCapacity = 10_000

/** What these blocks weigh. */
export const loadOf = (blocks: ReadonlyArray<{ readonly bytes: number }>): Load => ({
  blocks: blocks.length,
  bytes: blocks.reduce((sum, { bytes }) => sum + bytes, 0)
})

const nothing: Load = { blocks: 0, bytes: 0 }

export const empty: Pressure = {
  loads: { jobs: nothing, results: nothing, sequencer: nothing },
  level: 0,
  blocked: { jobs: 0, results: 0, sequencer: 0 }
}

/** Capacities for so much memory; `cap` is the profile's, and a batch always fits. */
export const limits = (options: {
  readonly memoryBytes: number
  readonly bufferBytes: number
  readonly cap: number
  readonly batchSize: number
  readonly high: number
  readonly critical: number
}): Limits => {
  const byMemory = Math.floor((options.memoryBytes / 2 ** 30) * blocksPerGiB)
  return {
    capacity: {
      jobs: jobsCapacity,
      results: Math.max(options.batchSize, Math.min(options.cap, byMemory)),
      sequencer: Math.max(options.batchSize, sequencerCapacity)
    },
    bytes: options.bufferBytes,
    high: options.high,
    critical: options.critical
  }
}

/** Blocks above which `component` takes nothing more. */
export const watermark = ({ capacity, high }: Limits, component: Component): number =>
  Math.floor((capacity[component] * high) / 100)

export const total = ({ loads: { jobs, results, sequencer } }: Pressure): Load => ({
  blocks: jobs.blocks + results.blocks + sequencer.blocks,
  bytes: jobs.bytes + results.bytes + sequencer.bytes
})

/** Who has no room for `more`; undefined when it may pass. What is larger than everything passes alone. */
export const inTheWay = (limits: Limits, pressure: Pressure, more: Load): Component | undefined => {
  const { jobs, results, sequencer } = pressure.loads
  const all = total(pressure)
  if (all.blocks === 0) return undefined
  if (sequencer.blocks > watermark(limits, "sequencer")) return "sequencer"
  if (jobs.blocks + more.blocks > watermark(limits, "jobs")) return "jobs"
  if (jobs.blocks + results.blocks + more.blocks > watermark(limits, "results")) return "results"
  return all.bytes + more.bytes > (limits.bytes * limits.high) / 100 ? "results" : undefined
}

/** Share of the capacity that is in use, 0 to 1 and beyond; for results in blocks or bytes, whichever is more. */
export const usage = (limits: Limits, pressure: Pressure, component: Component): number => {
  const blocks = pressure.loads[component].blocks / limits.capacity[component]
  return component === "results" ? Math.max(blocks, total(pressure).bytes / limits.bytes) : blocks
}

export const isCritical = (limits: Limits, pressure: Pressure): boolean =>
  components.some((component) => usage(limits, pressure, component) * 100 >= limits.critical)

/** With `change` more in a component, or less where it is negative; never below nothing. */
export const add = (pressure: Pressure, component: Component, change: Load): Pressure => {
  const { blocks, bytes } = pressure.loads[component]
  const load = { blocks: Math.max(0, blocks + change.blocks), bytes: Math.max(0, bytes + change.bytes) }
  return { ...pressure, loads: { ...pressure.loads, [component]: load } }
}

export const negated = ({ blocks, bytes }: Load): Load => ({ blocks: -blocks, bytes: -bytes })

/** Milliseconds until the gate is tried again at this level: 100 ms to 3.2 s. */
export const pause = (level: number): number => firstPause * 2 ** Math.min(level, maxLevel)
