/**
 * `ChainSource` from a pool of JSON-RPC endpoints.
 *
 * Blocks and receipts of several blocks travel in one HTTP batch, as many as keep an answer near `targetBytes`: a
 * request costs the same whether it carries a kilobyte or a megabyte, and one parse of a large answer is cheaper
 * than many of small ones. Where a node takes no batches, or has no eth_getBlockReceipts, the endpoint's memory says
 * so after the first try, and single requests or eth_getTransactionReceipt serve instead.
 */

import type { Duration, Redacted } from "effect"
import { Effect, Layer, Ref, Result, Stream } from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"
import type { RawBlock } from "../chain/Block.ts"
import * as BlockParser from "../chain/BlockParser.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import type { Endpoint } from "../rpc/Endpoint.ts"
import type { EndpointHealth } from "../rpc/EndpointHealth.ts"
import { EndpointPool } from "../rpc/EndpointPool.ts"
import * as Headers from "../rpc/Headers.ts"
import type { Answer, Call } from "../rpc/JsonRpc.ts"
import { HeadLag, Inconsistent, Malformed, type ProviderFault, type Reason } from "../rpc/ProviderFault.ts"
import { ChainSource, type Chunk, type FetchedBlocks, type Prove } from "./ChainSource.ts"
import * as Heads from "./HeadSource.ts"
import * as LogPaging from "./LogPaging.ts"
import * as LogSource from "./LogSource.ts"

export interface RpcSourceOptions {
  readonly pollInterval: Duration.Duration
  readonly wsUrl: Redacted.Redacted | undefined
}

/** Bytes that an answer should have. Larger ones hold the event loop for longer, and gain nothing. */
const targetBytes = 1_500_000

/** Blocks in one request, however small they are: a batch has two calls for each. */
const maxChunk = 50

const getBlock = "eth_getBlockByNumber"

/** Averages of small requests are kept apart from those for whole blocks. */
const headersOf = "headers"

/** Whose silence means nothing but that it is busy. */
const isThere: ReadonlySet<EndpointHealth["standing"]> = new Set(["available", "resting"])

const hex = (number: number) => `0x${number.toString(16)}`

export const layer = (
  options: RpcSourceOptions
): Layer.Layer<ChainSource, never, EndpointPool | WebSocketConstructor> =>
  Layer.effect(ChainSource, make(options))

