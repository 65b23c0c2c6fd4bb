/**
 * From logs to what token metrics are made of: which sources of the deployment say what moves, and what a log of
 * theirs says.
 *
 * **Details**: a log may count once only, and the tables that are read back have to be those that were followed. So of
 * each kind there is one source that takes all contracts, or sources that take different ones.
 */
import type { Hex, RpcLog } from "../chain/Block.ts"
import type { EventSource } from "../events/EventSource.ts"
import * as Words from "../events/Words.ts"
import type { TokenEvent } from "./TokenEvent.ts"
import type { TokenSource } from "./TokenSources.ts"

type Kind = TokenSource["kind"]

const kinds: ReadonlyArray<readonly [kind: Kind, event: string]> = [
  ["erc20", "Transfer"],
  ["uniswap-v2", "Swap"],
  ["uniswap-v3", "Swap"]
]

/** One of the sources that are followed. */
export interface Followed {
  readonly kind: Kind
  readonly source: EventSource
}

/** The sources to follow, and those that are left out since others have their logs already. */
export const choose = (
  sources: ReadonlyArray<EventSource>
): { readonly followed: ReadonlyArray<Followed>; readonly leftOut: ReadonlyArray<EventSource> } => {
  const followed: Array<Followed> = []
  const leftOut: Array<EventSource> = []
  for (const [kind, event] of kinds) {
    const all = sources.filter((source) => source.pack === kind && source.event.name === event)
    const anybody = all.find(({ emitters }) => emitters._tag === "Anybody")
    const chosen: Array<EventSource> = []
    for (const source of anybody === undefined ? all : [anybody]) {
      if (chosen.every((other) => areApart(source, other))) chosen.push(source)
    }
    followed.push(...chosen.map((source) => ({ kind, source })))
    leftOut.push(...all.filter((source) => !chosen.includes(source)))
  }
  return { followed, leftOut }
}

const areApart = ({ emitters: a }: EventSource, { emitters: b }: EventSource): boolean =>
  a._tag === "Listed" && b._tag === "Listed" && [...a.addresses].every((address) => !b.addresses.has(address))

const address = wordOf("address")
const unsigned = wordOf("uint256")
const signed = wordOf("int256")

function wordOf(type: string): Words.Word {
  const word = Words.of(type)
  if (word === undefined) throw new Error(`${type} is no word`)
  return word
}

/** Digits in the data before its i-th word. */
const dataAt = (i: number): number => 2 + i * Words.wordDigits

const layouts: Readonly<
  Record<Kind, { readonly topics: number; readonly words: ReadonlyArray<Words.Word> }>
> = {
  erc20: { topics: 3, words: [unsigned] },
  "uniswap-v2": { topics: 3, words: [unsigned, unsigned, unsigned, unsigned] },
  "uniswap-v3": {
    topics: 3,
    words: [signed, signed, wordOf("uint160"), wordOf("uint128"), wordOf("int24")]
  }
}

/** Undefined where the log does not decode, which its table says as well. */
export const eventOf = (
  kind: Kind,
  log: RpcLog,
  place: { readonly blockNumber: number; readonly timestamp: number }
): TokenEvent | undefined => {
  const { topics, words } = layouts[kind]
  const [, one = "0x", other = "0x"] = log.topics
  if (log.topics.length !== topics || log.data.length < dataAt(words.length)) return undefined
  if (address.check(one, 2) !== undefined || address.check(other, 2) !== undefined) return undefined
  if (words.some((word, i) => word.check(log.data, dataAt(i)) !== undefined)) return undefined
  const at = { ...place, logIndex: Number(log.logIndex) }
  const amount = (i: number) => BigInt(`0x${log.data.slice(dataAt(i), dataAt(i + 1))}`)
  const contract = lowerCase(log.address)
  const [from, to] = [last20(one), last20(other)]
  switch (kind) {
    case "erc20":
      return { _tag: "Transfer", token: contract, from, to, value: amount(0), ...at }
    case "uniswap-v2":
      return {
        _tag: "Trade",
        pair: contract,
        sender: from,
        recipient: to,
        amount0: amount(0) - amount(2),
        amount1: amount(1) - amount(3),
        ...at
      }
    case "uniswap-v3":
      return {
        _tag: "Trade",
        pair: contract,
        sender: from,
        recipient: to,
        amount0: BigInt.asIntN(256, amount(0)),
        amount1: BigInt.asIntN(256, amount(1)),
        ...at
      }
  }
}

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`
const last20 = (word: Hex): Hex => `0x${word.slice(26).toLowerCase()}`
