/**
 * What the database says when it does not do as asked, as a `StoreError`.
 *
 * **Details**
 *
 * Of a driver's error only the server's own words and its SQLSTATE are kept. The driver's causes may hold a whole
 * connection URL (an `Invalid URL` of Node does), and what is in an error ends up in a log.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { DatabaseFailure, Duplicate, StoreError } from "./Store.ts"

/** Classes of SQLSTATE in which trying again, later or on another connection, may help. */
const retryableClasses = new Set([
  "08", // connection
  "40", // deadlock, serialization
  "53", // disk full, memory, connections
  "57", // cancelled, shut down, starting up
  "58" // the server's operating system
])

const retryableStates = new Set([
  "25006", // read only: a failover has made a standby of it
  "25P03", // idle in a transaction for too long
  "55P03" // a lock
])

/** The parts of a server's error. */
interface Reported {
  readonly code?: unknown
  readonly detail?: unknown
  readonly message?: unknown
}

const reported = (cause: unknown): Reported => (typeof cause === "object" && cause !== null ? cause : {})

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

export const toStoreError =
  (operation: string) =>
  (error: SqlError | StoreError): StoreError => {
    if (error instanceof StoreError) return error
    const { reason } = error
    const { code, detail, message } = reported(reason.cause)
    const state = text(code)
    const words = [
      text(message) ?? reason.message,
      text(detail),
      state === undefined ? undefined : `(${state})`
    ]
      .filter((word) => word !== undefined)
      .join(" ")
    if (reason._tag === "UniqueViolation") return new StoreError({ reason: new Duplicate({ detail: words }) })
    return new StoreError({
      reason: new DatabaseFailure({
        operation,
        detail: words,
        isRetryable: isRetryable(error, state),
        cause: new Error(words)
      })
    })
  }

const isRetryable = ({ reason }: SqlError, state: string | undefined): boolean =>
  state !== undefined && /^[0-9A-Z]{5}$/.test(state)
    ? retryableClasses.has(state.slice(0, 2)) || retryableStates.has(state)
    : reason.isRetryable

/**
 * `effect` in one transaction. A connection that dies in the middle is a typed failure here: the driver's rollback
 * on it fails too, and would be a defect that hides what happened.
 */
export const transaction =
  (sql: SqlClient.SqlClient, operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError | StoreError, R>): Effect.Effect<A, StoreError, R> =>
    Effect.suspend(() => {
      let first: SqlError | StoreError | undefined
      const remembering = Effect.tapError(effect, (error) =>
        Effect.sync(() => {
          first = error
        })
      )
      return sql.withTransaction(remembering).pipe(
        Effect.catchDefect((defect) =>
          isSqlError(defect) ? Effect.fail(first ?? defect) : Effect.die(defect)
        ),
        Effect.mapError(toStoreError(operation))
      )
    })

/**
 * One instance at a time from here to the end of the transaction. A process that is stopped in between would keep all
 * others waiting: the server ends its transaction.
 */
export const exclusive = (sql: SqlClient.SqlClient, key: string) =>
  sql`select set_config('idle_in_transaction_session_timeout', '10s', true),
    pg_advisory_xact_lock(hashtextextended(${`sluice ${key}`}, 0))`
