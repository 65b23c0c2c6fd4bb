/**
 * Which column a parameter of an event becomes, and how it is called.
 */
import type { AbiParameter } from "viem"
import { type ColumnType, column } from "../columns/Table.ts"

/** `AbiParameter` of an event. */
export type EventParameter = AbiParameter & { readonly indexed?: boolean | undefined }

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
const isElementary = (type: string): boolean =>
  /^(address|bool|u?int\d*|bytes([1-9]|[12]\d|3[0-2]))$/.test(type)

/** Whether only its hash is in a topic. */
export const isHashed = ({ indexed, type }: EventParameter): boolean =>
  indexed === true && !isElementary(type)

const bitsOf = (type: string): number => Number(/\d+$/.exec(type)?.[0] ?? 256)

export const typeOf = (parameter: EventParameter): ColumnType => {
  const { type } = parameter
  if (isHashed(parameter)) return "bytea"
  if (type === "bool") return "bool"
  if (type === "string") return "text"
  if (type === "address" || /^bytes\d*$/.test(type)) return "bytea"
  // All of its values have to fit into the signed integers of PostgreSQL.
  if (/^u?int\d*$/.test(type)) {
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

export const cut = (name: string, length: number): string => name.slice(0, length).replace(/_+$/, "")
