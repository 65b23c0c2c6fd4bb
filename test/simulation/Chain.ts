/**
 * The chain of a simulation: what is canonical now, and everything that ever was on any fork.
 */
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import { random } from "../support/blocks.ts"
import type { MakeBlock } from "./Blocks.ts"

/** Blocks below the head that can be reorganised; below them the chain is final. */
export const finality = 24

export interface Chain {
  /** From genesis to the head. */
  readonly canonical: () => ReadonlyArray<RawBlock>
  /** Number of the highest final block; it never goes down. */
  readonly finalized: () => number
  /** Number of the highest head that there ever was. */
  readonly highest: () => number
  /** By hash, every block that was ever part of the chain. */
  readonly genuine: ReadonlyMap<Hex, RawBlock>
  readonly mine: (count: number) => void
  /** Mines until the head is as high as it ever was, or `count` blocks where it is. */
  readonly regrow: (count: number) => void
  /** Takes the newest `depth` blocks away, as far as they are not final, and mines others in their place. */
  readonly reorg: (depth: number, replacement: number) => void
}

/** Seconds since 1970. */
const genesis = 1_700_000_000

/** Seconds from a block to the next; at times the chain stands still for an hour, or for more than a day. */
const steps = [
  0, 1, 5, 12, 12, 12, 12, 12, 12, 12, 12, 12, 13, 30, 47, 48, 60, 60, 61, 299, 300, 301
] as const
const pauses = [3_540, 3_600, 9_000, 50_000, 86_400, 120_000] as const

const stepOf = (seed: number, number: number, salt: number): number => {
  const r = random(seed * 1_000_003 + number * 1009 + salt)
  const from = r.int(24) === 0 ? pauses : steps
  return from[r.int(from.length)] ?? 12
}

/** `seed` decides when its blocks come. */
export const make = (makeBlock: MakeBlock, height: number, seed: number): Chain => {
  const genuine = new Map<Hex, RawBlock>()
  let blocks: ReadonlyArray<RawBlock> = []
  let salt = 0
  let finalized = 0
  let highest = 0
  const grow = (from: ReadonlyArray<RawBlock>, count: number): ReadonlyArray<RawBlock> => {
    const grown = [...from]
    for (let i = 0; i < count; i++) {
      const parent = grown.at(-1)?.block
      const number = grown.length
      const timestamp = parent === undefined ? genesis : Number(parent.timestamp) + stepOf(seed, number, salt)
      const raw = makeBlock(number, parent?.hash ?? `0x${"00".repeat(32)}`, salt, timestamp)
      genuine.set(raw.block.hash, raw)
      grown.push(raw)
    }
    return grown
  }
  const settle = (next: ReadonlyArray<RawBlock>) => {
    blocks = next
    highest = Math.max(highest, blocks.length - 1)
    finalized = Math.max(finalized, blocks.length - 1 - finality)
  }
  settle(grow([], height + 1))
  return {
    canonical: () => blocks,
    finalized: () => finalized,
    highest: () => highest,
    genuine,
    mine: (count) => settle(grow(blocks, count)),
    regrow: (count) => settle(grow(blocks, highest + 1 - blocks.length || count)),
    reorg: (depth, replacement) => {
      salt++
      const kept = Math.max(finalized + 1, blocks.length - depth)
      settle(grow(blocks.slice(0, kept), replacement))
    }
  }
}
