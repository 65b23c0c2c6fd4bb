/**
 * The hub of the live feed: what happens is made into messages once, and any number of readers take them from memory.
 *
 * **Details**
 *
 * A tick, a few times a second while anybody reads, renders one snapshot and hands it to the readers' own sliding
 * subscriptions: a reader that is slow misses ticks, and neither the stream nor another reader waits for it. Blocks and
 * reorgs also stand in the store; `since` reads them from a place on without a hole, from memory where that reaches
 * back far enough.
 *
 * **Gotchas**: what another instance commits arrives here only once this one leads. A stand-by shows snapshots.
 */
import { Clock, Context, Duration, Effect, Layer, PubSub, Ref, Schedule, type Scope, Semaphore } from "effect"
import { Settings } from "../config/Settings.ts"
import { Feed, type FeedPlace } from "../delivery/Feed.ts"
import { Status } from "../flow/Status.ts"
import { Store, type StoreError } from "../store/Store.ts"
import * as EventWindow from "./EventWindow.ts"
import * as LiveEvent from "./LiveEvent.ts"
import * as Snapshot from "./Snapshot.ts"
import * as TokenBoard from "./TokenBoard.ts"

export interface Tick {
  /** The snapshot, as JSON. */
  readonly snapshot: string
  /** Snapshot and news in one message, for those who need not have every block. */
  readonly message: string
}

/** `Reset` as in `Store.events`. */
export type Slice =
  | { readonly _tag: "Events"; readonly events: ReadonlyArray<LiveEvent.LiveEvent> }
  | { readonly _tag: "Reset"; readonly newest: FeedPlace }

export class Live extends Context.Service<
  Live,
  {
    /** Takes one of the places for readers until the scope closes; false when there is none. */
    readonly enter: Effect.Effect<boolean, never, Scope.Scope>
    readonly clients: Effect.Effect<number>
    /** The first message: the newest snapshot, the charts so far, and the newest blocks. */
    readonly welcome: Effect.Effect<string>
    readonly ticks: Effect.Effect<PubSub.Subscription<Tick>, never, Scope.Scope>
    /** The place after the newest event. */
    readonly newest: Effect.Effect<FeedPlace>
    /** The next events after a place, at most `limit`. */
    readonly since: (place: FeedPlace, limit: number) => Effect.Effect<Slice, StoreError>
  }
>()("sluice/api/Live") {
  static readonly layer = Layer.effect(
    Live,
    Effect.suspend(() => make)
  )
}

/** Ticks that wait for a reader; older ones slide away. */
const ticksAhead = 4

/** Blocks in a tick's message, and in the first one: as many as a reader can look at. */
const blocksShown = 12

const sampleEvery = Duration.seconds(5)

/** Fifteen minutes. */
const samplesKept = 180

/** Commits, and events, that are read from the store at the start. */
const commitsAtStart = 16
const eventsAtStart = 512

/** Readers who are behind ask the store, so many at a time. */
const storeReaders = 2

/** The newest blocks among these events, and all reorgs; `missed` counts the rest. */
const news = (events: ReadonlyArray<LiveEvent.LiveEvent>) => {
  const blocks = events.filter(({ type }) => type === "block").slice(-blocksShown)
  const shown = events.filter((event) => event.type === "reorg" || blocks.includes(event))
  return `"missed":${events.length - shown.length},"events":[${shown.map(({ json }) => json).join(",")}]`
}

