/**
 * What goes into a `jsonb` column, checked for what PostgreSQL would refuse: it takes no NUL character, no half of a
 * surrogate pair, and not any depth.
 */
import type { Hex, RpcAccessListItem, RpcAuthorization, RpcReceipt, RpcTransaction } from "../chain/Block.ts"

/** The value that does not fit. */
export interface Unfit {
  readonly value: string
}

type Text = string | Unfit | undefined
type Items<A> = ReadonlyArray<A> | null | undefined

const hexDigits = /^0x[0-9a-f]*$/i

const lowerCase = (hex: Hex): string => hex.toLowerCase()

/** Some nodes send zeros in front, or as many digits as a word has. The same number is the same row. */
const quantity = (hex: Hex): string =>
  `0x${hex
    .slice(2)
    .replace(/^0+(?=.)/, "")
    .toLowerCase()}`

/** An empty list is null: nearly every transaction has one. */
const list = <A>(
  items: Items<A>,
  values: (item: A) => ReadonlyArray<Hex>,
  shape: (item: A) => unknown
): Text => {
  if (items === undefined || items === null || items.length === 0) return undefined
  const wrong = items.flatMap(values).find((value) => !hexDigits.test(value))
  return wrong === undefined ? JSON.stringify(items.map(shape)) : { value: wrong }
}

export const accessList = (items: Items<RpcAccessListItem>): Text =>
  list(
    items,
    ({ address, storageKeys }) => [address, ...storageKeys],
    ({ address, storageKeys }) => ({ address: lowerCase(address), storageKeys: storageKeys.map(lowerCase) })
  )

export const hashes = (items: Items<Hex>): Text => list(items, (hash) => [hash], lowerCase)

export const authorizationList = (items: Items<RpcAuthorization>): Text =>
  list(
    items,
    ({ address, chainId, nonce, r, s, yParity }) => [chainId, address, nonce, yParity, r, s],
    ({ address, chainId, nonce, r, s, yParity }) => ({
      chainId: quantity(chainId),
      address: lowerCase(address),
      nonce: quantity(nonce),
      yParity: quantity(yParity),
      r: quantity(r),
      s: quantity(s)
    })
  )

/** Fields of a transaction that have a column, or repeat the block's. */
const transactionFields: ReadonlySet<string> = new Set([
  "accessList",
  "authorizationList",
  "blobVersionedHashes",
  "blockHash",
  "blockNumber",
  "blockTimestamp",
  "from",
  "gas",
  "gasPrice",
  "hash",
  "input",
  "maxFeePerBlobGas",
  "maxFeePerGas",
  "maxPriorityFeePerGas",
  "nonce",
  "r",
  "s",
  "to",
  "transactionIndex",
  "type",
  "v",
  "value"
])

/** Fields of a receipt that have a column here or in `logs`, repeat the transaction's, or follow from the logs. */
const receiptFields: ReadonlySet<string> = new Set([
  "blobGasPrice",
  "blobGasUsed",
  "blockHash",
  "blockNumber",
  "blockTimestamp",
  "contractAddress",
  "cumulativeGasUsed",
  "effectiveGasPrice",
  "from",
  "gasUsed",
  "logs",
  "logsBloom",
  "root",
  "status",
  "to",
  "transactionHash",
  "transactionIndex",
  "type"
])

/** Deeper than this, a value is somebody's joke. */
const depthLimit = 16

const isDeeper = (value: unknown, depth: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1)))

/** Numbers of the OP Stack, which the roots cover. */
const quantities: ReadonlySet<string> = new Set(["depositNonce", "depositReceiptVersion", "mint"])

const isHex = (value: unknown): value is Hex => typeof value === "string" && hexDigits.test(value)

/** As it came, but for the digits' case and, where it is known to be a number, zeros in front. */
const canonical = (name: string, value: unknown): unknown =>
  isHex(value) ? (quantities.has(name) ? quantity(value) : lowerCase(value)) : value

const rest = (value: object, fields: ReadonlySet<string>) =>
  Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !fields.has(name))
      .map(([name, field]) => [name, canonical(name, field)])
  )

/** What a transaction of the chain's own kind has that no column holds. */
export const extra = (transaction: RpcTransaction, receipt: RpcReceipt): Text => {
  const fields = {
    transaction: rest(transaction, transactionFields),
    receipt: rest(receipt, receiptFields)
  }
  if (isDeeper(fields, depthLimit)) return { value: "a value of great depth" }
  const text = JSON.stringify(fields)
  // `stringify` writes both kinds as escapes; an escaped backslash before them makes plain text of it.
  return /\\u(0000|d[89a-f])/.test(text.replaceAll("\\\\", "")) ? { value: text } : text
}
