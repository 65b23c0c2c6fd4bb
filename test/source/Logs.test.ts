import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Ref, Stream } from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import type { BlockRange } from "../../src/chain/BlockRange.ts"
import type { LogFilter } from "../../src/chain/LogFilter.ts"
import type { PlacedLog } from "../../src/chain/LogParser.ts"
import { Anvil } from "../../src/devnet/Anvil.ts"
import { EndpointPool } from "../../src/rpc/EndpointPool.ts"
import { initial } from "../../src/rpc/EndpointState.ts"
import type { ProviderFault } from "../../src/rpc/ProviderFault.ts"
import { ChainSource, type FetchedLogs } from "../../src/source/ChainSource.ts"
import * as LogPaging from "../../src/source/LogPaging.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import * as WebSocket from "../../src/source/WebSocket.ts"
import { hex, type Random, random, chain as randomChain } from "../support/blocks.ts"
import * as HttpNode from "../support/HttpNode.ts"
import { logsOf } from "../support/logs.ts"
import { rpc } from "../support/oracle.ts"
import { extend } from "../support/SimulatedChain.ts"
import * as VirtualNode from "../support/VirtualNode.ts"

const chain = extend([], 200)
const whole: BlockRange = { from: 0, to: 199 }
const everyLog = logsOf(chain)
const addresses = [...new Set(everyLog.map(({ address }) => address))]
const topic = (i: number, at: number): Hex => everyLog[i]?.topics[at] as Hex

const source = (
  urls: ReadonlyArray<string>,
  options: {
    readonly maxResponseBytes?: number
    readonly maxRetries?: number
    readonly timeout?: Duration.Duration
  } = {}
) =>
  RpcSource.layer({ pollInterval: Duration.millis(20), wsUrl: undefined }).pipe(
    Layer.provideMerge(
      EndpointPool.layer({
        urls: urls.map((url) => Redacted.make(url)),
        chainId: 31_337,
        maxRetries: options.maxRetries ?? 3,
        timeout: options.timeout ?? Duration.seconds(2),
        maxResponseBytes: options.maxResponseBytes ?? 10_000_000,
        concurrency: 8,
        prices: new Map()
      })
    )
  )

const overHttp = (...[urls, options]: Parameters<typeof source>) =>
  source(urls, options).pipe(
    Layer.provide([NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), WebSocket.layer])
  )

const read = (range: BlockRange, filter: LogFilter = {}) =>
  Effect.flatMap(ChainSource, ({ logs }) => Stream.runCollect(logs(range, filter)))

/** Pages are ascending, contiguous, the whole range, and have all that is there and nothing else. */
const assertWhole = (
  pages: ReadonlyArray<FetchedLogs>,
  range: BlockRange,
  filter: LogFilter = {},
  blocks: ReadonlyArray<RawBlock> = chain
) => {
  let next = range.from
  for (const page of pages) {
    assert.strictEqual(page.range.from, next)
    assert.strictEqual(page.last.number, page.range.to)
    assert.strictEqual(page.last.hash, blocks[page.range.to]?.block.hash)
    next = page.range.to + 1
  }
  assert.strictEqual(next, range.to + 1)
  const found = pages.flatMap(({ logs }) => logs)
  const expected = logsOf(blocks.slice(range.from, range.to + 1), filter)
  assert.deepStrictEqual(found.map(placeOf), expected.map(placeOf))
  assert.strictEqual(JSON.stringify(found), JSON.stringify(expected))
}

const placeOf = ({ blockNumber, logIndex, transactionIndex }: PlacedLog) =>
  `${Number(blockNumber)}/${Number(transactionIndex)}/${Number(logIndex)}`

type Reply = { readonly result: unknown } | { readonly error: unknown } | undefined

/** Blocks of a question. */
const spanOf = ({ fromBlock, toBlock }: HttpNode.LogsQuestion) => Number(toBlock) - Number(fromBlock) + 1

const countOf = ({ address }: HttpNode.LogsQuestion) => (Array.isArray(address) ? address.length : 0)

/** A node whose eth_getLogs may answer otherwise, and the questions that it was asked. */
const node = Effect.fnUntraced(function* (
  reply: (question: HttpNode.LogsQuestion) => Reply = () => undefined,
  behaviour: Partial<HttpNode.Behaviour> = {}
) {
  const asked: Array<HttpNode.LogsQuestion> = []
  const made = yield* HttpNode.make({
    blocks: () => chain,
    ...behaviour,
    answer: (request) => {
      if (request.method !== "eth_getLogs") return behaviour.answer?.(request)
      const question = request.params[0] as HttpNode.LogsQuestion
      asked.push(question)
      return reply(question)
    }
  })
  return { ...made, asked, spans: () => asked.map(spanOf) }
})

