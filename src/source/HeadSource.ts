/**
 * The stream of heads: every endpoint is polled at its own pace, so that a slow one holds nobody up, and the highest
 * head counts. With a WebSocket, `newHeads` say at once that there is something to poll for. A subscription may go
 * silent without an error, so polling never stops: it only slows down.
 */
import { Duration, Effect, Predicate, PubSub, Redacted, Ref, Result, Schedule, Stream } from "effect"
import * as Socket from "effect/socket/Socket"
import type { BlockHeader } from "../chain/Block.ts"
import type { Endpoint } from "../rpc/Endpoint.ts"
import type { EndpointPool } from "../rpc/EndpointPool.ts"
import * as Headers from "../rpc/Headers.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"

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
}: HeadSourceOptions): Stream.Stream<BlockHeader, ProviderFault, Socket.WebSocketConstructor> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const known = yield* Ref.make<ReadonlyMap<string, BlockHeader>>(new Map())
      const signals = yield* PubSub.sliding<void>(1)
      const interval = wsUrl === undefined ? pollInterval : Duration.max(pollInterval, pollBeside)
      const polled = pool.endpoints.map((endpoint) =>
        Stream.merge(Stream.tick(interval), Stream.fromPubSub(signals)).pipe(
          Stream.buffer({ capacity: 1, strategy: "sliding" }),
          Stream.mapEffect(() => poll(pool, endpoint, known))
        )
      )
      if (wsUrl !== undefined) {
        yield* Stream.runForEach(newHeads(wsUrl), () => PubSub.publish(signals, undefined)).pipe(
          Effect.forkScoped
        )
      }
      return Stream.mergeAll(polled, { concurrency: "unbounded" }).pipe(
        Stream.mapEffect(() => Ref.get(known)),
        Stream.flatMap((heads) => Stream.fromIterable(highest([...heads.values()]))),
        Stream.changesWith((a, b) => a.hash === b.hash)
      )
    })
  )

/**
 * Asks one endpoint for its head. One that does not answer keeps the head it had: a lower one of another endpoint would
 * say less. One that is not trusted has none.
 */
const poll = Effect.fnUntraced(function* (
  pool: EndpointPool["Service"],
  endpoint: Endpoint,
  known: Ref.Ref<ReadonlyMap<string, BlockHeader>>
) {
  const isTrusted = yield* pool.isInService(endpoint)
  const head = isTrusted ? yield* Effect.result(pool.ask(endpoint, Headers.latest)) : undefined
  yield* Ref.update(known, (heads) => {
    const others = new Map(heads)
    if (head !== undefined && Result.isSuccess(head)) others.set(endpoint.id, head.success)
    else if (!isTrusted) others.delete(endpoint.id)
    return others
  })
  if (head === undefined || Result.isSuccess(head) || head.failure.reason._tag !== "WrongChain") return
  // Somebody has to be left who may serve the chain.
  const standings = yield* pool.health
  if (standings.every(({ standing }) => standing === "removed")) return yield* head.failure
})

/** One, or none where no endpoint answers. */
const highest = (heads: ReadonlyArray<BlockHeader>): ReadonlyArray<BlockHeader> => {
  const [first, ...others] = heads
  return first === undefined
    ? []
    : [others.reduce((best, head) => (head.number > best.number ? head : best), first)]
}

/** One element for each head that the WebSocket tells of; reconnects for ever. */
const newHeads = (url: Redacted.Redacted): Stream.Stream<void, never, Socket.WebSocketConstructor> =>
  Stream.unwrap(Effect.map(Socket.makeWebSocket(Redacted.value(url)), subscription)).pipe(
    // A constructor that does not like the URL throws: polling goes on all the same, and so do the attempts.
    Stream.catchCause((cause) => Stream.fail(cause)),
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
