/**
 * Runs a story: the real stream, from HTTP requests to commits, over providers and a database that go wrong, on the
 * test clock. Everything that is random comes from the story's seed.
 *
 * While things go wrong, the ledger's invariants hold at each commit (safety). Then they stop, and within a bound the
 * tables have to be the chain's (liveness).
 */
import { createHash } from "node:crypto"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Random,
  Redacted,
  Schedule,
  type Scope,
  Stream
} from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as BlockRange from "../../src/chain/BlockRange.ts"
import { Settings } from "../../src/config/Settings.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"
import * as Pressure from "../../src/flow/Pressure.ts"
import { EndpointPool } from "../../src/rpc/EndpointPool.ts"
import { Sluice } from "../../src/Sluice.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import { EventTables } from "../../src/store/EventTables.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { Store } from "../../src/store/Store.ts"
import * as TokenFollower from "../../src/tokens/TokenFollower.ts"
import { random } from "../support/blocks.ts"
import * as VirtualNode from "../support/VirtualNode.ts"
import type { MakeBlock } from "./Blocks.ts"
import * as Chain from "./Chain.ts"
import * as Database from "./Database.ts"
import * as Events from "./Events.ts"
import * as Ledger from "./Ledger.ts"
import * as Provider from "./Provider.ts"
import type * as Story from "./Story.ts"

export interface Report {
  /** What was violated; empty for a story that went well. */
  readonly violations: ReadonlyArray<string>
  /** A digest of all that was asked, committed and told, in its order. */
  readonly trace: string
  readonly lines: ReadonlyArray<string>
  readonly faults: Readonly<Record<string, number>>
  readonly commits: number
  readonly crashes: number
  /** Milliseconds on the test clock. */
  readonly simulated: number
  readonly rows: number
}

/** Quiet for at most so long until the tables have to be whole: a used-up quota rests for ten minutes. */
const patience = 90 * 60_000

const step = 500

/** A process: what it does outside of itself goes through its gate. */
interface Process {
  readonly gate: <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  alive: boolean
  crashIn: number | undefined
  crashAfter: boolean
  pausedUntil: number
  pauseInCommit: number | undefined
  stopped: boolean
  /** What it says of itself. */
  says: Effect.Effect<string>
}

