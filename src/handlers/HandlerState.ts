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
  /** Up to the last block whose writes are in the tables: above `block` where they have to be taken back first. */
  readonly written: number
}

export interface HandlerState {
  readonly prepare: Effect.Effect<void, SqlError>
  /** Where handlers are, with the registered ones entered and others removed. */
  readonly read: Effect.Effect<Handled, SqlError | StoreError>
  /** Handlers have seen everything up to this block. */
  readonly advance: (to: {
    readonly block: number
    readonly hash: Hex | undefined
    /** What is never taken back any more. */
    readonly finalized: number
    /** Whether the commit has blocks, and so a number of its own in the feed. */
    readonly inFeed: boolean
  }) => Effect.Effect<void, SqlError>
  /** Blocks above `ancestor` are being taken back. */
  readonly rollback: (ancestor: number) => Effect.Effect<void, SqlError>
}

interface StateRow {
  readonly block: bigint | null
  readonly hash: Uint8Array | null
  /** What was final when handlers ran last. */
  readonly handled_final: bigint | null
  /** What is stored at `block`; not what the same commit has just written there. */
  readonly stored: Uint8Array | null
  /** The highest block that is covered; `tip` may be one below it. */
  readonly top: bigint | null
  readonly tip_number: bigint | null
  readonly tip_hash: Uint8Array | null
  readonly finalized: bigint | null
  /** Whether blocks were neither written nor taken back since handlers ran last; null where that was not noted. */
  readonly untouched: boolean | null
  /** Of the block at `top`, where its header is stored. */
  readonly top_hash: Uint8Array | null
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
    if (found?.state !== null) {
      yield* sql`alter table ${name("handler_state")} add column if not exists commit int8`
      return
    }
    yield* sql`
      create table ${name("handler_state")} (
        one_row boolean primary key default true check (one_row),
        block int8 not null,
        hash bytea,
        finalized int8 not null default -1,
        commit int8
      ) with (fillfactor = 20)`
    yield* sql`create table ${name("handlers")} (name text primary key, since int8 not null)`
  })

  const look = sql<StateRow>`
    select h.block, h.hash, h.finalized as handled_final, b.hash as stored, s.tip_number, s.tip_hash, s.finalized,
      s.feed_id = h.commit as untouched, t.top,
      (select hash from ${name("blocks")} where number = t.top) as top_hash,
      (select json_object_agg(name, since) from ${name("handlers")}) as since
    from ${name("sync_state")} s
    cross join (select max(upper(ranges)) - 1 as top from ${name("coverage")}) t
    left join ${name("handler_state")} h on true
    left join ${name("blocks")} b on b.number = h.block
      and exists (select from ${name("coverage")} where ranges @> h.block)`

  /** The block that handlers go on after; fails where they have missed something. */
  const position = (
    row: StateRow
  ): Effect.Effect<Pick<Handled, "block" | "hash" | "written">, StoreError> => {
    const top = row.top === null ? undefined : Number(row.top)
    const topHash = row.top === row.tip_number ? row.tip_hash : null
    const block = top ?? startBlock - 1
    const now = { block, hash: topHash === null ? undefined : Rows.toHex(topHash), written: block }
    if (row.block === null) return Effect.succeed(now)
    const written = Number(row.block)
    const at = { block: written, hash: row.hash === null ? undefined : Rows.toHex(row.hash), written }
    const stored = row.stored === null ? undefined : Rows.toHex(row.stored)
    const final = Number(row.handled_final ?? -1)
    // Of what is final there need not be a row: of a page only its events are stored.
    const isKept = stored === undefined ? written <= final : stored === at.hash
    if (at.hash !== undefined && !isKept) {
      // For a new contract, what is not final is fetched again; nobody has written meanwhile.
      const isReopened = stored === undefined && final === finalOf(row)
      if (isReopened && block <= final) return Effect.succeed({ block: final, hash: undefined, written })
      // Whole blocks below it, of a time with another INDEX, are kept: handlers go on after the highest of them.
      if (isReopened && row.untouched === true && row.top_hash !== null && block < written) {
        return Effect.succeed({ block, hash: Rows.toHex(row.top_hash), written })
      }
      return Effect.fail(
        refuse(
          `handlers have seen block ${at.block} as ${at.hash}, which is no longer stored: ` +
            "it was taken back by an instance without these handlers; use another DATABASE_SCHEMA"
        )
      )
    }
    if (top === undefined || top <= at.block) return Effect.succeed(at)
    return allNow
      ? Effect.succeed(now)
      : Effect.fail(
          refuse(
            `blocks ${at.block + 1} to ${top} were written by an instance without these handlers; ` +
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
      const isFresh = row.top === null && at.block < startBlock
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
    if (row.block === null || at.block !== at.written || missed || !isSame(before, since)) {
      const rows = [...since].map(([name, since]) => ({ name, since }))
      yield* sql`
        insert into ${name("handler_state")} (block, hash) values (${int8(at.block)}, ${Rows.bytes(at.hash)})
        on conflict (one_row) do update set block = excluded.block, hash = excluded.hash`
      yield* sql`delete from ${name("handlers")}`
      yield* sql`
        insert into ${name("handlers")} (name, since)
        select name, since from json_to_recordset(${JSON.stringify(rows)}::json) r(name text, since int8)`
    }
    return { ...at, since, finalized: finalOf(row) }
  })

  /** The feed's newest number when what is being written is committed. */
  const commit = (inFeed: boolean) =>
    sql`(select feed_id + ${inFeed ? 1 : 0}::int8 from ${name("sync_state")})`

  return {
    prepare,
    read,
    advance: ({ block, finalized, hash, inFeed }) =>
      Effect.asVoid(sql`
        update ${name("handler_state")}
        set block = ${int8(block)}, hash = ${Rows.bytes(hash)}, finalized = ${int8(finalized)},
          commit = ${commit(inFeed)}`),
    rollback: (ancestor) =>
      Effect.asVoid(sql`
        update ${name("handler_state")} set block = ${int8(ancestor)},
          hash = (select hash from ${name("blocks")} where number = ${int8(ancestor)}), commit = ${commit(true)}
        where block > ${int8(ancestor)}`)
  }
}

/** Handlers take pages as final, of which the state may not say so yet. */
const finalOf = ({ finalized, handled_final }: StateRow): number =>
  Math.max(Number(finalized ?? -1), Number(handled_final ?? -1))

const isSame = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
