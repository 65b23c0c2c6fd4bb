/**
 * One wrong hex digit in a place of a block that its hash covers.
 */
import type { RawBlock } from "../../src/chain/Block.ts"

type Json = Record<string, unknown>

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export const randomFrom = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

interface Place {
  readonly what: string
  readonly owner: Json
  readonly key: string
}

export interface Flip {
  readonly what: string
  readonly change: () => void
  readonly restore: () => void
}

const header =
  "number hash parentHash timestamp miner sha3Uncles stateRoot transactionsRoot receiptsRoot logsBloom difficulty gasLimit gasUsed extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash"
const legacy = "hash nonce gasPrice gas to value input v r s"
const dynamic =
  "hash chainId nonce maxFeePerGas maxPriorityFeePerGas gas to value input accessList authorizationList maxFeePerBlobGas blobVersionedHashes yParity r s type"

const deposit = "hash type sourceHash from to mint value gas input"

const fieldsOf = ({ type }: Json): string =>
  type === "0x7e"
    ? deposit
    : type === undefined || type === "0x0"
      ? legacy
      : type === "0x1"
        ? `${dynamic} gasPrice`
        : dynamic

/** All hex strings in `value`, with the object or array that holds them. */
const strings = (what: string, owner: Json, keys: ReadonlyArray<string>): ReadonlyArray<Place> =>
  keys.flatMap((key) => {
    const value = owner[key]
    if (typeof value === "string") return value.length > 2 ? [{ what: `${what}.${key}`, owner, key }] : []
    return typeof value === "object" && value !== null
      ? strings(`${what}.${key}`, value as Json, Object.keys(value))
      : []
  })

const placesOf = (raw: RawBlock): ReadonlyArray<ReadonlyArray<Place>> => {
  // The types of a block are read-only for everybody but this test.
  const block = raw.block as unknown as Json
  const transactions = raw.block.transactions as unknown as ReadonlyArray<Json>
  const receipts = raw.receipts as unknown as ReadonlyArray<Json>
  const isByzantium = receipts.every(
    ({ status, root }) => typeof status === "string" && typeof root !== "string"
  )
  return [
    strings("block", block, header.split(" ")),
    strings("block", block, ["withdrawals"]),
    transactions.flatMap((transaction, i) =>
      strings(`transactions[${i}]`, transaction, fieldsOf(transaction).split(" "))
    ),
    receipts.flatMap((receipt, i) =>
      strings(`receipts[${i}]`, receipt, [
        "cumulativeGasUsed",
        "depositNonce",
        isByzantium ? "status" : "root"
      ])
    ),
    raw.receipts.flatMap((receipt, i) =>
      receipt.logs.flatMap((log, j) =>
        strings(`receipts[${i}].logs[${j}]`, log as unknown as Json, ["address", "topics", "data"])
      )
    )
  ].filter((places) => places.length > 0)
}

/** `count` flips of one digit each, evenly over header, withdrawals, transactions, receipts and logs. */
export const flips = (raw: RawBlock, random: () => number, count: number): ReadonlyArray<Flip> => {
  const groups = placesOf(raw)
  const pick = <A>(items: ReadonlyArray<A>): A | undefined => items[Math.floor(random() * items.length)]
  return Array.from({ length: count }, (): ReadonlyArray<Flip> => {
    const place = pick(pick(groups) ?? [])
    if (place === undefined) return []
    const before = String(place.owner[place.key])
    const at = 2 + Math.floor(random() * (before.length - 2))
    const digit = (Number.parseInt(before.charAt(at), 16) + 1 + Math.floor(random() * 15)) % 16
    const after = before.slice(0, at) + digit.toString(16) + before.slice(at + 1)
    return [
      {
        what: `${place.what}: ${before.slice(0, 80)} at ${at}`,
        change: () => {
          place.owner[place.key] = after
        },
        restore: () => {
          place.owner[place.key] = before
        }
      }
    ]
  }).flat()
}
