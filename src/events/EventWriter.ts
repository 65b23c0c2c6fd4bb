/**
 * Logs of one event as rows of its table.
 *
 * **Details**
 *
 * Parameters that are one word each (see `Words`) are written straight from the log's hex strings, by steps that are
 * made once from the ABI, wherever the word stands. Strings, bytes, arrays and tuples go through viem's decoder, for
 * events that have such parameters outside of their topics.
 *
 * Data that is longer than the event needs is taken, as Solidity and viem take it.
 *
 * **Gotchas**
 *
 * - A log is looked at as a whole before anything is written, so that a refusal leaves no half of a row. Its place
 *   (block, index, hashes) is taken as it is: parsers have seen to it.
 * - What is inside an array or a tuple is judged by viem alone, which does not look at the padding of addresses and
 *   integers there.
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

/** A parameter that takes viem: its place among those that are not indexed. */
interface Decoded {
  readonly index: number
  readonly parameter: Columns.EventParameter
  readonly to: ColumnWriter
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
  const decoded: Array<Decoded> = []
  const inData: Array<Columns.EventParameter> = []
  let topics = 1
  /** Where the next parameter begins in the data. */
  let head = prefix
  for (const [i, parameter] of source.event.inputs.entries()) {
    const to = columnOf(names[i] ?? "")
    const word = Words.of(parameter.type)
    if (parameter.indexed === true) {
      steps.push({ word: word ?? Words.hash, to, topic: topics++, at: prefix })
      continue
    }
    if (word !== undefined) steps.push({ word, to, topic: 0, at: head })
    else decoded.push({ index: inData.length, parameter, to })
    head += Columns.headWords(parameter) * Words.wordDigits
    inData.push(parameter)
  }
  const length = head

  const textOf = ({ topic }: Step, log: RpcLog): string =>
    topic === 0 ? log.data : (log.topics[topic] ?? "")

  const misfit = (log: RpcLog): string | undefined => {
    if (log.topics.length !== topics) {
      return `${log.topics.length - 1} indexed parameters, expected ${topics - 1}`
    }
    if (log.data.length < length) {
      return `${Math.floor(log.data.length / 2) - 1} bytes of data, expected ${length / 2 - 1}`
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
    if (decoded.length > 0) {
      try {
        values = decodeAbiParameters(inData, log.data)
      } catch (cause) {
        return reasonOf(cause)
      }
    }
    writePlace(log, block)
    for (const step of steps) step.word.write(step.to, textOf(step, log), step.at)
    for (const { index, parameter, to } of decoded) writeValue(to, parameter, values[index])
    return undefined
  }

  return { table, write }
}

const reasonOf = (cause: unknown): string =>
  cause instanceof Error ? (cause.message.split("\n")[0] ?? cause.name) : "the data does not decode"

/** A value as viem decodes it, of a type that is no word. */
const writeValue = (to: ColumnWriter, parameter: Columns.EventParameter, value: unknown): void => {
  if (parameter.type === "string") to.text(withoutNul(String(value)))
  else if (parameter.type === "bytes") to.data(`0x${String(value).slice(2)}`)
  else to.jsonb(JSON.stringify(plain(parameter, value)))
}

/** As JSON can say it: integers of any size as text, bytes and addresses as hex in lower case. */
const plain = (parameter: Columns.Parameter, value: unknown): unknown => {
  const item = Columns.itemOf(parameter)
  if (item !== undefined) return Array.isArray(value) ? value.map((one) => plain(item, one)) : value
  const { type } = parameter
  if (type === "tuple") return plainTuple(Columns.componentsOf(parameter), value)
  if (type === "bool") return value
  return type === "string" ? withoutNul(String(value)) : String(value).toLowerCase()
}

/** An object by the names of its components; where one of them has none, an array. */
const plainTuple = (components: ReadonlyArray<Columns.Parameter>, value: unknown): unknown => {
  if (Array.isArray(value)) return components.map((component, i) => plain(component, value[i]))
  const fields = new Map(Object.entries(value ?? {}))
  return Object.fromEntries(
    components.map((component) => [component.name ?? "", plain(component, fields.get(component.name ?? ""))])
  )
}

/** PostgreSQL keeps no U+0000, neither in text nor in JSON: the replacement character stands for it. */
const withoutNul = (text: string): string => text.replaceAll("\u0000", "\ufffd")
