/**
 * HTTP answers that are no JSON-RPC, over a real connection: whatever a node, its proxy or a captive portal sends, a
 * fault says so in time, or the block is the genuine one.
 */
import { gzipSync } from "node:zlib"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import type { HttpClient } from "effect/http"
import type { RawBlock } from "../../src/chain/Block.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import * as HttpNode from "../support/HttpNode.ts"
import * as Provider from "../support/Provider.ts"
import { extend } from "../support/SimulatedChain.ts"
import * as Campaign from "./Campaign.ts"
import * as Node from "./Node.ts"

const chain = extend([], 3)
const raw = chain[1]

interface Answer {
  readonly what: string
  readonly status?: number
  readonly body?: string | Uint8Array
  readonly headers?: Record<string, string>
}

const item = (id: unknown, result: unknown) => ({ jsonrpc: "2.0", id, result })
const block = item(0, raw?.block)
const receipts = item(1, raw?.receipts)
const genuine = JSON.stringify([block, receipts])

const bodies: ReadonlyArray<Answer> = [
  { what: "nothing", body: "" },
  { what: "spaces", body: " \n\t " },
  {
    what: "HTML",
    body: "<!DOCTYPE html><html><head><title>502</title></head><body>bad gateway</body></html>"
  },
  {
    what: "a login page",
    body: `<script>${"x".repeat(10_000)}</script>Sign in`,
    headers: { "content-type": "text/html" }
  },
  ...Array.from({ length: Math.ceil(genuine.length / 97) }, (_, i) => ({
    what: `${i * 97} letters of ${genuine.length}`,
    body: genuine.slice(0, i * 97)
  })),
  { what: "more behind", body: `${genuine}]` },
  { what: "two documents", body: `${genuine}\n${genuine}` },
  { what: "a byte order mark", body: `\ufeff${genuine}` },
  { what: "no UTF-8", body: new Uint8Array([0xff, 0xfe, 0xc3, 0x28, 0x80, 0x00]) },
  { what: "zeros", body: new Uint8Array(10_000) },
  { what: "packed, and nobody says so", body: gzipSync(genuine) },
  { what: "said to be packed", body: genuine, headers: { "content-encoding": "gzip" } },
  {
    what: "packed garbage",
    body: gzipSync(genuine).subarray(0, 50),
    headers: { "content-encoding": "gzip" }
  },
  { what: "an unknown packing", body: genuine, headers: { "content-encoding": "sluice" } },
  { what: "arrays in arrays", body: "[".repeat(200_000) },
  { what: "arrays in arrays, closed", body: `${"[".repeat(100_000)}${"]".repeat(100_000)}` },
  {
    what: "deep words of an error",
    body: `{"error":{"message":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`
  },
  {
    what: "deep data of an error",
    body: `{"error":{"message":"no","data":${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}}}`
  },
  { what: "a deep id", body: `[{"id":${"[".repeat(50_000)}${"]".repeat(50_000)},"result":1}]` },
  { what: "a body over the limit", body: "x".repeat(3 * 2 ** 20) },
  ...["text/plain", "text/html", "image/png", "", "application/json; charset=utf-16"].map((type) => ({
    what: `the type ${type}`,
    body: genuine,
    headers: { "content-type": type }
  })),
  { what: "a broken length", body: genuine, headers: { "content-length": "10" } },
  { what: "too great a length", body: genuine, headers: { "content-length": "999999", connection: "close" } }
]

const batches: ReadonlyArray<Answer> = [
  ["without the second", [block]],
  ["without the first", [receipts]],
  ["empty", []],
  ["shuffled", [receipts, block]],
  ["the first twice", [block, block]],
  ["one twice", [block, receipts, receipts]],
  ["one too many", [block, receipts, item(2, null)]],
  ["for other ids", [item(7, raw?.block), item(8, raw?.receipts)]],
  ["ids swapped", [item(1, raw?.block), item(0, raw?.receipts)]],
  ["ids as words", [item("0", raw?.block), item("1", raw?.receipts)]],
  ["ids as other words", [item("zero", raw?.block), item("one", raw?.receipts)]],
  ["ids negative", [item(-1, raw?.block), item(-2, raw?.receipts)]],
  ["ids with a fraction", [item(0.5, raw?.block), item(1.5, raw?.receipts)]],
  ["ids null", [item(null, raw?.block), item(null, raw?.receipts)]],
  ["ids great", [item(1e300, raw?.block), item(2 ** 53, raw?.receipts)]],
  ["ids __proto__", [item("__proto__", raw?.block), item("length", raw?.receipts)]],
  ["one object", block],
  ["in an object", { 0: block, 1: receipts }],
  ["in an array", [[block, receipts]]],
  ["null inside", [block, null]],
  ["result and error", [{ ...block, error: { code: -32_000, message: "no" } }, receipts]],
  ["result and an error of null", [{ ...block, error: null }, receipts]]
].map(([what, body]): Answer => ({ what: `a batch, ${what}`, body: JSON.stringify(body) }))

