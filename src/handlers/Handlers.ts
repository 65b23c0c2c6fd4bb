/**
 * Runs handlers in each commit's transaction, and takes back what they wrote when blocks are.
 *
 * **When to use**: `participant` makes one of `SqlStoreOptions.participants`.
 *
 * **Details**
 *
 * A handler that fails, or dies, fails the commit with `HandlerFailed` and the place of the event: nothing of the batch
 * is written, and Sluice halts, since it would fail again. Only where the database itself went away under it is the
 * failure the database's, which is tried again.
 *
 * Blocks come in their order. A batch with a hole before it fails with `OutOfOrder`; the run starts over then, and the
 * hole comes first. What is exchanged by `verify --repair` is not handled anew (see `HandlerState`).
 */
import { Cause, Context, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { decodeEventLog } from "viem/utils"
import type { SourceLog } from "../events/EventSource.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import type { Participant } from "../store/Participant.ts"
import { exclusive, toStoreError, transaction } from "../store/SqlFailure.ts"
import { HandlerFailed, HandlersRefused, OutOfOrder, StoreError } from "../store/Store.ts"
import * as UndoLog from "../store/UndoLog.ts"
import {
  type AnyEvent,
  type EventPlace,
  FailedAt,
  type Handler,
  type HandlerTable,
  type ServicesOf
} from "./Handler.ts"
import { type Handled, make as makeState } from "./HandlerState.ts"

export interface HandlersOptions<H extends Handler<unknown>> {
  /** The deployment's schema. */
  readonly schema: string
  /** The first block that there will be, as in the settings. */
  readonly startBlock: number
  /** In the order in which they run. */
  readonly handlers: ReadonlyArray<H>
  readonly tables: ReadonlyArray<HandlerTable>
  /** The logs of a block that sources took. */
  readonly logsOf: (block: EncodedBlock) => ReadonlyArray<SourceLog>
}

/** Needs what its handlers need; they run with the services that there are now. */
export const participant = Effect.fnUntraced(function* <H extends Handler<unknown>>({
  handlers,
  logsOf,
  schema,
  startBlock,
  tables
}: HandlersOptions<H>): Effect.fn.Return<Participant, StoreError, ServicesOf<H> | SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const services = yield* Effect.context<ServicesOf<H>>()
  // What all of them need together is enough for each, which the compiler cannot tell of a union.
  const each = handlers as ReadonlyArray<Handler<ServicesOf<H>>>
  const twice = handlers.find(({ name }, i) => handlers.findIndex((other) => other.name === name) < i)
  if (twice !== undefined) {
    const detail = `there are two handlers ${twice.name}; give one of them another name`
    return yield* new StoreError({ reason: new HandlersRefused({ detail }) })
  }
  const state = makeState(sql, { schema, startBlock, handlers })
  const undo = UndoLog.make(
    sql,
    schema,
    tables.map(({ name }) => name)
  )

  const createMissing = Effect.gen(function* () {
    for (const { create, name } of tables) {
      if (create === undefined) continue
      const [found] = yield* sql<{
        readonly table: string | null
      }>`select to_regclass(${name})::text as table`
      if (found?.table === null) yield* Effect.provideService(create, SqlClient.SqlClient, sql)
    }
  })

  const start = exclusive(sql, `handlers of ${schema}`).pipe(
    Effect.andThen(state.prepare),
    Effect.andThen(createMissing),
    Effect.andThen(undo.prepare),
    transaction(sql, "prepare the handlers")
  )

  /** What is of the fiber now, as its transaction, comes before what was when the handlers were given. */
  const withServices = (
    effect: Effect.Effect<void, unknown, ServicesOf<H> | SqlClient.SqlClient>
  ): Effect.Effect<void, unknown> =>
    Effect.updateContext(effect, (now: Context.Context<never>) =>
      Context.add(Context.merge(services, now), SqlClient.SqlClient, sql)
    )

  const runOn = Effect.fnUntraced(function* (blocks: ReadonlyArray<EncodedBlock>, handled: Handled) {
    const logs = blocks.flatMap((block) => [...logsOf(block)].sort(byIndex))
    const decoded = new Map<SourceLog, AnyEvent | undefined>()
    for (const handler of each) {
      const first = handled.since.get(handler.name) ?? 0
      const events = logs.flatMap((log): ReadonlyArray<AnyEvent> => {
        const { event, contract } = log.source
        if (contract !== handler.contract || !handler.events.has(event.name) || log.blockNumber < first)
          return []
        if (!decoded.has(log)) decoded.set(log, decode(log))
        const found = decoded.get(log)
        return found === undefined ? [] : [found]
      })
      const [place] = events
      if (place === undefined) continue
      yield* withServices(handler.run(events)).pipe(
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.interrupt
            : Effect.fail(failure(handler.name, place, Cause.squash(cause)))
        )
      )
    }
  })

  const append = Effect.fnUntraced(
    function* (given: {
      readonly blocks: ReadonlyArray<EncodedBlock>
      readonly finalized: number | undefined
    }) {
      const handled = yield* state.read
      yield* undo.install(handled.block)
      const blocks = given.blocks.filter(({ number }) => number > handled.block)
      const wrong = outOfOrder(handled, blocks)
      if (wrong !== undefined) return yield* new StoreError({ reason: wrong })
      const finalized = Math.max(handled.finalized, given.finalized ?? -1)
      yield* runOn(
        blocks.filter(({ number }) => number <= finalized),
        handled
      )
      for (const block of blocks.filter(({ number }) => number > finalized)) {
        if (logsOf(block).length === 0) continue
        yield* undo.logging(block.number)
        yield* runOn([block], handled)
      }
      yield* undo.settle(finalized)
      const last = blocks.at(-1)
      if (last !== undefined) yield* state.advance(last)
    },
    Effect.mapError(toStoreError("run the handlers"))
  )

  const rollback = Effect.fnUntraced(
    function* (ancestor: number) {
      // A table may have been altered since the last commit.
      yield* undo.install((yield* state.read).block)
      yield* undo.undo(ancestor)
      yield* state.rollback(ancestor)
    },
    Effect.mapError(toStoreError("take back what handlers wrote"))
  )

  return { start, append, rollback, replace: () => Effect.void }
})

