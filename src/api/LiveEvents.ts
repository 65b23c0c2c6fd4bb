/**
 * `/events`: the live feed as server-sent events. Blocks and reorgs carry ids; a reader that comes back with the last
 * one it saw (`Last-Event-ID`, which a browser sends by itself) is told everything since, once and in order.
 *
 * **Details**: a connection is a place in the feed. With each tick the reader is told what comes after it, at most its
 * share of what all readers together are told, and the place moves on; one that takes in nothing costs no memory, and
 * is cut off in the end.
 */
import { Clock, Duration, Effect, PubSub, Ref, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Settings } from "../config/Settings.ts"
import { type FeedPlace, parsePlace, printPlace } from "../delivery/Feed.ts"
import * as Connection from "./Connection.ts"
import { Live } from "./Live.ts"

/** Events that all readers together are told in a tick, and bounds for one of them. */
const eventsPerTick = 20_000
const share = (readers: number): number => Math.min(1000, Math.max(20, Math.ceil(eventsPerTick / readers)))

const kinds = ["status", "block", "reorg"] as const
type Kind = (typeof kinds)[number]

const encoder = new TextEncoder()

const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text)

/** What the reader asks for; undefined for what there is not. */
const parseOnly = (text: string | null): ReadonlySet<Kind> | undefined => {
  const only = text === null ? kinds : text.split(",")
  return only.every(isKind) ? new Set(only) : undefined
}

const refused = (message: string) => HttpServerResponse.text(`${message}\n`, { status: 400 })

const serve = Effect.fnUntraced(function* (
  live: Live["Service"],
  { liveMaxClients, livePingInterval }: Settings["Service"]
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const query = new URL(request.url, "http://localhost").searchParams
  const only = parseOnly(query.get("only"))
  if (only === undefined) return refused(`only: expected some of ${kinds.join(",")}`)
  const told = request.headers["last-event-id"] ?? query.get("last_event_id") ?? ""
  const resumed = told === "" ? undefined : parsePlace(told)
  if (told !== "" && resumed === undefined) return refused("Last-Event-ID: not an id of this feed")
  if (!(yield* live.enter)) return Connection.full(liveMaxClients)

  const connection = Connection.of(request)
  yield* Connection.endWithScope(connection)
  const patience = 2 * Duration.toMillis(livePingInterval)
  connection?.setTimeout(patience, () => connection.destroy())

  const ticks = yield* live.ticks
  const place = yield* Ref.make<FeedPlace>(resumed ?? (yield* live.newest))
  const spoken = yield* Ref.make(yield* Clock.currentTimeMillis)

  /** The next events, and the place moves behind them. While the database does not answer it stays. */
  const next = Effect.gen(function* () {
    const slice = yield* live.since(yield* Ref.get(place), share(yield* live.clients))
    if (slice._tag === "Reset") {
      yield* Ref.set(place, slice.newest)
      const newest = printPlace(slice.newest)
      return `event: reset\nid: ${newest}\ndata: {"type":"reset","newest":"${newest}"}\n\n`
    }
    const last = slice.events.at(-1)
    if (last === undefined) return ""
    yield* Ref.set(place, last.place)
    return slice.events
      .map(({ id, json, type }) => (only.has(type) ? `event: ${type}\nid: ${id}\ndata: ${json}\n\n` : ""))
      .join("")
  }).pipe(Effect.orElseSucceed(() => ""))

  const tell = Effect.gen(function* () {
    const { snapshot } = (yield* PubSub.takeAll(ticks)).at(-1) ?? { snapshot: "" }
    const events = only.has("block") || only.has("reorg") ? yield* next : ""
    const status = only.has("status") ? `event: status\ndata: ${snapshot}\n\n` : ""
    const now = yield* Clock.currentTimeMillis
    const isQuiet = now - (yield* Ref.get(spoken)) >= Duration.toMillis(livePingInterval)
    const text = events + status || (isQuiet ? ": still here\n\n" : "")
    if (text !== "") yield* Ref.set(spoken, now)
    return encoder.encode(text)
  })

  return HttpServerResponse.stream(
    Stream.make(encoder.encode("retry: 1000\n\n")).pipe(
      Stream.concat(Stream.fromEffectRepeat(tell)),
      Stream.filter((bytes) => bytes.length > 0)
    ),
    {
      contentType: "text/event-stream",
      headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
    }
  )
})

export const layer = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    yield* router.add("GET", "/events", serve(yield* Live, yield* Settings))
  })
)
