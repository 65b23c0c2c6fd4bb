/**
 * A provider of a simulation: a JSON-RPC node with its own view of the chain, and faults that a story arms for its
 * next requests.
 */
import { Effect } from "effect"
import type { Hex, RawBlock, RpcReceipt } from "../../src/chain/Block.ts"
import type { Random } from "../support/blocks.ts"
import { honest, type LogsQuestion, logsBetween, type Request } from "../support/HttpNode.ts"
import { answers, type Reply } from "../support/VirtualNode.ts"
import type { Chain } from "./Chain.ts"

/** As nodes send a log in an answer to eth_getLogs. */
type PlacedLog = ReturnType<typeof logsBetween>[number]

const rpcError = (message: string, code = -32_000) => ({ error: { code, message } })

/** Errors as providers send them, one way for each reason and shape. */
const errors = {
  refused: () => "refused",
  "HTTP 502": () => ({ status: 502, body: "<html><h1>502 Bad Gateway</h1></html>" }),
  "HTTP 500 JSON": () => ({ status: 500, body: JSON.stringify(rpcError("internal error", -32_603)) }),
  "empty body": () => ({ body: "" }),
  "HTML with 200": () => ({ body: "<html>hello</html>" }),
  "text with 200": () => ({ body: "backend is tired" }),
  "429 with a wait": () => ({ status: 429, headers: { "retry-after": "2" }, body: "Too Many Requests" }),
  "429 in JSON": (calls: ReadonlyArray<Request>) =>
    answers(calls, () => rpcError("Too many requests", -32_005)),
  quota: (calls: ReadonlyArray<Request>) =>
    answers(calls, () => rpcError("daily request count exceeded", -32_005)),
  "batch too large": () => ({ body: JSON.stringify(rpcError("batch too large", -32_600)) }),
  "response too large": () => ({ body: JSON.stringify(rpcError("response too large", -32_003)) }),
  "no block receipts": (calls: ReadonlyArray<Request>) =>
    answers(calls, ({ method }) => rpcError(`the method ${method} does not exist/is not available`, -32_601)),
  pruned: (calls: ReadonlyArray<Request>) =>
    answers(calls, () => rpcError("pruned history unavailable", 4444)),
  "header not found": (calls: ReadonlyArray<Request>) => answers(calls, () => rpcError("header not found")),
  rejected: (calls: ReadonlyArray<Request>) => answers(calls, () => rpcError("invalid argument", -32_602)),
  "error as text": () => ({ body: JSON.stringify({ error: "no backend is currently healthy" }) }),
  "wrong ids": (calls: ReadonlyArray<Request>) => ({
    body: JSON.stringify(calls.map(() => ({ jsonrpc: "2.0", id: 4711, result: null })))
  }),
  nulls: (calls: ReadonlyArray<Request>) => answers(calls, () => ({ result: null }))
} satisfies Record<string, (calls: ReadonlyArray<Request>) => Reply>

/** What is said with an honest face. */
const lies = [
  "empty receipts",
  "null receipts",
  "partial receipts",
  "orphan receipts",
  "missing log",
  "flipped digit in a block",
  "flipped digit in a receipt",
  "another block",
  "orphan block",
  "missing transaction",
  "swapped transactions",
  "doubled receipt",
  "head goes back",
  "truncated body",
  "twice the same id"
] as const

/**
 * What is said wrongly of logs, and can be noticed by somebody: a log that is missing, or that has another sender, leaves
 * no trace.
 */
export const logFaults = [
  "logs refused",
  "null logs",
  "log twice",
  "logs backwards",
  "log of the next block",
  "log of another event",
  "log of a replaced block",
  "end of another range",
  "end that was replaced",
  "truncated logs"
] as const

export type Fault = keyof typeof errors | (typeof lies)[number] | (typeof logFaults)[number] | "hangs"

export const faults: ReadonlyArray<Fault> = [
  ...(Object.keys(errors) as ReadonlyArray<keyof typeof errors>),
  ...lies,
  "hangs"
]

/** No root stands for the sender, nor for what nodes say of a size; a receipt's own filter is never read. */
const uncommitted = new Set(["from", "size", "logsBloom"])

export interface Provider {
  readonly respond: (calls: ReadonlyArray<Request>) => Effect.Effect<Reply>
  /** The next so many requests go wrong so, if they are of a kind that can. */
  readonly arm: (fault: Fault, count: number) => void
  /** It sees the chain as it is now, until it thaws. */
  readonly freeze: () => void
  /** It is so many blocks behind. */
  readonly lag: (blocks: number) => void
  /** No faults any more, and the chain as it is. */
  readonly heal: () => void
}