const error = (message: string, code = -32_000, data?: unknown) => ({ error: { code, message, data } })

/** Refuses what is longer than `most` blocks. */
const upTo =
  (most: number, refusal: (question: HttpNode.LogsQuestion) => Reply) => (question: HttpNode.LogsQuestion) =>
    spanOf(question) > most ? refusal(question) : undefined

const setRange = (logRange: number | undefined) =>
  Effect.flatMap(EndpointPool, ({ endpoints }) =>
    Effect.forEach(endpoints, ({ state }) => Ref.update(state, (s) => ({ ...s, logRange })))
  )

const memory = Effect.flatMap(EndpointPool, ({ endpoints: [first] }) =>
  first === undefined ? Effect.die("no endpoint") : Ref.get(first.state)
)

describe("an honest node", () => {
  const filters: ReadonlyArray<readonly [string, LogFilter]> = [
    ["everything", {}],
    ["nothing listed is everything", { addresses: [], topics: [] }],
    ["one address", { addresses: addresses.slice(0, 1) }],
    ["addresses, some twice", { addresses: [...addresses.slice(3, 40), ...addresses.slice(3, 9)] }],
    ["an address in capitals", { addresses: [`0x${addresses[5]?.slice(2).toUpperCase()}`] }],
    ["a first topic", { topics: [topic(0, 0)] }],
    ["alternatives behind anything", { topics: [null, [topic(1, 1), topic(7, 1)]] }],
    ["positions that take anything", { topics: [topic(0, 0), null, [], null] }],
    ["nothing fits", { topics: [topic(0, 1)] }]
  ]
  for (const [what, filter] of filters) {
    it.live(what, () =>
      Effect.gen(function* () {
        const { spans, url } = yield* node()
        const pages = yield* read(whole, filter).pipe(Effect.provide(overHttp([url])))
        assertWhole(pages, whole, filter)
        assert.deepStrictEqual(spans(), [200])
      })
    )
  }

  it.live("a range without blocks has no pages", () =>
    Effect.gen(function* () {
      const { methods, url } = yield* node()
      const pages = yield* read({ from: 5, to: 4 }).pipe(Effect.provide(overHttp([url])))
      assert.deepStrictEqual([pages, methods], [[], []])
    })
  )

  it.live("logs and the header travel in one request", () =>
    Effect.gen(function* () {
      const { sizes, url } = yield* node()
      yield* read(whole).pipe(Effect.provide(overHttp([url])))
      assert.deepStrictEqual(sizes, [1, 1, 2])
    })
  )

  it.live("logs counted anew in each transaction are in order", () =>
    Effect.gen(function* () {
      const restarted = chain.map(({ block, receipts }) => ({
        block,
        receipts: receipts.map((receipt) => ({
          ...receipt,
          logs: receipt.logs.map((log, i) => ({ ...log, logIndex: hex(i) }))
        }))
      }))
      const { url } = yield* node(undefined, { blocks: () => restarted })
      const pages = yield* read(whole).pipe(Effect.provide(overHttp([url])))
      assertWhole(pages, whole, {}, restarted)
    })
  )

  it.live("a page ends where the endpoint does, and the rest waits for it", () =>
    Effect.gen(function* () {
      const { url } = yield* node()
      yield* Effect.gen(function* () {
        const pages: Array<FetchedLogs> = []
        const { logs } = yield* ChainSource
        const fault = yield* logs({ from: 150, to: 220 }, {}).pipe(
          Stream.runForEach((page) => Effect.sync(() => pages.push(page))),
          Effect.flip
        )
        assertWhole(pages, { from: 150, to: 199 })
        assert.strictEqual(fault.reason._tag, "HeadLag")
      }).pipe(Effect.provide(overHttp([url], { maxRetries: 1 })))
    })
  )
})

