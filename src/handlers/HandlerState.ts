/**
 * Up to where handlers have seen the chain, in the database: `handler_state` has the last block and its hash, and
 * `handlers` the first block of each handler.
 *
 * **Details**
 *
 * A handler is given each block once, in order, without a hole from its first block on. Whatever would break that is
 * refused before anything is written: a new handler on blocks that are stored already, blocks that an instance without
 * handlers has written or taken back, a start block below the first one that was handled.
 *
 * What was handled stays handled: rows that `verify --repair` exchanges, or brings back, are not given to handlers anew.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import * as Rows from "../store/Rows.ts"
import { HandlersRefused, StoreError } from "../store/Store.ts"
import type { Handler } from "./Handler.ts"

export interface Handled {
  /** The last block that handlers have seen. */
  readonly block: number
  readonly hash: Hex | undefined
  /** The first block of each handler. */
  readonly since: ReadonlyMap<string, number>
  /** The highest block that was final before this commit; -1 for none. */
  readonly finalized: number
}

export interface HandlerState {
  readonly prepare: Effect.Effect<void, SqlError>
  /** Where handlers are, with the registered ones entered and others removed. */
  readonly read: Effect.Effect<Handled, SqlError | StoreError>
  /** Handlers have seen everything up to this block. */
  readonly advance: (block: EncodedBlock) => Effect.Effect<void, SqlError>
  /** Blocks above `ancestor` are being taken back. */
  readonly rollback: (ancestor: number) => Effect.Effect<void, SqlError>
}

interface StateRow {
  readonly block: bigint | null
  readonly hash: Uint8Array | null
  /** What is stored at `block`. */
  readonly stored: Uint8Array | null
  readonly tip_number: bigint | null
  readonly tip_hash: Uint8Array | null
  readonly finalized: bigint | null
  readonly since: Readonly<Record<string, number>> | null
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

export const make = (
  sql: SqlClient.SqlClient,
  {
    handlers,
    schema,
    startBlock
  }: {
    readonly schema: string
    readonly startBlock: number
    readonly handlers: ReadonlyArray<Pick<Handler, "name" | "since">>
  }
): HandlerState => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const refuse = (detail: string) => new StoreError({ reason: new HandlersRefused({ detail }) })
  const allNow = handlers.every(({ since }) => since === "now")

  const prepare = Effect.gen(function* () {
    const [found] = yield* sql<{ readonly state: string | null }>`
      select to_regclass(${`"${schema}".handler_state`})::text as state`
    if (found?.state !== null) return
    yield* sql`
      create table ${name("handler_state")} (
        one_row boolean primary key default true check (one_row),
        block int8 not null,
        hash bytea
      ) with (fillfactor = 20)`
    yield* sql`create table ${name("handlers")} (name text primary key, since int8 not null)`
  })

  const look = sql<StateRow>`
    select h.block, h.hash, b.hash as stored, s.tip_number, s.tip_hash, s.finalized,
      (select json_object_agg(name, since) from ${name("handlers")}) as since
    from ${name("sync_state")} s
    left join ${name("handler_state")} h on true
    left join ${name("blocks")} b on b.number = h.block`

  /** The block that handlers go on after; fails where they have missed something. */
  const position = (row: StateRow): Effect.Effect<Pick<Handled, "block" | "hash">, StoreError> => {
    const tip = row.tip_number === null ? undefined : Number(row.tip_number)
    const now = {
      block: tip ?? startBlock - 1,
      hash: row.tip_hash === null ? undefined : Rows.toHex(row.tip_hash)
    }
    if (row.block === null) return Effect.succeed(now)
    const at = { block: Number(row.block), hash: row.hash === null ? undefined : Rows.toHex(row.hash) }
    const stored = row.stored === null ? undefined : Rows.toHex(row.stored)
    if (at.hash !== undefined && stored !== at.hash) {
      return Effect.fail(
        refuse(
          `handlers have seen block ${at.block} as ${at.hash}, which is no longer stored: ` +
            "it was taken back by an instance without these handlers; use another DATABASE_SCHEMA"
        )
      )
    }
    if (tip === undefined || tip <= at.block) return Effect.succeed(at)
    return allNow
      ? Effect.succeed(now)
      : Effect.fail(
          refuse(
            `blocks ${at.block + 1} to ${tip} were written by an instance without these handlers; ` +
              'use another DATABASE_SCHEMA, or `since: "now"` for handlers that may miss them'
          )
        )
  }

  const read = Effect.gen(function* () {
    const [row] = yield* look
    if (row === undefined) return yield* refuse("the deployment has no state")
    const at = yield* position(row)
    const before = new Map(Object.entries(row.since ?? {}).map(([of, first]) => [of, Number(first)]))
    const missed = row.block !== null && at.block > Number(row.block)
    if (startBlock > at.block + 1) {
      return yield* refuse(
        `handlers go on with block ${at.block + 1}, and START_BLOCK is ${startBlock}; use another DATABASE_SCHEMA`
      )
    }
    const since = new Map<string, number>()
    for (const handler of handlers) {
      const first = before.get(handler.name)
      const isFresh = row.tip_number === null && at.block < startBlock
      if (handler.since === "start" && first !== undefined && first > startBlock) {
        return yield* refuse(
          `the handler ${handler.name} has seen blocks from ${first} on, and START_BLOCK is ${startBlock}; ` +
            'use another DATABASE_SCHEMA, or `since: "now"` if that is all that it has to see'
        )
      }
      if (handler.since === "start" && first === undefined && !isFresh) {
        return yield* refuse(
          `the handler ${handler.name} is new, and blocks up to ${at.block} are stored already; ` +
            'use another DATABASE_SCHEMA, or `since: "now"` to begin with the next block'
        )
      }
      since.set(handler.name, first === undefined || missed ? at.block + 1 : first)
    }
    if (row.block === null || missed || !isSame(before, since)) {
      const rows = [...since].map(([name, since]) => ({ name, since }))
      yield* sql`
        insert into ${name("handler_state")} (block, hash) values (${int8(at.block)}, ${Rows.bytes(at.hash)})
        on conflict (one_row) do update set block = excluded.block, hash = excluded.hash`
      yield* sql`delete from ${name("handlers")}`
      yield* sql`
        insert into ${name("handlers")} (name, since)
        select name, since from json_to_recordset(${JSON.stringify(rows)}::json) r(name text, since int8)`
    }
    return { ...at, since, finalized: row.finalized === null ? -1 : Number(row.finalized) }
  })

  return {
    prepare,
    read,
    advance: ({ hash, number }) =>
      Effect.asVoid(sql`
        update ${name("handler_state")} set block = ${int8(number)}, hash = ${Rows.bytes(hash)}`),
    rollback: (ancestor) =>
      Effect.asVoid(sql`
        update ${name("handler_state")} set block = ${int8(ancestor)},
          hash = (select hash from ${name("blocks")} where number = ${int8(ancestor)})
        where block > ${int8(ancestor)}`)
  }
}

const isSame = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
