import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Stream } from "effect"
import type { RawBlock } from "../../src/chain/Block.ts"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as EndpointPool from "../../src/rpc/EndpointPool.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import * as WebSocket from "../../src/source/WebSocket.ts"
import * as HttpNode from "../support/HttpNode.ts"
import { rpc } from "../support/oracle.ts"
import { extend } from "../support/SimulatedChain.ts"

const chain = extend([], 61)

const source = (
  urls: ReadonlyArray<string>,
  options: { readonly maxResponseBytes?: number; readonly wsUrl?: string } = {}
) =>
  RpcSource.layer({
    pollInterval: Duration.millis(20),
    wsUrl: options.wsUrl === undefined ? undefined : Redacted.make(options.wsUrl)
  }).pipe(
    Layer.provide(
      EndpointPool.EndpointPool.layer({
        urls: urls.map((url) => Redacted.make(url)),
        chainId: 31_337,
        maxRetries: 3,
        timeout: Duration.seconds(2),
        maxResponseBytes: options.maxResponseBytes ?? 10_000_000,
        concurrency: 8,
        prices: new Map()
      })
    ),
    Layer.provide([NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), WebSocket.layer])
  )

/** Reads blocks 10 to 29 from one node that behaves so, and checks them. */
const reads = (
  behaviour: Partial<HttpNode.Behaviour>,
  options: { readonly maxResponseBytes?: number } = {}
) =>
  Effect.gen(function* () {
    const node = yield* HttpNode.make({ blocks: () => chain, ...behaviour })
    yield* Effect.gen(function* () {
      const { blocks } = yield* (yield* ChainSource).blocks({ from: 10, to: 29 }, unproven)
      assert.deepStrictEqual(
        blocks.map(({ block, receipts }) => [block.hash, receipts.length]),
        chain.slice(10, 30).map(({ block, receipts }) => [block.hash, receipts.length])
      )
    }).pipe(Effect.provide(source([node.url], options)))
    return node
  })

/** Nothing is proven here: blocks as they are. */
const unproven = (raw: RawBlock) => Effect.succeed(raw)

const error = (message: string, code = -32_000) => ({ error: { code, message } })

