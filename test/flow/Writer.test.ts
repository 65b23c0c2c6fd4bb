import { assert, describe, it } from "@effect/vitest"
import * as BlockRange from "../../src/chain/BlockRange.ts"
import type { Final } from "../../src/flow/Heads.ts"
import { linkedFinal } from "../../src/flow/Writer.ts"

const depth = 24
const tagged = (number: number): Final => ({ number, hash: "0xaa" })
const counted = (number: number): Final => ({ number, hash: undefined })
const ranges = (...pairs: ReadonlyArray<readonly [number, number]>) =>
  pairs.map(([from, to]) => BlockRange.make(from, to))

describe("what becomes final", () => {
  it("is the finalized block once it is stored", () => {
    assert.strictEqual(linkedFinal(tagged(50), depth, 40, ranges([0, 60])), 50)
    assert.isUndefined(linkedFinal(tagged(50), depth, 40, ranges([0, 49])))
    assert.isUndefined(linkedFinal(tagged(50), depth, undefined, []))
  })

  it("has the depth above it in the tables where it is only counted", () => {
    assert.strictEqual(linkedFinal(counted(50), depth, 20, ranges([0, 60])), 36)
    assert.strictEqual(linkedFinal(counted(30), depth, 20, ranges([0, 60])), 30)
    assert.isUndefined(linkedFinal(counted(50), depth, undefined, ranges([0, 10])))
  })

  it("never goes down", () => {
    assert.isUndefined(linkedFinal(tagged(39), depth, 40, ranges([0, 60])))
    assert.isUndefined(linkedFinal(counted(50), depth, 40, ranges([0, 60])))
  })

  it("is nothing above a hole with blocks below it that nobody has linked", () => {
    assert.isUndefined(linkedFinal(tagged(58), depth, 31, ranges([0, 55], [57, 59])))
    assert.strictEqual(linkedFinal(tagged(58), depth, 31, ranges([0, 59])), 58)
    assert.strictEqual(linkedFinal(tagged(58), depth, 31, ranges([0, 31], [57, 60])), 58)
  })
})
