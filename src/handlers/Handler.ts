/**
 * What a user writes to keep tables of one's own from events: a contract, events of it, and what to do with them.
 *
 * **When to use**: `handle` for what is done with events, `table` for each table that is written to; `docs/handlers.md`
 * has a whole example.
 *
 * **Details**
 *
 * - A handler runs inside of the commit's transaction, and its `SqlClient` is on that connection: what it writes is
 *   there together with the blocks, or not at all.
 * - It gets its events in chain order. Up to finality those of a whole batch at once, above it those of one block, so
 *   that a reorg can take back the writes of just the blocks that are gone.
 * - Within a batch, or a block, handlers run in the order in which they are given. How long a batch is may be different
 *   each time, so a handler that reads what another one writes may see more or less of it: what belongs together is
 *   one handler of several events, which come in the order of their logs.
 * - Logs that do not decode are left out; they are in `undecoded`.
 *
 * **Gotchas**
 *
 * - The transaction is open while a handler runs. PostgreSQL ends it when it idles for as long as the lease lives (at
 *   most 30 seconds), and a commit is given up after two minutes: no requests to elsewhere from within.
 * - Fork nothing that outlives the handler: it would write after the commit, or into the next one.
 */
import { Cause, Data, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Abi, ContractEventArgsFromTopics, ContractEventName } from "viem"
import type { Hex } from "../chain/Block.ts"

/** What a handler has to know of a contract that is indexed; `Contract.make` gives one. */
export interface HandledContract<A extends Abi> {
  readonly name: string
  readonly abi: A
}

/** Where an event is on the chain. */
export interface EventPlace {
  readonly block: {
    readonly number: number
    /** Seconds since 1970. */
    readonly timestamp: number
  }
  readonly transactionHash: Hex
  readonly logIndex: number
  /** The contract that emitted it, as the provider wrote it. */
  readonly address: Hex
}

/** An event of any contract, before its types are known. */
export interface AnyEvent extends EventPlace {
  readonly eventName: string
  /** As viem decodes them. */
  readonly args: unknown
}

/** One of the named events of a contract; which one it is, is told by `eventName`. */
export type HandledEvent<A extends Abi, Name extends ContractEventName<A>> = {
  readonly [N in Name]: EventPlace & {
    readonly eventName: N
    readonly args: ContractEventArgsFromTopics<A, N, true>
  }
}[Name]

export interface HandlerOptions {
  /** How it is known in the database and in errors. Default: the contract and the events, as in `usdc.Transfer`. */
  readonly name?: string
  /**
   * What it means for a handler that is new to a database with blocks in it. `start`: it has to see all blocks, so
   * Sluice refuses to go on. `now`: it begins with the next block. Default `start`.
   */
  readonly since?: "start" | "now"
}

/** Made by `handle`. `R` is what it needs beside `SqlClient`. */
export interface Handler<R = never> {
  /** `usdc.Transfer`, `usdc.Transfer|Approval`, or what the options say. */
  readonly name: string
  readonly contract: HandledContract<Abi>
  readonly events: ReadonlyArray<string>
  readonly since: "start" | "now"
  readonly run: (events: ReadonlyArray<AnyEvent>) => Effect.Effect<void, unknown, R | SqlClient.SqlClient>
}

/** What handlers need beside `SqlClient`. */
export type ServicesOf<H> = H extends Handler<infer R> ? R : never

/**
 * Does something with each of the events named.
 *
 * @example
 * ```ts
 * const balances = handle(usdc, "Transfer", (events) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     for (const { args } of events) {
 *       yield* sql`update app.balances set amount = amount - ${String(args.value)}::numeric where holder = ${args.from}`
 *     }
 *   })
 * )
 * ```
 */
export const handle = <const A extends Abi, const Name extends ContractEventName<A>, E, R>(
  contract: HandledContract<A>,
  events: Name | readonly [Name, ...ReadonlyArray<Name>],
  run: (
    events: readonly [HandledEvent<A, Name>, ...ReadonlyArray<HandledEvent<A, Name>>]
  ) => Effect.Effect<void, E, R>,
  { name, since = "start" }: HandlerOptions = {}
): Handler<Exclude<R, SqlClient.SqlClient>> => {
  const names: ReadonlyArray<string> = typeof events === "string" ? [events] : events
  return {
    name: name ?? `${contract.name}.${names.join("|")}`,
    contract,
    events: names,
    since,
    // The events are decoded by this contract's ABI and picked by these names, and never none: what the types say,
    // and what the participant, which knows all handlers alike, cannot. `R` less `SqlClient` and with it is `R`.
    run: run as (
      events: ReadonlyArray<AnyEvent>
    ) => Effect.Effect<void, E, Exclude<R, SqlClient.SqlClient> | SqlClient.SqlClient>
  }
}

/** A failure, and the event at which it came. */
export class FailedAt extends Data.TaggedError("FailedAt")<{
  readonly event: EventPlace
  readonly cause: unknown
}> {}

/**
 * Says which event it was when `effect` fails. Without it an error tells of the first event that the handler was given.
 *
 * @example
 * ```ts
 * Effect.forEach(events, (event) => write(event).pipe(at(event)), { discard: true })
 * ```
 */
export const at =
  (event: EventPlace) =>
  <T, E, R>(effect: Effect.Effect<T, E, R>): Effect.Effect<T, FailedAt, R> =>
    Effect.catchCause(effect, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.fail(new FailedAt({ event, cause: Cause.squash(cause) }))
    )

/** A table of the user's, whose rows are taken back on a reorg. */
export interface HandlerTable {
  /** With its schema, as SQL has it: `app.balances`. */
  readonly name: string
  readonly create: Effect.Effect<unknown, SqlError, SqlClient.SqlClient> | undefined
}

/**
 * Registers a table that handlers write to, so that a reorg takes back what they wrote. It needs a primary key.
 *
 * @example
 * ```ts
 * const balances = table("app.balances", {
 *   create: Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`create schema if not exists app`
 *     yield* sql`create table app.balances (holder bytea primary key, amount numeric not null)`
 *   })
 * })
 * ```
 */
export const table = (
  name: string,
  options: {
    /** Runs at the start, in a transaction, when there is no such table. */
    readonly create?: Effect.Effect<unknown, SqlError, SqlClient.SqlClient>
  } = {}
): HandlerTable => ({ name, create: options.create })
