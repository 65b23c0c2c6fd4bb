/**
 * What verifying a block says.
 */

/** The parts of a block that may not fit. */
export const mismatchedParts = [
  "hex digits",
  "header hash",
  "transaction type",
  "transaction hash",
  "transaction index",
  "transaction parity",
  "transactions root",
  "withdrawals root",
  "receipt count",
  "receipt outcome",
  "receipt of another transaction",
  "receipt type",
  "cumulative gas",
  "gas used",
  "effective gas price",
  "blob gas used",
  "contract address",
  "log of another transaction",
  "log index",
  "bloom",
  "receipts root"
] as const
export type MismatchedPart = (typeof mismatchedParts)[number]

export interface Proven {
  readonly _tag: "Proven"
}

/** Nothing is known to be wrong; this version does not know how to prove it. */
export interface Unprovable {
  readonly _tag: "Unprovable"
  readonly reason: string
}

/** The answer contradicts itself: do not store it, ask another endpoint. */
export interface Mismatch {
  readonly _tag: "Mismatch"
  readonly what: MismatchedPart
  /** Where in the answer: `transactions[3]`, `receipts[3].logs[0]`, or `block`. */
  readonly at: string
  readonly expected: string
  readonly got: string
}

export type Verdict = Proven | Unprovable | Mismatch

export const proven: Verdict = { _tag: "Proven" }

export const unprovable = (reason: string): Unprovable => ({ _tag: "Unprovable", reason })

export const mismatch = (what: MismatchedPart, at: string, expected: string, got: string): Mismatch => ({
  _tag: "Mismatch",
  what,
  at,
  expected,
  got
})
