/**
 * The state of one token as bytes, as it was at a block, and back.
 *
 * **Details**
 *
 * Entries and the newest times of each address are told; running totals and who counts in which entry follow from
 * them. What newer blocks did is left out with the help of what is kept to take them back. A digest of the address and
 * the bytes comes last.
 *
 * **Gotchas**
 *
 * `version` changes with what is told, or with how: a state of another version is not read.
 */
import { createHash } from "node:crypto"
import type { Hex } from "../chain/Block.ts"
import { toBytes } from "./Arrays.ts"
import type { Buckets, SavedBuckets } from "./Buckets.ts"
import { ByteReader, ByteWriter } from "./ByteCode.ts"
import { type Role, receiver, sender } from "./Seen.ts"
import type { Moment, Token, TokenState, TokenUndo } from "./TokenState.ts"
import { TradeSeries } from "./TradeSeries.ts"
import { TransferSeries } from "./TransferSeries.ts"
import type { SavedWindowed, Windowed } from "./Windowed.ts"
import { edge, minute, windows } from "./Windows.ts"

export const version = 1

/** Counts and amounts of an entry that are told. */
const ofTransfers = { counts: 1, amounts: 1 }
const ofTrades = { counts: 3, amounts: 6 }
type Shape = typeof ofTransfers

const digestBytes = 8

const digest = (address: Hex, bytes: Buffer): Buffer =>
  createHash("sha256").update(toBytes(address)).update(bytes).digest().subarray(0, digestBytes)

export interface TokenCode {
  readonly lastBlock: number
  readonly lastTime: number
  readonly transfers: boolean
  readonly trades: boolean
  readonly bytes: Buffer
}

/**
 * A token as of block `at`, `done` being what newer blocks did to it, the oldest first. Undefined where memory does not
 * know all of it: the token has been loaded since, so that its last day is one of a later block.
 */
export const encode = (token: Token, at: Moment, done: ReadonlyArray<TokenUndo>): TokenCode | undefined => {
  const [oldest] = done
  const { lastBlock, lastTime } = oldest ?? token
  if (token.loadedAt > at.number || lastBlock > at.number) return undefined
  // A series that began above the block is not told.
  const transfers = oldest !== undefined && oldest.transfers === undefined ? undefined : token.transfers
  const trades = oldest !== undefined && oldest.trades === undefined ? undefined : token.trades
  const into = new ByteWriter()
  into.number(lastBlock)
  into.number(lastTime)
  into.number((transfers === undefined ? 0 : 1) + (trades === undefined ? 0 : 2))
  if (transfers !== undefined) {
    writeWindowed(into, transfers.windowed, oldest?.transfers?.saved, ofTransfers)
    writeSeen(into, transfers, at, lastTime, done)
  }
  if (trades !== undefined) {
    writeWindowed(into, trades.windowed, oldest?.trades?.saved, ofTrades)
    into.amount(oldest?.trades?.last ?? trades.last)
  }
  const body = into.done()
  return {
    lastBlock,
    lastTime,
    transfers: transfers !== undefined,
    trades: trades !== undefined,
    bytes: Buffer.concat([body, digest(token.address, body)])
  }
}

/**
 * Puts a token into a state that does not have it, as if all of it had been loaded up to block `loadedAt`. False where
 * the bytes are not what was written.
 */
export const decode = (state: TokenState, address: Hex, bytes: Buffer, loadedAt: number): boolean => {
  const body = bytes.subarray(0, Math.max(0, bytes.length - digestBytes))
  if (!digest(address, body).equals(bytes.subarray(body.length))) return false
  const from = new ByteReader(body)
  const token = state.create(address, loadedAt)
  token.lastBlock = from.number()
  token.lastTime = from.number()
  const parts = from.number()
  if ((parts & 1) !== 0) {
    token.transfers = new TransferSeries(state.addresses)
    readWindowed(from, token.transfers.windowed, ofTransfers)
    readSeen(from, token.transfers, token.lastTime)
  }
  if ((parts & 2) !== 0) {
    token.trades = new TradeSeries()
    readWindowed(from, token.trades.windowed, ofTrades)
    token.trades.last = from.amount()
  }
  return true
}

