/**
 * The lease as a row: the one authority on who may write.
 *
 * **Details**
 *
 * Times are the database's, so that clocks of instances never meet. A take-over raises the epoch, which is the row's
 * key: PostgreSQL makes it wait for commits that hold the row `for key share`, and makes new commits wait for it. A
 * renewal leaves the key alone, and so goes through while a long commit is under way.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { toStoreError } from "./SqlFailure.ts"
import { Fenced, type LeaseAttempt, type LeaseRow, type Store, StoreError } from "./Store.ts"

export type LeaseMethods = Pick<
  Store["Service"],
  "acquireLease" | "renewLease" | "releaseLease" | "readLease"
>

interface Stored {
  readonly holder: string
  readonly epoch: bigint
  readonly acquired_at: number
  readonly expires_at: number
}

const fromStored = (row: Stored): LeaseRow => ({
  holder: row.holder,
  epoch: Number(row.epoch),
  acquiredAt: row.acquired_at,
  expiresAt: row.expires_at
})

export const fenced = (
  epoch: number,
  current: { readonly epoch: number; readonly holder: string } | undefined
) =>
  new StoreError({
    reason: new Fenced({ epoch, current: current?.epoch ?? 0, holder: current?.holder ?? "nobody" })
  })

export const make = (sql: SqlClient.SqlClient, schema: string): LeaseMethods => {
  const lease = sql(`${schema}.lease`)
  const columns = sql.literal(
    `holder, epoch,
     floor(extract(epoch from acquired_at) * 1000)::float8 as acquired_at,
     floor(extract(epoch from expires_at) * 1000)::float8 as expires_at`
  )
  const after = (duration: number) =>
    sql`clock_timestamp() + ${PgTypes.float8(duration)} * interval '1 millisecond'`

  const read = sql<Stored>`select ${columns} from ${lease} where epoch > 0`.pipe(
    Effect.map(([row]) => (row === undefined ? undefined : fromStored(row)))
  )
  const readLease = Effect.mapError(read, toStoreError("read the lease"))

  const acquireLease = Effect.fnUntraced(
    function* ({ duration, evenIfHeld, holder }: Parameters<LeaseMethods["acquireLease"]>[0]) {
      while (true) {
        const [taken] = yield* sql<Stored>`
          update ${lease} set
            epoch = epoch + 1, holder = ${holder},
            acquired_at = clock_timestamp(), expires_at = ${after(duration)}
          where ${evenIfHeld} or expires_at <= clock_timestamp()
          returning ${columns}`
        if (taken !== undefined) return { _tag: "Acquired", lease: fromStored(taken) } satisfies LeaseAttempt
        const held = yield* read
        if (held !== undefined) return { _tag: "Held", lease: held } satisfies LeaseAttempt
      }
    },
    Effect.mapError(toStoreError("take the lease"))
  )

  const renewLease = Effect.fnUntraced(
    function* ({ duration, epoch }: Parameters<LeaseMethods["renewLease"]>[0]) {
      const [renewed] = yield* sql<Stored>`
        update ${lease} set expires_at = ${after(duration)}
        where epoch = ${PgTypes.int8(BigInt(epoch))} and epoch > 0
        returning ${columns}`
      return renewed === undefined ? yield* fenced(epoch, yield* read) : fromStored(renewed)
    },
    Effect.mapError(toStoreError("renew the lease"))
  )

  const releaseLease = (epoch: number) =>
    sql`update ${lease} set expires_at = clock_timestamp() where epoch = ${PgTypes.int8(BigInt(epoch))}`.pipe(
      Effect.asVoid,
      Effect.mapError(toStoreError("give the lease back"))
    )

  return { acquireLease, renewLease, releaseLease, readLease }
}
