/**
 * The small campaign. A long one: `npm run simulate -- --seeds 1000`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Campaign from "./campaign.ts"
import type * as Database from "./Database.ts"
import * as Shrink from "./Shrink.ts"
import * as Story from "./Story.ts"

/** A busy machine takes its time. */
const patience = 600_000

const seeds = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

const passes = (mode: Story.Mode, from: number, count: number, database: Database.Kind = "memory") =>
  Effect.gen(function* () {
    const { failures, stories } = yield* Campaign.run({ mode, database, seeds: seeds(from, count) })
    assert.strictEqual(failures.map(Campaign.explain).join("\n"), "")
    assert.strictEqual(stories, count)
  })

const memory = { database: "memory" } as const

describe("the simulation", () => {
  it.live("the tables become the chain once faults end", () => passes("liveness", 1, 18), patience)

  it.live(
    "what holds at every commit holds under faults that never end",
    () => passes("safety", 1, 4),
    patience
  )

  it.live("the same over the real store", () => passes("liveness", 1, 3, "pglite"), patience)

  // Token metrics forgot what one source had seen before all was fetched again for another.
  it.live("the same with pages of events", () => passes("liveness", 14, 1, "pglite"), patience)

  // Seeds that found something once; the name says what.
  it.live.each([
    [17, "finality above a hole, with blocks of a dead fork below it"],
    [33, "a stale endpoint that alone answered was believed about a final block"],
    [102, "blocks that a stale endpoint served were called final by their height"],
    [
      116,
      "a reorg to the same height, deeper than the confirmation depth, on a chain that then stands still"
    ],
    [343, "START_BLOCK was raised above blocks that a reorg then replaced"]
  ] as const)("seed %i: %s", ([seed]) => passes("liveness", seed, 1), patience)

  it.live(
    "the same seed gives the same trace",
    () =>
      Effect.gen(function* () {
        for (const seed of seeds(101, 3)) {
          const [first, second] = yield* Effect.replicateEffect(
            Campaign.tell(Story.make(seed, "liveness"), memory),
            2
          )
          assert.strictEqual(first?.trace, second?.trace)
        }
        const other = yield* Campaign.tell(Story.make(104, "liveness"), memory)
        const one = yield* Campaign.tell(Story.make(101, "liveness"), memory)
        assert.notStrictEqual(other.trace, one.trace)
      }),
    patience
  )

  it.effect("a failing story is made as short as it can be", () =>
    Effect.gen(function* () {
      const story = Story.make(3, "liveness")
      const isReorg = ([, { kind }]: Story.Story["events"][number]) => kind === "reorg"
      const reorgs = story.events.filter(isReorg).length
      assert.isAbove(reorgs, 1)
      const shrunk = yield* Shrink.shrink(
        story,
        ({ events, height }) => Effect.succeed(events.some(isReorg) && height > 5),
        500
      )
      assert.strictEqual(shrunk.events.length, 1)
      assert.strictEqual(shrunk.events[0]?.[1].kind, "reorg")
      assert.strictEqual(shrunk.height, 6)
      assert.strictEqual(shrunk.instances, 1)
    })
  )
})
