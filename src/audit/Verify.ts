/**
 * An audit of what is stored: page by page from the rows alone, then the totals, then a sample against the chain; and,
 * if so ordered, the repair of what was found, and a second look at what was repaired.
 *
 * **When to use**: `Verify.run(options)`, beside a running instance too. Repairing needs the lease.
 *
 * **Details**
 *
 * Each page is one snapshot of the database, so a commit or a rollback meanwhile is no finding. Memory is bounded by the
 * rows of a page, whose number of blocks follows how full they are, and by the damaged ranges.
 */
import { Effect, Ref } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import { Proof } from "../chain/Proof.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import type { ChainSource } from "../source/ChainSource.ts"
import * as Digest from "../store/Digest.ts"
import { Pages } from "../store/Pages.ts"
import { Store, type StoreError, type StoreState } from "../store/Store.ts"
import { differences } from "./Differences.ts"
import { type AuditEvent, type Finding, type Summary, toRepair } from "./Finding.ts"
import { inspect } from "./Inspect.ts"
import * as Refetch from "./Refetch.ts"
import * as Repair from "./Repair.ts"
import * as SpotCheck from "./SpotCheck.ts"

export interface VerifyOptions {
  /** Only these blocks; without them all that is stored. */
  readonly from: number | undefined
  readonly to: number | undefined
  /** Blocks to compare with the chain. */
  readonly sample: number
  /** Repairs under this epoch of the lease. */
  readonly repair: { readonly epoch: number } | undefined
  /** Or why it is not there. */
  readonly chain: ChainSource["Service"] | { readonly missing: string }
  readonly emit: (event: AuditEvent) => Effect.Effect<void>
}

/** Rows that a page should have: some 30 MB in memory. */
const pageRows = 10_000
const mostBlocks = 500
/** Of the first page, about which nothing is known yet. */
const firstBlocks = 50

type Services = Pages | Proof | Settings | Store

export const run = Effect.fnUntraced(function* (
  options: VerifyOptions
): Effect.fn.Return<Summary, StoreError, Services> {
  const { chain, emit } = options
  const store = yield* Store
  const pages = yield* Pages
  const state = yield* store.state
  const bounds = yield* pages.bounds
  const range = bounds && {
    from: Math.max(bounds.from, options.from ?? 0),
    to: Math.min(bounds.to, options.to ?? bounds.to)
  }
  const covered = range === undefined ? [] : within(state, range)
  yield* emit({ _tag: "Started", blocks: covered.reduce((sum, part) => sum + BlockRange.size(part), 0) })
  const damaged = yield* Ref.make<ReadonlyArray<BlockRange.BlockRange>>([])
  const untrue = yield* Ref.make<ReadonlyArray<number>>([])
  const found = yield* Ref.make(0)
  const tell = Effect.fnUntraced(function* (finding: Finding) {
    const blocks = toRepair(finding)
    if (blocks !== undefined) yield* Ref.update(damaged, (ranges) => BlockRange.add(ranges, blocks))
    if (finding.kind === "chain" && finding.block !== undefined) {
      yield* Ref.update(untrue, (numbers) => [...numbers, finding.block ?? 0])
    }
    yield* Ref.update(found, (count) => count + 1)
    yield* emit({ _tag: "Found", finding })
  })

  const looked = range === undefined ? nothing : yield* lookAt(range, tell, emit)
  const isWhole = options.from === undefined && options.to === undefined
  if (isWhole) yield* Effect.forEach(yield* checkTotals, tell)
  else yield* emit(omitted("totals", "only a part was looked at"))
  let sampled = 0
  if ("missing" in chain) yield* emit(omitted("comparison with the chain", chain.missing))
  else {
    // What is damaged needs no second reason.
    const cut = yield* Ref.get(damaged)
    const sound = covered.flatMap((part) => BlockRange.subtract(part, cut))
    sampled = yield* spotCheck(sound, state, chain, options, tell)
  }

  const before = yield* Ref.get(found)
  let repaired: ReadonlyArray<BlockRange.BlockRange> = []
  let left = before
  if (options.repair !== undefined && !("missing" in chain) && before > 0) {
    const ranges = yield* Ref.get(damaged)
    const tools = { epoch: options.repair.epoch, source: chain, refetch: yield* Refetch.make(chain), emit }
    repaired = (yield* Effect.forEach(ranges, (each) => Repair.repair(each, tools))).flat()
    if ((yield* checkTotals).length > 0) yield* store.recount(options.repair.epoch)
    left = yield* countAgain(ranges)
    // No row tells whether a block is the chain's.
    for (const block of yield* Ref.get(untrue)) {
      if (!repaired.some((range) => BlockRange.contains(range, block))) left++
    }
  }
  const summary: Summary = {
    range: range === undefined || range.to < range.from ? undefined : range,
    ...looked,
    sampled,
    findings: before,
    repaired: repaired.reduce((sum, part) => sum + BlockRange.size(part), 0),
    left
  }
  yield* emit({ _tag: "Done", summary })
  return summary
})

const nothing = { blocks: 0, proven: 0, notReprovable: {}, digest: Digest.combine([]) }

const omitted = (what: string, reason: string): AuditEvent => ({
  _tag: "Omitted",
  omission: { what, reason }
})