const errors: ReadonlyArray<Answer> = [
  ...["null", "0", "7", '""', '"no"', "[]", "{}", "true", "false", '{"code":null}', '{"message":null}'],
  ...['{"code":"x","message":{}}', '{"code":1e999,"message":[]}', '{"message":"\\u0000\\ud800\\u001b[2J"}'],
  ...['{"data":{"retry_after":1e300}}', '{"code":429,"data":{"backoff_seconds":-1}}'],
  `{"message":${JSON.stringify("x ".repeat(100_000))}}`,
  `{"message":${JSON.stringify("1 ".repeat(50_000))}}`
].map((error) => ({
  what: `the error ${error.slice(0, 60)}`,
  body: `{"jsonrpc":"2.0","id":null,"error":${error}}`
}))

const retryAfters = [
  ..."-1 0 1e9 NaN Infinity 99999999999 0x10 1,5 soon".split(" "),
  "",
  "Fri, 31 Dec 9999 23:59:59 GMT",
  "Thu, 01 Jan 1970 00:00:00 GMT",
  "Fri, 99 Foo 2026 25:61:61 GMT",
  "x".repeat(5000)
]

const statuses: ReadonlyArray<Answer> = [
  ...[
    200, 201, 204, 206, 301, 304, 400, 401, 402, 403, 404, 408, 410, 413, 418, 425, 429, 451, 500, 502, 503,
    504, 520, 599, 999
  ].flatMap(
    (status): ReadonlyArray<Answer> => [
      { what: `${status} and nothing`, status, body: "" },
      { what: `${status} and HTML`, status, body: "<h1>no</h1>" },
      { what: `${status} and an answer`, status, body: genuine }
    ]
  ),
  ...retryAfters.map((retryAfter) => ({
    what: `429 and Retry-After ${retryAfter.slice(0, 40)}`,
    status: 429,
    body: "{}",
    headers: { "retry-after": retryAfter }
  }))
]

const answers = [...bodies, ...batches, ...errors, ...statuses]

/** Nothing is proven here: what passes is the genuine answer, or it says that it is not. */
const unproven = (found: RawBlock) => Effect.succeed(found)

/** Milliseconds; the source itself gives up after two seconds. */
const patience = 10_000

const judge = Effect.fnUntraced(function* (parts: ReadonlyArray<Answer>) {
  const [answer] = parts
  const node = yield* HttpNode.make({
    blocks: () => chain,
    intercept: (_, isBatch) =>
      isBatch
        ? {
            status: answer?.status ?? 200,
            body: answer?.body ?? "",
            ...(answer?.headers && { headers: answer.headers })
          }
        : undefined
  })
  const client = yield* Effect.context<HttpClient.HttpClient>()
  const http = Layer.succeedContext(client)
  const url = `${node.url}/v2/${Node.key}`
  const exit = yield* Effect.flatMap(ChainSource, ({ blocks }) => blocks({ from: 1, to: 1 }, unproven)).pipe(
    Effect.provide(Layer.fresh(Provider.source([url], { maxRetries: 0, http, maxResponseBytes: 2 ** 20 }))),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.die("it hangs") }),
    Effect.exit
  )
  if (Exit.isFailure(exit)) return Node.misspokenCause(exit.cause)
  if ((answer?.status ?? 200) >= 400) return "a status that says it went wrong is not believed"
  const [found] = exit.value.blocks
  return JSON.stringify(found) === JSON.stringify(raw) ? undefined : "another block"
}, Effect.scoped)

describe("bodies", () => {
  it.live(
    "bodies, batches, errors and statuses",
    () =>
      Campaign.test({
        name: "bodies, batches, errors and statuses",
        singles: answers.length,
        single: (n) => answers[n] ?? { what: "nothing" },
        small: { singles: answers.length, mixtures: 0 },
        draw: (r) => answers[r.int(answers.length)] ?? { what: "nothing" },
        show: ({ what }) => what,
        judge,
        concurrency: 8
      }).pipe(Effect.provide(NodeHttpClient.layerNodeHttpOptions({ keepAlive: false })), Campaign.quiet),
    Campaign.limit
  )
})
