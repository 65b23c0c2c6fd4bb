/**
 * A client of the story's database whose every transaction, and every statement outside of one, goes through a gate: for
 * what a process does with the database beside its store.
 *
 * The gate is outside of the one connection that there is: who never gets through it does not keep others waiting.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"

export interface Gate {
  readonly read: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
  readonly write: <A, E, R>(
    transaction: Effect.Effect<A, E | SqlError, R>
  ) => Effect.Effect<A, E | SqlError, R>
}

export const make = (sql: SqlClient.SqlClient, { read, write }: Gate): Effect.Effect<SqlClient.SqlClient> => {
  const once = <A>(use: (connection: Connection) => Effect.Effect<A, SqlError>) =>
    read(Effect.scoped(Effect.flatMap(sql.reserve, use)))
  const gated: Connection = {
    execute: (...all) => once((connection) => connection.execute(...all)),
    executeRaw: (...all) => once((connection) => connection.executeRaw(...all)),
    executeValues: (...all) => once((connection) => connection.executeValues(...all)),
    executeUnprepared: (...all) => once((connection) => connection.executeUnprepared(...all)),
    executeValuesUnprepared: (...all) => once((connection) => connection.executeValuesUnprepared(...all)),
    executeStream: () => Stream.die("nobody streams rows beside the store")
  }
  return SqlClient.make({
    acquirer: Effect.succeed(gated),
    transactionAcquirer: sql.reserve,
    compiler: PgClient.makeCompiler(),
    driver: sql.driver,
    spanAttributes: []
  }).pipe(
    Effect.map((client) => {
      const { withTransaction } = client
      const gated: SqlClient.SqlClient["withTransaction"] = (transaction) =>
        write(withTransaction(transaction))
      return Object.assign(client, { withTransaction: gated })
    }),
    Effect.provide(Reactivity.layer)
  )
}
