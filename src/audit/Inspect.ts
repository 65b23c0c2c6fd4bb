/**
 * Everything that a page of stored rows says about itself: coverage against rows, counts and places, parent links, and
 * the proof, recomputed from the rows alone.
 *
 * **Details**
 *
 * A block whose rows are not even complete is not proven as well: one reason is enough. What proves is encoded once
 * more, and its digest compared with the one that SQL computes from the rows, which finds whatever no hash covers and
 * the block's own logic does: times, places, transaction hashes of logs.
 */
import { Effect } from "effect"
import type { ProofLevel, RawBlock } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import * as ChainRules from "../chain/ChainRules.ts"
import type { Proof } from "../chain/Proof.ts"
import type { Mismatch } from "../chain/Verdict.ts"
import * as Columns from "../store/Columns.ts"
import * as Digest from "../store/Digest.ts"
import type { Page } from "../store/Pages.ts"
import { toHex } from "../store/Rows.ts"
import { type StoredHeader, type StoredRows, toRaw } from "../store/StoredBlock.ts"
import type { Finding } from "./Finding.ts"

export interface InspectOptions {
  readonly chainId: number
  readonly proof: Proof["Service"]
  /** Whether blocks are stored as `linked` by order: `PROOF=linked`. */
  readonly linkedByOrder: boolean
  /** Whether the block below the page was found to have a false header. */
  readonly falseBelow: boolean
}

export interface Inspected {
  readonly findings: ReadonlyArray<Finding>
  readonly blocks: number
  readonly proven: number
  /** Why blocks could not be proven from their rows, for each of them. */
  readonly notReprovable: ReadonlyArray<string>
  /** Whether the last block has a false header. */
  readonly falseLast: boolean
  /** Blocks whose rows have another digest than they should: what differs is for the caller to look up. */
  readonly odd: ReadonlyArray<Columns.EncodedBlock>
}

/** One block, looked at. */
interface Looked {
  readonly findings: ReadonlyArray<Finding>
  readonly proven?: boolean
  readonly notReprovable?: string
  readonly odd?: Columns.EncodedBlock
}

export const inspect = Effect.fnUntraced(function* (
  page: Page,
  options: InspectOptions
): Effect.fn.Return<Inspected> {
  const findings: Array<Finding> = []
  const notReprovable: Array<string> = []
  const odd: Array<Columns.EncodedBlock> = []
  let proven = 0
  let blocks = 0
  let below = page.below
  let falseBelow = options.falseBelow
  for (let number = page.range.from; number <= page.range.to; number++) {
    const levels = levelsOf(page, number)
    const rows = page.rows.get(number)
    const [header] = rows?.headers ?? []
    if (levels.length > 0 || rows !== undefined) {
      blocks++
      const looked = yield* look(page, number, levels, options)
      findings.push(...looked.findings)
      if (looked.proven === true) proven++
      if (looked.notReprovable !== undefined) notReprovable.push(looked.notReprovable)
      if (looked.odd !== undefined) odd.push(looked.odd)
      const isFalse = looked.findings.some(({ part }) => part === "header hash")
      // A false header has said so itself; its neighbours need not be blamed for it.
      if (header !== undefined && below !== undefined && !isFalse && !falseBelow) {
        const parent = toHex(header.parent_hash)
        if (parent !== below) {
          const reason = `its parent is ${parent}, but block ${number - 1} is ${below}`
          findings.push({ kind: "link", block: number, reason })
        }
      }
      falseBelow = isFalse
    } else falseBelow = false
    below = header === undefined ? undefined : toHex(header.hash)
  }
  return { findings, blocks, proven, notReprovable, falseLast: falseBelow, odd }
})

const levelsOf = ({ coverage }: Page, number: number): ReadonlyArray<ProofLevel> =>
  (["proven", "linked"] as const).filter((level) =>
    coverage[level].some((range) => BlockRange.contains(range, number))
  )

const look = (
  page: Page,
  number: number,
  levels: ReadonlyArray<ProofLevel>,
  options: InspectOptions
): Effect.Effect<Looked> =>
  Effect.suspend(() => {
    const rows = page.rows.get(number)
    const finding = (kind: Finding["kind"], reason: string): Looked => ({
      findings: [{ kind, block: number, reason }]
    })
    const [level, second] = levels
    if (level === undefined) {
      return Effect.succeed(finding("uncovered", `${counted(rows)}, which no coverage claims`))
    }
    const [header] = rows?.headers ?? []
    if (rows === undefined || header === undefined) {
      return Effect.succeed(finding("missing", `covered as ${level}, but blocks has no row`))
    }
    if (second !== undefined) return Effect.succeed(finding("level", "covered both as proven and as linked"))
    const doubled = doubledKey(rows)
    if (doubled !== undefined) return Effect.succeed(finding("doubled", doubled))
    const wrong = misplaced(header, rows)
    if (wrong !== undefined) return Effect.succeed(finding("count", wrong))
    return Effect.try({
      // What a damaged row may hold where JSON is expected knows no limits.
      try: () =>
        prove(toRaw(header, rows, options.chainId), level, page.digests.get(number), number, options),
      catch: (cause) =>
        finding("row", `its rows make no block: ${cause instanceof Error ? cause.message : String(cause)}`)
    }).pipe(Effect.catch(Effect.succeed))
  })

