/**
 * The database of a simulation: a store with faults that a story arms, and with eyes that look at every commit.
 *
 * What it looks for holds at any moment, whatever went wrong: rows come from genuine blocks and carry the level that
 * their proof gave, neighbours are linked, totals and tip are right, and nobody writes under an epoch that is not the
 * lease's newest.
 */
import { Effect } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { BlockHeader, Hex, RawBlock } from "../../src/chain/Block.ts"
import * as BlockRange from "../../src/chain/BlockRange.ts"
import { type FeedPlace, placeOf } from "../../src/delivery/Feed.ts"
import type { EventSource } from "../../src/events/EventSource.ts"
import type { EncodedBlock } from "../../src/store/Columns.ts"
import * as Columns from "../../src/store/Columns.ts"
import {
  type Append,
  DatabaseFailure,
  type LogPage,
  type Store,
  StoreError,
  type StoreState
} from "../../src/store/Store.ts"
import type { TokenEvent } from "../../src/tokens/TokenEvent.ts"
import { expectedRow } from "../support/oracle.ts"
import type { Contents, Database } from "./Database.ts"
import * as Events from "./Events.ts"
import * as Handled from "./Handled.ts"
import type * as SqlGate from "./SqlGate.ts"
import * as Tokens from "./Tokens.ts"

export const storeFaults = [
  "connection lost before the commit",
  "connection lost in the commit",
  "connection lost after the commit",
  "deadlock",
  "serialization failure",
  "disk full",
  "slow commit",
  "reads fail"
] as const
export type StoreFault = (typeof storeFaults)[number]

export interface Ledger {
  readonly store: Store["Service"]
  readonly arm: (fault: StoreFault, count: number) => void
  readonly heal: () => void
  /** Every (number, hash) that was ever committed. */
  readonly everCommitted: ReadonlySet<string>
  readonly commits: () => number
  /** What token metrics are read and written through. */
  readonly tokens: SqlGate.Gate
  /** Looks at the whole store. */
  readonly audit: Effect.Effect<void>
  /** Looks at token metrics when all has been written; those idle for so many seconds have been left alone. */
  readonly tokensAreWhole: (pruneThreshold: number) => Effect.Effect<void>
  /** What is stored and these sources have not seen. */
  readonly owed: (sources: ReadonlyArray<EventSource>) => Effect.Effect<ReadonlyArray<string>>
}

const failure = (operation: string, detail: string) =>
  new StoreError({ reason: new DatabaseFailure({ operation, detail, isRetryable: true, cause: undefined }) })

const sqlFailure = (operation: string, message: string) =>
  new SqlError({ reason: new ConnectionError({ cause: undefined, message, operation }) })

/** Looks at token metrics cost as much as some writes: every so many writes there is one. */
const tokenWritesALook = 8

/** One in so many writes of tokens takes the fault that is armed. */
const tokenWritesAFault = 4

const isIn = (ranges: ReadonlyArray<BlockRange.BlockRange>, number: number): boolean =>
  ranges.some((range) => BlockRange.contains(range, number))

const numbersIn = (range: BlockRange.BlockRange): ReadonlyArray<number> =>
  Array.from({ length: BlockRange.size(range) }, (_, i) => range.from + i)

/** Whether something from the lowest block on is not there. */
const hasHole = (ranges: ReadonlyArray<BlockRange.BlockRange>, lowest: number): boolean => {
  const [first, ...others] = ranges.reduce(BlockRange.add, [] as ReadonlyArray<BlockRange.BlockRange>)
  return first === undefined || first.from > lowest || others.length > 0
}

/** All that is stored, with a header or without. */
const coverageOf = ({ blocks, pages }: Tokens.Kept): ReadonlyArray<BlockRange.BlockRange> => [
  ...pages,
  ...[...blocks.keys()].map((number) => BlockRange.make(number, number))
]

const spanOf = ({ blocks, pages = [] }: Append): string =>
  [
    ...blocks.map(({ number }) => String(number)),
    ...pages.map(({ range: { from, to } }) => `events ${from}-${to}`)
  ].join()

/** The rows of a block as bytes. */
const rowsOf = (block: EncodedBlock): string =>
  block.rows.map((rows) => Buffer.from(rows.buffer).toString("base64")).join("|")

