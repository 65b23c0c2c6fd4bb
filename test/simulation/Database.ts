/**
 * The database of a story: the store in memory for long campaigns, or the real one on an embedded PostgreSQL.
 *
 * The real one runs beside the simulated clock, so its own clock is made to follow: functions of the same name stand
 * before those of the server. Triggers break a commit in its middle, between any two statements.
 */
import { PGlite } from "@electric-sql/pglite"
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { EventSource } from "../../src/events/EventSource.ts"
import * as Embedded from "../../src/store/Embedded.ts"
import * as EventTables from "../../src/store/EventTables.ts"
import type { Participant } from "../../src/store/Participant.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import type { Store } from "../../src/store/Store.ts"
import * as MemoryStore from "../support/MemoryStore.ts"
import { type BlockRow, tableRows } from "../support/oracle.ts"
import * as Events from "./Events.ts"
import * as Handled from "./Handled.ts"
import * as SqlGate from "./SqlGate.ts"
import * as Tokens from "./Tokens.ts"

/** What stands in the tables, read without the store. */
export interface Contents {
  readonly blocks: ReadonlyArray<BlockRow>
  /** Rows by table, whatever they belong to. */
  readonly counts: { readonly transactions: number; readonly logs: number }
  readonly events: ReadonlyArray<Events.Stored>
  /** What handlers made; undefined where there are none. */
  readonly handled: Handled.Kept | undefined
}

