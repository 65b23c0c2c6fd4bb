/**
 * Tables of events against a naive oracle: whatever was appended, taken back, repaired, added to the contracts or
 * broken off in between, after `prepare` each table is what the stored blocks' logs say.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, type Layer, Result } from "effect"
import { SqlClient } from "effect/sql"
import { parseAbiItem, toEventSelector } from "viem"
import type { Hex, RawBlock, RpcLog } from "../../src/chain/Block.ts"
import * as LogFilter from "../../src/chain/LogFilter.ts"
import * as Table from "../../src/columns/Table.ts"
import type { EventSource, SourceLog } from "../../src/events/EventSource.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as EventTables from "../../src/store/EventTables.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import type { LogPage } from "../../src/store/Store.ts"
import * as blocks from "../support/blocks.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import * as Postgres from "../support/Postgres.ts"

const created = parseAbiItem("event Created(address indexed child)")
const moved = parseAbiItem("event Moved(address indexed from, uint256 value)")
const topic = { created: toEventSelector(created), moved: toEventSelector(moved) }

const word = (hex: string): Hex => `0x${hex.replace(/^0x/, "").padStart(64, "0")}`
const address = (n: number): Hex => `0x${(0xa000 + n).toString(16).padStart(40, "0")}`
const factory = address(999)

const source = (name: string, emitters: EventSource["emitters"], startBlock = 0): EventSource => ({
  id: `${name}.Moved(address,uint256)`,
  fingerprint: `${name} 1`,
  contract: name,
  event: moved,
  topic0: topic.moved,
  emitters,
  startBlock,
  table: Table.table({
    name: `${name}_moved`,
    doc: "",
    key: ["block_number", "log_index"],
    columns: {
      block_number: Table.column("int8", false)(""),
      block_timestamp: Table.column("timestamptz", false)(""),
      transaction_hash: Table.column("bytea", false)(""),
      log_index: Table.column("int4", false)(""),
      contract: Table.column("bytea", false)(""),
      from: Table.column("bytea", false)(""),
      value: Table.column("numeric", false)("")
    }
  }),
  pack: undefined
})

const all = source("all", { _tag: "Anybody" })
const two = source("two", { _tag: "Listed", addresses: new Set([address(1), address(2)]) }, 7)
const children = source("children", {
  _tag: "Children",
  factory: { addresses: new Set([factory]), event: created, topic0: topic.created, parameter: "child" }
})

/** Blocks whose logs are events now and then: of anybody, of a factory, and some that do not decode. */
const eventful = (chain: ReadonlyArray<RawBlock>, r: blocks.Random): ReadonlyArray<RawBlock> =>
  chain.map((raw) => ({
    ...raw,
    receipts: raw.receipts.map((receipt) => ({
      ...receipt,
      logs: receipt.logs.map((log): RpcLog => {
        const kind = r.int(5)
        // Higher up others are named, and speak, than below.
        const who = address(r.int(6) + (Number(raw.block.number) < 50 ? 0 : 10 * r.int(2)))
        if (kind === 0) return log
        if (kind === 1) return { ...log, address: factory, topics: [topic.created, word(who)], data: "0x" }
        const data = kind === 2 && r.int(3) === 0 ? "0x12" : word(r.int(1e9).toString(16))
        return { ...log, address: who, topics: [topic.moved, word(address(r.int(50)))], data }
      })
    }))
  }))

const line = (...parts: ReadonlyArray<unknown>) => parts.map(String).join(" ").toLowerCase()

