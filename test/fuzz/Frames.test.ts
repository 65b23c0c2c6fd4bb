/**
 * Hostile frames on the WebSocket that announces new heads: the heads stay those that the node is asked for, and
 * however a socket ends, the next announcement is heard.
 */
import { describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Ref, Stream } from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import { EndpointPool } from "../../src/rpc/EndpointPool.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import { extend } from "../support/SimulatedChain.ts"
import * as VirtualNode from "../support/VirtualNode.ts"
import * as Campaign from "./Campaign.ts"
import * as FakeSocket from "./FakeSocket.ts"
import * as Mutations from "./Mutations.ts"

const chain = extend([], 2)

const announcement = {
  jsonrpc: "2.0",
  method: "eth_subscription",
  params: {
    subscription: "0x9cef478923ff08bf67fde6c64013158d",
    result: { ...chain[1]?.block, transactions: [] }
  }
}

interface Part {
  readonly what: string
  /** Nothing in it can be an announcement. */
  readonly isSilent?: boolean
  readonly happens: (sockets: FakeSocket.Sockets) => void
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const frame = (what: string, data: string | Uint8Array): Part => ({
  what: `a frame: ${what}`,
  isSilent: !Buffer.from(data).includes("eth_subscription"),
  happens: (sockets) => sockets.newest()?.receive(data)
})

const mutations = Mutations.all(announcement)

/** Every other one of them in bytes. */
const changed = (n: number): Part => {
  const mutation = mutations[n] ?? { path: [], kind: "null" }
  const text = Mutations.apply(announcement, [mutation])
  return frame(Mutations.show(mutation), n % 2 === 0 ? text : bytes(text))
}

const genuine = JSON.stringify(announcement)

const odd: ReadonlyArray<Part> = [
  ...[
    "",
    " ",
    "null",
    "0",
    "true",
    '"x"',
    "[]",
    "{}",
    `[${genuine}]`,
    `\ufeff${genuine}`,
    "<html>",
    "[".repeat(100_000)
  ].map((text) => frame(text.slice(0, 20), text)),
  frame("bytes that are no UTF-8", new Uint8Array([0xff, 0xfe, 0xc3, 0x28, 0x00])),
  frame("no bytes", new Uint8Array()),
  frame("a million letters", "x".repeat(1_000_000)),
  ...Array.from({ length: Math.ceil(genuine.length / 97) }, (_, i) =>
    frame(`${i * 97} letters`, genuine.slice(0, i * 97))
  ),
  ...[1000, 1001, 1002, 1006, 1008, 1009, 1011, 1012, 1013, 4000, 4999, 0].map(
    (code): Part => ({
      what: `it closes with ${code}`,
      happens: (sockets) => sockets.newest()?.end(code, "\u001b[2J no\nmore")
    })
  ),
  { what: "an error", happens: (sockets) => sockets.newest()?.fail() },
  {
    what: "an error and then a frame",
    happens: (sockets) => {
      sockets.newest()?.fail()
      sockets.newest()?.receive(genuine)
    }
  },
  {
    what: "it closes, and the next cannot be made",
    happens: (sockets) => {
      sockets.refuse(1)
      sockets.newest()?.end(1006, "")
    }
  },
  {
    what: "it closes, and the next three cannot be made",
    happens: (sockets) => {
      sockets.refuse(3)
      sockets.newest()?.end(1006, "")
    }
  },
  {
    what: "it closes, and the next one never opens",
    happens: (sockets) => {
      sockets.mute(1)
      sockets.newest()?.end(1006, "")
    }
  },
  {
    what: "a thousand announcements at once",
    happens: (sockets) => {
      for (let i = 0; i < 1000; i++) sockets.newest()?.receive(genuine)
    }
  }
]

const part = (n: number): Part => odd[n] ?? changed(n - odd.length)
const count = odd.length + mutations.length

/** Long enough for any number of new connections. */
const recovery = "70 seconds"

const judge = Effect.fnUntraced(function* (happening: ReadonlyArray<Part>) {
  const sockets = FakeSocket.make()
  const polls = yield* Ref.make(0)
  const node: VirtualNode.Respond = (calls) =>
    Effect.andThen(
      calls.some(({ params }) => params[0] === "latest") ? Ref.update(polls, (n) => n + 1) : Effect.void,
      VirtualNode.node(() => chain, 1)(calls)
    )
  const source = RpcSource.layer({
    pollInterval: Duration.seconds(1),
    wsUrl: Redacted.make("ws://node/key")
  }).pipe(
    Layer.provide(
      EndpointPool.layer({
        urls: [Redacted.make("http://node")],
        chainId: 31_337,
        maxRetries: 0,
        timeout: Duration.seconds(2),
        maxResponseBytes: 2 ** 20,
        concurrency: 4,
        prices: new Map()
      })
    ),
    Layer.provide([
      VirtualNode.layer({ node }),
      Layer.succeed(WebSocketConstructor)(() => sockets.connect() as unknown as globalThis.WebSocket)
    ])
  )
  return yield* Effect.gen(function* () {
    const heads = yield* Ref.make<ReadonlyArray<string>>([])
    const { heads: stream } = yield* ChainSource
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, ({ hash }) => Ref.update(heads, (all) => [...all, hash]))
    )
    // The first question is one of two, each of which takes its time.
    while ((yield* Ref.get(heads)).length === 0) yield* TestClock.adjust("10 millis")
    for (const { happens, isSilent } of happening) {
      const before = yield* Ref.get(polls)
      happens(sockets)
      yield* TestClock.adjust("10 millis")
      if (isSilent === true && (yield* Ref.get(polls)) > before) return "it was taken for an announcement"
    }
    yield* TestClock.adjust(recovery)
    const before = yield* Ref.get(polls)
    sockets.newest()?.receive(genuine)
    yield* TestClock.adjust("10 millis")
    const heard = (yield* Ref.get(polls)) - before
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return `the heads ended: ${exit}`
    const seen = yield* Ref.get(heads)
    if (seen.length !== 1 || seen[0] !== chain.at(-1)?.block.hash) return `the heads were ${seen.join(", ")}`
    if (happening.every(({ what }) => what.startsWith("a frame")) && sockets.count() > 1) {
      return "a frame ended the connection"
    }
    return heard === 1 ? undefined : `an announcement led to ${heard} questions for the head`
  }).pipe(Effect.provide(Layer.fresh(source)), Effect.scoped)
})

describe("newHeads", () => {
  it.effect(
    "frames",
    () =>
      Campaign.test({
        name: "frames",
        singles: count,
        single: part,
        small: { singles: 30, mixtures: 12 },
        draw: (r) => part(r.int(count)),
        show: ({ what }) => what,
        judge
      }).pipe(Campaign.quiet),
    Campaign.limit
  )
  it.effect("however a socket ends", () =>
    Campaign.test({
      name: "however a socket ends",
      singles: odd.length,
      single: part,
      small: { singles: odd.length, mixtures: 0 },
      draw: (r) => part(r.int(odd.length)),
      show: ({ what }) => what,
      judge
    }).pipe(Campaign.quiet)
  )
})
