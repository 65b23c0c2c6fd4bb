/**
 * What is deployed beside the program fits it: dashboards and alerts ask for metrics that there are, and each alert is
 * explained. Where `promtool` is on the PATH, it has the last word on the rules.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { declared, render, replaceGenerated } from "../src/flow/MetricsDoc.ts"
import { phases } from "../src/flow/Status.ts"
import * as SqlStore from "../src/store/SqlStore.ts"
import * as PGliteTest from "./support/PGliteTest.ts"

const rules = readFileSync("deploy/prometheus/alerts.yml", "utf8")
const ruleTests = readFileSync("deploy/prometheus/alerts.test.yml", "utf8")
const dashboard = JSON.parse(readFileSync("deploy/grafana/sluice.json", "utf8"))
const operations = readFileSync("docs/operations.md", "utf8")

interface Alert {
  readonly name: string
  readonly expr: string
  readonly text: string
}

/** The rules one by one; each begins with its name, and its expression is one line or a folded block. */
const alerts: ReadonlyArray<Alert> = rules
  .split(/^ {6}- alert: /m)
  .slice(1)
  .map((text) => {
    const name = /^\w+/.exec(text)?.[0] ?? ""
    const expr = /^ {8}expr: (?:>-\n((?: {10}.+\n)+)|(.+)\n)/m.exec(text)
    return { name, text, expr: (expr?.[1] ?? expr?.[2] ?? "").replace(/\s+/g, " ").trim() }
  })

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly uid: string }
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly datasource: { readonly uid: string } }>
}
const panels: ReadonlyArray<Panel> = dashboard.panels

const known = new Set(
  declared.flatMap(({ name, type }) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
  )
)

/** The metrics that an expression, or a text, speaks of. */
const metricsIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\b(?:indexer|process|nodejs)_[a-z_]+\b/g)].map(([name]) => name)

/** Names of labels in the selectors of an expression. */
const labelsIn = (expr: string) =>
  [...expr.matchAll(/(\w+)\{([^}]*)\}/g)].flatMap(([, metric = "", selector = ""]) =>
    [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => ({ metric, label }))
  )

const expressions = [
  ...alerts.map(({ expr }) => expr),
  ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.templating.list.map(({ definition = "" }: { definition?: string }) => definition)
]

describe("what is deployed beside the program", () => {
  it("asks for metrics and labels that there are", () => {
    expect(alerts.filter(({ expr }) => expr === "")).toEqual([])
    assert.isAbove(expressions.length, 60)
    expect(expressions.flatMap(metricsIn).filter((name) => !known.has(name))).toEqual([])
    const strange = expressions.flatMap(labelsIn).filter(({ label, metric }) => {
      const name = metric.replace(/_(bucket|sum|count)$/, "")
      const labels = declared.find((one) => one.name === metric || one.name === name)?.labels ?? []
      return !["job", "instance", ...labels].includes(label)
    })
    expect(strange).toEqual([])
    const named = expressions.flatMap((expr) =>
      [...expr.matchAll(/phase=~?"([^"]+)"/g)].flatMap(([, p = ""]) => p.split("|"))
    )
    expect(named.filter((phase) => !phases.some((one) => one === phase))).toEqual([])
  })

  it("has a section, a severity and tests for each alert", () => {
    for (const { name, text } of alerts) {
      expect(operations).toContain(`\n### ${name}\n`)
      expect(text).toContain(`runbook_url: docs/operations.md#${name.toLowerCase()}\n`)
      expect(text).toMatch(/severity: (critical|warning)\n/)
      expect(text).toMatch(/summary: ".+"\n/)
      const cases = ruleTests.split(/^ {6}- eval_time/m).filter((one) => one.includes(`alertname: ${name}\n`))
      // One in which it fires, and two in which it does not: before, and after.
      assert.isNotEmpty(
        cases.filter((one) => one.includes("exp_alerts")),
        name
      )
      assert.isNotEmpty(
        cases.filter((one) => !one.includes("exp_alerts")),
        name
      )
    }
    const sections = [...operations.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
    expect(sections).toEqual(alerts.map(({ name }) => name))
  })

  it("documents every metric as `npm run docs` writes it, and no other", () => {
    expect(replaceGenerated(operations)).toBe(operations)
    expect(replaceGenerated("# Title")).toBeUndefined()
    const names = new Set([...known, ...declared.map(({ name }) => name)])
    expect(metricsIn(operations).filter((name) => !names.has(name) && name !== "indexer_")).toEqual([])
    expect(declared.filter(({ description }) => !/^[A-Z1-9].+\.$|^[01] .+\.$/.test(description))).toEqual([])
    assert.include(render(), "| metric ")
  })

  it.live("has queries that run", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* SqlStore.make({ schema: "chain_1" })
      const blocks = [...operations.matchAll(/```sql\n([^`]+)```/g)].map(([, text = ""]) => text)
      const queries = blocks.flatMap((block) => block.split(/;\n+/)).filter((query) => query.trim() !== "")
      assert.lengthOf(queries, 8)
      for (const query of queries) yield* sql.unsafe(query)
    }).pipe(Effect.provide(PGliteTest.layer))
  )

  it("links to sections that there are", () => {
    const slugs = [...operations.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-")
    )
    const links = [...operations.matchAll(/\]\(#([^)]+)\)/g)].map(([, slug = ""]) => slug)
    expect(links.filter((slug) => !slugs.includes(slug))).toEqual([])
  })

  it("has a dashboard that can be imported: its own data source, an instance to choose, no panel over another", () => {
    const variables = dashboard.templating.list.map(({ name, type }: { name: string; type: string }) => [
      name,
      type
    ])
    expect(variables).toEqual([
      ["datasource", "datasource"],
      ["job", "query"],
      ["instance", "query"]
    ])
    expect(dashboard.id).toBeNull()
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const drawn = panels.filter(({ type }) => type !== "row")
    for (const { datasource, description, targets = [], title } of drawn) {
      assert.isNotEmpty(targets, title)
      assert.isNotEmpty(description, title)
      for (const source of [datasource, ...targets.map((target) => target.datasource)]) {
        expect(source?.uid).toMatch(/^\$\{datasource\}$/)
      }
      for (const { expr } of targets) {
        assert.isFalse(
          /\b(?:indexer|process|nodejs)_\w+(?!\w)(?!\{job=~"\$job", instance=~"\$instance")/.test(expr),
          expr
        )
      }
    }
    for (const { gridPos: a, id, title } of panels) {
      assert.isAtMost(a.x + a.w, 24, title)
      const over = panels.filter(
        ({ gridPos: b, id: other }) =>
          other > id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
      )
      assert.isEmpty(over, title)
    }
  })

  const promtool = spawnSync("promtool", ["--version"]).status === 0
  it.skipIf(!promtool)(
    `has rules that promtool accepts${promtool ? "" : " (skipped: promtool is not on the PATH)"}`,
    () => {
      for (const args of [
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["check", "rules", "deploy/prometheus/alerts.yml"],
        ["test", "rules", "deploy/prometheus/alerts.test.yml"]
      ]) {
        assert.include(execFileSync("promtool", args, { encoding: "utf8" }), "SUCCESS")
      }
    }
  )
})
