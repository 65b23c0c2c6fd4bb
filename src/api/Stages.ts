/**
 * The stream as a picture: what is in each of its stages, how much may be, and how fast it moves; and which of them
 * holds up the rest. What is not measured is null, and the dashboard leaves it out.
 */
import * as Pressure from "../flow/Pressure.ts"
import * as Status from "../flow/Status.ts"

export type StageName = "heads" | "plan" | "fetch" | "prove" | "sequence" | "batch" | "commit" | "publish"

export interface Stage {
  readonly name: StageName
  /** What it does, for whoever sees it the first time. */
  readonly does: string
  readonly unit: "blocks" | "bytes" | "clients"
  readonly depth: number | null
  readonly capacity: number | null
  /** Depth above which it makes the stages before it wait. */
  readonly watermark: number | null
  /** Blocks a second. */
  readonly rate: number | null
  readonly note: string | null
}

export interface Measured {
  readonly status: Status.SyncStatus
  readonly pressure: Pressure.Pressure
  readonly limits: Pressure.Limits
  readonly fetchedPerSecond: number
  readonly committedPerSecond: number
  readonly commitMillis: number | undefined
  readonly clients: number
  readonly maxClients: number
}

const nothing = {
  unit: "blocks",
  depth: null,
  capacity: null,
  watermark: null,
  rate: null,
  note: null
} as const

export const make = (measured: Measured): ReadonlyArray<Stage> => {
  const { limits, pressure, status } = measured
  const { jobs, results, sequencer } = pressure.loads
  const room = (component: Pressure.Component) => ({
    capacity: limits.capacity[component],
    watermark: Pressure.watermark(limits, component)
  })
  const { blocks, linked } = status.store.coverage.reduce(
    (sum, { from, level, to }) => ({
      blocks: sum.blocks + to - from + 1,
      linked: sum.linked + (level === "linked" ? to - from + 1 : 0)
    }),
    { blocks: 0, linked: 0 }
  )
  return [
    {
      ...nothing,
      name: "heads",
      does: "hears of new blocks",
      note: status.head === undefined ? "no head yet" : null
    },
    {
      ...nothing,
      name: "plan",
      does: "finds what is missing",
      depth: Status.remaining(status) ?? null,
      note: status.stuck.length === 0 ? null : `${status.stuck.length} ranges stuck`
    },
    {
      ...nothing,
      name: "fetch",
      does: "asks the endpoints",
      // A job will be a result, so there are never more of them than results may be.
      ...room(limits.capacity.jobs < limits.capacity.results ? "jobs" : "results"),
      depth: jobs.blocks,
      rate: measured.fetchedPerSecond,
      note: pressure.level === 0 ? null : `backs off, level ${pressure.level}`
    },
    {
      ...nothing,
      name: "prove",
      does: "recomputes roots and hashes",
      rate: measured.fetchedPerSecond,
      note: blocks === 0 ? null : linked === 0 ? "all proven" : `${linked} linked only`
    },
    {
      ...nothing,
      ...room("results"),
      name: "sequence",
      does: "checks each parent",
      depth: results.blocks
    },
    {
      ...nothing,
      name: "batch",
      does: "gathers a commit",
      unit: "bytes",
      depth: Pressure.total(pressure).bytes,
      capacity: limits.bytes,
      watermark: Math.floor((limits.bytes * limits.high) / 100)
    },
    {
      ...nothing,
      ...room("sequencer"),
      name: "commit",
      does: "one transaction",
      depth: sequencer.blocks,
      rate: measured.committedPerSecond,
      note: measured.commitMillis === undefined ? null : `${Math.round(measured.commitMillis)} ms each`
    },
    {
      ...nothing,
      name: "publish",
      does: "tells live readers",
      unit: "clients",
      depth: measured.clients,
      capacity: measured.maxClients
    }
  ]
}

/** Which stage the others wait for; undefined while nothing is behind. */
export const bottleneck = ({ limits, pressure, status }: Measured): StageName | undefined => {
  if (status.phase !== "syncing" || (Status.remaining(status) ?? 0) === 0) return undefined
  // Above the watermark fetching pauses: what comes after it does not keep up.
  const { jobs, results } = pressure.loads
  const fills = [
    (jobs.blocks + results.blocks) / limits.capacity.results,
    ...Pressure.components.map((component) => Pressure.usage(limits, pressure, component))
  ]
  return fills.some((fill) => fill * 100 >= limits.high * 0.9) ? "commit" : "fetch"
}
