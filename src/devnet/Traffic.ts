/**
 * Demo traffic: deploys a market of tokens and pools on an Anvil, and then trades there for ever, the way people do:
 * a few tokens have most of the transfers, a few accounts make most of them, amounts spread over orders of magnitude,
 * and activity comes in waves.
 *
 * **Details**: nothing about the chain is remembered from one step to the next. Each step draws what a few accounts
 * wish, asks in one request for their nonces, balances and allowances, and sends all transactions in a second one. So
 * a reorg, another user of the same accounts or a failed request need no special care; when the contracts themselves
 * are gone (a reset), the market is opened anew.
 *
 * **Gotchas**: only for Anvil, and `run` refuses anything else. It sends from the node's unlocked accounts: to have
 * fifty people trade, start Anvil with fifty (`Anvil.layer({ accounts: 50 })`).
 */
import { Array as Arr, Clock, Duration, Effect, Option, Random, Ref, Result, Schedule, Schema } from "effect"
import type { HttpClient } from "effect/http"
import type { Address } from "viem"
import { decodeFunctionResult, encodeFunctionData } from "viem/utils"
import * as AnvilRpc from "./AnvilRpc.ts"
import * as Chance from "./Chance.ts"
import { DemoRouter } from "./contracts/Artifacts.ts"
import * as Market from "./Market.ts"
import * as Trade from "./Trade.ts"

export interface TrafficOptions {
  /** Of the Anvil, as in `http://127.0.0.1:8545`. */
  readonly url: string
  /** On average; waves go from a third to five thirds of it. 15 when absent. */
  readonly transactionsPerSecond?: number | undefined
  /** As many of the unlocked accounts take part, at most. 50 when absent. */
  readonly accounts?: number | undefined
  /** Takes one to three blocks back each time this has passed. Never when absent. */
  readonly reorgEvery?: Duration.Input | undefined
}

/** Traffic that cannot be: it is not worth trying again. */
export class TrafficError extends Schema.TaggedError<TrafficError>()("TrafficError", {
  detail: Schema.String
}) {
  override get message(): string {
    return `no demo traffic: ${this.detail}`
  }
}

const defaults = { transactionsPerSecond: 15, accounts: 50 }

/** Often enough to look alive between blocks of one second, seldom enough to cost nothing. */
const stepTime = Duration.millis(400)

/** Never ends by itself. Fails only when the node can never serve; whatever may pass is waited for. */
export const run = Effect.fnUntraced(function* (
  options: TrafficOptions
): Effect.fn.Return<never, TrafficError, HttpClient.HttpClient> {
  const rpc = yield* AnvilRpc.make(options.url)
  const steadily = yield* patience
  const accounts = yield* participants(
    yield* steadily(rpc.call("web3_clientVersion", [])),
    yield* steadily(rpc.call("eth_accounts", [])),
    options.accounts ?? defaults.accounts
  )
  const perStep =
    (options.transactionsPerSecond ?? defaults.transactionsPerSecond) * Duration.toSeconds(stepTime)

  const trading = Effect.gen(function* () {
    const market = yield* steadily(Market.open(rpc, accounts))
    yield* Effect.logInfo("demo traffic runs").pipe(
      Effect.annotateLogs({
        tokens: market.tokens.length,
        pools: market.pools.length,
        accounts: accounts.length
      })
    )
    yield* steadily(step(rpc, market, perStep)).pipe(
      Effect.repeat({ schedule: Schedule.fixed(stepTime), until: (outcome) => outcome === "gone" })
    )
    yield* Effect.logWarning("the demo contracts are gone: the chain was reset, or a reorg went deep")
  }).pipe(Effect.forever)
  return yield* options.reorgEvery === undefined
    ? trading
    : Effect.raceFirst(trading, reorgs(rpc, options.reorgEvery))
})

/** Tries until it works, and says so once for each outage, however long that is. */
const patience = Effect.map(Ref.make(false), (pausing) => {
  const pauses = (fault: AnvilRpc.RpcFault) =>
    Effect.flatMap(Ref.getAndSet(pausing, true), (already) =>
      already
        ? Effect.void
        : Effect.logWarning("demo traffic pauses").pipe(Effect.annotateLogs({ reason: fault.message }))
    )
  const goesOn = Effect.flatMap(Ref.getAndSet(pausing, false), (was) =>
    was ? Effect.logInfo("demo traffic goes on") : Effect.void
  )
  return <A>(effect: Effect.Effect<A, AnvilRpc.RpcFault>): Effect.Effect<A> =>
    effect.pipe(
      Effect.tapError(pauses),
      Effect.retry(backoff),
      // The schedule has no end, which its type cannot say.
      Effect.orDie,
      Effect.tap(goesOn)
    )
})

const backoff = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("5 seconds")])

