/**
 * A JSON-RPC provider over real HTTP that behaves as well or as badly as it is told.
 *
 * **When to use**: `start` in a test, in its own process; `providers.mjs` where provider and indexer must not share an
 * event loop. `node.mjs` is the fast and honest one for benchmarks of the indexer alone.
 *
 * **Details**: a provider is a chain, a delay, and a list of behaviours. For every HTTP request the behaviours are asked
 * in their order: the first one that answers `instead` decides the whole reply; otherwise each call gets what the first
 * behaviour says about it, or the truth. Chance comes from a seed.
 *
 * What a chain has to have is `Served`: results as JSON, so that a benchmark can send bytes it never parses.
 */
import { createServer } from "node:http"

/** @typedef {import("./provider.mjs").Behaviour} Behaviour */
/** @typedef {import("./provider.mjs").Call} Call */
/** @typedef {import("./provider.mjs").Exchange} Exchange */

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). @param {number} seed */
export const randomFrom = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

/** @param {number} n */
const hexOf = (n) => `0x${n.toString(16)}`

/** @param {() => number} random @param {ReadonlyArray<any>} items */
const pick = (random, items) => items[Math.floor(random() * items.length)]

/** Which block a tag or a number means while the head is at `head`. @param {any} tag @param {number} head */
const numberOf = (tag, head) => {
  if (tag === "latest" || tag === "pending") return head
  if (tag === "safe") return Math.max(0, head - 32)
  if (tag === "finalized") return Math.max(0, head - 64)
  return tag === "earliest" ? 0 : Number(tag)
}

/** The block that a call is about, if it is about one. @param {Call} call @param {number} head */
export const blockOf = ({ method, params }, head) =>
  method === "eth_getBlockByNumber" || method === "eth_getBlockReceipts"
    ? numberOf(params[0], head)
    : undefined

/** The true result of a call as JSON, with the head at `head`. @param {any} chain @param {Call} call @param {number} head */
const truth = (chain, call, head) => {
  const { method, params } = call
  const number = blockOf(call, head)
  if (number !== undefined && !(number >= 0 && number <= head)) return "null"
  switch (method) {
    case "eth_chainId":
      return JSON.stringify(hexOf(chain.chainId))
    case "net_version":
      return JSON.stringify(`${chain.chainId}`)
    case "web3_clientVersion":
      return '"provider/1.0"'
    case "eth_syncing":
      return "false"
    case "eth_blockNumber":
      return JSON.stringify(hexOf(head))
    case "eth_getBlockByNumber":
      return params[1] === true ? chain.full(number) : chain.light(number)
    case "eth_getBlockReceipts":
      return chain.receipts(number)
    default:
      return undefined
  }
}

// What a provider may do

/**
 * A token bucket for HTTP requests. Who finds it empty is told to wait, by `Retry-After` or by the error's own words,
 * and has to: a request that arrives inside a told wait is a *violation*, unless it arrived at most `grace` after the
 * telling left here. Before that, the sender cannot have known.
 *
 * @type {typeof import("./provider.mjs").rateLimited}
 */
export const rateLimited = ({ burst, grace = 50, perSecond, tell = "header" }) => {
  const most = burst ?? perSecond
  let tokens = most
  let filled = performance.now()
  /** Waits that were told and are not over. @type {Array<{at: number, until: number}>} */
  let waits = []
  return {
    instead: ({ arrived, note, random }) => {
      tokens = Math.min(most, tokens + ((arrived - filled) * perSecond) / 1000)
      filled = arrived
      waits = waits.filter(({ until }) => until > arrived)
      // A timer may fire a little early.
      const broken = waits.filter(({ at, until }) => arrived > at + grace && arrived < until - 2)
      const [first] = broken
      if (first !== undefined) note("violation", arrived - first.at)
      if (tokens >= 1) {
        tokens--
        return undefined
      }
      note("told to wait")
      // Whole seconds, as the header has them.
      const seconds = Math.ceil((1 - tokens) / perSecond)
      const way = tell === "mixed" ? pick(random, ["header", "data", "words"]) : tell
      return {
        status: 429,
        headers: {
          "content-type": "application/json",
          ...(way === "header" ? { "retry-after": `${seconds}` } : {})
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: null, error: refusal(way, perSecond, seconds) }),
        sent: (at) => {
          waits.push({ at, until: at + seconds * 1000 })
        }
      }
    }
  }
}

