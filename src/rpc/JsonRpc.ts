/**
 * JSON-RPC 2.0 over HTTP, as providers really speak it: answers out of order, a single object for a batch, errors as
 * strings, bodies that are no JSON. Encoding and decoding only; nothing here waits.
 */
import { Option, Predicate, Result } from "effect"
import { classify } from "./Classification.ts"
import { BatchTooLarge, Malformed, type Reason, shorten } from "./ProviderFault.ts"

export interface Call {
  readonly method: string
  readonly params: ReadonlyArray<unknown>
}

/** What one call of a request came to. */
export type Answer = Result.Result<unknown, Reason>

/** One call becomes a single request, several become a batch; ids are the positions. */
export const encode = (calls: ReadonlyArray<Call>): string => {
  const [first] = calls
  return calls.length === 1 && first !== undefined
    ? JSON.stringify(request(first, 0))
    : JSON.stringify(calls.map(request))
}

const request = (call: Call, id: number) => ({ jsonrpc: "2.0", id, method: call.method, params: call.params })

export interface HttpAnswer {
  readonly status: number
  /** Milliseconds, of the `Retry-After` header. */
  readonly retryAfter: Option.Option<number>
  readonly body: string
}

/**
 * The answers in the order of `count` calls. A failure stands for the request as a whole: nothing in the body can be
 * told to belong to one of the calls.
 */
export const decode = (answer: HttpAnswer, count: number): Result.Result<ReadonlyArray<Answer>, Reason> => {
  const body = parse(answer.body)
  if (body === undefined) {
    return Result.fail(
      answer.status >= 400
        ? classify({ ...answer, code: undefined, message: text(answer.body) })
        : new Malformed({
            detail: answer.body === "" ? "an empty body" : `no JSON: ${shorten(answer.body.slice(0, 120))}`
          })
    )
  }
  const items = Array.isArray(body) ? body : [body]
  if (count === 1) return Result.succeed([single(answer, items)])
  if (!Array.isArray(body)) {
    const error = errorOf(body)
    return Result.fail(
      error === undefined
        ? new BatchTooLarge({ detail: "one answer to a batch of requests" })
        : classify({ ...answer, ...error })
    )
  }
  return batch(answer, items, count)
}

const single = (answer: HttpAnswer, items: ReadonlyArray<unknown>): Answer => {
  const item = items[0]
  if (items.length !== 1)
    return Result.fail(new Malformed({ detail: `${items.length} answers to one request` }))
  return itemOf(answer, item)
}

const batch = (
  answer: HttpAnswer,
  items: ReadonlyArray<unknown>,
  count: number
): Result.Result<ReadonlyArray<Answer>, Reason> => {
  const answers = new Array<Answer | undefined>(count)
  for (const item of items) {
    const id = Predicate.isObject(item) && "id" in item ? item["id"] : undefined
    const position = typeof id === "string" && id !== "" ? Number(id) : id
    if (typeof position !== "number" || !(position >= 0 && position < count)) {
      // An error without an id speaks for the whole batch.
      const error = errorOf(item)
      return Result.fail(
        error !== undefined
          ? classify({ ...answer, ...error })
          : new Malformed({ detail: `an answer with the id ${shorten(String(id))}` })
      )
    }
    if (answers[position] !== undefined) {
      return Result.fail(new Malformed({ detail: `two answers with the id ${position}` }))
    }
    answers[position] = itemOf(answer, item)
  }
  return Result.succeed(
    Array.from(
      answers,
      (item): Answer => item ?? Result.fail(new Malformed({ detail: "no answer to one request of a batch" }))
    )
  )
}

const itemOf = (answer: HttpAnswer, item: unknown): Answer => {
  const error = errorOf(item)
  if (error !== undefined) return Result.fail(classify({ ...answer, ...error }))
  if (Predicate.isObject(item) && "result" in item) return Result.succeed(item["result"])
  return Result.fail(
    answer.status >= 400
      ? classify({ ...answer, code: undefined, message: shorten(JSON.stringify(item) ?? "") })
      : new Malformed({ detail: "neither result nor error" })
  )
}

const errorOf = (
  item: unknown
): { readonly code: number | undefined; readonly message: string } | undefined => {
  if (
    !Predicate.isObject(item) ||
    !("error" in item) ||
    item["error"] === null ||
    item["error"] === undefined
  ) {
    return undefined
  }
  const error = item["error"]
  if (!Predicate.isObject(error)) return { code: undefined, message: text(String(error)) }
  const code = "code" in error && typeof error["code"] === "number" ? error["code"] : undefined
  const message =
    "message" in error && typeof error["message"] === "string" ? error["message"] : JSON.stringify(error)
  const data =
    "data" in error && error["data"] !== undefined && error["data"] !== null ? error["data"] : undefined
  return {
    code,
    message:
      data === undefined ? message : `${message} ${typeof data === "string" ? data : JSON.stringify(data)}`
  }
}

const parse = (body: string): unknown => {
  try {
    const value: unknown = JSON.parse(body)
    return Predicate.isObject(value) || Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Markup out, so that an HTML page becomes the sentence it shows. */
const text = (body: string): string =>
  body
    .slice(0, 4096)
    .replace(/<(style|script)[\s\S]*?<\/\1>/gi, " ")
    .replace(/<[^>]*>/g, " ")
    .trim()

/** `Retry-After` as seconds or as an HTTP date, in milliseconds from `now`. */
export const retryAfter = (header: string | undefined, now: number): Option.Option<number> => {
  if (header === undefined) return Option.none()
  const seconds = Number(header)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now
  return Number.isFinite(wait) && wait >= 0 ? Option.some(wait) : Option.none()
}
