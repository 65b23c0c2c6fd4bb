/**
 * The holes in the coverage: blocks that should be there and are not. The stream finds and fills the same ones, since
 * it asks the coverage what to fetch; here they are only listed.
 */
import { Effect, Option, Stream } from "effect"
import type { BlockRange } from "../chain/BlockRange.ts"
import { Store, type StoreError } from "../store/Store.ts"

/** Holes of one query. */
const pageSize = 1000

/** The holes between `from` and `to`, ascending. */
export const gaps = (range: BlockRange): Stream.Stream<BlockRange, StoreError, Store> =>
  Stream.paginate(
    range.from,
    Effect.fnUntraced(function* (from: number) {
      const found = yield* (yield* Store).gaps({ from, to: range.to }, pageSize)
      const last = found.at(-1)
      return [
        found,
        last === undefined || found.length < pageSize || last.to >= range.to
          ? Option.none<number>()
          : Option.some(last.to + 1)
      ] as const
    })
  )

/** From `from` to `to`; without a `to` up to the highest block that is covered. Undefined when that is none. */
export const searched = Effect.fnUntraced(function* (from: number, to: number | undefined) {
  const { coverage } = yield* (yield* Store).state
  const end = to ?? coverage.at(-1)?.to
  return end === undefined || end < from ? undefined : { from, to: end }
})
