/**
 * A PostgreSQL server, 14 or newer.
 *
 * **Details**
 *
 * Connections are opened when they are needed and opened again when the server was away: a layer can be built before
 * there is a server. What is sent over a connection that breaks fails with a retryable `DatabaseFailure`.
 *
 * **Gotchas**
 *
 * Behind a transaction pooler set `sessions: false`: it hands out connections anew for each transaction, so nothing
 * may be kept on them, neither prepared statements nor an advisory lock.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { registry } from "./ColumnArray.ts"
import { toStoreError } from "./SqlFailure.ts"
import { DatabaseFailure, StoreError } from "./Store.ts"

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; libpq's parameters `sslmode`, `options` and others are honoured. */
  readonly url: Redacted.Redacted
  /** Whether a connection stays the same server process: true but for transaction poolers. Default true. */
  readonly sessions?: boolean
  /** Default 4: a commit, the lease, and room for readers. */
  readonly maxConnections?: number
}

export const layer = ({
  maxConnections = 4,
  sessions = true,
  url
}: PostgresOptions): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, StoreError> =>
  Layer.unwrap(
    Effect.map(checked(url), (checkedUrl) =>
      PgClient.layer({
        url: checkedUrl,
        applicationName: "sluice",
        maxConnections,
        prepare: sessions,
        types: registry,
        connectTimeout: "10 seconds",
        // Notices a server that is gone without a word while a connection is idle, as the advisory lock's is.
        keepAlive: "15 seconds"
      })
    )
  ).pipe(Layer.catch((error) => Layer.effectContext(Effect.fail(toStoreError("connect")(error)))))

/** The driver would report a URL that it cannot read as a failed connection, to be tried again for ever. */
const checked = (url: Redacted.Redacted): Effect.Effect<Redacted.Redacted, StoreError> =>
  Effect.suspend(() => {
    const text = Redacted.value(url)
    return URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)
      ? Effect.succeed(url)
      : Effect.fail(
          new StoreError({
            reason: new DatabaseFailure({
              operation: "connect",
              detail: "the database's URL is no postgres:// URL",
              isRetryable: false,
              cause: undefined
            })
          })
        )
  })
