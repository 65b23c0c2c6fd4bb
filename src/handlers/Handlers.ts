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
 * Blocks, and pages of events as the ranges that they are, come in their order. A batch with a hole before it fails with
 * `OutOfOrder`; the run starts over then, and the hole comes first. Pages are final: nothing of them is taken back. What is exchanged by `verify --repair` is not handled anew (see `HandlerState`).
 */
import { Cause, Context, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { decodeEventLog } from "viem/utils"
import type { Hex } from "../chain/Block.ts"
import type { SourceLog } from "../events/EventSource.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import type { EventTablesShape } from "../store/EventTables.ts"
import type { Participant } from "../store/Participant.ts"
import { exclusive, toStoreError, transaction } from "../store/SqlFailure.ts"
import {
  HandlerFailed,
  HandlersRefused,
  LinkMismatch,
  type LogPage,
  OutOfOrder,
  StoreError
} from "../store/Store.ts"
import * as UndoLog from "../store/UndoLog.ts"
import {
  type AnyEvent,
  type EventPlace,
  FailedAt,
  type Handler,
  type HandlerTable,
  type ServicesOf
} from "./Handler.ts"
import * as HandlerSources from "./HandlerSources.ts"
import { type Handled, make as makeState } from "./HandlerState.ts"

export interface HandlersOptions<H extends Handler<unknown>> {
  /** The deployment's schema. */
  readonly schema: string
  /** The first block that there will be, as in the settings. */
  readonly startBlock: number
  /** In the order in which they run. */
  readonly handlers: ReadonlyArray<H>
  readonly tables: ReadonlyArray<HandlerTable>
  /** What is indexed, and the logs of it. */
  readonly events: Pick<EventTablesShape, "sources" | "logsOf" | "logsOfPage">
}

/** A block, or a page: what is handled in one piece. */
interface Part {
  readonly from: number
  readonly to: number
  /** Of the last block. */
  readonly hash: Hex
  /** Of the first block; a page does not tell. */
  readonly parentHash: Hex | undefined
  /** In the order of the chain. */
  readonly logs: ReadonlyArray<SourceLog>
}

/** Needs what its handlers need; they run with the services that there are now. */
export const participant = Effect.fnUntraced(function* <H extends Handler<unknown>>({
  events,
  handlers,
  schema,
  startBlock,
  tables
}: HandlersOptions<H>): Effect.fn.Return<Participant, StoreError, ServicesOf<H> | SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const services = yield* Effect.context<ServicesOf<H>>()
  // What all of them need together is enough for each, which the compiler cannot tell of a union.
  const each = handlers as ReadonlyArray<Handler<ServicesOf<H>>>
  const refuse = (detail: string) => new StoreError({ reason: new HandlersRefused({ detail }) })
  const twice = handlers.find(({ name }, i) => handlers.findIndex((other) => other.name === name) < i)
  if (twice !== undefined) {
    return yield* refuse(`there are two handlers ${twice.name}; give one of them another name`)
  }
  const wanted = new Map<string, ReadonlySet<string>>()
  for (const handler of handlers) {
    const found = HandlerSources.find(handler, events.sources)
    if (typeof found === "string") return yield* refuse(found)
    wanted.set(handler.name, found)
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

  const partOfBlock = (block: EncodedBlock): Part => ({
    from: block.number,
    to: block.number,
    hash: block.hash,
    parentHash: block.parentHash,
    logs: [...events.logsOf(block)].sort(byIndex)
  })

  /** Of a page that was handled up to `handled` already, the rest. */
  const partOfPage = (page: LogPage, handled: number): Part => ({
    ...page.range,
    hash: page.last.hash,
    parentHash: undefined,
    logs: events.logsOfPage(page).filter(({ blockNumber }) => blockNumber > handled)
  })

  const runOn = Effect.fnUntraced(function* (logs: ReadonlyArray<SourceLog>, handled: Handled) {
    const decoded = new Map<SourceLog, AnyEvent | undefined>()
    for (const handler of each) {
      const first = handled.since.get(handler.name) ?? 0
      const sources = wanted.get(handler.name)
      const events = logs.flatMap((log): ReadonlyArray<AnyEvent> => {
        if (sources?.has(log.source.id) !== true || log.blockNumber < first) return []
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

  const append: Participant["append"] = Effect.fnUntraced(
    function* (given) {
      const handled = yield* state.read
      // A table may have been altered since the last commit.
      yield* undo.install(handled.written)
      if (handled.written > handled.block) yield* undo.undo(handled.block)
      const { pages = [] } = given
      const parts = [
        ...given.blocks.filter(({ number }) => number > handled.block).map(partOfBlock),
        ...pages
          .filter(({ range }) => range.to > handled.block)
          .map((page) => partOfPage(page, handled.block))
      ].sort((a, b) => a.from - b.from)
      const wrong = outOfOrder(handled, parts)
      if (wrong !== undefined) return yield* new StoreError({ reason: wrong })
      const finalized = Math.max(
        handled.finalized,
        given.finalized ?? -1,
        ...pages.map(({ range }) => range.to)
      )
      yield* runOn(
        parts.filter(({ to }) => to <= finalized).flatMap(({ logs }) => logs),
        handled
      )
      for (const { logs, to } of parts) {
        if (to <= finalized || logs.length === 0) continue
        yield* undo.logging(to)
        yield* runOn(logs, handled)
      }
      yield* undo.settle(finalized)
      const { hash, to: block } = parts.at(-1) ?? { hash: handled.hash, to: handled.block }
      yield* state.advance({ block, hash, finalized, inFeed: given.blocks.length > 0 })
    },
    Effect.mapError(toStoreError("run the handlers"))
  )

  const rollback = Effect.fnUntraced(
    function* (ancestor: number) {
      const { block, finalized, written } = yield* state.read
      if (ancestor < Math.min(block, finalized)) {
        return yield* refuse(
          `handlers have seen blocks up to ${finalized} as final; what they wrote cannot be taken back to ${ancestor}`
        )
      }
      yield* undo.install(written)
      yield* undo.undo(Math.min(ancestor, block))
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

/** The first part that does not follow the one before it. */
const outOfOrder = (
  handled: Handled,
  parts: ReadonlyArray<Part>
): OutOfOrder | HandlersRefused | LinkMismatch | undefined => {
  let at: Pick<Handled, "block" | "hash"> = handled
  for (const { from, hash, parentHash, to } of parts) {
    if (from > at.block + 1) return new OutOfOrder({ expected: at.block + 1, found: from })
    if (parentHash !== undefined && at.hash !== undefined && parentHash !== at.hash) {
      return at === handled
        ? new HandlersRefused({
            detail: `handlers have seen block ${at.block} as ${at.hash}, and block ${from} has another parent`
          })
        : new LinkMismatch({ number: from, parentHash, storedHash: at.hash })
    }
    at = { block: to, hash }
  }
  return undefined
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
