/**
 * One JSON-RPC endpoint: a URL that stays secret, an id that may be said aloud, and what was learned about it.
 */
import { ByteSize, Clock, Duration, Effect, Option, Redacted, Ref, Result } from "effect"
import { HttpClient, HttpClientRequest, HttpIncomingMessage } from "effect/http"
import * as JsonRpc from "./JsonRpc.ts"
import { Malformed, ProviderFault, type Reason, ResponseTooLarge, Unavailable } from "./ProviderFault.ts"

/** What was learned about an endpoint by using it. */
export interface EndpointState {
  /** Highest block it was seen to have. */
  readonly head: number | undefined
  /** False once it answered that it does not know eth_getBlockReceipts. */
  readonly blockReceipts: boolean
  /** Most calls that it takes in one HTTP request; 1 where it takes no batches. */
  readonly maxBatch: number
  /** Blocks in one eth_getLogs that served last; undefined before the first. */
  readonly logRange: number | undefined
  /** Most addresses in a filter of eth_getLogs; undefined where none were too many. */
  readonly logAddresses: number | undefined
  readonly requests: number
  readonly bytesReceived: number
  readonly faults: number
  readonly lastFault: string | undefined
  /** Moving average, milliseconds. */
  readonly latency: number | undefined
  /** Milliseconds since 1970 until which it is left alone. */
  readonly restUntil: number
  /** Whether it serves the chain that it should; undefined until it was asked. */
  readonly rightChain: boolean | undefined
}

export interface Endpoint {
  /** `rpc-1`, `rpc-2`, ... in the order of the setting. */
  readonly id: string
  readonly host: string
  readonly state: Ref.Ref<EndpointState>
  /**
   * Sends the calls in one HTTP request. Fails when the request as a whole came to nothing; a fault of one call is
   * its own answer.
   */
  readonly send: (calls: ReadonlyArray<JsonRpc.Call>) => Effect.Effect<Sent, ProviderFault>
  /** The result of one call, or its fault. */
  readonly call: (method: string, params: ReadonlyArray<unknown>) => Effect.Effect<unknown, ProviderFault>
  readonly fault: (method: string, reason: Reason) => ProviderFault
}

export interface Sent {
  readonly answers: ReadonlyArray<JsonRpc.Answer>
  /** Bytes of the body. */
  readonly bytes: number
}

export interface EndpointOptions {
  readonly id: string
  readonly url: Redacted.Redacted
  readonly timeout: Duration.Duration
  readonly maxResponseBytes: number
}

/** Calls in one request until a provider says that this is too many; most take 100 or more. */
const batchLimit = 100

export const make = Effect.fnUntraced(function* (
  options: EndpointOptions
): Effect.fn.Return<Endpoint, never, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const { headers, host, target } = address(options.url)
  const state = yield* Ref.make<EndpointState>({
    head: undefined,
    blockReceipts: true,
    maxBatch: batchLimit,
    logRange: undefined,
    logAddresses: undefined,
    requests: 0,
    bytesReceived: 0,
    faults: 0,
    lastFault: undefined,
    latency: undefined,
    restUntil: 0,
    rightChain: undefined
  })
  const fault = (method: string, reason: Reason) =>
    new ProviderFault({ endpoint: options.id, method, reason })

  const exchange = Effect.fnUntraced(function* (calls: ReadonlyArray<JsonRpc.Call>) {
    const request = HttpClientRequest.post(target, { headers }).pipe(
      HttpClientRequest.bodyText(JsonRpc.encode(calls), "application/json")
    )
    const started = yield* Clock.currentTimeMillis
    const response = yield* client.execute(request)
    const body = Buffer.from(yield* response.arrayBuffer)
    const now = yield* Clock.currentTimeMillis
    yield* Ref.update(state, (s) => ({
      ...s,
      requests: s.requests + 1,
      bytesReceived: s.bytesReceived + body.length,
      latency: s.latency === undefined ? now - started : s.latency * 0.8 + (now - started) * 0.2
    }))
    // JSON-RPC answers are ASCII but for words in error messages; latin1 is read without a look at each byte.
    const decoded = JsonRpc.decode(
      {
        status: response.status,
        retryAfter: JsonRpc.retryAfter(response.headers["retry-after"], now),
        body: body.toString("latin1")
      },
      calls.length
    )
    return Result.map(decoded, (answers): Sent => ({ answers, bytes: body.length }))
  })

  const send = Effect.fnUntraced(function* (calls: ReadonlyArray<JsonRpc.Call>) {
    const method = calls[0]?.method ?? "none"
    const outcome = yield* exchange(calls).pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(options.maxResponseBytes)),
      Effect.timeoutOrElse({
        duration: options.timeout,
        orElse: () =>
          Effect.succeed(
            Result.fail(new Unavailable({ detail: `no answer within ${Duration.format(options.timeout)}` }))
          )
      }),
      Effect.catchTag("HttpClientError", (error) =>
        Effect.succeed(
          Result.fail(
            isOverflow(error)
              ? new ResponseTooLarge({ detail: `more than ${options.maxResponseBytes} bytes` })
              : error.reason._tag === "DecodeError"
                ? new Malformed({ detail: "the body broke off" })
                : new Unavailable({ detail: causeCode(error) })
          )
        )
      )
    )
    return yield* Result.isSuccess(outcome)
      ? Effect.succeed(outcome.success)
      : Effect.fail(fault(method, outcome.failure))
  })

  const call = Effect.fnUntraced(function* (method: string, params: ReadonlyArray<unknown>) {
    const { answers } = yield* send([{ method, params }])
    const answer = answers[0] ?? Result.fail(new Malformed({ detail: "no answer" }))
    return yield* Result.isSuccess(answer)
      ? Effect.succeed(answer.success)
      : Effect.fail(fault(method, answer.failure))
  })

  return { id: options.id, host, state, send, call, fault }
})

/** Credentials inside the URL travel as a header, where `node:http` would drop them. */
const address = (redacted: Redacted.Redacted) => {
  const url = new URL(Redacted.value(redacted))
  const credentials =
    url.username === "" && url.password === ""
      ? Option.none<string>()
      : Option.some(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`)
  const host = url.host
  url.username = ""
  url.password = ""
  const headers: Record<string, string> = { accept: "application/json" }
  if (Option.isSome(credentials)) {
    headers["authorization"] = `Basic ${Buffer.from(credentials.value).toString("base64")}`
  }
  return { headers, host, target: url.toString() }
}

interface Caused {
  readonly cause?: unknown
  readonly reason: { readonly cause?: unknown }
}

const isOverflow = (error: Caused): boolean => /maxBytes|too large|exceed/i.test(String(error.reason.cause))

/** `ECONNREFUSED` and the like: never the error's message, which names the URL. */
const causeCode = (error: Caused): string => {
  let cause: unknown = error.reason.cause
  for (let depth = 0; depth < 4 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return "the connection failed"
}
