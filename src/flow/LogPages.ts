/**
 * All logs of a final range that some sources take, as one page with the time of each of them.
 *
 * **Details**: newer nodes send a log's time with it. Where one does not, the headers of the blocks that have logs are
 * asked for, in batches; they have to be the blocks that the logs are of.
 *
 * A log's row is found by its block and its place in it. Where an answer counts logs anew in each transaction, that place
 * is none: it is a wrong answer here, as it is among the receipts of whole blocks.
 */
import { Effect, Stream } from "effect"
import type { BlockRange } from "../chain/BlockRange.ts"
import * as KeptLog from "../chain/KeptLog.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import * as LogParser from "../chain/LogParser.ts"
import { HeadLag, Inconsistent, ProviderFault } from "../rpc/ProviderFault.ts"
import type { ChainSource } from "../source/ChainSource.ts"
import type { LogPage, PlacedLog } from "../store/Store.ts"

export interface FetchedPage {
  /** Who sent the end of it. */
  readonly endpoint: string
  readonly page: LogPage
}

/** Memory of a page beside its logs, roughly. */
const fixedBytes = 1024

/** Filters asked for at the same time. */
const filtersInFlight = 4

const method = "eth_getLogs"

export const make =
  (source: ChainSource["Service"], filters: ReadonlyArray<LogFilter>) =>
  (range: BlockRange): Effect.Effect<FetchedPage, ProviderFault> =>
    Effect.gen(function* () {
      const parts = yield* Effect.forEach(
        filters,
        (filter) => Stream.runCollect(source.logs(range, filter)),
        {
          concurrency: filtersInFlight
        }
      )
      const ends = parts.flatMap((pages) => pages.at(-1) ?? [])
      const [end] = ends
      if (end === undefined) return yield* Effect.die(new Error("a page without a filter"))
      const reject = (detail: string) => {
        const fault = new ProviderFault({
          endpoint: end.endpoint,
          method,
          reason: new Inconsistent({ check: "logs", detail })
        })
        return Effect.andThen(source.report(fault), Effect.fail(fault))
      }
      const other = ends.find(({ last }) => last.hash !== end.last.hash)
      if (other !== undefined) {
        return yield* reject(
          `block ${range.to} is ${end.last.hash}, and ${other.last.hash} beside other logs`
        )
      }
      const found = parts.map((pages) => pages.flatMap(({ logs }) => logs))
      const logs = found.length === 1 ? (found[0] ?? []) : once(LogParser.merge(found))
      const times = yield* timesOf(source, logs)
      const placed: Array<PlacedLog> = []
      let before = 0
      let last: PlacedLog | undefined
      for (const log of logs) {
        const number = Number(log.blockNumber)
        const time = times.get(number)
        const timestamp = time?.timestamp ?? Number(log.blockTimestamp)
        if (time !== undefined && time.hash.toLowerCase() !== log.blockHash.toLowerCase()) {
          return yield* reject(`block ${number} is ${time.hash}, its logs are of ${log.blockHash}`)
        }
        if (timestamp < before || timestamp > end.last.timestamp) {
          return yield* reject(`block ${number} has the time ${timestamp}, out of order`)
        }
        if (last?.number === number && Number(log.logIndex) <= Number(last.log.logIndex)) {
          return yield* reject(
            `block ${number} has log ${Number(last.log.logIndex)} in transaction ${Number(last.log.transactionIndex)} ` +
              `and log ${Number(log.logIndex)} in transaction ${Number(log.transactionIndex)}: ` +
              "logs have to be counted through the block, not anew in each transaction"
          )
        }
        before = timestamp
        const hash = last?.log.transactionHash
        const kept = KeptLog.of(log, hash === log.transactionHash ? hash : log.transactionHash)
        last = { log: kept, number, timestamp }
        placed.push(last)
      }
      const bytes = placed.reduce((sum, { log }) => sum + KeptLog.bytesOf(log), fixedBytes)
      const page = { range, logs: placed, last: end.last, bytes }
      return { endpoint: end.endpoint, page }
    })

/** Where two filters take the same log it comes twice. */
const once = (logs: ReadonlyArray<LogParser.PlacedLog>): ReadonlyArray<LogParser.PlacedLog> =>
  logs.filter((log, i) => {
    const last = logs[i - 1]
    return (
      last === undefined ||
      last.blockNumber !== log.blockNumber ||
      last.transactionIndex !== log.transactionIndex ||
      last.logIndex !== log.logIndex
    )
  })

/** The headers of blocks whose logs have no time. */
const timesOf = Effect.fnUntraced(function* (
  source: ChainSource["Service"],
  logs: ReadonlyArray<LogParser.PlacedLog>
) {
  const numbers = new Set<number>()
  for (const log of logs) {
    if (log.blockTimestamp === undefined || log.blockTimestamp === null) numbers.add(Number(log.blockNumber))
  }
  const asked = [...numbers]
  const headers = yield* source.headers(asked)
  const missing = asked.find((_, i) => headers[i] === undefined)
  if (missing !== undefined) {
    return yield* new ProviderFault({
      endpoint: "the highest endpoint",
      method: "eth_getBlockByNumber",
      reason: new HeadLag({ detail: `has no block ${missing}, which has logs` })
    })
  }
  return new Map(
    headers.flatMap((header) => (header === undefined ? [] : [[header.number, header] as const]))
  )
})
