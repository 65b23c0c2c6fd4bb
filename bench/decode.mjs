/**
 * CPU time that a log takes to become a row: compiled steps against viem's decoder, over the same logs.
 * `npm run build && node bench/decode.mjs`
 */
import { decodeEventLog, parseAbiItem } from "viem"
import * as TableWriter from "../dist/columns/TableWriter.js"
import * as Contract from "../dist/events/Contract.js"
import * as EventMatcher from "../dist/events/EventMatcher.js"
import * as EventWriter from "../dist/events/EventWriter.js"

const count = 120_000

/** A generator of its own, so that every run has the same logs. */
let state = 42
const digits = (length) => {
  let text = ""
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += state.toString(16).padStart(8, "0")
  }
  return text.slice(0, length)
}
const address = () => `${"0".repeat(24)}${digits(40)}`
const amount = () => digits(4 + (Number.parseInt(digits(2), 16) % 20)).padStart(64, "0")
const tick = () => `${"f".repeat(59)}${digits(5)}`

const events = {
  "Transfer of an ERC-20": {
    line: "event Transfer(address indexed from, address indexed to, uint256 value)",
    topics: [address, address],
    data: [amount]
  },
  "Swap of Uniswap V2": {
    line: "event Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to)",
    topics: [address, address],
    data: [amount, amount, amount, amount]
  },
  "Swap of Uniswap V3": {
    line: "event Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick)",
    topics: [address, address],
    data: [amount, () => `${"f".repeat(40)}${digits(24)}`, amount, amount, tick]
  }
}

const place = { number: 20_000_000, timeHigh: 1, timeLow: 2 }

/** Nanoseconds of CPU for each log, after some to warm up: other programs on the machine do not count. */
const measure = (logs, run) => {
  run(logs.slice(0, count / 10))
  const start = process.cpuUsage()
  run(logs)
  const { system, user } = process.cpuUsage(start)
  return ((user + system) * 1000) / logs.length
}

const lines = []

for (const [name, { data, line, topics }] of Object.entries(events)) {
  const contract = Contract.make({ name: "it", abi: [line] })
  const [source] = Contract.read([contract]).sources
  const writer = EventWriter.make(source)
  // As an answer brings them: each a text of its own.
  const logs = JSON.parse(
    JSON.stringify(
      Array.from({ length: count }, (_, i) => ({
        address: `0x${digits(40)}`,
        topics: [source.topic0, ...topics.map((make) => `0x${make()}`)],
        data: `0x${data.map((make) => make()).join("")}`,
        logIndex: `0x${(i % 500).toString(16)}`,
        transactionIndex: "0x1",
        transactionHash: `0x${digits(64)}`
      }))
    )
  )
  const compiled = measure(logs, (all) => {
    let row = 0
    for (const log of all) {
      const wrong = writer.write(log, place)
      if (wrong !== undefined) throw new Error(wrong)
      // About as many as there are between two commits.
      if (++row % 5000 === 0) TableWriter.reset(writer.table)
    }
    TableWriter.reset(writer.table)
  })
  const abi = [parseAbiItem(line)]
  const viem = measure(logs, (all) => {
    for (const log of all) decodeEventLog({ abi, data: log.data, topics: log.topics, strict: true })
  })
  lines.push({
    "ns a log": name,
    compiled: Math.round(compiled),
    viem: Math.round(viem),
    ratio: Number((viem / compiled).toFixed(1))
  })
}

const matcher = EventMatcher.make(
  Contract.read(
    Object.entries(events).map(([, { line }], i) => Contract.make({ name: `it${i}`, abi: [line] }))
  ).sources
)
const strangers = JSON.parse(
  JSON.stringify(
    Array.from({ length: count }, () => ({
      address: `0x${digits(40)}`,
      topics: [`0x${digits(64)}`],
      data: "0x"
    }))
  )
)
const missed = measure(strangers, (all) => {
  for (const log of all) if (matcher.match(log, 1, () => true).length > 0) throw new Error("matched")
})
lines.push({ "ns a log": "matching nobody's", compiled: Math.round(missed) })
// biome-ignore lint/suspicious/noConsole: a bench prints what it measured.
console.table(lines)
