/**
 * What token metrics cost: `npm run build && node bench/tokens.mjs`. See `docs/tokens.md`.
 *
 * - *flush*: 8,797 tokens in memory, 200 of them touched between flushes; each flush to a real PostgreSQL is timed.
 * - *steady*: so many events a second for so many minutes with flushes by the clock, and bursts of 10,000 with silence
 *   after them; the memory is looked at.
 * - *rate*: as many events as it takes, one block after another, flushes by the clock.
 * - *warm*: a start over 1,000,000 events of the last day, from the event tables and from the checkpoint.
 *
 * Events are handed over as they are after a commit; the event tables are filled for *warm* alone. Exits with 1 when a
 * bar was missed.
 */
import { parseArgs } from "node:util"
import { Effect, Fiber, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Fence from "../dist/store/Fence.js"
import * as Postgres from "../dist/store/Postgres.js"
import * as SqlStore from "../dist/store/SqlStore.js"
import { blocks } from "../dist/store/Tables.js"
import * as TokenMetrics from "../dist/tokens/TokenMetrics.js"
import { start as startPostgres } from "./postgres.mjs"
import { note, print } from "./print.mjs"

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    tokens: { type: "string", default: "8797" },
    touched: { type: "string", default: "200" },
    /** Of each kind. */
    flushes: { type: "string", default: "15" },
    rate: { type: "string", default: "500" },
    minutes: { type: "string", default: "0.5" },
    events: { type: "string", default: "1000000" }
  }
})

const schema = "sluice_bench"
/** Columns of a block that metrics do not look at. */
const blockConstants = Object.entries(blocks.columns).filter(
  ([name, { nullable }]) => !nullable && !["number", "hash", "parent_hash", "timestamp"].includes(name)
)
const tokens = Number(values.tokens)
/** Seconds of a block. */
const pace = 2

/** @type {Array<string>} */
const broken = []
/** @param {string} what @param {boolean} kept */
const promise = (what, kept) => {
  print(`${kept ? "kept  " : "BROKEN"}  ${what}`)
  if (!kept) broken.push(what)
}

let seed = 1
/** @param {number} below */
const roll = (below) => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below
}
/** @param {number} kind @param {number} n @returns {`0x${string}`} */
const address = (kind, n) => `0x${kind.toString(16).padStart(8, "0")}${n.toString(16).padStart(32, "0")}`
const names = Array.from({ length: tokens }, (_, n) => address(1, n))
/** A few people move most; a tenth are new. */
const somebody = () => address(2, roll(10) === 0 ? roll(2 ** 30) : roll(roll(2) === 0 ? 1_000 : 100_000))
/** As on chains, some tokens have most of the events. */
const some = () => Math.floor((roll(1_000_000) / 1_000_000) ** 3 * tokens)

/** A tenth of the tokens are pairs. @param {number} n @param {{number: number, timestamp: number}} block @param {number} logIndex @returns {import("../dist/tokens/TokenEvent.js").TokenEvent} */
const event = (n, { number, timestamp }, logIndex) => {
  const place = { blockNumber: number, timestamp, logIndex }
  const token = names[n] ?? address(1, 0)
  const amount = BigInt(1 + roll(2 ** 30)) * 1_000_000_007n
  return n % 10 === 0
    ? {
        _tag: "Trade",
        pair: token,
        amount0: roll(2) === 0 ? amount : -amount,
        amount1: 0n,
        sender: somebody(),
        recipient: somebody(),
        ...place
      }
    : { _tag: "Transfer", token, from: somebody(), to: somebody(), value: amount, ...place }
}

/** The other side of a trade. @param {import("../dist/tokens/TokenEvent.js").TokenEvent} made */
const priced = (made) =>
  made._tag === "Trade" ? { ...made, amount1: -made.amount0 * BigInt(900 + roll(200)) } : made

