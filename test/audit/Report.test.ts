import { expect, it } from "vitest"
import { bar } from "../../src/audit/Progress.ts"
import * as Report from "../../src/audit/Report.ts"

it("a bar says how far, how fast and how long still", () => {
  expect(bar(0, 0, 0)).toBe(`[${"#".repeat(30)}] 100.0 %  0 of 0 blocks  0 blocks/s`)
  expect(bar(0, 500, 0)).toBe(`[${".".repeat(30)}] 0.0 %  0 of 500 blocks  0 blocks/s`)
  expect(bar(25_000, 100_000, 25)).toBe(
    `[${"#".repeat(7)}${".".repeat(23)}] 25.0 %  25,000 of 100,000 blocks  1,000 blocks/s  about 1m 15s left`
  )
})

it("a finding without a block has null for it", () => {
  const finding = { kind: "totals", block: undefined, reason: "the totals say 1" } as const
  expect(Report.json({ _tag: "Found", finding })).toBe(
    '{"type":"finding","kind":"totals","block":null,"reason":"the totals say 1"}'
  )
  expect(Report.text({ _tag: "Found", finding })).toEqual(["totals     the totals say 1"])
  expect(Report.json({ _tag: "Checked", blocks: 1, upTo: 1 })).toBeUndefined()
})

it("a block that was left as it is says why", () => {
  const event = { _tag: "NotRepaired", range: { from: 5, to: 7 }, reason: "a reorg" } as const
  expect(Report.json(event)).toBe('{"type":"not repaired","from":5,"to":7,"reason":"a reorg"}')
  expect(Report.text(event)).toEqual(["left       blocks 5 to 7 (3): a reorg"])
})

it("gaps are told one by one, and together", () => {
  expect(Report.gapText({ from: 5, to: 7 })).toBe("gap        blocks 5 to 7 (3)")
  expect(Report.gapSummary({ from: 0, to: 9 }, { gaps: 1, blocks: 3 })).toBe(
    "3 blocks are missing in 1 gap between block 0 and block 9"
  )
  expect(Report.gapSummary({ from: 0, to: 9 }, { gaps: 0, blocks: 0 })).toBe(
    "nothing is missing between block 0 and block 9"
  )
  expect(Report.gapSummary(undefined, { gaps: 0, blocks: 0 })).toBe("no blocks are stored here")
})
