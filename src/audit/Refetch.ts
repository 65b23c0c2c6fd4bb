/**
 * Blocks from the chain, proven and encoded as the stream does it.
 */
import { Effect } from "effect"
import type { BlockRange } from "../chain/BlockRange.ts"
import { Proof } from "../chain/Proof.ts"
import { Settings } from "../config/Settings.ts"
import { Inconsistent, type ProviderFault } from "../rpc/ProviderFault.ts"
import type { ChainSource, Prove } from "../source/ChainSource.ts"
import * as Columns from "../store/Columns.ts"

/** All blocks of a range; what contradicts itself is asked of somebody else. */
export type Refetch = (range: BlockRange) => Effect.Effect<ReadonlyArray<Columns.EncodedBlock>, ProviderFault>

export const make = Effect.fnUntraced(function* (
  source: ChainSource["Service"]
): Effect.fn.Return<Refetch, never, Proof | Settings> {
  const { verify } = yield* Proof
  const { proof: wanted } = yield* Settings
  const prove: Prove<Columns.EncodedBlock> = (raw, number) =>
    Effect.suspend(() => {
      const verdict = verify(raw)
      if (verdict._tag === "Mismatch" && wanted === "proven") {
        const { at, expected, got, what } = verdict
        const detail = `block ${number}: ${what} at ${at} is ${got}, expected ${expected}`
        return Effect.fail(new Inconsistent({ check: what, detail }))
      }
      const level = verdict._tag === "Proven" && wanted === "proven" ? "proven" : "linked"
      const encoded = Columns.encode(raw, level)
      return "rows" in encoded
        ? Effect.succeed(encoded)
        : Effect.fail(new Inconsistent({ check: "columns", detail: encoded.message }))
    })
  return (range) => Effect.map(source.blocks(range, prove), ({ blocks }) => blocks)
})
