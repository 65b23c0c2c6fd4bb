/**
 * Random blocks, compared column by column with what the chain says now. The only check that finds a block which is
 * whole, proven, and not the chain's; and columns that no hash covers, such as `from_address`.
 */
import { Effect, Random } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import { Pages } from "../store/Pages.ts"
import type { StoreError } from "../store/Store.ts"
import { differences } from "./Differences.ts"
import type { Finding } from "./Finding.ts"
import type { Refetch } from "./Refetch.ts"

/** `count` different numbers out of the ranges, or all of them, ascending. */
export const sample = Effect.fnUntraced(function* (
  ranges: ReadonlyArray<BlockRange.BlockRange>,
  count: number
): Effect.fn.Return<ReadonlyArray<number>> {
  const size = ranges.reduce((sum, range) => sum + BlockRange.size(range), 0)
  const places = new Set<number>()
  // Floyd's way: every choice of `count` places is as likely as any other.
  for (let last = Math.max(0, size - count); last < size; last++) {
    const place = yield* Random.nextIntBetween(0, last + 1, { halfOpen: true })
    places.add(places.has(place) ? last : place)
  }
  const at = (place: number): number => {
    let rest = place
    for (const range of ranges) {
      if (rest < BlockRange.size(range)) return range.from + rest
      rest -= BlockRange.size(range)
    }
    return 0
  }
  return [...places].sort((a, b) => a - b).map(at)
})

export interface Contradiction {
  readonly finding: Finding
  /** The chain has another block there, as it has for a while after a reorg. */
  readonly isOtherBlock: boolean
}

/** What the chain says otherwise about block `number`; undefined where it is no longer stored. */
export const check = Effect.fnUntraced(function* (
  number: number,
  refetch: Refetch
): Effect.fn.Return<Contradiction | undefined, ProviderFault | StoreError, Pages> {
  const pages = yield* Pages
  const [block] = yield* refetch({ from: number, to: number })
  if (block === undefined) return undefined
  const records = yield* pages.records(number)
  if (records.every((rows) => rows.length === 0)) return undefined
  const [first, ...more] = differences(records, block, { sameNode: false })
  if (first === undefined) return undefined
  const isOtherBlock = first.startsWith("blocks.hash ")
  const reason = isOtherBlock
    ? `another block than the chain's, which is ${block.hash}`
    : `the chain says otherwise: ${first}${more.length === 0 ? "" : `, and ${more.length} more`}`
  return { finding: { kind: "chain", block: number, reason }, isOtherBlock }
})
