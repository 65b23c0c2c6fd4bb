/**
 * The top of the last hour, as the live feed tells it: the most transferred tokens, and the most traded pairs with
 * their price minute by minute.
 *
 * **Details**: it is read every few seconds, and only while somebody listens. The hour ends at the newest block that a
 * row holds as of, so on a chain that stands still, it stands still as well.
 */
import { Clock, Duration, Effect, Option, Ref, type Scope } from "effect"
import type { StoreError } from "../store/Store.ts"
import { type PairRow, TokenReads, type TokenRow } from "../tokens/TokenReads.ts"
import { minute, minuteOf } from "../tokens/Windows.ts"
import * as TokenAnswers from "./TokenAnswers.ts"
import type { PairMetricsRow, TokenMetricsRow } from "./TokenApi.ts"

export interface TokenBoard {
  /** When it was read; milliseconds since 1970. */
  readonly at: number
  readonly window: "1h"
  readonly tokens: ReadonlyArray<typeof TokenMetricsRow.Type>
  readonly pairs: ReadonlyArray<PairLine>
}

export type PairLine = typeof PairMetricsRow.Type & {
  /** The last price of each of the last 60 minutes, oldest first, in six digits; null where a minute has none. */
  readonly closes: ReadonlyArray<number | null>
}

const shown = 10
const minutes = 60

/** Rows are written every 5 seconds. */
const interval = Duration.seconds(5)

const newest = (rows: ReadonlyArray<TokenRow | PairRow>): number =>
  Math.max(0, ...rows.map(({ asOf }) => asOf.timestamp))

const rounded = (price: string): number => Number(Number(price).toPrecision(6))

export const read = Effect.fnUntraced(function* (
  reads: TokenReads["Service"]
): Effect.fn.Return<TokenBoard, StoreError> {
  const first = { window: "1h", after: undefined, limit: shown } as const
  const tokens = yield* reads.top({ ...first, kind: "token", by: "transfers" })
  const pairs = yield* reads.top({ ...first, kind: "pair", by: "trades" })
  const pairRows = pairs.kind === "pair" ? pairs.rows : []
  const to = minuteOf(newest([...tokens.rows, ...pairs.rows]))
  const from = to - (minutes - 1) * minute
  const found = yield* reads.closes(
    pairRows.map(({ pair }) => pair),
    { from, to }
  )
  const priceAt = new Map(found.map((close) => [`${close.pair} ${close.minute}`, rounded(close.price)]))
  return {
    at: yield* Clock.currentTimeMillis,
    window: "1h",
    tokens: tokens.kind === "token" ? tokens.rows.map(TokenAnswers.token) : [],
    pairs: pairRows.map((row) => ({
      ...TokenAnswers.pair(row),
      closes: Array.from(
        { length: minutes },
        (_, i) => priceAt.get(`${row.pair} ${from + i * minute}`) ?? null
      )
    }))
  }
})

/** The field `tokens` of a message with a comma, or nothing where there is nothing to say. */
export interface Told {
  /** The newest, for the first message of a reader; `null` without token metrics. */
  readonly newest: Effect.Effect<string>
  /** The newest, if nobody has asked for it yet. */
  readonly news: Effect.Effect<string>
}

/** Reads it again and again while `clients` are there; `idle` is how often it looks for them. */
export const follow = Effect.fnUntraced(function* (
  clients: Effect.Effect<number>,
  idle: Duration.Duration
): Effect.fn.Return<Told, never, Scope.Scope> {
  const reads = yield* Effect.serviceOption(TokenReads)
  if (Option.isNone(reads)) return { newest: Effect.succeed('"tokens":null,'), news: Effect.succeed("") }
  const board = yield* Ref.make({ field: "", isNews: false })
  const turn = Effect.gen(function* () {
    if ((yield* clients) === 0) {
      // What was read for those who have left would be old for those who come.
      yield* Ref.set(board, { field: "", isNews: false })
      return yield* Effect.sleep(idle)
    }
    const now = yield* read(reads.value)
    yield* Ref.set(board, { field: `"tokens":${JSON.stringify(now)},`, isNews: true })
    return yield* Effect.sleep(interval)
  })
  // A database that does not answer is told by the status.
  yield* Effect.forkScoped(Effect.forever(Effect.catch(turn, () => Effect.sleep(interval))))
  return {
    newest: Effect.map(Ref.get(board), ({ field }) => field),
    news: Ref.modify(board, (known) => [known.isNews ? known.field : "", { ...known, isNews: false }])
  }
})
