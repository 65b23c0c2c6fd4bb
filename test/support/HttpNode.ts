/**
 * A real HTTP server that answers JSON-RPC for a simulated chain, as well or as badly as a test wants.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect } from "effect"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import { logsOf } from "./logs.ts"

export interface Request {
  readonly id: number
  readonly method: string
  readonly params: ReadonlyArray<unknown>
}

export interface Behaviour {
  readonly chainId?: number
  readonly blocks: () => ReadonlyArray<RawBlock>
  /** Called for every HTTP request before it is answered; what it returns is sent instead. */
  readonly intercept?: (
    requests: ReadonlyArray<Request>,
    batch: boolean
  ) =>
    | {
        readonly status: number
        readonly body: string | Uint8Array
        readonly headers?: Record<string, string>
      }
    | undefined
  /** The answer to one call; undefined for the honest one. */
  readonly answer?: (
    request: Request
  ) => { readonly result: unknown } | { readonly error: unknown } | undefined
}

export interface HttpNode {
  readonly url: string
  /** Number of calls in each HTTP request so far. */
  readonly sizes: ReadonlyArray<number>
  readonly methods: ReadonlyArray<string>
}

/** Listens on a free port until the scope closes. */
export const make = Effect.fnUntraced(function* (behaviour: Behaviour) {
  const sizes: Array<number> = []
  const methods: Array<string> = []
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Request | ReadonlyArray<Request>
      const requests = Array.isArray(body) ? (body as ReadonlyArray<Request>) : [body as Request]
      sizes.push(requests.length)
      methods.push(...requests.map(({ method }) => method))
      const instead = behaviour.intercept?.(requests, Array.isArray(body))
      if (instead !== undefined) {
        response.writeHead(instead.status, instead.headers)
        response.end(instead.body)
        return
      }
      const answers = requests.map((call) => ({
        jsonrpc: "2.0",
        id: call.id,
        ...(behaviour.answer?.(call) ?? { result: honest(behaviour, call) })
      }))
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify(Array.isArray(body) ? answers : answers[0]))
    })
  }
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const listening = createServer(handler)
      listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) =>
      Effect.callback<void>((resume) => {
        listening.closeAllConnections()
        listening.close(() => resume(Effect.void))
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, sizes, methods } satisfies HttpNode
})

export const honest = ({ blocks, chainId }: Behaviour, { method, params }: Request): unknown => {
  const chain = blocks()
  const at = (tag: unknown): RawBlock | undefined =>
    tag === "latest" ? chain.at(-1) : tag === "finalized" || tag === "safe" ? chain[0] : chain[Number(tag)]
  switch (method) {
    case "eth_chainId":
      return `0x${(chainId ?? 31_337).toString(16)}`
    case "eth_getBlockByNumber":
      return at(params[0])?.block ?? null
    case "eth_getBlockReceipts":
      return at(params[0])?.receipts ?? null
    case "eth_getTransactionReceipt":
      return (
        chain
          .flatMap(({ receipts }) => receipts)
          .find(({ transactionHash }) => transactionHash === params[0]) ?? null
      )
    case "eth_getLogs":
      return logsBetween(chain, params[0] as LogsQuestion)
    default:
      return null
  }
}

/** The parameter of eth_getLogs. */
export interface LogsQuestion {
  readonly fromBlock: string
  readonly toBlock: string
  readonly address?: Hex | ReadonlyArray<Hex>
  readonly topics?: ReadonlyArray<Hex | ReadonlyArray<Hex> | null>
}

/** As a node answers that does not mind whether it has the blocks. */
export const logsBetween = (chain: ReadonlyArray<RawBlock>, question: LogsQuestion) => {
  const { address = [], fromBlock, toBlock, topics = [] } = question
  return logsOf(chain.slice(Number(fromBlock), Number(toBlock) + 1), {
    addresses: typeof address === "string" ? [address] : address,
    topics
  })
}
