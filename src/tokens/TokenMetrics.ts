/**
 * The metrics of every token that moves, kept in tables: what was committed goes into the state in memory at once, and
 * from there into rows every few seconds.
 *
 * **When to use**: `start` under each new lease, `committed` after each commit and `rolledBack` after each rollback, in
 * their order; `run` beside them, for as long as the lease.
 *
 * **Details**
 *
 * - A *flush* writes the rows of the tokens that were touched since the last one. A *full flush* counts all tokens anew
 *   from what is retained, compares that with the running totals, and rows of some tokens in turn with what was
 *   written, and writes whatever is due, such as windows that events have left.
 * - Every row says as of which block it holds. A row that does not change keeps the block it has: `token_checkpoint`
 *   says up to which block all of them have been found to hold (`checked_number`).
 * - Idle tokens are pruned from memory. One that moves again gets its last day back from the event tables first; one
 *   that has been idle for a day gets rows of zeros.
 * - Where blocks come in below the newest one, nothing is written until no more of them come for a flush interval, or
 *   until the next full flush; then all is read anew.
 * - After a rollback, rows as of a block that is gone are written anew before `rolledBack` returns. Where a process
 *   ends in between, the next `start` finds them by their block's hash.
 *
 * **Gotchas**
 *
 * A failure leaves memory and tables apart: `start` again, which begins from what is in the tables.
 */
import { Context, Duration, Effect, Layer, Semaphore } from "effect"
import { SqlClient } from "effect/sql"
import type { Hex } from "../chain/Block.ts"
import type { Fence } from "../store/Fence.ts"
import { toStoreError } from "../store/SqlFailure.ts"
import type { StoreError } from "../store/Store.ts"
import * as Audit from "./Audit.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as CheckpointRows from "./CheckpointRows.ts"
import * as DueWrites from "./DueWrites.ts"
import * as Metrics from "./Metrics.ts"
import * as ReadBack from "./ReadBack.ts"
import { type AsOf, addressOf, blocksOf, type TokenEvent } from "./TokenEvent.ts"
import { TokenMemory } from "./TokenMemory.ts"
import * as TokenRows from "./TokenRows.ts"
import * as TokenSources from "./TokenSources.ts"
import type { TokenState } from "./TokenState.ts"
import * as WarmStart from "./WarmStart.ts"
import { minuteOf } from "./Windows.ts"

export interface TokenMetricsOptions {
  /** The deployment's schema, with the tables of `TokenTables`. */
  readonly schema: string
  /** The event tables. */
  readonly sources: ReadonlyArray<TokenSources.TokenSource>
  /** Every write goes through it; see `store/Fence`. */
  readonly transaction: Fence
  /** Default 5 seconds. */
  readonly flushInterval?: Duration.Input
  /** Default 60 seconds. */
  readonly fullFlushInterval?: Duration.Input
  /** Default 5 minutes. */
  readonly checkpointInterval?: Duration.Input
  /** `FLUSH_BATCH_SIZE`: tokens of one transaction. Default 500. */
  readonly flushBatchSize?: number
  /** `TOKEN_PRUNE_THRESHOLD_SECS`: seconds of chain time without an event. Default 7,200. */
  readonly pruneThreshold?: number
  /** Blocks that a rollback takes back from memory; a deeper one reads the last day anew. Default 32. */
  readonly undoBlocks?: number
  /** Tokens whose rows a full flush reads back, in turn. Default 1,000. */
  readonly auditTokens?: number
}

export class TokenMetrics extends Context.Service<
  TokenMetrics,
  {
    /** Reads the checkpoint or the last day, mends rows that claim a block that is gone, and writes what is due. */
    readonly start: (epoch: number, tip: AsOf | undefined) => Effect.Effect<void, StoreError>
    /** These events, in order, are in the tables now; the tip is the highest block there, which may be above them. */
    readonly committed: (events: ReadonlyArray<TokenEvent>, tip: AsOf) => Effect.Effect<void, StoreError>
    /** All blocks above the tip are gone from the tables; undefined when there is none left. */
    readonly rolledBack: (tip: AsOf | undefined) => Effect.Effect<void, StoreError>
    /** Writes the tokens that were touched. */
    readonly flush: Effect.Effect<void, StoreError>
    /** Counts all anew, and writes what is due; returns the differences it found. */
    readonly fullFlush: Effect.Effect<number, StoreError>
    /** Drops idle tokens from memory; returns how many. */
    readonly prune: Effect.Effect<number, StoreError>
    /** Writes the checkpoint anew, from which the next start goes on; returns what was written of it. */
    readonly checkpoint: Effect.Effect<Checkpoint.CheckpointSize, StoreError>
    /** Flushes, prunes and writes the checkpoint by the clock. Ends with what no retry can mend, such as `Fenced`. */
    readonly run: Effect.Effect<never, StoreError>
    /** What the tokens in memory are; for tests and benches. */
    readonly state: Effect.Effect<TokenState>
  }