describe("hints", () => {
  const range = ({ fromBlock }: HttpNode.LogsQuestion) => {
    const from = Number(fromBlock)
    return { from, to: from + 15 }
  }
  const cases: ReadonlyArray<
    readonly [string, (question: HttpNode.LogsQuestion) => Reply, ReadonlyArray<number>]
  > = [
    [
      "in hex",
      (q) =>
        error(
          `Log response size exceeded. This block range should work: [${q.fromBlock}, ${hex(range(q).to)}]`,
          -32_602
        ),
      [200, 16, 18]
    ],
    [
      "in decimal",
      (q) =>
        error(
          `query exceeds max results 20000, retry with the range ${range(q).from}-${range(q).to}`,
          -32_602
        ),
      [200, 16, 18]
    ],
    [
      "inverted",
      (q) =>
        error(
          `Log response size exceeded. This block range should work: [${hex(range(q).to)}, ${q.fromBlock}]`,
          -32_602
        ),
      [200, 16, 18]
    ],
    [
      "in data",
      (q) =>
        error("query returned more than 10000 results", -32_005, {
          from: q.fromBlock,
          to: hex(range(q).to),
          limit: 10_000
        }),
      [200, 16, 18]
    ],
    ["a number of blocks", () => error("exceed maximum block range: 16", -32_701), [200, 16, 16]],
    [
      "for another start",
      () => error("query returned more than 10000 results. Try with this block range [0x1, 0x4].", -32_005),
      [200, 100, 50, 25, 12, 13]
    ],
    [
      "as large as what was asked",
      (q) =>
        error(
          `query returned more than 10000 results. Try with this block range [${q.fromBlock}, ${q.toBlock}].`,
          -32_005
        ),
      [200, 100, 50, 25, 12, 13]
    ],
    [
      "no number",
      () =>
        error("Log response size exceeded. This block range should work: [0x0, 0xffffffffffffffff]", -32_602),
      [200, 100, 50, 25, 12, 13]
    ],
    ["a limit above", () => error("exceed maximum block range: 5000", -32_701), [200, 100, 50, 25, 12, 13]],
    ["none", () => error("Too many logs requested.", -32_005), [200, 100, 50, 25, 12, 13]],
    ["a timeout", () => error("Request timeout on the free tier", 30), [200, 100, 50, 25, 12, 12, 13]],
    ["an unknown fault", () => error("computer says no", -32_099), [200, 100, 50, 25, 12, 12, 13]],
    ["a response too large", () => error("backend response too large", -32_020), [200, 100, 50, 25, 12, 13]]
  ]
  for (const [what, refusal, expected] of cases) {
    it.live(`${what}: ${expected.join(", ")}`, () =>
      Effect.gen(function* () {
        const { spans, url } = yield* node(upTo(16, refusal))
        const pages = yield* read(whole).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
        assertWhole(pages, whole)
        assert.deepStrictEqual(spans().slice(0, expected.length), expected)
      })
    )
  }

  it.live("a told limit is never exceeded again", () =>
    Effect.gen(function* () {
      const { spans, url } = yield* node(upTo(16, () => error("exceed maximum block range: 16", -32_701)))
      yield* Effect.gen(function* () {
        assertWhole(yield* read(whole), whole)
        assertWhole(yield* read(whole), whole)
      }).pipe(Effect.provide(overHttp([url])))
      const [first, ...rest] = spans()
      assert.strictEqual(first, 200)
      assert.isAtMost(Math.max(...rest), 16)
    })
  )

  it.live("a larger range that works here is no limit", () =>
    Effect.gen(function* () {
      const { spans, url } = yield* node(
        upTo(30, (q) =>
          error(
            `Log response size exceeded. You can make eth_getLogs requests with up to a 10 block range. This block range should work: [${q.fromBlock}, ${hex(Number(q.fromBlock) + 19)}]`,
            -32_602
          )
        )
      )
      yield* read(whole).pipe(Effect.provide(overHttp([url])))
      assert.deepStrictEqual(spans().slice(0, 4), [200, 20, 22, 24])
    })
  )
})

describe("down to one block", () => {
  for (const [message, tag, last] of [
    ["computer says no", "Rejected", 1],
    ["block range is too wide", "RangeTooLarge", 1],
    ["backend response too large", "ResponseTooLarge", 1],
    ["Request timeout on the free tier", "Unavailable", 1]
  ] as const) {
    it.live(`${tag} stays the fault`, () =>
      Effect.gen(function* () {
        const { spans, url } = yield* node(() => error(message))
        const fault = yield* Effect.flip(read(whole)).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
        assert.deepStrictEqual([fault.reason._tag, fault.method], [tag, "eth_getLogs"])
        assert.deepStrictEqual(spans(), [200, 100, 50, 25, 12, 6, 3, last])
      })
    )
  }

  it.live("nothing is remembered of what may mean anything", () =>
    Effect.gen(function* () {
      const { url } = yield* node(() => error("computer says no"))
      yield* Effect.gen(function* () {
        yield* Effect.flip(read(whole))
        assert.isUndefined((yield* memory).logRange)
      }).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
    })
  )

  it.live("who refuses everything is not asked for less", () =>
    Effect.gen(function* () {
      const { spans, url } = yield* node(undefined, {
        intercept: (requests) =>
          requests.some(({ method }) => method === "eth_getLogs") || requests[0]?.params[0] === "0xc7"
            ? { status: 401, body: JSON.stringify(error("Must be authenticated!", -32_600)) }
            : undefined
      })
      const fault = yield* Effect.flip(read(whole)).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
      assert.strictEqual(fault.reason._tag, "Rejected")
      assert.deepStrictEqual(spans(), [])
    })
  )

  it.live("silence is too large a question only where the header is answered", () =>
    Effect.gen(function* () {
      const hanging = { status: 504, body: "<html>Gateway Time-out</html>" }
      let dead = true
      const { methods, url } = yield* node(undefined, {
        intercept: (requests) => {
          const [logs] = requests.filter(({ method }) => method === "eth_getLogs")
          if (logs === undefined) return dead && requests[0]?.params[0] === "0xc7" ? hanging : undefined
          return dead || spanOf(logs.params[0] as HttpNode.LogsQuestion) > 60 ? hanging : undefined
        }
      })
      yield* Effect.gen(function* () {
        yield* Effect.flip(read(whole))
        const questions = methods.filter((method) => method === "eth_getLogs").length
        assert.strictEqual(questions, 1)
        dead = false
        assertWhole(yield* read(whole), whole)
      }).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
    })
  )

  it.live("an answer above MAX_RESPONSE_BYTES", () =>
    Effect.gen(function* () {
      const { url } = yield* node()
      const pages = yield* read(whole).pipe(
        Effect.provide(overHttp([url], { maxResponseBytes: 8_000, maxRetries: 0 }))
      )
      assertWhole(pages, whole)
      assert.isAbove(pages.length, 5)
    })
  )
})

