import { assert, describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Context, Data, Effect, Ref } from "effect"
import { SqlClient } from "effect/sql"
import type { Hex } from "../../src/chain/Block.ts"
import { at, type HandledEvent, type Handler, handle, table } from "../../src/handlers/Handler.ts"
import {
  type abi,
  address,
  blocks,
  type Deployment,
  failureOf,
  overEach,
  rowsOf,
  type Said,
  storeWith,
  token
} from "./support.ts"

const balancesOf = (schema: string) => `app_${schema}.balances`

const balances = (schema: string) =>
  table(balancesOf(schema), {
    create: Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql.unsafe(`create table ${balancesOf(schema)} (holder text primary key, amount numeric not null)`)
    )
  })

const add = (schema: string, holder: string, amount: bigint) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql.unsafe(
      `insert into ${balancesOf(schema)} as b values ($1, $2::text::numeric)
      on conflict (holder) do update set amount = b.amount + excluded.amount`,
      [holder, String(amount)]
    )
  )

class Broken extends Data.TaggedError("Broken")<{ readonly message: string; readonly cause?: unknown }> {}

/** Keeps balances; breaks at a transfer of 666. */
const keeper = (schema: string) =>
  handle(token, "Transfer", (events) =>
    Effect.forEach(
      events,
      (event) =>
        Effect.gen(function* () {
          yield* add(schema, event.args.from, -event.args.value)
          yield* add(schema, event.args.to, event.args.value)
          if (event.args.value === 666n) return yield* new Broken({ message: "six six six" })
        }).pipe(at(event)),
      { discard: true }
    )
  )

const transfer = (from: number, to: number, value: bigint): Said => ({ from, to, value })

const saying = (
  of: ReadonlyArray<{ readonly hash: Hex }>,
  say: (i: number) => ReadonlyArray<Said>
): ReadonlyMap<Hex, ReadonlyArray<Said>> => new Map(of.map(({ hash }, i) => [hash, say(i)]))

const lead = <H extends Handler<unknown>>(deployment: Deployment<H>) =>
  Effect.gen(function* () {
    const store = yield* storeWith(deployment)
    const { lease } = yield* store.acquireLease({ holder: "test", duration: 60_000, evenIfHeld: true })
    return { store, epoch: lease.epoch }
  })

const stored = (schema: string) => rowsOf(`select holder, amount from ${balancesOf(schema)} order by holder`)