describe("RpcSource", () => {
  it.live("asks which chain it is, where its head is, and then for blocks and receipts in one batch", () =>
    Effect.map(reads({}), ({ sizes }) => assert.deepStrictEqual(sizes, [1, 1, 40]))
  )

  it.live("falls back to single receipts, and remembers", () =>
    Effect.gen(function* () {
      const { methods } = yield* reads({
        answer: ({ method }) =>
          method === "eth_getBlockReceipts"
            ? error("the method eth_getBlockReceipts does not exist", -32_601)
            : undefined
      })
      assert.include(methods, "eth_getTransactionReceipt")
    })
  )

  it.live("falls back to smaller batches", () =>
    Effect.map(
      reads({
        intercept: (requests) =>
          requests.length > 3
            ? {
                status: 500,
                body: JSON.stringify(error("Batch of more than 3 requests are not allowed on free tier", 31))
              }
            : undefined
      }),
      ({ sizes }) => assert.isAtMost(Math.max(...sizes.slice(-10)), 3)
    )
  )

  it.live("falls back to single requests where there are no batches", () =>
    Effect.map(
      reads({
        intercept: (_, batch) =>
          batch ? { status: 200, body: JSON.stringify({ id: 0, result: null }) } : undefined
      }),
      ({ sizes }) => assert.strictEqual(sizes.at(-1), 1)
    )
  )

  it.live("halves a range whose answer is too large", () => reads({}, { maxResponseBytes: 20_000 }))

  for (const [what, body, status] of [
    ["HTML", "<html>bad gateway</html>", 502],
    ["an empty body", "", 200],
    ["a truncated body", '[{"id":0,"result":{"number":"0x', 200],
    ["a rate limit", JSON.stringify(error("Too many requests", -32_005)), 429]
  ] as const) {
    it.live(`asks again after ${what}`, () => {
      let faults = 2
      return reads({
        intercept: (requests) => (requests.length > 1 && faults-- > 0 ? { status, body } : undefined)
      })
    })
  }

  it.live("an answer of null is a node that lags, never an empty block", () =>
    Effect.gen(function* () {
      const node = yield* HttpNode.make({
        blocks: () => chain,
        answer: ({ method }) => (method === "eth_getBlockReceipts" ? { result: null } : undefined)
      })
      const fault = yield* Effect.flatMap(ChainSource, ({ blocks }) =>
        Effect.flip(blocks({ from: 1, to: 2 }, unproven))
      ).pipe(Effect.provide(source([node.url])))
      assert.strictEqual(fault.reason._tag, "HeadLag")
    })
  )

  it.live("empty receipts for a full block are inconsistent", () =>
    Effect.gen(function* () {
      const node = yield* HttpNode.make({
        blocks: () => chain,
        answer: ({ method }) => (method === "eth_getBlockReceipts" ? { result: [] } : undefined)
      })
      const full = chain.findIndex(({ receipts }) => receipts.length > 0)
      const fault = yield* Effect.flatMap(ChainSource, ({ blocks }) =>
        Effect.flip(blocks({ from: full, to: full }, unproven))
      ).pipe(Effect.provide(source([node.url])))
      assert.strictEqual(fault.reason._tag, "Inconsistent")
    })
  )

  it.live("fails over from a dead endpoint and leaves out one of another chain", () =>
    Effect.gen(function* () {
      const wrong = yield* HttpNode.make({ blocks: () => chain, chainId: 5 })
      const good = yield* HttpNode.make({ blocks: () => chain })
      yield* Effect.gen(function* () {
        const { blocks } = yield* ChainSource
        for (let i = 0; i < 6; i++) {
          assert.strictEqual((yield* blocks({ from: i, to: i }, unproven)).endpoint, "rpc-3")
        }
      }).pipe(Effect.provide(source(["http://127.0.0.1:1", wrong.url, good.url])))
      assert.deepStrictEqual(wrong.methods, ["eth_chainId"])
    })
  )

  it.live("says which chain it got when no endpoint serves the right one", () =>
    Effect.gen(function* () {
      const wrong = yield* HttpNode.make({ blocks: () => chain, chainId: 5 })
      const fault = yield* Effect.flatMap(ChainSource, ({ headers }) => Effect.flip(headers([0]))).pipe(
        Effect.provide(source([wrong.url]))
      )
      assert.strictEqual(fault.reason._tag, "WrongChain")
    })
  )

  it.live("tells of every new head, and of another block at the same height", () =>
    Effect.gen(function* () {
      const shapes = [
        chain.slice(0, 5),
        chain.slice(0, 8),
        extend(chain.slice(0, 7), 1, 9),
        chain.slice(0, 6)
      ]
      let polls = 0
      const node = yield* HttpNode.make({
        blocks: () => shapes[Math.min(3, Math.floor(polls / 3))] ?? chain,
        answer: ({ params }) => {
          if (params[0] === "latest") polls++
          return undefined
        }
      })
      const heads = yield* Effect.flatMap(ChainSource, (chainSource) =>
        chainSource.heads.pipe(Stream.take(4), Stream.runCollect)
      ).pipe(Effect.provide(source([node.url])))
      assert.deepStrictEqual(
        heads.map(({ hash }) => hash),
        shapes.map((blocks) => blocks.at(-1)?.block.hash)
      )
    })
  )

  it.live("hears of heads through a WebSocket, long before it would poll", () =>
    Effect.gen(function* () {
      const { url } = yield* Anvil.make()
      const heads = yield* Effect.flatMap(ChainSource, (chainSource) =>
        chainSource.heads.pipe(
          // Beside a WebSocket it polls every 15 seconds.
          Stream.tap(() => Effect.forkChild(Effect.delay(rpc(url, "evm_mine"), "300 millis"))),
          Stream.take(3),
          Stream.runCollect
        )
      ).pipe(
        Effect.provide(source([url], { wsUrl: url.replace("http", "ws") })),
        Effect.timeout("10 seconds")
      )
      assert.deepStrictEqual(
        heads.map(({ number }) => number),
        [0, 1, 2]
      )
    }).pipe(Effect.provide(Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)))
  )

  it.live("reads blocks of a real Anvil", () =>
    Effect.gen(function* () {
      const { url } = yield* Anvil.make()
      yield* rpc(url, "anvil_mine", ["0xa"])
      const { blocks } = yield* Effect.flatMap(ChainSource, (chainSource) =>
        chainSource.blocks({ from: 3, to: 9 }, unproven)
      ).pipe(Effect.provide(source([url])))
      assert.deepStrictEqual(
        blocks.map(({ block }) => Number(block.number)),
        [3, 4, 5, 6, 7, 8, 9]
      )
    }).pipe(Effect.provide(Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)))
  )

  it.live("a header of another number is no answer", () =>
    Effect.gen(function* () {
      const node = yield* HttpNode.make({
        blocks: () => chain,
        answer: ({ params }) => (params[0] === "0x7" ? { result: chain[8]?.block } : undefined)
      })
      const fault = yield* Effect.flatMap(ChainSource, ({ headers }) => Effect.flip(headers([6, 7]))).pipe(
        Effect.provide(source([node.url]))
      )
      assert.strictEqual(fault.reason.detail, "the header is of block 8, expected 7")
    })
  )

  it.live("what is wrong is quoted on one line, without the key", () =>
    Effect.gen(function* () {
      const node = yield* HttpNode.make({
        blocks: () => chain,
        answer: ({ method }) =>
          method === "eth_getBlockReceipts" ? { result: "\u001b[2J\nlevel=error s3cr3tk3y" } : undefined
      })
      const fault = yield* Effect.flatMap(ChainSource, ({ blocks }) =>
        Effect.flip(blocks({ from: 1, to: 1 }, unproven))
      ).pipe(Effect.provide(source([`${node.url}/v3/s3cr3tk3y`])))
      assert.match(fault.message, /receipts is {1,2}\[2J level=error <key>, expected an array of \d+$/)
    })
  )

  it.live("no URL with its key in any fault", () =>
    Effect.gen(function* () {
      const fault = yield* Effect.flatMap(ChainSource, ({ headers }) => Effect.flip(headers([0]))).pipe(
        Effect.provide(source(["http://user:p4ssw0rd@127.0.0.1:1/v3/s3cr3tk3y"]))
      )
      assert.notMatch(
        `${fault.message} ${JSON.stringify(fault)} ${String(fault.stack)}`,
        /s3cr3tk3y|p4ssw0rd/
      )
    })
  )
})
