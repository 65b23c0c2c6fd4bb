/**
 * The tables of token metrics, and the price of a trade as a function of SQL.
 *
 * **Details**
 *
 * `token_metrics` and `pair_metrics` have a row for each address and window, so that the top of a window by a measure
 * is the end of an index: rows whose measure is 0 are in none. Every row says as of which block it holds.
 *
 * `token_states` is the state that metrics are kept from, as of the block in `token_checkpoint.state_number`; see
 * `tokens/Checkpoint`. `voids` counts what changes events below the newest block: whoever does so adds one in the same
 * transaction (`voidState`), and a state of before is not used any more. Rows were written with what was known of
 * `written_voids` of them; the events of blocks that have filled holes since begin at `void_from`, in seconds since 1970.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"

/** Events below the newest block change with this transaction. */
export const voidState = (sql: SqlClient.SqlClient, schema: string): Effect.Effect<unknown, SqlError> =>
  sql`update ${sql(`${schema}.token_checkpoint`)} set voids = voids + 1`

/** `schema` has been checked to need no quotes (see `Settings`). */
export const createTables = (schema: string): ReadonlyArray<string> => [
  `create function "${schema}".token_price(amount0 numeric, amount1 numeric) returns numeric
    language sql immutable strict parallel safe as $$
      select case when sign(amount0) * sign(amount1) < 0 then div(
          abs(amount1) * ('1e' || greatest(k, 0))::numeric, abs(amount0) * ('1e' || greatest(-k, 0))::numeric
        ) * ('1e' || -k)::numeric end
      from (select 18 + length(abs(amount0)::text) - length(abs(amount1)::text) as k) digits
    $$`,
  `create table "${schema}"."token_metrics" (
    token bytea not null,
    window_seconds int4 not null,
    transfers int8 not null,
    senders int8 not null,
    receivers int8 not null,
    volume numeric not null,
    as_of_number int8 not null,
    as_of_hash bytea not null,
    as_of_timestamp timestamptz not null,
    primary key (token, window_seconds)
  )`,
  ...["transfers", "senders", "receivers", "volume"].map(
    (measure) =>
      `create index token_metrics_${measure}_index on "${schema}"."token_metrics" (window_seconds, ${measure}, token)
        where ${measure} > 0`
  ),
  `create table "${schema}"."pair_metrics" (
    pair bytea not null,
    window_seconds int4 not null,
    trades int8 not null,
    buys int8 not null,
    sells int8 not null,
    volume0 numeric not null,
    volume1 numeric not null,
    open numeric,
    high numeric,
    low numeric,
    close numeric,
    last_price numeric,
    as_of_number int8 not null,
    as_of_hash bytea not null,
    as_of_timestamp timestamptz not null,
    primary key (pair, window_seconds)
  )`,
  `create index pair_metrics_trades_index on "${schema}"."pair_metrics" (window_seconds, trades, pair)
    where trades > 0`,
  `create table "${schema}"."token_candles" (
    pair bytea not null,
    minute timestamptz not null,
    open numeric,
    high numeric,
    low numeric,
    close numeric,
    volume0 numeric not null,
    volume1 numeric not null,
    trades int8 not null,
    primary key (pair, minute)
  )`,
  `create index token_candles_minute_index on "${schema}"."token_candles" (minute)`,
  `create table "${schema}"."token_checkpoint" (
    one_row boolean primary key default true check (one_row),
    number int8,
    hash bytea,
    timestamp int8,
    checked_number int8,
    checked_hash bytea,
    checked_timestamp int8,
    voids int8 not null default 0,
    written_voids int8 not null default 0,
    written_format text,
    void_from int8,
    state_generation int8 not null default 0,
    state_number int8,
    state_hash bytea,
    state_timestamp int8,
    state_known_from int8,
    state_voids int8,
    state_format text
  )`,
  `create table "${schema}"."token_states" (
    address bytea not null,
    generation int8 not null,
    last_block int8 not null,
    last_time int8 not null,
    transfers boolean not null,
    trades boolean not null,
    body bytea,
    primary key (address, generation)
  )`,
  // Addresses do not compress.
  `alter table "${schema}"."token_states" alter column body set storage external`,
  `insert into "${schema}"."token_checkpoint" default values`
]
