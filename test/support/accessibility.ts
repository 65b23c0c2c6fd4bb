/**
 * What a page must not do to people who see little, or nothing: checked in the page itself, by the rules of WCAG 2.2 AA
 * that a program can check.
 */
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import type { Page } from "./Browser.ts"

const inPage = readFileSync(new URL("accessibility.page.js", import.meta.url), "utf8")

const needName = new Set(["link", "button", "image", "img", "region", "navigation", "progressbar"])

/** What is wrong, in sentences; nothing where all is well. */
export const violations = Effect.fnUntraced(function* (page: Page) {
  const seen = yield* page.evaluate<ReadonlyArray<string>>(inPage)
  const nodes = yield* page.accessibilityTree
  const nameless = nodes.filter(({ name, role }) => name === "" && needName.has(role))
  return [...seen, ...nameless.map(({ role }) => `a ${role} has no name`)]
})
