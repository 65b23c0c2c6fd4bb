/**
 * One JSON-RPC endpoint: a URL that stays secret, an id that may be said aloud, and what was learned about it.
 *
 * Whatever is sent waits until the endpoint's pace allows it, and what is heard of rates changes the pace.
 */
import { createHash } from "node:crypto"
import { ByteSize, Clock, Duration, Effect, Metric, Option, Redacted, Ref, Result } from "effect"
import { HttpClient, HttpClientRequest, HttpIncomingMessage } from "effect/http"
import * as Cost from "./Cost.ts"
import * as EndpointState from "./EndpointState.ts"
import * as JsonRpc from "./JsonRpc.ts"
import * as Metrics from "./Metrics.ts"
import * as Pace from "./Pace.ts"
import {
  Inconsistent,
  Malformed,
  oneLine,
  ProviderFault,
  type RateLimited,
  type Reason,
  ResponseTooLarge,
  Unavailable
} from "./ProviderFault.ts"
import * as Secrets from "./Secrets.ts"

export interface Endpoint {
  /** `rpc-1`, `rpc-2`, ... in the order of the setting. */
  readonly id: string
  readonly host: string
  /** Says which endpoint it is from one run to the next, and nothing of its URL but the host. */
  readonly key: string
  readonly state: Ref.Ref<EndpointState.EndpointState>
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

export const make = Effect.fnUntraced(function* (
  options: EndpointOptions
): Effect.fn.Return<Endpoint, never, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const { cut, headers, host, target } = address(options.url)
  const state = yield* Ref.make(EndpointState.initial)
  const fault = (method: string, reason: Reason) =>
    new ProviderFault({ endpoint: options.id, method, reason: quotable(reason, cut) })

  /** Waits until the pace allows so many calls; tells when, and how long nothing had been sent before. */
  const pass = Effect.fnUntraced(function* (calls: number) {
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const { quiet, wait } = yield* Ref.modify(state, (s) => {
        const seen = { quiet: now - s.pace.sentAt, wait: Pace.wait(s.pace, now) }
        return [seen, seen.wait > 0 ? s : { ...s, pace: Pace.take(s.pace, now, calls) }]
      })
      if (wait === 0) return { sentAt: now, quiet }
      yield* Effect.sleep(Duration.millis(wait))
    }
  })

  const exchange = Effect.fnUntraced(function* (calls: ReadonlyArray<JsonRpc.Call>) {
    const request = HttpClientRequest.post(target, { headers }).pipe(
      HttpClientRequest.bodyText(JsonRpc.encode(calls), "application/json")
    )
    const response = yield* client.execute(request)
    const body = Buffer.from(yield* response.arrayBuffer)
    const now = yield* Clock.currentTimeMillis
    // JSON-RPC answers are ASCII but for words in error messages; latin1 is read without a look at each byte.
    const text = body.toString("latin1")
    yield* account(calls, text, now)
    const retryAfter = JsonRpc.retryAfter(response.headers["retry-after"], now)
    const decode = (body: string) =>
      JsonRpc.decode({ status: response.status, retryAfter, body }, calls.length)
    const plain = decode(text)
    // What went wrong is said in the provider's own words, which must not name our key.
    const decoded = isClean(plain) ? plain : decode(cut(text))
    return Result.map(decoded, (answers): Sent => ({ answers, bytes: body.length }))
  })

  const account = Effect.fnUntraced(function* (
    calls: ReadonlyArray<JsonRpc.Call>,
    body: string,
    now: number
  ) {
    const spent = yield* Ref.modify(state, (before) => {
      const measured =
        calls.length > 1 && now - before.sizedAt > measureInterval ? Cost.measure(calls, body) : undefined
      const s =
        measured === undefined
          ? before
          : { ...before, usualBytes: { ...before.usualBytes, ...measured }, sizedAt: now }
      const cost = Cost.byMethod(calls, body, s.usualBytes)
      return [cost, { ...s, requests: s.requests + 1, spent: Cost.add(s.spent, cost) }]
    })
    for (const [method, cost] of Object.entries(spent)) {
      const labels = { endpoint: options.id, method }
      yield* Metric.update(Metric.withAttributes(Metrics.calls, labels), cost.calls)
      yield* Metric.update(Metric.withAttributes(Metrics.bytes, labels), cost.bytes)
    }
  })

