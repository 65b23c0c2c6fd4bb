/**
 * The reference in `docs/tables.md`, written from the definitions of the tables.
 */
import { indexes, sqlType, type Table, tables } from "./Tables.ts"

const begin = "<!-- generated from src/store/Tables.ts: begin -->"
const end = "<!-- generated from src/store/Tables.ts: end -->"

const section = (table: Table): string => {
  const rows = Object.entries(table.columns).map(
    ([name, { doc, nullable, type }]) =>
      `| \`${name}\` | ${sqlType(type)}${nullable ? ", null" : ""} | ${doc} |`
  )
  const built = indexes.filter((index) => index.table.name === table.name)
  const also = built.map(({ columns }) => `\`(${columns.join(", ")})\``).join(", ")
  return [
    `### ${table.name}`,
    `${table.doc} Primary key \`(${table.key.join(", ")})\`${also === "" ? "" : `; indexes on ${also}`}.`,
    ["| column | type | what it is |", "| --- | --- | --- |", ...rows].join("\n")
  ].join("\n\n")
}

/** One section of Markdown for each table. */
export const render = (): string => tables.map((table) => section(table)).join("\n\n")

/** A document with what stands between its two markers replaced; undefined when it has no markers. */
export const replaceGenerated = (document: string): string | undefined => {
  const from = document.indexOf(begin)
  const to = document.indexOf(end)
  return from < 0 || to < from
    ? undefined
    : `${document.slice(0, from + begin.length)}\n\n${render()}\n\n${document.slice(to)}`
}
