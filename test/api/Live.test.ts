/**
 * The live feed over a real server: what readers are told, from where they resume, and what becomes of those who do
 * not behave.
 */
import { createServer, request as httpRequest } from "node:http"
import { connect, type Socket } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { WebSocket } from "@effect/platform-node/NodeWS"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Live } from "../../src/api/Live.ts"
import * as LiveEvents from "../../src/api/LiveEvents.ts"
import * as LiveSocket from "../../src/api/LiveSocket.ts"
import { Settings, type SettingsOptions } from "../../src/config/Settings.ts"
import { Feed, type FeedEvent } from "../../src/delivery/Feed.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"
import * as Status from "../../src/flow/Status.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import { Store } from "../../src/store/Store.ts"
import { TokenReads } from "../../src/tokens/TokenReads.ts"
import { encoded, lead, linked } from "../store/contract.ts"
import * as MemoryStore from "../support/MemoryStore.ts"

/** A writer without a stream: commits go to the store and to the feed, as `Writer` does it. */
const world = (options: Partial<SettingsOptions>) =>
  Layer.mergeAll(
    Status.Status.layer(0),
    BackPressure.layer,
    Feed.layer,
    MemoryStore.layer,
    Layer.mock(ChainSource, { health: Effect.succeed([]), fetched: Effect.succeed(0) })
  ).pipe(Layer.provideMerge(Settings.layer({ profile: "anvil", liveInterval: "100 millis", ...options })))

const server = HttpRouter.serve(
  Layer.mergeAll(LiveSocket.layer, LiveEvents.layer).pipe(Layer.provide(Live.layer)),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provideMerge(
    NodeHttpServer.layer(createServer, {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: "200 millis",
      websocket: { maxPayload: LiveSocket.maxFrame }
    })
  )
)

/** Starts the server in a scope of its own, so that it can be ended; its address without the scheme. */
const serve = Effect.gen(function* () {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Scope.provide(Layer.build(Layer.fresh(server)), scope)
  const url = yield* Effect.provideContext(HttpServer.addressFormattedWith(Effect.succeed), context)
  return { host: url.replace("http://", ""), stop: Scope.close(scope, Exit.void) }
})

const chain = encoded(linked(0, 100))

const commit = Effect.fnUntraced(function* (from: number, count: number) {
  const store = yield* Store
  const feed = yield* Feed
  const blocks = chain.slice(from, from + count)
  const { lease } = yield* store.acquireLease({ holder: "test", duration: 60_000, evenIfHeld: true })
  const state = yield* store.append({ epoch: lease.epoch, blocks, finalized: undefined })
  const events = blocks.map(
    ({ hash, level, logs, number, parentHash, timestamp, transactions }): FeedEvent => ({
      _tag: "BlockCommitted",
      commit: state.commit,
      number,
      hash,
      parentHash,
      timestamp,
      level,
      transactions,
      logs
    })
  )
  yield* feed.publish(events)
  return events
})

const rollback = Effect.fnUntraced(function* (ancestor: number) {
  const store = yield* Store
  const back = yield* store.rollback({ epoch: yield* lead, ancestor })
  const { at, depth, removed } = back
  yield* (yield* Feed).publish([{ _tag: "RolledBack", commit: back.commit, ancestor, depth, at, removed }])
})

interface Event {
  readonly id: string
  readonly [key: string]: unknown
}

interface Message {
  readonly type: string
  readonly [key: string]: unknown
}

/** Once it succeeds. */
const soon = <A, E>(effect: Effect.Effect<A, E>) =>
  effect.pipe(Effect.retry(Schedule.spaced("10 millis")), Effect.timeout("5 seconds"), Effect.orDie)

/** A reader over a WebSocket: what it was told so far, and how it ended. */
const reader = Effect.fnUntraced(function* (host: string, headers: Record<string, string> = {}) {
  const messages: Array<Message> = []
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`ws://${host}/ws`, { headers })),
    (ws) => Effect.sync(() => ws.terminate())
  )
  const ended = new Promise<number>((done) => {
    socket.on("message", (data) => messages.push(JSON.parse(String(data))))
    socket.on("error", () => undefined)
    socket.on("unexpected-response", (_, response) => done(response.statusCode ?? 0))
    socket.on("close", (code) => done(code))
  })
  const told = (isIt: (message: Message) => boolean) =>
    Effect.suspend(() => {
      const found = messages.find(isIt)
      return found === undefined ? Effect.fail("not yet") : Effect.succeed(found)
    }).pipe(soon)
  return { socket, messages, ended: Effect.promise(() => ended), told }
})

