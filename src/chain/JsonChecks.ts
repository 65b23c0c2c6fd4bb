/**
 * Whether single values of a provider's JSON are what a field needs.
 *
 * A check answers what is wrong, or `undefined`. Each of them runs tens of thousands of times for a block, so they
 * look at prefixes and lengths, without regular expressions; hex digits are looked at where they become bytes.
 */
import type { Hex } from "./Block.ts"

/** The same fields, of which nothing is known. */
export type Loose<A> = { readonly [K in keyof A]?: unknown } & {
  readonly [K in "blockHash" | "removed"]?: unknown
}

export interface Fault {
  readonly path: string
  readonly expected: string
  readonly got: unknown
}

export type Check = Fault | undefined

export const isObject = <A>(value: unknown): value is Loose<A> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const isHex = (value: unknown): value is Hex =>
  typeof value === "string" && value.charCodeAt(0) === 48 && value.charCodeAt(1) === 120

export const bytes = (value: unknown, length: number, name: string): Check =>
  isHex(value) && value.length === 2 + length * 2 ? undefined : fault(name, `${length} bytes as hex`, value)

/** The same, with a look at each digit: for what is compared and never becomes bytes. */
export const digits = (value: unknown, length: number, name: string): Check =>
  bytes(value, length, name) ??
  (typeof value === "string" && /^0x[\da-f]*$/i.test(value)
    ? undefined
    : fault(name, `${length} bytes as hex`, value))

export const hash = (value: unknown, name: string): Check => bytes(value, 32, name)

export const address = (value: unknown, name: string): Check => bytes(value, 20, name)

export const data = (value: unknown, name: string): Check =>
  isHex(value) && (value.length & 1) === 0 ? undefined : fault(name, "bytes as hex", value)

export const quantity = (value: unknown, name: string): Check =>
  isHex(value) && value.length > 2 && value.length <= 66 ? undefined : fault(name, "a number as hex", value)

/** A quantity that is exact as a JavaScript number: indices and times. */
export const count = (value: unknown, name: string): Check =>
  isHex(value) && Number.isSafeInteger(value.length > 2 ? Number(value) : Number.NaN)
    ? undefined
    : fault(name, "a number below 2^53 as hex", value)

export const position = (value: unknown, i: number, name: string): Check =>
  value === undefined || value === null || Number(value) === i
    ? undefined
    : fault(name, `0x${i.toString(16)}`, value)

export const optional = (
  value: unknown,
  check: (value: unknown, name: string) => Check,
  name: string
): Check => (value === undefined || value === null ? undefined : check(value, name))

export const items = <A>(
  value: unknown,
  name: string,
  check: (item: Loose<A>, i: number) => Check
): Check => {
  if (!Array.isArray(value)) return fault(name, "an array", value)
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i]
    if (!isObject<A>(item)) return fault(`${name}[${i}]`, "an object", item)
    const wrong = check(item, i)
    if (wrong !== undefined) return { ...wrong, path: `${name}[${i}].${wrong.path}` }
  }
  return undefined
}

export const optionalItems = <A>(value: unknown, name: string, check: (item: Loose<A>) => Check): Check =>
  value === undefined || value === null ? undefined : items<A>(value, name, check)

export const hashes = (value: unknown, name: string, most: number): Check => {
  if (!Array.isArray(value)) return fault(name, "an array", value)
  if (value.length > most) return fault(name, `at most ${most}`, value)
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i]
    const wrong = bytes(item, 32, "")
    if (wrong !== undefined) return { ...wrong, path: `${name}[${i}]` }
  }
  return undefined
}

export const optionalHashes = (value: unknown, name: string): Check =>
  value === undefined || value === null ? undefined : hashes(value, name, Number.POSITIVE_INFINITY)

export const fault = (path: string, expected: string, got: unknown): Fault => ({ path, expected, got })

export const describe = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value === "string") return value.length <= 80 ? value : `${value.slice(0, 77)}...`
  return String(value).slice(0, 80)
}
