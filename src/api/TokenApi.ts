/**
 * `/api/tokens` as data: what can be asked about tokens and pairs, and how it is answered. docs/tokens.md says what the
 * measures mean.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { windowNames } from "../tokens/Windows.ts"
import { BadInput, NotFound, SaysWhatWasExpected, Unavailable } from "./ApiErrors.ts"

export const tokenMeasures = ["transfers", "volume", "senders", "receivers"] as const
export const pairMeasures = ["trades"] as const

const Window = Schema.Literals(windowNames).annotate({
  description: "Back from `as_of`, by block time; 1h and 24h move by whole minutes."
})

const AsOf = Schema.Struct({
  number: Schema.Finite,
  hash: Schema.String,
  timestamp: Schema.Finite.annotate({ description: "Seconds since 1970." })
}).annotate({ description: "The block that the row holds as of." })

const amount = (description: string) => Schema.String.annotate({ description })
const price = (description: string) => Schema.NullOr(Schema.String).annotate({ description })

export const TokenMetricsRow = Schema.Struct({
  token: Schema.String,
  window: Window,
  transfers: Schema.Finite,
  senders: Schema.Finite.annotate({ description: "Distinct addresses." }),
  receivers: Schema.Finite.annotate({ description: "Distinct addresses." }),
  volume: amount("In raw units: divide by ten to the token's decimals."),
  as_of: AsOf
})

export const PairMetricsRow = Schema.Struct({
  pair: Schema.String,
  window: Window,
  trades: Schema.Finite,
  buys: Schema.Finite.annotate({ description: "Trades in which token0 left the pool." }),
  sells: Schema.Finite,
  volume0: amount("Token0, in or out, in raw units."),
  volume1: amount("Token1, in or out, in raw units."),
  open: price("Token1 for one token0, both in raw units; null where no trade of the window has a price."),
  high: price("Of the window."),
  low: price("Of the window."),
  close: price("Of the window."),
  last_price: price("Of the newest trade that has one, however long ago."),
  as_of: AsOf
})

export const TokensAnswer = Schema.Struct({
  kind: Schema.Literals(["token", "pair"]),
  window: Window,
  by: Schema.Literals([...tokenMeasures, ...pairMeasures]),
  rows: Schema.Array(Schema.Union([TokenMetricsRow, PairMetricsRow])).annotate({
    description: "Highest first; of a token or of a pair, by `kind`. What is 0 is left out."
  }),
  next: Schema.NullOr(Schema.String).annotate({
    description: "Ask with `after` for the next page; null on the last one."
  })
})

export const TokenAnswer = Schema.Struct({
  address: Schema.String,
  token: Schema.Array(TokenMetricsRow).annotate({
    description: "One for each window; none where no transfer of it was seen."
  }),
  pair: Schema.Array(PairMetricsRow).annotate({
    description: "One for each window; none where no trade in it was seen."
  }),
  candles: Schema.Array(
    Schema.Struct({
      minute: Schema.Finite.annotate({ description: "Its start, in seconds since 1970." }),
      open: price("Null where no trade of the minute has a price."),
      high: price("Of the minute."),
      low: price("Of the minute."),
      close: price("Of the minute."),
      volume0: amount("In raw units."),
      volume1: amount("In raw units."),
      trades: Schema.Finite
    })
  ).annotate({ description: "Of one minute, the newest first; minutes without a trade have none." })
})

const Count = (maximum: number) =>
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum }))

/** The end of the year 9999, which is a time to PostgreSQL and to JavaScript. */
export const latestTime = 253_402_300_799

const Seconds = Schema.FiniteFromString.check(Schema.isBetween({ minimum: 0, maximum: latestTime })).annotate(
  {
    description: "Seconds since 1970."
  }
)

export const maxCandles = 1440

export class Tokens extends HttpApiGroup.make("tokens", { topLevel: true })
  .add(
    HttpApiEndpoint.get("topTokens", "/tokens", {
      query: {
        kind: Schema.optionalKey(Schema.Literals(["token", "pair"])),
        window: Schema.optionalKey(Window),
        by: Schema.optionalKey(Schema.Literals([...tokenMeasures, ...pairMeasures])),
        limit: Schema.optionalKey(Count(100)),
        after: Schema.optionalKey(Schema.String)
      },
      success: TokensAnswer,
      error: [BadInput, NotFound, Unavailable]
    }).annotateMerge(
      OpenApi.annotations({
        description:
          "The top of a window. `kind` is token unless told, `window` 1h, `by` transfers of tokens and trades of " +
          "pairs, `limit` 20; `after` is `next` of the page before."
      })
    ),
    HttpApiEndpoint.get("token", "/tokens/:address", {
      params: {
        address: Schema.String.check(
          Schema.isPattern(/^0x[0-9a-fA-F]{40}$/, { expected: "an address: 0x and 40 hexadecimal digits" })
        )
      },
      query: {
        from: Schema.optionalKey(Seconds),
        to: Schema.optionalKey(Seconds),
        limit: Schema.optionalKey(Count(maxCandles))
      },
      success: TokenAnswer,
      error: [BadInput, NotFound, Unavailable]
    }).annotateMerge(
      OpenApi.annotations({
        description:
          "One address, a token or a pair or both: all its windows, and the newest candles of the pair that begin " +
          "in [from, to], 60 unless `limit` tells."
      })
    )
  )
  .middleware(SaysWhatWasExpected)
  .prefix("/api") {}
