export interface Span {
  readonly at: number
  readonly length: number
}

/** Where the answers about a block lie. */
export interface BlockEntry {
  readonly full: Span
  readonly light: Span
  readonly receipts: Span
  /** Bytes of each receipt inside of them. */
  readonly receiptLengths: ReadonlyArray<number>
  readonly logs: number
}

/** So many blocks with so many events in each, and their time apart. */
export type Run = readonly [blocks: number, events: number, seconds: number]

/** What a database that holds all blocks has to say, see `verify.mjs`. */
export interface Expected {
  readonly blocks: number
  readonly transactions: number
  readonly logs: number
  readonly failed: number
  readonly blockGas: string
  readonly transactionGas: string
  readonly value: string
  readonly blockHashes: string
  readonly transactionBytes: string
  readonly logBytes: string
}

export interface Chain {
  readonly folder: string
  readonly chainId: number
  readonly blocks: number
  /** Of full blocks and receipts, as JSON. */
  readonly bytes: number
  readonly entries: ReadonlyArray<BlockEntry>
  /** Addresses, the busiest first. */
  readonly tokens: ReadonlyArray<`0x${string}`>
  readonly expected: Expected
}

/** The chain's answers, made now or taken from the cache; see `chain.mjs`. */
export const load: (options?: {
  readonly blocks?: number
  readonly chainId?: number
  readonly seed?: number
  /** Transactions of a block, 1 for as many as on mainnet. */
  readonly density?: number
  /** Contracts that most transfers are of. */
  readonly tokens?: number
  /** In each block. */
  readonly withdrawals?: number
  /** So many of the busiest tokens, of which one moves in the first transaction of each block. */
  readonly steady?: number
  /** Blocks of Transfers and Swaps alone instead of mainnet's mixture; `blocks` follows from it. */
  readonly traffic?: ReadonlyArray<Run>
  readonly log?: (line: string) => void
}) => Promise<Chain>

/** The file that the spans of a chain's entries point into. */
export const answersFile: (folder: string) => string
