/**
 * PostgreSQL inside this process (PGlite): nothing to install, one directory, one process.
 *
 * **When to use**: without a `DATABASE_URL`, on a laptop and in tests.
 *
 * **Gotchas**
 *
 * - It has one connection: a query waits for the commit before it. It runs in this thread, so long statements delay
 *   everything else.
 * - It does not wait for the disk (`fsync` is off): a crash of the process loses nothing that was committed, a crash of
 *   the operating system may.
 * - The first start takes some seconds, the next ones a fraction of one.
 */

import { join } from "node:path"
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { Duration, Effect, Layer, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import { registry } from "./ColumnArray.ts"
import { type DataDirectoryError, type DataDirectoryHeld, hold } from "./DirectoryLock.ts"
import * as PGliteStream from "./PGliteStream.ts"
import { toStoreError } from "./SqlFailure.ts"
import { DatabaseFailure, StoreError } from "./Store.ts"

export interface EmbeddedOptions {
  /** Where the database lies, made if needed; undefined keeps it in memory, for as long as the layer. */
  readonly directory: string | undefined
  /** Who holds the directory, as another process is told. */
  readonly holder: string
  /** Whether to wait for another process that has the directory. Default `exit`: fail with `DataDirectoryHeld`. */
  readonly whenHeld?: "exit" | "wait"
}

export const layer = (
  options: EmbeddedOptions
): Layer.Layer<
  PgClient.PgClient | SqlClient.SqlClient,
  StoreError | DataDirectoryHeld | DataDirectoryError
> => Layer.unwrap(Effect.map(open(options), layerFrom))

/** A client of a database that is open already. */
export const layerFrom = (db: PGlite): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, StoreError> =>
  PgClient.layer({
    stream: () => PGliteStream.make(db),
    username: "postgres",
    database: "postgres",
    applicationName: "sluice",
    maxConnections: 1,
    idleTimeout: Duration.infinity,
    connectTimeout: "1 minute",
    types: registry
  }).pipe(
    Layer.catch((error) =>
      Layer.effectContext(Effect.fail(toStoreError("open the embedded database")(error)))
    )
  )

const open = Effect.fnUntraced(function* ({ directory, holder, whenHeld = "exit" }: EmbeddedOptions) {
  if (directory !== undefined) {
    yield* hold(directory, holder).pipe(
      Effect.retry({
        schedule: Schedule.spaced("1 second"),
        while: (error) => whenHeld === "wait" && error._tag === "DataDirectoryHeld"
      })
    )
  }
  return yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => PGlite.create(directory === undefined ? {} : { dataDir: join(directory, "pgdata") }),
      catch: (cause) =>
        new StoreError({
          reason: new DatabaseFailure({
            operation: "open the embedded database",
            detail: cause instanceof Error ? cause.message : String(cause),
            isRetryable: false,
            cause
          })
        })
    }),
    (db) => Effect.promise(() => db.close())
  )
})
