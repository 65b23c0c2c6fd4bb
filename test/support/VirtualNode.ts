/**
 * JSON-RPC nodes on the test clock: an `HttpClient` that reaches them without a network, so that an hour in quarantine
 * takes no time at all.
 */
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import type { RawBlock } from "../../src/chain/Block.ts"
import { honest, type Request } from "./HttpNode.ts"

export type Reply =
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body: string }
  | "refused"

export type Respond = (calls: ReadonlyArray<Request>) => Effect.Effect<Reply>

/** Answers as a node of this chain would, after `millis`. */
export const node =
  (blocks: () => ReadonlyArray<RawBlock>, millis = 10): Respond =>
  (calls) =>
    Effect.delay(
      Effect.sync(() => answers(calls, (call) => ({ result: honest({ blocks }, call) }))),
      millis
    )

export const answers = (
  calls: ReadonlyArray<Request>,
  answer: (call: Request) => { readonly result: unknown } | { readonly error: unknown }
): Reply => {
  const items = calls.map((call) => ({ jsonrpc: "2.0", id: call.id, ...answer(call) }))
  return { body: JSON.stringify(items.length === 1 ? items[0] : items) }
}

/** Hosts as `http://a` for the key `a`. */
export const layer = (nodes: Readonly<Record<string, Respond>>): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.gen(function* () {
        const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        const parsed = JSON.parse(body) as Request | ReadonlyArray<Request>
        const respond = nodes[url.hostname]
        const reply =
          respond === undefined
            ? "refused"
            : yield* respond(Array.isArray(parsed) ? parsed : [parsed as Request])
        if (reply === "refused") {
          return yield* new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause: { code: "ECONNREFUSED" } })
          })
        }
        const { headers = {}, status = 200 } = reply
        const bytes = new TextEncoder().encode(reply.body)
        const response = HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
        // The web's own way to read a body leaves the test clock.
        return Object.create(response, { arrayBuffer: { value: Effect.succeed(bytes.buffer) } })
      })
    )
  )
