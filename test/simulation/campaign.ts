/**
 * Stories one after another, and what came of them. A test, a script and the mutants run the same campaign.
 */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Blocks from "./Blocks.ts"
import type * as Database from "./Database.ts"
import * as Shrink from "./Shrink.ts"
import * as Simulation from "./Simulation.ts"
import * as Story from "./Story.ts"

export interface Failure {
  readonly seed: number
  readonly mode: Story.Mode
  readonly database: Database.Kind
  readonly violations: ReadonlyArray<string>
  /** The shortest story found that still goes wrong. */
  readonly story: Story.Story
}

export interface Summary {
  readonly stories: number
  readonly failures: ReadonlyArray<Failure>
  /** How often each fault was injected. */
  readonly faults: Readonly<Record<string, number>>
  readonly commits: number
  readonly crashes: number
  /** Milliseconds on the simulated clock. */
  readonly simulated: number
}

export interface Options {
  readonly seeds: ReadonlyArray<number>
  readonly mode: Story.Mode
  readonly database: Database.Kind
  /** Stop after so many failures. Default 1. */
  readonly failures?: number
  /** Runs for shortening a failing story. Default 150. */
  readonly shrinkRuns?: number
  readonly onStory?: (seed: number, report: Simulation.Report) => void
}

/** Runs a story on a clock of its own. */
export const tell = (
  story: Story.Story,
  { database, keepLines = false }: { readonly database: Database.Kind; readonly keepLines?: boolean }
): Effect.Effect<Simulation.Report> =>
  Effect.flatMap(Blocks.make, (makeBlock) => Simulation.run(story, { makeBlock, keepLines, database })).pipe(
    Effect.provide(TestClock.layer())
  )

export const run = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Summary> {
  const { database, mode } = options
  const failures: Array<Failure> = []
  const faults: Record<string, number> = {}
  const sum = { stories: 0, commits: 0, crashes: 0, simulated: 0 }
  for (const seed of options.seeds) {
    const story = Story.make(seed, mode, database)
    const report = yield* tell(story, { database })
    sum.stories++
    sum.commits += report.commits
    sum.crashes += report.crashes
    sum.simulated += report.simulated
    for (const [fault, count] of Object.entries(report.faults)) faults[fault] = (faults[fault] ?? 0) + count
    options.onStory?.(seed, report)
    if (report.violations.length === 0) continue
    const shrunk = yield* Shrink.shrink(
      story,
      (shorter) => Effect.map(tell(shorter, { database }), ({ violations }) => violations.length > 0),
      options.shrinkRuns ?? 150
    )
    failures.push({ seed, mode, database, violations: report.violations, story: shrunk })
    if (failures.length >= (options.failures ?? 1)) break
  }
  return { ...sum, failures, faults }
})

/** A failure for people: how to run it again, what was violated, the short story. */
export const explain = ({ database, mode, seed, story, violations }: Failure): string =>
  [
    `seed ${seed} fails; again: npm run simulate -- --mode ${mode} --database ${database} --replay ${seed}`,
    ...violations.map((violation) => `  ${violation}`),
    `a short story that fails too (${story.events.length} events):`,
    Story.tell(story)
  ].join("\n")
