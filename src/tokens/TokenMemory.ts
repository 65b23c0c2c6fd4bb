/**
 * What the service of token metrics knows: the state, what of it is due to be written, and which tokens were dropped.
 *
 * **Details**
 *
 * Everything here is looked at and changed in one synchronous step, which no other fiber can get between; who needs
 * several steps holds the locks of `TokenMetrics`.
 */
import type { Hex } from "../chain/Block.ts"
import { Ledger } from "./Ledger.ts"
import type { AsOf } from "./TokenEvent.ts"
import { type Token, TokenState } from "./TokenState.ts"
import { coarseReach, minute } from "./Windows.ts"

/** What is remembered of a token that was dropped. */
export interface Pruned {
  readonly lastBlock: number
  readonly lastTime: number
  readonly transfers: boolean
  readonly trades: boolean
}

export interface TokenMemoryOptions {
  readonly undoBlocks: number
  /** Seconds of chain time without an event. */
  readonly pruneThreshold: number
}

export class TokenMemory {
  readonly undoBlocks: number
  readonly pruneThreshold: number
  state: TokenState
  ledger = new Ledger()
  /** The delta set: what has moved since it was written. */
  touched = new Set<Hex>()
  readonly pruned = new Map<Hex, Pruned>()
  /** The first minute of each pair whose candle is due. */
  readonly candles = new Map<Hex, number>()

  /** What the checkpoint does not have as it is now: tokens that have moved since it was made. */
  unsaved = new Set<Hex>()
  /** The block that the checkpoint in the tables holds as of, if there is one. */
  savedAt: number | undefined
  /** As often as it has heard that events below the newest block were changed; see `store/TokenTables`. */
  voids = 0
  /** One more with each rollback and each state from nothing. */
  turn = 0

  constructor({ pruneThreshold, undoBlocks }: TokenMemoryOptions) {
    this.undoBlocks = undoBlocks
    this.pruneThreshold = pruneThreshold
    this.state = new TokenState({ undoBlocks })
  }

  /** Nothing is known, of tokens and of the tables: without a block to hold as of, nothing is written. */
  clear(): void {
    this.state = new TokenState({ undoBlocks: this.undoBlocks })
    this.pruned.clear()
    this.candles.clear()
    this.touched = new Set()
    this.unsaved = new Set()
    this.savedAt = undefined
    this.turn++
    this.ledger = new Ledger()
  }

  /** Those of the addresses that are in memory. */
  tokensOf(addresses: Iterable<Hex>): ReadonlyArray<Token> {
    return [...addresses].flatMap((address) => this.state.tokens.get(address) ?? [])
  }

  /** The pair's candles are due from this minute on. */
  candlesDue(pair: Hex, from: number): void {
    this.candles.set(pair, Math.min(from, this.candles.get(pair) ?? from))
  }

  /** Drops what is idle, but for what is due; returns how many. */
  drop(asOf: AsOf, due: ReadonlySet<Hex> = new Set()): number {
    const idle = this.state.prune(asOf.timestamp - this.pruneThreshold, due)
    for (const { address, lastBlock, lastTime, trades, transfers } of idle) {
      this.pruned.set(address, {
        lastBlock,
        lastTime,
        transfers: transfers !== undefined,
        trades: trades !== undefined
      })
    }
    return idle.length
  }

  /** Dropped tokens of which nothing is left in any window. */
  retired(asOf: AsOf): ReadonlyArray<readonly [Hex, Pruned]> {
    return [...this.pruned].filter(([, { lastTime }]) => lastTime <= asOf.timestamp - coarseReach - minute)
  }
}
