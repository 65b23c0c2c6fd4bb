/**
 * An OpenTelemetry collector on a port of its own that keeps what it is sent, for as long as the scope is open.
 */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"

export interface Received {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, string | number | boolean>>
}

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly name: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly status: { readonly code: number; readonly message?: string }
}

const close = (server: Server) =>
  Effect.promise(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

/** `hanging` takes requests and never answers. */
export const make = Effect.fnUntraced(function* (options: { readonly hanging?: boolean } = {}) {
  const received: Array<Received> = []
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const listening = createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => {
          const { headers, url = "" } = request
          received.push({ url, headers, body: Buffer.concat(parts).toString() })
          if (options.hanging !== true) response.setHeader("content-type", "application/json").end("{}")
        })
      })
      listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    close
  )
  return { received, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }
})

const bodies = (received: ReadonlyArray<Received>, signal: string) =>
  received.filter(({ url }) => new URL(url, "http://collector").pathname.endsWith(`/v1/${signal}`))

export const spans = (received: ReadonlyArray<Received>): ReadonlyArray<Span> =>
  bodies(received, "traces").flatMap(({ body }) =>
    JSON.parse(body).resourceSpans.flatMap(
      (resource: { scopeSpans: ReadonlyArray<{ spans: Array<Span> }> }) =>
        resource.scopeSpans.flatMap((scope) => scope.spans)
    )
  )

/** Names of the metrics in the newest message. */
export const metricNames = (received: ReadonlyArray<Received>): ReadonlyArray<string> => {
  const newest = bodies(received, "metrics").at(-1)
  if (newest === undefined) return []
  return JSON.parse(newest.body).resourceMetrics.flatMap(
    (resource: { scopeMetrics: ReadonlyArray<{ metrics: ReadonlyArray<{ name: string }> }> }) =>
      resource.scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name))
  )
}

export const attributes = (span: Span): Readonly<Record<string, string | number | boolean | undefined>> =>
  Object.fromEntries(
    span.attributes.map(({ key, value }) => [
      key,
      "intValue" in value ? Number(value["intValue"]) : Object.values(value)[0]
    ])
  )
