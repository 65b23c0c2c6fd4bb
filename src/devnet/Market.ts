/**
 * The demo economy: tokens, a wrapped ether, a Uniswap-V2-compatible exchange with pools between them, and what it
 * takes to put all of it on a chain.
 *
 * Addresses follow from the deployer's nonce, so everything is sent at once, in one request, and lands in the next
 * blocks; nothing waits for the receipt of another.
 */
import { type Array as Arr, Effect, Random } from "effect"
import type { Address, Hex } from "viem"
import { encodeDeployData, encodeFunctionData, getContractAddress, parseEther } from "viem/utils"
import * as AnvilRpc from "./AnvilRpc.ts"
import * as Chance from "./Chance.ts"
import { DemoFactory, DemoRouter, DemoToken, DemoWrappedEther } from "./contracts/Artifacts.ts"

export interface Token {
  readonly address: Address
  readonly symbol: string
  /** Smallest units that cost about an ether when the market opens. */
  readonly perEther: bigint
  /** The wrapped ether is minted by depositing, the others by asking. */
  readonly wraps: boolean
}

export interface Pool {
  /** Also the address of the token that stands for shares of it. */
  readonly address: Address
  readonly a: Token
  readonly b: Token
}

export interface Market {
  readonly factory: Address
  readonly router: Address
  readonly ether: Token
  /** The most popular first; the wrapped ether is among them. */
  readonly tokens: ReadonlyArray<Token>
  /** The most popular first. */
  readonly pools: ReadonlyArray<Pool>
  /** Unlocked; the busiest first. */
  readonly accounts: Arr.NonEmptyReadonlyArray<Address>
  /** Receive now and then, and never send. */
  readonly bystanders: ReadonlyArray<Address>
}

/** Invented for this demonstration. `perEther` in whole tokens. */
const listed = [
  { name: "Weir Dollar", symbol: "WEIR", decimals: 6, perEther: 2500 },
  { name: "Millrace", symbol: "MILL", decimals: 18, perEther: 80 },
  { name: "Eddy", symbol: "EDDY", decimals: 18, perEther: 1200 },
  { name: "Tarn Gold", symbol: "TARN", decimals: 8, perEther: 0.05 },
  { name: "Spillway", symbol: "SPILL", decimals: 18, perEther: 40_000 },
  { name: "Oxbow", symbol: "OXBOW", decimals: 18, perEther: 300 },
  { name: "Flume", symbol: "FLUME", decimals: 18, perEther: 9_000_000 },
  { name: "Brookling", symbol: "BRKL", decimals: 18, perEther: 750 }
] as const

const listedPools = [
  ["WEIR", "dWETH"],
  ["MILL", "dWETH"],
  ["WEIR", "MILL"],
  ["EDDY", "dWETH"],
  ["TARN", "dWETH"],
  ["SPILL", "dWETH"],
  ["WEIR", "EDDY"],
  ["OXBOW", "dWETH"],
  ["FLUME", "dWETH"],
  ["BRKL", "dWETH"],
  ["WEIR", "SPILL"]
] as const

/** Where the wrapped ether stands among the tokens when sorted by popularity. */
const rankOfEther = 2
/** Ether on either side of the deepest pool; the n-th has an n-th of it. */
const depth = 100
const bystanders = 200
export const unlimited = 2n ** 256n - 1n
export const gas = { transfer: 100_000, swap: 400_000, liquidity: 500_000, deploy: 6_000_000 } as const

/** Smallest units of `token` that are worth `ether` when the market opens. */
export const worth = (token: Token, ether: number): bigint =>
  (token.perEther * BigInt(Math.round(ether * 1e6))) / 1_000_000n

