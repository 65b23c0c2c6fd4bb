/**
 * What an event's writer has written, read back from the binary form of its columns.
 */
import type { AbiEvent, AbiParameter } from "viem"
import { encodeAbiParameters, keccak256, stringToHex, toEventSelector } from "viem"
import type { Hex, RpcLog } from "../../src/chain/Block.ts"
import { type ColumnType, column, table } from "../../src/columns/Table.ts"
import * as TableWriter from "../../src/columns/TableWriter.ts"
import * as Columns from "../../src/events/Columns.ts"
import type { EventSource } from "../../src/events/EventSource.ts"
import * as EventWriter from "../../src/events/EventWriter.ts"

export type Value = boolean | bigint | string | null

export const place = { number: 5_000_000_000, timeHigh: 1, timeLow: 2 }

/** A source of the event, without the checks of `Contract`. */
export const sourceOf = (event: AbiEvent, change: Partial<EventSource> = {}): EventSource => {
  const names = Columns.namesOf(event.inputs)
  return {
    id: `it.${event.name}`,
    fingerprint: "",
    contract: "it",
    event,
    topic0: toEventSelector(event),
    emitters: { _tag: "Anybody" },
    startBlock: 0,
    table: table({
      name: "it",
      doc: "",
      key: ["block_number", "log_index"],
      columns: {
        ...Columns.placeColumns,
        ...Object.fromEntries(
          event.inputs.map((input, i) => [names[i], column(Columns.typeOf(input), false)("")])
        )
      }
    }),
    pack: undefined,
    ...change
  }
}

export const logOf = (topics: ReadonlyArray<Hex>, data: Hex, change: Partial<RpcLog> = {}): RpcLog => ({
  address: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
  topics,
  data,
  logIndex: "0x7",
  transactionIndex: "0x1",
  transactionHash: `0x${"ab".repeat(32)}`,
  ...change
})

export const valuesOf = (args: object | undefined): ReadonlyMap<string, unknown> =>
  new Map(Object.entries(args ?? {}))

/** A topic of the value; of what is no word some hash, as viem encodes only few of them. */
const topicOf = (input: Columns.EventParameter, value: unknown): Hex => {
  const encoded = encodeAbiParameters([input], [value])
  if (!Columns.isHashed(input)) return encoded
  return keccak256(input.type === "string" ? stringToHex(String(value)) : encoded)
}

/** The log of these values, as viem encodes it. */
export const encode = (event: AbiEvent, values: ReadonlyArray<unknown>): RpcLog => {
  const given = event.inputs.map((input, i) => ({ input, value: values[i] }))
  const topics = given.flatMap(({ input, value }) => (input.indexed ? [topicOf(input, value)] : []))
  const rest = given.filter(({ input }) => !input.indexed)
  const data = encodeAbiParameters(
    rest.map(({ input }) => input),
    rest.map(({ value }) => value)
  )
  return logOf([toEventSelector(event), ...topics], data)
}

const numeric = (bytes: Buffer): bigint => {
  const weight = bytes.readInt16BE(2)
  let value = 0n
  for (let i = 0; i <= weight; i++) {
    value = value * 10_000n + BigInt(i < bytes.readInt16BE(0) ? bytes.readInt16BE(8 + i * 2) : 0)
  }
  return bytes.readInt16BE(4) === 0x4000 ? -value : value
}

const read = (type: ColumnType, bytes: Buffer): Value => {
  switch (type) {
    case "bool":
      return bytes.readUInt8() === 1
    case "int2":
      return BigInt(bytes.readInt16BE())
    case "int4":
      return BigInt(bytes.readInt32BE())
    case "int8":
    case "timestamptz":
      return bytes.readBigInt64BE()
    case "numeric":
      return numeric(bytes)
    case "bytea":
      return `0x${bytes.toString("hex")}`
    case "text":
      return bytes.toString()
    case "jsonb":
      return bytes.toString("utf8", 1)
  }
}

/** Rows of the table, each a value for each column. */
export const rowsOf = (
  source: EventSource,
  { buffer, count, ends }: TableWriter.TableRows
): ReadonlyArray<Readonly<Record<string, Value>>> => {
  const rows = Array.from({ length: count }, (): Record<string, Value> => ({}))
  if (count === 0) return rows
  let at = 0
  for (const [i, [name, { type }]] of Object.entries(source.table.columns).entries()) {
    for (const row of rows) {
      const size = buffer.readInt32BE(at)
      row[name] = size < 0 ? null : read(type, buffer.subarray(at + 4, at + 4 + size))
      at += 4 + Math.max(0, size)
    }
    if (at !== ends[i]) throw new Error(`${name} ends at ${at}, expected ${ends[i]}`)
  }
  return rows
}

/** The row that the log becomes, or why it becomes none; nothing may be written then. */
export const write = (source: EventSource, log: RpcLog): Readonly<Record<string, Value>> | string => {
  const writer = EventWriter.make(source)
  const reason = writer.write(log, place)
  const [row] = rowsOf(source, TableWriter.take(writer.table))
  if (reason !== undefined) return row === undefined ? reason : "refused, and written all the same"
  return row ?? "neither refused nor written"
}

/** A value of viem's as the column has it. */
export const wanted = (parameter: Columns.EventParameter, value: unknown): Value => {
  if (typeof value === "boolean" || typeof value === "bigint") return value
  if (typeof value === "number") return BigInt(value)
  if (Columns.isHashed(parameter)) return String(value)
  if (parameter.type === "string") return String(value).replaceAll("\0", "\ufffd")
  return typeof value === "string" ? value.toLowerCase() : JSON.stringify(json(parameter, value))
}

const json = (parameter: AbiParameter, value: unknown): unknown => {
  const { type } = parameter
  if (type.endsWith("]")) {
    const of = { ...parameter, type: type.slice(0, type.lastIndexOf("[")) }
    return Array.isArray(value) ? value.map((one) => json(of, one)) : value
  }
  if ("components" in parameter) {
    if (Array.isArray(value)) return parameter.components.map((one, i) => json(one, value[i]))
    const fields = Object.entries(value ?? {})
    return Object.fromEntries(
      parameter.components.map((one) => [
        one.name,
        json(one, fields.find(([name]) => name === one.name)?.[1])
      ])
    )
  }
  if (type === "bool") return value
  return type === "string" ? String(value).replaceAll("\0", "\ufffd") : String(value).toLowerCase()
}