const make = Effect.gen(function* () {
  const { liveInterval, liveMaxClients } = yield* Settings
  const feed = yield* Feed
  const status = yield* Status
  const store = yield* Store
  const snapshotOf = yield* Snapshot.make
  const clients = yield* Ref.make(0)
  const tokens = yield* TokenBoard.follow(Ref.get(clients), liveInterval)
  const window = yield* Ref.make<EventWindow.EventWindow | undefined>(undefined)
  const samples = yield* Ref.make<ReadonlyArray<Snapshot.Sample>>([])
  const latest = yield* Ref.make<{ readonly snapshot: Snapshot.Snapshot; readonly json: string } | undefined>(
    undefined
  )
  const reading = yield* Semaphore.make(storeReaders)
  const ticks = yield* Effect.acquireRelease(PubSub.sliding<Tick>(ticksAhead), PubSub.shutdown)

  const fresh = Effect.gen(function* () {
    const snapshot = yield* snapshotOf(yield* Ref.get(clients))
    const rendered = { snapshot, json: JSON.stringify(snapshot) }
    yield* Ref.set(latest, rendered)
    return rendered
  })

  /** The snapshot of the last tick, or a fresh one while there are none. */
  const current = Effect.gen(function* () {
    const known = yield* Ref.get(latest)
    const age = (yield* Clock.currentTimeMillis) - (known?.snapshot.at ?? 0)
    return known === undefined || age > Duration.toMillis(liveInterval) ? yield* fresh : known
  })

  const newest = Effect.gen(function* () {
    const known = yield* Ref.get(window)
    return known === undefined
      ? ({ commit: (yield* status.get).store.commit, number: undefined } satisfies FeedPlace)
      : EventWindow.end(known)
  })

  const since = Effect.fnUntraced(function* (
    place: FeedPlace,
    limit: number
  ): Effect.fn.Return<Slice, StoreError> {
    const known = yield* Ref.get(window)
    const events = known === undefined ? undefined : EventWindow.after(known, place, limit)
    if (events !== undefined) return { _tag: "Events", events }
    const page = yield* reading.withPermit(store.events(place, limit))
    return page._tag === "Reset" ? page : { _tag: "Events", events: page.events.map(LiveEvent.make) }
  })

  /** What is new goes into the window; at the start, what the store has of late. */
  const follow = Effect.gen(function* () {
    const commits = yield* feed.subscribe
    yield* Effect.forkScoped(
      Effect.gen(function* () {
        yield* Effect.ignore(remember)
        return yield* Effect.forever(
          Effect.flatMap(PubSub.take(commits), (events) =>
            Ref.update(window, (known) => EventWindow.add(known, events))
          )
        )
      })
    )
  })

  const remember = Effect.gen(function* () {
    const { commit } = yield* store.state
    const from = { commit: Math.max(0, commit - commitsAtStart), number: undefined }
    const page = yield* store.events(from, eventsAtStart)
    const known = page._tag === "Page" ? page.events : []
    const start = EventWindow.empty(page._tag === "Page" ? from : page.newest)
    // Less than all of it would leave a hole before what comes next.
    const whole = known.length === eventsAtStart ? EventWindow.empty({ commit, number: undefined }) : start
    yield* Ref.set(window, EventWindow.add(whole, whole === start ? known : []) ?? whole)
  })

  const tick = Effect.fnUntraced(function* (last: FeedPlace) {
    const known = yield* Ref.get(window)
    const place = known === undefined ? last : EventWindow.end(known)
    if ((yield* Ref.get(clients)) === 0) return place
    const { json } = yield* fresh
    const events =
      known === undefined ? [] : (EventWindow.after(known, last, Number.MAX_SAFE_INTEGER) ?? known.events)
    const sample = (yield* Ref.get(samples)).at(-1)
    yield* PubSub.publish(ticks, {
      snapshot: json,
      message: `{"type":"snapshot",${news(events)},"sample":${JSON.stringify(sample ?? null)},${yield* tokens.news}"snapshot":${json}}`
    })
    return place
  })

  const record = Effect.gen(function* () {
    const { snapshot } = yield* current
    yield* Ref.update(samples, (kept) => [...kept, Snapshot.sample(snapshot)].slice(-samplesKept))
  })

  const beat = Effect.gen(function* () {
    const place = yield* Ref.make(yield* newest)
    yield* Effect.flatMap(Effect.flatMap(Ref.get(place), tick), (next) => Ref.set(place, next)).pipe(
      Effect.repeat(Schedule.spaced(liveInterval))
    )
  })

  yield* follow
  yield* Effect.forkScoped(beat)
  yield* Effect.forkScoped(Effect.repeat(record, Schedule.spaced(sampleEvery)))

  return Live.of({
    enter: Effect.acquireRelease(
      Ref.modify(clients, (count) => (count < liveMaxClients ? [true, count + 1] : [false, count])),
      (entered) => (entered ? Ref.update(clients, (count) => count - 1) : Effect.void)
    ),
    clients: Ref.get(clients),
    welcome: Effect.gen(function* () {
      const { json } = yield* current
      const events = (yield* Ref.get(window))?.events ?? []
      const at = yield* Clock.currentTimeMillis
      const history = JSON.stringify(yield* Ref.get(samples))
      return `{"type":"welcome","at":${at},${news(events.slice(-10 * blocksShown))},"history":${history},${yield* tokens.newest}"snapshot":${json}}`
    }),
    ticks: PubSub.subscribe(ticks),
    newest,
    since
  })
})