/** @param {number} number @param {number} timestamp @returns {import("../dist/tokens/TokenEvent.js").AsOf} */
const block = (number, timestamp) => ({
  number,
  hash: `0x${number.toString(16).padStart(64, "0")}`,
  timestamp
})

/** @param {import("../dist/tokens/TokenEvent.js").AsOf} at @param {number} count */
const events = (at, count) => Array.from({ length: count }, (_, i) => priced(event(some(), at, i)))

/** @param {Array<number>} all */
const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1] ?? 0
/** @param {Array<number>} all */
const spread = (all) =>
  `median ${median(all).toFixed(1)} ms, from ${Math.min(...all).toFixed(1)} to ${Math.max(...all).toFixed(1)}`
const memory = () => {
  globalThis.gc?.()
  return process.memoryUsage().rss / 2 ** 20
}

/** @template A, E, R @param {import("effect").Effect.Effect<A, E, R>} effect */
const millis = (effect) =>
  Effect.gen(function* () {
    const begin = performance.now()
    yield* effect
    return performance.now() - begin
  })

/** A schema of its own, and the service over it. */
const setUp = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(`drop schema if exists ${schema} cascade`)
  const store = yield* SqlStore.make({ schema })
  const place = `block_number int8, block_timestamp timestamptz, transaction_hash bytea, log_index int4, contract bytea`
  yield* sql.unsafe(`create table ${schema}.erc20_transfer (${place}, "from" bytea, "to" bytea, value numeric(78,0),
    primary key (block_number, log_index))`)
  yield* sql.unsafe(`create table ${schema}.uniswap_v3_swap (${place}, sender bytea, recipient bytea,
    amount0 numeric(78,0), amount1 numeric(78,0), primary key (block_number, log_index))`)
  yield* sql.unsafe(
    `create table ${schema}.blocks_all partition of ${schema}.blocks for values from (0) to (1000000000)`
  )
  const transaction = yield* Fence.make(schema, "keep token metrics")
  const { lease } = yield* store.acquireLease({ holder: "bench", duration: 3_600_000, evenIfHeld: true })
  const service = TokenMetrics.make({
    schema,
    transaction,
    sources: [
      { kind: "erc20", table: "erc20_transfer" },
      { kind: "uniswap-v3", table: "uniswap_v3_swap" }
    ]
  })
  return { sql, service, epoch: lease.epoch }
})

const first = 1_700_000_000

/** As a commit does, as far as metrics look. @param {SqlClient.SqlClient} sql @param {import("../dist/tokens/TokenEvent.js").AsOf} block */
const storeBlock = (sql, { hash, number, timestamp }) =>
  sql.unsafe(`
    insert into ${schema}.blocks (number, hash, parent_hash, timestamp, ${blockConstants.map(([name]) => name)})
    values (${number}, decode('${hash.slice(2)}', 'hex'), '', to_timestamp(${timestamp}),
      ${blockConstants.map(([, { type }]) => (type === "bytea" ? "''" : type === "timestamptz" ? "now()" : "0"))})`)

/** All tokens have moved, over the last hour. @param {TokenMetrics.TokenMetrics["Service"]} metrics @param {number} epoch */
const fill = Effect.fnUntraced(function* (metrics, epoch) {
  yield* metrics.start(epoch, block(0, first))
  let at = block(0, first)
  for (let i = 0; i < 900; i++) {
    at = block(i + 1, first + (i + 1) * 4)
    const made = events(at, 50)
    for (let n = i; n < tokens; n += 900) made.push(priced(event(n, at, made.length)))
    yield* metrics.committed(made, at)
  }
  return at
})

