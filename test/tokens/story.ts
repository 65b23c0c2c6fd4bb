/**
 * A made-up chain of transfers and trades from a seed: busy and silent spells, few addresses that come again and many
 * that do not, amounts from nothing to uint256, blocks without events.
 */
import type { Hex } from "../../src/chain/Block.ts"
import type { AsOf, TokenEvent } from "../../src/tokens/TokenEvent.ts"

export interface StoryBlock {
  readonly asOf: AsOf
  readonly events: ReadonlyArray<TokenEvent>
}

export type Dice = (below: number) => number

/** A generator of numbers from a seed (mulberry32). */
export const dice = (seed: number): Dice => {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

export const addressOf = (kind: number, n: number): Hex =>
  `0x${kind.toString(16).padStart(8, "0")}${n.toString(16).padStart(32, "0")}`

const amount = (roll: Dice): bigint =>
  roll(20) === 0 ? 0n : BigInt(1 + roll(1_000_000)) * 10n ** BigInt(roll(roll(30) === 0 ? 72 : 24))

export interface StoryOptions {
  readonly tokens: number
  /** Most events of a block. */
  readonly events: number
  /** Most seconds between blocks, but for silent spells. */
  readonly pace: number
}

/** Half of the addresses are tokens, half are pairs; the first pair is a token as well. */
export const nextBlock = (
  roll: Dice,
  parent: AsOf,
  { events, pace, tokens }: StoryOptions,
  fork: number
): StoryBlock => {
  const silence = roll(40) === 0 ? roll(roll(3) === 0 ? 100_000 : 4_000) : 0
  const asOf: AsOf = {
    number: parent.number + 1,
    hash: `0x${(parent.number + 1).toString(16).padStart(32, "0")}${fork.toString(16).padStart(32, "0")}`,
    timestamp: parent.timestamp + roll(pace + 1) + silence
  }
  const someone = () => (roll(3) === 0 ? addressOf(2, roll(1_000_000)) : addressOf(2, roll(12)))
  const place = (logIndex: number) => ({ blockNumber: asOf.number, timestamp: asOf.timestamp, logIndex })
  return {
    asOf,
    events: Array.from({ length: roll(4) === 0 ? 0 : roll(events + 1) }, (_, i): TokenEvent => {
      const n = roll(tokens)
      // A few tokens have most of the events.
      const token = addressOf(1, roll(2) === 0 ? n : n % 3)
      if (n % 2 === 0 || token === addressOf(1, 1)) {
        if (token !== addressOf(1, 1) || roll(2) === 0) {
          return { _tag: "Transfer", token, from: someone(), to: someone(), value: amount(roll), ...place(i) }
        }
      }
      const way = roll(8)
      const [in0, in1] = way === 0 ? [1n, 1n] : way < 4 ? [-1n, 1n] : [1n, -1n]
      return {
        _tag: "Trade",
        pair: token,
        amount0: in0 * amount(roll),
        amount1: in1 * amount(roll),
        sender: someone(),
        recipient: someone(),
        ...place(i)
      }
    })
  }
}
