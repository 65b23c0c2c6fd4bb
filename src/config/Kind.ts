/**
 * The kinds of values that settings have, each a codec between the one text form (of flags, variables and what is
 * shown) and the typed value, with the words that complete "expected ...".
 *
 * Parsing is strict, since a setting that was guessed wrong is found hours later, and friendly where nothing is
 * ambiguous: `1_000_000`, `5m`, `64 MiB`, `YES`. A bare number is never a duration.
 *
 * **Gotchas**: the codecs' own messages are never shown, because they quote their input, which may be a secret.
 */
import { Duration, Effect, Option, Redacted, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { parseUrl } from "./Redaction.ts"

/** `A` is the typed value, `I` what an embedding program may give for it. */
export interface Kind<out A, out I> {
  readonly schema: Schema.Codec<A, string>
  /** Completes "expected ...". */
  readonly expected: string
  /** The unit of a value, as the documentation says it. */
  readonly unit: string
  /** Only in types. */
  readonly "~input"?: I
}

const make = <A, I>(options: {
  readonly type: Schema.Codec<A>
  readonly parse: (text: string) => Option.Option<A>
  readonly print: (value: A) => string
  readonly expected: string
  readonly unit: string
}): Kind<A, I> => ({
  schema: Schema.String.pipe(
    Schema.decodeTo(
      options.type,
      SchemaTransformation.transformEffect<A, string>({
        decode: (text) =>
          Effect.mapError(
            Effect.fromOption(options.parse(text)),
            () => new SchemaIssue.InvalidValue({ message: `Expected ${options.expected}` })
          ),
        encode: (value) => Effect.succeed(options.print(value))
      })
    )
  ),
  expected: options.expected,
  unit: options.unit
})

/** Plain digits, or groups of three with `_` or `,` between them. */
const digits = /^(?:\d+|\d{1,3}(?:_\d{3})+|\d{1,3}(?:,\d{3})+)$/

const parseInteger = (text: string): Option.Option<number> =>
  Option.liftPredicate(
    Number(text.replaceAll(/[_,]/g, "")),
    (n) => digits.test(text) && Number.isSafeInteger(n)
  )

const grouped = (n: number): string => n.toLocaleString("en-US")

/** A whole number from `minimum` to `maximum` (default: as large as a double counts exactly). */
export const integer = (options: {
  readonly minimum: number
  readonly maximum?: number
  readonly unit: string
}): Kind<number, number> => {
  const { minimum, maximum = Number.MAX_SAFE_INTEGER } = options
  return make({
    type: Schema.Int.check(Schema.isBetween({ minimum, maximum })),
    parse: parseInteger,
    print: String,
    expected:
      options.maximum === undefined
        ? `a whole number, ${grouped(minimum)} or more`
        : `a whole number from ${grouped(minimum)} to ${grouped(maximum)}`,
    unit: options.unit
  })
}

const durationUnits: ReadonlyArray<readonly [names: RegExp, short: string, millis: number]> = [
  [/^(?:d|days?)$/, "d", 86_400_000],
  [/^(?:h|hrs?|hours?)$/, "h", 3_600_000],
  [/^(?:m|mins?|minutes?)$/, "m", 60_000],
  [/^(?:s|secs?|seconds?)$/, "s", 1_000],
  [/^(?:ms|millis?|milliseconds?)$/, "ms", 1]
]

/** `90s`, `250ms`: the largest unit that leaves no rest. */
export const printDuration = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const unit = durationUnits.find(([, , size]) => millis >= size && millis % size === 0)
  return unit === undefined ? `${millis}ms` : `${millis / unit[2]}${unit[1]}`
}

const parseDuration = (text: string): Option.Option<number> => {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(text.toLowerCase())
  const unit = durationUnits.find(([names]) => names.test(match?.[2] ?? ""))
  if (match === null || unit === undefined) return Option.none()
  const exact = Number(match[1]) * unit[2]
  const millis = Math.round(exact)
  // 1.1 s is 1100.0000000000002 ms to a double.
  return Math.abs(exact - millis) < 1e-6 && Number.isSafeInteger(millis) ? Option.some(millis) : Option.none()
}

/** Whole milliseconds, from `minimum` to `maximum`: `250ms`, `1s`, `30 seconds`, `5m`. */
export const duration = (options: {
  readonly minimum: string
  readonly maximum: string
}): Kind<Duration.Duration, Duration.Duration | string> => {
  const minimum = Option.getOrElse(parseDuration(options.minimum), () => 0)
  const maximum = Option.getOrElse(parseDuration(options.maximum), () => Number.MAX_SAFE_INTEGER)
  return make({
    type: Schema.Duration,
    parse: (text) =>
      parseDuration(text).pipe(
        Option.filter((millis) => millis >= minimum && millis <= maximum),
        Option.map(Duration.millis)
      ),
    print: printDuration,
    expected: `a duration from ${options.minimum} to ${options.maximum}, such as 250ms, 1s, 30 seconds or 5m`,
    unit: "duration"
  })
}

const sizeUnits: ReadonlyArray<readonly [name: string, bytes: number]> = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["KB", 1e3],
  ["B", 1]
]

/** `256MiB`, or plain bytes when no binary unit fits. */
export const printSize = (bytes: number): string => {
  const unit = sizeUnits.find(([name, size]) => name.endsWith("iB") && bytes >= size && bytes % size === 0)
  return unit === undefined ? String(bytes) : `${bytes / unit[1]}${unit[0]}`
}

