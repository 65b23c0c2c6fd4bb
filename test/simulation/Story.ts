/**
 * A story: all that happens to a simulated Sluice, at which time. It is made from a seed before anything runs, so that
 * a failing one can be told, replayed and made shorter.
 */
import { type Random, random } from "../support/blocks.ts"
import type * as Database from "./Database.ts"
import { type StoreFault, storeFaults } from "./Ledger.ts"
import { type Fault, faults, logFaults } from "./Provider.ts"

export type Event =
  | { readonly kind: "mine"; readonly blocks: number }
  | { readonly kind: "reorg"; readonly depth: number; readonly replacement: number }
  | { readonly kind: "provider"; readonly provider: number; readonly fault: Fault; readonly count: number }
  | { readonly kind: "freeze"; readonly provider: number }
  | { readonly kind: "lag"; readonly provider: number; readonly blocks: number }
  | { readonly kind: "heal"; readonly provider: number }
  | { readonly kind: "store"; readonly fault: StoreFault; readonly count: number }
  /** The process dies at its so many-th step outside of itself from now on, before or after that was done. */
  | { readonly kind: "crash"; readonly instance: number; readonly steps: number; readonly after: boolean }
  /** Nothing that it does outside of itself goes through for so long. */
  | { readonly kind: "pause"; readonly instance: number; readonly millis: number }
  /** The same from the moment when it is about to commit something. */
  | { readonly kind: "pause in commit"; readonly instance: number; readonly millis: number }
  | { readonly kind: "stop"; readonly instance: number; readonly settings: Settings }
  /** All processes die at once, and are started again so many milliseconds later. */
  | { readonly kind: "away"; readonly millis: number; readonly settings: Settings }

/** What a restart may change. */
export interface Settings {
  readonly batchSize: number
  readonly concurrency: number
  readonly startBlock: number
  readonly maxRetries: number
  /** Where there are no tables of events, whole blocks are fetched all the same. */
  readonly index: "blocks" | "events"
}

/** How token metrics are kept; times in seconds. */
export interface Tokens {
  readonly flushInterval: number
  readonly fullFlushInterval: number
  readonly checkpointInterval: number
  readonly batchSize: number
  readonly pruneThreshold: number
}

export type Moment = readonly [at: number, event: Event]

export interface Story {
  readonly seed: number
  readonly mode: Mode
  /** Blocks above genesis when it begins. */
  readonly height: number
  readonly providers: number
  readonly instances: number
  readonly confirmationDepth: number
  /** Blocks that may be between fetch and commit. */
  readonly resultsCapacity: number
  readonly settings: Settings
  readonly tokens: Tokens
  /** Whether there may be pages of events. */
  readonly pages: boolean
  /** Blocks that a provider takes in one question for logs; undefined where it takes any number. */
  readonly logRange: number | undefined
  /** Milliseconds by which the clocks of the instances are wrong. */
  readonly skew: ReadonlyArray<number>
  /** Ascending by time, in milliseconds. */
  readonly events: ReadonlyArray<Moment>
}

const settingsFrom = (r: Random): Settings => ({
  batchSize: r.pick(1, 3, 5, 20),
  concurrency: r.pick(1, 2, 4, 8),
  startBlock: r.pick(0, 0, 0, 7),
  maxRetries: r.pick(0, 2, 4, 8),
  index: "blocks"
})

const tokensFrom = (r: Random): Tokens => ({
  flushInterval: r.pick(1, 5),
  fullFlushInterval: r.pick(7, 60),
  batchSize: r.pick(1, 2, 500),
  pruneThreshold: r.pick(60, 600, 7_200),
  checkpointInterval: r.pick(1, 10, 60)
})

/**
 * `liveness`: faults end, and then the tables have to become the chain. `safety`: faults come three times as thick and
 * never end, and only what holds at every commit is looked at.
 */
export type Mode = "liveness" | "safety"

/** How long things go wrong, milliseconds. */
const chaos = 8 * 60_000

/** One story in so many fetches events alone, at least for a while. */
const storiesAPage = 3

/** While nobody looks a fork becomes final, and what was stored of the other one is below it. */
const away = (r: Random, at: number): ReadonlyArray<Moment> => [
  [at, { kind: "away", millis: r.pick(20_000, 60_000, 120_000), settings: settingsFrom(r) }],
  [at + 1, { kind: "reorg", depth: 1 + r.int(20), replacement: r.pick(0, 3, 10, 25) }],
  [at + 2, { kind: "mine", blocks: r.pick(5, 30, 40, 60) }]
]

