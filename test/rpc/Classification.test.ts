import { readFileSync } from "node:fs"
import { basename } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result, Schema } from "effect"
import { classify } from "../../src/rpc/Classification.ts"
import * as JsonRpc from "../../src/rpc/JsonRpc.ts"
import { type Reason, shorten } from "../../src/rpc/ProviderFault.ts"
import { fixtureFiles, fixturesAvailable, withoutFixtures } from "../support/fixtures.ts"
import { corpus, type Saying } from "./corpus.ts"

const now = Date.parse("2026-01-01T00:00:00Z")

const reasonOf = ({ message, code, status = 200, data, headers }: Omit<Saying, "who" | "tag">): Reason =>
  classify({ status, code, message, data, retryAfter: JsonRpc.retryAfter(headers?.["retry-after"], now) })

/** The tag and the hints of a reason; details are tested with `shorten`. */
const told = ({ detail: _, ...rest }: Reason) => ({ ...rest })

describe("classify", () => {
  for (const { who, tag, hints = {}, ...saying } of corpus) {
    it(`${who}: ${saying.message.slice(0, 60) || `HTTP ${saying.status ?? 200}, code ${saying.code}`}`, () => {
      assert.deepStrictEqual<unknown>(told(reasonOf(saying)), { _tag: tag, ...hints })
    })
  }

  it("all of them, once more as bodies", () => {
    for (const { tag, message, code, status = 200, data } of corpus) {
      if (message === "") continue
      const body = JSON.stringify({ jsonrpc: "2.0", id: 0, error: { code, message, data } })
      const decoded = JsonRpc.decode({ status, retryAfter: Option.none(), body }, 1)
      const answer = Result.isSuccess(decoded) ? decoded.success[0] : undefined
      assert.strictEqual(
        answer !== undefined && Result.isFailure(answer) ? answer.failure._tag : "none",
        tag,
        message
      )
    }
  })

  describe("words of one kind in sentences of another", () => {
    for (const [message, tag] of [
      ["credits limited to 6000/sec", "RateLimited"],
      ["execution reverted: block range too large", "Rejected"],
      ["execution reverted: rate limit exceeded", "Rejected"],
      ["exceeds block gas limit", "Rejected"],
      ["invalid argument 0: json: cannot unmarshal hex string without 0x prefix", "Rejected"],
      ["Unsupported subscription: newHeads", "Rejected"],
      ["fromBlock (0x10) is greater than toBlock (0x5)", "Rejected"],
      ["fromBlock is greater than latest block", "HeadLag"],
      ["Exceeded max limit of 100 requests per second", "RateLimited"],
      ["the method eth_getBlockReceipts does not exist/is not available", "MethodUnsupported"],
      ["runtime error: index out of range [5] with length 3", "Rejected"],
      ["maximum [from, to] blocks distance: 2000", "RangeTooLarge"],
      ["some words that nobody knows", "Rejected"]
    ] as const) {
      it(`${message}: ${tag}`, () => assert.strictEqual(reasonOf({ message })._tag, tag))
    }
  })

  it("a code alone is nothing where it means several things", () => {
    for (const code of [-32005, -32602, -32000, -32600, -32001, -32002, -32003, -32004]) {
      assert.strictEqual(reasonOf({ message: "?", code })._tag, "Rejected")
    }
  })

  it("a range that was offered is none that was asked for", () => {
    const reason = reasonOf({ message: "requested too many blocks from 1 to 5000, maximum is set to 2048" })
    assert.deepStrictEqual<unknown>(told(reason), { _tag: "RangeTooLarge", maxBlocks: 2048 })
  })

  it("words are read from data at any depth, but not from an echo of the request", () => {
    const data = { originalError: { cause: { message: "query returned more than 10000 results" } } }
    assert.strictEqual(reasonOf({ message: "Internal error", code: -32603, data })._tag, "RangeTooLarge")
    const echo = { request: { note: "query returned more than 10000 results" } }
    assert.strictEqual(reasonOf({ message: "Internal error", code: -32603, data: echo })._tag, "Unavailable")
  })

  it("a long message costs little", () => {
    const started = performance.now()
    for (const word of [
      "block range ",
      "exceed ",
      "a-",
      "batch ",
      "1,",
      "[0x",
      "retry ",
      "state ",
      "<a",
      "from "
    ]) {
      reasonOf({ message: word.repeat(200_000 / word.length) })
    }
    assert.isBelow(performance.now() - started, 2000)
  })
})

