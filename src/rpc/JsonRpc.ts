/**
 * JSON-RPC 2.0 over HTTP, as providers really speak it: answers out of order, a single object for a batch, errors as
 * strings, bodies that are no JSON. Encoding and decoding only; nothing here waits.
 */
import { Option, Predicate, Result } from "effect"
import { classify, type ErrorAnswer } from "./Classification.ts"
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
  if (body === undefined) return Result.fail(noJson(answer))
  const items = Array.isArray(body) ? body : [body]
  if (answer.status >= 400 && items.every((item) => errorOf(item) === undefined)) {
    // A result under a status that says it went wrong is not believed: an empty one would lose blocks.
    return Result.fail(plain(answer, items.some(hasResult) ? "" : text(answer.body)))
  }
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

/** An error is told whatever its id, which proxies make up; a result has to be ours, or to have no id at all. */
const single = (answer: HttpAnswer, items: ReadonlyArray<unknown>): Answer => {
  const [item] = items
  if (items.length !== 1) {
    return Result.fail(new Malformed({ detail: `${items.length} answers to one request` }))
  }
  const id = idOf(item)
  return errorOf(item) !== undefined || id === undefined || id === null || positionOf(id, 1) === 0
    ? itemOf(answer, item)
    : Result.fail(new Malformed({ detail: foreignId(id) }))
}

const batch = (
  answer: HttpAnswer,
  items: ReadonlyArray<unknown>,
  count: number
): Result.Result<ReadonlyArray<Answer>, Reason> => {
  const answers = new Array<Answer | undefined>(count)
  for (const item of items) {
    const position = positionOf(idOf(item), count)
    if (position === undefined) {
      // An error without an id speaks for the whole batch.
      const error = errorOf(item)
      return Result.fail(
        error === undefined
          ? new Malformed({ detail: foreignId(idOf(item)) })
          : classify({ ...answer, ...error })
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
  return Predicate.isObject(item) && "result" in item
    ? Result.succeed(item["result"])
    : Result.fail(new Malformed({ detail: "neither result nor error" }))
}

const idOf = (item: unknown): unknown => (Predicate.isObject(item) && "id" in item ? item["id"] : undefined)

/** Some providers answer a numeric id as a string. */
const positionOf = (id: unknown, count: number): number | undefined => {
  const position = typeof id === "string" && /^\d{1,9}$/.test(id) ? Number(id) : id
  return typeof position === "number" && Number.isInteger(position) && position >= 0 && position < count
    ? position
    : undefined
}

const foreignId = (id: unknown): string =>
  id === undefined ? "an answer without an id" : `an answer with the id ${shorten(written(id))}`

const hasResult = (item: unknown): boolean => Predicate.isObject(item) && "result" in item

type ErrorWords = Pick<ErrorAnswer, "code" | "message" | "data">

/**
 * The error of an answer, or nothing where it has none. Whatever stands under `error` is one; so is a sentence where
 * there is no result, which gateways send, and Etherscan's `{"status": "0", "result": "Max rate limit reached"}`.
 */
const errorOf = (item: unknown): ErrorWords | undefined => {
  if (!Predicate.isObject(item)) return undefined
  const { error, message, result, status } = item
  if (Predicate.isObject(error) && !Array.isArray(error)) return wordsIn(error)
  // In `{"error": "Bad Request", "message": "..."}` the words stand beside a title.
  if (error !== undefined && error !== null) return wordsIn({ ...item, message: sentence([error, message]) })
  if (status === "0" && message !== undefined) return wordsIn({ message: sentence([message, result]) })
  return !("result" in item) && sentenceKeys.some((key) => key in item) ? wordsIn(item) : undefined
}

const sentenceKeys = ["message", "msg", "detail", "errors"]

const wordsIn = (error: { readonly [key: PropertyKey]: unknown }): ErrorWords => {
  const { code, message, data, ...rest } = error
  const numeric = typeof code === "string" && /^-?\d{1,9}$/.test(code) ? Number(code) : code
  const told = typeof numeric === "number" ? sentence([message]) : sentence([message, numeric])
  return {
    code: typeof numeric === "number" ? numeric : undefined,
    message: told === "" ? sentence([error]) : told,
    data: data ?? rest
  }
}

const sentence = (parts: ReadonlyArray<unknown>): string =>
  parts
    .filter((part) => part !== undefined && part !== null)
    .map((part) => text(typeof part === "string" ? part : written(part)))
    .join(" ")
    .trim()

/** A body without JSON: an error page, a gateway's sentence, or an answer that broke off. */
const noJson = (answer: HttpAnswer): Reason => {
  const words = text(answer.body)
  const malformed = new Malformed({
    detail: words === "" ? "an empty body" : `no JSON: ${shorten(words.slice(0, 120))}`
  })
  if (answer.status >= 400) return plain(answer, words)
  // With status 200 only a sentence that is understood counts: what looks like JSON or HTML is a body that broke.
  if (/^\s*[[{<]/.test(answer.body)) return malformed
  const reason = plain(answer, words)
  return reason._tag === "Rejected" ? malformed : reason
}

const plain = (answer: HttpAnswer, message: string): Reason =>
  classify({ ...answer, code: undefined, message, data: undefined })

/** As JSON; `parse` reads any depth, which `JSON.stringify` does not write. */
const written = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return "a value of great depth"
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
    .replace(/<(style|script)\b[^>]*>[^<]*<\/\1>/gi, " ")
    .replace(/<[a-z!/][^<>]*>/gi, " ")
    .trim()

/** `Retry-After` as seconds or as an HTTP date, in milliseconds from `now`; nothing for nonsense and for the past. */
export const retryAfter = (header: string | undefined, now: number): Option.Option<number> => {
  const value = header?.trim() ?? ""
  if (/^\d{1,9}(\.\d+)?$/.test(value)) return Option.some(Math.ceil(Number(value) * 1000))
  // Date.parse takes almost anything for a date; all forms of an HTTP date have a name of a month and a time.
  const wait = /[a-z]{3}.*\d\d:\d\d/i.test(value) ? Date.parse(value) - now : Number.NaN
  return wait >= 0 ? Option.some(wait) : Option.none()
}
