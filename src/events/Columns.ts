/**
 * Which column a parameter of an event becomes, and how it is called.
 */
import { createHash } from "node:crypto"
import type { AbiParameter } from "viem"
import { type ColumnType, column } from "../columns/Table.ts"

export type Parameter = AbiParameter

/** `AbiParameter` of an event. */
export type EventParameter = Parameter & { readonly indexed?: boolean | undefined }

/** Columns of every event's table, before those of its parameters. */
export const placeColumns = {
  block_number: column("int8", false)("Its block."),
  block_timestamp: column("timestamptz", false)("When the block was made."),
  transaction_hash: column("bytea", false)("Its transaction's hash."),
  log_index: column("int4", false)("Place in the block, from 0."),
  contract: column("bytea", false)("The contract that emitted it, 20 bytes.")
}

/** Longest name that PostgreSQL keeps. Bytes. */
export const longestName = 63

/** `amount0In` becomes `amount0_in`, `sqrtPriceX96` becomes `sqrt_price_x96`, `tokenURI` becomes `token_uri`. */
export const snakeCase = (name: string): string =>
  name
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")

/** Value types, which are one word each wherever they stand. */
const isElementary = (type: string): boolean => {
  if (type === "address" || type === "bool") return true
  const [, kind, digits] = /^(u?int|bytes)([1-9]\d*)$/.exec(type) ?? []
  const size = Number(digits)
  if (kind === "bytes") return size <= 32
  return kind !== undefined && size <= 256 && size % 8 === 0
}

/** What an array is of; undefined where it is none. */
export const itemOf = (parameter: Parameter): Parameter | undefined => {
  const bracket = /\[\d*\]$/.exec(parameter.type)
  return bracket === null ? undefined : { ...parameter, type: parameter.type.slice(0, bracket.index) }
}

/** What a tuple is made of. */
export const componentsOf = (parameter: Parameter): ReadonlyArray<Parameter> =>
  "components" in parameter ? parameter.components : []

/** The first type in it that no event can have, or that has to be spelt in full, as `uint256`. */
export const oddType = (parameter: Parameter): string | undefined => {
  const item = itemOf(parameter)
  if (item !== undefined) return oddType(item)
  const { type } = parameter
  if (type === "tuple") {
    const components = componentsOf(parameter)
    return components.length === 0 ? "tuple without components" : components.map(oddType).find(isDefined)
  }
  return isElementary(type) || type === "string" || type === "bytes" ? undefined : type
}

const isDefined = (type: string | undefined): boolean => type !== undefined

/** Whether the data has an offset in its place, and its value further behind. */
const isDynamic = (parameter: Parameter): boolean => {
  const item = itemOf(parameter)
  if (item !== undefined) return parameter.type.endsWith("[]") || isDynamic(item)
  const { type } = parameter
  return type === "string" || type === "bytes" || componentsOf(parameter).some(isDynamic)
}

/** Words that it takes in the place where it stands in the data. */
export const headWords = (parameter: Parameter): number => {
  if (isDynamic(parameter)) return 1
  const item = itemOf(parameter)
  if (item !== undefined) return headWords(item) * Number(/(\d+)\]$/.exec(parameter.type)?.[1])
  if (parameter.type !== "tuple") return 1
  return componentsOf(parameter).reduce((sum, component) => sum + headWords(component), 0)
}

/** Whether only its hash is in a topic. */
export const isHashed = ({ indexed, type }: EventParameter): boolean =>
  indexed === true && !isElementary(type)

/** Whose width in bits is the number at its end. */
const bitsOf = (type: string): number => Number(/\d+$/.exec(type)?.[0])

export const typeOf = (parameter: EventParameter): ColumnType => {
  const { type } = parameter
  if (isHashed(parameter)) return "bytea"
  if (type === "bool") return "bool"
  if (type === "string") return "text"
  if (type === "address" || /^bytes\d*$/.test(type)) return "bytea"
  // All of its values have to fit into the signed integers of PostgreSQL.
  if (/^u?int\d+$/.test(type)) {
    const bits = bitsOf(type) + (type.startsWith("u") ? 1 : 0)
    return bits <= 32 ? "int4" : bits <= 64 ? "int8" : "numeric"
  }
  return "jsonb"
}

/** One name for each parameter, in their order; none of them twice, and none of those in `placeColumns`. */
export const namesOf = (parameters: ReadonlyArray<EventParameter>): ReadonlyArray<string> => {
  const taken = new Set(Object.keys(placeColumns))
  return parameters.map((parameter, i) => {
    const plain = snakeCase(parameter.name ?? "") || `arg${i}`
    const spelt = /^\d/.test(plain) ? `arg_${plain}` : plain
    const wanted = cut(isHashed(parameter) ? `${spelt}_hash` : spelt, longestName)
    let name = wanted
    for (let n = 2; taken.has(name); n++) name = `${cut(wanted, longestName - 4)}_${n}`
    taken.add(name)
    return name
  })
}

const cut = (name: string, length: number): string => name.slice(0, length).replace(/_+$/, "")

/** Digits of a hash that stand for what was cut off. */
const markDigits = 8

/**
 * A table's name. PostgreSQL would cut a longer one without a word, and two tables be one: what is cut off is stood for
 * by its hash, which is the same in every run.
 */
export const tableName = (words: string): string => {
  const name = snakeCase(words)
  if (name.length <= longestName) return name
  const mark = createHash("sha256").update(name).digest("hex").slice(0, markDigits)
  return `${cut(name, longestName - markDigits - 2)}_h${mark}`
}