describe("memory", () => {
  it.live("grows by a tenth, and starts where it was", () =>
    Effect.gen(function* () {
      const { spans, url } = yield* node()
      yield* Effect.gen(function* () {
        yield* setRange(20)
        assertWhole(yield* read({ from: 0, to: 64 }), { from: 0, to: 64 })
        assert.deepStrictEqual(spans(), [20, 22, 23])
        assertWhole(yield* read(whole), whole)
        assert.deepStrictEqual(spans().slice(3, 6), [24, 26, 29])
      }).pipe(Effect.provide(overHttp([url])))
    })
  )

  it.live("starts with 2,000 blocks", () =>
    Effect.gen(function* () {
      const long = extend([], 4_500)
      const { spans, url } = yield* node(undefined, { blocks: () => long })
      const range = { from: 0, to: 4_499 }
      const filter = { addresses: addresses.slice(0, 2) }
      const pages = yield* read(range, filter).pipe(Effect.provide(overHttp([url])))
      assertWhole(pages, range, filter, long)
      assert.deepStrictEqual(spans(), [2_000, 2_200, 300])
    })
  )

  const at = (logRange: number, more: Partial<typeof initial> = {}) => ({ ...initial, logRange, ...more })
  const answer = { bytes: 1_000, refused: false, filterLimit: undefined }
  it("knows a limit above which it never goes", () => {
    const grown = LogPaging.served(at(1_000_000), { ...answer, blocks: 1_000_000 })
    assert.strictEqual(LogPaging.allowance(grown), 1_000_000)
    const told = LogPaging.served(at(950, { logRangeLimit: 1_000 }), { ...answer, blocks: 950 })
    assert.strictEqual(told.logRange, 1_000)
  })
  it("aims at two megabytes", () => {
    const after = (bytes: number) => LogPaging.served(at(1_000), { ...answer, blocks: 1_000, bytes }).logRange
    assert.deepStrictEqual([1_000_000, 3_000_000, 8_000_000].map(after), [1_100, 1_000, 250])
    assert.strictEqual(LogPaging.served(at(1_000), { ...answer, blocks: 1, bytes: 9_000_000 }).logRange, 1)
  })
})

