/**
 * The stream of heads: every endpoint is polled, and the highest head counts; with a WebSocket, `newHeads` say at
 * once that there is something to poll for. A subscription may go silent without an error, so polling never stops:
 * it only slows down.
 */
import { Duration, Effect, Predicate, Redacted, Ref, Result, Schedule, Stream } from "effect"
import * as Socket from "effect/socket/Socket"
import type { BlockHeader } from "../chain/Block.ts"
import * as BlockParser from "../chain/BlockParser.ts"
import type { Endpoint } from "../rpc/Endpoint.ts"
import type { EndpointPool } from "../rpc/EndpointPool.ts"
import type { Answer } from "../rpc/JsonRpc.ts"
import { Malformed, type ProviderFault } from "../rpc/ProviderFault.ts"

export interface HeadSourceOptions {
  readonly pool: EndpointPool["Service"]
  readonly pollInterval: Duration.Duration
  readonly wsUrl: Redacted.Redacted | undefined
}

/** How often to poll beside a WebSocket. */
const pollBeside = Duration.seconds(15)

export const make = ({
  pool,
  pollInterval,
  wsUrl
}: HeadSourceOptions): Stream.Stream<BlockHeader, ProviderFault, Socket.WebSocketConstructor> => {
  const interval = wsUrl === undefined ? pollInterval : Duration.max(pollInterval, pollBeside)
  const ticks = Stream.tick(interval)
  const signals = wsUrl === undefined ? ticks : Stream.merge(ticks, newHeads(wsUrl))
  return signals.pipe(
    Stream.buffer({ capacity: 1, strategy: "sliding" }),
    Stream.mapEffect(() => highest(pool)),
    Stream.changesWith((a, b) => a.hash === b.hash)
  )
}

const highest = (pool: EndpointPool["Service"]): Effect.Effect<BlockHeader, ProviderFault> =>
  pool.all(latest).pipe(
    Effect.map((heads) => heads.reduce((best, head) => (head.number > best.number ? head : best))),
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("30 seconds")]).pipe(
        Schedule.jittered
      ),
      while: (fault) => fault.reason._tag !== "WrongChain"
    })
  )

const latest = Effect.fnUntraced(function* (endpoint: Endpoint) {
  const answer = Result.succeed(yield* endpoint.call("eth_getBlockByNumber", ["latest", false]))
  const head = yield* headerOf(endpoint, answer)
  if (head === undefined) {
    return yield* endpoint.fault(
      "eth_getBlockByNumber",
      new Malformed({ detail: "null for the latest block" })
    )
  }
  yield* Ref.update(endpoint.state, (s) => ({ ...s, head: head.number }))
  return head
})

/** The header in an answer to eth_getBlockByNumber; undefined where the answer is null. */
export const headerOf = (
  endpoint: Endpoint,
  answer: Answer | undefined
): Effect.Effect<BlockHeader | undefined, ProviderFault> => {
  if (answer === undefined) return Effect.undefined
  if (Result.isFailure(answer)) {
    return Effect.fail(endpoint.fault("eth_getBlockByNumber", answer.failure))
  }
  if (answer.success === null) return Effect.undefined
  const header = BlockParser.parseHeader(answer.success)
  return "hash" in header
    ? Effect.succeed(header)
    : Effect.fail(endpoint.fault("eth_getBlockByNumber", new Malformed({ detail: header.message })))
}

/** One element for each head that the WebSocket tells of; reconnects for ever. */
const newHeads = (url: Redacted.Redacted): Stream.Stream<void, never, Socket.WebSocketConstructor> =>
  Stream.unwrap(Effect.map(Socket.makeWebSocket(Redacted.value(url)), subscription)).pipe(
    Stream.tapError(() => Effect.logDebug("the WebSocket for new heads is gone, polling goes on")),
    Stream.retry(
      Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
        Schedule.jittered
      )
    ),
    Stream.catch(() => Stream.empty)
  )

const subscribe = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] })

const subscription = (socket: Socket.Socket): Stream.Stream<void, Socket.SocketError> =>
  Stream.make(subscribe).pipe(
    Stream.concat(Stream.never),
    Stream.pipeThroughChannel(Socket.toChannelString(socket)),
    Stream.filter(isNotification),
    Stream.map(() => undefined)
  )

const isNotification = (message: string): boolean => {
  try {
    const value: unknown = JSON.parse(message)
    return Predicate.isObject(value) && value["method"] === "eth_subscription"
  } catch {
    return false
  }
}