describe(`real bodies${withoutFixtures}`, () => {
  const expected: Readonly<Record<string, string>> = {
    "alchemy-response-size.json": "RangeTooLarge",
    "api-blockscout-com-2.json": "Rejected",
    "api-etherscan-io.json": "Rejected",
    "arbitrum-meowrpc-com.json": "MissingData",
    "base-blockpi-network.json": "MissingData",
    "bsc-dataseed-range.json": "RangeTooLarge",
    "ethereum-publicnode-com.json": "MissingData",
    "gnosis-blockpi-network.json": "MissingData",
    "gnosis-publicnode-com.json": "MissingData",
    "infura-10000.json": "RangeTooLarge",
    "infura-range.json": "RangeTooLarge",
    "infura-rate.json": "RateLimited",
    "morph-range.json": "RangeTooLarge",
    "polygon-meowrpc-com.txt": "Malformed",
    "quicknode-10000-range.json": "RangeTooLarge",
    "zksync-era.json": "RangeTooLarge"
  }
  const files = fixtureFiles.filter(({ file }) => file.startsWith("errors/"))
  it.skipIf(!fixturesAvailable)("each has an expectation", () =>
    assert.sameMembers(
      files.map(({ file }) => basename(file)),
      Object.keys(expected)
    )
  )
  for (const { file } of files) {
    it(file, () => {
      const body = readFileSync(new URL(`../../../shared/fixtures/real/${file}`, import.meta.url), "utf8")
      const decoded = JsonRpc.decode({ status: 200, retryAfter: Option.none(), body }, 1)
      const answer = Result.isSuccess(decoded) ? decoded.success[0] : decoded
      assert.isTrue(answer !== undefined && Result.isFailure(answer))
      if (answer !== undefined && Result.isFailure(answer)) {
        assert.strictEqual(answer.failure._tag, expected[basename(file)])
      }
    })
  }
})

describe("no error is ever an answer", () => {
  const Odd = Schema.Union([
    Schema.String,
    Schema.Finite,
    Schema.Boolean,
    Schema.Array(Schema.String),
    Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite]))
  ])
  const failed = (body: unknown, count: number, status: number) => {
    const text = typeof body === "string" ? body : JSON.stringify(body)
    const decoded = JsonRpc.decode({ status, retryAfter: Option.none(), body: text }, count)
    return Result.isFailure(decoded) || decoded.success.every(Result.isFailure)
  }
  const results = [[], null, "0x1", {}]

  it.effect.prop(
    "whatever stands under `error`",
    [Odd, Schema.Literals([200, 400, 429, 500])],
    ([error, status]) =>
      Effect.sync(() => {
        for (const result of results) {
          assert.isTrue(failed({ id: 0, error, result }, 1, status))
          assert.isTrue(failed([{ id: 0, error, result }], 1, status))
          assert.isTrue(
            failed(
              [
                { id: 1, error, result },
                { id: 0, error }
              ],
              2,
              status
            )
          )
          assert.isTrue(failed({ id: null, error, result }, 2, status))
        }
      })
  )

  it.effect.prop(
    "whatever the body, where the status is one of a failure",
    [Odd, Schema.Literals([400, 403, 429, 503])],
    ([odd, status]) =>
      Effect.sync(() => {
        assert.isTrue(failed(odd, 1, status))
        for (const result of results) {
          assert.isTrue(failed({ id: 0, result }, 1, status))
          assert.isTrue(
            failed(
              [
                { id: 0, result },
                { id: 1, result }
              ],
              2,
              status
            )
          )
        }
      })
  )

  it.effect.prop("whatever has no result", [Odd], ([odd]) =>
    Effect.sync(() => {
      for (const body of [odd, { odd }, [odd], [[odd]], { id: 0, odd }, [{ id: 0, odd }, { id: 1 }]]) {
        assert.isTrue(failed(body, 1, 200))
        assert.isTrue(failed(body, 2, 200))
      }
    })
  )
})

describe("shorten", () => {
  for (const [what, text, expected] of [
    ["a URL", "see https://user:secret@rpc.example/v3/abc?key=1 now", "see <url> now"],
    ["a WebSocket URL", "WSS://rpc.example/ws/abc failed", "<url> failed"],
    ["a key", "invalid api key abcdef0123456789ABCDEF", "invalid api key <key>"],
    ["a UUID", "project 4ed94073-0317-4648-a167-107fba5f44b3 gone", "project <key> gone"],
    ["a key in a host's path", "rpc.example/v3/14fb466c039ca54a895f597ee2744e84", "rpc.example/v3/<key>"],
    ["a hash is no key", `block 0x${"ab12".repeat(16)} not found`, `block 0x${"ab12".repeat(16)} not found`],
    ["a long word is no key", "debug_traceBlockByNumber is disabled", "debug_traceBlockByNumber is disabled"],
    ["lines and control characters", "a\u0000b\r\n\u001b[31mc\u2028d", "a b [31mc d"]
  ] as const) {
    it(what, () => assert.strictEqual(shorten(text), expected))
  }
  it("at most 200 characters", () => assert.strictEqual(shorten("a b ".repeat(100_000)).length, 200))
})
