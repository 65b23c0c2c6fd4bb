/**
 * `ChainSource.logs`: eth_getLogs over a range of any length, in pages of what each endpoint can answer.
 *
 * **Details**
 *
 * - Each page is one use of the pool. Which endpoint answers is decided there, how many blocks it is asked for by what
 *   is remembered of it (`LogPaging`). A question that was too large is made smaller on the spot, on the same
 *   endpoint: that is no fault, and takes nothing of the pool's retries.
 * - A node that lags, behind a balancer or not, answers `[]` for blocks that it has not got. So no page ends above the
 *   endpoint's head, and the header of the page's last block is asked for in the same batch: without it the logs
 *   count for nothing.
 * - A refusal that may mean anything, as a timeout, is taken for too large a question only while the same endpoint
 *   still answers with a header.
 *
 * **Gotchas**
 *
 * - Nothing proves that no log is missing: only the receipts of whole blocks can be proven.
 * - Where an endpoint takes no batches the header is asked for after the logs, and a balancer may send the two to
 *   different nodes.
 * - Pages come one after another and are not linked to each other: whoever stores them compares `last` with the chain.
 */
import { Effect, Ref, Result, Stream } from "effect"
import type { BlockHeader } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import * as LogFilter from "../chain/LogFilter.ts"
import * as LogParser from "../chain/LogParser.ts"
import type { Endpoint } from "../rpc/Endpoint.ts"
import type { EndpointPool } from "../rpc/EndpointPool.ts"
import * as Headers from "../rpc/Headers.ts"
import type { Answer, Call } from "../rpc/JsonRpc.ts"
import { HeadLag, Inconsistent, Malformed, type ProviderFault, type Reason } from "../rpc/ProviderFault.ts"
import type { FetchedLogs } from "./ChainSource.ts"
import * as LogPaging from "./LogPaging.ts"

const method = "eth_getLogs"

/** Parts of one filter that are asked for at the same time. */
const partsInFlight = 4

export const make =
  (pool: EndpointPool["Service"]) =>
  (range: BlockRange.BlockRange, filter: LogFilter.LogFilter): Stream.Stream<FetchedLogs, ProviderFault> => {
    const wanted = LogFilter.normalize(filter)
    return Stream.unfold(range.from, (from) =>
      from > range.to
        ? Effect.undefined
        : pool
            // Any endpoint that has the first block can serve a page; it ends at that endpoint's head.
            .use((endpoint) => page(endpoint, BlockRange.make(from, range.to), wanted), {
              method,
              from,
              to: from
            })
            .pipe(Effect.map((fetched) => [fetched, fetched.range.to + 1] as const))
    )
  }

/** The first page of `range`, as long as this endpoint can answer. */
const page = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  range: BlockRange.BlockRange,
  filter: LogFilter.LogFilter
): Effect.fn.Return<FetchedLogs, ProviderFault> {
  const known = yield* Ref.get(endpoint.state)
  const end = Math.max(range.from, Math.min(range.to, known.head ?? range.to))
  const addresses = filter.addresses?.length ?? 0
  const first: LogPaging.Asked = {
    from: range.from,
    blocks: Math.min(LogPaging.allowance(known), end - range.from + 1),
    addresses: Math.min(addresses, known.logAddresses ?? addresses)
  }
  let asked = first
  let filterLimit: number | undefined
  while (true) {
    const outcome = yield* Effect.result(ask(endpoint, asked, filter))
    if (Result.isSuccess(outcome)) {
      const { blocks } = asked
      const { bytes } = outcome.success
      const answer = { blocks, bytes, refused: blocks < first.blocks, filterLimit }
      yield* Ref.update(endpoint.state, (s) => LogPaging.served(s, answer))
      return outcome.success
    }
    const { reason } = outcome.failure
    const before = asked
    const less = outcome.failure.method === method ? LogPaging.smaller(before, reason) : undefined
    if (less === undefined) return yield* outcome.failure
    yield* Ref.update(endpoint.state, (s) => LogPaging.refused(s, before, less, reason))
    yield* Effect.logDebug("logs are asked for in smaller pieces").pipe(
      Effect.annotateLogs({ endpoint: endpoint.id, ...less, reason: `${reason._tag}: ${reason.detail}` })
    )
    if (reason._tag === "FilterTooLarge") filterLimit = less.addresses
    asked = less
  }
})

/** Asks once, in as many requests as the addresses need. */
const ask = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  { addresses, blocks, from }: LogPaging.Asked,
  filter: LogFilter.LogFilter
): Effect.fn.Return<FetchedLogs, ProviderFault> {
  const range = BlockRange.make(from, from + blocks - 1)
  const parts = yield* Effect.forEach(
    LogFilter.split(filter, Math.max(1, addresses)),
    (part) => askPart(endpoint, range, part),
    { concurrency: partsInFlight }
  )
  const [first, ...others] = parts
  if (first === undefined) return yield* endpoint.fault(method, new Malformed({ detail: "no answer" }))
  if (others.length === 0) return first
  const other = others.find(({ last }) => last.hash !== first.last.hash)
  if (other !== undefined) {
    return yield* inconsistent(
      endpoint,
      `block ${range.to} is ${other.last.hash}, expected ${first.last.hash} as in another part of the answer`
    )
  }
  const merged = LogParser.merge(parts.map(({ logs }) => logs))
  return {
    ...first,
    logs: yield* checked(endpoint, merged, range, filter, first.last),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0)
  }
})

