import { createServer } from "node:http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Effect,
  Fiber,
  Layer,
  Logger,
  Predicate,
  Random,
  Result,
  Schedule,
  Schema
} from "effect"
import { toEventSelector } from "viem/utils"
import { Anvil } from "../../src/devnet/Anvil.ts"
import * as AnvilRpc from "../../src/devnet/AnvilRpc.ts"
import * as Traffic from "../../src/devnet/Traffic.ts"

const world = Layer.mergeAll(NodeHttpClient.layerNodeHttp, NodeServices.layer, Logger.layer([]))

const events = {
  transfer: toEventSelector("Transfer(address,address,uint256)"),
  swap: toEventSelector("Swap(address,uint256,uint256,uint256,uint256,address)"),
  sync: toEventSelector("Sync(uint112,uint112)"),
  mint: toEventSelector("Mint(address,uint256,uint256)"),
  pairCreated: toEventSelector("PairCreated(address,address,address,uint256)"),
  deposit: toEventSelector("Deposit(address,uint256)")
}

const Logs = Schema.Array(Schema.Struct({ address: Schema.String, topics: Schema.Array(Schema.String) }))
const Receipts = Schema.Array(
  Schema.Struct({ from: Schema.String, status: Schema.String, type: Schema.String })
)

const chain = Effect.fnUntraced(function* (url: string) {
  const rpc = yield* AnvilRpc.make(url)
  const head = Effect.map(rpc.call("eth_blockNumber", []), Number)
  const logs = (event: keyof typeof events) =>
    rpc
      .call("eth_getLogs", [{ fromBlock: "0x0", toBlock: "latest", topics: [events[event]] }])
      .pipe(Effect.flatMap(Schema.decodeUnknownEffect(Logs)))
  const receipts = Effect.gen(function* () {
    const answers = yield* rpc.ask(
      Array.from({ length: (yield* head) + 1 }, (_, number) => ({
        method: "eth_getBlockReceipts",
        params: [`0x${number.toString(16)}`]
      }))
    )
    const blocks = yield* Effect.forEach(answers, (answer) =>
      Effect.flatMap(Effect.fromResult(answer), Schema.decodeUnknownEffect(Receipts))
    )
    return blocks.flat()
  })
  /** Until at least so many of the event are on the chain. */
  const until = (event: keyof typeof events, count: number) =>
    logs(event).pipe(
      Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: (found) => found.length >= count })
    )
  return { rpc, head, logs, receipts, until }
})

describe("Traffic", () => {
  it.live("trades in a market of its own, also through a reorg", () =>
    Effect.gen(function* () {
      const anvil = yield* Anvil.make({ accounts: 20, blockTime: "200 millis" })
      const { head, logs, receipts, rpc, until } = yield* chain(anvil.url)
      const traffic = yield* Traffic.run({ url: anvil.url, transactionsPerSecond: 150 }).pipe(
        Random.withSeed("traffic"),
        Effect.forkChild
      )
      yield* until("swap", 60)
      const before = yield* head
      yield* rpc.call("anvil_reorg", [3, []])
      yield* until("swap", 200)
      assert.isAbove(yield* head, before)
      yield* Fiber.interrupt(traffic)

      const all = yield* receipts
      const share = (matches: (receipt: (typeof all)[number]) => boolean) =>
        all.filter(matches).length / all.length
      const reverted = share(({ status }) => status === "0x0")
      assert.isAbove(reverted, 0)
      assert.isBelow(reverted, 0.1)
      for (const type of ["0x0", "0x1", "0x2"])
        assert.isAbove(
          share((receipt) => receipt.type === type),
          0.01
        )

      // The first account also deploys; the busiest of all has many times what a quiet one has.
      const bySender = Object.values(Arr.groupBy(all, ({ from }) => from)).map(({ length }) => length)
      assert.isAbove(bySender.length, 15)
      assert.isAbove(Math.max(...bySender), 8 * Math.min(...bySender))

      assert.strictEqual((yield* logs("pairCreated")).length, 11)
      assert.isAtLeast((yield* logs("mint")).length, 11)
      assert.isAbove((yield* logs("deposit")).length, 0)
      assert.isAtLeast((yield* logs("sync")).length, (yield* logs("swap")).length)

      const transfers = Arr.groupBy(yield* logs("transfer"), ({ address }) => address)
      const byToken = Object.values(transfers)
        .map(({ length }) => length)
        .sort((a, b) => b - a)
      assert.isAtLeast(byToken.length, 9)
      assert.isAbove(byToken[0] ?? 0, 2 * (byToken[8] ?? 0))
    }).pipe(Effect.provide(world))
  )

  it.live("opens a new market when the chain was reset", () =>
    Effect.gen(function* () {
      const anvil = yield* Anvil.make({ accounts: 5, blockTime: "200 millis" })
      const { rpc, until } = yield* chain(anvil.url)
      yield* Effect.forkChild(Traffic.run({ url: anvil.url, transactionsPerSecond: 50 }))
      yield* until("swap", 5)
      yield* rpc.call("anvil_reset", [])
      yield* until("swap", 5)
    }).pipe(Effect.provide(world))
  )

  it.live("works where each transaction makes a block, with reorgs of its own", () =>
    Effect.gen(function* () {
      const anvil = yield* Anvil.make()
      const { until } = yield* chain(anvil.url)
      yield* Effect.forkChild(
        Traffic.run({ url: anvil.url, transactionsPerSecond: 40, reorgEvery: "700 millis" })
      )
      yield* until("swap", 30)
    }).pipe(Effect.provide(world))
  )

  it.live("refuses a node that is not Anvil", () =>
    Effect.gen(function* () {
      const server = createServer((_, response) =>
        response.end(JSON.stringify({ jsonrpc: "2.0", id: 0, result: "Geth/v1.16.0" }))
      )
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          server.listen(0, "127.0.0.1", () => resume(Effect.void))
        }),
        () => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = Predicate.isObject(address) ? address.port : 0
      const outcome = yield* Effect.result(Traffic.run({ url: `http://127.0.0.1:${port}` }))
      assert.isTrue(Result.isFailure(outcome) && /Geth/.test(outcome.failure.message))
    }).pipe(Effect.provide(world))
  )
})
