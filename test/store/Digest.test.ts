/**
 * The digest in SQL against the one in TypeScript, which start from opposite ends: the rows, and the provider's block.
 */
import { expect, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import { type EncodedBlock, encode } from "../../src/store/Columns.ts"
import * as Digest from "../../src/store/Digest.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store } from "../../src/store/Store.ts"
import { chain } from "../support/blocks.ts"
import { fixtureBlocks } from "../support/fixtures.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import * as Postgres from "../support/Postgres.ts"
import { recordedBlocks } from "../support/recorded.ts"
import { encoded, lead, linked } from "./contract.ts"

let schemas = 0

const stored = (schema: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly number: bigint; readonly digest: string }>`
      select number, encode(digest, 'hex') as digest from ${sql(`${schema}.block_digests`)}(0, 9007199254740991)`
    return new Map(rows.map(({ digest, number }) => [Number(number), digest]))
  })

const ofRange = (schema: string, from: number, to: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly digest: string }>`
      select encode(${sql(`${schema}.range_digest`)}(${from}::int8, ${to}::int8), 'hex') as digest`
    return row?.digest
  })

const computed = (blocks: ReadonlyArray<EncodedBlock>) =>
  new Map(blocks.map((block) => [block.number, Digest.ofBlock(block)]))

const inFreshSchema = <A, E, R>(test: (schema: string) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const schema = `digests_${schemas++}`
    return Effect.flatMap(SqlStore.make({ schema }), (store) =>
      Effect.provideService(test(schema), Store, store)
    )
  })

/** Blocks of every kind, of their own numbers, without their neighbours. */
const all = [
  ...encoded(chain({ seed: 4, from: 0, count: 12, types: [0, 1, 2, 3, 4, 0x7e] })),
  ...encoded(chain({ seed: 5, from: 100, count: 4, era: "frontier" })),
  ...encoded(chain({ seed: 6, from: 200, count: 3, transactions: 0 }))
]

const real = (): ReadonlyArray<EncodedBlock> => {
  const taken = new Map<number, EncodedBlock>()
  const blocks = [
    ...fixtureBlocks(),
    ...recordedBlocks.map((one) => ({ ...one, number: Number(one.block["number"]) }))
  ]
  for (const { block, number, receipts } of blocks) {
    const raw = BlockParser.parse(block, receipts, number)
    const rows = "block" in raw ? encode(raw, "linked") : undefined
    // Only one block has a number, and no two of these may be neighbours that do not fit.
    if (rows !== undefined && "rows" in rows && ![-1, 0, 1].some((d) => taken.has(number + d))) {
      taken.set(number, rows)
    }
  }
  return [...taken.values()].sort((a, b) => a.number - b.number)
}

const suite = (name: string, database: Layer.Layer<SqlClient.SqlClient, unknown>) => {
  layer(database, { timeout: "2 minutes", excludeTestServices: true })(name, (it) => {
    for (const [title, blocks] of [
      ["all transaction types and eras", () => all],
      ["real blocks", real]
    ] as const) {
      it.effect(`SQL and TypeScript agree on ${title}`, () =>
        inFreshSchema((schema) =>
          Effect.gen(function* () {
            const store = yield* Store
            const given = blocks()
            expect(given.length).toBeGreaterThan(1)
            yield* store.append({ epoch: yield* lead, blocks: given, finalized: undefined })
            expect(yield* stored(schema)).toEqual(computed(given))
          })
        )
      )
    }

    it.effect("a range is the sum of its blocks, whatever came and went meanwhile", () =>
      inFreshSchema((schema) =>
        Effect.gen(function* () {
          const store = yield* Store
          const epoch = yield* lead
          const blocks = encoded(linked(0, 20))
          yield* store.append({ epoch, blocks, finalized: undefined })
          const before = yield* ofRange(schema, 0, 4000)
          expect(before).toBe(Digest.combine(computed(blocks).values()))
          const parts = [yield* ofRange(schema, 0, 6), yield* ofRange(schema, 7, 19)]
          expect(Digest.combine(parts.map((part) => part ?? ""))).toBe(before)
          yield* store.rollback({ epoch, ancestor: 11 })
          expect(yield* ofRange(schema, 0, 4000)).toBe(Digest.combine(computed(blocks.slice(0, 12)).values()))
          yield* store.append({ epoch, blocks: blocks.slice(12), finalized: undefined })
          expect(yield* ofRange(schema, 0, 4000)).toBe(before)
          expect(yield* ofRange(schema, 50, 60)).toBe(Digest.combine([]))
        })
      )
    )

    it.effect("any changed cell but a node's own changes it", () =>
      inFreshSchema((schema) =>
        Effect.gen(function* () {
          const store = yield* Store
          const sql = yield* SqlClient.SqlClient
          const blocks = encoded(linked(0, 2))
          yield* store.append({ epoch: yield* lead, blocks, finalized: undefined })
          const right = computed(blocks)
          const after = Effect.fnUntraced(function* (change: string) {
            let seen = new Map<number, string>()
            yield* Effect.ignore(
              sql.withTransaction(
                Effect.gen(function* () {
                  yield* sql.unsafe(change)
                  seen = yield* stored(schema)
                  return yield* Effect.fail("taken back")
                })
              )
            )
            return seen
          })
          for (const change of [
            `update ${schema}.blocks set state_root = sha256('') where number = 1`,
            `update ${schema}.blocks set timestamp = timestamp + interval '1 second' where number = 1`,
            `update ${schema}.transactions set from_address = miner from ${schema}.blocks where block_number = 1`,
            `update ${schema}.logs set block_timestamp = block_timestamp - interval '1 microsecond' where block_number = 1`,
            `delete from ${schema}.logs where block_number = 1 and log_index = 2`
          ]) {
            const seen = yield* after(change)
            expect(seen.get(0), change).toBe(right.get(0))
            expect(seen.get(1), change).not.toBe(right.get(1))
          }
          expect(yield* after(`update ${schema}.blocks set size = 1, total_difficulty = null`)).toEqual(right)
        })
      )
    )
  })
}

suite("PGlite", PGliteTest.layer)
suite("PostgreSQL", Postgres.layer)