/** Server-sent events until there are so many blocks and reorgs, as `[id, type]`; the rest of a page is left. */
const sse = (host: string, path: string, count: number, lastEventId?: string) =>
  Effect.callback<{
    readonly status: number
    readonly events: ReadonlyArray<readonly [id: string, type: string]>
  }>((resume) => {
    let text = ""
    const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId }
    const asked = httpRequest(`http://${host}${path}`, { headers }, (response) => {
      const end = () => {
        const all = [...text.matchAll(/^event: (\w+)\nid: (\S+)\ndata: \{.*\}\n\n/gm)]
        const events = all.map(([, type = "", id = ""]) => [id, type] as const).slice(0, count)
        if (events.length < count && !response.complete) return
        asked.destroy()
        resume(Effect.succeed({ status: response.statusCode ?? 0, events }))
      }
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part
        end()
      })
      response.on("end", end).on("error", () => undefined)
    })
    asked.on("error", () => undefined).end()
    return Effect.sync(() => asked.destroy())
  }).pipe(Effect.timeout("10 seconds"), Effect.orDie)

const ids = (events: ReadonlyArray<readonly [id: string, type: string]>) => events.map(([id]) => id)

/** A connection that asks and then reads nothing. */
const stalled = Effect.fnUntraced(function* (host: string, path: string, upgrade: boolean) {
  const [hostname, port] = host.split(":")
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => connect({ host: hostname ?? "", port: Number(port) })),
    (open: Socket) => Effect.sync(() => open.destroy())
  )
  const lines = upgrade
    ? [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
      ]
    : []
  socket.pause().on("error", () => undefined)
  socket.write([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines, "", ""].join("\r\n"))
  return socket
})

const running = <A, E>(
  test: Effect.Effect<A, E, Scope.Scope | Layer.Success<ReturnType<typeof world>>>,
  options: Partial<SettingsOptions> = {}
) => test.pipe(Effect.scoped, Effect.provide(Layer.fresh(world(options))))

