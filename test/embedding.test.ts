import { readFileSync } from "node:fs"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Anvil } from "../src/devnet/Anvil.ts"
import { countTransactions } from "./samples/effect.ts"
import { watch } from "./samples/plain.ts"
import { twoChains } from "./samples/two.ts"
import { rpc } from "./support/oracle.ts"
import * as Program from "./support/Program.ts"

const platform = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

/** An Anvil of its own with some empty blocks and one transaction. */
const anvil = (chainId: number) =>
  Effect.gen(function* () {
    const { url } = yield* Anvil.make({ chainId })
    const [from, to] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
    yield* rpc(url, "eth_sendTransaction", [{ from, to, value: "0x1" }])
    yield* rpc(url, "anvil_mine", ["0x14"])
    return url
  })

describe("embedding", () => {
  it.live("inside another Effect program", () =>
    Effect.gen(function* () {
      const url = yield* anvil(31_337)
      const dataDir = yield* Program.dataDir
      assert.strictEqual(yield* countTransactions(url, dataDir), 1)
    }).pipe(Effect.provide(platform))
  )

  it.live("inside plain TypeScript", () =>
    Effect.gen(function* () {
      const url = yield* anvil(31_337)
      const dataDir = yield* Program.dataDir
      assert.deepStrictEqual(yield* Effect.promise(() => watch(url, dataDir)), {
        outcome: "done",
        blocks: 21
      })
    }).pipe(Effect.provide(platform))
  )

  it.live("twice in one process, for two chains, with a profile of one's own", () =>
    Effect.gen(function* () {
      const urls = [yield* anvil(31_337), yield* anvil(1_337)] as const
      const dataDirs = [yield* Program.dataDir, yield* Program.dataDir] as const
      assert.deepStrictEqual(yield* twoChains(urls, dataDirs), ["done", "done"])
    }).pipe(Effect.provide(platform))
  )

  it("docs/embedding.md shows just these samples", () => {
    const page = readFileSync("docs/embedding.md", "utf8")
    for (const name of ["effect", "plain", "two"]) {
      const sample = readFileSync(`test/samples/${name}.ts`, "utf8").replaceAll(
        '"../../src/index.ts"',
        '"sluice"'
      )
      assert.include(page, sample.trim())
    }
  })
})