const participants = (
  client: unknown,
  unlocked: unknown,
  most: number
): Effect.Effect<Arr.NonEmptyReadonlyArray<Address>, TrafficError> => {
  // Whoever has unlocked accounts elsewhere may mean them.
  if (typeof client !== "string" || !client.toLowerCase().startsWith("anvil")) {
    return Effect.fail(new TrafficError({ detail: `the node is ${String(client)}, not Anvil` }))
  }
  const accounts = AnvilRpc.addresses(unlocked).slice(0, most)
  return Arr.isReadonlyArrayNonEmpty(accounts)
    ? Effect.succeed(accounts)
    : Effect.fail(new TrafficError({ detail: "the node has no unlocked account" }))
}

const step = Effect.fnUntraced(function* (
  rpc: AnvilRpc.AnvilRpc,
  market: Market.Market,
  perStep: number
): Effect.fn.Return<"traded" | "gone", AnvilRpc.RpcFault> {
  const count = yield* Chance.poisson(perStep * wave(yield* Clock.currentTimeMillis))
  if (count === 0) return "traded"
  const wishes = yield* Effect.replicateEffect(Trade.draw(market), count)
  const seen = yield* look(rpc, market, wishes)
  if (Option.isNone(seen)) return "gone"
  const { gasPrice, holding, nonces } = seen.value
  const transactions = wishes.flatMap((wish) => Trade.settle(market, wish, holding))
  const sent = yield* rpc.send(transactions, nonces, gasPrice)
  const refused = sent.flatMap((result) => (Result.isFailure(result) ? [result.failure] : []))
  const [first] = refused
  if (first === undefined) return "traded"
  // Single ones are somebody else using the same account in the same moment.
  if (refused.length === sent.length) return yield* first
  yield* Effect.logDebug("transactions refused").pipe(
    Effect.annotateLogs({ refused: refused.length, sent: sent.length, reason: first.message })
  )
  return "traded"
})

/** A slow swell with a quick one on top, around 1. */
const wave = (millis: number): number =>
  1 + 0.5 * Math.sin((2 * Math.PI * millis) / 97_000) + 0.16 * Math.sin((2 * Math.PI * millis) / 13_000)

const nobody: Trade.Holding = { balance: 0n, allowance: 0n }

/** Everything that has to be known to settle the wishes, in one request; none when the market is gone. */
const look = Effect.fnUntraced(function* (
  rpc: AnvilRpc.AnvilRpc,
  market: Market.Market,
  wishes: ReadonlyArray<Trade.Wish>
) {
  const senders = [...new Set(wishes.map((wish) => wish.from))]
  const asked = wishes.flatMap((wish) =>
    Trade.needs(market, wish).map((token) => ({ token, owner: wish.from }))
  )
  const data = encodeFunctionData({
    abi: DemoRouter.abi,
    functionName: "holdings",
    args: [asked.map(({ token }) => token), asked.map(({ owner }) => owner)]
  })
  const [price, made, held, ...counts] = yield* rpc.ask([
    { method: "eth_gasPrice", params: [] },
    { method: "eth_getTransactionCount", params: [market.factory, "latest"] },
    { method: "eth_call", params: [{ to: market.router, data }, "latest"] },
    ...senders.map(AnvilRpc.nonceCall)
  ])
  // A contract's own nonce begins at 1 and counts what it has created.
  if ((yield* AnvilRpc.quantity("eth_getTransactionCount", made)) <= market.pools.length) {
    return Option.none()
  }
  const answer = yield* AnvilRpc.bytes("eth_call", held)
  const [balances, allowances] = yield* Effect.try({
    try: () => decodeFunctionResult({ abi: DemoRouter.abi, functionName: "holdings", data: answer }),
    catch: (cause) => new AnvilRpc.CallRefused({ method: "eth_call", detail: String(cause) })
  })
  const holdings = new Map(
    asked.map(({ owner, token }, index): [string, Trade.Holding] => [
      `${token} ${owner}`,
      { balance: balances[index] ?? 0n, allowance: allowances[index] ?? 0n }
    ])
  )
  const nonces = yield* Effect.forEach(senders, (sender, index) =>
    Effect.map(AnvilRpc.quantity("eth_getTransactionCount", counts[index]), (count): [Address, number] => [
      sender,
      Number(count)
    ])
  )
  return Option.some({
    gasPrice: yield* AnvilRpc.quantity("eth_gasPrice", price),
    nonces: new Map(nonces),
    holding: (token: Address, owner: Address) => holdings.get(`${token} ${owner}`) ?? nobody
  })
})

/** Blocks are replaced by empty ones: what was in them is gone, as in a real reorg it seldom is. */
const reorgs = (rpc: AnvilRpc.AnvilRpc, every: Duration.Input): Effect.Effect<never> =>
  Effect.gen(function* () {
    yield* Effect.sleep(every)
    const depth = yield* Random.nextIntBetween(1, 3)
    yield* rpc.call("anvil_reorg", [depth, []])
    yield* Effect.logInfo("demo reorg").pipe(Effect.annotateLogs({ depth }))
  }).pipe(
    // The chain may be shorter than that yet, or Anvil away: the next one will do.
    Effect.ignore,
    Effect.forever
  )
