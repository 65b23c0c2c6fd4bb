/**
 * From backfill to following while the chain grows, with an endpoint beside the good one that lags by 1 to 20 blocks,
 * another number with each answer: nothing is missing afterwards, and nothing is wrong.
 *
 * `TEST_HANDOVERS=200` for the long run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, Schedule } from "effect"
import { randomFrom } from "../../bench/provider.mjs"
import { Settings } from "../../src/config/Settings.ts"
import { Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { Store } from "../../src/store/Store.ts"
import * as Provider from "../support/Provider.ts"
import * as provable from "../support/provable.ts"
import * as RowStore from "../support/RowStore.ts"

const count = Number(process.env["TEST_HANDOVERS"] ?? 10)

/** Where the chain ends up; it starts somewhere below. */
const height = 160

const settings = Settings.layer({ profile: "anvil", pollInterval: "10 millis", flushInterval: "10 millis" })

/** One hand-over; fails with what is wrong afterwards. Says how often the lagging one was asked for what it lacks. */
const handOver = Effect.fnUntraced(
  function* (chain: provable.ProvableChain, seed: number) {
    const random = randomFrom(seed)
    const start = 40 + Math.floor(random() * 60)
    const { grow, head, served } = provable.growing(chain, start)
    // With the questions, not with the clock: however fast the machine, blocks come while others are fetched.
    const onRequest = () => {
      if (random() < 0.5) grow(1 + Math.floor(random() * 3))
    }
    const behind = () => 1 + Math.floor(random() * 20)
    const behaviours = [Provider.lagging({ behind })]
    const lagging = yield* Provider.make({ chain: served, behaviours, onRequest, seed })
    const good = yield* Provider.make({ chain: served, onRequest })
    const urls = seed % 2 === 0 ? [lagging.url, good.url] : [good.url, lagging.url]
    const core = Layer.fresh(Sluice.layerCore).pipe(
      Layer.provide([Provider.source(urls), SessionLock.none]),
      Layer.provide(settings)
    )
    yield* Effect.gen(function* () {
      const { status } = yield* Sluice
      const isWhole = Effect.gen(function* () {
        const { phase, store } = yield* status
        return phase === "following" && store.tip?.number === height && (yield* head) === height
      })
      yield* Effect.repeat(isWhole, { schedule: Schedule.spaced("10 millis"), until: (there) => there }).pipe(
        Effect.timeoutOrElse({
          duration: "50 seconds",
          orElse: () =>
            Effect.flatMap(status, ({ head, phase, reason, store }) =>
              Effect.die({ seed, head: head?.number, phase, reason, coverage: store.coverage })
            )
        })
      )
    }).pipe(Effect.provide(core))
    const store = yield* Store
    const { coverage, lastReorg } = yield* store.state
    assert.deepStrictEqual(coverage, [{ from: 0, to: height, level: "proven" }], `seed ${seed}`)
    assert.isUndefined(lastReorg, `seed ${seed}`)
    const { all, everOther } = yield* RowStore.Rows
    const honest = (number: number) => provable.honestRows(chain, number)
    const rows = yield* all
    const missing = provable.numbers(chain).filter((number) => rows.get(number) !== honest(number))
    assert.deepStrictEqual([missing, yield* everOther(honest)], [[], []], `seed ${seed}`)
    return lagging.stats.notes
  },
  Effect.scoped,
  Effect.provide(Layer.fresh(RowStore.layer))
)

describe("from backfill to following", () => {
  it.live(
    `${count} times beside an endpoint that lags, without a gap`,
    () =>
      Effect.gen(function* () {
        const chain = yield* provable.make(height)
        const seeds = Array.from({ length: count }, (_, i) => i + 1)
        const notes = yield* Effect.forEach(seeds, (seed) => handOver(chain, seed), { concurrency: 5 })
        // Otherwise nothing was tried. Chance decides whom a single run asks, not whom a hundred ask.
        const lacked = notes.flatMap((note) => Object.values(note)).reduce((sum, n) => sum + n, 0)
        if (count >= 100) assert.isAbove(lacked, count / 2)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")),
    Math.max(60_000, count * 10_000)
  )
})
