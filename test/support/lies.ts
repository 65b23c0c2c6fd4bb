/**
 * Wrong answers to "this block, with its receipts": each is a way in which providers were seen to be wrong, made as hard
 * to see as it can be, so that what can be renumbered or summed up again is.
 */
import { type Hex, keccak256, toRlp } from "viem"
import type { Lie } from "../../bench/provider.mjs"
import type { ProvableChain } from "./provable.ts"

type Json = Record<string, unknown>

interface Answer {
  readonly block: Json
  readonly transactions: Array<Json>
  readonly receipts: Array<Json>
  readonly chain: ProvableChain
  readonly random: () => number
}

/** Changed in place; or other ones; undefined where this block has nothing to be changed so. */
type Change = (
  answer: Answer
) => { readonly path?: string; readonly block: unknown; readonly receipts: unknown } | undefined

const hex = (n: number): Hex => `0x${n.toString(16)}`
const below = (random: () => number, limit: number): number => Math.floor(random() * limit)
const logsOf = (receipt: Json | undefined): Array<Json> => (receipt?.["logs"] ?? []) as Array<Json>

/** Numbers transactions, receipts and logs anew, and sums the gas up: as a node would that had this block. */
const renumbered = ({ block, transactions, receipts }: Answer) => {
  let logIndex = 0
  let gas = 0
  for (const [i, transaction] of transactions.entries()) transaction["transactionIndex"] = hex(i)
  for (const [i, receipt] of receipts.entries()) {
    gas += Number(receipt["gasUsed"])
    receipt["transactionIndex"] = hex(i)
    receipt["cumulativeGasUsed"] = hex(gas)
    for (const log of logsOf(receipt)) {
      log["transactionIndex"] = hex(i)
      log["logIndex"] = hex(logIndex++)
    }
  }
  return { block, receipts }
}

const headerFields = [
  ..."parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom".split(" "),
  ..."difficulty number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas".split(" "),
  ..."withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash".split(" ")
]
const quantities = new Set(
  "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas".split(" ")
)

const bytesOf = (name: string, value: string): Hex => {
  const digits = quantities.has(name) ? value.replace(/^0x0*/, "") : value.slice(2)
  return `0x${digits.length % 2 === 1 ? "0" : ""}${digits}`
}

/** Gives the header the hash that it hashes to, everywhere. */
const sealed = ({ block, receipts, transactions }: Answer) => {
  const hash = keccak256(toRlp(headerFields.map((name) => bytesOf(name, String(block[name])))))
  block["hash"] = hash
  for (const item of [...transactions, ...receipts, ...receipts.flatMap(logsOf)]) item["blockHash"] = hash
  return { block, receipts }
}

const another = ({ block, chain, random }: Answer): number => {
  const number = 1 + below(random, chain.height - 1)
  return number >= Number(block["number"]) ? number + 1 : number
}

