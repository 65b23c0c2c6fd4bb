/**
 * `/ws`: the live feed as WebSocket messages, each a JSON object with a `type`. See docs/live.md.
 *
 * **Details**
 *
 * A reader whose connection is backed up gets no message until it has taken in what it was sent, so what waits for it
 * is bounded. Whoever has sent nothing between two pings, not even the answer that every WebSocket library gives by
 * itself, is gone or stuck, and is closed.
 */
import { Effect, Option, PubSub, Ref, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Socket } from "effect/socket"
import { Settings } from "../config/Settings.ts"
import * as Connection from "./Connection.ts"
import { Live, type Tick } from "./Live.ts"

/** Largest message that a reader may send. Bytes; more is answered with close code 1009. */
export const maxFrame = 64 * 2 ** 10

/** Bytes that may wait in a connection before messages are left out. */
const maxWaiting = 128 * 2 ** 10

/** Messages that a reader may send between two pings. */
const maxAsked = 100

const opcodes = { text: 0x1, ping: 0x9 } as const

/**
 * A whole message by RFC 6455, as a server sends it: not masked, in one frame.
 *
 * A tick is the same bytes for every reader, so they are made once and written to the connection as they are, which
 * costs a third of sending the text through each socket. Frames may come between those of the socket's own, which
 * are whole as well.
 */
const frame = (kind: keyof typeof opcodes, text: string): Buffer => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(body.length < 126 ? 2 : body.length < 2 ** 16 ? 4 : 10)
  head[0] = 0x80 | opcodes[kind]
  if (body.length < 126) head[1] = body.length
  else if (body.length < 2 ** 16) {
    head[1] = 126
    head.writeUInt16BE(body.length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(body.length), 2)
  }
  return Buffer.concat([head, body])
}

const pingFrame = frame("ping", "")

const framed = new WeakMap<Tick, Buffer>()
const frameOf = (tick: Tick): Buffer => {
  const known = framed.get(tick) ?? frame("text", tick.message)
  framed.set(tick, known)
  return known
}

const Ask = Schema.fromJsonString(Schema.Struct({ type: Schema.Literal("ping") }))
const decodeAsk = Schema.decodeUnknownOption(Ask)

const refusal = JSON.stringify({
  type: "error",
  code: "bad_message",
  message: 'the only message that is understood is {"type":"ping"}; see docs/live.md'
})

const tooMany = new Socket.CloseEvent(1008, `more than ${maxAsked} messages between two pings`)
const silent = new Socket.CloseEvent(1008, "no answer to a ping")

const serve = Effect.fnUntraced(function* (
  live: Live["Service"],
  { liveMaxClients, livePingInterval }: Settings["Service"]
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  if (request.headers["upgrade"]?.toLowerCase() !== "websocket") {
    return HttpServerResponse.text("this is a WebSocket; /events is the same feed over plain HTTP\n", {
      status: 426,
      headers: { upgrade: "websocket" }
    })
  }
  if (Connection.isForeign(request)) {
    return HttpServerResponse.text("pages of other sites may not read the live feed\n", { status: 403 })
  }
  if (!(yield* live.enter)) return Connection.full(liveMaxClients)
  const connection = Connection.of(request)
  yield* Connection.endWithScope(connection)
  const socket = yield* request.upgrade
  const reader = yield* socket.reader
  const writer = yield* socket.writer
  const asked = yield* Ref.make(0)

  const send = (message: string) =>
    Effect.suspend(() =>
      (connection?.writableLength ?? 0) > maxWaiting ? Effect.void : writer.write(message)
    )

  const sendTick = (tick: Tick) =>
    connection === undefined
      ? writer.write(tick.message)
      : Effect.sync(() => {
          if (connection.writable && connection.writableLength <= maxWaiting) connection.write(frameOf(tick))
        })

  const answer = Effect.fnUntraced(function* (frame: string | Uint8Array) {
    if ((yield* Ref.updateAndGet(asked, (count) => count + 1)) > maxAsked) return yield* writer.write(tooMany)
    const isPing = typeof frame === "string" && Option.isSome(decodeAsk(frame))
    return yield* send(isPing ? '{"type":"pong"}' : refusal)
  })

  const listen = reader.pull.pipe(
    Effect.flatMap((frames) => Effect.forEach(frames, answer, { discard: true })),
    Effect.forever
  )

  const tell = Effect.gen(function* () {
    const ticks = yield* live.ticks
    yield* send(yield* live.welcome)
    return yield* Effect.forever(Effect.flatMap(PubSub.take(ticks), sendTick))
  })

  const watch = Effect.gen(function* () {
    const received = connection?.bytesRead ?? 0
    connection?.write(pingFrame)
    yield* Ref.set(asked, 0)
    yield* Effect.sleep(livePingInterval)
    if (connection?.bytesRead === received) {
      yield* writer.write(silent)
      return yield* Effect.interrupt
    }
  })

  yield* Effect.raceFirst(Effect.raceFirst(listen, tell), Effect.forever(watch)).pipe(Effect.ignore)
  return HttpServerResponse.empty()
})

export const layer = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    yield* router.add("GET", "/ws", serve(yield* Live, yield* Settings))
  })
)