const parseSize = (text: string): Option.Option<number> => {
  const match = /^([\d_,.]+)\s*([a-z]*)$/.exec(text.toLowerCase())
  const name = match?.[2] === "" ? "b" : match?.[2]
  const unit = sizeUnits.find((known) => known[0].toLowerCase() === name)
  if (match === null || unit === undefined) return Option.none()
  const amount = match[1] ?? ""
  const number = /^\d+\.\d+$/.test(amount) ? Option.some(Number(amount)) : parseInteger(amount)
  return Option.filter(
    Option.map(number, (n) => n * unit[1]),
    Number.isSafeInteger
  )
}

/** `256MiB`, `64MB` or plain bytes. */
export const size = (options: { readonly minimum: number }): Kind<number, number | string> =>
  make({
    type: Schema.Int.check(Schema.isGreaterThanOrEqualTo(options.minimum)),
    parse: parseSize,
    print: printSize,
    expected: `a size of ${printSize(options.minimum)} or more, such as 256MiB, 64MB or plain bytes`,
    unit: "bytes"
  })

export const boolean: Kind<boolean, boolean> = make({
  type: Schema.Boolean,
  parse: (text) => {
    const word = text.toLowerCase()
    if (["true", "yes", "on", "1"].includes(word)) return Option.some(true)
    return ["false", "no", "off", "0"].includes(word) ? Option.some(false) : Option.none()
  },
  print: String,
  expected: "true or false",
  unit: "boolean"
})

/** One of a few words, in any case. */
export const choice = <const Word extends string>(words: ReadonlyArray<Word>): Kind<Word, Word> =>
  make({
    type: Schema.Literals(words),
    parse: (text) => Option.fromNullishOr(words.find((word) => word.toLowerCase() === text.toLowerCase())),
    print: (word) => word.toLowerCase(),
    expected: `one of ${words.map((word) => word.toLowerCase()).join(", ")}`,
    unit: words.map((word) => word.toLowerCase()).join("|")
  })

/** Text of printable characters that fits `pattern`. */
export const text = (options: {
  readonly pattern: RegExp
  readonly expected: string
  readonly unit: string
  readonly except?: ReadonlySet<string>
}): Kind<string, string> =>
  make({
    type: Schema.String,
    parse: Option.liftPredicate((value) => options.pattern.test(value) && !options.except?.has(value)),
    print: (value) => value,
    expected: options.expected,
    unit: options.unit
  })

/** The label is the host, so that a log which prints the value says which endpoint it is. */
const parseSecretUrl = (value: string, schemes: ReadonlyArray<string>) =>
  parseUrl(value).pipe(
    Option.filter((parsed) => schemes.includes(parsed.protocol.slice(0, -1)) && !/\s/.test(value)),
    Option.map((parsed) => Redacted.make(value, { label: parsed.hostname }))
  )

const SecretUrl = Schema.Redacted(Schema.String)

const listed = (schemes: ReadonlyArray<string>): string =>
  schemes.map((scheme) => `${scheme}://`).join(" or ")

export const secretUrl = (options: {
  readonly schemes: ReadonlyArray<string>
  readonly example: string
}): Kind<Redacted.Redacted, Redacted.Redacted | string> =>
  make({
    type: SecretUrl,
    parse: (value) => parseSecretUrl(value, options.schemes),
    print: Redacted.value,
    expected: `a URL with ${listed(options.schemes)}, such as ${options.example}`,
    unit: "URL"
  })

/** URLs with commas between them, none for the empty text. A comma inside of a URL has to be written `%2C`. */
export const secretUrls = (options: {
  readonly schemes: ReadonlyArray<string>
  readonly example: string
}): Kind<
  ReadonlyArray<Redacted.Redacted>,
  ReadonlyArray<Redacted.Redacted | string> | Redacted.Redacted | string
> =>
  make({
    type: Schema.Array(SecretUrl),
    parse: (value) =>
      Option.all(
        value === "" ? [] : value.split(",").map((part) => parseSecretUrl(part.trim(), options.schemes))
      ),
    print: (urls) => urls.map(Redacted.value).join(","),
    expected: `one or more URLs with ${listed(options.schemes)}, commas between them, such as ${options.example}`,
    unit: "URLs"
  })

const parsePrices = (text: string): Option.Option<ReadonlyMap<string, number>> => {
  const prices = new Map<string, number>()
  for (const part of text.split(",").map((entry) => entry.trim())) {
    const match = /^(\*|[A-Za-z]\w{0,63})\s*=\s*(\d{1,9}(?:\.\d{1,6})?)$/.exec(part)
    if (part === "") continue
    if (match === null || prices.has(match[1] ?? "")) return Option.none()
    prices.set(match[1] ?? "", Number(match[2]))
  }
  return Option.some(prices)
}

/** Credits for one call, by method: `eth_getBlockReceipts=20,*=10`. `*` is every other method. */
export const prices: Kind<
  ReadonlyMap<string, number>,
  ReadonlyMap<string, number> | Readonly<Record<string, number>> | string
> = make({
  type: Schema.ReadonlyMap(Schema.String, Schema.Finite),
  parse: parsePrices,
  print: (list) => [...list].map(([method, price]) => `${method}=${price}`).join(","),
  expected: "method=credits with commas between them, each method once, such as eth_getLogs=75,*=20",
  unit: "credits"
})

/** The text form of what an embedding program gave; what has none fails to parse like any other wrong text. */
export const textOf = (input: unknown): string => {
  if (Redacted.isRedacted(input)) return textOf(Redacted.value(input))
  if (Duration.isDuration(input)) return printDuration(input)
  if (Array.isArray(input)) return input.map((part) => textOf(part).replaceAll(",", "%2C")).join(",")
  if (input instanceof Map) return textOf(Object.fromEntries(input))
  if (typeof input !== "object" || input === null) return input === null ? "(null)" : String(input)
  return Object.entries(input)
    .map(([key, part]) => `${key}=${textOf(part)}`)
    .join(",")
}