/** Kinds of wrong answers. All but `flipped digit` and `missing field` have to be found, always. */
export const kinds: Readonly<Record<string, Change>> = {
  "receipts []": ({ block }) => ({ block, receipts: [] }),
  "receipts null": ({ block }) => ({ block, receipts: null }),
  "last receipts missing": ({ block, random, receipts }) => ({
    block,
    receipts: receipts.slice(0, below(random, receipts.length))
  }),
  "receipts of another block": (answer) => ({
    block: answer.block,
    receipts: JSON.parse(answer.chain.receipts(another(answer)))
  }),
  "receipts of an orphan with the same transactions": (answer) => {
    const receipt = answer.receipts[below(answer.random, answer.receipts.length)]
    if (receipt === undefined) return undefined
    const gas = Number(receipt["gasUsed"])
    if (answer.random() < 0.5) receipt["gasUsed"] = hex(gas + 1 + below(answer.random, 5000))
    else receipt["status"] = receipt["status"] === "0x1" ? "0x0" : "0x1"
    return renumbered(answer)
  },
  "logs missing": (answer) => {
    const full = answer.receipts.filter((receipt) => logsOf(receipt).length > 0)
    const receipt = full[below(answer.random, full.length)]
    if (receipt === undefined) return undefined
    const logs = logsOf(receipt)
    logs.splice(below(answer.random, logs.length), 1 + below(answer.random, logs.length))
    return answer.random() < 0.8 ? renumbered(answer) : answer
  },
  "two logs swapped": (answer) => {
    const logs = answer.receipts.map(logsOf).find(({ length }) => length > 1)
    const [first, second] = logs ?? []
    if (logs === undefined || first === undefined || second === undefined) return undefined
    logs.splice(0, 2, second, first)
    return renumbered(answer)
  },
  "block of another number": (answer) => {
    const other = another(answer)
    return { block: JSON.parse(answer.chain.full(other)), receipts: JSON.parse(answer.chain.receipts(other)) }
  },
  "header of an orphan": (answer) => {
    const { parentHash, number } = answer.block
    const other = JSON.parse(answer.chain.full(another(answer))) as Json
    const header = Object.fromEntries(headerFields.map((name) => [name, other[name]]))
    Object.assign(answer.block, header, { parentHash, number })
    return sealed(answer)
  },
  "a header field of an orphan": (answer) => {
    const names = ["transactionsRoot", "receiptsRoot", "logsBloom", "withdrawalsRoot", "gasUsed"]
    const name = names[below(answer.random, names.length)] ?? "receiptsRoot"
    const other = JSON.parse(answer.chain.full(another(answer))) as Json
    if (other[name] === answer.block[name]) return undefined
    answer.block[name] = other[name]
    return sealed(answer)
  },
  "transactions missing": (answer) => {
    const from = below(answer.random, answer.transactions.length)
    const count = 1 + below(answer.random, answer.transactions.length - from)
    answer.transactions.splice(from, count)
    if (answer.random() < 0.8) answer.receipts.splice(from, count)
    return renumbered(answer)
  },
  "transactions swapped": (answer) => {
    const { random, receipts, transactions } = answer
    const at = below(random, transactions.length - 1)
    if (transactions.length < 2) return undefined
    for (const list of random() < 0.8 ? [transactions, receipts] : [transactions]) {
      list.splice(at, 2, ...list.slice(at, at + 2).reverse())
    }
    return renumbered(answer)
  },
  "logIndex restarted": ({ block, receipts }) => {
    if (receipts.filter((receipt) => logsOf(receipt).length > 0).length < 2) return undefined
    for (const receipt of receipts) for (const [i, log] of logsOf(receipt).entries()) log["logIndex"] = hex(i)
    return { block, receipts }
  },
  "receipt twice": (answer) => {
    const { block, random, receipts } = answer
    const copy = structuredClone(receipts[below(random, receipts.length)])
    if (copy === undefined || receipts.length < 2) return undefined
    const at = receipts.findIndex((receipt) => receipt["transactionHash"] !== copy["transactionHash"])
    receipts.splice(at, random() < 0.5 ? 1 : 0, copy)
    return random() < 0.5 ? renumbered(answer) : { block, receipts }
  },
  "flipped digit": (answer) => {
    const places = placesOf(answer)
    const paths = [...new Set(places.map(({ path }) => path))]
    const path = paths[below(answer.random, paths.length)] ?? ""
    return flipped(answer, path)
  },
  "missing field": (answer) => {
    const places = placesOf(answer)
    const paths = [...new Set(places.map(({ path }) => path))]
    const path = paths[below(answer.random, paths.length)] ?? ""
    return removed(answer, path)
  }
}

// Single fields

interface Place {
  /** With `[]` for any index, and the type of the transaction that it belongs to. */
  readonly path: string
  readonly owner: Json
  readonly key: string
}