export const make = (options: {
  readonly chain: Chain
  readonly random: Random
  /** Blocks in one question for logs; undefined for any number. */
  readonly logRange: number | undefined
  /** Which logs come with their time: those of every so many-th block, or none. */
  readonly timed: number | undefined
  /** Told of every fault that was really injected. */
  readonly injected: (fault: Fault) => void
}): Provider => {
  const { chain, injected, logRange, random, timed } = options
  let frozen: { readonly blocks: ReadonlyArray<RawBlock>; readonly finalized: number } | undefined
  let behind = 0
  let armed: ReadonlyArray<Fault> = []

  const view = (): ReadonlyArray<RawBlock> => {
    const blocks = frozen?.blocks ?? chain.canonical()
    return blocks.slice(0, Math.max(1, blocks.length - behind))
  }
  const truth = (call: Request): unknown => {
    if (call.params[0] === "finalized" || call.params[0] === "safe") {
      return view()[Math.min(frozen?.finalized ?? chain.finalized(), view().length - 1)]?.block ?? null
    }
    return call.method === "eth_getLogs" ? logsOf(call) : honest({ blocks: view }, call)
  }
  const logsOf = ({ params }: Request): ReadonlyArray<PlacedLog> =>
    // The only parameter of such a question.
    logsBetween(view(), params[0] as LogsQuestion).map((log) => {
      const number = Number(log.blockNumber)
      return timed === undefined || number % timed > 0
        ? log
        : { ...log, blockTimestamp: view()[number]?.block.timestamp ?? null }
    })
  /** What providers refuse with good reason. */
  const isTooWide = ({ method, params }: Request): boolean => {
    if (method !== "eth_getLogs" || logRange === undefined) return false
    const { fromBlock, toBlock } = params[0] as LogsQuestion
    return Number(toBlock) - Number(fromBlock) >= logRange
  }
  const answer = (call: Request, of: (call: Request) => unknown) =>
    isTooWide(call)
      ? rpcError(`block range is too large, at most ${logRange} blocks are allowed`)
      : { result: of(call) }
  const lying = (fault: Fault) => (call: Request) => answer(call, () => lie(fault, call, truth(call)))

  /** Answers to a question for logs and for the header of the range's end, with something wrong. */
  const lyingOfLogs = (fault: Fault, calls: ReadonlyArray<Request>): Reply => {
    const question = calls.find(({ method }) => method === "eth_getLogs")
    if (question === undefined) return answers(calls, (call) => answer(call, truth))
    // The only parameter of such a question.
    const end = Number((question.params[0] as LogsQuestion).toBlock)
    const logs = logsOf(question)
    const last = logs.at(-1)
    const wrong = (): ReadonlyArray<PlacedLog> | null => {
      switch (fault) {
        case "null logs":
          return null
        case "log twice":
          return [...logs, ...logs.slice(-1)]
        case "logs backwards":
          return [...logs].reverse()
        case "log of the next block":
          return [...logs, ...(last === undefined ? [] : [{ ...last, blockNumber: hex(end + 1) }])]
        case "log of another event":
          return logs.map((log) => ({ ...log, topics: [`0x${"e0".repeat(32)}`, ...log.topics.slice(1)] }))
        case "log of a replaced block":
          return logs.map((log) => (log === last ? { ...log, blockHash: `0x${"0d".repeat(32)}` } : log))
        default:
          return logs
      }
    }
    const header = (call: Request): unknown => {
      if (fault === "end of another range") return view()[end - 1]?.block ?? view()[end + 1]?.block ?? null
      // Where no log is of that block, nobody could tell.
      const isSeen = last !== undefined && Number(last.blockNumber) === end
      return fault === "end that was replaced" && isSeen ? (orphanOf(end)?.block ?? truth(call)) : truth(call)
    }
    return answers(calls, (call) =>
      fault === "logs refused" && call === question
        ? rpcError("query returned more than 10000 results")
        : answer(call, (call) => (call === question ? wrong() : header(call)))
    )
  }

  const lie = (fault: Fault, { method, params }: Request, result: unknown): unknown => {
    if (result === null || result === undefined) return result
    if (method === "eth_getBlockReceipts") {
      const receipts = result as ReadonlyArray<RpcReceipt>
      switch (fault) {
        case "empty receipts":
          return []
        case "null receipts":
          return null
        case "partial receipts":
          return receipts.slice(0, -1)
        case "orphan receipts":
          return orphanOf(Number(params[0]))?.receipts ?? []
        case "missing log":
          return receipts.map((receipt) => ({ ...receipt, logs: receipt.logs.slice(0, -1) }))
        case "doubled receipt":
          return [...receipts, ...receipts.slice(-1)]
        case "flipped digit in a receipt":
          return flipped(receipts)
        default:
          return result
      }
    }
    if (method !== "eth_getBlockByNumber") return result
    const block = result as RawBlock["block"]
    const isWhole = params[1] === true
    switch (fault) {
      case "head goes back":
        return params[0] === "latest" ? (view()[Math.max(0, view().length - 6)]?.block ?? result) : result
      case "flipped digit in a block":
        return isWhole ? flipped(block) : result
      case "another block":
        return isWhole ? (view()[Number(params[0]) + 1]?.block ?? result) : result
      case "orphan block":
        return isWhole ? (orphanOf(Number(params[0]))?.block ?? result) : result
      case "missing transaction":
        return isWhole ? { ...block, transactions: block.transactions.slice(0, -1) } : result
      case "swapped transactions":
        return isWhole ? { ...block, transactions: [...block.transactions].reverse() } : result
      default:
        return result
    }
  }

  /** A block that was on another fork at this height. */
  const orphanOf = (number: number): RawBlock | undefined => {
    const here = chain.canonical()[number]?.block.hash
    for (const [hash, raw] of chain.genuine) {
      if (Number(raw.block.number) === number && hash !== here) return raw
    }
    return undefined
  }

  /** One hex digit of it is another one, in a field that the block's hash stands for. */
  const flipped = (value: unknown): unknown => {
    const text = JSON.stringify(value)
    const fields = [...text.matchAll(/"(\w+)":"0x([0-9a-f]+)"/g)].filter(
      ([, key]) => !uncommitted.has(key ?? "")
    )
    const field = fields[random.int(fields.length)]
    if (field === undefined) return value
    const digits = field[2] ?? ""
    const at = field.index + field[0].length - 1 - digits.length + random.int(digits.length)
    const digit = (Number.parseInt(text[at] ?? "0", 16) + 1 + random.int(15)) % 16
    return JSON.parse(text.slice(0, at) + digit.toString(16) + text.slice(at + 1))
  }

  /** The next armed fault, when this request is of a kind that it can happen to. */
  const next = (calls: ReadonlyArray<Request>): Fault | undefined => {
    const [fault] = armed
    if (fault === undefined) return undefined
    const hasReceipts = calls.some(({ method }) => method === "eth_getBlockReceipts")
    const isHead = calls.some(({ params }) => params[0] === "latest")
    const isIdentity = calls.some(({ method, params }) => method === "eth_chainId" || params[0] === "0x0")
    const fits = isOfLogs(fault)
      ? calls.some(({ method }) => method === "eth_getLogs")
      : fault === "head goes back"
        ? isHead
        : fault === "no block receipts" || (lies as ReadonlyArray<string>).includes(fault)
          ? hasReceipts
          : !isIdentity || fault === "refused" || fault === "HTTP 502"
    if (!fits) return undefined
    armed = armed.slice(1)
    injected(fault)
    return fault
  }

  const respond: Provider["respond"] = (calls) =>
    Effect.suspend(() => {
      const fault = next(calls)
      const millis = 5 + random.int(60)
      if (fault === undefined)
        return Effect.delay(
          Effect.sync(() => answers(calls, lying("refused"))),
          millis
        )
      if (fault === "hangs") return Effect.never
      if (fault in errors)
        return Effect.delay(
          Effect.sync(() => errorOf(fault, calls)),
          millis
        )
      return Effect.delay(
        Effect.sync(() => {
          const reply = isOfLogs(fault) ? lyingOfLogs(fault, calls) : answers(calls, lying(fault))
          if (reply === "refused") return reply
          if (fault === "truncated body" || fault === "truncated logs")
            return { ...reply, body: reply.body.slice(0, reply.body.length / 2) }
          if (fault === "twice the same id")
            return { ...reply, body: reply.body.replaceAll(/"id":\d+/g, '"id":1') }
          return reply
        }),
        millis
      )
    })

  return {
    respond,
    arm: (fault, count) => {
      armed = [...armed, ...Array.from({ length: count }, () => fault)]
    },
    freeze: () => {
      frozen = { blocks: chain.canonical(), finalized: chain.finalized() }
    },
    lag: (blocks) => {
      behind = blocks
    },
    heal: () => {
      armed = []
      frozen = undefined
      behind = 0
    }
  }
}

const hex = (number: number): Hex => `0x${number.toString(16)}`

const isOfLogs = (fault: Fault): boolean => (logFaults as ReadonlyArray<string>).includes(fault)

const errorOf = (fault: Fault, calls: ReadonlyArray<Request>): Reply => {
  const make: ((calls: ReadonlyArray<Request>) => Reply) | undefined = Object.entries(errors).find(
    ([name]) => name === fault
  )?.[1]
  return make?.(calls) ?? "refused"
}
