/**
 * What a page must not do to people who see little, or nothing: checked by axe-core in the page itself, by the rules of
 * WCAG 2.1 AA that a program can check, and by those of good practice.
 */
import axe from "axe-core"
import { Effect } from "effect"
import type { Page } from "./Browser.ts"

const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

/** What is wrong, and where; nothing where all is well. */
export const violations = Effect.fnUntraced(function* (page: Page) {
  // As the debugger evaluates it, the page's policy stays in force while axe runs.
  yield* page.evaluate<void>(`globalThis.axe ?? (() => { ${axe.source} })()`)
  const found = yield* page.evaluate<
    ReadonlyArray<{ readonly id: string; readonly nodes: ReadonlyArray<string> }>
  >(
    `axe.run(document, { runOnly: ${JSON.stringify(rules)}, resultTypes: ["violations"] }).then(({ violations }) =>
      violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ failureSummary, html }) => html + ": " + failureSummary) }))
    )`
  )
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node}`))
})