export const make = (options: {
  readonly database: Database
  /** Below `limit`. */
  readonly int: (limit: number) => number
  readonly genuine: ReadonlyMap<Hex, RawBlock>
  readonly canonical: () => ReadonlyArray<RawBlock>
  /** Whether a block of this number will never be replaced. */
  readonly isFinal: (number: number) => boolean
  /** Whether there may be pages of events. */
  readonly pages: boolean
  /** Whether a block of this number is confirmed deeply enough to be stored. */
  readonly isDue: (number: number) => boolean
  readonly injected: (fault: StoreFault) => void
  readonly violated: (what: string) => Effect.Effect<void>
  readonly trace: (line: string) => void
}): Ledger => {
  const { canonical, database, genuine, injected, int, isDue, isFinal, trace, violated } = options
  const { store } = database
  let armed: ReadonlyArray<StoreFault> = []
  let commits = 0
  let newestEpoch = 0
  let newestAcquired = 0
  let newestFinalized = -1
  const everCommitted = new Set<string>()
  const expectedRows = new Map<string, string>()
  const tokenEvents = new Map<Hex, ReadonlyArray<TokenEvent>>()
  let tokenWrites = 0
  let highest = -1
  /** The lowest block that there ever was. */
  let lowest = Number.MAX_SAFE_INTEGER
  /** The highest block that there was when blocks came in below it. */
  let filled = -1
  /** A day before the first checkpoint of token metrics. */
  let tokensSince: number | undefined

  const take = (kinds: ReadonlyArray<StoreFault>): StoreFault | undefined => {
    const [fault] = armed
    if (fault === undefined || !kinds.includes(fault)) return undefined
    armed = armed.slice(1)
    injected(fault)
    return fault
  }

  const genuineRows = (block: EncodedBlock): string | undefined => {
    const raw = genuine.get(block.hash)
    if (raw === undefined) return undefined
    const key = `${block.hash} ${block.coverage}`
    const known = expectedRows.get(key)
    if (known !== undefined) return known
    const encoded = Columns.encode(raw, block.level, { only: block.coverage === "events" })
    const rows = "rows" in encoded ? rowsOf(encoded) : ""
    expectedRows.set(key, rows)
    return rows
  }

  const epochIs = Effect.fnUntraced(function* (epoch: number) {
    const lease = yield* store.readLease
    if (lease?.epoch !== epoch) {
      yield* violated(`a commit under epoch ${epoch} while the lease's is ${lease?.epoch}`)
    }
    if (epoch < newestEpoch) yield* violated(`a commit under epoch ${epoch} after one under ${newestEpoch}`)
    newestEpoch = Math.max(newestEpoch, epoch)
  }, Effect.orDie)

  /** What holds after every commit, looked at where it happened. */
  const afterCommit = Effect.fnUntraced(function* (
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<LogPage>
  ) {
    commits++
    for (const page of pages) yield* pageFits(page)
    if (blocks.length === 0 && pages.length > 0) yield* stateIsRight
    const [first] = blocks
    const last = blocks.at(-1)
    if (first === undefined || last === undefined) return
    for (const block of blocks) {
      everCommitted.add(`${block.number} ${block.hash}`)
      const rows = genuineRows(block)
      if (rows === undefined)
        yield* violated(`block ${block.number} ${block.hash} was never part of the chain`)
      else if (rows !== rowsOf(block)) yield* violated(`block ${block.number} was stored with other rows`)
      if (!isDue(block.number)) yield* violated(`block ${block.number} was stored before it was due`)
      if (block.level !== "proven") yield* violated(`block ${block.number} was stored as ${block.level}`)
    }
    yield* linked(first.number - 1, last.number + 1)
    yield* stateIsRight
  }, Effect.orDie)

  /** A page is final, ends with the chain's own block, and lies between its neighbours. */
  const pageFits = Effect.fnUntraced(function* ({ last, range: { from, to } }: LogPage) {
    if (!isFinal(to)) yield* violated(`the page ${from} to ${to} is not final`)
    if (last.hash !== canonical()[to]?.block.hash)
      yield* violated(`the page ${from} to ${to} ends with ${last.hash}`)
    for (const { hash, number, parentHash } of yield* store.headers({ from: from - 1, to: to + 1 })) {
      const fits = number < from ? hash === canonical()[from]?.block.parentHash : parentHash === last.hash
      if (!fits) yield* violated(`the page ${from} to ${to} does not fit block ${number}`)
    }
  })

  /** Numbers of which only events are stored, without a header. */
  const withoutHeader = (
    coverage: StoreState["coverage"],
    headers: ReadonlyArray<{ readonly number: number }>
  ): ReadonlyArray<number> => {
    const there = new Set(headers.map(({ number }) => number))
    return coverage
      .filter(({ level }) => level === "events")
      .flatMap(numbersIn)
      .filter((number) => !there.has(number))
  }

  const linked = Effect.fnUntraced(function* (from: number, to: number) {
    const headers = yield* store.headers({ from, to })
    for (const [i, header] of headers.entries()) {
      const below = headers[i - 1]
      if (below !== undefined && below.number === header.number - 1 && below.hash !== header.parentHash) {
        yield* violated(`block ${header.number} does not fit block ${below.number}`)
      }
    }
    return headers
  })

  const stateIsRight = Effect.gen(function* () {
    const { coverage, finalized, tip, totals } = yield* store.state
    const headers = options.pages ? yield* store.headers({ from: 0, to: 1_000_000 }) : []
    const bare = options.pages ? withoutHeader(coverage, headers) : []
    const covered = coverage.reduce((sum, { from, to }) => sum + to - from + 1, 0) - bare.length
    if (covered !== totals.blocks)
      yield* violated(`${covered} blocks are covered, ${totals.blocks} are counted`)
    const unlinked = bare.find((number) => !isFinal(number))
    if (unlinked !== undefined)
      yield* violated(`block ${unlinked} is not final, and its header is not stored`)
    // Below a page that has lost what was above it there may be no header that could be the tip.
    const top = coverage.at(-1)?.to
    const isTip = tip?.number === top || (top === bare.at(-1) && (tip?.number ?? -1) < (top ?? -1))
    if (!isTip) yield* violated(`the tip is ${tip?.number}, not the highest block`)
    if ((finalized ?? -1) < newestFinalized) yield* violated(`finalized went back to ${finalized}`)
    newestFinalized = finalized ?? -1
  })

  const audit = Effect.gen(function* () {
    const headers = yield* linked(0, 1_000_000)
    const { coverage, totals } = yield* store.state
    const numbers = new Set(headers.map(({ number }) => number))
    if (numbers.size !== headers.length) yield* violated("a block is there twice")
    for (const { from, level, to } of coverage) {
      for (let number = from; number <= to; number++) {
        if (level !== "events" && !numbers.has(number)) {
          yield* violated(`block ${number} is covered and not there`)
        }
      }
    }
    const pages = coverage.filter(({ level }) => level === "events")
    const sum = { blocks: 0, transactions: 0, logs: 0 }
    for (const { hash, number } of headers) {
      const raw = genuine.get(hash)
      sum.blocks++
      if (isIn(pages, number)) continue
      sum.transactions += raw?.block.transactions.length ?? 0
      sum.logs += raw?.receipts.reduce((count, { logs }) => count + logs.length, 0) ?? 0
    }
    if (JSON.stringify(sum) !== JSON.stringify(totals)) {
      yield* violated(`the totals are ${JSON.stringify(totals)}, the rows ${JSON.stringify(sum)}`)
    }
    yield* stateIsRight
    yield* feedReplays(headers, coverage)
    if (database.contents !== undefined) yield* rowsAreGenuine(yield* database.contents, sum, coverage)
    yield* tokensAreExact
  }).pipe(Effect.orDie)

  // Token metrics

  const look = (kept: Tokens.Kept): Tokens.Look => ({
    kept,
    since: tokensSince ?? 0,
    genuine,
    canonical: canonical(),
    filled: options.pages && hasHole(coverageOf(kept), lowest) ? Number.MAX_SAFE_INTEGER : filled,
    events: (raw) => {
      const known = tokenEvents.get(raw.block.hash) ?? Tokens.eventsOf(raw)
      tokenEvents.set(raw.block.hash, known)
      return known
    }
  })

  const tokensNow = Effect.fnUntraced(function* (read: Effect.Effect<Tokens.Kept>) {
    const kept = yield* read
    const first = kept.checkpoint === undefined ? undefined : genuine.get(kept.checkpoint.hash)
    if (first !== undefined) tokensSince ??= Number(first.block.timestamp) - 86_400
    return look(kept)
  })

  const tokensAreExact = Effect.gen(function* () {
    if (database.tokens === undefined) return
    for (const what of Tokens.wrong(yield* tokensNow(database.tokens.read))) yield* violated(what)
  })

  const tokensAreWhole: Ledger["tokensAreWhole"] = Effect.fnUntraced(function* (pruneThreshold) {
    if (database.tokens === undefined) return
    filled = -1
    const now = yield* tokensNow(database.tokens.read)
    for (const what of [...Tokens.wrong(now), ...Tokens.unfinished(now, pruneThreshold)]) {
      yield* violated(what)
    }
  })

  const afterTokens = () => (tokenWrites++ % tokenWritesALook === 0 ? tokensAreExact : Effect.void)

  const tokens: SqlGate.Gate = {
    read: (statement) =>
      Effect.suspend(() => {
        const fault = take(["reads fail"])
        return fault === undefined ? statement : Effect.fail(sqlFailure("read tokens", fault))
      }),
    // Most faults are left for the store.
    write: (transaction) =>
      int(tokenWritesAFault) === 0
        ? writing("write tokens", transaction, sqlFailure, afterTokens)
        : Effect.tap(transaction, afterTokens)
  }

  /** Notes where blocks come in below others. */
  const stacked = ({ blocks, pages = [] }: Append) => {
    const numbers = [...blocks.map(({ number }) => number), ...pages.map(({ range }) => range.from)]
    lowest = Math.min(lowest, ...numbers)
    if (Math.min(...numbers) <= highest) {
      filled = highest
      // Where all is fetched again for a new source, metrics begin anew.
      if (options.pages) tokensSince = undefined
    }
    highest = Math.max(highest, ...numbers, ...pages.map(({ range }) => range.to))
  }

  /** Whoever reads the feed from its beginning has the tables. */
  const feedReplays = Effect.fnUntraced(function* (
    headers: ReadonlyArray<BlockHeader>,
    coverage: StoreState["coverage"]
  ) {
    const replayed = new Map<number, string>()
    for (let after: FeedPlace = { commit: 0, number: undefined }; ; ) {
      const page = yield* store.events(after, 500)
      if (page._tag === "Reset") return yield* violated("the feed has lost its beginning")
      for (const event of page.events) {
        if (event._tag === "BlockCommitted") replayed.set(event.number, event.hash)
        else for (const { number } of event.removed) replayed.delete(number)
      }
      const last = page.events.at(-1)
      if (last === undefined) break
      after = placeOf(last)
    }
    // Where only events are stored, headers go when the block is fetched again for a new source.
    const whole = coverage.filter(({ level }) => level !== "events")
    const there = new Set(headers.map(({ number }) => number))
    for (const number of replayed.keys()) {
      if (options.pages && !there.has(number) && !isIn(whole, number)) replayed.delete(number)
    }
    const expected = headers.map(({ hash, number }) => `${number} ${hash}`)
    const told = [...replayed].sort(([a], [b]) => a - b).map(([number, hash]) => `${number} ${hash}`)
    if (told.join() !== expected.join()) {
      yield* violated(
        `the feed tells of ${told.length} blocks, the tables have ${expected.length}, or others`
      )
    }
  })

  const rowsAreGenuine = Effect.fnUntraced(function* (
    { blocks, counts, events, handled }: Contents,
    sum: { readonly transactions: number; readonly logs: number },
    coverage: StoreState["coverage"]
  ) {
    const pages = coverage.filter(({ level }) => level === "events")
    for (const row of blocks) {
      const raw = [...genuine.values()].find(({ block }) => block.hash === row.hash)
      const whole = raw === undefined ? undefined : expectedRow(raw.block, raw.receipts)
      const isBare = whole !== undefined && isIn(pages, row.number)
      const expected = JSON.stringify(isBare ? { ...whole, transactions: [], logs: [] } : whole)
      if (expected !== JSON.stringify(row))
        yield* violated(`the rows of block ${row.number} are not the chain's`)
    }
    const headers = new Map(blocks.map(({ hash, number }) => [number, genuine.get((hash ?? "0x") as Hex)]))
    /** Where there is no header all is final, and as the chain has it. */
    const blockAt = (number: number) =>
      headers.get(number) ?? (options.pages && isFinal(number) ? canonical()[number] : undefined)
    const among = (ranges: ReadonlyArray<BlockRange.BlockRange>) =>
      ranges.flatMap(numbersIn).flatMap((number) => blockAt(number) ?? [])
    for (const { id, ranges, rows } of events) {
      const seen = among(ranges)
      const size = ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0)
      if (size !== seen.length)
        yield* violated(`${id} covers ${size} blocks, ${seen.length} of them are there`)
      const expected = Events.expected(id, seen)
      if (expected.join() !== rows.join()) {
        yield* violated(`${id} has ${rows.length} rows, or others than the ${expected.length} of its blocks`)
      }
    }
    const made = JSON.stringify({ ...Handled.expected(among(coverage)), block: 0 })
    // What is to be fetched again was handled, and will be taken back when it comes.
    const isWhole = coverage.at(-1)?.to === handled?.block && !hasHole(coverage, lowest)
    if (
      handled !== undefined &&
      (isWhole || !options.pages) &&
      JSON.stringify({ ...handled, block: 0 }) !== made
    ) {
      yield* violated(`the handler has made something else of the blocks up to ${handled.block}`)
    }
    for (const table of ["transactions", "logs"] as const) {
      if (counts[table] !== sum[table]) {
        yield* violated(`${counts[table]} rows in ${table}, ${sum[table]} belong to blocks`)
      }
    }
  })

  const owed: Ledger["owed"] = Effect.fnUntraced(function* (sources) {
    if (database.contents === undefined) return []
    const { events } = yield* database.contents
    const { coverage } = yield* Effect.orDie(store.state)
    const numbers = coverage.flatMap(numbersIn)
    return sources.flatMap(({ id }) => {
      const ranges = events.find((one) => one.id === id)?.ranges ?? []
      const missing = numbers.filter((number) => !isIn(ranges, number)).length
      return missing === 0 ? [] : [`${id} has not seen ${missing} blocks`]
    })
  })

  const reading = <A>(operation: string, read: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => {
      const fault = take(["reads fail"])
      return fault === undefined ? read : Effect.fail(failure(operation, fault))
    })

  const writing = <A, E, R>(
    operation: string,
    write: Effect.Effect<A, E, R>,
    failure: (operation: string, detail: string) => E,
    seen: (result: A) => Effect.Effect<void>
  ): Effect.Effect<A, E, R> =>
    Effect.gen(function* () {
      const fault = take(storeFaults)
      trace(`${operation} ${fault ?? ""}`)
      switch (fault) {
        case undefined:
          break
        case "slow commit":
          yield* Effect.sleep("7 seconds")
          break
        case "connection lost after the commit":
          yield* Effect.tap(write, seen)
          return yield* Effect.fail(failure(operation, fault))
        case "connection lost in the commit":
          if (database.breaking === undefined) return yield* Effect.fail(failure(operation, fault))
          return yield* Effect.tap(database.breaking(1 + int(5), write), seen)
        default:
          return yield* Effect.fail(failure(operation, fault))
      }
      return yield* Effect.tap(write, seen)
    })

  return {
    arm: (fault, count) => {
      armed = [...armed, ...Array.from({ length: count }, () => fault)]
    },
    heal: () => {
      armed = []
    },
    everCommitted,
    commits: () => commits,
    tokens,
    tokensAreWhole,
    audit,
    owed,
    store: {
      ...store,
      state: reading("read the state", store.state),
      gaps: (range, limit) => reading("look for gaps", store.gaps(range, limit)),
      headers: (range) => reading("read headers", store.headers(range)),
      append: (append) =>
        writing(`append ${append.epoch} ${spanOf(append)}`, store.append(append), failure, () => {
          stacked(append)
          return Effect.andThen(epochIs(append.epoch), afterCommit(append.blocks, append.pages ?? []))
        }),
      acquireLease: (lease) =>
        Effect.tap(store.acquireLease(lease), (attempt) => {
          if (attempt._tag === "Held") return Effect.void
          const { epoch } = attempt.lease
          const before = newestAcquired
          newestAcquired = epoch
          return epoch > before
            ? Effect.void
            : violated(`the lease was taken as epoch ${epoch} after ${before}`)
        }),
      rollback: (rollback) =>
        writing(`rollback ${rollback.epoch} ${rollback.ancestor}`, store.rollback(rollback), failure, () => {
          highest = Math.min(highest, rollback.ancestor)
          return Effect.andThen(epochIs(rollback.epoch), Effect.orDie(stateIsRight))
        })
    }
  }
}