describe("the live feed", () => {
  it.live("tells a WebSocket what is, and then what happens", () =>
    running(
      Effect.gen(function* () {
        yield* commit(0, 3)
        const { host } = yield* serve
        const { messages, told } = yield* reader(host)
        const welcome = yield* told(({ type }) => type === "welcome")
        assert.deepInclude(welcome["snapshot"], { not_ready: ["starting"], bottleneck: null })
        assert.deepEqual(
          (welcome["events"] as ReadonlyArray<Event>).map(({ id }) => id),
          ["1.0", "1.1", "1.2"]
        )
        yield* commit(3, 2)
        yield* rollback(2)
        const news = () => messages.slice(1).flatMap(({ events }) => events as ReadonlyArray<Event>)
        yield* soon(Effect.suspend(() => (news().length === 3 ? Effect.void : Effect.fail("not yet"))))
        const removed = chain.slice(3, 5).map(({ hash, number }) => ({ number, hash }))
        assert.deepEqual(
          news().map(({ id }) => id),
          ["2.3", "2.4", "3"]
        )
        assert.deepInclude(news()[2], { type: "reorg", ancestor: 2, depth: 2, removed })
      })
    )
  )

  it.live("tells the top of the tokens with the next snapshot, and null where there are none", () =>
    running(
      Effect.gen(function* () {
        const without = yield* serve
        const { messages, told } = yield* reader(without.host)
        assert.isNull((yield* told(({ type }) => type === "welcome"))["tokens"])
        yield* told(({ type }) => type === "snapshot")
        assert.isTrue(messages.slice(1).every((message) => !("tokens" in message)))
        const reads = Layer.mock(TokenReads, {
          top: ({ kind }) => Effect.succeed({ kind, rows: [], next: undefined }),
          closes: () => Effect.succeed([])
        })
        const { host } = yield* Effect.provide(serve, reads)
        const first = yield* reader(host)
        assert.notProperty(yield* first.told(({ type }) => type === "welcome"), "tokens")
        const news = yield* first.told((message) => "tokens" in message)
        assert.deepInclude(news["tokens"], { window: "1h", tokens: [], pairs: [] })
        const late = yield* reader(host)
        const welcome = yield* late.told(({ type }) => type === "welcome")
        assert.deepEqual(welcome["tokens"], news["tokens"])
      })
    )
  )

  it.live("resumes server-sent events exactly, from memory and from the store", () =>
    running(
      Effect.gen(function* () {
        for (let i = 0; i < 30; i++) yield* commit(i * 2, 2)
        yield* rollback(50)
        const all = [...Array.from({ length: 60 }, (_, n) => `${Math.floor(n / 2) + 1}.${n}`), "31"]
        const { host } = yield* serve
        const path = "/events?only=block,reorg"
        const first = yield* sse(host, path, 61, "0")
        assert.deepEqual(ids(first.events), all)
        assert.deepEqual(first.events.at(-1), ["31", "reorg"])
        for (const at of [0, 1, 20, 40, 58, 59]) {
          const rest = all.slice(at + 1)
          assert.deepEqual(ids((yield* sse(host, path, rest.length, all[at])).events), rest)
        }
        assert.deepEqual(ids((yield* sse(host, "/events?only=reorg&last_event_id=9", 1)).events), ["31"])
        const live = yield* Effect.forkChild(sse(host, path, 2, "31"))
        yield* Effect.sleep("50 millis")
        yield* commit(51, 2)
        assert.deepEqual(ids((yield* Fiber.join(live)).events), ["32.51", "32.52"])
        assert.deepEqual((yield* sse(host, path, 1, "99.1")).events, [["32", "reset"]])
        assert.strictEqual((yield* sse(host, path, 1, "one")).status, 400)
        assert.strictEqual((yield* sse(host, "/events?only=tokens", 1)).status, 400)
      })
    )
  )

  it.live("answers 503 when all places are taken, and gives a place back", () =>
    running(
      Effect.gen(function* () {
        const { host } = yield* serve
        const first = yield* reader(host)
        yield* first.told(({ type }) => type === "welcome")
        const events = yield* stalled(host, "/events", false)
        yield* Effect.sleep("100 millis")
        const third = yield* reader(host)
        assert.strictEqual(yield* third.ended, 503)
        assert.strictEqual((yield* sse(host, "/events", 1)).status, 503)
        events.destroy()
        yield* Effect.sleep("100 millis")
        const fourth = yield* reader(host)
        yield* fourth.told(({ type }) => type === "welcome")
      }),
      { liveMaxClients: 2 }
    )
  )

  it.live("refuses what it does not understand without falling over", () =>
    running(
      Effect.gen(function* () {
        const { host } = yield* serve
        const foreign = yield* reader(host, { origin: "https://elsewhere.example" })
        assert.strictEqual(yield* foreign.ended, 403)
        const own = yield* reader(host, { origin: `http://${host}` })
        yield* own.told(({ type }) => type === "welcome")
        own.socket.send('{"type":"ping"}')
        yield* own.told(({ type }) => type === "pong")
        for (const frame of ["", "{", '{"type":"all"}', Buffer.from([0, 255])]) own.socket.send(frame)
        yield* own.told(({ code, type }) => type === "error" && code === "bad_message")
        own.socket.send("x".repeat(LiveSocket.maxFrame + 1))
        assert.strictEqual(yield* own.ended, 1009)
        const flood = yield* reader(host)
        yield* flood.told(({ type }) => type === "welcome")
        for (let i = 0; i < 200; i++) flood.socket.send("{}")
        assert.strictEqual(yield* flood.ended, 1008)
        yield* (yield* reader(host)).told(({ type }) => type === "welcome")
      })
    )
  )

  it.live("closes who is gone, and keeps who answers", () =>
    running(
      Effect.gen(function* () {
        const { host } = yield* serve
        const alive = yield* reader(host)
        const gone = yield* stalled(host, "/ws", true)
        const closed = yield* Effect.forkChild(
          Effect.callback<void>((resume) => void gone.once("close", () => resume(Effect.void)))
        )
        yield* Effect.sleep("100 millis")
        gone.resume()
        yield* Fiber.join(closed)
        assert.strictEqual(alive.socket.readyState, WebSocket.OPEN)
      }),
      { livePingInterval: "300 millis" }
    )
  )

  it.live("ends at once with readers of every kind, stalled ones among them", () =>
    running(
      Effect.gen(function* () {
        const { host, stop } = yield* serve
        const sockets = yield* Effect.forEach([1, 2, 3], () => reader(host))
        for (const { told } of sockets) yield* told(({ type }) => type === "welcome")
        yield* stalled(host, "/ws", true)
        yield* stalled(host, "/events", false)
        yield* Effect.sleep("300 millis")
        const [took] = yield* Effect.timed(stop)
        assert.isBelow(Duration.toMillis(took), 2000)
      })
    )
  )
})