export interface Database {
  readonly store: Store["Service"]
  /** Runs a write that the server breaks off at its n-th statement. Undefined where nothing has statements. */
  readonly breaking:
    | (<A, E, R>(statement: number, write: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>)
    | undefined
  /** A process's tables of events; undefined where there are none. */
  readonly events:
    | ((sources: ReadonlyArray<EventSource>) => Effect.Effect<EventTables.EventTablesShape>)
    | undefined
  /** Undefined where the store is all there is. */
  readonly contents: Effect.Effect<Contents> | undefined
  /** What a process keeps beside its store: a client behind its gate, and what it has made of it. */
  readonly tokens:
    | {
        readonly schema: string
        readonly client: (gate: SqlGate.Gate) => Effect.Effect<SqlClient.SqlClient>
        readonly read: Effect.Effect<Tokens.Kept>
      }
    | undefined
  /** Until nothing is on its way to or from the server: the simulated clock must not run ahead of it. */
  readonly settle: Effect.Effect<void>
}

export type Kind = "memory" | "pglite"

/** With `handledFrom` there are handlers, and it is the first block of all processes. */
export const make = (
  kind: Kind,
  handledFrom: number | undefined
): Effect.Effect<Database, never, Scope.Scope> => (kind === "memory" ? memory : pglite(handledFrom))

const memory: Effect.Effect<Database> = Effect.map(MemoryStore.make, (store) => ({
  store,
  breaking: undefined,
  events: undefined,
  contents: undefined,
  tokens: undefined,
  settle: Effect.void
}))

let opened: Promise<PGlite> | undefined
let stories = 0

const prepare = `
  create schema if not exists simulation;
  create or replace function simulation.clock_timestamp() returns timestamptz language sql as
    $$ select to_timestamp(current_setting('simulation.now')::float8 / 1000) $$;
  create or replace function simulation.now() returns timestamptz language sql as
    $$ select simulation.clock_timestamp() $$;
  create or replace function simulation.break() returns trigger language plpgsql as $$
    declare left_over int := coalesce(nullif(current_setting('simulation.break', true), ''), '0')::int;
    begin
      if left_over = 1 then
        raise exception 'broken off by the simulation' using errcode = '57P01';
      end if;
      perform set_config('simulation.break', greatest(left_over - 1, 0)::text, false);
      return null;
    end $$;
  set search_path = simulation, pg_catalog, public;`

const tables = [
  "blocks",
  "transactions",
  "logs",
  "withdrawals",
  "coverage",
  "sync_state",
  "event_sources",
  "undecoded",
  "token_metrics",
  "pair_metrics",
  "token_candles",
  "token_checkpoint"
]
/** There only with handlers. Their own tables must not have triggers. */
const handlerTables = ["handler_state"]

/** Of the process whose fiber it is: one store serves them all. */
const participant: Participant = {
  append: (append) => Effect.flatMap(EventTables.EventTables, (own) => own.participant.append(append)),
  rollback: (ancestor) =>
    Effect.flatMap(EventTables.EventTables, (own) => own.participant.rollback(ancestor)),
  replace: (range, blocks) =>
    Effect.flatMap(EventTables.EventTables, (own) => own.participant.replace(range, blocks))
}

const both = (first: Participant, second: Participant): Participant => ({
  append: (append) => Effect.andThen(first.append(append), second.append(append)),
  rollback: (ancestor) => Effect.andThen(first.rollback(ancestor), second.rollback(ancestor)),
  replace: (range, blocks) => Effect.andThen(first.replace(range, blocks), second.replace(range, blocks))
})

const pglite = Effect.fnUntraced(function* (handledFrom: number | undefined) {
  opened ??= PGlite.create()
  const db = yield* Effect.promise(() => opened ?? PGlite.create())
  const schema = `story_${stories++}`
  const world = yield* Clock.Clock
  const sql = Context.get(yield* Layer.build(Embedded.layerFrom(db)), SqlClient.SqlClient)
  yield* Effect.promise(() => db.exec(`${prepare} set simulation.now = 0; set simulation.break = 0;`))
  const handlersOf = (own: EventTables.EventTablesShape) =>
    handledFrom === undefined
      ? Effect.undefined
      : Handled.participant(schema, handledFrom, own).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  const start = (yield* handlersOf(EventTables.make(sql, { schema, sources: Events.sourcesFor(1) })))?.start
  const store = yield* SqlStore.make({
    schema,
    participants: [{ ...participant, ...(start === undefined ? {} : { start }) }]
  }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  for (const table of [...tables, ...(handledFrom === undefined ? [] : handlerTables)]) {
    yield* sql.unsafe(
      `create trigger simulation_break before insert or update or delete on ${schema}.${table}
       for each statement execute function simulation.break()`
    )
  }
  let pending = 0
  const real = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      pending++
      return Effect.andThen(
        Effect.orDie(
          sql`select set_config('simulation.now', ${String(world.currentTimeMillisUnsafe())}, false)`
        ),
        effect
      )
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          pending--
        })
      )
    )
  const macrotask = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  const turns = 3
  const count = (table: string) =>
    Effect.map(
      sql<{ readonly count: bigint }>`select count(*) as count from ${sql(`${schema}.${table}`)}`,
      ([row]) => Number(row?.count)
    )
  return {
    store: {
      pin: (identity) => real(store.pin(identity)),
      identity: real(store.identity),
      state: real(store.state),
      gaps: (range, limit) => real(store.gaps(range, limit)),
      headers: (range) => real(store.headers(range)),
      append: (append) => real(store.append(append)),
      rollback: (rollback) => real(store.rollback(rollback)),
      replace: (replace) => real(store.replace(replace)),
      recount: (epoch) => real(store.recount(epoch)),
      events: (after, limit) => real(store.events(after, limit)),
      reorgs: (options) => real(store.reorgs(options)),
      ensureIndexes: real(store.ensureIndexes),
      acquireLease: (lease) => real(store.acquireLease(lease)),
      renewLease: (lease) => real(store.renewLease(lease)),
      releaseLease: (epoch) => real(store.releaseLease(epoch)),
      readLease: real(store.readLease)
    },
    events: Effect.fnUntraced(function* (sources: ReadonlyArray<EventSource>) {
      const own = EventTables.make(sql, { schema, sources })
      const handlers = yield* handlersOf(own)
      const prepare = (epoch: number) => real(own.prepare(epoch))
      return {
        ...own,
        prepare,
        participant: handlers === undefined ? own.participant : both(own.participant, handlers)
      }
    }, Effect.orDie),
    breaking: (statement, write) => {
      const set = (value: number) =>
        real(Effect.orDie(sql`select set_config('simulation.break', ${String(value)}, false)`))
      return Effect.andThen(set(statement), Effect.ensuring(write, set(0)))
    },
    contents: Effect.orDie(
      Effect.all({
        blocks: Effect.provideService(tableRows(schema), SqlClient.SqlClient, sql),
        counts: Effect.all({ transactions: count("transactions"), logs: count("logs") }),
        events: Events.read(sql, schema),
        handled: handledFrom === undefined ? Effect.undefined : Handled.read(sql, schema)
      })
    ),
    tokens: {
      schema,
      client: ({ read, write }) =>
        SqlGate.make(sql, {
          read: (statement) => read(real(statement)),
          write: (transaction) => write(real(transaction))
        }),
      read: Effect.orDie(real(sql.withTransaction(Tokens.read(sql, schema))))
    },
    settle: Effect.gen(function* () {
      for (let idle = 0; idle < turns; idle = pending === 0 ? idle + 1 : 0) yield* macrotask
    })
  } satisfies Database
}, Effect.orDie)
