/**
 * What people do in the demo market. `draw` decides what somebody wants, by chance alone; `settle` turns the wish into
 * transactions, given what they hold. Both are free of effects on the chain, and `settle` of all others.
 *
 * Amounts are shares of what is held, so that nobody ever runs out, however long the traffic runs.
 */
import { type Array as Arr, Effect } from "effect"
import type { Address, Hex } from "viem"
import { encodeDeployData, encodeFunctionData } from "viem/utils"
import type { Outgoing } from "./AnvilRpc.ts"
import * as Chance from "./Chance.ts"
import { DemoRouter, DemoToken, DemoWrappedEther } from "./contracts/Artifacts.ts"
import { gas, type Market, type Pool, type Token, unlimited, worth } from "./Market.ts"

/** What an account has of a token, and what the router may spend of it. */
export interface Holding {
  readonly balance: bigint
  readonly allowance: bigint
}

interface Common {
  readonly from: Address
  readonly type: 0 | 1 | 2
}

/** `share` is the part of what is held, between 0 and 1; `fails` asks for something that the contract refuses. */
export type Wish = Common &
  (
    | {
        readonly _tag: "Transfer"
        readonly token: Token
        readonly to: Address
        readonly share: number
        readonly fails: boolean
      }
    | {
        readonly _tag: "Swap"
        readonly path: Arr.NonEmptyReadonlyArray<Token>
        readonly share: number
        readonly fails: boolean
      }
    | { readonly _tag: "AddLiquidity"; readonly pool: Pool; readonly share: number }
    | { readonly _tag: "RemoveLiquidity"; readonly pool: Pool; readonly share: number }
    | { readonly _tag: "TopUp"; readonly token: Token; readonly ether: number }
    | { readonly _tag: "Withdraw"; readonly share: number }
    | { readonly _tag: "SendEther"; readonly to: Address; readonly ether: number }
    | { readonly _tag: "Launch"; readonly symbol: string }
  )

/** How often each is wished, in thousandths. */
const habits = [
  ["Transfer", 500],
  ["Swap", 330],
  ["SendEther", 80],
  ["TopUp", 40],
  ["AddLiquidity", 20],
  ["Withdraw", 17],
  ["RemoveLiquidity", 10],
  ["Launch", 3]
] as const

/** One in this many transfers and swaps is reverted. */
const failing = 40
/** Legacy, with access list, EIP-1559. */
const types = [15, 5, 80] as const

export const draw = Effect.fnUntraced(function* (market: Market): Effect.fn.Return<Wish> {
  const { pools, tokens } = market
  const [habit] = habits[yield* Chance.weighted(habits.map(([, weight]) => weight))] ?? habits[0]
  const kind = yield* Chance.weighted(types)
  const common: Common = { from: yield* someone(market, 1), type: kind === 0 ? 0 : kind === 1 ? 1 : 2 }
  const token = tokens[yield* Chance.zipf(tokens.length, 1.1)] ?? market.ether
  const pool = pools[yield* Chance.zipf(pools.length, 0.9)]
  const share = Math.min(0.2, yield* Chance.logNormal(0.01, 1.2))
  const ether = Math.min(3, yield* Chance.logNormal(0.1, 1))
  const fails = yield* Chance.oneIn(failing)
  if (pool === undefined) return { ...common, _tag: "TopUp", token, ether }
  switch (habit) {
    case "Transfer": {
      const to = (yield* Chance.oneIn(8))
        ? (market.bystanders[yield* Chance.zipf(market.bystanders.length, 0.5)] ?? common.from)
        : yield* someone(market, 0.4)
      return { ...common, _tag: habit, token, to, share, fails }
    }
    case "Swap":
      return { ...common, _tag: habit, path: yield* route(market, pool), share, fails }
    case "AddLiquidity":
    case "RemoveLiquidity":
      return { ...common, _tag: habit, pool, share }
    case "TopUp":
      return { ...common, _tag: habit, token: (yield* Chance.oneIn(2)) ? market.ether : token, ether }
    case "Withdraw":
      return { ...common, _tag: habit, share }
    case "SendEther":
      return { ...common, _tag: habit, to: yield* someone(market, 0.4), ether }
    case "Launch":
      return { ...common, _tag: habit, symbol: `DEMO${yield* Chance.zipf(1000, 0)}` }
  }
})

/** The higher the exponent, the more it is always the same few. */
const someone = (market: Market, exponent: number): Effect.Effect<Address> =>
  Effect.map(
    Chance.zipf(market.accounts.length, exponent),
    (index) => market.accounts[index] ?? market.accounts[0]
  )

/** Through the pool in either direction; one in six goes on through a second pool of the token it came to. */
const route = Effect.fnUntraced(function* (
  market: Market,
  pool: Pool
): Effect.fn.Return<Arr.NonEmptyReadonlyArray<Token>> {
  const [from, over] = (yield* Chance.oneIn(2)) ? [pool.a, pool.b] : [pool.b, pool.a]
  if (!(yield* Chance.oneIn(6))) return [from, over]
  const onward = market.pools.filter((other) => other !== pool && (other.a === over || other.b === over))
  const second = onward[yield* Chance.zipf(onward.length, 0.9)]
  return second === undefined ? [from, over] : [from, over, second.a === over ? second.b : second.a]
})