/** Rows of each table, and of `undecoded`, as the blocks say. */
const expected = (stored: ReadonlyArray<RawBlock>, sources: ReadonlyArray<EventSource>) => {
  const rows: Record<string, Array<string>> = Object.fromEntries(
    [...sources.map(({ table }) => table.name), "undecoded"].map((name) => [name, []])
  )
  const known = new Set<string>()
  for (const { block, receipts } of stored) {
    for (const { address: emitter, topics } of receipts.flatMap(({ logs }) => logs)) {
      if (topics[0] === topic.created && emitter === factory) known.add(`0x${topics[1]?.slice(-40)}`)
    }
    for (const { logs } of receipts) {
      for (const log of logs) {
        if (log.topics[0] !== topic.moved) continue
        for (const { emitters, id, startBlock, table } of sources) {
          if (Number(block.number) < startBlock) continue
          const isIts =
            emitters._tag === "Anybody" ||
            (emitters._tag === "Listed" ? emitters.addresses.has(log.address) : known.has(log.address))
          if (!isIts) continue
          const place = [Number(block.number), Number(log.logIndex)]
          if (log.data.length < 66) rows["undecoded"]?.push(line(...place, id))
          else
            rows[table.name]?.push(
              line(...place, log.address, `0x${log.topics[1]?.slice(-40)}`, BigInt(log.data))
            )
        }
      }
    }
  }
  rows["undecoded"]?.sort()
  return rows
}

