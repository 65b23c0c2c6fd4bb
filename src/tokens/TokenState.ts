/**
 * The rolling metrics of all tokens, in memory: events in, blocks back out, metrics as of the newest block.
 *
 * **Details**
 *
 * For each token there are entries by second for the short windows, entries by minute for the long ones, the time at
 * which each address last sent and last received it, and running totals. Memory so goes with tokens, minutes and
 * distinct addresses, not with events. The newest blocks are kept with what they changed, and are taken back exactly.
 *
 * **Gotchas**
 *
 * Blocks come in order and their times never fall. What is asked of a token that was loaded at a block above the
 * ancestor of a rollback can not be taken back: it is dropped and named in `lost`, to be loaded anew.
 */
import type { Hex } from "../chain/Block.ts"
import { Addresses } from "./Addresses.ts"
import { type AsOf, addressOf, type TokenEvent } from "./TokenEvent.ts"
import { TradeSeries, type TradeUndo } from "./TradeSeries.ts"
import { TransferSeries, type TransferUndo } from "./TransferSeries.ts"
import { coarseReach } from "./Windows.ts"

/** One address: a token, a pair, or (as a pool whose shares are a token) both. */
export interface Token {
  readonly address: Hex
  transfers: TransferSeries | undefined
  trades: TradeSeries | undefined
  /** Block and time of its newest event. */
  lastBlock: number
  lastTime: number
  /** All up to this block was loaded at once, so nothing of it can be taken back. */
  readonly loadedAt: number
}

/** What one block did to one token. */
export interface TokenUndo {
  readonly token: Token
  readonly created: boolean
  readonly lastBlock: number
  readonly lastTime: number
  /** Undefined where there was no such series before the block. */
  readonly transfers: TransferUndo | undefined
  readonly trades: TradeUndo | undefined
}

interface BlockUndo extends Moment {
  readonly tokens: Map<Hex, TokenUndo>
}

/** A block by its number and its time, seconds since 1970. */
export interface Moment {
  readonly number: number
  readonly timestamp: number
}

export interface TokenStateOptions {
  /** Blocks that can be taken back. Default 32. */
  readonly undoBlocks?: number
  /** All events of blocks whose time is at least this are known, seconds since 1970. Default 0: all there are. */
  readonly knownFrom?: number
  /** Up to here everything gets loaded, and is not taken back. */
  readonly floor?: Moment
}

/** What a rollback changed. */
export interface StateRollback {
  /** Tokens whose metrics have changed, and which are still in memory. */
  readonly changed: ReadonlySet<Hex>
  /** Tokens that are not in memory any more: either the blocks above were all that was known, or they were loaded there. */
  readonly lost: ReadonlySet<Hex>
}

export class TokenState {
  private readonly undoBlocks: number
  readonly knownFrom: number
  readonly addresses = new Addresses()
  readonly tokens = new Map<Hex, Token>()
  /** Oldest first; only blocks that changed something. */
  private undo: Array<BlockUndo> = []
  /** Blocks up to this one are not taken back. */
  private floor: Moment
  /** Blocks above this one can be taken back until it is let go of. */
  private held = Number.POSITIVE_INFINITY
  /** What metrics hold as of; undefined before the first `advance`. */
  asOf: AsOf | undefined

  constructor({ floor, knownFrom = 0, undoBlocks = 32 }: TokenStateOptions = {}) {
    this.undoBlocks = undoBlocks
    this.knownFrom = knownFrom
    this.floor = floor ?? { number: -1, timestamp: 0 }
  }

  /** The events of one block, in their order. `advance` follows, to that block or to a later one. */
  apply({ number, timestamp }: Moment, events: ReadonlyArray<TokenEvent>): void {
    if (events.length === 0) return
    const undo: BlockUndo = { number, timestamp, tokens: new Map() }
    this.undo.push(undo)
    for (const event of events) this.applyOne(event, undo)
    this.settle(number)
  }

  /** All events up to this block have been applied. */
  advance(block: AsOf): void {
    this.asOf = block
    this.settle(block.number)
  }

  /** Loads tokens that are not in memory, from all their events of the last day up to block `at`, each in order. */
  load(events: ReadonlyArray<TokenEvent>, at: number): void {
    for (const event of events) {
      const address = addressOf(event)
      const token = this.tokens.get(address) ?? this.create(address, at)
      this.change(token, event, undefined, true)
    }
  }

  /** Blocks above this one are kept with what they changed. */
  get settledTo(): number {
    return Math.max(this.floor.number, this.settling((this.asOf?.number ?? 0) - this.undoBlocks))
  }

  /** Keeps what the blocks above this one change, `settledTo` or higher, however many there come; until `undefined`. */
  hold(number: number | undefined): void {
    this.held = number ?? Number.POSITIVE_INFINITY
  }

