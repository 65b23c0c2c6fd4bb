import { assert, describe, it } from "@effect/vitest"
import { confirmedFinal } from "../../src/flow/Writer.ts"

const ranges = (...pairs: ReadonlyArray<readonly [number, number]>) =>
  pairs.map(([from, to]) => ({ from, to, level: "proven" as const }))
const blocks = (...numbers: ReadonlyArray<number>) => numbers.map((number) => ({ number }))

describe("what becomes final", () => {
  it("is final on the chain and linked from above by what is being committed", () => {
    assert.strictEqual(confirmedFinal(50, { coverage: ranges([0, 59]), finalized: 40 }, blocks(60)), 50)
    assert.strictEqual(confirmedFinal(80, { coverage: ranges([0, 59]), finalized: 40 }, blocks(60)), 59)
    assert.strictEqual(confirmedFinal(80, { coverage: [], finalized: undefined }, blocks(0, 1, 2)), 1)
  })

  it("is nothing without a word from the chain, or without a block above", () => {
    assert.isUndefined(confirmedFinal(undefined, { coverage: ranges([0, 9]), finalized: 3 }, blocks(10)))
    assert.isUndefined(confirmedFinal(10, { coverage: [], finalized: undefined }, blocks(10)))
    assert.isUndefined(confirmedFinal(5, { coverage: [], finalized: undefined }, blocks(8, 9)))
  })

  // Simulation, seed 17: a reorg while block 56 was stuck, and blocks above it went on.
  it("is nothing above a hole with blocks below it that nobody has linked", () => {
    assert.isUndefined(confirmedFinal(58, { coverage: ranges([0, 55]), finalized: 31 }, blocks(57, 58, 59)))
    assert.strictEqual(
      confirmedFinal(58, { coverage: ranges([0, 55], [57, 59]), finalized: 31 }, blocks(56)),
      55
    )
    assert.strictEqual(
      confirmedFinal(58, { coverage: ranges([0, 31], [57, 59]), finalized: 31 }, blocks(60)),
      58
    )
  })
})
