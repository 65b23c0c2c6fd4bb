/**
 * A chain whose blocks prove, as JSON: headers hash to their hashes, roots and blooms fit. `bench/chain.mjs` makes it,
 * with hashing of its own.
 */
import { readFileSync } from "node:fs"
import { Effect, Ref } from "effect"
import { answersFile, load } from "../../bench/chain.mjs"
import type { Served } from "../../bench/provider.mjs"
import type { RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import * as Columns from "../../src/store/Columns.ts"

export interface ProvableChain {
  /** Of the highest block; the lowest is 0. */
  readonly height: number
  readonly full: (number: number) => string
  readonly light: (number: number) => string
  readonly receipts: (number: number) => string
}

/** Some seven transactions and fifteen logs a block; the same ones for the same height. */
export const make = (height: number): Effect.Effect<ProvableChain> =>
  Effect.promise(async () => {
    const chain = await load({ blocks: height, density: 0.05 })
    const answers = readFileSync(answersFile(chain.folder))
    const text = (what: "full" | "light" | "receipts") => (number: number) => {
      const { at, length } = chain.entries[number]?.[what] ?? { at: 0, length: 0 }
      return answers.toString("latin1", at, at + length)
    }
    return { height, full: text("full"), light: text("light"), receipts: text("receipts") }
  })

export interface Growing {
  readonly served: Served
  readonly head: Effect.Effect<number>
  /** Adds so many blocks, as far as the chain goes. */
  readonly grow: (blocks: number) => void
}

/** The first `height + 1` blocks of a chain, which become more. */
export const growing = (chain: ProvableChain, height: number): Growing => {
  const head = Ref.makeUnsafe(height)
  return {
    served: { ...chain, chainId: 31_337, head: () => Ref.getUnsafe(head) },
    head: Ref.get(head),
    grow: (blocks) => Effect.runSync(Ref.update(head, (now) => Math.min(chain.height, now + blocks)))
  }
}

/** All of it, from the start. */
export const whole = (chain: ProvableChain): Served => growing(chain, chain.height).served

export const raw = (chain: ProvableChain, number: number): RawBlock => {
  const parsed = BlockParser.parse(JSON.parse(chain.full(number)), JSON.parse(chain.receipts(number)), number)
  return "block" in parsed ? parsed : Effect.runSync(Effect.die(parsed.message))
}

/** Everything that would be stored of a block, as one text. */
export const rowsOf = (encoded: Columns.EncodedBlock): string =>
  `${encoded.level} ${encoded.rows.map(({ buffer, count }) => `${count}:${buffer.toString("hex")}`).join(" ")}`

/** The numbers of all blocks, from 0. */
export const numbers = ({ height }: ProvableChain): ReadonlyArray<number> =>
  Array.from({ length: height + 1 }, (_, number) => number)

/** The same of the block as the chain has it, proven. */
export const honestRows = (chain: ProvableChain, number: number): string => {
  const encoded = Columns.encode(raw(chain, number), "proven")
  return "rows" in encoded ? rowsOf(encoded) : Effect.runSync(Effect.die(encoded.message))
}
