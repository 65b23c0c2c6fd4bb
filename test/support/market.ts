/**
 * A real Anvil with the demo market on it: tokens, pairs and trades, and nothing that mines any more.
 */
import { Effect, Fiber, Random, Schedule } from "effect"
import { createPublicClient, http, parseAbi } from "viem"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as Traffic from "../../src/devnet/Traffic.ts"
import { rpc } from "./oracle.ts"

const abi = parseAbi([
  "event PairCreated(address indexed token0, address indexed token1, address pair, uint256)",
  "event Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to)"
])

/** However fast trades come, they are spread over so many blocks: reorgs reach deep and leave some of them. */
const tradeBlocks = 50

/** `quietBlocks` empty ones lie above the trades. */
export const market = Effect.fnUntraced(function* (quietBlocks: number) {
  const { url } = yield* Anvil.make({ accounts: 20, history: 200 })
  yield* rpc(url, "evm_setAutomine", [false])
  const miner = yield* rpc(url, "evm_mine").pipe(
    Effect.schedule(Schedule.spaced("80 millis")),
    Effect.forkChild
  )
  const traffic = yield* Traffic.run({ url, transactionsPerSecond: 120 }).pipe(
    Random.withSeed("events"),
    Effect.forkChild
  )
  const client = createPublicClient({ transport: http(url) })
  const logs = (eventName: "PairCreated" | "Swap") =>
    Effect.promise(() => client.getContractEvents({ abi, eventName, fromBlock: 0n, strict: true }))
  const height = Effect.map(rpc<string>(url, "eth_blockNumber"), Number)
  yield* Effect.repeat(Effect.all([logs("Swap"), height]), {
    schedule: Schedule.spaced("200 millis"),
    until: ([swaps, blocks]) => swaps.length >= 150 && blocks >= tradeBlocks
  })
  yield* Fiber.interrupt(traffic)
  yield* Fiber.interrupt(miner)
  yield* rpc(url, "anvil_dropAllTransactions")
  // What is final is fetched in another way than what is not: Anvil calls final what is 64 blocks old.
  yield* rpc(url, "anvil_mine", [quietBlocks])
  const [created] = yield* logs("PairCreated")
  return { url, factory: created?.address ?? "0x", head: yield* height }
})
