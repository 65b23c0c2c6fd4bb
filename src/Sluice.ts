/**
 * The layers put together: a chain becomes tables for as long as the scope is open.
 *
 * **When to use**: `Sluice.layer(options)` in a program of one's own; `docs/embedding.md` shows how. There is no state
 * outside the layer, no signal handler and no `process.exit`: two of them run in one process side by side.
 *
 * **Details**: `layer` reads from the JSON-RPC endpoints in the options (or from a devnet of its own, with the anvil
 * profile and none), and writes to the database in the options (or to an embedded one). `layerCore` leaves both to the
 * host: it wants a `ChainSource`, a `Store` and a `SessionLock`.
 *
 * **Gotchas**: the layer is built before anything is synced, and a failure later on does not tear it down: wait for
 * `outcome`, or look at `status`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { Redacted } from "effect"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { Proof } from "./chain/Proof.ts"
import { Lease, type LeaseHeld } from "./cluster/Lease.ts"
import { Settings, type SettingsOptions } from "./config/Settings.ts"
import { Feed, type FeedEvent } from "./delivery/Feed.ts"
import * as Contract from "./events/Contract.ts"
import { BackPressure } from "./flow/BackPressure.ts"
import { Fetcher } from "./flow/Fetcher.ts"
import { Heads } from "./flow/Heads.ts"
import { IndexMode } from "./flow/IndexMode.ts"
import { Pipeline } from "./flow/Pipeline.ts"
import { Planner } from "./flow/Planner.ts"
import { Sequencer } from "./flow/Sequencer.ts"
import { type Outcome, Session } from "./flow/Session.ts"
import { Status, type SyncStatus } from "./flow/Status.ts"
import { Writer } from "./flow/Writer.ts"
import { type Handler, type HandlerTable, handle, table } from "./handlers/Handler.ts"
import * as Handlers from "./handlers/Handlers.ts"
import { EndpointPool } from "./rpc/EndpointPool.ts"
import type { ProviderFault } from "./rpc/ProviderFault.ts"
import type { ChainSource } from "./source/ChainSource.ts"
import * as RpcSource from "./source/RpcSource.ts"
import * as WebSocket from "./source/WebSocket.ts"
import * as AdvisoryLock from "./store/AdvisoryLock.ts"
import * as EventTables from "./store/EventTables.ts"
import * as Postgres from "./store/Postgres.ts"
import { SessionLock } from "./store/SessionLock.ts"
import * as SqlStore from "./store/SqlStore.ts"
import type { Store, StoreError } from "./store/Store.ts"
import * as StoredEndpoints from "./store/StoredEndpoints.ts"
import * as TokenFollower from "./tokens/TokenFollower.ts"

export type { Outcome } from "./flow/Session.ts"

/** How long what is whole may take to be committed when the layer is torn down. */
const stopTimeout = Duration.seconds(8)

export class Sluice extends Context.Service<
  Sluice,
  {
    /** What it is doing now. */
    readonly status: Effect.Effect<SyncStatus>
    /**
     * How it ended: `done` when everything up to `endBlock` is committed, `stopped` when it was told to stop. Fails
     * when it could not start, or when another instance has the lease and `whenHeld` is `exit`.
     */
    readonly outcome: Effect.Effect<Outcome, LeaseHeld | StoreError | ProviderFault>
    /** Committed blocks and reorgs from now on; a slow reader misses the oldest. */
    readonly events: Stream.Stream<FeedEvent>
    /** Commits what is whole and ends; `outcome` tells when that is done. */
    readonly stop: Effect.Effect<void>
  }
>()("sluice/Sluice") {
  /**
   * Syncs for as long as the layer lives.
   *
   * @example
   * ```ts
   * const layer = Sluice.layer({ profile: "mainnet", rpcUrls: ["https://eth.example.com/key"], startBlock: 19_000_000 })
   * ```
   */
  static readonly layer = <H extends Handler<unknown> = never>(
    options: SettingsOptions,
    code: Code<H> = {}
  ) => Layer.provideMerge(layerOf(code), Settings.layer(options))
  /** What is done with events in the transaction that stores their blocks; see docs/handlers.md. */
  static readonly handle = handle
  /** A table that handlers write to, whose rows are taken back on a reorg. */
  static readonly table = table
  /** Syncing, for a host that brings a `ChainSource`, a `Store` and a `SessionLock` of its own. */
  static readonly layerCore: Layer.Layer<
    Sluice | Status | BackPressure | Feed,
    never,
    Settings | ChainSource | Store | SessionLock
  > = Layer.suspend(() => layerCore)
}

/** What the HTTP server shows of a running Sluice. */
export type Shown = Settings | Status | BackPressure | ChainSource | Store | Feed

const service = Effect.gen(function* () {
  const session = yield* Session
  const status = yield* Status
  const feed = yield* Feed
  const outcome = yield* Deferred.make<Outcome, LeaseHeld | StoreError | ProviderFault>()
  yield* Effect.acquireRelease(
    // Not a child of this fiber: it has to outlive the interruption of whoever built the layer, until it is whole.
    Effect.forkDetach(Deferred.into(session.run, outcome)),
    (fiber) =>
      Effect.andThen(session.stop, Fiber.await(fiber)).pipe(
        Effect.timeoutOption(stopTimeout),
        Effect.andThen(Fiber.interrupt(fiber))
      )
  )
  return Sluice.of({
    status: status.get,
    outcome: Deferred.await(outcome),
    events: Stream.unwrap(Effect.map(feed.subscribe, Stream.fromSubscription)).pipe(Stream.flattenIterable),
    stop: session.stop
  })
})

