import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { toEventSelector } from "viem/utils"
import * as Artifacts from "../../src/devnet/contracts/Artifacts.ts"

/** As anybody knows them who has ever indexed Uniswap V2. */
const known = [
  "PairCreated(address,address,address,uint256)",
  "Mint(address,uint256,uint256)",
  "Burn(address,uint256,uint256,address)",
  "Swap(address,uint256,uint256,uint256,uint256,address)",
  "Sync(uint112,uint112)",
  "Transfer(address,address,uint256)",
  "Approval(address,address,uint256)"
]

describe("the demo contracts", () => {
  it.live("compile to what is committed", () =>
    Effect.gen(function* () {
      const script = new URL("../../scripts/contracts.mjs", import.meta.url).pathname
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, [script, "--print"], { maxBuffer: 4_000_000 })
      )
      assert.deepStrictEqual(JSON.parse(stdout), { ...Artifacts })
    })
  )

  it("have the events of Uniswap V2", () => {
    const selectors = new Set(
      [...Artifacts.DemoFactory.abi, ...Artifacts.DemoPair.abi].flatMap((item) =>
        item.type === "event" ? [toEventSelector(item)] : []
      )
    )
    for (const event of known) assert.isTrue(selectors.has(toEventSelector(event)), event)
  })

  it("index the same arguments", () => {
    const indexed = [...Artifacts.DemoFactory.abi, ...Artifacts.DemoPair.abi].flatMap((item) =>
      item.type === "event"
        ? [[item.name, item.inputs.map((input) => (input.indexed ? "i" : "d")).join("")]]
        : []
    )
    assert.deepStrictEqual(Object.fromEntries(indexed), {
      PairCreated: "iidd",
      Mint: "idd",
      Burn: "iddi",
      Swap: "iddddi",
      Sync: "dd",
      Transfer: "iid",
      Approval: "iid"
    })
  })
})