const strings = (path: string, owner: Json): ReadonlyArray<Place> =>
  Object.entries(owner).flatMap(([key, value]): ReadonlyArray<Place> => {
    const at = Array.isArray(owner) ? `${path}[]` : `${path}.${key}`
    if (typeof value === "string") return /^0x[0-9a-f]+$/.test(value) ? [{ path: at, owner, key }] : []
    return typeof value === "object" && value !== null ? strings(at, value as Json) : []
  })

/** Every hex string of both answers. */
const placesOf = ({ block, receipts, transactions }: Answer): ReadonlyArray<Place> => {
  const { transactions: _, ...header } = block
  const type = (i: number) => Number(transactions[i]?.["type"])
  return [
    // The header is a copy, its places are the block's.
    ...strings("block", header).map((place) => (place.owner === header ? { ...place, owner: block } : place)),
    ...transactions.flatMap((transaction, i) => strings(`transaction(${type(i)})`, transaction)),
    ...receipts.flatMap((receipt, i) => strings(`receipt(${type(i)})`, receipt))
  ]
}

const placeAt = (answer: Answer, path: string): Place | undefined => {
  const places = placesOf(answer).filter((place) => place.path === path)
  return places[below(answer.random, places.length)]
}

const flipped = (answer: Answer, path: string) => {
  const place = placeAt(answer, path)
  if (place === undefined) return undefined
  const before = String(place.owner[place.key])
  const at = 2 + below(answer.random, before.length - 2)
  const digit = (Number.parseInt(before.charAt(at), 16) + 1 + below(answer.random, 15)) % 16
  place.owner[place.key] = before.slice(0, at) + digit.toString(16) + before.slice(at + 1)
  return { path, block: answer.block, receipts: answer.receipts }
}

const removed = (answer: Answer, path: string) => {
  const place = placeAt(answer, path)
  if (place === undefined || Array.isArray(place.owner)) return undefined
  delete place.owner[place.key]
  return { path, block: answer.block, receipts: answer.receipts }
}

// What a test asks for

export interface Told extends Lie {
  readonly kind: string
  /** Of a single field, where it is. */
  readonly path?: string
}

const answerOf = (chain: ProvableChain, number: number, random: () => number): Answer => {
  const block = JSON.parse(chain.full(number)) as Json
  return {
    block,
    transactions: block["transactions"] as Array<Json>,
    receipts: JSON.parse(chain.receipts(number)) as Array<Json>,
    chain,
    random
  }
}

/** Block `number` told wrongly; undefined if it cannot be in this way. */
export const tell = (
  chain: ProvableChain,
  number: number,
  kind: string,
  random: () => number
): Told | undefined => {
  const told = kinds[kind]?.(answerOf(chain, number, random))
  return told && { kind, what: told.path === undefined ? kind : `${kind}: ${told.path}`, ...told }
}

/**
 * A sibling of block `number` that is whole: it proves, and has the right parent. Only the block after it tells that
 * the chain went another way.
 */
export const sibling = (chain: ProvableChain, number: number): Told => {
  const answer = answerOf(chain, number, () => 0)
  answer.block["extraData"] = "0x6f727068616e"
  return { kind: "sibling", what: "sibling", ...sealed(answer) }
}

/** Every kind of place in a block, as `flip` and `remove` know it. */
export const paths = (chain: ProvableChain, number: number): ReadonlySet<string> =>
  new Set(placesOf(answerOf(chain, number, () => 0)).map(({ path }) => path))

/** One digit changed, or one field left out, at a place of this kind. */
export const tellAt = (
  chain: ProvableChain,
  number: number,
  path: string,
  how: "flip" | "remove",
  random: () => number
): Told | undefined => {
  const told = (how === "flip" ? flipped : removed)(answerOf(chain, number, random), path)
  return told && { kind: how === "flip" ? "flipped digit" : "missing field", what: `${how} ${path}`, ...told }
}
