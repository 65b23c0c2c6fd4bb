/**
 * The logs of blocks that pass a filter, read from receipts one by one: what eth_getLogs should have answered.
 */
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import type { LogFilter } from "../../src/chain/LogFilter.ts"
import type { PlacedLog } from "../../src/chain/LogParser.ts"

export const logsOf = (blocks: ReadonlyArray<RawBlock>, filter: LogFilter = {}): ReadonlyArray<PlacedLog> =>
  blocks.flatMap(({ block, receipts }) =>
    receipts
      .flatMap(({ logs }) => logs)
      .map((log) => ({ ...log, blockNumber: block.number, blockHash: block.hash }))
      .filter((log) => passes(log, filter))
  )

const passes = (log: PlacedLog, { addresses = [], topics = [] }: LogFilter): boolean =>
  (addresses.length === 0 || addresses.some((address) => equal(address, log.address))) &&
  topics.every((topic, i) => {
    const any = topic === null ? [] : typeof topic === "string" ? [topic] : topic
    return any.length === 0 || any.some((wanted) => equal(wanted, log.topics[i]))
  })

const equal = (a: Hex, b: Hex | undefined): boolean => a.toLowerCase() === b?.toLowerCase()