const askPart = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  range: BlockRange.BlockRange,
  filter: LogFilter.LogFilter
): Effect.fn.Return<FetchedLogs, ProviderFault> {
  const { bytes, header, logs } = yield* exchange(endpoint, range, filter)
  if (Result.isFailure(logs) && !LogPaging.isDoubtful(logs.failure)) {
    return yield* endpoint.fault(method, logs.failure)
  }
  // Who has not got the end of the range has not answered, whatever it says.
  const last = yield* Headers.headerOf(endpoint, header)
  if (last === undefined) {
    return yield* endpoint.fault(Headers.method, new HeadLag({ detail: `null for block ${range.to}` }))
  }
  if (Result.isFailure(logs)) return yield* endpoint.fault(method, logs.failure)
  if (last.number !== range.to) {
    return yield* inconsistent(endpoint, `the header is of block ${last.number}, expected ${range.to}`)
  }
  // It has the block, so a null is no lag; and it is not nothing either.
  if (!Array.isArray(logs.success)) {
    return yield* endpoint.fault(method, new Malformed({ detail: "no list of logs" }))
  }
  return {
    endpoint: endpoint.id,
    range,
    logs: yield* checked(endpoint, logs.success, range, filter, last),
    last,
    bytes
  }
})

const checked = (
  endpoint: Endpoint,
  answer: ReadonlyArray<unknown>,
  range: BlockRange.BlockRange,
  filter: LogFilter.LogFilter,
  last: BlockHeader
): Effect.Effect<ReadonlyArray<LogParser.PlacedLog>, ProviderFault> => {
  const matcher = LogFilter.matcher(filter)
  const parsed = LogParser.parse(answer, { range, matcher, lastHash: last.hash })
  return "path" in parsed ? inconsistent(endpoint, LogParser.explain(parsed)) : Effect.succeed(parsed.logs)
}

const inconsistent = (endpoint: Endpoint, detail: string): Effect.Effect<never, ProviderFault> =>
  Effect.fail(endpoint.fault(method, new Inconsistent({ check: "logs", detail })))

// The two calls of one part, together or one after the other

interface Exchanged {
  readonly logs: Answer
  /** Undefined where the logs were refused so clearly that nobody asked for it. */
  readonly header: Answer | undefined
  readonly bytes: number
}

const exchange = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  range: BlockRange.BlockRange,
  filter: LogFilter.LogFilter
): Effect.fn.Return<Exchanged> {
  const logsCall = callFor(range, filter)
  const headerCall = Headers.call(range.to)
  const { maxBatch } = yield* Ref.get(endpoint.state)
  if (maxBatch < 2) return yield* oneByOne(endpoint, logsCall, headerCall)
  const both = yield* Effect.result(endpoint.send([logsCall, headerCall]))
  if (Result.isSuccess(both)) {
    const { answers, bytes } = both.success
    const [logs = unanswered, header = unanswered] = answers
    if (!isBatchRefused(logs) && !isBatchRefused(header)) return { logs, header, bytes }
  } else if (both.failure.reason._tag !== "BatchTooLarge") {
    return yield* withHeader(endpoint, headerCall, {
      logs: Result.fail(both.failure.reason),
      header: undefined,
      bytes: 0
    })
  }
  yield* Ref.update(endpoint.state, (s) => ({ ...s, maxBatch: 1 }))
  return yield* oneByOne(endpoint, logsCall, headerCall)
})

const callFor = ({ from, to }: BlockRange.BlockRange, { addresses, topics }: LogFilter.LogFilter): Call => ({
  method,
  params: [
    {
      fromBlock: `0x${from.toString(16)}`,
      toBlock: `0x${to.toString(16)}`,
      ...(addresses === undefined ? {} : { address: addresses }),
      ...(topics === undefined ? {} : { topics })
    }
  ]
})

const oneByOne = (endpoint: Endpoint, logsCall: Call, headerCall: Call): Effect.Effect<Exchanged> =>
  Effect.flatMap(alone(endpoint, logsCall), ({ answer, bytes }) =>
    withHeader(endpoint, headerCall, { logs: answer, header: undefined, bytes })
  )

/** Asks for the header where it decides: after logs, and after what only somebody who still answers can mean so. */
const withHeader = (endpoint: Endpoint, headerCall: Call, before: Exchanged): Effect.Effect<Exchanged> =>
  Result.isFailure(before.logs) && !LogPaging.isDoubtful(before.logs.failure)
    ? Effect.succeed(before)
    : Effect.map(alone(endpoint, headerCall), ({ answer, bytes }) => ({
        ...before,
        header: answer,
        bytes: before.bytes + bytes
      }))

const alone = (
  endpoint: Endpoint,
  call: Call
): Effect.Effect<{ readonly answer: Answer; readonly bytes: number }> =>
  Effect.match(endpoint.send([call]), {
    onFailure: ({ reason }) => ({ answer: Result.fail<Reason>(reason), bytes: 0 }),
    onSuccess: ({ answers, bytes }) => ({ answer: answers[0] ?? unanswered, bytes })
  })

const unanswered: Answer = Result.fail(new Malformed({ detail: "no answer" }))

const isBatchRefused = (answer: Answer): boolean =>
  Result.isFailure(answer) && answer.failure._tag === "BatchTooLarge"