export const make = Effect.fnUntraced(function* (options: RpcSourceOptions) {
  const pool = yield* EndpointPool
  const webSocket = yield* WebSocketConstructor
  /** Moving average of a block's bytes with its receipts; undefined before the first. */
  const blockBytes = yield* Ref.make<number | undefined>(undefined)
  const fetched = yield* Ref.make(0)

  const blocks = <A>(
    range: BlockRange.BlockRange,
    prove: Prove<A>
  ): Effect.Effect<FetchedBlocks<A>, ProviderFault> =>
    pool
      .use((endpoint) => Effect.flatMap(fetchBlocks(endpoint, range), proven(endpoint, range, prove)), {
        method: getBlock,
        from: range.from,
        to: range.to
      })
      .pipe(
        Effect.tap(({ bytes }) =>
          Ref.update(blockBytes, (mean) => {
            const now = bytes / BlockRange.size(range)
            return mean === undefined ? now : mean * 0.7 + now * 0.3
          })
        ),
        Effect.tap(() => Ref.update(fetched, (sum) => sum + BlockRange.size(range))),
        Effect.catchReason("ProviderFault", "ResponseTooLarge", (_, fault) =>
          range.from === range.to ? Effect.fail(fault) : inHalves(range, prove)
        )
      )

  const inHalves = Effect.fnUntraced(function* <A>(range: BlockRange.BlockRange, prove: Prove<A>) {
    const middle = Math.floor((range.from + range.to) / 2)
    const lower = yield* blocks(BlockRange.make(range.from, middle), prove)
    const upper = yield* blocks(BlockRange.make(middle + 1, range.to), prove)
    return {
      endpoint: upper.endpoint,
      blocks: [...lower.blocks, ...upper.blocks],
      bytes: lower.bytes + upper.bytes
    }
  })

  const chunk = Effect.map(
    Ref.get(blockBytes),
    (mean): Chunk =>
      mean === undefined
        ? { blocks: 4, bytes: targetBytes / 4 }
        : {
            blocks: Math.max(1, Math.min(maxChunk, Math.floor(targetBytes / Math.max(mean, 1)))),
            bytes: Math.ceil(mean)
          }
  )

  const logChunk = Effect.map(
    Effect.forEach(pool.endpoints, ({ state }) => Ref.get(state)),
    (states) => Math.max(...states.map(LogPaging.allowance))
  )

  const headers = (numbers: ReadonlyArray<number>) =>
    numbers.length === 0
      ? Effect.succeed([])
      : pool.use(
          Effect.fnUntraced(function* (endpoint) {
            const { answers } = yield* sendAll(endpoint, numbers.map(Headers.call))
            return yield* Effect.forEach(answers, (answer, i) =>
              Headers.headerOf(endpoint, answer, numbers[i])
            )
          }),
          { method: headersOf, highest: true }
        )

  const everyHash = Effect.fnUntraced(function* (number: number) {
    const standings = yield* pool.health
    const asked = pool.endpoints.filter(({ id }) =>
      standings.some((health) => health.id === id && isThere.has(health.standing))
    )
    const known = yield* Effect.forEach(
      asked,
      (endpoint) => pool.ask(endpoint, (one) => Headers.header(one, number)),
      { concurrency: "unbounded" }
    )
    return known.flatMap((header) => (header === undefined ? [] : [header.hash]))
  })

  const tagged = (tag: "safe" | "finalized") =>
    pool
      .use((endpoint) => Headers.header(endpoint, tag), { method: headersOf, highest: true })
      .pipe(
        // A node without such tags says so in many words; that there is none is an answer.
        Effect.catchReasons("ProviderFault", {
          Rejected: () => Effect.undefined,
          HeadLag: () => Effect.undefined,
          MethodUnsupported: () => Effect.undefined
        })
      )

  return ChainSource.of({
    heads: Heads.make({ pool, ...options }).pipe(Stream.provideService(WebSocketConstructor, webSocket)),
    finalized: tagged("finalized"),
    safe: tagged("safe"),
    genesis: pool.genesis,
    headers,
    everyHash,
    blocks,
    logs: LogSource.make(pool),
    chunk,
    logChunk,
    report: pool.report,
    health: pool.health,
    fetched: Ref.get(fetched)
  })
})

/** Sends calls in as few HTTP requests as the endpoint takes, learning from its refusals. */
const sendAll = (
  endpoint: Endpoint,
  calls: ReadonlyArray<Call>
): Effect.Effect<{ readonly answers: ReadonlyArray<Answer>; readonly bytes: number }, ProviderFault> =>
  Effect.gen(function* () {
    const { maxBatch } = yield* Ref.get(endpoint.state)
    if (calls.length <= maxBatch) return yield* endpoint.send(calls)
    const parts: Array<ReadonlyArray<Call>> = []
    for (let at = 0; at < calls.length; at += maxBatch) parts.push(calls.slice(at, at + maxBatch))
    const sent = yield* Effect.forEach(parts, (part) => endpoint.send(part), { concurrency: 4 })
    return {
      answers: sent.flatMap(({ answers }) => answers),
      bytes: sent.reduce((sum, { bytes }) => sum + bytes, 0)
    }
  }).pipe(
    Effect.catchReason("ProviderFault", "BatchTooLarge", ({ max }, fault) =>
      Effect.gen(function* () {
        const { maxBatch } = yield* Ref.get(endpoint.state)
        if (Math.min(maxBatch, calls.length) <= 1) return yield* fault
        const asked = Math.min(maxBatch, calls.length)
        const smaller = Math.max(1, max !== undefined && max < asked ? max : Math.floor(asked / 4))
        yield* Ref.update(endpoint.state, (s) => ({ ...s, maxBatch: smaller }))
        return yield* sendAll(endpoint, calls)
      })
    )
  )

/** The blocks of an answer after their proof; whatever does not fit is said of this endpoint. */
const proven =
  <A>(endpoint: Endpoint, range: BlockRange.BlockRange, prove: Prove<A>) =>
  ({ bytes, raw }: RawBlocks): Effect.Effect<FetchedBlocks<A>, ProviderFault> =>
    Effect.forEach(raw, (block, i) => prove(block, range.from + i)).pipe(
      Effect.mapBoth({
        onFailure: (reason) => endpoint.fault(getBlock, reason),
        onSuccess: (blocks) => ({ endpoint: endpoint.id, blocks, bytes })
      })
    )

