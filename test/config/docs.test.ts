import { readFile } from "node:fs/promises"
import { expect, it } from "@effect/vitest"
import { all } from "../../src/config/Declarations.ts"
import { renderMarkdown, replaceGenerated } from "../../src/config/Render.ts"
import { summary } from "../../src/config/Setting.ts"

it("docs/configuration.md is what `npm run docs` writes", async () => {
  const committed = await readFile(new URL("../../docs/configuration.md", import.meta.url), "utf8")
  expect(replaceGenerated(committed)).toBe(committed)
})

it("a document without markers is left alone", () => {
  expect(replaceGenerated("# Title")).toBeUndefined()
})

it("names are unique, and every setting is documented", () => {
  const unique = (names: ReadonlyArray<string>) => expect(new Set(names).size).toBe(names.length)
  unique(all.map(([, setting]) => setting.env))
  unique(all.flatMap(([, { flag }]) => (flag === undefined ? [] : [flag])))
  const markdown = renderMarkdown()
  for (const [name, setting] of all) {
    expect(markdown).toContain(`| \`${setting.env}\``)
    expect(markdown).toContain(`| \`${name}\` `)
    expect(setting.doc).toMatch(/\.$/)
    expect(summary(setting.doc).length).toBeLessThan(100)
  }
})
