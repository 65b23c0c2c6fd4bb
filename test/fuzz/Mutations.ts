/**
 * What can be wrong with one place of a JSON: every place of a document, and every way in which the value there may
 * be another than it should.
 */
import type { Random } from "../support/blocks.ts"

export type Path = ReadonlyArray<string | number>

export interface Mutation {
  readonly path: Path
  readonly kind: Kind
}

/** The place is left out: of an object the key, of an array the element. */
const missing = Symbol("missing")

/** Text that stands in the document as it is. */
class Raw {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Change = (value: unknown) => unknown

const isHex = (value: unknown): value is string => typeof value === "string" && /^0x[\da-f]*$/i.test(value)

/** For hex strings only; elsewhere there is nothing to change so. */
const hex =
  (change: (digits: string) => string): Change =>
  (value) =>
    isHex(value) ? change(value.slice(2)) : value

const array =
  (change: (items: ReadonlyArray<unknown>) => unknown): Change =>
  (value) =>
    Array.isArray(value) ? change(value) : value

const object =
  (text: string): Change =>
  (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? new Raw(`${JSON.stringify(value).slice(0, -1)}${Object.keys(value).length === 0 ? "" : ","}${text}}`)
      : value

const nested = (depth: number, open: string, close: string) =>
  new Raw(open.repeat(depth) + close.repeat(depth))

/** Half of the digits in upper case says as much as all of them. */
const upper = (digits: string) => `0x${digits.toUpperCase()}`

/** Stands for what a provider knows of its caller and says back. */
export const secret = "S3CR3TK3Y0fTheNode"

const changes = {
  missing: () => missing,
  null: () => null,
  "a number": () => 7,
  "a negative number": () => -1,
  "a fraction": () => 1.5,
  "a huge number": () => new Raw("1e999"),
  "a large number": () => 2 ** 53,
  NaN: () => new Raw("NaN"),
  "a word": () => "hello",
  "the word NaN": () => "NaN",
  "an empty text": () => "",
  "a decimal": (value) => (isHex(value) ? `${Number(value.slice(0, 12))}` : value),
  "a text of a million letters": () => "x".repeat(1_000_000),
  true: () => true,
  false: () => false,
  "an object": () => ({ a: 1 }),
  "an empty object": () => ({}),
  "an empty array": () => [],
  "an array of it": (value) => [value],
  "an object with it": (value) => ({ value }),
  "arrays in arrays": () => nested(20_000, "[", "]"),
  "objects in objects": () => new Raw(`${`{"a":`.repeat(5000)}1${"}".repeat(5000)}`),
  "a text of its JSON": (value) => JSON.stringify(value).slice(0, 5000),
  unicode: () => "0x\u{1f600}\ud800é\u2028",
  "control characters": () => "0x\u001b[2J\u0000\r\nlevel=error",
  "an echo of the key": () => `http://node/v2/${secret}`,
  __proto__: () => new Raw('{"__proto__":{"length":32}}'),
  // Of hex
  "no digits": hex(() => "0x"),
  "half a byte more": hex((digits) => `0x${digits}0`),
  "a byte more": hex((digits) => `0x${digits}00`),
  "a byte less": hex((digits) => `0x${digits.slice(2)}`),
  "a digit less": hex((digits) => `0x${digits.slice(1)}`),
  "upper case": hex(upper),
  "an upper prefix": hex((digits) => `0X${digits}`),
  "no prefix": hex((digits) => digits),
  "a prefix twice": hex((digits) => `0x0x${digits}`),
  "a zero in front": hex((digits) => `0x0${digits}`),
  "two zeros in front": hex((digits) => `0x00${digits}`),
  "32 bytes wide": hex((digits) => `0x${digits.padStart(64, "0")}`),
  "100,000 zeros in front": hex((digits) => `0x${"0".repeat(100_000)}${digits}`),
  negative: hex((digits) => `-0x${digits}`),
  "negative inside": hex((digits) => `0x-${digits.slice(1)}`),
  "a digit that is none": hex((digits) => `0x${digits.slice(0, -1)}g`),
  "a first digit that is none": hex((digits) => `0xg${digits.slice(1)}`),
  "a wide digit": hex((digits) => `0x${digits.slice(0, -1)}\uff11`),
  "an exponent": hex((digits) => `0x${digits.slice(2)}e5`.slice(0, digits.length + 2)),
  "a space behind": hex((digits) => `0x${digits} `),
  "a space before": hex((digits) => ` 0x${digits}`),
  "a line feed behind": hex((digits) => `0x${digits}\n`),
  "a space for the last digit": hex((digits) => `0x${digits.slice(0, -1)} `),
  "another digit": hex((digits) => `0x${digits.slice(0, -1)}${digits.endsWith("1") ? "2" : "1"}`),
  zeros: hex((digits) => `0x${digits.replace(/./g, "0")}`),
  "all ones": hex((digits) => `0x${digits.replace(/./g, "f")}`),
  "2^63": hex(() => "0x8000000000000000"),
  "2^256": hex(() => `0x1${"0".repeat(64)}`),
  // Of arrays
  "its first twice": array((items) => items.slice(0, 1).concat(items)),
  "its last twice": array((items) => items.concat(items.slice(-1))),
  "its first two swapped": array((items) => [...items.slice(0, 2).reverse(), ...items.slice(2)]),
  "turned around": array((items) => [...items].reverse()),
  "without its first": array((items) => items.slice(1)),
  "without its last": array((items) => items.slice(0, -1)),
  "null behind": array((items) => [...items, null]),
  "an array inside": array((items) => [items]),
  "a thousand times": array((items) => Array.from({ length: 1000 }, () => items[0] ?? null)),
  // Of objects
  "an unknown field": object('"sluiceFuzz":"0x1"'),
  "an unknown field of great depth": object(`"sluiceFuzz":${"[".repeat(5000)}${"]".repeat(5000)}`),
  "a field __proto__": object('"__proto__":{"status":"0x0","hash":"0x"}'),
  "a field constructor": object('"constructor":{"prototype":{"a":1}}'),
  "a field toString": object('"toString":"x","valueOf":1,"toJSON":{}'),
  "a field without a name": object('"":"0x1"')
} satisfies Readonly<Record<string, Change>>

export type Kind = keyof typeof changes

export const kinds = Object.keys(changes) as ReadonlyArray<Kind>

/** Every place in `json`, itself first. */
export const paths = (json: unknown, path: Path = []): ReadonlyArray<Path> => [
  path,
  ...(Array.isArray(json)
    ? json.flatMap((item, i) => paths(item, [...path, i]))
    : typeof json === "object" && json !== null
      ? Object.entries(json).flatMap(([key, value]) => paths(value, [...path, key]))
      : [])
]

/** `[0].result.transactions[3].value` */
export const showPath = (path: Path): string =>
  path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("")

export const show = ({ kind, path }: Mutation): string => `${showPath(path) || "everything"} is ${kind}`

const changed = (value: unknown, path: Path, change: Change): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return change(value)
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown, i) => {
      const now = i === key ? changed(item, rest, change) : item
      return now === missing ? [] : [now]
    })
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, name === key ? changed(item, rest, change) : item] as const)
      .filter(([, item]) => item !== missing)
  )
}

