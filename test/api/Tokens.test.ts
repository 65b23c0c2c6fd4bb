/**
 * `/api/tokens` over tables that the test filled: every row once whatever the page size, and a sentence for what cannot
 * be answered; and the top of the hour, read only while somebody listens.
 */
import { expect, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Ref } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import * as Server from "../../src/api/Server.ts"
import type { PairMetricsRow, TokenAnswer, TokenMetricsRow, TokensAnswer } from "../../src/api/TokenApi.ts"
import * as TokenBoard from "../../src/api/TokenBoard.ts"
import { type Shown, Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import * as TokenReads from "../../src/tokens/TokenReads.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { settings, world } from "../support/simulated.ts"
import { addressOf, dice, nextBlock, type StoryBlock } from "../tokens/story.ts"
import { makeWorld } from "../tokens/world.ts"

const genesis = { number: 0, hash: `0x${"00".repeat(32)}` as const, timestamp: 1_700_000_000 }

/** A deployment whose tokens have moved for some hours, with its reads. */
const filled = Effect.gen(function* () {
  const tables = yield* makeWorld
  const tokens = yield* tables.service()
  yield* tables.append([{ asOf: genesis, events: [] }])
  yield* tokens.start(yield* tables.lead, genesis)
  const roll = dice(23)
  const chain: Array<StoryBlock> = []
  for (let i = 0; i < 60; i++) {
    chain.push(nextBlock(roll, chain.at(-1)?.asOf ?? genesis, { tokens: 50, events: 40, pace: 90 }, 0))
  }
  const tip = chain.at(-1)?.asOf ?? genesis
  yield* tables.append(chain)
  yield* tokens.committed(
    chain.flatMap(({ events }) => events),
    tip
  )
  yield* tokens.flush
  return { ...tables, tip, reads: TokenReads.make(tables.sql, tables.schema) }
})

interface Answer {
  readonly status: number
  readonly text: string
}

/** The routes of a Sluice that is running; the answer asks for a path under `/api/tokens`. */
const serving = (reads?: TokenReads.TokenReads["Service"]) =>
  Effect.gen(function* () {
    const running = yield* Layer.build(
      Layer.fresh(Sluice.layerCore).pipe(
        Layer.provide(SessionLock.none),
        Layer.provideMerge(settings()),
        Layer.provideMerge(world(2))
      )
    )
    const context: Context.Context<Shown> =
      reads === undefined ? running : Context.add(running, TokenReads.TokenReads, reads)
    const { handler } = yield* Effect.acquireRelease(
      Effect.sync(() =>
        HttpRouter.toWebHandler(
          Server.routes.pipe(
            Layer.provide(Layer.succeedContext(context)),
            Layer.provide(HttpServer.layerServices)
          ),
          { disableLogger: true }
        )
      ),
      ({ dispose }) => Effect.promise(dispose)
    )
    return (path: string) =>
      Effect.promise(async (): Promise<Answer> => {
        const response = await handler(new Request(`http://sluice/api/tokens${path}`))
        return { status: response.status, text: await response.text() }
      })
  })

type Row = typeof TokenMetricsRow.Type | typeof PairMetricsRow.Type
const addressIn = (row: Row): string => ("token" in row ? row.token : row.pair)

layer(PGliteTest.layer, { timeout: "2 minutes" })("/api/tokens", (it) => {
  it.effect("pages through every list without a gap or a repeat, whatever the size of a page", () =>
    Effect.gen(function* () {
      const { name, reads, sql } = yield* filled
      const get = yield* serving(reads)
      for (const [kind, by] of [
        ["token", "transfers"],
        ["token", "volume"],
        ["token", "senders"],
        ["token", "receivers"],
        ["pair", "trades"]
      ] as const) {
        const stored = yield* sql<{ readonly address: string }>`
          select '0x' || encode(${sql(kind)}, 'hex') as address from ${name(`${kind}_metrics`)}
          where window_seconds = 86400 and ${sql(by)} > 0 order by ${sql(by)} desc, ${sql(kind)} desc`
        expect(stored.length).toBeGreaterThan(10)
        for (const limit of [1, 7, stored.length, 100]) {
          const seen: Array<string> = []
          let pages = 0
          let next: string | null = ""
          while (next !== null) {
            const after: string = next === "" ? "" : `&after=${next}`
            const { status, text } = yield* get(`?kind=${kind}&window=24h&by=${by}&limit=${limit}${after}`)
            expect(status, text).toBe(200)
            const answer: typeof TokensAnswer.Type = JSON.parse(text)
            expect(answer).toMatchObject({ kind, by, window: "24h" })
            seen.push(...answer.rows.map(addressIn))
            next = answer.next
            pages++
          }
          expect(seen).toEqual(stored.map(({ address }) => address))
          expect(pages).toBe(Math.ceil(stored.length / limit))
        }
      }
    })
  )

  it.effect("tells all windows of an address, in any case of letters, and the candles of a pair", () =>
    Effect.gen(function* () {
      const { reads, tip } = yield* filled
      const get = yield* serving(reads)
      // A pair that is a token as well.
      const both = addressOf(1, 1)
      const { status, text } = yield* get(`/0x${both.slice(2).toUpperCase()}?limit=1440`)
      expect(status, text).toBe(200)
      const answer: typeof TokenAnswer.Type = JSON.parse(text)
      const known = yield* reads.token(both)
      expect(answer.address).toBe(both)
      expect(answer.token.map(({ window }) => window)).toEqual(["1m", "5m", "1h", "24h"])
      expect(answer.pair.map(({ window }) => window)).toEqual(["1m", "5m", "1h", "24h"])
      expect(answer.pair[3]).toMatchObject({
        trades: known.pair[3]?.trades,
        last_price: known.pair[3]?.lastPrice,
        as_of: known.pair[3]?.asOf
      })
      const candles = yield* reads.candles(both, { from: 0, to: tip.timestamp, limit: 1440 })
      expect(candles.length).toBeGreaterThan(5)
      expect(answer.candles).toEqual(candles)
      const [from, to] = [candles[3]?.minute ?? 0, candles[1]?.minute ?? 0]
      const some = yield* get(`/${both}?from=${from}&to=${to}`)
      expect(JSON.parse(some.text).candles).toEqual(candles.slice(1, 4))
      const newest = yield* get(`/${both}?limit=2`)
      expect(JSON.parse(newest.text).candles).toEqual(candles.slice(0, 2))
      const token = yield* get(`/${addressOf(1, 4)}`)
      expect(JSON.parse(token.text)).toMatchObject({ pair: [], candles: [] })
    })
  )

  it.effect("says what was expected, and what there is not", () =>
    Effect.gen(function* () {
      const { reads } = yield* filled
      const get = yield* serving(reads)
      const first = yield* get("?limit=1")
      const { next }: typeof TokensAnswer.Type = JSON.parse(first.text)
      const someone = addressOf(9, 9)
      const long = Buffer.from(`token.1h.transfers.${"9".repeat(40)}.${someone}`).toString("base64url")
      for (const [path, status, tag, said] of [
        ["?kind=coin", 400, "BadInput", /^kind: Expected "token" \| "pair"/],
        ["?window=2h", 400, "BadInput", /^window: Expected "1m" \| "5m" \| "1h" \| "24h"/],
        ["?by=age", 400, "BadInput", /^by: Expected "transfers"/],
        ["?by=trades", 400, "BadInput", /^by: with kind=token, expected transfers, volume/],
        ["?kind=pair&by=volume", 400, "BadInput", /^by: with kind=pair, expected trades; got volume/],
        ["?limit=0", 400, "BadInput", /^limit: Expected a value between 1 and 100/],
        ["?limit=101", 400, "BadInput", /^limit: Expected a value between 1 and 100/],
        ["?limit=many", 400, "BadInput", /^limit: Expected a finite number/],
        ["?after=nonsense", 400, "BadInput", /^after: expected `next` of a page of the same kind/],
        [`?window=5m&after=${next}`, 400, "BadInput", /^after: /],
        [`?after=${long}`, 400, "BadInput", /^after: /],
        ["/0x12", 400, "BadInput", /^address: Expected an address: 0x and 40 hexadecimal digits/],
        [`/${someone}?from=now`, 400, "BadInput", /^from: Expected a finite number/],
        [`/${someone}?from=9&to=8`, 400, "BadInput", /^from: expected at most to \(8\), got 9/],
        [`/${someone}?to=1e15`, 400, "BadInput", /^to: Expected a value between 0 and/],
        [`/${someone}?limit=1441`, 400, "BadInput", /^limit: /],
        [`/${someone}`, 404, "NotFound", new RegExp(`^no transfer and no trade of ${someone}`)]
      ] as const) {
        const answer = yield* get(path)
        const { _tag, error } = JSON.parse(answer.text)
        expect([answer.status, _tag], path).toEqual([status, tag])
        expect(error, path).toMatch(said)
      }
    })
  )

  it.effect("says so where there are no token metrics", () =>
    Effect.gen(function* () {
      const get = yield* serving()
      for (const path of ["", `/${addressOf(1, 1)}`]) {
        const { status, text } = yield* get(path)
        expect(status).toBe(404)
        expect(JSON.parse(text)).toMatchObject({
          _tag: "NotFound",
          error: expect.stringMatching(/^there are no token metrics here: CONTRACTS /)
        })
      }
    })
  )
})

layer(PGliteTest.layer, { timeout: "2 minutes" })("the top of the hour", (it) => {
  it.effect("has the lists of the API, and the last price of each minute", () =>
    Effect.gen(function* () {
      const { reads } = yield* filled
      const board = yield* TokenBoard.read(reads)
      const pairs = yield* reads.top({
        kind: "pair",
        by: "trades",
        window: "1h",
        after: undefined,
        limit: 10
      })
      const tokens = yield* reads.top({
        kind: "token",
        by: "transfers",
        window: "1h",
        after: undefined,
        limit: 10
      })
      expect(board.pairs.map(({ pair }) => pair)).toEqual(pairs.rows.map((row) => "pair" in row && row.pair))
      expect(board.tokens.map(({ token }) => token)).toEqual(
        tokens.rows.map((row) => "token" in row && row.token)
      )
      expect(board.pairs.length).toBeGreaterThan(2)
      const end = Math.max(...[...board.pairs, ...board.tokens].map(({ as_of }) => as_of.timestamp))
      const last = Math.floor(end / 60) * 60
      for (const { closes, pair } of board.pairs) {
        const candles = yield* reads.candles(addressOf(1, Number.parseInt(pair.slice(10), 16)), {
          from: last - 59 * 60,
          to: last,
          limit: 60
        })
        const expected = Array.from({ length: 60 }, (_, i) => {
          const close = candles.find(({ minute }) => minute === last - (59 - i) * 60)?.close ?? null
          return close === null ? null : Number(Number(close).toPrecision(6))
        })
        expect(closes).toEqual(expected)
      }
      expect(board.pairs.some(({ closes }) => closes.some((close) => close !== null))).toBe(true)
    })
  )
})

layer(Layer.empty)("the feed of it", (it) => {
  it.effect("is read every five seconds, only while somebody listens, and told once", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const clients = yield* Ref.make(0)
      const reads: Partial<TokenReads.TokenReads["Service"]> = {
        top: ({ kind }) =>
          Effect.as(
            Ref.update(asked, (count) => (kind === "pair" ? count + 1 : count)),
            { kind, rows: [], next: undefined }
          ),
        closes: () => Effect.succeed([])
      }
      const { news, newest } = yield* TokenBoard.follow(Ref.get(clients), Duration.millis(500)).pipe(
        Effect.provide(Layer.mock(TokenReads.TokenReads, reads))
      )
      yield* TestClock.adjust("1 minute")
      expect([yield* Ref.get(asked), yield* newest, yield* news]).toEqual([0, "", ""])
      yield* Ref.set(clients, 1)
      yield* TestClock.adjust("500 millis")
      expect(yield* Ref.get(asked)).toBe(1)
      const told = yield* newest
      expect(told).toMatch(/^"tokens":\{"at":60500,"window":"1h","tokens":\[\],"pairs":\[\]\},$/)
      expect([yield* news, yield* news, yield* newest]).toEqual([told, "", told])
      yield* TestClock.adjust("10 seconds")
      expect(yield* Ref.get(asked)).toBe(3)
      yield* Ref.set(clients, 0)
      yield* TestClock.adjust("1 minute")
      expect([yield* Ref.get(asked), yield* newest]).toEqual([3, ""])
    })
  )

  it.effect("says null where there are no token metrics", () =>
    Effect.gen(function* () {
      const { news, newest } = yield* TokenBoard.follow(Effect.succeed(1), Duration.millis(500))
      expect([yield* newest, yield* news]).toEqual(['"tokens":null,', ""])
    })
  )
})