// Entries

const writeWindowed = (
  into: ByteWriter,
  { coarse, fine }: Windowed,
  saved: SavedWindowed | undefined,
  shape: Shape
): void => {
  writeBuckets(into, coarse, saved?.coarse, minute, shape)
  writeBuckets(into, fine, saved?.fine, 1, shape)
}

/** Older entries stay as they are: of a saved one only the last may have changed since. */
const writeBuckets = (
  into: ByteWriter,
  buckets: Buckets,
  saved: SavedBuckets | undefined,
  step: number,
  { amounts, counts }: Shape
): void => {
  const end = saved?.end ?? buckets.end
  const first = Math.min(buckets.first, end)
  into.number(end - first)
  let before = 0
  for (let entry = first; entry < end; entry++) {
    const last = entry === end - 1 ? saved : undefined
    const time = buckets.time(entry)
    into.number((time - before) / step)
    before = time
    for (let i = 0; i < counts; i++) into.number(last?.numbers?.[1 + i] ?? buckets.count(entry, i))
    for (let i = 0; i < amounts; i++) into.amount(last?.amounts[i] ?? buckets.amount(entry, i))
  }
}

const readWindowed = (from: ByteReader, { coarse, fine }: Windowed, shape: Shape): void => {
  readBuckets(from, coarse, minute, shape)
  readBuckets(from, fine, 1, shape)
}

const readBuckets = (from: ByteReader, buckets: Buckets, step: number, { amounts, counts }: Shape): void => {
  let time = 0
  for (let rest = from.number(); rest > 0; rest--) {
    time += from.number() * step
    const entry = buckets.at(time)
    for (let i = 0; i < counts; i++) buckets.addCount(entry, i, from.number())
    for (let i = 0; i < amounts; i++) buckets.setAmount(entry, i, from.amount())
  }
}

// Addresses

const [longest] = windows.slice(-1)

/** Both times count back from the token's newest event, from 1 on; 0 is never. */
const writeSeen = (
  into: ByteWriter,
  { addresses, seen }: TransferSeries,
  { timestamp }: Moment,
  newest: number,
  done: ReadonlyArray<TokenUndo>
): void => {
  // What each had before the blocks above: the oldest word on it.
  const before = new Map<number, number>()
  for (const { transfers } of done) {
    const words = transfers?.seen ?? []
    for (let i = 0; i < words.length; i += 3) {
      const key = keyOf(words[i] ?? 0, words[i + 1] ?? 0)
      if (!before.has(key)) before.set(key, words[i + 2] ?? 0)
    }
  }
  const oldest = longest === undefined ? 0 : Math.max(0, edge(longest, timestamp))
  const told: Array<number> = []
  seen.forEach((address, sent, received) => {
    const [s, r] = [
      before.get(keyOf(address, sender)) ?? sent,
      before.get(keyOf(address, receiver)) ?? received
    ]
    if (Math.max(s, r) > oldest) told.push(address, s, r)
  })
  into.number(told.length / 3)
  for (let i = 0; i < told.length; i += 3) {
    const [address = 0, sent = 0, received = 0] = told.slice(i, i + 3)
    into.address((view, at) => addresses.write(address, view, at))
    for (const time of [sent, received]) into.number(time === 0 ? 0 : newest - time + 1)
  }
}

const keyOf = (address: number, role: number): number => address * 4 + role

const readSeen = (from: ByteReader, series: TransferSeries, newest: number): void => {
  const roles: ReadonlyArray<Role> = [sender, receiver]
  for (let rest = from.number(); rest > 0; rest--) {
    const address = from.address((view, at) => series.addresses.internBytes(view, at))
    for (const role of roles) {
      const ago = from.number()
      if (ago > 0) series.place(address, role, newest + 1 - ago)
    }
  }
}