describe("long filters", () => {
  const many = addresses.slice(0, 10)
  for (const [what, refusal, limit, counts, remembered] of [
    [
      "a number of addresses",
      "exceed max addresses or topics per search position, limit is 3",
      3,
      [10, 3, 3, 3, 1],
      3
    ],
    ["no number", "too many addresses in the filter", 3, [10, 5], 2],
    ["a number that does not help", "This query contains 11 filters. The current limit is 10.", 3, [10, 5], 2]
  ] as const) {
    it.live(what, () =>
      Effect.gen(function* () {
        const { asked, url } = yield* node((q) => (countOf(q) > limit ? error(refusal, -32_602) : undefined))
        yield* Effect.gen(function* () {
          assertWhole(yield* read(whole, { addresses: many }), whole, { addresses: many })
          assert.deepStrictEqual(asked.slice(0, counts.length).map(countOf), [...counts])
          assert.strictEqual((yield* memory).logAddresses, remembered)
          asked.length = 0
          assertWhole(yield* read(whole, { addresses: many }), whole, { addresses: many })
          assert.isAtMost(Math.max(...asked.map(countOf)), limit)
        }).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
      })
    )
  }

  it.live("a block that is too full for the whole list", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* node((q) =>
        HttpNode.logsBetween(chain, q).length > 2 ? error("Too many logs requested.", -32_005) : undefined
      )
      const full = chain.findIndex((raw) => logsOf([raw]).length === 3)
      const range = { from: full, to: full }
      const senders = chain[full]?.receipts.flatMap(({ logs }) => logs.map(({ address }) => address)) ?? []
      const filter = { addresses: [...new Set(senders)] }
      yield* Effect.gen(function* () {
        const pages = yield* read(range, filter)
        assertWhole(pages, range, filter)
        assert.isAbove(asked.length, 2)
        assert.isUndefined((yield* memory).logAddresses)
      }).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
    })
  )

  it.live("one that cannot be shortened fails", () =>
    Effect.gen(function* () {
      const { url } = yield* node(() => error("too many topics in the filter", -32_602))
      yield* Effect.gen(function* () {
        const fault = yield* Effect.flip(read(whole, { addresses: many }))
        assert.strictEqual(fault.reason._tag, "FilterTooLarge")
        assert.isUndefined((yield* memory).logAddresses)
      }).pipe(Effect.provide(overHttp([url], { maxRetries: 0 })))
    })
  )
})

describe("a node that lags behind a balancer", () => {
  /** Its head is 199; asked for what is above 100 it knows nothing of it. */
  const lagging = (logs: unknown, batches = true): Partial<HttpNode.Behaviour> => ({
    intercept: (_, batch) =>
      batch && !batches ? { status: 200, body: JSON.stringify({ id: 0, result: null }) } : undefined,
    answer: ({ method, params }) => {
      if (method === "eth_getLogs") return { result: logs }
      return method === "eth_getBlockByNumber" && Number(params[0]) > 100 ? { result: null } : undefined
    }
  })
  for (const [what, logs, batches] of [
    ["in a batch", [], true],
    ["in single requests", [], false],
    ["with null for logs", null, true]
  ] as const) {
    it.live(`${what}: no page, and HeadLag`, () =>
      Effect.gen(function* () {
        const behaviour = lagging(logs, batches)
        const { url } = yield* HttpNode.make({ blocks: () => chain, ...behaviour })
        const pages: Array<FetchedLogs> = []
        const { logs: stream } = yield* ChainSource.pipe(Effect.provide(overHttp([url])))
        const fault = yield* stream({ from: 120, to: 199 }, {}).pipe(
          Stream.runForEach((page) => Effect.sync(() => pages.push(page))),
          Effect.flip
        )
        assert.deepStrictEqual([pages.length, fault.reason._tag], [0, "HeadLag"])
      })
    )
  }

  it.live("another endpoint answers instead", () =>
    Effect.gen(function* () {
      const bad = yield* HttpNode.make({ blocks: () => chain, ...lagging([]) })
      const good = yield* node()
      const pages = yield* read({ from: 120, to: 199 }).pipe(Effect.provide(overHttp([bad.url, good.url])))
      assertWhole(pages, { from: 120, to: 199 })
      assert.deepStrictEqual([...new Set(pages.map(({ endpoint }) => endpoint))], ["rpc-2"])
    })
  )

  it.live("null from a node that has the block is no list, and nothing is made of it", () =>
    Effect.gen(function* () {
      const { url } = yield* node(() => ({ result: null }))
      const fault = yield* Effect.flip(read(whole)).pipe(Effect.provide(overHttp([url], { maxRetries: 1 })))
      assert.strictEqual(fault.reason._tag, "Malformed")
    })
  )
})

