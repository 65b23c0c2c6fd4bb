/**
 * The TCP connection below a request: how much waits in it, whether anything arrives, and its end.
 *
 * effect's sockets and responses do not tell these things; Node does. A request that did not come over Node's own
 * server (a test that calls the handlers) has no such connection, and nothing to be bounded.
 */
import { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import { Effect, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpServerResponse } from "effect/http"

export const of = (request: HttpServerRequest.HttpServerRequest): Socket | undefined =>
  request.source instanceof IncomingMessage ? request.source.socket : undefined

/** What a connection may take to say goodbye. Milliseconds. */
const farewell = 500

/**
 * Ends the connection with the scope. A reader that takes nothing in is cut off: waiting for it would keep the server
 * from closing.
 */
export const endWithScope = (connection: Socket | undefined): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (connection === undefined || connection.destroyed) return
      if (connection.writableLength > 0) connection.destroy()
      else connection.setTimeout(farewell, () => connection.destroy()).end()
    })
  )

/** A page of another site may not read along, even though the browser lets it open a WebSocket. */
export const isForeign = ({ headers }: HttpServerRequest.HttpServerRequest): boolean => {
  const { host, origin } = headers
  if (origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== host
}

export const full = (maxClients: number): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(
    `all ${maxClients} places of the live feed are taken (LIVE_MAX_CLIENTS); try again later, or read /api/status\n`,
    { status: 503, headers: { "retry-after": "5" } }
  )
