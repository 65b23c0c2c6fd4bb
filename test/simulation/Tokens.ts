/**
 * Token metrics in the simulation: what their tables say, against a count by the definitions of `docs/tokens.md` over
 * the blocks of the simulated chain.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import type { BlockRange } from "../../src/chain/BlockRange.ts"
import * as Coverage from "../../src/store/Coverage.ts"
import type { TokenEvent } from "../../src/tokens/TokenEvent.ts"
import * as Naive from "../tokens/naive.ts"
import { decoded } from "./Events.ts"

/** A row of `token_metrics` or of `pair_metrics`. */
interface Row {
  readonly kind: "token" | "pair"
  readonly address: Hex
  /** Seconds. */
  readonly window: number
  /** Its measures, as text. */
  readonly said: string
  readonly asOf: { readonly number: number; readonly hash: Hex; readonly timestamp: number }
}

/** What the tables say, all of it at one moment. */
export interface Kept {
  /** Hashes of the blocks that are stored whole, by number. */
  readonly blocks: ReadonlyMap<number, Hex>
  /** Where only events are stored. */
  readonly pages: ReadonlyArray<BlockRange>
  readonly rows: ReadonlyArray<Row>
  /** By pair and minute. */
  readonly candles: ReadonlyMap<string, string>
  readonly checkpoint: { readonly number: number; readonly hash: Hex; readonly checked: number } | undefined
}

interface Said {
  readonly kind: Row["kind"]
  readonly address: Hex
  readonly window: number
  readonly said: string
  readonly number: bigint
  readonly hash: Hex
  readonly seconds: number
}

export const read = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, schema: string) {
  const name = (table: string) => sql(`${schema}.${table}`)
  const hex = (column: string) => sql.literal(`'0x' || encode(${column}, 'hex')`)
  const price = (columns: ReadonlyArray<string>) =>
    sql.literal(columns.map((column) => `coalesce(trim_scale(${column})::text, '-')`).join(", "))
  const blocks = yield* sql<{ readonly number: bigint; readonly hash: Hex }>`
    select number, ${hex("hash")} as hash from ${name("blocks")}`
  const [pages] = yield* sql<{ readonly ranges: string }>`
    select ranges::text as ranges from ${name("coverage")} where level = 'events'`
  const asOf = sql`window_seconds as window, as_of_number as number, ${hex("as_of_hash")} as hash,
    extract(epoch from as_of_timestamp)::float8 as seconds`
  const rows = yield* sql<Said>`
    select 'token' as kind, ${hex("token")} as address, ${asOf},
      concat_ws(' ', transfers, senders, receivers, volume) as said from ${name("token_metrics")}
    union all select 'pair' as kind, ${hex("pair")} as address, ${asOf},
      concat_ws(' ', trades, buys, sells, volume0, volume1, ${price(["open", "high", "low", "close", "last_price"])})
      from ${name("pair_metrics")}`
  const candles = yield* sql<{ readonly key: string; readonly said: string }>`
    select concat_ws(' ', ${hex("pair")}, extract(epoch from minute)::int8) as key,
      concat_ws(' ', trades, volume0, volume1, ${price(["open", "high", "low", "close"])}) as said
    from ${name("token_candles")}`
  const [checkpoint] = yield* sql<{ number: bigint | null; hash: Hex; checked: bigint | null }>`
    select number, ${hex("hash")} as hash, checked_number as checked from ${name("token_checkpoint")}`
  return {
    blocks: new Map(blocks.map(({ hash, number }) => [Number(number), hash])),
    pages: Coverage.parse(pages?.ranges ?? ""),
    rows: rows.map(({ address, hash, kind, number, said, seconds, window }) => ({
      kind,
      address,
      window,
      said,
      asOf: { number: Number(number), hash, timestamp: seconds }
    })),
    candles: new Map(candles.map(({ key, said }) => [key, said])),
    checkpoint:
      checkpoint === undefined || checkpoint.number === null
        ? undefined
        : {
            number: Number(checkpoint.number),
            hash: checkpoint.hash,
            checked: Number(checkpoint.checked ?? -1)
          }
  } satisfies Kept
})