export const run = Effect.fnUntraced(
  function* (
    story: Story.Story,
    options: {
      readonly makeBlock: MakeBlock
      readonly keepLines: boolean
      readonly database: Database.Kind
    }
  ): Effect.fn.Return<Report, never, Scope.Scope> {
    const world = yield* Clock.Clock
    const begin = yield* Clock.currentTimeMillis
    const now = () => world.currentTimeMillisUnsafe() - begin
    const hash = createHash("sha256")
    const lines: Array<string> = []
    const trace = (line: string) => {
      const text = `${now()} ${line}`
      hash.update(text)
      if (options.keepLines) lines.push(text)
    }
    const faults: Record<string, number> = {}
    const injected = (fault: string) => {
      faults[fault] = (faults[fault] ?? 0) + 1
      trace(`fault ${fault}`)
    }
    const violations: Array<string> = []
    const violated = (what: string) =>
      Effect.sync(() => {
        trace(`violated ${what}`)
        violations.push(`at ${now()} ms: ${what}`)
      })

    const chain = Chain.make(options.makeBlock, story.height, story.seed)
    const random_ = random(story.seed ^ 0x5eed)
    const chances = random(story.seed ^ 0x71e)
    const providers = Array.from({ length: story.providers }, () =>
      Provider.make({
        chain,
        random: random(random_.int(2 ** 31)),
        logRange: story.logRange,
        timed: chances.pick(undefined, 1, 2),
        injected
      })
    )
    // Handlers refuse another START_BLOCK than the one they began with; so half of the stories have none.
    const handledFrom = story.seed % 2 === 1 ? story.settings.startBlock : undefined
    const startBlockOf = ({ startBlock }: Story.Settings) => handledFrom ?? startBlock
    const database = yield* Database.make(options.database, handledFrom)
    const ledger = Ledger.make({
      database,
      int: random_.int,
      genuine: chain.genuine,
      canonical: chain.canonical,
      isDue: (number) => number <= chain.highest() - story.confirmationDepth,
      isFinal: (number) => number <= chain.finalized(),
      pages: story.pages,
      injected,
      violated,
      trace
    })
    let crashes = 0
    const metrics: Metric.MetricRegistry = new Map()

    const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Clock.Clock, world)

    const process_ = (instance: number): Process => {
      const self: Process = {
        alive: true,
        crashIn: undefined,
        crashAfter: false,
        pausedUntil: 0,
        pauseInCommit: undefined,
        stopped: false,
        says: Effect.succeed("nothing yet"),
        gate: (what, effect) =>
          Effect.gen(function* () {
            const arrive = Effect.suspend((): Effect.Effect<void> => {
              if (!self.alive) return Effect.never
              const wait = self.pausedUntil - now()
              return wait > 0 ? Effect.andThen(inWorld(Effect.sleep(wait)), arrive) : Effect.void
            })
            const dies = () => {
              if (self.crashIn === undefined) return false
              self.crashIn--
              return self.crashIn <= 0
            }
            if (what === "append" && self.pauseInCommit !== undefined) {
              self.pausedUntil = now() + self.pauseInCommit
              self.pauseInCommit = undefined
            }
            yield* arrive
            trace(`${instance} ${what}`)
            const dying = dies()
            if (dying && !self.crashAfter) return yield* die(instance, self)
            const result = yield* Effect.exit(effect)
            if (dying) return yield* die(instance, self)
            yield* arrive
            return yield* result
          })
      }
      return self
    }
    const kill = (instance: number, self: Process): void => {
      if (!self.alive) return
      self.alive = false
      crashes++
      trace(`${instance} crashed`)
    }
    const die = (instance: number, self: Process): Effect.Effect<never> =>
      Effect.suspend(() => {
        kill(instance, self)
        return Effect.never
      })

    const skewed = (millis: number): Clock.Clock => ({
      currentTimeMillisUnsafe: () => world.currentTimeMillisUnsafe() + millis,
      currentTimeMillis: Effect.map(world.currentTimeMillis, (at) => at + millis),
      currentTimeNanosUnsafe: () => world.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n,
      currentTimeNanos: Effect.map(world.currentTimeNanos, (at) => at + BigInt(millis) * 1_000_000n),
      monotonicTimeNanosUnsafe: () => world.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: world.monotonicTimeNanos,
      sleep: (duration) => world.sleep(duration)
    })

    const storeOf = (self: Process): Store["Service"] => {
      const s = ledger.store
      const through = <A, E>(what: string, effect: Effect.Effect<A, E>) => self.gate(what, inWorld(effect))
      return {
        pin: (identity) => through("pin", s.pin(identity)),
        identity: through("identity", s.identity),
        state: through("state", s.state),
        gaps: (range, limit) => through("gaps", s.gaps(range, limit)),
        headers: (range) => through("headers", s.headers(range)),
        append: (append) => through("append", s.append(append)),
        rollback: (rollback) => through("rollback", s.rollback(rollback)),
        events: (after, limit) => through("events", s.events(after, limit)),
        reorgs: (options) => through("reorgs", s.reorgs(options)),
        replace: (replace) => through("replace", s.replace(replace)),
        recount: (epoch) => through("recount", s.recount(epoch)),
        ensureIndexes: through("indexes", s.ensureIndexes),
        acquireLease: (lease) => through("acquire lease", s.acquireLease(lease)),
        renewLease: (lease) => through("renew lease", s.renewLease(lease)),
        releaseLease: (epoch) => through("release lease", s.releaseLease(epoch)),
        readLease: through("read lease", s.readLease)
      }
    }

    const eventsOf = (self: Process, { concurrency }: Story.Settings) => {
      const make = database.events?.(Events.sourcesFor(concurrency))
      return make === undefined
        ? Layer.empty
        : Layer.effect(
            EventTables,
            Effect.map(make, (own) => ({
              ...own,
              prepare: (epoch: number) => self.gate("prepare events", inWorld(own.prepare(epoch)))
            }))
          )
    }

    const { tokens } = database
    const tokensOf = (self: Process) =>
      tokens === undefined
        ? Layer.empty
        : Layer.fresh(TokenFollower.layer).pipe(
            Layer.provide(
              Layer.effect(
                SqlClient.SqlClient,
                tokens.client({
                  read: (statement) => self.gate("read tokens", inWorld(ledger.tokens.read(statement))),
                  write: (transaction) => self.gate("write tokens", inWorld(ledger.tokens.write(transaction)))
                })
              )
            )
          )

    const http = (self: Process) =>
      Layer.unwrap(
        Effect.sync(() =>
          VirtualNode.layer(
            Object.fromEntries(
              providers.map(({ respond }, i) => [
                `p${i}`,
                (calls) =>
                  self.gate(
                    `p${i} ${calls.map(({ method, params }) => `${method}${String(params[0])}`).join()}`,
                    inWorld(respond(calls))
                  )
              ])
            )
          )
        )
      )

    const layerOf = (instance: number, self: Process, settings: Story.Settings) =>
      Layer.fresh(Sluice.layerCore).pipe(
        Layer.provide(
          RpcSource.layer({ pollInterval: Duration.seconds(2), wsUrl: undefined }).pipe(
            Layer.provide(
              EndpointPool.layer({
                urls: providers.map((_, i) => Redacted.make(`http://p${i}`)),
                chainId: 31_337,
                maxRetries: settings.maxRetries,
                timeout: Duration.seconds(10),
                maxResponseBytes: 10_000_000,
                concurrency: settings.concurrency + 4,
                prices: new Map()
              })
            ),
            Layer.provide(http(self)),
            Layer.provide(noWebSocket)
          )
        ),
        Layer.provide(Layer.succeed(Store, storeOf(self))),
        Layer.provide(tokensOf(self)),
        Layer.provide(eventsOf(self, settings)),
        Layer.provide(SessionLock.none),
        Layer.provide(
          Settings.layer({
            profile: "anvil",
            ...settings,
            startBlock: startBlockOf(settings),
            index: database.events === undefined ? "blocks" : settings.index,
            ...(tokens === undefined ? {} : { databaseSchema: tokens.schema }),
            tokenFlushInterval: Duration.seconds(story.tokens.flushInterval),
            tokenFullFlushInterval: Duration.seconds(story.tokens.fullFlushInterval),
            tokenCheckpointInterval: Duration.seconds(story.tokens.checkpointInterval),
            flushBatchSize: story.tokens.batchSize,
            tokenPruneThreshold: story.tokens.pruneThreshold,
            confirmationDepth: story.confirmationDepth,
            resultsCapacity: story.resultsCapacity,
            finalityDepth: Chain.finality,
            whenHeld: "wait",
            instanceId: `instance-${instance}`,
            leaseDuration: "15s"
          })
        )
      )

    /** One life of a process, until it is stopped or dies. */
    const live = (instance: number, self: Process, settings: Story.Settings) =>
      Effect.gen(function* () {
        const sluice = yield* Sluice
        self.says = Effect.map(sluice.status, ({ phase, reason, stuck }) =>
          [
            `${phase}: ${reason ?? "-"}`,
            ...stuck.map((range) => `${range.from} to ${range.to}: ${range.reason}`)
          ].join("; ")
        )
        yield* sluice.events.pipe(
          Stream.runForEach((event) =>
            Effect.suspend(() => {
              trace(`${instance} told ${event._tag}`)
              return event._tag === "BlockCommitted" &&
                !ledger.everCommitted.has(`${event.number} ${event.hash}`)
                ? violated(`readers were told of block ${event.number} before it was committed`)
                : Effect.void
            })
          ),
          Effect.forkScoped({ startImmediately: true })
        )
        const gate = yield* BackPressure
        yield* Effect.flatMap(gate.pressure, ({ loads }) => {
          const blocks = loads.jobs.blocks + loads.results.blocks
          return blocks > Pressure.watermark(gate.limits, "results")
            ? violated(`${blocks} blocks are on their way, above the watermark`)
            : Effect.void
        }).pipe(Effect.schedule(Schedule.spaced("100 millis")), Effect.forkScoped)
        const outcome = yield* Effect.exit(sluice.outcome)
        if (!self.alive) return
        if (Exit.isFailure(outcome) && !Cause.hasInterruptsOnly(outcome.cause)) {
          yield* violated(`instance ${instance} gave up: ${Cause.squash(outcome.cause)}`)
        } else if (!self.stopped) {
          const { reason } = yield* sluice.status
          yield* violated(`instance ${instance} ended by itself: ${reason}`)
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(layerOf(instance, self, settings)),
        Effect.provideService(Clock.Clock, skewed(story.skew[instance] ?? 0)),
        Effect.provideService(Metric.MetricRegistry, metrics),
        Random.withSeed(`${story.seed} ${instance} ${now()}`),
        Effect.catchCause((cause) =>
          self.alive && !Cause.hasInterruptsOnly(cause)
            ? violated(`instance ${instance} could not be built: ${Cause.pretty(cause)}`)
            : Effect.void
        )
      )

    interface Running {
      self: Process
      settings: Story.Settings
      fiber: Fiber.Fiber<void>
      /** When it is to be started again. */
      restartAt: number | undefined
    }
    // Not in a scope: at the end what is still alive is left behind on its clock, which stands still for ever.
    const start = Effect.fnUntraced(function* (instance: number, settings: Story.Settings) {
      const self = process_(instance)
      const fiber = yield* Effect.forkDetach(live(instance, self, settings))
      trace(`${instance} started ${JSON.stringify(settings)}`)
      return { self, settings, fiber, restartAt: undefined } satisfies Running as Running
    })
    const running = yield* Effect.forEach(Array.from({ length: story.instances }), (_, instance) =>
      start(instance, story.settings)
    )

    /** Starts again what died or was stopped. */
    const tend = Effect.forEach(
      running,
      Effect.fnUntraced(function* (current, instance) {
        const { fiber, self } = current
        const isDown = !self.alive || (self.stopped && fiber.pollUnsafe() !== undefined)
        if (!isDown) return
        if (current.restartAt === undefined) {
          // What a dead process still waits for never comes.
          if (!self.alive) yield* Effect.forkDetach(Fiber.interrupt(fiber))
          current.restartAt = now() + 1000
        } else if (now() >= current.restartAt) {
          Object.assign(current, yield* start(instance, current.settings))
        }
      }),
      { discard: true }
    )

    const happen = Effect.fnUntraced(function* (event: Story.Event) {
      trace(JSON.stringify(event))
      switch (event.kind) {
        case "mine":
          return chain.mine(event.blocks)
        case "reorg":
          return chain.reorg(event.depth, event.replacement)
        case "provider":
          return providers[event.provider]?.arm(event.fault, event.count)
        case "freeze":
          return providers[event.provider]?.freeze()
        case "lag":
          return providers[event.provider]?.lag(event.blocks)
        case "heal":
          return providers[event.provider]?.heal()
        case "store":
          return ledger.arm(event.fault, event.count)
        case "crash": {
          const self = running[event.instance]?.self
          if (self !== undefined) Object.assign(self, { crashIn: event.steps, crashAfter: event.after })
          return
        }
        case "pause": {
          const self = running[event.instance]?.self
          if (self !== undefined) self.pausedUntil = Math.max(self.pausedUntil, now() + event.millis)
          return
        }
        case "pause in commit": {
          const self = running[event.instance]?.self
          if (self !== undefined) self.pauseInCommit = event.millis
          return
        }
        case "stop": {
          const current = running[event.instance]
          if (current === undefined || !current.self.alive || current.self.stopped) return
          current.self.stopped = true
          current.settings = event.settings
          yield* Effect.forkDetach(Fiber.interrupt(current.fiber))
          return
        }
        case "away":
          for (const [instance, current] of running.entries()) {
            kill(instance, current.self)
            yield* Effect.forkDetach(Fiber.interrupt(current.fiber))
            Object.assign(current, { settings: event.settings, restartAt: now() + event.millis })
          }
      }
    })

    const until = Effect.fnUntraced(function* (time: number) {
      while (now() < time && violations.length === 0) {
        yield* TestClock.adjust(Math.min(step, time - now()))
        yield* database.settle
        yield* tend
      }
    })

    /** Nothing goes wrong any more: within the bound the tables have to be the chain's. */
    const quiet = Effect.gen(function* () {
      for (const provider of providers) provider.heal()
      ledger.heal()
      for (const { self } of running)
        Object.assign(self, { crashIn: undefined, pausedUntil: 0, pauseInCommit: undefined })
      // What lies above the target cannot be compared before the chain has grown up to it.
      chain.regrow(3)
      const since = now()
      const different = Effect.suspend(() =>
        differences(story, Math.max(...running.map(({ settings }) => startBlockOf(settings))), ledger, chain)
      )
      while (violations.length === 0) {
        const all = yield* different
        if (all.length === 0) break
        const said = yield* Effect.forEach(running, ({ self }) => self.says)
        // Who has halted does nothing more.
        if (now() - since > patience || said.every((one) => one.startsWith("halted"))) {
          yield* violated(
            `not whole after ${Math.round((now() - since) / 60_000)} quiet minutes: ${all.slice(0, 3).join("; ")}; it says: ${said.join(" | ")}`
          )
        }
        yield* until(now() + 2000)
      }
      // Whoever leads has seen all that is stored. A stand-by has other sources, perhaps.
      const owing = yield* Effect.forEach(running, ({ settings }) =>
        ledger.owed(Events.sourcesFor(settings.concurrency))
      )
      if (!owing.some((one) => one.length === 0)) yield* violated(owing.flat().join("; "))
      if (tokens === undefined) return
      // Whatever is under way ends, all are counted anew, and once more.
      yield* until(now() + 15_000 + 2000 * story.tokens.fullFlushInterval)
      yield* ledger.tokensAreWhole(story.tokens.pruneThreshold)
    })

    /** Nothing that was counted anew was other than what had been said. */
    const nothingDiffers = Effect.gen(function* () {
      const found = (yield* Metric.snapshot).find(({ id }) => id === "indexer_token_differences_total")
      if (found?.type === "Counter" && Number(found.state.count) > 0) {
        yield* violated(`${found.state.count} token metrics were not what counting anew says`)
      }
    }).pipe(Effect.provideService(Metric.MetricRegistry, metrics))

    for (const [at, event] of story.events) {
      yield* until(at)
      yield* happen(event)
    }
    yield* until((story.events.at(-1)?.[0] ?? 0) + 5000)
    yield* ledger.audit
    if (story.mode === "liveness" && violations.length === 0) {
      yield* quiet
      yield* ledger.audit
    }
    yield* nothingDiffers
    ledger.heal()
    for (const { self } of running) self.alive = false
    const { totals } = yield* Effect.orDie(ledger.store.state)
    return {
      violations,
      trace: hash.digest("hex"),
      lines,
      faults,
      commits: ledger.commits(),
      crashes,
      simulated: now(),
      rows: totals.blocks + totals.transactions + totals.logs
    }
  },
  Effect.scoped,
  Effect.provide(Logger.layer([]))
)

const noWebSocket = Layer.succeed(WebSocketConstructor)(() => {
  throw new Error("nobody asked for a WebSocket")
})

/** Where the tables are not what the chain, read naively, says. */
const differences = Effect.fnUntraced(function* (
  story: Story.Story,
  start: number,
  ledger: Ledger.Ledger,
  chain: Chain.Chain
) {
  const blocks = chain.canonical()
  const target = blocks.length - 1 - story.confirmationDepth
  const headers = new Map(
    (yield* Effect.orDie(ledger.store.headers({ from: 0, to: 1_000_000 }))).map((header) => [
      header.number,
      header.hash
    ])
  )
  const { coverage } = yield* Effect.orDie(ledger.store.state)
  const pages = coverage.filter(({ level }) => level === "events")
  const found: Array<string> = []
  for (let number = start; number <= target; number++) {
    const isThere = headers.has(number) || pages.some((range) => BlockRange.contains(range, number))
    if (!isThere) found.push(`block ${number} is missing`)
  }
  for (const [number, stored] of headers) {
    const genuine = blocks[number]?.block.hash
    if (genuine !== stored) found.push(`block ${number} is ${stored}, on the chain it is ${genuine}`)
  }
  return found
})