  /** What blocks above this one did to a token, the oldest first. */
  doneAbove(token: Token, number: number): ReadonlyArray<TokenUndo> {
    if (token.lastBlock <= number) return []
    return this.undo.flatMap((block) => {
      const done = block.number > number ? block.tokens.get(token.address) : undefined
      return done?.token === token ? [done] : []
    })
  }

  /** Whether everything above this block can be taken back exactly. */
  canRollback(ancestor: Moment): boolean {
    return (
      ancestor.number >= this.floor.number &&
      (this.knownFrom === 0 || ancestor.timestamp - coarseReach >= this.knownFrom)
    )
  }

  /** Takes back all blocks above `ancestor`, which `canRollback`. */
  rollback(ancestor: AsOf): StateRollback {
    const affected = new Set<Hex>()
    const lost = new Set<Hex>()
    for (const token of this.tokens.values()) {
      if (token.loadedAt > ancestor.number) lost.add(token.address)
    }
    for (
      let top = this.undo.at(-1);
      top !== undefined && top.number > ancestor.number;
      top = this.undo.at(-1)
    ) {
      this.undo.pop()
      for (const [address, undo] of top.tokens) {
        affected.add(address)
        this.takeBack(undo)
      }
    }
    for (const address of lost) this.drop(address)
    for (const address of affected) if (!this.tokens.has(address)) lost.add(address)
    this.asOf = ancestor
    return { changed: new Set([...affected].filter((address) => !lost.has(address))), lost }
  }

  /** Drops the tokens whose newest event is older than this time, and can not be taken back any more; some are kept. */
  prune(before: number, but: ReadonlySet<Hex> = new Set()): ReadonlyArray<Token> {
    const floor = this.settling((this.asOf?.number ?? 0) - this.undoBlocks)
    const idle = [...this.tokens.values()].filter(
      ({ address, lastBlock, lastTime }) => lastTime < before && lastBlock <= floor && !but.has(address)
    )
    for (const { address } of idle) this.drop(address)
    return idle
  }

  /** Puts an empty token there, all of which is to be loaded up to block `loadedAt`. */
  create(address: Hex, loadedAt: number): Token {
    const token: Token = {
      address,
      transfers: undefined,
      trades: undefined,
      lastBlock: -1,
      lastTime: 0,
      loadedAt
    }
    this.tokens.set(address, token)
    return token
  }

  private applyOne(event: TokenEvent, block: BlockUndo): void {
    const address = addressOf(event)
    const known = this.tokens.get(address)
    const token = known ?? this.create(address, -1)
    let undo = block.tokens.get(address)
    if (undo === undefined) {
      undo = {
        token,
        created: known === undefined,
        lastBlock: token.lastBlock,
        lastTime: token.lastTime,
        transfers: token.transfers?.begin(),
        trades: token.trades?.begin()
      }
      block.tokens.set(address, undo)
      for (const series of [token.transfers, token.trades]) {
        // Totals leave behind what is forgotten first.
        series?.windowed.advance(event.timestamp)
        series?.windowed.forget(this.floor.timestamp)
      }
    }
    this.change(token, event, undo.transfers, false)
  }

  private change(token: Token, event: TokenEvent, undo: TransferUndo | undefined, bulk: boolean): void {
    token.lastBlock = event.blockNumber
    token.lastTime = event.timestamp
    const floor = this.floor.timestamp
    if (event._tag === "Transfer") {
      token.transfers ??= new TransferSeries(this.addresses)
      if (bulk) token.transfers.load(event, floor)
      else token.transfers.apply(event, floor, undo)
    } else {
      token.trades ??= new TradeSeries()
      if (bulk) token.trades.load(event, floor)
      else token.trades.apply(event)
    }
  }

  private takeBack({ created, lastBlock, lastTime, token, trades, transfers }: TokenUndo): void {
    if (this.tokens.get(token.address) !== token) {
      if (transfers !== undefined) token.transfers?.settle(transfers)
      return
    }
    if (created) {
      this.drop(token.address)
      return
    }
    token.lastBlock = lastBlock
    token.lastTime = lastTime
    if (transfers !== undefined) token.transfers?.rollback(transfers)
    else {
      token.transfers?.close()
      token.transfers = undefined
    }
    if (trades === undefined) token.trades = undefined
    else token.trades?.rollback(trades)
  }

  /** Blocks so far below `number` are not taken back any more. */
  private settle(number: number): void {
    const settled = this.settling(number - this.undoBlocks)
    for (let oldest = this.undo[0]; oldest !== undefined; oldest = this.undo[0]) {
      if (oldest.number > settled) return
      this.undo.shift()
      this.floor = { number: oldest.number, timestamp: oldest.timestamp }
      for (const { token, transfers } of oldest.tokens.values()) {
        if (transfers !== undefined) token.transfers?.settle(transfers)
      }
    }
  }

  private settling(number: number): number {
    return Math.min(number, this.held)
  }

  drop(address: Hex): void {
    this.tokens.get(address)?.transfers?.close()
    this.tokens.delete(address)
  }
}
