/**
 * The checkpoint as rows: the state of each token in `token_states`, and in `token_checkpoint` what they hold as of.
 *
 * **Details**
 *
 * States are written under a *generation* above that of the checkpoint, some at a time; `claim` makes it the
 * checkpoint's, and takes away the states that it replaces, in one transaction. So a checkpoint is there whole or is
 * the one before, wherever a process ends. What is left of an attempt is taken away by the next.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import * as Rows from "../store/Rows.ts"
import { array, byteas, toBytes } from "./Arrays.ts"
import type { AsOf } from "./TokenEvent.ts"

/** What is known of a token without its state. */
export interface StateRow {
  readonly address: Hex
  /** `unknown` where memory could not tell. */
  readonly lastBlock: number
  readonly lastTime: number
  readonly transfers: boolean
  readonly trades: boolean
  /** Undefined where it has to be read from the event tables. */
  readonly body: Buffer | undefined
}

export const unknown = Number.MAX_SAFE_INTEGER

export interface Checkpoint extends AsOf {
  readonly generation: number
  /** All events from this time on are in it, seconds since 1970. */
  readonly knownFrom: number
  readonly voids: number
  readonly format: string
}

/** The checkpoint's row as it is now. */
export interface Standing {
  readonly voids: number
  readonly generation: number
  /** Undefined where there is none, or where its block is not stored. */
  readonly checkpoint: Checkpoint | undefined
}

interface StandingRow {
  readonly voids: bigint
  readonly state_generation: bigint
  readonly state_number: bigint | null
  readonly state_hash: Uint8Array | null
  readonly state_timestamp: bigint | null
  readonly state_known_from: bigint | null
  readonly state_voids: bigint | null
  readonly state_format: string | null
  readonly stored: boolean
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))
const int8s = (values: ReadonlyArray<number>) => array("int8", values.map(BigInt))

export type CheckpointRows = ReturnType<typeof make>

export const make = (sql: SqlClient.SqlClient, schema: string) => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const [states, checkpoint, blocks] = [name("token_states"), name("token_checkpoint"), name("blocks")]

  const standing: Effect.Effect<Standing, SqlError> = Effect.map(
    sql<StandingRow>`
      select c.voids, c.state_generation, c.state_number, c.state_hash, c.state_timestamp, c.state_known_from,
        c.state_voids, c.state_format, b.hash is not null as stored
      from ${checkpoint} c left join ${blocks} b on b.number = c.state_number and b.hash = c.state_hash`,
    ([row]) => {
      const [voids, generation] = [Number(row?.voids ?? 0), Number(row?.state_generation ?? 0)]
      if (row?.state_number == null || row.state_hash === null || !row.stored)
        return { voids, generation, checkpoint: undefined }
      return {
        voids,
        generation,
        checkpoint: {
          generation,
          number: Number(row.state_number),
          hash: Rows.toHex(row.state_hash),
          timestamp: Number(row.state_timestamp),
          knownFrom: Number(row.state_known_from),
          voids: Number(row.state_voids),
          format: row.state_format ?? ""
        }
      }
    }
  )

  /** The lowest block that is stored in the range, both ends inside. */
  const lowest = (from: number, to: number): Effect.Effect<AsOf | undefined, SqlError> =>
    Effect.map(
      sql<{ readonly number: bigint; readonly hash: Uint8Array; readonly seconds: number }>`
        select number, hash, extract(epoch from timestamp)::float8 as seconds from ${blocks}
        where number between ${int8(from)} and ${int8(to)} order by number limit 1`,
      ([row]) => row && { number: Number(row.number), hash: Rows.toHex(row.hash), timestamp: row.seconds }
    )

  /** States of an attempt that did not come to its end. */
  const removeAbove = (generation: number): Effect.Effect<unknown, SqlError> =>
    sql`delete from ${states} where generation > ${int8(generation)}`

  const insert = (generation: number, rows: ReadonlyArray<StateRow>): Effect.Effect<unknown, SqlError> =>
    sql`
      insert into ${states} (address, generation, last_block, last_time, transfers, trades, body)
      select address, ${int8(generation)}, last_block, last_time, transfers = 1, trades = 1, body from unnest(
        ${byteas(rows.map(({ address }) => address))}::bytea[],
        ${int8s(rows.map(({ lastBlock }) => lastBlock))}::int8[],
        ${int8s(rows.map(({ lastTime }) => lastTime))}::int8[],
        ${array(
          "int4",
          rows.map(({ transfers }) => (transfers ? 1 : 0))
        )}::int4[],
        ${array(
          "int4",
          rows.map(({ trades }) => (trades ? 1 : 0))
        )}::int4[],
        ${array(
          "bytea",
          rows.map(({ body }) => body ?? null)
        )}::bytea[]
      ) as t (address, last_block, last_time, transfers, trades, body)`

  /** Makes what was written the checkpoint. `gone` have no state any more, nor has who last moved at or before `idleAt`. */
  const claim = Effect.fnUntraced(function* (
    { format, generation, hash, knownFrom, number, timestamp, voids }: Checkpoint,
    gone: ReadonlyArray<Hex>,
    idleAt: number
  ): Effect.fn.Return<void, SqlError> {
    yield* sql`
      delete from ${states} s using ${states} n
      where n.generation = ${int8(generation)} and s.address = n.address and s.generation < n.generation`
    yield* sql`delete from ${states} where address = any(${byteas(gone)}) or last_time <= ${int8(idleAt)}`
    yield* sql`
      update ${checkpoint} set state_generation = ${int8(generation)}, state_number = ${int8(number)},
        state_hash = ${PgTypes.bytea(toBytes(hash))}, state_timestamp = ${int8(timestamp)},
        state_known_from = ${int8(knownFrom)}, state_voids = ${int8(voids)}, state_format = ${format}`
  })

  /** There is no checkpoint any more. */
  const clear: Effect.Effect<void, SqlError> = Effect.gen(function* () {
    yield* sql`delete from ${states}`
    yield* sql`update ${checkpoint} set state_number = null`
  })

  /** What is known of all tokens that have moved after a time, but their states. */
  const list = (generation: number, after: number): Effect.Effect<ReadonlyArray<ListRow>, SqlError> =>
    Effect.map(
      sql<StateListRow>`
        select address, last_block, last_time, transfers, trades, body is not null as told from ${states}
        where generation <= ${int8(generation)} and last_time > ${int8(after)}`,
      (rows) =>
        rows.map(({ address, last_block, last_time, told, trades, transfers }) => ({
          address: Rows.toHex(address),
          lastBlock: Number(last_block),
          lastTime: Number(last_time),
          transfers,
          trades,
          told
        }))
    )

  const bodies = (generation: number, addresses: ReadonlyArray<Hex>) =>
    Effect.map(
      sql<{ readonly address: Uint8Array; readonly body: Uint8Array }>`
        select address, body from ${states}
        where generation <= ${int8(generation)} and address = any(${byteas(addresses)}) and body is not null`,
      (rows) =>
        rows.map(({ address, body }) => ({
          address: Rows.toHex(address),
          body: Buffer.from(body.buffer, body.byteOffset, body.length)
        }))
    )

  return { standing, lowest, removeAbove, insert, claim, clear, list, bodies }
}

export interface ListRow extends Omit<StateRow, "body"> {
  /** Whether its state is there. */
  readonly told: boolean
}

interface StateListRow {
  readonly address: Uint8Array
  readonly last_block: bigint
  readonly last_time: bigint
  readonly transfers: boolean
  readonly trades: boolean
  readonly told: boolean
}
