import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import * as JsonRpc from "../../src/rpc/JsonRpc.ts"

const decode = (body: string, count: number, status = 200) =>
  JsonRpc.decode({ status, retryAfter: Option.none(), body }, count)

/** `["A", "!RateLimited"]`: results as they are, faults by their reason. */
const seen = (decoded: ReturnType<typeof decode>): unknown =>
  Result.isFailure(decoded)
    ? `!${decoded.failure._tag}`
    : decoded.success.map((answer) => (Result.isFailure(answer) ? `!${answer.failure._tag}` : answer.success))

describe("JsonRpc.decode", () => {
  for (const [what, body, count, status, expected] of [
    ["one answer", `{"jsonrpc":"2.0","id":0,"result":"A"}`, 1, 200, ["A"]],
    ["one answer in an array", `[{"id":0,"result":"A"}]`, 1, 200, ["A"]],
    ["null is a result", `{"id":0,"result":null}`, 1, 200, [null]],
    ["out of order", `[{"id":1,"result":"B"},{"id":0,"result":"A"}]`, 2, 200, ["A", "B"]],
    ["ids as strings", `[{"id":"1","result":"B"},{"id":"0","result":"A"}]`, 2, 200, ["A", "B"]],
    ["one missing", `[{"id":1,"result":"B"}]`, 2, 200, ["!Malformed", "B"]],
    ["two with one id", `[{"id":1,"result":"B"},{"id":1,"result":"B"}]`, 2, 200, "!Malformed"],
    ["a foreign id", `[{"id":1,"result":"B"},{"id":7,"result":"A"}]`, 2, 200, "!Malformed"],
    [
      "an item's error",
      `[{"id":0,"error":{"code":429,"message":"Too Many Requests"}},{"id":1,"result":1}]`,
      2,
      200,
      ["!RateLimited", 1]
    ],
    [
      "a single error for a batch",
      `{"error":{"code":-32600,"message":"batch too large"}}`,
      2,
      200,
      "!BatchTooLarge"
    ],
    ["a single result for a batch", `{"id":0,"result":"A"}`, 2, 200, "!BatchTooLarge"],
    ["an error that is a string", `{"error":"Unknown block"}`, 1, 200, ["!HeadLag"]],
    ["HTML", "<html><body><h1>502 Bad Gateway</h1></body></html>", 1, 502, "!Unavailable"],
    ["HTML with 200", "<html></html>", 1, 200, "!Malformed"],
    ["an empty body", "", 1, 200, "!Malformed"],
    ["a truncated body", `[{"id":0,"result":{"a":`, 2, 200, "!Malformed"],
    ["plain text with 429", "slow down", 1, 429, "!RateLimited"],
    ["neither result nor error", `{"id":0}`, 1, 200, ["!Malformed"]],
    ["a number", "5", 1, 200, "!Malformed"]
  ] as const) {
    it(what, () => assert.deepStrictEqual(seen(decode(body, count, status)), expected))
  }
})

describe("Retry-After", () => {
  const now = Date.parse("2026-01-01T00:00:00Z")
  it("in seconds", () => assert.deepStrictEqual(JsonRpc.retryAfter("7", now), Option.some(7000)))
  it("as a date", () =>
    assert.deepStrictEqual(JsonRpc.retryAfter("Thu, 01 Jan 2026 00:00:10 GMT", now), Option.some(10_000)))
  it("as nonsense", () => assert.deepStrictEqual(JsonRpc.retryAfter("soon", now), Option.none()))
})
