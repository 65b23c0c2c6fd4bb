/**
 * The schema of one deployment, brought up to date.
 *
 * **Details**
 *
 * Everything lies in the deployment's own schema, the list of migrations included, so that several deployments share a
 * database. All of it is one transaction under an advisory lock: of several instances that start at once one migrates
 * and the others wait for it.
 *
 * **Gotchas**
 *
 * A migration that has been released is never edited. `tables` describes the newest state; migrations after the first
 * say what they change.
 */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { createPartitioned } from "../columns/Table.ts"
import * as TokenTables from "../store/TokenTables.ts"
import * as Digest from "./Digest.ts"
import * as EventSchema from "./EventSchema.ts"
import { exclusive, transaction } from "./SqlFailure.ts"
import { DatabaseFailure, StoreError } from "./Store.ts"
import { tables } from "./Tables.ts"

export interface MigrationOptions {
  readonly schema: string
  readonly partitionBlocks: number
}

/** Multiranges came with it. */
const oldestServer = 140_000

export const run = ({
  partitionBlocks,
  schema
}: MigrationOptions): Effect.Effect<void, StoreError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* Effect.gen(function* () {
      yield* checkServer(sql)
      yield* exclusive(sql, `migrations of ${schema}`)
      const found = yield* sql`select 1 as found from pg_namespace where nspname = ${schema}`
      // `if not exists` would ask for a privilege that an operator who made the schema need not give.
      if (found.length === 0) yield* sql`create schema ${sql(schema)}`
      yield* migrate({
        table: `${schema}.migrations`,
        loader: Migrator.fromRecord({
          "1_tables": firstTables({ partitionBlocks, schema }),
          "2_endpoints": endpoints(schema),
          "3_feed": feed(schema),
          "4_digests": digests(schema),
          "5_events": Effect.flatMap(SqlClient.SqlClient, (client) => EventSchema.create(client, schema)),
          "6_tokens": tokens(schema)
        })
      }).pipe(
        Effect.catchTag("MigrationError", (error) =>
          Effect.fail(error.cause === undefined ? failure(error.message, undefined) : unwrapped(error))
        )
      )
    }).pipe(transaction(sql, "migrate"))
  })

const migrate = Migrator.make({})

/** A failed migration says only its name; what failed is its cause. */
const unwrapped = (error: Migrator.MigrationError): SqlError | StoreError =>
  isSqlError(error.cause) ? error.cause : failure(error.message, error.cause)

const failure = (detail: string, cause: unknown) =>
  new StoreError({ reason: new DatabaseFailure({ operation: "migrate", detail, isRetryable: false, cause }) })

const checkServer = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [server] = yield* sql<{
    readonly version: string
  }>`select current_setting('server_version_num') as version`
  if (server !== undefined && Number(server.version) < oldestServer) {
    return yield* failure(`PostgreSQL 14 or newer is needed, the server is ${server.version}`, undefined)
  }
})

const firstTables = Effect.fnUntraced(function* ({ partitionBlocks, schema }: MigrationOptions) {
  const sql = yield* SqlClient.SqlClient
  const name = (table: string) => sql(`${schema}.${table}`)
  for (const table of tables) yield* sql.unsafe(createPartitioned(schema, table))
  yield* sql`
    create table ${name("coverage")} (
      level text primary key check (level in ('proven', 'linked')),
      ranges int8multirange not null default '{}'
    )`
  yield* sql`insert into ${name("coverage")} (level) values ('proven'), ('linked')`
  yield* sql`
    create table ${name("sync_state")} (
      one_row boolean primary key default true check (one_row),
      chain_id int8,
      genesis_hash bytea,
      partition_blocks int8 not null,
      blocks int8 not null default 0,
      transactions int8 not null default 0,
      logs int8 not null default 0,
      tip_number int8,
      tip_hash bytea,
      tip_parent_hash bytea,
      tip_timestamp int8,
      finalized int8,
      reorg_ancestor int8,
      reorg_depth int8,
      reorg_at timestamptz,
      indexed boolean not null default false
    ) with (fillfactor = 20)`
  yield* sql`insert into ${name("sync_state")} (partition_blocks) values (${partitionBlocks}::int8)`
  // The epoch is the key, so that a take-over locks the row against commits, which hold it for key share, and a
  // renewal does not.
  yield* sql`
    create table ${name("lease")} (
      one_row boolean not null default true unique check (one_row),
      epoch int8 primary key,
      holder text not null,
      acquired_at timestamptz not null,
      expires_at timestamptz not null
    ) with (fillfactor = 20)`
  yield* sql`insert into ${name("lease")} (epoch, holder, acquired_at, expires_at) values (0, 'nobody', now(), now())`
})

/** What was learned of RPC endpoints; see `StoredEndpoints`. */
const endpoints = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    create table ${sql(`${schema}.endpoints`)} (
      key text primary key,
      memory jsonb not null,
      saved_at timestamptz not null default now()
    )`
})

/** What was committed and taken back, in order; see `FeedRows`. What is in the tables by now came before it. */
const feed = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  const name = (table: string) => sql(`${schema}.${table}`)
  yield* sql`
    create table ${name("feed")} (
      id int8 primary key,
      proven int8multirange not null default '{}',
      linked int8multirange not null default '{}',
      ancestor int8,
      depth int8,
      at timestamptz not null default clock_timestamp()
    )`
  yield* sql`create index feed_reorgs_index on ${name("feed")} (id) where ancestor is not null`
  yield* sql`
    create table ${name("removed_blocks")} (
      number int8 not null,
      feed_id int8 not null,
      hash bytea not null,
      parent_hash bytea not null,
      timestamp timestamptz not null,
      level text not null,
      transaction_count int4 not null,
      log_count int4 not null,
      primary key (number, feed_id)
    )`
  yield* sql`create index removed_blocks_feed_id_index on ${name("removed_blocks")} (feed_id)`
  yield* sql`
    alter table ${name("sync_state")}
      add column feed_id int8 not null default 0,
      add column feed_floor int8 not null default 0`
  yield* sql`update ${name("sync_state")} set feed_id = 1, feed_floor = 1 where blocks > 0`
})

const tokens = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  for (const create of TokenTables.createTables(schema)) yield* sql.unsafe(create)
})

/** The functions of `Digest`. */
const digests = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  for (const create of Digest.createFunctions(schema)) yield* sql.unsafe(create)
})
