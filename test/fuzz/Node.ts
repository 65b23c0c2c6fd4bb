/**
 * A node with a single block, whose answer to one question is whatever a case says, and the real way from there to
 * rows: endpoint, pool, source, fetcher, proof. All of it on the test clock.
 */
import { Cause, Duration, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import type { RawBlock } from "../../src/chain/Block.ts"
import { Proof } from "../../src/chain/Proof.ts"
import { Settings } from "../../src/config/Settings.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"
import { type Fetched, Fetcher } from "../../src/flow/Fetcher.ts"
import { Plan } from "../../src/flow/Planner.ts"
import { EndpointPool } from "../../src/rpc/EndpointPool.ts"
import type { ProviderFault } from "../../src/rpc/ProviderFault.ts"
import type { ChainSource } from "../../src/source/ChainSource.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import type { Request } from "../support/HttpNode.ts"
import { honest } from "../support/HttpNode.ts"
import * as VirtualNode from "../support/VirtualNode.ts"
import * as Mutations from "./Mutations.ts"

/** What a node says to a question, and what it would truly say to all others. */
export interface Subject {
  readonly name: string
  readonly chainId: number
  readonly raw: RawBlock
  /** The first call of the question that is answered otherwise. */
  readonly asked: (call: Request) => boolean
  /** The body of the genuine answer. */
  readonly genuine: unknown
  /** Methods that the node says it has not got. */
  readonly without?: ReadonlyArray<string>
}

/** In its URL, and echoed by no message. */
export const key = Mutations.secret

const url = `http://user:${key}@node/v2/${key}`

export const envelope = (results: ReadonlyArray<unknown>): unknown => {
  const items = results.map((result, id) => ({ jsonrpc: "2.0", id, result }))
  return items.length === 1 ? items[0] : items
}

const number = ({ raw }: Subject): number => Number(raw.block.number)

const respond =
  (subject: Subject, body: string): VirtualNode.Respond =>
  (calls) => {
    const [first] = calls
    if (first !== undefined && subject.asked(first)) return Effect.succeed({ body })
    const blocks = () => {
      const chain: Array<RawBlock> = []
      chain[number(subject)] = subject.raw
      return chain
    }
    return Effect.succeed(
      VirtualNode.answers(calls, (call) =>
        subject.without?.includes(call.method)
          ? { error: { code: -32_601, message: `the method ${call.method} does not exist` } }
          : { result: honest({ blocks, chainId: subject.chainId }, call) }
      )
    )
  }

const noWebSocket = Layer.succeed(WebSocketConstructor)(() => {
  throw new Error("nobody asked for a WebSocket")
})

/** A pool of this one node, and a source over it. */
const source = (
  subject: Subject,
  body: string,
  maxRetries: number
): Layer.Layer<ChainSource | EndpointPool> =>
  Layer.fresh(RpcSource.layer({ pollInterval: Duration.seconds(1), wsUrl: undefined })).pipe(
    Layer.provideMerge(
      Layer.fresh(
        EndpointPool.layer({
          urls: [Redacted.make(url)],
          chainId: subject.chainId,
          maxRetries,
          timeout: Duration.seconds(2),
          maxResponseBytes: 64 * 2 ** 20,
          concurrency: 20,
          prices: new Map()
        })
      )
    ),
    Layer.provide([Layer.fresh(VirtualNode.layer({ node: respond(subject, body) })), noWebSocket])
  )

/** Longer than any wait of a single endpoint that was told nothing about waiting. */
const patience = Duration.minutes(10)

/** Lets virtual time pass until it is done; tells what died, and what never ends. */
export const within = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let waited = 0; waited < Duration.toMillis(patience); waited += 5000) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      yield* TestClock.adjust("5 seconds")
    }
    yield* Fiber.interrupt(fiber)
    return Exit.die(`nothing came of it within ${Duration.format(patience)}`)
  })

/** What the source makes of this body. */
export const through = <A, R>(
  subject: Subject,
  body: string,
  use: Effect.Effect<A, ProviderFault, R | ChainSource | EndpointPool>,
  maxRetries = 0
) => within(Effect.provide(use, source(subject, body, maxRetries)))

/** Settings, proof and back-pressure of a chain, the same for all cases. */
export const core = (chainId: number) =>
  Layer.merge(BackPressure.layer, Proof.layer(chainId)).pipe(
    Layer.provideMerge(Settings.layer({ profile: "anvil", chainId }))
  )

/** The subject's block, fetched and proven. */
export const fetch = (
  subject: Subject,
  body: string,
  maxRetries: number
): Effect.Effect<Exit.Exit<Fetched, ProviderFault>, never, BackPressure | Proof | Settings> => {
  const range = { from: number(subject), to: number(subject) }
  const fetched = Effect.flatMap(Fetcher, ({ fetch }) =>
    fetch(Plan.Fetch({ range, what: "blocks", load: { blocks: 1, bytes: 0 }, seam: false, attempt: 0 }))
  ).pipe(Effect.provide(Layer.fresh(Fetcher.layer)))
  return through(subject, body, fetched, maxRetries)
}

/** What is wrong with how a fault is said. */
export const misspoken = ({ endpoint, message, method, reason }: ProviderFault): string | undefined => {
  if (!/^(rpc-1|every endpoint)$/.test(endpoint) || !/^(eth_\w+|headers)$/.test(method)) {
    return `the fault is of ${endpoint} and ${method}`
  }
  if (message.includes(key)) return `the fault names the key: ${message}`
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(message)) {
    return `the fault is not one line: ${JSON.stringify(message)}`
  }
  if (message.length > 600) return `the fault has ${message.length} letters: ${message.slice(0, 100)}`
  if (reason.detail.length < 5 || /\bundefined\b|\[object/.test(reason.detail)) {
    return `the fault says nothing: ${message}`
  }
  if (reason._tag === "Inconsistent" && !/(, expected .|cannot be .|once$|unproven)/.test(reason.detail)) {
    return `the fault does not say what was expected: ${message}`
  }
  return undefined
}

/** The same of what ended it: anything but a fault is wrong. */
export const misspokenCause = (cause: Cause.Cause<ProviderFault>): string | undefined => {
  const [reason] = cause.reasons
  return reason?._tag === "Fail" ? misspoken(reason.error) : `no fault: ${Cause.pretty(cause).slice(0, 600)}`
}
