/**
 * The campaign against deliberate bugs, each loaded into a fresh instance of all modules.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type * as Command from "./command.ts"
import { type Loader, open } from "./loader.mjs"
import { mutants } from "./Mutants.ts"

/** Tried after the seed that is known to catch it. */
const others = Array.from({ length: 40 }, (_, i) => i + 1)

/** A busy machine takes its time. */
const patience = 600_000

let loader: Loader
beforeAll(async () => {
  loader = await open()
})
afterAll(() => loader.close())

describe("the campaign catches", () => {
  for (const { database, edits, mode, name, seed } of mutants) {
    it(
      `${name} (${database})`,
      async () => {
        const found = await loader.withModule(
          "/test/simulation/command.ts",
          edits,
          (module: typeof Command) => module.caught([seed, ...others], mode, database)
        )
        assert.isDefined(found)
      },
      patience
    )
  }
})
