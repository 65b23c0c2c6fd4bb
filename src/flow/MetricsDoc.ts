/**
 * The table of all metrics in `docs/operations.md`, written from their declarations.
 */
import type { Metric } from "effect"
import * as RpcMetrics from "../rpc/Metrics.ts"
import * as TokenMetrics from "../tokens/Metrics.ts"
import * as Gauges from "./Gauges.ts"
import * as Metrics from "./Metrics.ts"

const begin = "<!-- generated from src/flow/Metrics.ts: begin -->"
const end = "<!-- generated from src/flow/Metrics.ts: end -->"

const metrics: ReadonlyArray<readonly [Metric.Metric<number, unknown>, ReadonlyArray<string>]> = [
  ...Metrics.all,
  ...RpcMetrics.all,
  ...Gauges.all,
  ...TokenMetrics.all
]

/** Name, type and labels of everything at `/metrics`. */
export const declared = metrics.map(([{ description = "", id, type }, labels]) => ({
  name: id,
  type: type.toLowerCase(),
  labels,
  description
}))

const code = (text: string): string => `\`${text}\``

/** A table of Markdown with its cells padded, as the formatter wants it. */
export const render = (): string => {
  const rows = declared.map(({ description, labels, name, type }) => [
    code(name),
    type,
    labels.map(code).join(", "),
    description
  ])
  const all = [["metric", "type", "labels", "meaning"], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  const [head = [], ...body] = all
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}

/** A document with what stands between its two markers replaced; undefined when it has no markers. */
export const replaceGenerated = (document: string): string | undefined => {
  const from = document.indexOf(begin)
  const to = document.indexOf(end)
  return from < 0 || to < from
    ? undefined
    : `${document.slice(0, from + begin.length)}\n\n${render()}\n\n${document.slice(to)}`
}