/** Stories with pages of events have chances of their own, so that other stories are what they were. */
const pagesOf = (story: Story): Story => {
  const r = random(story.seed ^ 0x9a6e)
  if (r.int(storiesAPage) > 0) return story
  // What is fetched again for a new source has to be above START_BLOCK still.
  const indexed = (settings: Settings): Settings => ({
    ...settings,
    startBlock: 0,
    index: r.pick("events", "events", "events", "blocks")
  })
  const wrongLogs = (): Moment => [
    r.int(chaos),
    {
      kind: "provider",
      provider: r.int(story.providers),
      fault: logFaults[r.int(logFaults.length)] ?? "logs refused",
      count: r.pick(1, 1, 2, 5)
    }
  ]
  const more = [
    ...Array.from({ length: 1 + r.int(3) }, () => away(r, r.int(chaos))).flat(),
    ...Array.from({ length: r.int(6) }, wrongLogs)
  ]
  const events = [...story.events, ...more].map(
    ([at, event]): Moment => [
      at,
      "settings" in event ? { ...event, settings: indexed(event.settings) } : event
    ]
  )
  return {
    ...story,
    pages: true,
    settings: { ...indexed(story.settings), startBlock: story.instances > 1 ? 0 : story.settings.startBlock },
    logRange: r.pick(undefined, 3, 10),
    events: events.sort(([a], [b]) => a - b)
  }
}

/** Pages of events there are only where there are tables of events. */
export const make = (seed: number, mode: Mode, database: Database.Kind = "memory"): Story => {
  const r = random(seed)
  const providers = 1 + r.int(3)
  const instances = r.pick(1, 1, 2)
  /** The leader sleeps when it has something to write, and whoever takes over gets nothing at first. */
  const handOver = (at: number): ReadonlyArray<Moment> => [
    [at + 1, { kind: "mine", blocks: 40 }],
    ...Array.from(
      { length: instances },
      (_, instance): Moment => [at, { kind: "pause in commit", instance, millis: 30_000 }]
    ),
    ...Array.from(
      { length: providers },
      (_, provider): Moment => [at + 12_000, { kind: "provider", provider, fault: "refused", count: 20 }]
    )
  ]
  const event = (): Event => {
    const provider = r.int(providers)
    const instance = r.int(instances)
    switch (r.int(12)) {
      case 0:
      case 1:
      case 2:
        return { kind: "mine", blocks: r.pick(1, 1, 2, 5, 40) }
      case 3:
        return { kind: "reorg", depth: 1 + r.int(r.pick(2, 6, 20)), replacement: r.pick(0, 1, 3, 10, 25) }
      case 4:
      case 5:
      case 6:
        return {
          kind: "provider",
          provider,
          fault: faults[r.int(faults.length)] ?? "refused",
          count: r.pick(1, 1, 2, 5, 20)
        }
      case 7:
        return r.pick<Event>(
          { kind: "freeze", provider },
          { kind: "lag", provider, blocks: 1 + r.int(12) },
          { kind: "heal", provider }
        )
      case 8:
      case 9:
        return {
          kind: "store",
          fault: storeFaults[r.int(storeFaults.length)] ?? "deadlock",
          count: r.pick(1, 1, 2, 5)
        }
      case 10:
        return { kind: "crash", instance, steps: 1 + r.int(r.pick(3, 30)), after: r.int(2) === 0 }
      default:
        return r.pick<Event>(
          { kind: "pause", instance, millis: r.pick(300, 5_000, 20_000, 40_000) },
          { kind: "stop", instance, settings: settingsFrom(r) }
        )
    }
  }
  const count = mode === "safety" ? 100 + r.int(80) : 10 + r.int(50)
  const events = Array.from({ length: count }, (): Moment => [r.int(chaos), event()])
  if (instances > 1) events.push(...handOver(r.int(chaos)), ...handOver(r.int(chaos)))
  const story: Story = {
    seed,
    mode,
    pages: false,
    logRange: undefined,
    height: r.int(120),
    providers,
    instances,
    confirmationDepth: r.pick(0, 0, 1, 3),
    resultsCapacity: seed % 3 === 0 ? 100 : 100_000,
    settings: settingsFrom(r),
    tokens: tokensFrom(random(seed ^ 0x70ce)),
    skew: [r.pick(0, 0, 90_000, -90_000), r.pick(0, 0, 3_600_000)],
    events: events.sort(([a], [b]) => a - b)
  }
  return database === "memory" ? story : pagesOf(story)
}

/** One line an event, for people. */
export const tell = (story: Story): string => {
  const { events, ...start } = story
  return [JSON.stringify(start), ...events.map(([at, event]) => `${at} ms ${JSON.stringify(event)}`)].join(
    "\n"
  )
}
