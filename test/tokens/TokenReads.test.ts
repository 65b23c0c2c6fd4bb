import { expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TokenReads from "../../src/tokens/TokenReads.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { addressOf, dice, nextBlock, type StoryBlock } from "./story.ts"
import { makeWorld } from "./world.ts"

const genesis = { number: 0, hash: `0x${"00".repeat(32)}` as const, timestamp: 1_700_000_000 }

layer(PGliteTest.layer, { timeout: "2 minutes" })("TokenReads", (it) => {
  it.effect("pages through the top by every measure, each row once and in order, by an index", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const reads = TokenReads.make(world.sql, world.schema)
      const tokens = yield* world.service()
      yield* world.append([{ asOf: genesis, events: [] }])
      yield* tokens.start(yield* world.lead, genesis)
      const roll = dice(11)
      const chain: Array<StoryBlock> = []
      for (let i = 0; i < 40; i++) {
        chain.push(nextBlock(roll, chain.at(-1)?.asOf ?? genesis, { tokens: 60, events: 40, pace: 12 }, 0))
      }
      const tip = chain.at(-1)?.asOf ?? genesis
      yield* world.append(chain)
      yield* tokens.committed(
        chain.flatMap(({ events }) => events),
        tip
      )
      yield* tokens.flush

      const measures = [
        ...(["transfers", "volume", "senders", "receivers"] as const).map((by) => ({
          kind: "token" as const,
          by
        })),
        { kind: "pair" as const, by: "trades" as const }
      ]
      for (const measure of measures) {
        const seen: Array<TokenReads.Place> = []
        let after: TokenReads.Place | undefined
        do {
          const page = yield* reads.top({ ...measure, window: "24h", after, limit: 7 })
          seen.push(
            ...(page.kind === "token"
              ? page.rows.map((row) => ({
                  value: `${row[measure.kind === "token" ? measure.by : "transfers"]}`,
                  address: row.token
                }))
              : page.rows.map((row) => ({ value: `${row.trades}`, address: row.pair })))
          )
          after = page.next
        } while (after !== undefined)
        const [all] = yield* world.sql<{ readonly count: bigint }>`
          select count(*) from ${world.name(`${measure.kind}_metrics`)}
          where window_seconds = 86400 and ${world.sql(measure.by)} > 0`
        expect(seen.length).toBe(Number(all?.count))
        expect(seen.length).toBeGreaterThan(14)
        expect(new Set(seen.map(({ address }) => address)).size).toBe(seen.length)
        const sorted = [...seen].sort((a, b) =>
          a.value === b.value ? (a.address < b.address ? 1 : -1) : BigInt(a.value) < BigInt(b.value) ? 1 : -1
        )
        expect(seen).toEqual(sorted)
      }
      yield* world.sql`analyze ${world.name("token_metrics")}`
      yield* world.sql`set enable_seqscan = off`
      yield* world.sql`set enable_bitmapscan = off`
      const plan = yield* world.sql<Record<string, string>>`
        explain select * from ${world.name("token_metrics")}
        where window_seconds = 86400 and volume > 0 and (volume, token) < (1000::numeric, '\\x01'::bytea)
        order by volume desc, token desc limit 5`
      const text = plan.flatMap((row) => Object.values(row)).join("\n")
      expect(text).toContain("Index Scan Backward using token_metrics_volume_index")
      expect(text).not.toContain("Sort")
      yield* world.sql`reset enable_seqscan`
      yield* world.sql`reset enable_bitmapscan`
    })
  )

  it.effect("tells a token with all its windows, and candles of a pair, newest first", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const reads = TokenReads.make(world.sql, world.schema)
      const tokens = yield* world.service()
      const pair = addressOf(1, 1)
      yield* world.append([{ asOf: genesis, events: [] }])
      yield* tokens.start(yield* world.lead, genesis)
      const blocks = [0, 1, 2].map((i): StoryBlock => {
        const place = { blockNumber: i + 1, timestamp: genesis.timestamp + 60 * i, logIndex: 0 }
        return {
          asOf: {
            number: place.blockNumber,
            hash: `0x0${place.blockNumber}${"00".repeat(31)}`,
            timestamp: place.timestamp
          },
          events: [
            {
              _tag: "Trade",
              pair,
              amount0: -2n,
              amount1: 3n + BigInt(i),
              sender: pair,
              recipient: pair,
              ...place
            }
          ]
        }
      })
      const tip = blocks.at(-1)?.asOf ?? genesis
      yield* world.append(blocks)
      yield* tokens.committed(
        blocks.flatMap(({ events }) => events),
        tip
      )
      yield* tokens.flush
      const found = yield* reads.token(pair)
      expect(found.token).toEqual([])
      expect(found.pair.map(({ buys, trades, window }) => [window, trades, buys])).toEqual([
        ["1m", 1, 1],
        ["5m", 3, 3],
        ["1h", 3, 3],
        ["24h", 3, 3]
      ])
      expect(found.pair[3]).toMatchObject({
        open: "1.5",
        high: "2.5",
        low: "1.5",
        close: "2.5",
        lastPrice: "2.5",
        volume0: "6",
        volume1: "12",
        asOf: tip
      })
      const minute = Math.floor(genesis.timestamp / 60) * 60
      const candles = yield* reads.candles(pair, { from: minute, to: tip.timestamp, limit: 2 })
      expect(candles.map((candle) => [candle.minute, candle.open, candle.trades])).toEqual([
        [minute + 120, "2.5", 1],
        [minute + 60, "2", 1]
      ])
      expect(yield* reads.token(addressOf(9, 9))).toEqual({ token: [], pair: [] })
    })
  )
})