  /** Slows down when there were too many requests, and takes smaller batches when a single one was too many. */
  const learn = Effect.fnUntraced(function* (
    outcome: Result.Result<Sent, Reason>,
    sent: { readonly sentAt: number; readonly quiet: number; readonly calls: number }
  ) {
    const now = yield* Clock.currentTimeMillis
    const refusal = refusalIn(outcome)
    yield* Ref.update(state, (s) => {
      if (refusal === undefined) return { ...s, pace: Pace.answered(s.pace, now) }
      const alone = sent.quiet > aloneAfter && sent.calls > 1
      return {
        ...s,
        maxBatch: alone ? Math.min(s.maxBatch, Math.ceil(sent.calls / 2)) : s.maxBatch,
        pace: Pace.refused(s.pace, now, {
          sentAt: sent.sentAt,
          retryAfter: refusal.retryAfter,
          perSecond: refusal.perSecond
        })
      }
    })
  })

  const send = Effect.fnUntraced(function* (calls: ReadonlyArray<JsonRpc.Call>) {
    const method = calls[0]?.method ?? "none"
    const sent = yield* pass(calls.length)
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
    yield* learn(outcome, { ...sent, calls: calls.length })
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

  return { id: options.id, host, key: keyOf(host, options.url), state, send, call, fault }
})

/** How often, in milliseconds, the answers in a batch are told apart to see how its bytes are shared. */
const measureInterval = 1000

/** A batch that was refused after so many milliseconds of silence is too large by itself. */
const aloneAfter = 1000

/** Longest text of values that were found to be wrong: two hashes and the place that they stand at fit in. */
const longestQuote = 400

/** What is wrong with an answer is said with values out of it, whatever the provider put there. */
const quotable = (reason: Reason, cut: (text: string) => string): Reason => {
  const detail = () => oneLine(cut(reason.detail), longestQuote)
  switch (reason._tag) {
    case "Inconsistent":
      return new Inconsistent({ check: reason.check, detail: detail() })
    case "Malformed":
      return new Malformed({ detail: detail() })
    default:
      return reason
  }
}

const isClean = (outcome: Result.Result<ReadonlyArray<JsonRpc.Answer>, Reason>): boolean =>
  Result.isSuccess(outcome) && outcome.success.every(Result.isSuccess)

/** The refusal for too many requests, of the whole or of one of its calls. */
const refusalIn = (outcome: Result.Result<Sent, Reason>): RateLimited | undefined => {
  const reasons = Result.isFailure(outcome)
    ? [outcome.failure]
    : outcome.success.answers.flatMap((answer) => (Result.isFailure(answer) ? [answer.failure] : []))
  return reasons.find((reason) => reason._tag === "RateLimited")
}

/** Half of a digest: enough to know an endpoint again, and far from enough to find its key. */
const keyOf = (host: string, url: Redacted.Redacted): string =>
  `${host}#${createHash("sha256").update(Redacted.value(url)).digest("hex").slice(0, 16)}`

/** Credentials inside the URL travel as a header, where `node:http` would drop them. */
const address = (redacted: Redacted.Redacted) => {
  const url = new URL(Redacted.value(redacted))
  const credentials =
    url.username === "" && url.password === ""
      ? Option.none<string>()
      : Option.some(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`)
  const host = url.host
  const cut = Secrets.cutter(url)
  url.username = ""
  url.password = ""
  const headers: Record<string, string> = { accept: "application/json" }
  if (Option.isSome(credentials)) {
    headers["authorization"] = `Basic ${Buffer.from(credentials.value).toString("base64")}`
  }
  return { cut, headers, host, target: url.toString() }
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