const plan = Effect.fnUntraced(function* (accounts: Arr.NonEmptyReadonlyArray<Address>, nonce: number) {
  const deployer = accounts[0]
  let next = nonce
  const transactions: Array<AnvilRpc.Outgoing> = []
  const create = (data: Hex): Address => {
    transactions.push({ from: deployer, data, gas: gas.deploy, type: 2 })
    return getContractAddress({ from: deployer, nonce: BigInt(next++) })
  }
  const invoke = (to: Address, data: Hex, value = 0n) => {
    transactions.push({ from: deployer, to, data, value, gas: gas.deploy, type: 2 })
    next++
  }

  const factory = create(encodeDeployData({ abi: DemoFactory.abi, bytecode: DemoFactory.bytecode }))
  const router = create(
    encodeDeployData({ abi: DemoRouter.abi, bytecode: DemoRouter.bytecode, args: [factory] })
  )
  const ether: Token = {
    address: create(encodeDeployData({ abi: DemoWrappedEther.abi, bytecode: DemoWrappedEther.bytecode })),
    symbol: "dWETH",
    perEther: parseEther("1"),
    wraps: true
  }
  const tokens: Array<Token> = []
  for (const { decimals, name, perEther, symbol } of listed) {
    const unit = BigInt(Math.round(perEther * 100)) * 10n ** BigInt(decimals - 2)
    const shares = yield* Effect.forEach(accounts, () => Chance.logNormal(20, 1))
    const amounts = shares.map((share) => (unit * BigInt(Math.round(share * 1000))) / 1000n)
    // The deployer also pays for the pools.
    const args = [
      name,
      symbol,
      decimals,
      [deployer, ...accounts],
      [unit * BigInt(depth) * 2n, ...amounts]
    ] as const
    tokens.push({
      address: create(encodeDeployData({ abi: DemoToken.abi, bytecode: DemoToken.bytecode, args })),
      symbol,
      perEther: unit,
      wraps: false
    })
  }

  const bySymbol = new Map([ether, ...tokens].map((token) => [token.symbol, token]))
  const couples = listedPools.flatMap(([symbolA, symbolB]) => {
    const [a, b] = [bySymbol.get(symbolA), bySymbol.get(symbolB)]
    return a === undefined || b === undefined ? [] : [{ a, b }]
  })
  const deposit = couples.reduce((sum, _, index) => sum + worth(ether, depth / (index + 1)), 0n)
  invoke(ether.address, encodeFunctionData({ abi: DemoWrappedEther.abi, functionName: "deposit" }), deposit)
  for (const { address } of [ether, ...tokens]) {
    const args = [router, unlimited] as const
    invoke(address, encodeFunctionData({ abi: DemoToken.abi, functionName: "approve", args }))
  }
  for (const [index, { a, b }] of couples.entries()) {
    const value = depth / (index + 1)
    const args = [a.address, b.address, worth(a, value), worth(b, value), deployer] as const
    invoke(router, encodeFunctionData({ abi: DemoRouter.abi, functionName: "addLiquidity", args }))
  }
  const market = {
    factory,
    router,
    ether,
    tokens: [...tokens.slice(0, rankOfEther), ether, ...tokens.slice(rankOfEther)],
    accounts,
    bystanders: yield* Effect.replicateEffect(someAddress, bystanders)
  }
  return { couples, market, transactions }
})

const someAddress: Effect.Effect<Address> = Random.nextIntBetween(0, 256, { halfOpen: true }).pipe(
  Effect.replicateEffect(20),
  Effect.map((bytes): Address => `0x${Buffer.from(bytes).toString("hex")}`)
)

/** Puts the market on the chain, and returns when all of it is mined. Each call makes a new one. */
export const open = Effect.fnUntraced(function* (
  rpc: AnvilRpc.AnvilRpc,
  accounts: Arr.NonEmptyReadonlyArray<Address>
): Effect.fn.Return<Market, AnvilRpc.RpcFault> {
  const deployer = accounts[0]
  const [count, price] = yield* rpc.ask([
    AnvilRpc.nonceCall(deployer),
    { method: "eth_gasPrice", params: [] }
  ])
  const nonce = Number(yield* AnvilRpc.quantity("eth_getTransactionCount", count))
  const gasPrice = yield* AnvilRpc.quantity("eth_gasPrice", price)
  const { couples, market, transactions } = yield* plan(accounts, nonce)
  const sent = yield* rpc.send(transactions, new Map([[deployer, nonce]]), gasPrice)
  const hashes = yield* Effect.forEach(sent, (result) => Effect.fromResult(result))
  yield* mined(rpc, hashes, deployer, nonce)
  const found = yield* rpc.ask(
    couples.map(({ a, b }) => ({
      method: "eth_call",
      params: [
        {
          to: market.factory,
          data: encodeFunctionData({
            abi: DemoFactory.abi,
            functionName: "getPair",
            args: [a.address, b.address]
          })
        },
        "latest"
      ]
    }))
  )
  const pools = yield* Effect.forEach(couples, ({ a, b }, index) =>
    // An address is the last 20 of the 32 bytes.
    Effect.map(
      AnvilRpc.bytes("eth_call", found[index]),
      (word): Pool => ({ address: `0x${word.slice(26)}`, a, b })
    )
  )
  return { ...market, pools }
})

/** Anvil's automine leaves a transaction of a batch lying now and then; a block more takes it along. */
const patience = 10

const mined = Effect.fnUntraced(function* (
  rpc: AnvilRpc.AnvilRpc,
  hashes: ReadonlyArray<Hex>,
  deployer: Address,
  nonce: number
): Effect.fn.Return<void, AnvilRpc.RpcFault> {
  const refuse = (index: number, detail: string) =>
    new AnvilRpc.CallRefused({
      method: "eth_getTransactionReceipt",
      detail: `transaction ${index + 1} of ${hashes.length} of the demo market ${detail}`
    })
  for (let attempt = 0; ; attempt++) {
    const receipts = yield* rpc.receipts(hashes)
    const reverted = receipts.findIndex((receipt) => receipt?.succeeded === false)
    if (reverted >= 0) return yield* refuse(reverted, "was reverted")
    const waiting = receipts.indexOf(undefined)
    if (waiting < 0) return
    const count = AnvilRpc.quantity(
      "eth_getTransactionCount",
      (yield* rpc.ask([AnvilRpc.nonceCall(deployer)]))[0]
    )
    if ((yield* count) < nonce + hashes.length) return yield* refuse(waiting, "was dropped by a reorg")
    if (attempt % patience === patience - 1) yield* rpc.call("evm_mine", [])
    yield* Effect.sleep("200 millis")
  }
})
