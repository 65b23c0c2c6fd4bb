/**
 * What the store keeps about events beside their own tables.
 */

import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import * as Table from "../columns/Table.ts"

const required = {
  int4: Table.column("int4", false),
  int8: Table.column("int8", false),
  bytea: Table.column("bytea", false),
  text: Table.column("text", false),
  timestamptz: Table.column("timestamptz", false)
}
const topic = Table.column("bytea", true)

export const undecoded = Table.table({
  name: "undecoded",
  doc: "One row for each log that has the topic of a source's event and does not decode as that event.",
  key: ["block_number", "log_index", "source_id"],
  columns: {
    block_number: required.int8("Its block."),
    block_timestamp: required.timestamptz("When the block was made."),
    log_index: required.int4("Place in the block, from 0."),
    source_id: required.text("The source: contract and event."),
    reason: required.text("What did not fit."),
    transaction_hash: required.bytea("Its transaction's hash."),
    contract: required.bytea("The contract that emitted it, 20 bytes."),
    topic0: topic("Keccak of the event's signature."),
    topic1: topic("First indexed argument, 32 bytes."),
    topic2: topic("Second indexed argument, 32 bytes."),
    topic3: topic("Third indexed argument, 32 bytes."),
    data: required.bytea("The arguments that are not indexed, ABI-encoded.")
  }
})

/** Sources with what is covered of them, contracts of factories, and logs that do not decode. */
export const create = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, schema: string) {
  const name = (table: string) => sql(`${schema}.${table}`)
  yield* sql`
    create table ${name("event_sources")} (
      id text primary key,
      fingerprint text not null,
      table_name text not null unique,
      start_block int8 not null,
      ranges int8multirange not null default '{}'
    )`
  yield* sql`
    create table ${name("event_children")} (
      source_id text not null references ${name("event_sources")} on delete cascade,
      address bytea not null,
      block_number int8 not null,
      primary key (source_id, address)
    )`
  yield* sql`create index event_children_block_number_index on ${name("event_children")} (block_number)`
  yield* sql.unsafe(Table.createTable(schema, undecoded))
  yield* sql`alter table ${name("coverage")} drop constraint coverage_level_check`
  yield* sql`
    alter table ${name("coverage")} add constraint coverage_level_check
    check (level in ('proven', 'linked', 'events'))`
  yield* sql`insert into ${name("coverage")} (level) values ('events')`
})
