/**
 * What demo traffic asks of an Anvil, in batches: one HTTP request, whatever the number of calls.
 *
 * Transactions are signed by Anvil, from its unlocked accounts: a signature in JavaScript costs more than all the rest
 * of a demo transaction.
 */
import { Duration, Effect, Predicate, Redacted, Result, Schema } from "effect"
import type { HttpClient } from "effect/http"
import type { Address, Hex } from "viem"
import { isAddress, isHex, numberToHex } from "viem/utils"
import * as Endpoint from "../rpc/Endpoint.ts"
import type { Answer, Call } from "../rpc/JsonRpc.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"

export interface Outgoing {
  readonly from: Address
  /** Absent where a contract is made. */
  readonly to?: Address | undefined
  readonly data?: Hex | undefined
  /** Wei. */
  readonly value?: bigint | undefined
  /** Never estimated: an estimate refuses what is going to revert, and reverting is part of the demonstration. */
  readonly gas: number
  readonly type: 0 | 1 | 2
}

export interface Receipt {
  readonly succeeded: boolean
  readonly blockNumber: number
}

/** Anvil answered, and the answer is of no use here. */
export class CallRefused extends Schema.TaggedError<CallRefused>()("CallRefused", {
  method: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.method}: ${this.detail}`
  }
}

export type RpcFault = CallRefused | ProviderFault

export interface AnvilRpc {
  /** Fails when the request came to nothing; a call that was refused is its own answer. */
  readonly ask: (calls: ReadonlyArray<Call>) => Effect.Effect<ReadonlyArray<Answer>, ProviderFault>
  readonly call: (method: string, params: ReadonlyArray<unknown>) => Effect.Effect<unknown, ProviderFault>
  /** Signs and sends all of them; each account's in the order given, from `nonces` on. */
  readonly send: (
    transactions: ReadonlyArray<Outgoing>,
    nonces: ReadonlyMap<Address, number>,
    gasPrice: bigint
  ) => Effect.Effect<ReadonlyArray<Result.Result<Hex, CallRefused>>, ProviderFault>
  /** Undefined while it is not mined. */
  readonly receipts: (
    hashes: ReadonlyArray<Hex>
  ) => Effect.Effect<ReadonlyArray<Receipt | undefined>, ProviderFault>
}

/** Anvil takes 2 MB in one request; deploying everything takes a tenth of that. */
const maxResponseBytes = 16_000_000

export const make = Effect.fnUntraced(function* (
  url: string
): Effect.fn.Return<AnvilRpc, never, HttpClient.HttpClient> {
  const endpoint = yield* Endpoint.make({
    id: "devnet",
    url: Redacted.make(url),
    timeout: Duration.seconds(10),
    maxResponseBytes
  })
  const ask = (calls: ReadonlyArray<Call>) => Effect.map(endpoint.send(calls), (sent) => sent.answers)
  const rpc: AnvilRpc = {
    ask,
    call: endpoint.call,
    send: (transactions, nonces, gasPrice) => {
      const next = new Map(nonces)
      const calls = transactions.map((transaction) => {
        const nonce = next.get(transaction.from) ?? 0
        next.set(transaction.from, nonce + 1)
        return { method: "eth_sendTransaction", params: [parameters(transaction, nonce, gasPrice)] }
      })
      return Effect.map(ask(calls), (answers) => answers.map(hashOf))
    },
    receipts: (hashes) =>
      Effect.map(
        ask(hashes.map((hash) => ({ method: "eth_getTransactionReceipt", params: [hash] }))),
        (answers) => answers.map(receiptOf)
      )
  }
  return rpc
})

/** The count of the account's transactions with those that wait: the nonce that comes next. */
export const nonceCall = (account: Address): Call => ({
  method: "eth_getTransactionCount",
  params: [account, "pending"]
})

export const bytes = (method: string, answer: Answer | undefined): Effect.Effect<Hex, CallRefused> => {
  const value = answer === undefined ? undefined : Result.getOrUndefined(answer)
  return isHex(value) ? Effect.succeed(value) : Effect.fail(refused(method, answer))
}

export const quantity = (method: string, answer: Answer | undefined): Effect.Effect<bigint, CallRefused> =>
  Effect.map(bytes(method, answer), (hex) => BigInt(hex))

export const addresses = (value: unknown): ReadonlyArray<Address> =>
  Array.isArray(value) ? value.filter((item): item is Address => isAddress(item, { strict: false })) : []

/** Fees twice what is asked for now: a transaction may wait through a few full blocks. */
const parameters = (transaction: Outgoing, nonce: number, gasPrice: bigint) => ({
  from: transaction.from,
  ...(transaction.to === undefined ? {} : { to: transaction.to }),
  ...(transaction.data === undefined ? {} : { data: transaction.data }),
  value: numberToHex(transaction.value ?? 0n),
  gas: numberToHex(transaction.gas),
  nonce: numberToHex(nonce),
  type: numberToHex(transaction.type),
  ...(transaction.type === 2
    ? { maxFeePerGas: numberToHex(gasPrice * 2n), maxPriorityFeePerGas: numberToHex(gasPrice / 10n) }
    : { gasPrice: numberToHex(gasPrice * 2n) }),
  ...(transaction.type === 1
    ? { accessList: transaction.to === undefined ? [] : [{ address: transaction.to, storageKeys: [] }] }
    : {})
})

const refused = (method: string, answer: Answer | undefined): CallRefused =>
  new CallRefused({
    method,
    detail:
      answer !== undefined && Result.isFailure(answer)
        ? answer.failure.detail
        : `the answer has an unknown shape: ${JSON.stringify(answer?.success)?.slice(0, 100)}`
  })

const hashOf = (answer: Answer): Result.Result<Hex, CallRefused> => {
  const hash = Result.getOrUndefined(answer)
  return isHex(hash) ? Result.succeed(hash) : Result.fail(refused("eth_sendTransaction", answer))
}

const receiptOf = (answer: Answer): Receipt | undefined => {
  const value = Result.getOrUndefined(answer)
  if (!Predicate.isObject(value) || !("status" in value) || !("blockNumber" in value)) return undefined
  return { succeeded: value["status"] === "0x1", blockNumber: Number(value["blockNumber"]) }
}