/** @param {string} way @param {number} perSecond @param {number} seconds */
const refusal = (way, perSecond, seconds) => {
  if (way === "words") {
    return {
      code: -32090,
      message: `Too many requests, reason: call rate limit exhausted, retry in ${seconds}s`
    }
  }
  return way === "data"
    ? {
        code: -32005,
        message: "request rate limited",
        data: { rate: { allowed_rps: perSecond, backoff_seconds: seconds, current_rps: perSecond + 1 } }
      }
    : { code: 429, message: "Too Many Requests" }
}

/** @param {unknown} body */
const json = (body, status = 200) => ({
  status,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body)
})

/** What a broken provider sends, by name. @type {Readonly<Record<string, (exchange: Exchange) => any>>} */
const failures = {
  html: () => ({
    status: 502,
    headers: { "content-type": "text/html" },
    body: "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
  }),
  "empty body": () => ({ status: 200, headers: {}, body: "" }),
  "truncated JSON": ({ honest }) => {
    const body = honest()
    return { ...json(null), body: body.slice(0, Math.floor(body.length / 2)) }
  },
  reset: () => ({ reset: true }),
  hang: () => ({ hang: true }),
  "internal error": ({ batch, calls }) => {
    const answers = calls.map(({ id }) => ({
      jsonrpc: "2.0",
      id,
      error: { code: -32603, message: "Internal error" }
    }))
    return json(batch ? answers : answers[0])
  },
  "429 without a wait": () => ({ status: 429, headers: {}, body: "Too Many Requests" }),
  "wrong id": ({ batch, calls }) => {
    const answers = calls.map(({ id }) => ({ jsonrpc: "2.0", id: Number(id) + 1_000_000, result: null }))
    return json(batch ? answers : answers[0])
  },
  "one error for all": ({ calls }) =>
    json({ jsonrpc: "2.0", id: calls[0]?.id ?? null, error: { code: -32000, message: "upstream failed" } }),
  null: ({ batch, calls }) => {
    const answers = calls.map(({ id }) => ({ jsonrpc: "2.0", id, result: null }))
    return json(batch ? answers : answers[0])
  }
}

export const failureNames = Object.keys(failures)

/** Fails a share of its requests, in one of ten ways each. @type {typeof import("./provider.mjs").failing} */
export const failing = ({ share, ways = failureNames }) => ({
  instead: (exchange) => {
    if (exchange.random() >= share) return undefined
    const way = pick(exchange.random, ways)
    exchange.note(way)
    return failures[way]?.(exchange)
  }
})

/**
 * Has only what is `behind()` blocks below the head, which it may say anew for each request; what it has not got it
 * answers with null, or with `[]` where receipts or logs were asked for.
 *
 * @type {typeof import("./provider.mjs").lagging}
 */
export const lagging = ({ behind }) => ({
  answering: ({ head, note, random }) => {
    const own = Math.max(0, head - behind())
    return (call, chain) => {
      const number = blockOf(call, own)
      if (number === undefined) {
        return call.method === "eth_blockNumber" ? { result: JSON.stringify(hexOf(own)) } : undefined
      }
      if (number <= own) return { result: truth(chain, call, own) ?? "null" }
      const empty = call.method === "eth_getBlockReceipts" && random() < 0.5
      note(empty ? "[] for what it lacks" : "null for what it lacks")
      return { result: empty ? "[]" : "null" }
    }
  }
})

/**
 * Changes one block, its receipts, or both, in a share of the requests that ask for blocks with their transactions.
 *
 * @type {typeof import("./provider.mjs").lying}
 */
export const lying = ({ lie, share }) => ({
  answering: ({ calls, head, note, random }) => {
    const asked = calls.filter(
      ({ method, params }) => method === "eth_getBlockReceipts" || params[1] === true
    )
    if (asked.length === 0 || random() >= share) return () => undefined
    const number = blockOf(pick(random, asked), head)
    /** @type {any} */
    let told
    return (call, chain) => {
      if (number === undefined || !(number <= head) || blockOf(call, head) !== number) return undefined
      if (call.method === "eth_getBlockByNumber" && call.params[1] !== true) return undefined
      if (told === undefined) {
        told = lie({
          number,
          block: JSON.parse(chain.full(number)),
          receipts: JSON.parse(chain.receipts(number)),
          random
        })
        if (told.what !== undefined) note(told.what)
      }
      return {
        result: JSON.stringify(call.method === "eth_getBlockReceipts" ? told.receipts : told.block)
      }
    }
  }
})

