/**
 * Writing beside the commits, under the lease: a transaction that holds the lease's row and fails with `Fenced` once
 * the epoch is another instance's, so that whoever led before can not overwrite what is written now.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import * as Guard from "./Guard.ts"
import { transaction } from "./SqlFailure.ts"
import type { StoreError } from "./Store.ts"

/** Runs the effect in one transaction under an epoch. */
export type Fence = <A>(
  epoch: number,
  effect: Effect.Effect<A, SqlError | StoreError>
) => Effect.Effect<A, StoreError>

/** @param operation What is being done, as errors say it. */
export const make = (schema: string, operation: string): Effect.Effect<Fence, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (sql): Fence => {
    const guard = Guard.make(sql, schema)
    return (epoch, effect) => Effect.andThen(guard(epoch, []), effect).pipe(transaction(sql, operation))
  })
