export interface Span {
  readonly at: number
  readonly length: number
}

export interface Chain {
  readonly folder: string
  readonly chainId: number
  readonly blocks: number
  readonly entries: ReadonlyArray<{ readonly full: Span; readonly light: Span; readonly receipts: Span }>
}

/** The chain's answers, made now or taken from the cache; see `chain.mjs`. */
export const load: (options?: {
  readonly blocks?: number
  readonly chainId?: number
  readonly seed?: number
  /** Transactions of a block, 1 for as many as on mainnet. */
  readonly density?: number
  readonly log?: (line: string) => void
}) => Promise<Chain>

/** The file that the spans of a chain's entries point into. */
export const answersFile: (folder: string) => string
