/**
 * Block headers, as one endpoint knows them.
 */
import { Effect, Ref, Result } from "effect"
import type { BlockHeader } from "../chain/Block.ts"
import * as BlockParser from "../chain/BlockParser.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { Answer, Call } from "./JsonRpc.ts"
import { Inconsistent, Malformed, type ProviderFault } from "./ProviderFault.ts"

export type BlockTag = "latest" | "safe" | "finalized"

export const method = "eth_getBlockByNumber"

/** Asks for the header of a block. */
export const call = (block: number | BlockTag): Call => ({
  method,
  params: [typeof block === "number" ? `0x${block.toString(16)}` : block, false]
})

/** The header in an answer to `call`, of block `number` if it was asked for; undefined where the answer is null. */
export const headerOf = (
  endpoint: Endpoint,
  answer: Answer | undefined,
  number?: number
): Effect.Effect<BlockHeader | undefined, ProviderFault> => {
  if (answer === undefined) return Effect.undefined
  if (Result.isFailure(answer)) return Effect.fail(endpoint.fault(method, answer.failure))
  if (answer.success === null) return Effect.undefined
  const header = BlockParser.parseHeader(answer.success)
  if (!("hash" in header)) {
    return Effect.fail(endpoint.fault(method, new Malformed({ detail: header.message })))
  }
  if (number === undefined || header.number === number) return Effect.succeed(header)
  const detail = `the header is of block ${header.number}, expected ${number}`
  return Effect.fail(endpoint.fault(method, new Inconsistent({ check: "header", detail })))
}

export const header = Effect.fnUntraced(function* (endpoint: Endpoint, block: number | BlockTag) {
  const { answers } = yield* endpoint.send([call(block)])
  return yield* headerOf(endpoint, answers[0], typeof block === "number" ? block : undefined)
})

/** The head; the endpoint's state remembers it. */
export const latest = Effect.fnUntraced(function* (endpoint: Endpoint) {
  const head = yield* header(endpoint, "latest")
  if (head === undefined) {
    return yield* endpoint.fault(method, new Malformed({ detail: "null for the latest block" }))
  }
  yield* Ref.update(endpoint.state, (s) => ({ ...s, head: head.number }))
  return head
})