interface RawBlocks {
  readonly raw: ReadonlyArray<RawBlock>
  readonly bytes: number
}

const fetchBlocks = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  range: BlockRange.BlockRange
): Effect.fn.Return<RawBlocks, ProviderFault> {
  const { blockReceipts } = yield* Ref.get(endpoint.state)
  const numbers = Array.from({ length: BlockRange.size(range) }, (_, i) => range.from + i)
  const blockCall = (number: number): Call => ({ method: getBlock, params: [hex(number), true] })
  const getReceipts = (number: number): Call => ({ method: "eth_getBlockReceipts", params: [hex(number)] })
  if (!blockReceipts) return yield* fetchWithSingleReceipts(endpoint, numbers, numbers.map(blockCall))

  const { answers, bytes } = yield* sendAll(
    endpoint,
    numbers.flatMap((number) => [blockCall(number), getReceipts(number)])
  )
  const unsupported = answers.some(
    (answer, i) => i % 2 === 1 && Result.isFailure(answer) && answer.failure._tag === "MethodUnsupported"
  )
  if (unsupported) {
    yield* Ref.update(endpoint.state, (s) => ({ ...s, blockReceipts: false }))
    return yield* fetchWithSingleReceipts(endpoint, numbers, numbers.map(blockCall))
  }
  const raw = yield* Effect.forEach(numbers, (number, i) =>
    Effect.gen(function* () {
      const block = yield* resultOf(endpoint, getBlock, number, answers[2 * i])
      const receipts = yield* resultOf(endpoint, "eth_getBlockReceipts", number, answers[2 * i + 1])
      return yield* parsed(endpoint, block, receipts, number)
    })
  )
  return { raw, bytes }
})

/** For nodes without eth_getBlockReceipts: the blocks first, then a receipt for each of their transactions. */
const fetchWithSingleReceipts = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  numbers: ReadonlyArray<number>,
  calls: ReadonlyArray<Call>
): Effect.fn.Return<RawBlocks, ProviderFault> {
  const first = yield* sendAll(endpoint, calls)
  const found = yield* Effect.forEach(numbers, (number, i) =>
    Effect.gen(function* () {
      const block = yield* resultOf(endpoint, getBlock, number, first.answers[i])
      const hashes = BlockParser.transactionHashes(block)
      if (hashes === undefined) {
        return yield* endpoint.fault(
          getBlock,
          new Malformed({ detail: `block ${number} has no list of full transactions` })
        )
      }
      return { number, block, hashes }
    })
  )
  const second = yield* sendAll(
    endpoint,
    found.flatMap(({ hashes }) =>
      hashes.map((hash): Call => ({ method: "eth_getTransactionReceipt", params: [hash] }))
    )
  )
  const raw: Array<RawBlock> = []
  let at = 0
  for (const { number, block, hashes } of found) {
    const receipts = yield* Effect.forEach(second.answers.slice(at, at + hashes.length), (answer) =>
      resultOf(endpoint, "eth_getTransactionReceipt", number, answer)
    )
    at += hashes.length
    raw.push(yield* parsed(endpoint, block, receipts, number))
  }
  return { raw, bytes: first.bytes + second.bytes }
})

const resultOf = (
  endpoint: Endpoint,
  method: string,
  number: number,
  answer: Answer | undefined
): Effect.Effect<unknown, ProviderFault> => {
  const fail = (reason: Reason) => Effect.fail(endpoint.fault(method, reason))
  if (answer === undefined) return fail(new Malformed({ detail: "no answer" }))
  if (Result.isFailure(answer)) return fail(answer.failure)
  // A null is how most nodes say that they have not got the block yet.
  if (answer.success === null) return fail(new HeadLag({ detail: `null for block ${number}` }))
  return Effect.succeed(answer.success)
}

const parsed = (
  endpoint: Endpoint,
  block: unknown,
  receipts: unknown,
  number: number
): Effect.Effect<RawBlock, ProviderFault> => {
  const raw = BlockParser.parse(block, receipts, number)
  return "block" in raw
    ? Effect.succeed(raw)
    : Effect.fail(endpoint.fault(getBlock, new Inconsistent({ check: "shape", detail: raw.message })))
}
