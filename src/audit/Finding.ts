/**
 * What an audit says: one finding for each thing that is wrong, with its block and the reason.
 */
import type { BlockRange } from "../chain/BlockRange.ts"
import type { MismatchedPart } from "../chain/Verdict.ts"

/**
 * - `missing`: covered, but `blocks` has no row.
 * - `uncovered`: rows that no coverage claims.
 * - `doubled`: a key that is there twice.
 * - `count`: other rows than the block's own counts and places say.
 * - `link`: the parent is another block than the one that is stored.
 * - `proof`: a hash, a root or the bloom filter, recomputed from the rows, is another.
 * - `row`: a column that contradicts the rest of the block.
 * - `level`: proven and stored as `linked`, or the other way round.
 * - `chain`: the chain says otherwise.
 * - `totals`: the totals, or the tip, are not those of the tables.
 */
export type Kind =
  | "missing"
  | "uncovered"
  | "doubled"
  | "count"
  | "link"
  | "proof"
  | "row"
  | "level"
  | "chain"
  | "totals"

export interface Finding {
  readonly kind: Kind
  /** Undefined where no single block is wrong. */
  readonly block: number | undefined
  /** What does not fit, where it is a proof. */
  readonly part?: MismatchedPart
  readonly reason: string
}

/** The blocks that have to be fetched again to mend it. */
export const toRepair = ({ block, kind }: Finding): BlockRange | undefined => {
  if (block === undefined) return undefined
  // Either of the two may be the one that does not belong.
  return kind === "link" ? { from: Math.max(0, block - 1), to: block } : { from: block, to: block }
}

/** Something that was not looked at, and why. */
export interface Omission {
  readonly what: string
  readonly reason: string
}

export interface Summary {
  /** What was looked at; undefined when nothing is stored there. */
  readonly range: BlockRange | undefined
  readonly blocks: number
  /** Proven again from the rows alone. */
  readonly proven: number
  /** How many were not, by reason. */
  readonly notReprovable: Readonly<Record<string, number>>
  /** Compared with the chain. */
  readonly sampled: number
  readonly findings: number
  /** Fetched again and written. */
  readonly repaired: number
  /** Findings that are still there after the repair. */
  readonly left: number
  /** As `range_digest` of the schema gives it for the same range, when nobody writes. */
  readonly digest: string
}

/** What an audit tells while it goes on. */
export type AuditEvent =
  | { readonly _tag: "Started"; readonly blocks: number }
  /** So many more blocks have been looked at. */
  | { readonly _tag: "Checked"; readonly blocks: number; readonly upTo: number }
  | { readonly _tag: "Found"; readonly finding: Finding }
  | { readonly _tag: "Omitted"; readonly omission: Omission }
  | { readonly _tag: "Repaired"; readonly range: BlockRange }
  | { readonly _tag: "NotRepaired"; readonly range: BlockRange; readonly reason: string }
  | { readonly _tag: "Done"; readonly summary: Summary }
