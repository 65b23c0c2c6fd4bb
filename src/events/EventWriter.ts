/**
 * Logs of one event as rows of its table.
 *
 * **Details**: where all parameters that are not indexed are words, a row is written straight from the log's hex
 * strings, by steps that were made once from the ABI. Other events go through viem's decoder; their indexed words are
 * looked at in the same way.
 *
 * **Gotchas**: a log is looked at as a whole before anything is written, so that a refusal leaves no half of a row.
 */
import { decodeAbiParameters } from "viem/utils"
import type { RpcLog } from "../chain/Block.ts"
import { type ColumnWriter, Refusals } from "../columns/ColumnWriter.ts"
import * as TableWriter from "../columns/TableWriter.ts"
import type * as Timestamp from "../columns/Timestamp.ts"
import * as Columns from "./Columns.ts"
import type { EventSource } from "./EventSource.ts"
import * as Words from "./Words.ts"

export interface BlockPlace extends Timestamp.Halves {
  readonly number: number
}

export interface EventWriter {
  readonly table: TableWriter.TableWriter
  /** Appends the log as a row, or says why it is no such event; then nothing is written. */
  readonly write: (log: RpcLog, block: BlockPlace) => string | undefined
}

/** A word in a topic, or in the data. */
interface Step {
  readonly word: Words.Word
  readonly to: ColumnWriter
  /** Which topic; 0 where it is in the data. */
  readonly topic: number
  /** Where its digits begin. */
  readonly at: number
}

/** Behind `0x`. */
const prefix = 2

export const make = (source: EventSource): EventWriter => {
  const refusals = new Refusals()
  const table = TableWriter.make(source.table, refusals)
  const names = Columns.namesOf(source.event.inputs)
  const columnOf = (name: string): ColumnWriter => {
    const found = table.columns[name]
    if (found === undefined) throw new Error(`${source.table.name} has no column ${name}`)
    return found
  }
  const place = {
    number: columnOf("block_number"),
    time: columnOf("block_timestamp"),
    transaction: columnOf("transaction_hash"),
    index: columnOf("log_index"),
    contract: columnOf("contract")
  }
  const steps: Array<Step> = []
  /** What is not indexed, each with its column. */
  const rest: Array<{ readonly parameter: Columns.EventParameter; readonly to: ColumnWriter }> = []
  let topics = 1
  for (const [i, parameter] of source.event.inputs.entries()) {
    const to = columnOf(names[i] ?? "")
    if (parameter.indexed !== true) {
      rest.push({ parameter, to })
      continue
    }
    steps.push({ word: Words.of(parameter.type) ?? Words.hash, to, topic: topics, at: prefix })
    topics++
  }
  const words = rest.map(({ parameter }) => Words.of(parameter.type))
  const isCompiled = words.every((word) => word !== undefined)
  if (isCompiled) {
    for (const [i, { to }] of rest.entries()) {
      const word = words[i]
      if (word !== undefined) steps.push({ word, to, topic: 0, at: prefix + i * Words.wordDigits })
    }
  }
  const length = isCompiled ? prefix + rest.length * Words.wordDigits : 0

  const textOf = ({ topic }: Step, log: RpcLog): string =>
    topic === 0 ? log.data : (log.topics[topic] ?? "")

  const misfit = (log: RpcLog): string | undefined => {
    if (log.topics.length !== topics) {
      return `${log.topics.length - 1} indexed parameters, expected ${topics - 1}`
    }
    if (log.data.length < length) {
      return `${log.data.length / 2 - 1} bytes of data, expected ${length / 2 - 1}`
    }
    for (const step of steps) {
      const wrong = step.word.check(textOf(step, log), step.at)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  const writePlace = (log: RpcLog, { number, timeHigh, timeLow }: BlockPlace): void => {
    place.number.int64(Math.floor(number / 0x1_0000_0000), number >>> 0)
    place.time.int64(timeHigh, timeLow)
    place.transaction.fixed(log.transactionHash, 32)
    place.index.int4(log.logIndex)
    place.contract.fixed(log.address, 20)
  }

  const write: EventWriter["write"] = (log, block) => {
    const wrong = misfit(log)
    if (wrong !== undefined) return wrong
    let values: ReadonlyArray<unknown> = []
    if (!isCompiled) {
      try {
        values = decodeAbiParameters(
          rest.map(({ parameter }) => parameter),
          log.data
        )
      } catch (cause) {
        return reasonOf(cause)
      }
    }
    writePlace(log, block)
    for (const step of steps) step.word.write(step.to, textOf(step, log), step.at)
    if (!isCompiled) for (const [i, { parameter, to }] of rest.entries()) writeValue(to, parameter, values[i])
    return undefined
  }

  return { table, write }
}

const reasonOf = (cause: unknown): string =>
  cause instanceof Error ? (cause.message.split("\n")[0] ?? cause.name) : "the data does not decode"

/** A value as viem decodes it. */
const writeValue = (to: ColumnWriter, { type }: Columns.EventParameter, value: unknown): void => {
  if (typeof value === "bigint" || typeof value === "number") writeInteger(to, type, BigInt(value))
  else if (typeof value === "boolean") to.bool(value)
  else if (type === "string") to.text(withoutNul(String(value)))
  else if (typeof value === "string") to.data(`0x${value.slice(2)}`)
  else to.jsonb(withoutNul(JSON.stringify(value, plain)))
}

const writeInteger = (to: ColumnWriter, type: string, value: bigint): void => {
  switch (Columns.typeOf({ type })) {
    case "int4":
      return to.int32(Number(value))
    case "int8":
      return to.int64(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asUintN(32, value)))
    default: {
      const digits = (value < 0n ? -value : value).toString(16)
      return to.numericDigits(digits, 0, digits.length, value < 0n)
    }
  }
}

/** Integers of any size as text; addresses without their checksum. */
const plain = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint" || typeof value === "number") return value.toString()
  return typeof value === "string" && /^0x[\da-fA-F]+$/.test(value) ? value.toLowerCase() : value
}

/** PostgreSQL keeps no U+0000, neither in text nor in JSON: the replacement character stands for it. */
const withoutNul = (text: string): string =>
  text.replaceAll("\u0000", "\ufffd").replace(/(?<!\\)((?:\\\\)*)\\u0000/g, "$1\\ufffd")
