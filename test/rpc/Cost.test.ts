import { assert, describe, it } from "@effect/vitest"
import * as Cost from "../../src/rpc/Cost.ts"

const calls = ["a", "b", "a", "b"].map((method) => ({ method }))
const item = (result: string) => `{"jsonrpc":"2.0","id":0,"result":"${result}"}`
const body = `[${[item("1"), item("22222"), item("1"), item("44444444444")].join(",")}]`

describe("Cost", () => {
  it("measures how the bytes of a batch are shared", () => {
    const usual = Cost.measure(calls, body)
    assert.deepStrictEqual(Object.keys(usual ?? {}), ["a", "b"])
    const spent = Cost.byMethod(calls, body, usual ?? {})
    assert.closeTo(Cost.total(spent).bytes, body.length, 1e-6)
    assert.isAbove(spent["b"]?.bytes ?? 0, spent["a"]?.bytes ?? 0)
    assert.deepStrictEqual(spent["a"]?.calls, 2)
  })

  it("shares them evenly where answers cannot be told apart", () => {
    const odd = body.replaceAll(/"jsonrpc":"2.0",("id":0)/g, '$1,"jsonrpc":"2.0"')
    assert.isUndefined(Cost.measure(calls, odd))
    const spent = Cost.byMethod(calls, odd, {})
    assert.closeTo(spent["a"]?.bytes ?? 0, odd.length / 2, 1e-6)
  })

  it("adds, and prices by method with a price for all others", () => {
    const spent = Cost.add(
      { a: { calls: 2, bytes: 10 } },
      { a: { calls: 1, bytes: 5 }, b: { calls: 4, bytes: 1 } }
    )
    assert.deepStrictEqual(spent, { a: { calls: 3, bytes: 15 }, b: { calls: 4, bytes: 1 } })
    assert.strictEqual(Cost.credits(new Map([["a", 20]]), spent), 60)
    assert.strictEqual(
      Cost.credits(
        new Map([
          ["a", 20],
          ["*", 0.5]
        ]),
        spent
      ),
      62
    )
    assert.strictEqual(Cost.credits(new Map(), spent), 0)
  })
})