/** The document as text, changed in these places one after the other. */
export const apply = (json: unknown, mutations: ReadonlyArray<Mutation>): string => {
  const result = mutations.reduce(
    (now, { kind, path }) => changed(now, path, changes[kind]),
    structuredClone(json)
  )
  return result === missing ? "" : textOf(result)
}

/** Raw text goes in last: what is nested so deep, `JSON.stringify` cannot write. */
const textOf = (json: unknown): string => {
  const raws: Array<string> = []
  const text = JSON.stringify(json, (_, value: unknown) =>
    value instanceof Raw ? `@@${raws.push(value.text) - 1}@@` : value
  )
  return text.replace(/"@@(\d+)@@"/g, (_, i) => raws[Number(i)] ?? "")
}

/** Whether it changes anything at all. */
export const isChange = (json: unknown, { kind, path }: Mutation): boolean => {
  const value = path.reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null ? (at as Record<string | number, unknown>)[key] : undefined,
    json
  )
  const change: Change = changes[kind]
  const now = change(value)
  if (now === missing || now instanceof Raw) return true
  return typeof now !== "object" || typeof value !== "object"
    ? now !== value
    : JSON.stringify(now) !== JSON.stringify(value)
}

/** Every mutation of a document, place by place. */
export const all = (json: unknown): ReadonlyArray<Mutation> =>
  paths(json).flatMap((path) =>
    kinds.map((kind): Mutation => ({ path, kind })).filter((mutation) => isChange(json, mutation))
  )

/** One place of each name, whatever the numbers on the way to it; in lists of different things, `kindOf` tells them apart. */
export const distinct = (
  mutations: ReadonlyArray<Mutation>,
  kindOf: (path: Path) => string
): ReadonlyArray<Mutation> => {
  const first = new Map<string, Path>()
  for (const { path } of mutations) {
    const name = kindOf(path)
    if (!first.has(name)) first.set(name, path)
  }
  const taken = new Set(first.values())
  return mutations.filter(({ path }) => taken.has(path))
}

export const draw = (mutations: ReadonlyArray<Mutation>, r: Random): Mutation =>
  mutations[r.int(mutations.length)] ?? { path: [], kind: "null" }