/** The covered parts of a range. */
const within = (
  { coverage }: StoreState,
  range: BlockRange.BlockRange
): ReadonlyArray<BlockRange.BlockRange> =>
  coverage
    .map(({ from, to }) => ({ from: Math.max(from, range.from), to: Math.min(to, range.to) }))
    .filter((part) => BlockRange.size(part) > 0)

/** All pages of a range, one after the other. */
const lookAt = Effect.fnUntraced(function* (
  range: BlockRange.BlockRange,
  tell: (finding: Finding) => Effect.Effect<void>,
  emit: VerifyOptions["emit"]
) {
  const pages = yield* Pages
  const proof = yield* Proof
  const settings = yield* Settings
  const chainId = (yield* (yield* Store).identity)?.chainId ?? settings.chainId
  const notReprovable: Record<string, number> = {}
  let blocks = 0
  let proven = 0
  let digest = Digest.combine([])
  let size = firstBlocks
  let falseBlock = -1
  let next = yield* pages.next(range.from)
  while (next !== undefined && next <= range.to) {
    const page = yield* pages.read({ from: next, to: Math.min(range.to, next + size - 1) })
    const options = {
      chainId,
      proof,
      linkedByOrder: settings.proof === "linked",
      falseBelow: falseBlock === next - 1
    }
    const seen = yield* inspect(page, options)
    yield* Effect.forEach(seen.findings, tell)
    for (const block of seen.odd) {
      const [first = "a row"] = differences(yield* pages.records(block.number), block, { sameNode: true })
      yield* tell({ kind: "row", block: block.number, reason: `contradicts its block: ${first}` })
    }
    blocks += seen.blocks
    proven += seen.proven
    for (const reason of seen.notReprovable) notReprovable[reason] = (notReprovable[reason] ?? 0) + 1
    digest = Digest.combine([digest, ...page.digests.values()])
    falseBlock = seen.falseLast ? page.range.to : -1
    yield* emit({ _tag: "Checked", blocks: seen.blocks, upTo: page.range.to })
    size = sizeAfter(page.rows, BlockRange.size(page.range))
    next = page.range.to < range.to ? yield* pages.next(page.range.to + 1) : undefined
  }
  return { blocks, proven, notReprovable, digest }
})

/** Blocks of the next page. */
const sizeAfter = (
  rows: ReadonlyMap<
    number,
    { readonly transactions: ReadonlyArray<unknown>; readonly logs: ReadonlyArray<unknown> }
  >,
  blocks: number
): number => {
  let count = blocks
  for (const { logs, transactions } of rows.values()) count += logs.length + transactions.length
  // It may double at most: the next blocks may be fuller.
  return Math.max(1, Math.min(mostBlocks, blocks * 2, Math.floor((blocks * pageRows) / count)))
}

/** Totals and tip against the tables. */
const checkTotals: Effect.Effect<ReadonlyArray<Finding>, StoreError, Pages> = Effect.gen(function* () {
  const { counted, said } = yield* (yield* Pages).counts
  const finding = (reason: string): Finding => ({ kind: "totals", block: undefined, reason })
  return [
    ...(["blocks", "transactions", "logs"] as const)
      .filter((table) => said[table] !== counted[table])
      .map((table) => finding(`the totals say ${said[table]} ${table}, the table has ${counted[table]}`)),
    ...(said.tip === counted.tip && said.tipHash === counted.tipHash
      ? []
      : [
          finding(
            `the tip is said to be block ${said.tip} ${said.tipHash}, it is ${counted.tip} ${counted.tipHash}`
          )
        ])
  ]
})

/** Random blocks against the chain; how many were compared. */
const spotCheck = Effect.fnUntraced(function* (
  covered: ReadonlyArray<BlockRange.BlockRange>,
  { finalized }: StoreState,
  chain: ChainSource["Service"],
  { emit, sample }: VerifyOptions,
  tell: (finding: Finding) => Effect.Effect<void>
) {
  const { concurrency } = yield* Settings
  const refetch = yield* Refetch.make(chain)
  let compared = 0
  const one = Effect.fnUntraced(function* (number: number) {
    const seen = yield* SpotCheck.check(number, refetch)
    compared++
    if (seen === undefined) return
    if (seen.isOtherBlock && number > (finalized ?? -1)) {
      const reason =
        "the chain has another block there; it is not final, and the stream takes back what a reorg leaves"
      yield* emit(omitted(`block ${number}`, reason))
    } else yield* tell(seen.finding)
  })
  const gone = (fault: ProviderFault) => emit(omitted("rest of the comparison with the chain", fault.message))
  yield* Effect.forEach(yield* SpotCheck.sample(covered, sample), one, { concurrency, discard: true }).pipe(
    Effect.catchTag("ProviderFault", gone)
  )
  return compared
})

/** Findings in these ranges, the blocks beside them, and the totals. */
const countAgain = Effect.fnUntraced(function* (ranges: ReadonlyArray<BlockRange.BlockRange>) {
  const left = yield* Ref.make((yield* checkTotals).length)
  const quiet = () => Effect.void
  for (const { from, to } of ranges) {
    yield* lookAt({ from: Math.max(0, from - 1), to: to + 1 }, () => Ref.update(left, (n) => n + 1), quiet)
  }
  return yield* Ref.get(left)
})
