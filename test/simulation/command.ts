/**
 * What `npm run simulate` calls, with promises instead of effects.
 */
import { Effect } from "effect"
import * as Campaign from "./campaign.ts"
import type * as Database from "./Database.ts"
import * as Story from "./Story.ts"

interface Options {
  readonly seed: number
  readonly mode: string
  readonly database: string
  readonly trace: boolean
  readonly twice: boolean
}

const modeOf = ({ mode }: Options): Story.Mode => {
  if (mode === "liveness" || mode === "safety") return mode
  throw new Error(`--mode is ${mode}: expected liveness or safety`)
}

const databaseOf = ({ database }: Options): Database.Kind => {
  if (database === "memory" || database === "pglite") return database
  throw new Error(`--database is ${database}: expected memory or pglite`)
}

/** A story, and the same again where traces are to be compared. */
export const one = (options: Options) =>
  Effect.gen(function* () {
    const mode = modeOf(options)
    const database = databaseOf(options)
    const { failures, ...sum } = yield* Campaign.run({ seeds: [options.seed], mode, database })
    const story = Story.make(options.seed, mode, database)
    const traces = options.twice ? yield* Effect.replicateEffect(Campaign.tell(story, { database }), 2) : []
    const identical = options.twice && new Set(traces.map(({ trace }) => trace)).size === 1
    const [failure] = failures
    return { ...sum, identical, explanation: failure === undefined ? undefined : Campaign.explain(failure) }
  }).pipe(Effect.runPromise)

export const replay = (options: Options) =>
  Effect.gen(function* () {
    const story = Story.make(options.seed, modeOf(options), databaseOf(options))
    const report = yield* Campaign.tell(story, { database: databaseOf(options), keepLines: options.trace })
    const text = [
      Story.tell(story),
      ...report.lines,
      `${report.commits} commits, ${report.crashes} crashes, ${report.rows} rows, trace ${report.trace}`,
      ...(report.violations.length === 0 ? ["nothing was violated"] : report.violations)
    ].join("\n")
    return { text, failed: report.violations.length > 0 }
  }).pipe(Effect.runPromise)

/** What the first story that catches a mutant says; undefined when none of `seeds` does. */
export const caught = (
  seeds: ReadonlyArray<number>,
  mode: Story.Mode,
  database: Database.Kind
): Promise<{ readonly seed: number; readonly violation: string } | undefined> =>
  Effect.gen(function* () {
    for (const seed of seeds) {
      const { violations } = yield* Campaign.tell(Story.make(seed, mode, database), { database })
      if (violations[0] !== undefined) return { seed, violation: violations[0] }
    }
    return undefined
  }).pipe(Effect.runPromise)