const actual = Effect.fnUntraced(function* (schema: string, sources: ReadonlyArray<EventSource>) {
  const sql = yield* SqlClient.SqlClient
  const hex = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString("hex")}`
  const rows: Record<string, ReadonlyArray<string>> = {}
  for (const { table } of sources) {
    const found = yield* sql<{ n: bigint; i: number; contract: Uint8Array; from: Uint8Array; value: string }>`
      select block_number as n, log_index as i, contract, "from", value::text as value
      from ${sql(`${schema}.${table.name}`)} order by 1, 2`
    rows[table.name] = found.map((row) => line(row.n, row.i, hex(row.contract), hex(row.from), row.value))
  }
  const lost = yield* sql<{ n: bigint; i: number; source_id: string }>`
    select block_number as n, log_index as i, source_id from ${sql(`${schema}.undecoded`)}`
  // Rows of a source that nobody names any more stay.
  const named = lost.filter(({ source_id }) => sources.some(({ id }) => id === source_id))
  rows["undecoded"] = named.map((row) => line(row.n, row.i, row.source_id)).sort()
  return rows
})

/** One deployment as a process has it: a store with these sources. */
const open = Effect.fnUntraced(function* (schema: string, sources: ReadonlyArray<EventSource>) {
  const tables = EventTables.make(yield* SqlClient.SqlClient, { schema, sources })
  const store = yield* SqlStore.make({ schema, participants: [tables.participant] })
  const { lease } = yield* store.acquireLease({ holder: "test", duration: 60_000, evenIfHeld: true })
  const encode = (raws: ReadonlyArray<RawBlock>) =>
    raws.map((raw) => {
      const block = Columns.encode(raw, "linked", { matched: tables.matched(raw, Number(raw.block.number)) })
      return "rows" in block ? block : assert.fail(block.message)
    })
  return { tables, store, epoch: lease.epoch, encode }
})

const choices = [[all], [all, two], [children, two], [all, two, children]] as const

/** A random life of a deployment. */
const life = (schema: string, seed: number) =>
  Effect.gen(function* () {
    const r = blocks.random(seed)
    const chain = eventful(blocks.chain({ seed, from: 0, count: 60, transactions: 3, logs: 5 }), r)
    const stored = new Map<number, RawBlock>()
    let sources: ReadonlyArray<EventSource> = [...(choices[r.int(choices.length)] ?? [all])]
    let deployment = yield* open(schema, sources)
    yield* deployment.tables.prepare(deployment.epoch)
    for (let step = 0; step < 14; step++) {
      const { encode, epoch, store, tables } = deployment
      const from = r.int(50)
      const run = chain
        .slice(from, from + 1 + r.int(12))
        .filter(({ block }) => !stored.has(Number(block.number)))
      const top = Math.max(-1, ...stored.keys())
      switch (r.int(6)) {
        case 0:
        case 1:
        case 2: {
          if (run.length === 0) break
          yield* store.append({ epoch, blocks: encode(run), finalized: undefined })
          for (const raw of run) stored.set(Number(raw.block.number), raw)
          break
        }
        case 3: {
          const ancestor = Math.max(-1, top - r.int(8))
          yield* store.rollback({ epoch, ancestor })
          for (const number of stored.keys()) if (number > ancestor) stored.delete(number)
          break
        }
        case 4: {
          const again = stored.get(top)
          if (again === undefined) break
          const range = { from: top, to: top }
          yield* store.replace({ epoch, range, blocks: encode([again]), unsure: [] })
          break
        }
        case 5: {
          sources = [...(choices[r.int(choices.length)] ?? [all])]
          deployment = yield* open(schema, sources)
          // What is committed before `prepare` is owed.
          if (run.length > 0) {
            yield* deployment.store.append({
              epoch: deployment.epoch,
              blocks: deployment.encode(run),
              finalized: undefined
            })
            for (const raw of run) stored.set(Number(raw.block.number), raw)
          }
          break
        }
      }
      if (r.int(3) > 0) {
        yield* deployment.tables.prepare(deployment.epoch)
        const inOrder = [...stored.values()].sort((a, b) => Number(a.block.number) - Number(b.block.number))
        assert.deepStrictEqual(
          yield* actual(schema, sources),
          expected(inOrder, sources),
          `seed ${seed}, step ${step}`
        )
      } else void tables
    }
  })

/** The logs of some blocks that pass the filters of the tables, strangers' among them. */
const pageOf = (tables: EventTables.EventTablesShape, raws: ReadonlyArray<RawBlock>): LogPage => {
  const last = raws.at(-1)
  if (last === undefined) return assert.fail("a page without blocks")
  const matchers = tables.filters.map(LogFilter.matcher)
  const logs = raws.flatMap(({ block, receipts }) =>
    receipts
      .flatMap(({ logs }) => logs)
      .filter((log) => matchers.some((matcher) => LogFilter.misfit(matcher, log) === undefined))
      .map((log) => ({ log, number: Number(block.number), timestamp: Number(block.timestamp) }))
  )
  const [from, to] = [Number(raws[0]?.block.number), Number(last.block.number)]
  const { hash, parentHash, timestamp } = last.block
  const header = { number: to, hash, parentHash, timestamp: Number(timestamp) }
  return { range: { from, to }, logs, last: header, bytes: 0 }
}

/**
 * A random life of a deployment that stores only events: pages in any order, headers at the top, whole blocks now and
 * then, other contracts, restarts, and forks. Whenever nothing is missing each table is what the chain says.
 */
const lifeOfPages = (schema: string, seed: number) =>
  Effect.gen(function* () {
    const r = blocks.random(seed)
    const make = (from: number, salt: number, parentHash?: Hex) =>
      eventful(
        blocks.chain({
          seed: seed * 100 + salt,
          from,
          count: 60 - from,
          transactions: 2,
          logs: 3,
          ...(parentHash === undefined ? {} : { parentHash })
        }),
        r
      )
    let chain = make(0, 0)
    let sources: ReadonlyArray<EventSource> = [...(choices[r.int(choices.length)] ?? [all])]
    let deployment = yield* open(schema, sources)
    let foundLate = 0
    const settings = { from: r.int(3) > 0 ? 0 : r.int(30) }
    /** What handlers and metrics get: never a log of a contract that no factory has named. */
    const give = ({ blockNumber, log, source }: SourceLog) => {
      if (source.emitters._tag !== "Children") return
      const named = chain
        .slice(0, blockNumber + 1)
        .flatMap(({ receipts }) => receipts.flatMap(({ logs }) => logs))
        .some(
          ({ address: emitter, topics }) =>
            emitter === factory && `0x${topics[1]?.slice(-40)}` === log.address
        )
      assert.isTrue(named, `a stranger's log in block ${blockNumber}`)
    }
    yield* deployment.tables.prepare(deployment.epoch)

    /** Everything that is missing, in pieces in any order; a few pieces only, or all of it. */
    const fill = Effect.fnUntraced(function* (pieces: number) {
      for (let piece = 0; piece < pieces; piece++) {
        const { epoch, store, tables } = deployment
        const gaps = yield* store.gaps({ from: settings.from, to: 59 }, 100)
        const gap = gaps[r.int(gaps.length)]
        if (gap === undefined) return true
        const from = r.int(3) > 0 ? gap.from : gap.from + r.int(gap.to - gap.from + 1)
        const raws = chain.slice(from, Math.min(gap.to, from + r.int(12)) + 1)
        // Above 50 headers are kept, as of what is not final.
        const isPage = from < 50 && r.int(5) > 0
        const taken = isPage ? raws.filter(({ block }) => Number(block.number) < 50) : raws
        const page = isPage ? pageOf(tables, taken) : undefined
        const own = isPage
          ? []
          : taken.map((raw) => {
              const number = Number(raw.block.number)
              const matched = tables.matched(raw, number)
              const block = Columns.encode(raw, "linked", { matched, only: number >= 50 })
              return "rows" in block ? block : assert.fail(block.message)
            })
        const appended = yield* Effect.result(
          store.append({ epoch, blocks: own, pages: page === undefined ? [] : [page], finalized: undefined })
        )
        if (Result.isFailure(appended)) {
          assert.strictEqual(appended.failure.reason._tag, "FoundLate")
          foundLate++
          yield* tables.prepare(epoch)
          continue
        }
        for (const log of page === undefined ? [] : tables.logsOfPage(page)) give(log)
        for (const block of own) for (const log of tables.logsOf(block)) give(log)
      }
      return (yield* deployment.store.gaps({ from: settings.from, to: 59 }, 1)).length === 0
    })

    for (let step = 0; step < 8; step++) {
      switch (r.int(5)) {
        case 0:
        case 1: {
          yield* fill(1 + r.int(8))
          break
        }
        case 2: {
          // While the headers are fetched again another fork may come, and nobody sees that it is one.
          const [gap] = yield* deployment.store.gaps({ from: 50, to: 59 }, 1)
          const isUnseen = gap?.from === 50 && gap.to === 59
          const ancestor = isUnseen ? 49 : 45 + r.int(14)
          if (!isUnseen) yield* deployment.store.rollback({ epoch: deployment.epoch, ancestor })
          chain = [...chain.slice(0, ancestor + 1), ...make(ancestor + 1, step, chain[ancestor]?.block.hash)]
          yield* deployment.tables.prepare(deployment.epoch)
          break
        }
        case 3: {
          sources = [...(choices[r.int(choices.length)] ?? [all])]
          deployment = yield* open(schema, sources)
          yield* deployment.tables.prepare(deployment.epoch)
          break
        }
        case 4: {
          settings.from = Math.min(settings.from, r.int(30))
          deployment = yield* open(schema, sources)
          yield* deployment.tables.prepare(deployment.epoch)
          break
        }
      }
      if (r.int(3) > 0) continue
      yield* Effect.repeat(fill(1), { until: (isWhole) => isWhole })
      assert.deepStrictEqual(
        yield* actual(schema, sources),
        expected(chain.slice(settings.from), sources),
        `seed ${seed}, step ${step}`
      )
    }
    return foundLate
  })

let schemas = 0

const suite = (name: string, database: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  describe(name, () => {
    layer(database, { timeout: "2 minutes", excludeTestServices: true })((it) => {
      for (let seed = 1; seed <= Number(process.env["TEST_EVENT_LIVES"] ?? 12); seed++) {
        it.effect(`a random life, seed ${seed}`, () => life(`events_${schemas++}`, seed))
      }
      it.effect("random lives of pages, in which contracts are found late", () =>
        Effect.gen(function* () {
          let late = 0
          for (let seed = 1; seed <= Number(process.env["TEST_EVENT_LIVES"] ?? 12); seed++) {
            late += yield* lifeOfPages(`events_${schemas++}`, seed)
          }
          assert.isAbove(late, 0)
        })
      )
    })
  })

suite("PGlite", PGliteTest.layer)
suite("PostgreSQL", Postgres.layer)
