/** `/api/status`, `/api/backpressure_stats` and `/api/reorgs`. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Store } from "../store/Store.ts"
import { Api } from "./Api.ts"
import { Unavailable } from "./ApiErrors.ts"
import * as PressureNow from "./PressureNow.ts"
import * as StatusNow from "./StatusNow.ts"

/** Of a reorg, blocks that are listed; `depth` counts them all. */
const removedShown = 100

export const layer = HttpApiBuilder.group(
  Api,
  "sync",
  Effect.fn(function* (handlers) {
    const context = yield* Effect.context<Effect.Services<typeof StatusNow.now>>()
    const store = yield* Store
    return handlers.handleAll({
      status: () => Effect.provideContext(StatusNow.now, context),
      backPressure: () => Effect.provideContext(PressureNow.now, context),
      reorgs: Effect.fnUntraced(
        function* ({ query: { before, limit = 50 } }) {
          const reorgs = yield* store.reorgs({ before, limit: limit + 1 })
          const shown = reorgs.slice(0, limit)
          return {
            reorgs: shown.map(({ ancestor, at, commit, depth, removed }) => ({
              commit,
              ancestor,
              depth,
              at: new Date(at).toISOString(),
              removed: removed.slice(0, removedShown)
            })),
            next_before: reorgs.length > limit ? (shown.at(-1)?.commit ?? null) : null
          }
        },
        Effect.mapError((error) => new Unavailable({ error: error.message }))
      )
    })
  })
)