const counted = (rows: StoredRows | undefined): string =>
  [
    [rows?.headers.length ?? 0, "blocks"] as const,
    [rows?.transactions.length ?? 0, "transactions"] as const,
    [rows?.logs.length ?? 0, "logs"] as const,
    [rows?.withdrawals.length ?? 0, "withdrawals"] as const
  ]
    .filter(([count]) => count > 0)
    .map(([count, table]) => `${count} ${count === 1 ? "row" : "rows"} in ${table}`)
    .join(", ")

const doubledKey = ({ headers, logs, transactions, withdrawals }: StoredRows): string | undefined => {
  if (headers.length > 1) return `blocks has ${headers.length} rows of it`
  return (
    repeated(
      "transaction_index",
      transactions.map((row) => row.transaction_index)
    ) ??
    repeated(
      "log_index",
      logs.map((row) => row.log_index)
    ) ??
    repeated(
      "withdrawal_index",
      withdrawals.map((row) => Number(row.withdrawal_index))
    )
  )
}

/** Keys ascend, as they were read. */
const repeated = (name: string, keys: ReadonlyArray<number>): string | undefined => {
  const twice = keys.find((key, i) => key === keys[i - 1])
  return twice === undefined ? undefined : `${name} ${twice} is there more than once`
}

const misplaced = (header: StoredHeader, rows: StoredRows): string | undefined => {
  const { logs, transactions } = rows
  if (transactions.length !== header.transaction_count) {
    return `transaction_count is ${header.transaction_count}, transactions has ${rowsIn(transactions.length)}`
  }
  if (logs.length !== header.log_count) {
    return `log_count is ${header.log_count}, logs has ${rowsIn(logs.length)}`
  }
  const place = transactions.findIndex(({ transaction_index }, i) => transaction_index !== i)
  if (place >= 0) return `no transaction has the transaction_index ${place}`
  const stray = logs.find(
    ({ transaction_index }) => transaction_index < 0 || transaction_index >= transactions.length
  )
  return (
    stray && `log ${stray.log_index} belongs to transaction ${stray.transaction_index}, which is not there`
  )
}

const rowsIn = (count: number): string => `${count} ${count === 1 ? "row" : "rows"} of it`

/** The proof of a block from its rows, and whether its rows are all that follows from it. */
const prove = (
  raw: RawBlock,
  level: ProofLevel,
  digest: string | undefined,
  number: number,
  options: InspectOptions
): Looked => {
  const { linkedByOrder, proof } = options
  const findings: Array<Finding> = []
  const verdict = proof.verify(raw)
  const excuse =
    verdict._tag === "Mismatch" && level === "linked" ? excuseOf(raw, verdict, options) : undefined
  const notReprovable = verdict._tag === "Unprovable" ? verdict.reason : excuse
  if (verdict._tag === "Mismatch" && excuse === undefined) {
    const { at, expected, got, what } = verdict
    const where = at === "block" ? "" : ` of ${at}`
    return {
      findings: [
        {
          kind: "proof",
          block: number,
          part: what,
          reason: `${what}${where}: expected ${expected}, the rows give ${got}`
        }
      ]
    }
  }
  if (verdict._tag === "Proven" && level === "linked" && !linkedByOrder) {
    findings.push({ kind: "level", block: number, reason: "stored as linked, but its rows prove" })
  }
  if (verdict._tag === "Unprovable" && level === "proven") {
    findings.push({
      kind: "level",
      block: number,
      reason: `stored as proven, which it cannot be: ${verdict.reason}`
    })
  }
  const looked = {
    findings,
    proven: verdict._tag === "Proven",
    ...(notReprovable === undefined ? {} : { notReprovable })
  }
  const encoded = Columns.encode(raw, level)
  if (!("rows" in encoded)) {
    findings.push({ kind: "row", block: number, reason: encoded.message })
    return looked
  }
  return Digest.ofBlock(encoded) === digest ? looked : { ...looked, odd: encoded }
}

/** Why a linked block may be right although its rows do not prove. */
const excuseOf = (
  { block }: RawBlock,
  { what }: Mismatch,
  { chainId, linkedByOrder }: InspectOptions
): string | undefined => {
  if (linkedByOrder) {
    // Nobody has tried to prove it before.
    if (!ChainRules.followsEthereum(chainId))
      return "stored as linked on a chain that may have rules of its own"
  } else if (what === "header hash" && ChainRules.mayHaveNewRules(chainId, block)) {
    return "the header may have fields that no column holds"
  }
  if (what === "transactions root" && ChainRules.mayHashSidecars(chainId, block)) {
    return "Anvil's transactions root covers the blobs too, which are not stored"
  }
  return undefined
}
