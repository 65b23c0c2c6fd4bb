import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import * as Proof from "../../src/chain/Proof.ts"
import * as Blocks from "./Blocks.ts"

it.effect("simulated blocks prove", () =>
  Effect.gen(function* () {
    const make = yield* Blocks.make
    const proof = yield* Proof.make(31_337)
    let parent: `0x${string}` = `0x${"00".repeat(32)}`
    for (let number = 0; number < 40; number++) {
      const raw = make(number, parent, number % 3, 1_700_000_000 + number * 12)
      assert.deepStrictEqual(proof.verify(raw), { _tag: "Proven" })
      assert.deepStrictEqual(BlockParser.parse(raw.block, raw.receipts, number), raw)
      parent = raw.block.hash
    }
  })
)
