/**
 * Fetches damaged blocks again and exchanges their rows, some adjacent ones in one transaction.
 *
 * **Details**
 *
 * Before anything is written, the sound blocks beside the damaged ones must be the chain's. Where they are not, the
 * chain has been reorganized, and taking back is the stream's work: the blocks are left as they are. Rows that no
 * coverage claims, above the head of the chain, are deleted.
 */
import { Effect } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import type { ChainSource } from "../source/ChainSource.ts"
import { Store, type StoreError } from "../store/Store.ts"
import type { AuditEvent } from "./Finding.ts"
import type { Refetch } from "./Refetch.ts"

/** Blocks of one transaction, at most. */
const most = 50

interface Tools {
  readonly epoch: number
  readonly source: ChainSource["Service"]
  readonly refetch: Refetch
  readonly emit: (event: AuditEvent) => Effect.Effect<void>
}

/** Mends what it can of adjacent damaged blocks whose neighbours are sound. Fails only with the lease or the database. */
export const repair = Effect.fnUntraced(function* (
  damaged: BlockRange.BlockRange,
  tools: Tools
): Effect.fn.Return<ReadonlyArray<BlockRange.BlockRange>, StoreError, Store> {
  const { chunk } = tools.source
  const done: Array<BlockRange.BlockRange> = []
  const leave = (range: BlockRange.BlockRange, reason: string) =>
    Effect.as(tools.emit({ _tag: "NotRepaired", range, reason }), done)
  for (let from = damaged.from; from <= damaged.to; ) {
    const { blocks } = yield* chunk
    const piece = { from, to: Math.min(damaged.to, from + Math.min(most, blocks) - 1) }
    const rest = { from, to: damaged.to }
    const result = yield* Effect.result(mend(piece, damaged, tools))
    if (result._tag === "Success") {
      if (result.success !== undefined) return yield* leave(rest, result.success)
      yield* tools.emit({ _tag: "Repaired", range: piece })
      done.push(piece)
    } else {
      const error = result.failure
      if (error._tag === "StoreError" && error.reason._tag !== "LinkMismatch") return yield* error
      return yield* leave(rest, error.message)
    }
    from = piece.to + 1
  }
  return done
})

/** Exchanges the rows of one piece; says why it did not. */
const mend = Effect.fnUntraced(function* (
  piece: BlockRange.BlockRange,
  damaged: BlockRange.BlockRange,
  { epoch, refetch, source }: Tools
): Effect.fn.Return<string | undefined, StoreError | ProviderFault, Store> {
  const store = yield* Store
  const beside = yield* sound(damaged)
  const numbers = [...beside.map(({ number }) => number), piece.to]
  const chain = yield* source.headers(numbers)
  const moved = beside.find(({ hash }, i) => chain[i]?.hash.toLowerCase() !== hash)
  const unsure = piece.to === damaged.to ? [] : [piece.to + 1]
  if (chain.at(-1) === undefined) {
    const covered = BlockRange.size(piece) - sizeOf(yield* store.gaps(piece, most))
    if (covered > 0) return `the chain has no block ${piece.to}`
    yield* store.replace({ epoch, range: piece, blocks: [], unsure })
    return undefined
  }
  if (moved !== undefined) {
    return `block ${moved.number} beside it is another one on the chain: a reorg, which the stream takes back`
  }
  yield* store.replace({ epoch, range: piece, blocks: yield* refetch(piece), unsure })
  return undefined
})

/** The stored headers directly below and above. */
const sound = Effect.fnUntraced(function* ({ from, to }: BlockRange.BlockRange) {
  const { headers } = yield* Store
  const found = yield* Effect.forEach([from - 1, to + 1], (number) => headers({ from: number, to: number }))
  return found.flat()
})

const sizeOf = (ranges: ReadonlyArray<BlockRange.BlockRange>): number =>
  ranges.reduce((sum, range) => sum + BlockRange.size(range), 0)
