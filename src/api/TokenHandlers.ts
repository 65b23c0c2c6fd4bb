/** `/api/tokens` and `/api/tokens/{address}`. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import type { Hex } from "../chain/Block.ts"
import type { StoreError } from "../store/Store.ts"
import { type Measure, TokenReads } from "../tokens/TokenReads.ts"
import { Api } from "./Api.ts"
import { BadInput, NotFound, Unavailable } from "./ApiErrors.ts"
import * as TokenAnswers from "./TokenAnswers.ts"
import { latestTime, pairMeasures, tokenMeasures } from "./TokenApi.ts"
import * as TokenCursor from "./TokenCursor.ts"

const unconfigured = new NotFound({
  error:
    "there are no token metrics here: CONTRACTS names no source of transfers or swaps, or TOKEN_METRICS is off; see docs/tokens.md"
})

const unavailable = (error: StoreError) => new Unavailable({ error: error.message })

/** What a list is ordered by; undefined where its kind has no such measure. */
const measureOf = (kind: Measure["kind"], by: Measure["by"] | undefined): Measure | undefined => {
  if (kind === "pair") return by === undefined || by === "trades" ? { kind, by: "trades" } : undefined
  return by === "trades" ? undefined : { kind, by: by ?? "transfers" }
}

export const layer = HttpApiBuilder.group(
  Api,
  "tokens",
  Effect.fn(function* (endpoints) {
    const found = yield* Effect.serviceOption(TokenReads)
    const reads = Effect.mapError(Effect.fromOption(found), () => unconfigured)
    return endpoints.handleAll({
      topTokens: Effect.fnUntraced(function* ({
        query: { after, by, kind = "token", limit = 20, window = "1h" }
      }) {
        const measure = measureOf(kind, by)
        if (measure === undefined) {
          const expected = (kind === "pair" ? pairMeasures : tokenMeasures).join(", ")
          return yield* new BadInput({ error: `by: with kind=${kind}, expected ${expected}; got ${by}` })
        }
        const list = { ...measure, window }
        const place = after === undefined ? undefined : TokenCursor.parse(list, after)
        if (after !== undefined && place === undefined) {
          return yield* new BadInput({
            error: "after: expected `next` of a page of the same kind, window and by"
          })
        }
        const page = yield* Effect.mapError((yield* reads).top({ ...list, after: place, limit }), unavailable)
        return {
          kind,
          window,
          by: measure.by,
          rows: page.kind === "token" ? page.rows.map(TokenAnswers.token) : page.rows.map(TokenAnswers.pair),
          next: page.next === undefined ? null : TokenCursor.print(list, page.next)
        }
      }),
      token: Effect.fnUntraced(function* ({ params, query: { from = 0, limit = 60, to = latestTime } }) {
        if (from > to) return yield* new BadInput({ error: `from: expected at most to (${to}), got ${from}` })
        // Its schema has looked at it: 0x and digits.
        const address = params.address.toLowerCase() as Hex
        const { candles, token } = yield* reads
        const rows = yield* Effect.mapError(token(address), unavailable)
        if (rows.token.length === 0 && rows.pair.length === 0) {
          return yield* new NotFound({ error: `no transfer and no trade of ${address} was ever seen` })
        }
        return {
          address,
          token: rows.token.map(TokenAnswers.token),
          pair: rows.pair.map(TokenAnswers.pair),
          candles:
            rows.pair.length === 0
              ? []
              : yield* Effect.mapError(candles(address, { from, to, limit }), unavailable)
        }
      })
    })
  })
)
