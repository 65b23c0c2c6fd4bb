/**
 * From a provider's answer to eth_getLogs to logs, or to the first thing that is wrong with it.
 *
 * **Details**: no root commits to such an answer, so it is held against all that is known beforehand: the range, the
 * filter, the order of a chain, one hash for each block, and the hash of the range's last block. What is right stays
 * as it is, uncopied, hex strings untouched.
 *
 * Some chains count logs anew in each transaction, so a log's place is its block, transaction and index together.
 *
 * **Gotchas**: a log that is missing leaves no trace. What makes that unlikely is for whoever asks.
 */
import type { Hex, RpcLog } from "./Block.ts"
import type { BlockRange } from "./BlockRange.ts"
import {
  bytes,
  type Check,
  count,
  data,
  describe,
  type Fault,
  fault,
  hashes,
  isObject,
  type Loose
} from "./JsonChecks.ts"
import { type LogMatcher, misfit } from "./LogFilter.ts"

/** A log that says in which block it is. */
export interface PlacedLog extends RpcLog {
  readonly blockNumber: Hex
  readonly blockHash: Hex
  /** Newer nodes send it. */
  readonly blockTimestamp?: Hex | null
}

export interface Expected {
  readonly range: BlockRange
  readonly matcher: LogMatcher
  /** Hash of the range's last block. */
  readonly lastHash: Hex
}

/** The logs of an answer, each in its place, after the one before. */
export const parse = (
  answer: ReadonlyArray<unknown>,
  { lastHash, matcher, range }: Expected
): { readonly logs: ReadonlyArray<PlacedLog> } | Fault => {
  const logs: Array<PlacedLog> = []
  let number = -1
  let transaction = -1
  let index = -1
  let hash: Hex = lastHash
  for (let i = 0; i < answer.length; i++) {
    const log = answer[i]
    if (!isPlacedLog(log)) return at(i, shapeFault(log) ?? fault("", "a log", log))

    const block = Number(log.blockNumber)
    if (block < range.from || block > range.to) {
      return at(i, fault("blockNumber", `from ${range.from} to ${range.to}`, log.blockNumber))
    }
    const wrong = misfit(matcher, log)
    if (wrong === "address") return at(i, fault("address", "one that was asked for", log.address))
    if (wrong !== undefined) {
      return at(i, fault(`topics[${wrong}]`, "one that was asked for", log.topics[wrong]))
    }

    const ofTransaction = Number(log.transactionIndex)
    const ofLog = Number(log.logIndex)
    if (block === number) {
      if (!same(log.blockHash, hash)) return at(i, fault("blockHash", `${hash} as before`, log.blockHash))
      if (ofTransaction < transaction) {
        return at(i, fault("transactionIndex", `at least ${transaction}`, log.transactionIndex))
      }
      if (ofTransaction === transaction && ofLog <= index) {
        const expected = ofLog === index ? "each log once" : `above ${index}`
        return at(i, fault("logIndex", expected, log.logIndex))
      }
    } else {
      if (block < number) return at(i, fault("blockNumber", `at least ${number}`, log.blockNumber))
      if (block === range.to && !same(log.blockHash, lastHash)) {
        return at(i, fault("blockHash", `${lastHash} as its header says`, log.blockHash))
      }
      number = block
      hash = log.blockHash
    }
    transaction = ofTransaction
    index = ofLog
    logs.push(log)
  }
  return { logs }
}

/** Answers to parts of one filter as one answer to all of it. */
export const merge = (parts: ReadonlyArray<ReadonlyArray<PlacedLog>>): ReadonlyArray<PlacedLog> =>
  parts
    .flat()
    .sort(
      (a, b) =>
        Number(a.blockNumber) - Number(b.blockNumber) ||
        Number(a.transactionIndex) - Number(b.transactionIndex) ||
        Number(a.logIndex) - Number(b.logIndex)
    )

/** `logs[3].address is 0x..., expected one that was asked for`. */
export const explain = ({ expected, got, path }: Fault): string =>
  `${path} is ${describe(got)}, expected ${expected}`

const shapeFault = (log: unknown): Check =>
  isObject<PlacedLog>(log) ? fieldFault(log) : fault("", "an object", log)

const fieldFault = (log: Loose<PlacedLog>): Check =>
  count(log.blockNumber, "blockNumber") ??
  bytes(log.blockHash, 32, "blockHash") ??
  count(log.transactionIndex, "transactionIndex") ??
  bytes(log.transactionHash, 32, "transactionHash") ??
  count(log.logIndex, "logIndex") ??
  bytes(log.address, 20, "address") ??
  hashes(log.topics, "topics", 4) ??
  data(log.data, "data") ??
  (log.blockTimestamp === undefined || log.blockTimestamp === null
    ? undefined
    : count(log.blockTimestamp, "blockTimestamp")) ??
  (log.removed === true ? fault("removed", "false", true) : undefined)

const isPlacedLog = (log: unknown): log is PlacedLog => shapeFault(log) === undefined

const at = (i: number, wrong: Fault): Fault => ({
  ...wrong,
  path: wrong.path === "" ? `logs[${i}]` : `logs[${i}].${wrong.path}`
})

const same = (a: Hex, b: Hex): boolean => a === b || a.toLowerCase() === b.toLowerCase()