/** What a block's logs mean for tokens. */
export const eventsOf = ({ block, receipts }: RawBlock): ReadonlyArray<TokenEvent> =>
  receipts.flatMap(({ logs }) =>
    logs.flatMap((log): ReadonlyArray<TokenEvent> => {
      const said = decoded(log)
      if (said === undefined) return []
      const place = {
        blockNumber: Number(block.number),
        timestamp: Number(block.timestamp),
        logIndex: Number(log.logIndex)
      }
      if (said.eventName === "Transfer") {
        const { from, to, value } = said.args
        return [{ _tag: "Transfer", token: log.address, from, to, value, ...place }]
      }
      const { amount0In, amount0Out, amount1In, amount1Out, sender, to } = said.args
      const [amount0, amount1] = [amount0In - amount0Out, amount1In - amount1Out]
      return [{ _tag: "Trade", pair: log.address, sender, recipient: to, amount0, amount1, ...place }]
    })
  )

/** In seconds: after so long without an event a token's rows are zeros. */
const day = 86_400
const minute = 60

const addressOf = (event: TokenEvent): Hex => (event._tag === "Transfer" ? event.token : event.pair)
const kindOf = (event: TokenEvent): Row["kind"] => (event._tag === "Transfer" ? "token" : "pair")

const windows = [60, 300, 3_600, 86_400]

/** The rows that one address has to have as of a time, by kind and window; `events` are all of its own up to then. */
const rowsOf = (events: ReadonlyArray<TokenEvent>, address: Hex, timestamp: number) => {
  const last = events
    .flatMap((event) => (event._tag === "Trade" ? (Naive.price(event.amount0, event.amount1) ?? []) : []))
    .at(-1)
  const said = new Map<string, string>()
  for (const [w, m] of Naive.metrics(events, address, timestamp).entries()) {
    const prices = [m.open, m.high, m.low, m.close, last].map((one) => one ?? "-")
    said.set(`token ${windows[w]}`, [m.transfers, m.senders, m.receivers, m.volume].join(" "))
    said.set(`pair ${windows[w]}`, [m.trades, m.buys, m.sells, m.volume0, m.volume1, ...prices].join(" "))
  }
  return said
}

const candlesOf = (events: ReadonlyArray<TokenEvent>): ReadonlyMap<string, string> =>
  new Map(
    [...new Set(events.flatMap((event) => (event._tag === "Trade" ? [event.pair] : [])))].flatMap((pair) =>
      Naive.candles(events, pair).map(({ close, high, low, minute, open, trades, volume0, volume1 }) => {
        const prices = [open, high, low, close].map((one) => one ?? "-")
        return [`${pair} ${minute}`, [trades, volume0, volume1, ...prices].join(" ")] as const
      })
    )
  )

export interface Look {
  readonly kept: Kept
  /** By hash, every block that was ever part of the chain. */
  readonly genuine: ReadonlyMap<Hex, RawBlock>
  /** The chain as it is. */
  readonly canonical: ReadonlyArray<RawBlock>
  /** The highest block that there was when blocks came in below others: what holds as of it or before may lack them. */
  readonly filled: number
  /** Seconds since 1970: a day before what was first written. What is older has candles only if it was seen to happen. */
  readonly since: number
  readonly events: (block: RawBlock) => ReadonlyArray<TokenEvent>
}

/** What is stored, as the chain has it, in ascending order. */
const storedBlocks = ({ canonical, genuine, kept: { blocks, pages } }: Look): ReadonlyArray<RawBlock> => {
  const found = new Map<number, RawBlock>()
  for (const { from, to } of pages) {
    for (const raw of canonical.slice(from, to + 1)) found.set(Number(raw.block.number), raw)
  }
  for (const [number, hash] of blocks) {
    const raw = genuine.get(hash)
    if (raw !== undefined) found.set(number, raw)
  }
  return [...found].sort(([a], [b]) => a - b).map(([, raw]) => raw)
}

/**
 * What is not as it has to be at any moment: each row is exact as of the block that it names, and so are the candles as
 * of the checkpoint's. Left out is what names a block that is not there: a reorg is about to be mended.
 */