const flush = Effect.gen(function* () {
  const { epoch, service, sql } = yield* setUp
  const metrics = yield* service
  let at = yield* fill(metrics, epoch)
  const state = yield* metrics.state
  print(`${state.tokens.size} tokens in memory, ${memory().toFixed(0)} MiB`)
  print(`first flush of all: ${(yield* millis(metrics.flush)).toFixed(0)} ms`)
  yield* metrics.fullFlush
  yield* storeBlock(sql, at)
  const begin = performance.now()
  const all = yield* metrics.checkpoint
  print(
    `first checkpoint: ${all.tokens} tokens, ${(all.bytes / 2 ** 20).toFixed(1)} MiB in ${(performance.now() - begin).toFixed(0)} ms`
  )
  /** @type {Array<number>} */
  const [delta, full, saved, sizes] = [[], [], [], []]
  for (let round = 0; round < Number(values.flushes); round++) {
    // A minute: twelve flushes, and one of all.
    for (let i = 0; i < 12; i++) {
      at = block(at.number + 1, at.timestamp + 5)
      const made = []
      for (let n = 0; n < Number(values.touched); n++) {
        // Of few, most of the time: 2,400 tokens a minute.
        const token = (round * 31 + i * Number(values.touched) + n) % tokens
        for (let j = 0; j < 5; j++) made.push(priced(event(token, at, made.length)))
      }
      yield* metrics.committed(made, at)
      delta.push(yield* millis(metrics.flush))
    }
    full.push(yield* millis(metrics.fullFlush))
    // As of the newest block: with blocks of a flush each, the last undo window would be all of the minutes before.
    yield* storeBlock(sql, at)
    const start = performance.now()
    const { bytes } = yield* metrics.checkpoint
    saved.push(performance.now() - start)
    sizes.push(bytes / 2 ** 10)
  }
  print(`delta flush of ${values.touched}: ${spread(delta)}`)
  print(`full flush: ${spread(full)}`)
  print(`checkpoint after a minute: ${spread(saved)}, ${median(sizes).toFixed(0)} KiB`)
  promise("a delta flush takes less than 50 ms", median(delta) < 50)
  promise("a full flush takes less than 300 ms", median(full) < 300)
})

const steady = Effect.gen(function* () {
  const { epoch, service } = yield* setUp
  const metrics = yield* service
  let at = yield* fill(metrics, epoch)
  const running = yield* Effect.forkChild(metrics.run)
  const [rate, minutes] = [Number(values.rate), Number(values.minutes)]
  const begin = performance.now()
  const cpu = process.cpuUsage()
  let handed = 0
  let longest = 0
  /** @type {Array<number>} */
  const seen = []
  /** @param {number} count */
  const commit = (count) =>
    Effect.gen(function* () {
      at = block(at.number + 1, at.timestamp + pace)
      const made = events(at, count)
      longest = Math.max(longest, yield* millis(metrics.committed(made, at)))
      handed += count
    })
  while (performance.now() - begin < minutes * 60_000) {
    yield* commit(rate * pace)
    const due = begin + (handed / rate) * 1000
    yield* Effect.sleep(Math.max(0, due - performance.now()))
    if (at.number % 5 === 0) seen.push(memory())
  }
  const seconds = (performance.now() - begin) / 1000
  const used = process.cpuUsage(cpu)
  const share = (used.user + used.system) / 1e6 / seconds
  print(
    `${(handed / seconds).toFixed(0)} events/s for ${seconds.toFixed(0)} s: ${(share * 100).toFixed(1)} % of a core ` +
      `(making the events included), longest hand-over ${longest.toFixed(1)} ms`
  )
  const half = seen.slice(seen.length >> 1)
  print(
    `memory: ${seen[0]?.toFixed(0)} MiB at first, ${half[0]?.toFixed(0)} half-way, ${half.at(-1)?.toFixed(0)} at the end`
  )
  longest = 0
  for (let i = 0; i < 3; i++) {
    yield* commit(10_000)
    yield* Effect.sleep(3_000)
  }
  print(
    `bursts of 10,000: longest hand-over ${longest.toFixed(1)} ms; ${memory().toFixed(0)} MiB after silence`
  )
  promise("no difference", (yield* metrics.fullFlush) === 0)
  yield* Fiber.interrupt(running)
})