describe("wrong answers", () => {
  const range = { from: 20, to: 60 }
  const filter: LogFilter = { addresses: addresses.slice(0, 120), topics: [topic(0, 0)] }
  const honest = logsOf(chain.slice(range.from, range.to + 1), filter)
  const change = (i: number, to: Partial<Record<keyof PlacedLog | "removed", unknown>>) =>
    honest.map((log, at) => (at === i ? { ...log, ...to } : log))
  const without = (key: keyof PlacedLog) =>
    honest.map(({ [key]: _, ...rest }, i) => (i === 2 ? rest : honest[i]))
  const inBlock = honest.findIndex((log, i) => log.blockNumber === honest[i + 1]?.blockNumber)
  const ofEnd = honest.findLastIndex(({ blockNumber }) => Number(blockNumber) <= range.to)
  const end = Number(honest[ofEnd]?.blockNumber)
  const other = `0x${"ab".repeat(32)}`
  const cases: ReadonlyArray<readonly [string, unknown, RegExp]> = [
    ["below the range", [{ ...everyLog[0] }, ...honest], /logs\[0\]\.blockNumber is .*, expected from 20 to/],
    ["above the range", [...honest, { ...everyLog.at(-1) }], /blockNumber/],
    ["another address", change(1, { address: `0x${"12".repeat(20)}` }), /logs\[1\]\.address is 0x1212/],
    ["another topic", change(1, { topics: [other] }), /logs\[1\]\.topics\[0\] is 0xabab/],
    ["no topics", change(1, { topics: [] }), /logs\[1\]\.topics\[0\] is nothing/],
    ["doubled", [honest[0], honest[0], ...honest.slice(1)], /logs\[1\]\.logIndex .* expected each log once/],
    ["doubled at a distance", [...honest, honest[0]], /expected at least/],
    ["out of order", [...honest].reverse(), /expected at least/],
    [
      "two in the wrong order",
      [...honest.slice(0, inBlock), honest[inBlock + 1], honest[inBlock], ...honest.slice(inBlock + 2)],
      /expected (at least|above)/
    ],
    ["removed", change(0, { removed: true }), /logs\[0\]\.removed is true/],
    [
      "two hashes for one block",
      change(inBlock, { blockHash: other }),
      /blockHash is .* expected 0xabab.* as before/
    ],
    ["another hash at the end", change(ofEnd, { blockHash: other }), /blockHash/],
    ["no data", without("data"), /logs\[2\]\.data is nothing, expected bytes as hex/],
    ["no transaction index", without("transactionIndex"), /logs\[2\]\.transactionIndex is nothing/],
    ["a number that is none", change(3, { logIndex: "one" }), /logs\[3\]\.logIndex is one/],
    ["a short hash", change(3, { transactionHash: "0x12" }), /logs\[3\]\.transactionHash is 0x12/],
    ["a pending log", change(3, { blockNumber: null, blockHash: null }), /logs\[3\]\.blockNumber is null/],
    ["no object", [...honest, 5], /is 5, expected an object/]
  ]
  const asked = { from: range.from, to: end }
  for (const [what, logs, detail] of cases) {
    it.live(what, () =>
      Effect.gen(function* () {
        const { url } = yield* node(() => ({ result: logs }))
        const fault = yield* Effect.flip(read(asked, filter)).pipe(
          Effect.provide(overHttp([url], { maxRetries: 1 }))
        )
        const { reason } = fault
        assert.strictEqual(reason._tag === "Inconsistent" ? reason.check : reason._tag, "logs")
        assert.match(reason.detail, detail)
      })
    )
  }

  it.live("a header of another block", () =>
    Effect.gen(function* () {
      const { url } = yield* node(undefined, {
        answer: ({ params }) => (params[0] === hex(end) ? { result: chain[3]?.block } : undefined)
      })
      const fault = yield* Effect.flip(read(asked)).pipe(Effect.provide(overHttp([url], { maxRetries: 1 })))
      assert.match(fault.message, /Inconsistent: the header is of block 3, expected/)
    })
  )

  it.live("are asked of another endpoint", () =>
    Effect.gen(function* () {
      const bad = yield* node(() => ({ result: change(0, { removed: true }) }))
      const good = yield* node()
      const pages = yield* read(asked, filter).pipe(Effect.provide(overHttp([bad.url, good.url])))
      assertWhole(pages, asked, filter)
    })
  )
})

describe("many at once", () => {
  it.live("ten providers, each with limits of its own", () =>
    Effect.gen(function* () {
      const results = (q: HttpNode.LogsQuestion) => HttpNode.logsBetween(chain, q).length
      const rules: ReadonlyArray<(question: HttpNode.LogsQuestion) => Reply> = [
        () => undefined,
        upTo(50, () => error("eth_getLogs is limited to a 50 range", -32_614)),
        upTo(10, (q) =>
          error(
            `Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [${q.fromBlock}, ${hex(Number(q.fromBlock) + 9)}].`,
            -32_600
          )
        ),
        upTo(30, () => error("block range is too wide", -32_600)),
        upTo(64, () => error("exceed maximum block range: 64", -32_701)),
        (q) =>
          results(q) > 20
            ? error("Too many logs requested. Max logs per response is 20.", -32_005)
            : undefined,
        (q) => (countOf(q) > 7 ? error("too many addresses, at most 7 allowed", -32_602) : undefined),
        upTo(80, () =>
          error("Request timeout on the free tier, please upgrade your tier to the paid one", 30)
        ),
        upTo(25, () => error("something nobody has ever seen", -32_123)),
        (q) => (results(q) > 40 ? error("backend response too large", -32_020) : undefined)
      ]
      const nodes = yield* Effect.forEach(rules, (rule, i) =>
        node(rule, {
          intercept: (_, batch) =>
            batch && i % 4 === 3
              ? { status: 400, body: JSON.stringify(error("batch requests are not supported", -32_600)) }
              : undefined
        })
      )
      const filters: ReadonlyArray<LogFilter> = [
        {},
        { addresses: addresses.slice(0, 60) },
        { topics: [null, [topic(3, 1), topic(30, 1)]] }
      ]
      yield* Effect.forEach(
        Array.from({ length: 18 }, (_, i) => i),
        (i) =>
          Effect.gen(function* () {
            const filter = filters[i % 3] ?? {}
            const range = { from: i * 3, to: 199 - i }
            assertWhole(yield* read(range, filter), range, filter)
          }),
        { concurrency: 6, discard: true }
      ).pipe(
        Effect.provide(
          overHttp(
            nodes.map(({ url }) => url),
            { maxRetries: 12 }
          )
        )
      )
      assert.isTrue(nodes.every(({ asked }) => asked.length > 0))
    })
  )
})

