/** `/health` and `/ready`. */
import { Clock, Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Settings } from "../config/Settings.ts"
import { Status } from "../flow/Status.ts"
import { ChainSource } from "../source/ChainSource.ts"
import { Api, NotReady } from "./Api.ts"
import * as Readiness from "./Readiness.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "system",
  Effect.fn(function* (handlers) {
    const status = yield* Status
    const settings = yield* Settings
    const source = yield* ChainSource
    return handlers.handleAll({
      health: () => Effect.succeed({ status: "ok" as const }),
      ready: Effect.fnUntraced(function* () {
        const reasons = Readiness.reasons(
          yield* status.get,
          settings,
          yield* source.health,
          yield* Clock.currentTimeMillis
        )
        if (reasons.length > 0) return yield* new NotReady({ ready: false, reasons })
        return { ready: true as const }
      })
    })
  })
)