const rate = Effect.gen(function* () {
  const { epoch, service } = yield* setUp
  const metrics = yield* service
  let at = yield* fill(metrics, epoch)
  const running = yield* Effect.forkChild(metrics.run)
  let handed = 0
  let spent = 0
  const begin = performance.now()
  while (performance.now() - begin < 15_000) {
    at = block(at.number + 1, at.timestamp + pace)
    const made = events(at, 2_000)
    spent += yield* millis(metrics.committed(made, at))
    handed += made.length
    // Others have their turn, as they have between commits.
    yield* Effect.sleep(0)
  }
  const seconds = (performance.now() - begin) / 1000
  print(
    `largest rate: ${(handed / seconds).toFixed(0)} events/s for ${seconds.toFixed(0)} s with their making and the ` +
      `flushes; ${(handed / (spent / 1000)).toFixed(0)} events/s of the hand-over alone; ${memory().toFixed(0)} MiB`
  )
  yield* Fiber.interrupt(running)
})

const warm = Effect.gen(function* () {
  const { epoch, service, sql } = yield* setUp
  const count = Number(values.events)
  // Over the last day, twelve seconds a block.
  const perBlock = Math.ceil(count / 7_200)
  yield* sql.unsafe(`
    insert into ${schema}.erc20_transfer
    select i / ${perBlock}, to_timestamp(${first} + i / ${perBlock} * 12), '', i % ${perBlock},
      decode('00000001' || lpad(to_hex(floor(random() ^ 3 * ${tokens})::int), 32, '0'), 'hex'),
      decode('00000002' || lpad(to_hex((random() * 100000)::int), 32, '0'), 'hex'),
      decode('00000002' || lpad(to_hex((random() * 100000)::int), 32, '0'), 'hex'),
      floor(random() * 1e24)
    from generate_series(0, ${count - 1}) i`)
  yield* sql.unsafe(`create index on ${schema}.erc20_transfer (contract, block_number)`)
  yield* sql.unsafe(`analyze ${schema}.erc20_transfer`)
  const last = Math.floor((count - 1) / perBlock)
  const tip = block(last, first + last * 12)
  for (let number = last - 100; number <= last; number++) {
    const { hash, timestamp } = block(number, first + number * 12)
    yield* storeBlock(sql, { number, hash, timestamp })
  }
  const whole = "start from the event tables"
  for (const what of ["first start, with all rows to write", whole, "start from the checkpoint", whole]) {
    const metrics = yield* service
    if (what === whole) yield* sql.unsafe(`update ${schema}.token_checkpoint set state_number = null`)
    const took = yield* millis(metrics.start(epoch, tip))
    const state = yield* metrics.state
    print(
      `${what}, over ${count} events: ${(took / 1000).toFixed(2)} s, ${state.tokens.size} tokens in memory, ` +
        `${memory().toFixed(0)} MiB`
    )
    if (what !== whole) continue
    const begin = performance.now()
    const { bytes, tokens: written } = yield* metrics.checkpoint
    print(
      `checkpoint of all: ${written} tokens, ${(bytes / 2 ** 20).toFixed(1)} MiB in ${(performance.now() - begin).toFixed(0)} ms`
    )
  }
})

const parts = { flush, steady, rate, warm }

/** @type {Awaited<ReturnType<typeof startPostgres>> | undefined} */
let postgres
try {
  postgres = await startPostgres()
  const name = `sluice_tokens_${process.pid}`
  const url = await postgres.create(name)
  for (const [part, effect] of Object.entries(parts)) {
    if (values.only !== undefined && values.only !== part) continue
    await Effect.runPromise(
      effect.pipe(Effect.scoped, Effect.provide(Postgres.layer({ url: Redacted.make(url) })))
    )
  }
  await postgres.drop(name)
} catch (cause) {
  note(cause instanceof Error ? (cause.stack ?? cause.message) : `${cause}`)
  process.exitCode = 2
} finally {
  await postgres?.stop()
}
if (broken.length > 0) process.exitCode = 1
