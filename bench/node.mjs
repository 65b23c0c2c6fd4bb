/**
 * A JSON-RPC node that costs next to nothing: `node bench/node.mjs [--port n] [--latency ms] [--blocks n] [--density share]`.
 *
 * With `--logs` it has `eth_getLogs` too (`logs.mjs`), over at most `--log-range` blocks and with at most `--log-limit`
 * logs in an answer; with `--old-logs` no log says when its block was.
 *
 * Its answers lie in one buffer, as the bytes that go out, and a batch is answered by putting them behind one another:
 * with two cores for node, indexer and database, what the node spends is missing in what it measures.
 *
 * With `--traffic` its chain is one of Transfers and Swaps alone: runs of `[blocks, events, seconds]` as JSON, see
 * `chain.mjs`.
 *
 * When it is started with an IPC channel it says its port there, answers `"stats"` with what it was asked, has block 0
 * alone from `"hold"` to `"go"`, has blocks up to a number that it is told, and ends with its parent, however that one
 * ended.
 */
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { parseArgs } from "node:util"
import { answersFile, load } from "./chain.mjs"
import { makeLogs, withoutTimestamps } from "./logs.mjs"
import { print } from "./print.mjs"

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    latency: { type: "string", default: "0" },
    blocks: { type: "string", default: "1000" },
    density: { type: "string", default: "1" },
    tokens: { type: "string", default: "1500" },
    withdrawals: { type: "string", default: "16" },
    steady: { type: "string", default: "0" },
    traffic: { type: "string" },
    logs: { type: "boolean", default: false },
    "log-range": { type: "string", default: "10000" },
    "log-limit": { type: "string", default: "10000" },
    "old-logs": { type: "boolean", default: false }
  }
})

// Before anything that takes time.
process.on("disconnect", () => process.exit(0))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0))

const chain = await load({
  ...(options.traffic === undefined
    ? { blocks: Number(options.blocks) }
    : { traffic: JSON.parse(options.traffic) }),
  density: Number(options.density),
  tokens: Number(options.tokens),
  withdrawals: Number(options.withdrawals),
  steady: Number(options.steady),
  log: print
})
const latency = Number(options.latency)
const answers = readFileSync(answersFile(chain.folder))
let head = chain.blocks
/** What Ethereum's tags mean here: one epoch to be safe, two to be final. */
const tagged = () =>
  new Map([
    ["earliest", 0],
    ["latest", head],
    ["pending", head],
    ["safe", Math.max(0, head - 32)],
    ["finalized", Math.max(0, head - 64)]
  ])
let tags = tagged()

const logs = options.logs
  ? makeLogs({
      chain,
      answers,
      limits: { blocks: Number(options["log-range"]), logs: Number(options["log-limit"]) },
      timestamps: !options["old-logs"]
    })
  : undefined

const stats = { requests: 0, calls: 0, bytes: 0 }

/** @param {{at: number, length: number}} span */
const body = ({ at, length }) => answers.subarray(at, at + length)

const missing = Buffer.from("null")

/** @param {unknown} value */
const fixed = (value) => Buffer.from(JSON.stringify(value))

const constants = new Map([
  ["eth_chainId", fixed(`0x${chain.chainId.toString(16)}`)],
  ["eth_syncing", fixed(false)],
  ["net_version", fixed(`${chain.chainId}`)],
  ["web3_clientVersion", fixed("sluice-bench/1.0")]
])

/** By number or tag. @param {unknown} which */
const numberOf = (which) => tags.get(String(which)) ?? Number(which)

/** @param {unknown} which */
const entryOf = (which) => {
  const number = numberOf(which)
  return number > head ? undefined : chain.entries[number]
}

/** Made at the first question: only indexers without `eth_getBlockReceipts` ask for single ones. @type {Map<string, {at: number, length: number}> | undefined} */
let receiptSpans

/** @param {string} hash */
const receiptOf = (hash) => {
  if (receiptSpans === undefined) {
    receiptSpans = new Map()
    for (const { light, receiptLengths, receipts } of chain.entries) {
      const { transactions } = JSON.parse(body(light).toString("latin1"))
      let at = receipts.at + 1
      for (const [i, length] of receiptLengths.entries()) {
        receiptSpans.set(transactions[i], { at, length })
        at += length + 1
      }
    }
  }
  return receiptSpans.get(hash)
}

/** @param {{at: number, length: number}} span */
const receiptsBody = (span) =>
  options["old-logs"] ? Buffer.from(withoutTimestamps(body(span).toString("latin1")), "latin1") : body(span)

/** The bytes of the result, or why there is none. @param {string} method @param {ReadonlyArray<any>} params @returns {Buffer | {code: number, message: string}} */
const resultOf = (method, params) => {
  if (method === "eth_getBlockByNumber") {
    const entry = entryOf(params[0])
    return entry === undefined ? missing : body(params[1] === true ? entry.full : entry.light)
  }
  if (method === "eth_getBlockReceipts") {
    const entry = entryOf(params[0])
    return entry === undefined ? missing : receiptsBody(entry.receipts)
  }
  if (method === "eth_getTransactionReceipt") {
    const span = receiptOf(String(params[0]).toLowerCase())
    return span === undefined ? missing : receiptsBody(span)
  }
  if (method === "eth_getLogs" && logs !== undefined) return logs.find(params[0] ?? {}, numberOf)
  if (method === "eth_blockNumber") return fixed(`0x${head.toString(16)}`)
  return constants.get(method) ?? { code: -32601, message: `the method ${method} does not exist` }
}

/** @param {Array<Buffer>} parts to which the answer is added @param {any} call */
const answer = (parts, call) => {
  stats.calls++
  const id = JSON.stringify(call.id ?? null)
  const result = resultOf(call.method, call.params ?? [])
  if (Buffer.isBuffer(result)) {
    parts.push(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":`), result, closing)
  } else parts.push(Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(result)}}`))
}

const closing = Buffer.from("}")
const open = Buffer.from("[")
const comma = Buffer.from(",")
const close = Buffer.from("]")

/** @param {import("node:http").ServerResponse} response @param {Buffer} request */
const respond = (response, request) => {
  stats.requests++
  let calls
  try {
    calls = JSON.parse(request.toString())
  } catch {
    response.writeHead(400).end()
    return
  }
  /** @type {Array<Buffer>} */
  const parts = []
  if (Array.isArray(calls)) {
    parts.push(open)
    for (const [i, call] of calls.entries()) {
      if (i > 0) parts.push(comma)
      answer(parts, call)
    }
    parts.push(close)
  } else answer(parts, calls)
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  stats.bytes += length
  response.writeHead(200, { "content-type": "application/json", "content-length": length })
  // Corked, all parts leave in one gathering write, and none is copied.
  response.cork()
  for (const part of parts) response.write(part)
  response.end()
  response.uncork()
}

const server = createServer((request, response) => {
  /** @type {Array<Buffer>} */
  const chunks = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const whole = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    if (latency > 0) setTimeout(respond, latency, response, whole)
    else respond(response, whole)
  })
})

server.listen(Number(options.port), "127.0.0.1", () => {
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  if (process.send === undefined)
    print(`http://127.0.0.1:${port} has blocks 0 to ${head} of chain ${chain.chainId}`)
  else process.send({ port })
})

process.on("message", (message) => {
  if (message === "stats") process.send?.({ stats })
  else if (message === "hold" || message === "go" || typeof message === "number") {
    head = typeof message === "number" ? message : message === "hold" ? 0 : chain.blocks
    tags = tagged()
  }
})
