/**
 * The reference in `docs/tables.md`, written from the definitions of the tables.
 */
import { sqlType, type Table } from "../columns/Table.ts"
import { undecoded } from "./EventSchema.ts"
import { indexes, tables } from "./Tables.ts"

const begin = "<!-- generated from src/store/Tables.ts: begin -->"
const end = "<!-- generated from src/store/Tables.ts: end -->"

/** A table of Markdown with its cells padded, as the formatter wants it. */
const grid = (rows: ReadonlyArray<readonly [string, string, string]>): string => {
  const width = (column: 0 | 1 | 2) => Math.max(...rows.map((row) => row[column].length))
  const widths = [width(0), width(1), width(2)] as const
  const line = (cells: readonly [string, string, string]) =>
    `| ${cells[0].padEnd(widths[0])} | ${cells[1].padEnd(widths[1])} | ${cells[2].padEnd(widths[2])} |`
  const [head = ["", "", ""], ...body] = rows
  const rule = line(["-".repeat(widths[0]), "-".repeat(widths[1]), "-".repeat(widths[2])])
  return [line(head), rule, ...body.map(line)].join("\n")
}

const section = (table: Table): string => {
  const rows = Object.entries(table.columns).map(
    ([name, { doc, nullable, type }]) =>
      [`\`${name}\``, `${sqlType(type)}${nullable ? ", null" : ""}`, doc] as const
  )
  const built = indexes.filter((index) => index.table.name === table.name)
  const also = built.map(({ columns }) => `\`(${columns.join(", ")})\``).join(", ")
  return [
    `### ${table.name}`,
    `${table.doc} Primary key \`(${table.key.join(", ")})\`${also === "" ? "" : `; indexes on ${also}`}.`,
    grid([["column", "type", "what it is"], ...rows])
  ].join("\n\n")
}

/** One section of Markdown for each table. */
export const render = (): string => [...tables, undecoded].map((table) => section(table)).join("\n\n")

/** A document with what stands between its two markers replaced; undefined when it has no markers. */
export const replaceGenerated = (document: string): string | undefined => {
  const from = document.indexOf(begin)
  const to = document.indexOf(end)
  return from < 0 || to < from
    ? undefined
    : `${document.slice(0, from + begin.length)}\n\n${render()}\n\n${document.slice(to)}`
}