>()("sluice/tokens/TokenMetrics") {
  static readonly layer = (
    options: TokenMetricsOptions
  ): Layer.Layer<TokenMetrics, never, SqlClient.SqlClient> => Layer.effect(TokenMetrics, make(options))
}

/** Tokens counted anew in one step: some milliseconds. */
const recounted = 1_000

export const make = Effect.fnUntraced(function* ({
  auditTokens = 1_000,
  checkpointInterval = "5 minutes",
  flushBatchSize = 500,
  flushInterval = "5 seconds",
  fullFlushInterval = "60 seconds",
  pruneThreshold = 7_200,
  schema,
  sources: tables,
  transaction,
  undoBlocks = 32
}: TokenMetricsOptions): Effect.fn.Return<TokenMetrics["Service"], never, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const sources = TokenSources.make(sql, schema, tables)
  const format = Checkpoint.formatOf(tables)
  const rows = TokenRows.make(sql, schema, format)
  const audit = Audit.make(sql, schema)
  const memory = new TokenMemory({ undoBlocks, pruneThreshold })
  let epoch = 0
  const transact: DueWrites.Transact = (effect) => Effect.suspend(() => transaction(epoch, effect))
  const writes = DueWrites.make({ memory, rows, sources, transact, batchSize: flushBatchSize })
  const reading = ReadBack.make({ sql, schema, memory, rows, sources })
  // Memory is looked at and changed in one synchronous step, which no other fiber can get between. What takes several
  // steps is kept apart: changes of the state from each other, and writes from writes and from a rollback. Who needs
  // both permits takes that for writing first.
  const changing = yield* Semaphore.make(1)
  const writing = yield* Semaphore.make(1)
  const saved = CheckpointRows.make(sql, schema)
  const checkpoints = Checkpoint.make({
    memory,
    rows: saved,
    transact,
    writing,
    format,
    batchSize: flushBatchSize
  })
  const load = WarmStart.make({
    sql,
    schema,
    memory,
    reading,
    rows,
    sources,
    transact,
    writes,
    checkpoints,
    saved,
    format
  })
  // What fails on the way leaves nothing behind that whoever waits for the permits could write.
  const alone = <A, E>(effect: Effect.Effect<A, E>) =>
    effect.pipe(
      Effect.onError(() => Effect.sync(() => memory.clear())),
      changing.withPermit,
      writing.withPermit
    )

  const asStoreError = Effect.mapError(toStoreError("keep token metrics"))
  const timed = <A, E>(kind: Metrics.FlushKind, effect: Effect.Effect<A, E>) =>
    Effect.flatMap(Effect.timed(effect), ([took, result]) =>
      Effect.as(Metrics.flushed(kind, Duration.toMillis(took)), result)
    )
  const standing = Effect.suspend(() => Metrics.standing(memory.state.tokens.size, memory.touched.size))

  /**
   * Something below the newest block was changed: memory and rows are behind the tip until all is read anew. `more`
   * where that has gone on since the last flush.
   */
  let behind: { readonly tip: AsOf; readonly more: boolean } | undefined
  const loadAt = (tip: AsOf | undefined) =>
    Effect.tap(load(tip), () =>
      Effect.sync(() => {
        behind = undefined
      })
    )
  const catchUp = Effect.suspend(() => (behind === undefined ? Effect.void : loadAt(behind.tip))).pipe(
    alone,
    asStoreError
  )

  // Writing

  const flush = Effect.suspend(() => {
    if (behind !== undefined) return catchUp
    if (memory.touched.size === 0) return Effect.void
    return writing.withPermit(timed("delta", writes.writeDue("touched")))
  }).pipe(Effect.tap(() => standing))

  const flushUnlessMoreComes = Effect.suspend(() => {
    if (behind?.more !== true) return flush
    behind = { ...behind, more: false }
    return Effect.void
  })

  /** Reads back those of the tokens that were counted wrongly; returns how many they were. */
  const correct = (addresses: ReadonlyArray<Hex>) =>
    Effect.gen(function* () {
      const { state, unsaved } = memory
      const { asOf } = state
      if (asOf === undefined) return 0
      const wrong = Audit.recount(memory.tokensOf(addresses), asOf).map(({ address }) => address)
      for (const address of wrong) unsaved.add(address)
      yield* reading.readBack(wrong, asOf)
      return wrong.length
    }).pipe(changing.withPermit)

  /** Some tokens at a time, so that nobody has to wait for all of them. */
  const correctAll = Effect.gen(function* () {
    const addresses = [...memory.state.tokens.keys()]
    let wrong = 0
    for (let i = 0; i < addresses.length; i += recounted) {
      wrong += yield* correct(addresses.slice(i, i + recounted))
      yield* Effect.yieldNow
    }
    return wrong
  })

  const fullFlush = Effect.gen(function* () {
    const miscounted = yield* correctAll
    // Who has lost the lease would find what another has written.
    const astray = yield* transact(audit.compare(memory.state, memory.ledger, auditTokens))
    for (const token of astray) memory.ledger.forget(token)
    const differences = miscounted + astray.length
    yield* Metrics.differed(differences)
    if (differences > 0) {
      yield* Effect.logError("token metrics were not what counting anew says").pipe(
        Effect.annotateLogs({ memory: miscounted, rows: astray.length })
      )
    }
    yield* writes.writeDue("all")
    return differences
  }).pipe(
    (effect) => timed("full", effect),
    writing.withPermit,
    asStoreError,
    (effect) => Effect.andThen(catchUp, effect),
    Effect.tap(() => standing)
  )

  // Following the chain

  const start: TokenMetrics["Service"]["start"] = (under, tip) =>
    Effect.suspend(() => {
      epoch = under
      return loadAt(tip)
    }).pipe(alone, asStoreError, Effect.andThen(standing))

  const apply = Effect.fnUntraced(function* (events: ReadonlyArray<TokenEvent>, tip: AsOf) {
    const before = memory.state.asOf
    const moved = new Set(events.map(addressOf))
    const asleep = [...moved].filter((address) => memory.pruned.has(address))
    if (before !== undefined) yield* reading.readBack(asleep, before)
    yield* Effect.sync(() => {
      for (const block of blocksOf(events)) memory.state.apply(block, block.events)
      memory.state.advance(tip)
      for (const event of events) {
        if (event._tag === "Trade") memory.candlesDue(event.pair, minuteOf(event.timestamp))
      }
      for (const address of moved) {
        memory.touched.add(address)
        memory.unsaved.add(address)
      }
    })
    if (checkpoints.isBehind()) behind = { tip, more: false }
  })

  const committed: TokenMetrics["Service"]["committed"] = (events, tip) =>
    Effect.suspend(() => {
      const { asOf } = memory.state
      const first = events[0]?.blockNumber ?? tip.number
      const isBelow =
        asOf !== undefined && (tip.number < asOf.number || (events.length > 0 && first <= asOf.number))
      if (behind === undefined && !isBelow) return apply(events, tip)
      return Effect.sync(() => {
        behind = { tip, more: isBelow || behind?.more === true }
      })
    }).pipe(changing.withPermit, asStoreError)

  const rolledBack: TokenMetrics["Service"]["rolledBack"] = (tip) =>
    Effect.gen(function* () {
      const { state } = memory
      const isKnown = tip !== undefined && state.asOf !== undefined && state.canRollback(tip)
      if (behind !== undefined || !isKnown) return yield* loadAt(tip)
      const { changed, lost } = state.rollback(tip)
      memory.turn++
      for (const address of [...changed, ...lost]) memory.unsaved.add(address)
      reading.searchAnew()
      // All rows are to hold as of the tip, so also what was not flushed yet.
      const due = new Set([...changed, ...lost, ...memory.touched, ...(yield* reading.claiming(tip, "ours"))])
      const mended = yield* reading.mend(due, tip)
      const from = minuteOf(tip.timestamp)
      const oldest = [...memory.candles.values()].reduce((a, b) => Math.min(a, b), from)
      for (const pair of [...memory.candles.keys()]) memory.candlesDue(pair, from)
      yield* writes.write(
        memory.tokensOf(due),
        tip,
        Effect.gen(function* () {
          yield* sources.rebuildCandles(oldest, tip.number)
          yield* rows.checkpoint(tip, memory.voids, false)
        }),
        mended.insert
      )
    }).pipe((effect) => timed("rollback", effect), alone, asStoreError)

  const checkpoint = Effect.suspend(() =>
    behind === undefined ? timed("checkpoint", checkpoints.save) : Effect.succeed(Checkpoint.none)
  ).pipe(asStoreError)

  const prune = Effect.gen(function* () {
    const asOf = memory.state.asOf
    if (asOf === undefined || behind !== undefined) return 0
    const count = memory.drop(asOf, memory.touched)
    yield* Metrics.dropped(count)
    yield* writes.retire(memory.retired(asOf), asOf)
    return count
  }).pipe(
    writing.withPermit,
    Effect.tap(() => standing)
  )

  /** Again and again; what may pass is waited out. */
  const every = <A>(interval: Duration.Input, effect: Effect.Effect<A, StoreError>) =>
    Effect.sleep(interval).pipe(
      Effect.andThen(effect),
      Effect.catchIf(
        (error) => error.isRetryable,
        (error) =>
          Effect.logWarning("token metrics are not written").pipe(
            Effect.annotateLogs({ reason: error.message })
          )
      ),
      Effect.forever
    )

  const run = Effect.all(
    [
      every(flushInterval, flushUnlessMoreComes),
      every(fullFlushInterval, fullFlush),
      every(fullFlushInterval, prune),
      every(checkpointInterval, checkpoint)
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.andThen(Effect.never))

  yield* Metrics.zero
  return TokenMetrics.of({
    start,
    committed,
    rolledBack,
    flush,
    fullFlush,
    prune,
    checkpoint,
    run,
    state: Effect.sync(() => memory.state)
  })
})
