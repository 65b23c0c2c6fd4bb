/**
 * What an audit tells, as lines: for people, or one JSON object each for machines. `docs/verify.md` describes both.
 */
import { type BlockRange, size } from "../chain/BlockRange.ts"
import type { AuditEvent, Finding, Summary } from "./Finding.ts"

/** `12,400` */
export const count = (value: number): string => value.toLocaleString("en-US")

const blocksOf = ({ from, to }: BlockRange): string =>
  from === to ? `block ${from}` : `blocks ${from} to ${to} (${count(to - from + 1)})`

/** Lines for people; none for what only moves a progress bar. */
export const text = (event: AuditEvent): ReadonlyArray<string> => {
  switch (event._tag) {
    case "Started":
    case "Checked":
      return []
    case "Found":
      return [finding(event.finding)]
    case "Omitted":
      return [`left out   ${event.omission.what}: ${event.omission.reason}`]
    case "Repaired":
      return [`repaired   ${blocksOf(event.range)}`]
    case "NotRepaired":
      return [`left       ${blocksOf(event.range)}: ${event.reason}`]
    case "Done":
      return summary(event.summary)
  }
}

const finding = ({ block, kind, reason }: Finding): string =>
  `${kind.padEnd(10)} ${block === undefined ? "" : `block ${block}: `}${reason}`

const summary = ({
  blocks,
  digest,
  findings,
  left,
  notReprovable,
  proven,
  range,
  repaired,
  sampled
}: Summary): ReadonlyArray<string> => [
  "",
  range === undefined ? "no blocks are stored here" : `${blocksOf(range)}: ${count(blocks)} looked at`,
  `  ${count(proven)} proven again from their rows`,
  ...Object.entries(notReprovable).map(
    ([reason, number]) => `  ${count(number)} not re-provable from rows: ${reason}`
  ),
  `  ${count(sampled)} compared with the chain`,
  `  digest ${digest}`,
  findings === 0
    ? "nothing is wrong"
    : `${count(findings)} ${findings === 1 ? "finding" : "findings"}, ${count(repaired)} blocks repaired, ${count(left)} findings left`
]

/** One object, without a line break; undefined for what only moves a progress bar. */
export const json = (event: AuditEvent): string | undefined => {
  switch (event._tag) {
    case "Started":
    case "Checked":
      return undefined
    case "Found":
      return JSON.stringify({ type: "finding", ...event.finding, block: event.finding.block ?? null })
    case "Omitted":
      return JSON.stringify({ type: "omitted", ...event.omission })
    case "Repaired":
      return JSON.stringify({ type: "repaired", ...event.range })
    case "NotRepaired":
      return JSON.stringify({ type: "not repaired", ...event.range, reason: event.reason })
    case "Done":
      return JSON.stringify({ type: "summary", ...event.summary, range: event.summary.range ?? null })
  }
}

export const gapText = (gap: BlockRange): string => `gap        ${blocksOf(gap)}`

export const gapJson = (gap: BlockRange): string => JSON.stringify({ type: "gap", ...gap, blocks: size(gap) })

export interface Gaps {
  readonly gaps: number
  readonly blocks: number
}

export const gapSummary = (range: BlockRange | undefined, { blocks, gaps }: Gaps): string => {
  if (range === undefined) return "no blocks are stored here"
  const where = `between block ${range.from} and block ${range.to}`
  return gaps === 0
    ? `nothing is missing ${where}`
    : `${count(blocks)} blocks are missing in ${count(gaps)} ${gaps === 1 ? "gap" : "gaps"} ${where}`
}

export const gapSummaryJson = (range: BlockRange | undefined, sum: Gaps): string =>
  JSON.stringify({ type: "summary", range: range ?? null, ...sum })
