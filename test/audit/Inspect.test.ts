/**
 * What stored rows say about themselves, on chains that the end-to-end test cannot have.
 */
import { expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Finding } from "../../src/audit/Finding.ts"
import { inspect } from "../../src/audit/Inspect.ts"
import type { ProofLevel, RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import * as Proof from "../../src/chain/Proof.ts"
import { encode } from "../../src/store/Columns.ts"
import { Pages } from "../../src/store/Pages.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store } from "../../src/store/Store.ts"
import { encoded, lead, linked } from "../store/contract.ts"
import { fixtureBlocks } from "../support/fixtures.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { recordedBlocks } from "../support/recorded.ts"

let schemas = 0

/** A chain of which nothing can be proven. */
const polygon = 137

const inFreshSchema = <A, E>(
  test: (schema: string) => Effect.Effect<A, E, Store | Pages | SqlClient.SqlClient>
) =>
  Effect.suspend(() => {
    const schema = `inspected_${schemas++}`
    return Effect.flatMap(SqlStore.make({ schema }), (store) =>
      test(schema).pipe(Effect.provideService(Store, store), Effect.provide(Pages.layer(schema)))
    )
  })

const looked = Effect.fnUntraced(function* (
  range: { readonly from: number; readonly to: number },
  chainId: number,
  linkedByOrder = false
) {
  const page = yield* (yield* Pages).read(range)
  const proof = yield* Proof.make(chainId)
  return yield* inspect(page, { chainId, proof, linkedByOrder, falseBelow: false })
})

const short = (findings: ReadonlyArray<Finding>) => findings.map(({ block, kind }) => `${kind} ${block}`)

/** Every real block that is at hand, as its provider sent it. */
const real: ReadonlyArray<{ readonly name: string; readonly chainId: number; readonly raw: RawBlock }> = [
  ...fixtureBlocks(),
  ...recordedBlocks.map((one) => ({ ...one, number: Number(one.block["number"]) }))
].flatMap(({ block, chainId, name, number, receipts }) => {
  const raw = BlockParser.parse(block, receipts, number)
  return "block" in raw ? [{ name, chainId, raw }] : []
})

layer(PGliteTest.layer, { timeout: "2 minutes", excludeTestServices: true })((it) => {
  it.effect("a broken link between blocks that cannot be proven", () =>
    inFreshSchema((schema) =>
      Effect.gen(function* () {
        const store = yield* Store
        const sql = yield* SqlClient.SqlClient
        const blocks = encoded(linked(0, 10), "linked")
        yield* store.append({ epoch: yield* lead, blocks, finalized: undefined })
        const sound = yield* looked({ from: 0, to: 9 }, polygon)
        expect(sound).toMatchObject({ findings: [], blocks: 10, proven: 0 })
        expect(sound.odd).toEqual([])
        expect(sound.notReprovable).toHaveLength(10)
        yield* sql.unsafe(`update "${schema}".blocks set parent_hash = hash where number in (4, 8)`)
        expect(short((yield* looked({ from: 0, to: 7 }, polygon)).findings)).toEqual(["link 4"])
        // The block below is in another page.
        expect(short((yield* looked({ from: 8, to: 9 }, polygon)).findings)).toEqual(["link 8"])
      })
    )
  )

  it.effect("levels that nothing bears out, and those that are there by order", () =>
    inFreshSchema(() =>
      Effect.gen(function* () {
        const store = yield* Store
        const epoch = yield* lead
        yield* store.append({ epoch, blocks: encoded(linked(0, 2), "proven"), finalized: undefined })
        expect(short((yield* looked({ from: 0, to: 1 }, polygon)).findings)).toEqual(["level 0", "level 1"])
        // On a chain of an unknown kind nobody can tell; on Ethereum these hashes are false.
        yield* store.rollback({ epoch, ancestor: -1 })
        yield* store.append({ epoch, blocks: encoded(linked(0, 2), "linked"), finalized: undefined })
        expect(short((yield* looked({ from: 0, to: 1 }, 56, true)).findings)).toEqual([])
        expect(short((yield* looked({ from: 0, to: 1 }, 4, true)).findings)).toEqual([])
      })
    )
  )

  it.effect("JSON that is none of ours, and times that are none", () =>
    inFreshSchema((schema) =>
      Effect.gen(function* () {
        const store = yield* Store
        const sql = yield* SqlClient.SqlClient
        yield* store.append({
          epoch: yield* lead,
          blocks: encoded(linked(0, 4), "linked"),
          finalized: undefined
        })
        for (const statement of [
          `update "${schema}".transactions set access_list = '[7]', type = 1 where block_number = 0`,
          `update "${schema}".blocks set timestamp = 'infinity' where number = 1`,
          `update "${schema}".transactions set value = 'NaN' where block_number = 2`,
          `update "${schema}".logs set transaction_index = 5 where block_number = 3 and log_index = 0`
        ]) {
          yield* sql.unsafe(statement)
        }
        const { findings, odd } = yield* looked({ from: 0, to: 3 }, polygon)
        expect(short(findings)).toEqual(["row 0", "row 2", "count 3"])
        expect(odd.map(({ number }) => number)).toEqual([1])
      })
    )
  )

  it.effect("real blocks prove from their rows as they did from their provider's answer", () =>
    Effect.gen(function* () {
      let proven = 0
      for (const { chainId, name, raw } of real) {
        const verdict = (yield* Proof.make(chainId)).verify(raw)
        if (verdict._tag === "Mismatch") continue
        const level: ProofLevel = verdict._tag === "Proven" ? "proven" : "linked"
        const rows = encode(raw, level)
        if (!("rows" in rows)) continue
        yield* inFreshSchema(() =>
          Effect.gen(function* () {
            const store = yield* Store
            yield* store.append({ epoch: yield* lead, blocks: [rows], finalized: undefined })
            const seen = yield* looked({ from: rows.number, to: rows.number }, chainId)
            expect(seen.findings, name).toEqual([])
            expect(seen.odd, name).toEqual([])
            expect(seen.proven, name).toBe(level === "proven" ? 1 : 0)
            proven += seen.proven
          })
        )
      }
      expect(proven).toBeGreaterThan(0)
    })
  )
})