describe("a real Anvil", () => {
  it.live("pages of its logs are its receipts' logs", () =>
    Effect.gen(function* () {
      const { url } = yield* Anvil.make()
      const [from = ""] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
      // Logs the first word that it is called with, as its topic and as its data.
      const code = "0x6e60003560005260003560206000a100600052600f6011f3"
      const send = (transaction: object) =>
        Effect.flatMap(rpc<string>(url, "eth_sendTransaction", [{ from, ...transaction }]), (hash) =>
          rpc<{ readonly contractAddress: Hex } | null>(url, "eth_getTransactionReceipt", [hash]).pipe(
            // Anvil answers before it has mined.
            Effect.delay("5 millis"),
            Effect.repeat({ until: (receipt) => receipt !== null })
          )
        )
      const created = yield* Effect.forEach([1, 2, 3], () => send({ data: code }))
      const contracts = created.flatMap((receipt) => receipt?.contractAddress ?? [])
      for (let i = 0; i < 30; i++) {
        const data = `0x${(i % 4).toString(16).padStart(64, "0")}`
        yield* send({ to: contracts[i % 3], data, gas: "0x186a0" })
      }
      const word = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`
      const head = Number(yield* rpc<string>(url, "eth_blockNumber"))
      const receipts = yield* Effect.forEach(
        Array.from({ length: head + 1 }, (_, i) => hex(i)),
        (number) =>
          rpc<ReadonlyArray<{ readonly logs: ReadonlyArray<PlacedLog> }>>(url, "eth_getBlockReceipts", [
            number
          ])
      )
      const all = receipts.flat().flatMap(({ logs }) => logs)
      assert.strictEqual(all.length, 30)
      yield* Effect.gen(function* () {
        yield* setRange(4)
        const place = ({ address, blockHash, blockNumber, data, logIndex, topics }: PlacedLog) => ({
          address,
          blockHash,
          blockNumber,
          data,
          logIndex,
          topics
        })
        for (const [filter, wanted] of [
          [{}, all],
          [{ addresses: contracts.slice(1) }, all.filter(({ address }) => address !== contracts[0])],
          [
            { topics: [[word(1), word(3)]] },
            all.filter(({ topics: [first] }) => first === word(1) || first === word(3))
          ]
        ] satisfies ReadonlyArray<readonly [LogFilter, ReadonlyArray<PlacedLog>]>) {
          const pages = yield* read({ from: 0, to: head }, filter)
          assert.isAbove(pages.length, 2)
          assert.deepStrictEqual(pages.flatMap(({ logs }) => logs).map(place), wanted.map(place))
        }
      }).pipe(Effect.provide(overHttp([url])))
    }).pipe(Effect.provide(Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)))
  )
})

describe("from a seed", () => {
  /** On virtual time, so that waits cost nothing. */
  const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(effect)
      for (let i = 0; i < 100_000 && fiber.pollUnsafe() === undefined; i++) {
        yield* TestClock.adjust("250 millis")
      }
      return yield* Fiber.join(fiber)
    })

  const some = <A>(r: Random, all: ReadonlyArray<A>, most: number): ReadonlyArray<A> =>
    Array.from({ length: all.length === 0 ? 0 : r.int(most + 1) }, () => all[r.int(all.length)] as A)

  const randomFilter = (r: Random, logs: ReadonlyArray<PlacedLog>): LogFilter => {
    const topics = Array.from({ length: r.int(4) }, (_, at) => {
      const there = logs.flatMap(({ topics }) => topics[at] ?? [])
      return there.length === 0 ? null : r.pick<Hex | ReadonlyArray<Hex> | null>(null, some(r, there, 30))
    })
    return {
      ...r.pick<LogFilter>(
        {},
        {
          addresses: some(
            r,
            logs.map(({ address }) => address),
            40
          )
        }
      ),
      ...r.pick<LogFilter>({}, { topics })
    }
  }

  const spoil = (r: Random, logs: ReadonlyArray<PlacedLog>): unknown => {
    const at = r.int(logs.length)
    const changed = (to: object) => logs.map((log, i) => (i === at ? { ...log, ...to } : log))
    return r.pick<unknown>(
      null,
      logs.length === 0 ? null : changed({ removed: true }),
      logs.length === 0 ? null : changed({ blockNumber: "0xfffff" }),
      logs.length === 0 ? null : changed({ data: undefined }),
      logs.length === 0 ? null : [...logs, logs[at]]
    )
  }

  /**
   * Limits that stay, and faults that come and go. Without batches it never lags: whether another node behind the same
   * balancer answered the second request cannot be known.
   */
  const randomNode = (r: Random, blocks: ReadonlyArray<RawBlock>): VirtualNode.Respond => {
    const spans = r.pick(1_000, 1_000, 1 + r.int(40))
    const results = r.pick(100_000, 1 + r.int(60))
    const most = r.pick(1_000, 1 + r.int(8))
    const batches = r.int(4) > 0
    const words = r.pick<(q: HttpNode.LogsQuestion) => string>(
      () => `exceed maximum block range: ${spans}`,
      () => "block range is too wide",
      () => "something nobody has ever seen",
      () => "Request timeout on the free tier",
      (q) =>
        `query returned more than 10000 results. Try with this block range [${q.fromBlock}, ${hex(Number(q.fromBlock) + r.int(30))}].`
    )
    return (calls) => {
      const chance = r.int(100)
      if (chance < 3) return Effect.succeed({ status: 502, body: "<html>bad gateway</html>" })
      if (chance < 5) return Effect.succeed({ body: "" })
      if (calls.length > 1 && !batches) {
        return Effect.succeed({ body: JSON.stringify(error("batch requests are not supported")) })
      }
      const behind = chance < 10
      return Effect.delay(
        Effect.sync(() =>
          VirtualNode.answers(calls, (call) => {
            const lacks = behind && batches && call.method !== "eth_chainId" && call.params[0] !== "latest"
            if (call.method !== "eth_getLogs") {
              return { result: lacks ? null : HttpNode.honest({ blocks: () => blocks }, call) }
            }
            const question = call.params[0] as HttpNode.LogsQuestion
            if (lacks) return { result: [] }
            if (countOf(question) > most)
              return error(r.pick("too many addresses", `at most ${most} addresses allowed`))
            const logs = HttpNode.logsBetween(blocks, question)
            if (spanOf(question) > spans) return error(words(question))
            // One address in one block is always answered: less cannot be asked.
            if (logs.length > results && (spanOf(question) > 1 || countOf(question) > 1)) {
              return error("Too many logs requested.")
            }
            return { result: chance < 15 ? spoil(r, logs) : logs }
          })
        ),
        10
      )
    }
  }

  for (let seed = 1; seed <= 60; seed++) {
    it.effect(`${seed}: the pages are what a naive filter finds`, () => {
      const r = random(seed)
      const blocks = randomChain({ seed, from: 0, count: 20 + r.int(120), transactions: r.int(6) })
      const filter = randomFilter(r, logsOf(blocks))
      const range = { from: r.int(10), to: blocks.length - 1 - r.int(5) }
      const hosts = ["a", "b", "c"].slice(0, 1 + r.int(3))
      const nodes = Object.fromEntries(hosts.map((host) => [host, randomNode(r, blocks)]))
      return Effect.gen(function* () {
        const { logs } = yield* ChainSource
        const pages: Array<FetchedLogs> = []
        // A fault ends the stream; whoever reads goes on from the last page.
        const goOn: Effect.Effect<void, ProviderFault> = Effect.suspend(() =>
          logs({ from: (pages.at(-1)?.range.to ?? range.from - 1) + 1, to: range.to }, filter).pipe(
            Stream.runForEach((page) => Effect.sync(() => pages.push(page)))
          )
        )
        yield* finish(Effect.retry(goOn, { times: 50 }))
        assertWhole(pages, range, filter, blocks)
      }).pipe(
        Effect.provide(
          source(
            hosts.map((host) => `http://${host}/`),
            { maxRetries: 6, timeout: Duration.seconds(30) }
          ).pipe(
            Layer.provide([
              VirtualNode.layer(nodes),
              Layer.succeed(WebSocketConstructor)(() => {
                throw new Error("no WebSocket here")
              })
            ])
          )
        )
      )
    })
  }
})