const byIndex = (a: SourceLog, b: SourceLog): number => Number(a.log.logIndex) - Number(b.log.logIndex)

/** Undefined where the log is none of this event after all. */
const decode = ({ blockNumber, log, source, timestamp }: SourceLog): AnyEvent | undefined => {
  const [signature, ...topics] = log.topics
  if (signature === undefined) return undefined
  try {
    const { args } = decodeEventLog({ abi: [source.event], data: log.data, topics: [signature, ...topics] })
    return {
      eventName: source.event.name,
      // viem has none for an event without parameters.
      args: args ?? {},
      block: { number: blockNumber, timestamp },
      transactionHash: log.transactionHash,
      logIndex: Number(log.logIndex),
      address: log.address
    }
  } catch {
    return undefined
  }
}

/** The first block that is not the next one. */
const outOfOrder = (
  handled: Handled,
  blocks: ReadonlyArray<EncodedBlock>
): OutOfOrder | HandlersRefused | undefined => {
  const [first] = blocks
  const hole = blocks.findIndex(({ number }, i) => number !== handled.block + 1 + i)
  const found = blocks[hole]
  if (found !== undefined) return new OutOfOrder({ expected: handled.block + 1 + hole, found: found.number })
  return first === undefined || handled.hash === undefined || handled.hash === first.parentHash
    ? undefined
    : new HandlersRefused({
        detail: `handlers have seen block ${handled.block} as ${handled.hash}, and block ${first.number} has another parent`
      })
}

const failure = (handler: string, first: EventPlace, error: unknown): SqlError | StoreError => {
  const found = error instanceof FailedAt ? error : undefined
  const { block, logIndex, transactionHash } = found?.event ?? first
  const cause = found === undefined ? error : found.cause
  const lost = retryable(cause)
  if (lost !== undefined) return lost
  return new StoreError({
    reason: new HandlerFailed({
      handler,
      block: block.number,
      logIndex,
      transactionHash,
      detail: detailOf(cause)
    })
  })
}

/** How deep a failure of the database may be wrapped by the handler's own errors. */
const wrappings = 5

const sqlErrorIn = (error: unknown): SqlError | undefined => {
  let at = error
  for (let i = 0; i < wrappings && at instanceof Error; i++) {
    if (isSqlError(at)) return at
    at = at.cause
  }
  return undefined
}

/** The database's own failure, where trying again may help. */
const retryable = (error: unknown): StoreError | undefined => {
  const found = sqlErrorIn(error)
  const failed = found === undefined ? undefined : toStoreError("run a handler")(found)
  return failed?.isRetryable === true ? failed : undefined
}

/** Of a driver's error only what `SqlFailure` keeps. */
const detailOf = (error: unknown): string => {
  if (isSqlError(error)) return toStoreError("its statement")(error).message
  return error instanceof Error ? error.message || error.name : String(error)
}