/** What has to be known to settle the wish: token and owner. */
export const needs = (market: Market, wish: Wish): ReadonlyArray<Address> => {
  switch (wish._tag) {
    case "Transfer":
      return [wish.token.address]
    case "Swap":
      return [wish.path[0].address]
    case "AddLiquidity":
      return [wish.pool.a.address, wish.pool.b.address]
    case "RemoveLiquidity":
      return [wish.pool.address, wish.pool.a.address, wish.pool.b.address]
    case "Withdraw":
      return [market.ether.address]
    default:
      return []
  }
}

export const settle = (
  market: Market,
  wish: Wish,
  holding: (token: Address, owner: Address) => Holding
): ReadonlyArray<Outgoing> => {
  const { from, type } = wish
  const own = (token: Address) => holding(token, from)
  const send = (to: Address, limit: number, data: Hex, value = 0n): Outgoing => ({
    from,
    to,
    data,
    value,
    gas: limit,
    type
  })
  const route = (data: Hex, limit: number) => send(market.router, limit, data)
  const allow = (token: Address): ReadonlyArray<Outgoing> =>
    // Anything close to the largest number was once unlimited.
    own(token).allowance > unlimited / 2n
      ? []
      : [send(token, gas.transfer, call("approve", [market.router, unlimited]))]
  const topUp = (token: Token, ether: number): Outgoing =>
    token.wraps
      ? send(
          token.address,
          gas.transfer,
          encodeFunctionData({ ...wrapped, functionName: "deposit" }),
          worth(token, ether)
        )
      : send(token.address, gas.transfer, call("mint", [from, worth(token, ether)]))

  switch (wish._tag) {
    case "Transfer": {
      const { balance } = own(wish.token.address)
      if (balance === 0n) return [topUp(wish.token, 1)]
      const amount = wish.fails ? balance * 2n : part(balance, wish.share)
      return [send(wish.token.address, gas.transfer, call("transfer", [wish.to, amount]))]
    }
    case "Swap": {
      const [first] = wish.path
      const { balance } = own(first.address)
      if (balance === 0n) return [topUp(first, 1)]
      const path = wish.path.map((token) => token.address)
      const args = [part(balance, wish.share), wish.fails ? unlimited : 0n, path, from] as const
      const data = encodeFunctionData({ ...router, functionName: "swap", args })
      return [...allow(first.address), route(data, gas.swap)]
    }
    case "AddLiquidity": {
      const { a, b } = wish.pool
      const [ofA, ofB] = [own(a.address).balance, own(b.address).balance]
      if (ofA === 0n) return [topUp(a, 1)]
      if (ofB === 0n) return [topUp(b, 1)]
      const args = [a.address, b.address, part(ofA, wish.share), part(ofB, wish.share), from] as const
      const data = encodeFunctionData({ ...router, functionName: "addLiquidity", args })
      return [...allow(a.address), ...allow(b.address), route(data, gas.liquidity)]
    }
    case "RemoveLiquidity": {
      const { a, address, b } = wish.pool
      const { balance } = own(address)
      if (balance === 0n) return settle(market, { ...wish, _tag: "AddLiquidity" }, holding)
      // Whoever leaves mostly takes a good part along.
      const args = [a.address, b.address, part(balance, Math.sqrt(wish.share)), from] as const
      const data = encodeFunctionData({ ...router, functionName: "removeLiquidity", args })
      return [...allow(address), route(data, gas.liquidity)]
    }
    case "TopUp":
      return [topUp(wish.token, wish.ether)]
    case "Withdraw": {
      const { balance } = own(market.ether.address)
      if (balance === 0n) return [topUp(market.ether, 1)]
      const args = [part(balance, wish.share)] as const
      const data = encodeFunctionData({ ...wrapped, functionName: "withdraw", args })
      return [send(market.ether.address, gas.transfer, data)]
    }
    case "SendEther":
      return [{ from, to: wish.to, value: worth(market.ether, wish.ether), gas: gas.transfer, type }]
    case "Launch": {
      const args = [`Demo launch ${wish.symbol}`, wish.symbol, 18, [from], [10n ** 24n]] as const
      const data = encodeDeployData({ abi: DemoToken.abi, bytecode: DemoToken.bytecode, args })
      return [{ from, data, gas: gas.deploy, type }]
    }
  }
}

const router = { abi: DemoRouter.abi } as const
const wrapped = { abi: DemoWrappedEther.abi } as const

/** All tokens have these, the wrapped ether and the shares of a pool too (without `mint`). */
const call = (functionName: "approve" | "transfer" | "mint", args: readonly [Address, bigint]): Hex =>
  encodeFunctionData({ abi: DemoToken.abi, functionName, args })

const part = (balance: bigint, share: number): bigint => {
  const amount = (balance * BigInt(Math.round(share * 1e6))) / 1_000_000n
  return amount === 0n ? 1n : amount
}
