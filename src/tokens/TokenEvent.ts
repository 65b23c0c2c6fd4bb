/**
 * What token metrics are made of: transfers and trades, whatever table they come from.
 */
import type { Hex } from "../chain/Block.ts"

/** A block that metrics hold as of. */
export interface AsOf {
  readonly number: number
  readonly hash: Hex
  /** Seconds since 1970; never falls from a block to the next. */
  readonly timestamp: number
}

interface Place {
  readonly blockNumber: number
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly logIndex: number
}

/** Addresses are in lower case. */
export interface Transfer extends Place {
  readonly _tag: "Transfer"
  readonly token: Hex
  readonly from: Hex
  readonly to: Hex
  /** Raw units. */
  readonly value: bigint
}

/** A swap in a pool of two tokens. */
export interface Trade extends Place {
  readonly _tag: "Trade"
  readonly pair: Hex
  /** Raw units, positive where they go into the pool; of Uniswap V2 what went in less what came out. */
  readonly amount0: bigint
  readonly amount1: bigint
  readonly sender: Hex
  readonly recipient: Hex
}

export type TokenEvent = Transfer | Trade

/** Whose metrics an event changes. */
export const addressOf = (event: TokenEvent): Hex => (event._tag === "Transfer" ? event.token : event.pair)

/** Events in their order, by block. */
export const blocksOf = (
  events: ReadonlyArray<TokenEvent>
): ReadonlyArray<{
  readonly number: number
  readonly timestamp: number
  readonly events: ReadonlyArray<TokenEvent>
}> => {
  const blocks: Array<{ number: number; timestamp: number; events: Array<TokenEvent> }> = []
  for (const event of events) {
    const last = blocks.at(-1)
    if (last?.number === event.blockNumber) last.events.push(event)
    else blocks.push({ number: event.blockNumber, timestamp: event.timestamp, events: [event] })
  }
  return blocks
}
