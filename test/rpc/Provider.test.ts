/**
 * The provider that other tests and `bench/pool.mjs` judge by: it has to be as bad as it says, and to count fairly.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Exchange, failureNames, type Reply, randomFrom } from "../../bench/provider.mjs"
import { rpc } from "../support/oracle.ts"
import * as Provider from "../support/Provider.ts"
import * as provable from "../support/provable.ts"

const exchangeAt = (arrived: number, note: (what: string) => void): Exchange => ({
  calls: [{ id: 0, method: "eth_blockNumber", params: [] }],
  batch: false,
  arrived,
  head: 0,
  random: randomFrom(arrived),
  note,
  honest: () => "{}",
  url: "/",
  headers: {}
})

/** Which requests, at these milliseconds, were refused, and which broke a wait. A refusal leaves 20 ms later. */
const limited = (arrivals: ReadonlyArray<number>) => {
  // The bucket was full when the clock of the process said so, not ours.
  const zero = performance.now() + 60_000
  const { instead } = Provider.rateLimited({ perSecond: 1, burst: 1 })
  const refused: Array<number> = []
  const violations: Array<number> = []
  for (const at of arrivals) {
    const note = (what: string) => void (what === "violation" && violations.push(at))
    const reply: Reply | undefined = instead?.(exchangeAt(zero + at, note))
    if (reply === undefined || !("status" in reply)) continue
    refused.push(at)
    reply.sent?.(zero + at + 20)
  }
  return { refused, violations }
}

describe("the provider of the tests", () => {
  it("fails in ten ways", () => {
    const behaviour = Provider.failing({ share: 1 })
    const seen = new Set<string>()
    for (let i = 0; i < 200; i++) behaviour.instead?.(exchangeAt(i, (what) => void seen.add(what)))
    assert.strictEqual(failureNames.length, 10)
    assert.deepStrictEqual([...seen].sort(), [...failureNames].sort())
  })

  it("counts who comes before the time that was told", () => {
    // Told at 30 to wait for a second.
    assert.deepStrictEqual(limited([0, 10, 1031]), { refused: [10], violations: [] })
    assert.deepStrictEqual(limited([0, 10, 500]), { refused: [10, 500], violations: [500] })
    // It can count to a second before its token is back, and has to all the same.
    assert.deepStrictEqual(limited([0, 900, 1010]), { refused: [900], violations: [1010] })
  })

  it("does not count who was on the way", () => {
    // Two came before anything was told, one while the telling was on its way back.
    assert.deepStrictEqual(limited([0, 10, 15, 75, 1200]), { refused: [10, 15, 75], violations: [] })
    assert.deepStrictEqual(limited([0, 10, 81]), { refused: [10, 81], violations: [81] })
  })

  it.live("tells the truth otherwise", () =>
    Effect.gen(function* () {
      const chain = yield* provable.make(160)
      const { url } = yield* Provider.make({ chain: provable.whole(chain) })
      assert.strictEqual(yield* rpc(url, "eth_blockNumber"), "0xa0")
      assert.deepStrictEqual(
        yield* rpc(url, "eth_getBlockByNumber", ["0x7", true]),
        JSON.parse(chain.full(7))
      )
      assert.isNull(yield* rpc(url, "eth_getBlockReceipts", ["0xa1"]))
    })
  )
})
