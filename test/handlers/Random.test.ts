/**
 * Handlers under random batches, finality, reorgs, failures and restarts, beside an oracle that knows only which blocks
 * are stored.
 */
import { readFileSync } from "node:fs"
import { expect, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { SqlClient } from "effect/sql"
import type { Hex } from "../../src/chain/Block.ts"
import { Sluice } from "../../src/Sluice.ts"
import type { EncodedBlock } from "../../src/store/Columns.ts"
import { balances, keepBalances, token } from "../samples/balances.ts"
import { random } from "../support/blocks.ts"
import { address, blocks, overEach, rowsOf, type Said, storeWith, type Transfer } from "./support.ts"

/** Balances by holder, from the transfers of the blocks alone. */
const oracle = (chain: ReadonlyArray<EncodedBlock>, said: ReadonlyMap<Hex, ReadonlyArray<Said>>) => {
  const amounts = new Map<number, bigint>()
  const add = (holder: number, amount: bigint) => amounts.set(holder, (amounts.get(holder) ?? 0n) + amount)
  for (const { hash } of chain) {
    for (const transfer of said.get(hash) ?? []) {
      if (typeof transfer !== "object") continue
      add(transfer.from, -transfer.value)
      add(transfer.to, transfer.value)
    }
  }
  return [...amounts].map(([holder, amount]) => `(${address(holder).slice(2)},${amount})`).sort()
}

const stored = Effect.map(rowsOf("select encode(holder, 'hex'), amount from app.balances"), (rows) =>
  [...rows].sort()
)

overEach("handlers at random", {
  "equal an oracle that replays the stored blocks": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const broken = yield* Ref.make(false)
      const breaker = Sluice.handle(
        token,
        "Transfer",
        () => Effect.flatMap(Ref.get(broken), (is) => (is ? Effect.fail("broken") : Effect.void)),
        { name: "breaker" }
      )
      for (let seed = 1; seed <= 6; seed++) {
        const r = random(seed)
        const said = new Map<Hex, ReadonlyArray<Said>>()
        const deployment = {
          schema: `${schema}_${seed}`,
          said,
          handlers: [keepBalances, breaker],
          tables: [balances]
        }
        const start = Effect.gen(function* () {
          const store = yield* storeWith(deployment)
          const { lease } = yield* store.acquireLease({ holder: "a", duration: 60_000, evenIfHeld: true })
          return { store, epoch: lease.epoch }
        })
        yield* sql`drop table if exists app.balances`
        let { epoch, store } = yield* start
        let chain: ReadonlyArray<EncodedBlock> = []
        let finalized = -1
        let undone = 0
        let failed = 0
        for (let step = 0; step < 40; step++) {
          const tip = chain.length - 1
          const what = r.int(10)
          if (what < 3 && tip > finalized) {
            const ancestor = finalized + r.int(tip - finalized)
            yield* store.rollback({ epoch, ancestor })
            undone += tip - ancestor
            chain = chain.slice(0, ancestor + 1)
          } else if (what === 3) {
            ;({ epoch, store } = yield* start)
          } else {
            const fresh = blocks(1 + r.int(4), tip + 1, chain.at(-1)?.hash, seed * 1000 + step)
            for (const { hash } of fresh) {
              const transfers = Array.from({ length: r.int(4) }, (): Transfer => {
                return { from: r.int(6), to: r.int(6), value: BigInt(r.int(1000)) }
              })
              said.set(hash, r.int(5) === 0 ? [...transfers, "garbage"] : transfers)
            }
            const next = r.int(3) === 0 ? Math.max(finalized, tip + fresh.length - r.int(6)) : finalized
            // The first handler has written when the second one fails.
            yield* Ref.set(broken, what === 4)
            const written = yield* Effect.exit(store.append({ epoch, blocks: fresh, finalized: next }))
            if (written._tag === "Success") {
              chain = [...chain, ...fresh]
              finalized = next
            } else failed++
          }
          expect(yield* stored, `seed ${seed}, step ${step}`).toEqual(oracle(chain, said))
        }
        expect(Math.min(undone, failed)).toBeGreaterThan(0)
      }
    })
})

it("docs/handlers.md shows just this handler", () => {
  const sample = readFileSync("test/samples/balances.ts", "utf8").replace('"../../src/index.ts"', '"sluice"')
  expect(readFileSync("docs/handlers.md", "utf8")).toContain(sample.trim())
})