export const wrong = (look: Look): ReadonlyArray<string> => {
  const { events, filled, kept } = look
  const stored = storedBlocks(look)
  const hashes = new Map(stored.map(({ block }) => [Number(block.number), block.hash]))
  const all = stored.flatMap(events)
  const isExact = ({ hash, number }: { readonly hash: Hex; readonly number: number }) =>
    number > filled && hashes.get(number) === hash
  const found: Array<string> = []
  const known = new Map<string, ReadonlyMap<string, string>>()
  for (const { address, asOf, kind, said, window } of kept.rows) {
    if (!isExact(asOf)) continue
    const key = `${address} ${asOf.number}`
    const expected =
      known.get(key) ??
      rowsOf(
        all.filter((event) => addressOf(event) === address && event.blockNumber <= asOf.number),
        address,
        asOf.timestamp
      )
    known.set(key, expected)
    const right = expected.get(`${kind} ${window}`)
    if (right !== said) {
      found.push(`${kind} ${address} says of ${window} s as of block ${asOf.number}: ${said}, it is ${right}`)
    }
  }
  const { checkpoint } = kept
  if (checkpoint !== undefined && isExact(checkpoint)) {
    const right = candlesOf(all.filter(({ blockNumber }) => blockNumber <= checkpoint.number))
    for (const key of new Set([...kept.candles.keys(), ...right.keys()])) {
      const [said, is] = [kept.candles.get(key), right.get(key)]
      const isKept = said !== undefined || Number(key.split(" ")[1]) >= look.since
      if (said !== is && isKept) found.push(`the candle ${key} says ${said}, it is ${is}`)
    }
  }
  return found
}

/**
 * What is not as it has to be once all is stored and written: beside the above, all rows are as of the highest block or
 * the same as if they were, but for those of tokens that have been idle for so many seconds; and there are no others.
 */
export const unfinished = (look: Look, pruneThreshold: number): ReadonlyArray<string> => {
  const { kept } = look
  const stored = storedBlocks(look)
  const tip = stored.at(-1)?.block
  if (tip === undefined) return []
  const [number, time] = [Number(tip.number), Number(tip.timestamp)]
  const all = stored.flatMap(look.events)
  const found: Array<string> = []
  if (kept.checkpoint?.number !== number || kept.checkpoint.hash !== tip.hash) {
    found.push(`the checkpoint is block ${kept.checkpoint?.number}, the tip ${number}`)
  } else if (kept.checkpoint.checked !== number) {
    found.push(`all were counted anew at block ${kept.checkpoint.checked}, the tip is ${number}`)
  }
  const rows = new Map(kept.rows.map((row) => [`${row.kind} ${row.address} ${row.window}`, row]))
  const due = new Set<string>()
  for (const address of new Set(all.map(addressOf))) {
    const own = all.filter((event) => addressOf(event) === address)
    const now = rowsOf(own, address, time)
    const newest = own.at(-1)?.timestamp ?? 0
    const isIdle = newest < time - pruneThreshold && newest > time - day - minute
    for (const kind of new Set(own.map(kindOf))) {
      for (const window of windows) {
        const key = `${kind} ${address} ${window}`
        due.add(key)
        const row = rows.get(key)
        const right = now.get(`${kind} ${window}`)
        if (row === undefined) {
          // Who ended before anything was written has not seen what is older than a day.
          const seen = own.some((event) => kindOf(event) === kind && event.timestamp >= look.since)
          if (seen) found.push(`${key} has no row`)
        } else if (look.kept.blocks.get(row.asOf.number) !== row.asOf.hash && look.kept.pages.length === 0) {
          found.push(`${key} is as of block ${row.asOf.number}, which is not there`)
        } else if (!isIdle && row.said !== right) {
          found.push(`${key} says as of block ${row.asOf.number}: ${row.said}, at the tip it is ${right}`)
        }
      }
    }
  }
  for (const key of rows.keys()) if (!due.has(key)) found.push(`${key} has a row and no event`)
  return found
}
