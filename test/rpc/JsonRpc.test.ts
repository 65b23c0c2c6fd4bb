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

/** More than `JSON.stringify` takes. */
const deep = "[".repeat(50_000) + "]".repeat(50_000)

describe("JsonRpc.decode", () => {
  for (const [what, body, count, status, expected] of [
    ["one answer", `{"jsonrpc":"2.0","id":0,"result":"A"}`, 1, 200, ["A"]],
    ["one answer in an array", `[{"id":0,"result":"A"}]`, 1, 200, ["A"]],
    ["null is a result", `{"id":0,"result":null}`, 1, 200, [null]],
    ["out of order", `[{"id":1,"result":"B"},{"id":0,"result":"A"}]`, 2, 200, ["A", "B"]],
    ["ids as strings", `[{"id":"1","result":"B"},{"id":"0","result":"A"}]`, 2, 200, ["A", "B"]],
    ["an error of great depth", `{"id":0,"error":{"message":${deep}}}`, 1, 200, ["!Rejected"]],
    ["an id of great depth", `{"id":${deep},"result":1}`, 1, 200, ["!Malformed"]],
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
    ["a number", "5", 1, 200, "!Malformed"],
    ["a foreign id on a single answer", `{"id":7,"result":"A"}`, 1, 200, ["!Malformed"]],
    ["no id on a single answer", `{"result":"A"}`, 1, 200, ["A"]],
    ["null as the id of a single answer", `{"id":null,"result":"A"}`, 1, 200, ["A"]],
    [
      "an error under a foreign id",
      `{"id":7,"error":{"code":429,"message":"Too Many Requests"}}`,
      1,
      200,
      ["!RateLimited"]
    ],
    ["several answers to one call", `[{"id":0,"result":"A"},{"id":1,"result":"B"}]`, 1, 200, ["!Malformed"]],
    ["no answers to one call", "[]", 1, 200, ["!Malformed"]],
    ["no answers to a batch", "[]", 2, 200, ["!Malformed", "!Malformed"]],
    ["a broken id", `[{"id":0.5,"result":"A"},{"id":1,"result":"B"}]`, 2, 200, "!Malformed"],
    [
      "an error without an id in a batch",
      `[{"id":null,"error":{"code":-32005,"message":"batch limit exceeded"}}]`,
      2,
      200,
      "!BatchTooLarge"
    ],
    [
      "an error besides a result",
      `{"id":0,"result":[],"error":{"message":"rate limited"}}`,
      1,
      200,
      ["!RateLimited"]
    ],
    ["an error that is empty", `{"id":0,"result":[],"error":{}}`, 1, 200, ["!Rejected"]],
    ["an error that is false", `{"id":0,"result":[],"error":false}`, 1, 200, ["!Rejected"]],
    ["an error that is null", `{"id":0,"result":[],"error":null}`, 1, 200, [[]]],
    ["a result under an error's status", `{"id":0,"result":[]}`, 1, 500, "!Unavailable"],
    ["results under a limit's status", `[{"id":0,"result":[]},{"id":1,"result":[]}]`, 2, 429, "!RateLimited"],
    [
      "a status that one item explains",
      `[{"id":0,"result":"A"},{"id":1,"error":{"code":429,"message":"slow down"}}]`,
      2,
      429,
      ["A", "!RateLimited"]
    ],
    [
      "an error object alone",
      `{"code":-32005,"message":"query returned more than 10000 results"}`,
      1,
      200,
      ["!RangeTooLarge"]
    ],
    ["a gateway's message", `{"message":"API rate limit exceeded"}`, 1, 429, ["!RateLimited"]],
    ["a gateway's detail", `{"detail":"Service Unavailable"}`, 1, 503, ["!Unavailable"]],
    [
      "a title and a message",
      `{"error":"Bad Request","message":"batch too large"}`,
      2,
      400,
      "!BatchTooLarge"
    ],
    [
      "Etherscan",
      `{"status":"0","message":"NOTOK","result":"Max rate limit reached"}`,
      1,
      200,
      ["!RateLimited"]
    ],
    ["a code in quotes", `{"error":{"code":"-32601","message":""}}`, 1, 200, ["!MethodUnsupported"]],
    ["a code that is a name", `{"error":{"code":"RATE_LIMIT_EXCEEDED"}}`, 1, 200, ["!RateLimited"]],
    [
      "words in data only",
      `{"id":0,"error":{"code":-32602,"message":"invalid params","data":"block range too large"}}`,
      1,
      200,
      ["!RangeTooLarge"]
    ],
    [
      "a 429 inside a message",
      `{"error":{"code":-32603,"message":"{\\"code\\":429,\\"message\\":\\"app\\"}"}}`,
      1,
      200,
      ["!RateLimited"]
    ],
    ["a sentence with 200", "error code: 1015", 1, 200, "!RateLimited"],
    ["words that nobody knows, with 200", "hello", 1, 200, "!Malformed"],
    ["a broken answer that talks of limits", `{"id":0,"result":["rate limit`, 1, 200, "!Malformed"],
    ["a string of JSON", `"Too Many Requests"`, 1, 429, "!RateLimited"]
  ] as const) {
    it(what, () => assert.deepStrictEqual(seen(decode(body, count, status)), expected))
  }
})

describe("Retry-After", () => {
  const now = Date.parse("2026-01-01T00:00:00Z")
  it("in seconds", () => assert.deepStrictEqual(JsonRpc.retryAfter("7", now), Option.some(7000)))
  it("as a date", () =>
    assert.deepStrictEqual(JsonRpc.retryAfter("Thu, 01 Jan 2026 00:00:10 GMT", now), Option.some(10_000)))
  it("in parts of a second", () =>
    assert.deepStrictEqual(JsonRpc.retryAfter(" 0.25 ", now), Option.some(250)))
  for (const header of [
    "soon",
    "",
    "-5",
    "NaN",
    "Infinity",
    "1e3",
    "0x10",
    "7 apples",
    "Wed, 31 Dec 2025 00:00:00 GMT"
  ]) {
    it(`no wait in "${header}"`, () => assert.deepStrictEqual(JsonRpc.retryAfter(header, now), Option.none()))
  }
})