// The server

/** @type {typeof import("./provider.mjs").start} */
export const start = async ({
  behaviours = [],
  chain,
  delay = () => 0,
  onBlocks = () => {},
  onRequest = () => {},
  seed = 1
}) => {
  const random = randomFrom(seed)
  const stats = {
    requests: 0,
    calls: 0,
    /** Blocks whose receipts went out. */
    blocks: 0,
    /** Requests in flight, at most. */
    peak: 0,
    /** @type {Record<string, number>} */
    notes: {},
    /** Milliseconds from the telling of a wait to the request that broke it. @type {Array<number>} */
    violations: []
  }
  let inFlight = 0
  let down = false

  /** @param {string} what @param {number} [value] */
  const note = (what, value) => {
    stats.notes[what] = (stats.notes[what] ?? 0) + 1
    if (what === "violation") stats.violations.push(Math.round(value ?? 0))
  }

  /** @param {ReadonlyArray<Call>} calls @param {boolean} batch @param {ReadonlyArray<(call: Call, chain: any) => any>} views */
  const body = (calls, batch, views) => {
    const head = chain.head()
    const parts = calls.map((call) => {
      const id = JSON.stringify(call.id ?? null)
      for (const view of views) {
        const own = view(call, chain)
        if (own?.result !== undefined) return `{"jsonrpc":"2.0","id":${id},"result":${own.result}}`
        if (own?.error !== undefined) {
          return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(own.error)}}`
        }
      }
      const result = truth(chain, call, head)
      if (result !== undefined) return `{"jsonrpc":"2.0","id":${id},"result":${result}}`
      const error = { code: -32601, message: `the method ${call.method} does not exist` }
      return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`
    })
    return batch ? `[${parts.join(",")}]` : (parts[0] ?? "[]")
  }

  /** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} text @param {number} arrived */
  const respond = (request, response, text, arrived) => {
    /** @type {ReadonlyArray<Call>} */
    let calls
    let batch = false
    try {
      const parsed = JSON.parse(text)
      batch = Array.isArray(parsed)
      calls = batch ? parsed : [parsed]
    } catch {
      calls = []
    }
    stats.requests++
    stats.calls += calls.length
    stats.peak = Math.max(stats.peak, ++inFlight)
    response.once("close", () => {
      inFlight--
    })
    onRequest(calls)
    const head = chain.head()
    const exchange = {
      calls,
      batch,
      arrived,
      head,
      random,
      note,
      honest: () => body(calls, batch, []),
      url: request.url ?? "/",
      headers: request.headers
    }
    const instead = first(behaviours, exchange)
    if (instead?.hang === true) return
    // A refusal takes no work.
    const wait = delay(instead === undefined ? calls.length : 0)
    const answer = () => {
      if (down || request.socket.destroyed || response.destroyed) return
      if (instead?.reset === true) {
        request.socket.destroy()
        return
      }
      if (instead !== undefined) {
        response.writeHead(instead.status, instead.headers)
        response.end(instead.body)
        instead.sent?.(performance.now())
        return
      }
      const views = behaviours.flatMap(({ answering }) =>
        answering === undefined ? [] : [answering(exchange)]
      )
      response.writeHead(200, { "content-type": "application/json" })
      response.end(body(calls, batch, views))
      const blocks = calls.filter(({ method }) => method === "eth_getBlockReceipts").length
      stats.blocks += blocks
      if (blocks > 0) onBlocks(blocks)
    }
    if (wait > 0) setTimeout(answer, wait)
    else answer()
  }

  const server = createServer((request, response) => {
    const arrived = performance.now()
    /** @type {Array<Buffer>} */
    const chunks = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => respond(request, response, Buffer.concat(chunks).toString(), arrived))
  })
  // Longer than any test: a connection that closes while it is used again is a fault of another kind.
  server.keepAliveTimeout = 600_000
  server.on("connection", (socket) => {
    if (down) socket.destroy()
  })
  const port = await new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })
  return {
    url: `http://127.0.0.1:${port}`,
    stats,
    down: () => {
      down = true
      server.closeAllConnections()
    },
    up: () => {
      down = false
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve(undefined))
      })
  }
}

/** @param {ReadonlyArray<Behaviour>} behaviours @param {Exchange} exchange */
const first = (behaviours, exchange) => {
  for (const { instead } of behaviours) {
    const reply = instead?.(exchange)
    if (reply !== undefined) return reply
  }
  return undefined
}