/** Syncing, for a host that brings source and store. */
const layerCore: Layer.Layer<
  Sluice | Status | BackPressure | Feed,
  never,
  Settings | ChainSource | Store | SessionLock
> = Layer.unwrap(
  Effect.map(Settings, ({ chainId, startBlock }) =>
    Layer.effect(Sluice, service).pipe(
      Layer.provide(Session.layer),
      Layer.provide([Pipeline.layer, Lease.layer]),
      Layer.provide([Planner.layer, Fetcher.layer, Sequencer.layer, Writer.layer]),
      Layer.provide(IndexMode.layer),
      Layer.provide([Heads.layer, Proof.layer(chainId)]),
      Layer.provideMerge(Layer.merge(BackPressure.layer, Feed.layer)),
      Layer.provideMerge(Status.layer(startBlock))
    )
  )
)

/** Requests for heads and headers, in flight beside those for blocks. */
const besideFetches = 4

/** Node's HTTP client, with connections that stay open: one for each fetch in flight, and some for heads. */
const http = Layer.unwrap(
  Effect.map(Settings, ({ concurrency }) =>
    NodeHttpClient.layerNodeHttpOptions({ keepAlive: true, maxSockets: 2 * concurrency + 8 })
  )
)

/**
 * The endpoints to read from. A devnet is loaded only where there is one to deal with: its tools are a fifth of all that
 * would be loaded at the start.
 */
const endpoints = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* Settings
    const pool = (urls: ReadonlyArray<Redacted.Redacted>) =>
      EndpointPool.layer({
        urls,
        chainId: settings.chainId,
        maxRetries: settings.maxRetries,
        timeout: settings.rpcTimeout,
        maxResponseBytes: settings.maxResponseBytes,
        concurrency: settings.concurrency + besideFetches,
        prices: settings.rpcCredits
      })
    if (settings.rpcUrls.length > 0 && !settings.traffic) return pool(settings.rpcUrls)
    const { Devnet } = yield* Effect.promise(() => import("./devnet/Devnet.ts"))
    return Layer.unwrap(Effect.map(Devnet, ({ urls }) => pool(urls))).pipe(Layer.provide(Devnet.layer))
  })
)

/** The chain of the settings. */
export const layerSource = Layer.unwrap(Effect.map(Settings, RpcSource.layer)).pipe(
  Layer.provide([endpoints, WebSocket.layer]),
  Layer.provide(http)
)

/** The database of the settings: a server, or one inside this process, which is loaded only then. */
const database = Layer.unwrap(
  Effect.gen(function* () {
    const { advisoryLock, databaseSchema, databaseUrl, dataDir, instanceId, whenHeld } = yield* Settings
    if (databaseUrl !== undefined) {
      return (advisoryLock ? AdvisoryLock.layer(databaseSchema) : SessionLock.none).pipe(
        Layer.provideMerge(Postgres.layer({ url: databaseUrl, sessions: advisoryLock }))
      )
    }
    const Embedded = yield* Effect.promise(() => import("./store/Embedded.ts"))
    return Layer.merge(
      SessionLock.exclusive,
      Embedded.layer({ directory: dataDir, holder: instanceId, whenHeld })
    )
  })
)

/** What a program adds to the settings, in code. */
export interface Code<H extends Handler<unknown>> {
  /** Beside those of the file that the settings name. */
  readonly contracts?: ReadonlyArray<Contract.Contract>
  /** In the order in which they run. */
  readonly handlers?: ReadonlyArray<H>
  /** What handlers write to, to be taken back on a reorg. */
  readonly tables?: ReadonlyArray<HandlerTable>
}

/** The events of the contracts that the settings and the program name. */
const sources = Effect.fnUntraced(function* (inCode: ReadonlyArray<Contract.Contract>) {
  const { contracts: file, index } = yield* Settings
  // Loaded only where there is a file: parsing the packs takes a moment of every start.
  const inFile =
    file === undefined
      ? []
      : yield* Effect.flatMap(
          Effect.promise(() => import("./events/ContractsFile.ts")),
          (reader) => reader.load(file)
        )
  const all = [...inFile, ...inCode]
  if (index === "events" && all.length === 0) {
    return yield* new Contract.ContractsError({ problems: ["none is named, and index is events"] })
  }
  return yield* Contract.sources(all)
})

/** The store of the settings, migrated, with the tables of events. */
const storeOf = <H extends Handler<unknown>>({ contracts = [], handlers = [], tables = [] }: Code<H>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { databaseSchema: schema, partitionBlocks, startBlock } = yield* Settings
      const events = EventTables.layer({ schema, sources: yield* sources(contracts) })
      const store = Layer.unwrap(
        Effect.gen(function* () {
          const events = yield* EventTables.EventTables
          const own = yield* Handlers.participant({ schema, startBlock, handlers, tables, events })
          const participants = handlers.length === 0 ? [events.participant] : [events.participant, own]
          return SqlStore.layer({ schema, partitionBlocks, participants })
        })
      )
      return Layer.merge(StoredEndpoints.layer(schema), TokenFollower.layer).pipe(
        Layer.provideMerge(store),
        Layer.provideMerge(events)
      )
    })
  ).pipe(Layer.provideMerge(database))

/** Syncing as the settings say. The database comes first: who does not get it starts no devnet either. */
const layerOf = <H extends Handler<unknown>>(code: Code<H>) =>
  layerCore.pipe(Layer.provideMerge(layerSource), Layer.provideMerge(storeOf(code)))

export const layerStore = storeOf<never>({})
export const layerFromSettings = layerOf<never>({})