overEach("handlers", {
  "write with the blocks, and are taken back with them": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(6)
      const said = saying(chain, (i) => [transfer(1, 2, BigInt(i + 1)), "garbage", transfer(2, 3, 1n)])
      const { epoch, store } = yield* lead({
        schema,
        said,
        handlers: [keeper(schema)],
        tables: [balances(schema)]
      })
      yield* store.append({ epoch, blocks: chain.slice(0, 3), finalized: 1 })
      const seen = [yield* stored(schema)]
      for (const block of chain.slice(3)) {
        yield* store.append({ epoch, blocks: [block], finalized: 1 })
        seen.push(yield* stored(schema))
      }
      expect(seen[0]).toEqual([`(${address(1)},-6)`, `(${address(2)},3)`, `(${address(3)},3)`])
      for (const ancestor of [4, 3, 2]) {
        yield* store.rollback({ epoch, ancestor })
        expect(yield* stored(schema)).toEqual(seen[ancestor - 2])
      }
      yield* store.append({ epoch, blocks: chain.slice(3), finalized: 4 })
      expect(yield* stored(schema)).toEqual(seen[3])
      // Only what is above finality can be taken back, and nothing else is kept.
      expect(yield* rowsOf(`select distinct block_number from ${schema}.undo_1`)).toEqual(["(5)"])
    }),
  "are taken back where a table was altered since": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const chain = blocks(3)
      const said = saying(chain, (i) => [transfer(1, 2, BigInt(10 ** i))])
      const deployment = { schema, said, handlers: [keeper(schema)], tables: [balances(schema)] }
      const { epoch, store } = yield* lead(deployment)
      yield* store.append({ epoch, blocks: chain, finalized: 0 })
      yield* sql.unsafe(`alter table ${balancesOf(schema)} rename amount to held`)
      yield* store.rollback({ epoch, ancestor: 1 })
      expect(yield* rowsOf(`select held from ${balancesOf(schema)} order by holder`)).toEqual([
        "(-11)",
        "(11)"
      ])
    }),
  "fail with the event's place, and leave nothing of the batch": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(4)
      const said = saying(chain, (i) => [transfer(1, 2, 5n), transfer(2, 3, i === 2 ? 666n : 1n)])
      const { epoch, store } = yield* lead({
        schema,
        said,
        handlers: [keeper(schema)],
        tables: [balances(schema)]
      })
      yield* store.append({ epoch, blocks: chain.slice(0, 1), finalized: undefined })
      const before = [yield* stored(schema), yield* store.state]
      for (const finalized of [undefined, 3]) {
        const error = yield* failureOf(store.append({ epoch, blocks: chain.slice(1), finalized }))
        assert.strictEqual(error.isRetryable, false)
        expect(error.reason).toMatchObject({
          _tag: "HandlerFailed",
          handler: "token.Transfer",
          block: 2,
          logIndex: 1,
          transactionHash: `0x${"1".padStart(64, "0")}`,
          detail: "six six six"
        })
        expect([yield* stored(schema), yield* store.state]).toEqual(before)
      }
      // The rest can be written.
      yield* store.append({ epoch, blocks: chain.slice(1, 2), finalized: undefined })
    }),
  "die with the first event's place; a lost connection is the database's failure": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(2)
      const said = saying(chain, () => [true, transfer(1, 2, 5n)])
      const run = (effect: Effect.Effect<void, unknown, SqlClient.SqlClient>) =>
        Effect.gen(function* () {
          const { epoch, store } = yield* lead({
            schema,
            said,
            handlers: [handle(token, "Transfer", () => effect)]
          })
          return yield* failureOf(store.append({ epoch, blocks: chain, finalized: 1 }))
        })
      expect((yield* run(Effect.die(new Error("a bug")))).reason).toMatchObject({
        _tag: "HandlerFailed",
        block: 0,
        logIndex: 1,
        detail: "a bug"
      })
      const broken = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select 1 / 0`)
      expect((yield* run(Effect.asVoid(broken))).message).toContain("division by zero")
      const deadlock = Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql`do $$ begin raise exception 'try again' using errcode = '40P01'; end $$`.pipe(
          Effect.mapError((cause) => new Broken({ message: "wrapped", cause }))
        )
      )
      expect((yield* run(Effect.asVoid(deadlock))).isRetryable).toBe(true)
    }),
  "get their events in order: batches up to finality, blocks above it": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(5)
      const said = saying(chain, (i) =>
        i === 3 ? [] : [transfer(i, 0, 1n), i % 2 === 0, transfer(i, 1, 2n)]
      )
      const calls = yield* Ref.make<ReadonlyArray<string>>([])
      const note = (who: string, events: ReadonlyArray<HandledEvent<typeof abi, "Transfer" | "Paused">>) =>
        Ref.update(calls, (before) => [
          ...before,
          `${who} ${events.map((event) => `${event.block.number}.${event.logIndex}`).join(" ")}`
        ])
      const { epoch, store } = yield* lead({
        schema,
        said,
        handlers: [
          handle(token, "Paused", (events) => note("pauses", events)),
          handle(token, ["Paused", "Transfer"], (events) => note("both", events))
        ]
      })
      yield* store.append({ epoch, blocks: chain, finalized: 1 })
      expect(yield* Ref.get(calls)).toEqual([
        "pauses 0.1 1.1",
        "both 0.0 0.1 0.2 1.0 1.1 1.2",
        "pauses 2.1",
        "both 2.0 2.1 2.2",
        "pauses 4.1",
        "both 4.0 4.1 4.2"
      ])
    }),
  "give decoded arguments and the place": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(1)
      const seen = yield* Ref.make<unknown>(undefined)
      const { epoch, store } = yield* lead({
        schema,
        said: saying(chain, () => [transfer(0xabc, 2, 2n ** 256n - 1n)]),
        handlers: [handle(token, "Transfer", (events) => Ref.set(seen, events))]
      })
      yield* store.append({ epoch, blocks: chain, finalized: 0 })
      expect(yield* Ref.get(seen)).toEqual([
        {
          eventName: "Transfer",
          args: {
            from: "0x0000000000000000000000000000000000000aBc",
            to: address(2),
            value: 2n ** 256n - 1n
          },
          block: { number: 0, timestamp: chain[0]?.timestamp },
          transactionHash: `0x${"0".repeat(64)}`,
          logIndex: 0,
          address: address(0x70)
        }
      ])
    }),
  "take blocks in order, each once": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(6)
      const said = saying(chain, (i) => [transfer(1, 2, BigInt(10 ** i))])
      const deployment = { schema, said, handlers: [keeper(schema)], tables: [balances(schema)] }
      const { epoch, store } = yield* lead(deployment)
      const early = yield* failureOf(store.append({ epoch, blocks: chain.slice(1, 2), finalized: undefined }))
      expect(early.reason).toMatchObject({ _tag: "OutOfOrder", expected: 0, found: 1 })
      assert.strictEqual(early.isRetryable, true)
      yield* store.append({ epoch, blocks: chain.slice(0, 2), finalized: 0 })
      const holed = [...chain.slice(2, 3), ...chain.slice(4)]
      expect((yield* failureOf(store.append({ epoch, blocks: holed, finalized: 0 }))).reason).toMatchObject({
        _tag: "OutOfOrder",
        expected: 3,
        found: 4
      })
      yield* store.append({ epoch, blocks: chain.slice(2, 4), finalized: 0 })
      const before = yield* stored(schema)
      // Mended, and brought back: not handled again.
      const mend = { epoch, range: { from: 2, to: 2 }, unsure: [] }
      yield* store.replace({ ...mend, blocks: chain.slice(2, 3) })
      yield* store.replace({ ...mend, blocks: [] })
      yield* store.append({ epoch, blocks: chain.slice(2, 3), finalized: 0 })
      expect(yield* stored(schema)).toEqual(before)
    }),
  "are refused where they would miss blocks": (schema) =>
    Effect.gen(function* () {
      const chain = blocks(8)
      const said = saying(chain, (i) => [transfer(1, 2, BigInt(10 ** i)), true])
      const tables = [balances(schema)]
      const first = yield* lead({ schema, said, tables, handlers: [keeper(schema)], startBlock: 1 })
      yield* first.store.append({ epoch: first.epoch, blocks: chain.slice(1, 3), finalized: 0 })

      const append = (options: Partial<Deployment<Handler>>, range: readonly [number, number]) =>
        Effect.gen(function* () {
          const { epoch, store } = yield* lead({
            schema,
            said,
            tables,
            handlers: [keeper(schema)],
            startBlock: 1,
            ...options
          })
          return yield* store.append({ epoch, blocks: chain.slice(...range), finalized: 0 })
        })
      const refused = (options: Partial<Deployment<Handler>>) =>
        Effect.map(failureOf(append(options, [3, 4])), (error) => {
          expect(error.reason._tag).toBe("HandlersRefused")
          return error.message
        })
      const pauses = handle(token, "Paused", () => Effect.void)
      expect(yield* refused({ handlers: [keeper(schema), pauses] })).toContain("token.Paused is new")
      expect(yield* refused({ startBlock: 0 })).toContain("START_BLOCK is 0")
      expect(yield* refused({ startBlock: 5 })).toContain("go on with block 3")
      expect(yield* refused({ handlers: [keeper(schema), keeper(schema)] })).toContain("two handlers")

      const seen = yield* Ref.make(0)
      const late = handle(token, "Paused", (events) => Ref.update(seen, (n) => n + events.length), {
        since: "now"
      })
      yield* append({ handlers: [keeper(schema), late] }, [3, 4])
      assert.strictEqual(yield* Ref.get(seen), 1)
      // An instance without handlers writes a block.
      yield* append({ handlers: [keeper(schema)] }, [4, 5])
      const plain = yield* storeWithout(schema)
      yield* plain.store.append({ epoch: plain.epoch, blocks: chain.slice(5, 6), finalized: 0 })
      expect((yield* failureOf(append({}, [6, 7]))).message).toContain("blocks 5 to 5 were written")
      // And takes one back that handlers have seen.
      const again = yield* storeWithout(schema)
      yield* again.store.rollback({ epoch: again.epoch, ancestor: 3 })
      const fork = blocks(1, 4, chain[3]?.hash, 2)
      const { epoch, store } = yield* lead({
        schema,
        said,
        tables,
        handlers: [keeper(schema)],
        startBlock: 1
      })
      const error = yield* failureOf(store.append({ epoch, blocks: fork, finalized: 0 }))
      expect(error.message).toContain("no longer stored")
    }),
  "run with the services that were there when they were given": (schema) =>
    Effect.gen(function* () {
      class Rate extends Context.Service<Rate, { readonly rate: bigint }>()("test/Rate") {}
      class Name extends Context.Service<Name, { readonly name: string }>()("test/Name") {}
      const chain = blocks(1)
      const handler = handle(token, "Transfer", (events) =>
        Effect.flatMap(Rate, ({ rate }) => add(schema, "rated", rate * events[0].args.value))
      )
      const other = handle(token, ["Transfer", "Paused"], () =>
        Effect.flatMap(Name, ({ name }) => add(schema, name, 1n))
      )
      expectTypeOf(handler).toEqualTypeOf<Handler<Rate>>()
      const { epoch, store } = yield* lead({
        schema,
        said: saying(chain, () => [transfer(1, 2, 7n)]),
        handlers: [handler, other],
        tables: [balances(schema)]
      }).pipe(Effect.provideService(Rate, { rate: 3n }), Effect.provideService(Name, { name: "named" }))
      yield* store.append({ epoch, blocks: chain, finalized: undefined })
      expect(yield* stored(schema)).toEqual(["(named,1)", "(rated,21)"])
    })
})

const storeWithout = (schema: string) =>
  Effect.gen(function* () {
    const SqlStore = yield* Effect.promise(() => import("../../src/store/SqlStore.ts"))
    const store = yield* SqlStore.make({ schema })
    const { lease } = yield* store.acquireLease({ holder: "plain", duration: 60_000, evenIfHeld: true })
    return { store, epoch: lease.epoch }
  })

describe("handle", () => {
  it("infers what an event has from the ABI", () => {
    const both = handle(token, ["Transfer", "Paused"], (events) =>
      Effect.sync(() => {
        for (const event of events) {
          if (event.eventName === "Paused") expectTypeOf(event.args).toEqualTypeOf<{ paused: boolean }>()
          else expectTypeOf(event.args.value).toEqualTypeOf<bigint>()
        }
      })
    )
    expectTypeOf(both).toEqualTypeOf<Handler>()
    // @ts-expect-error: no such event
    expect(handle(token, "Approval", () => Effect.void).since).toBe("start")
    expect(both.name).toBe("token.Transfer|Paused")
  })
})
