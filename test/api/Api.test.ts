import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Server from "../../src/api/Server.ts"
import { type Shown, Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { SimulatedChain } from "../support/SimulatedChain.ts"
import { expectedTotals, isWhole, phaseIs, settings, until, world } from "../support/simulated.ts"

/** Fetches a path from a Sluice that is running inside the test. */
const get = (path: string) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Shown>()
    const { dispose, handler } = HttpRouter.toWebHandler(
      Server.routes.pipe(
        Layer.provide(Layer.succeedContext(context)),
        Layer.provide(HttpServer.layerServices)
      ),
      { disableLogger: true }
    )
    const response = yield* Effect.promise(() => handler(new Request(`http://sluice${path}`)))
    const text = yield* Effect.promise(() => response.text())
    yield* Effect.promise(() => dispose())
    return { status: response.status, text, type: response.headers.get("content-type") ?? "" }
  })

const json = (path: string) =>
  Effect.map(get(path), ({ status, text }) => ({ status, body: text === "" ? undefined : JSON.parse(text) }))

const running = (options: Parameters<typeof settings>[0] = {}) =>
  Layer.fresh(Sluice.layerCore).pipe(Layer.provide(SessionLock.none), Layer.provideMerge(settings(options)))

describe("the HTTP API", () => {
  it.effect("says where it is, with totals that the tables have", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        yield* until(phaseIs("following"))
        const { body, status } = yield* json("/api/status")
        assert.strictEqual(status, 200)
        assert.deepInclude(body, {
          chain_id: 31337,
          profile: "anvil",
          phase: "following",
          committed_cursor: 40,
          sync_progress_percent: 100,
          eta_seconds: 0
        })
        assert.deepStrictEqual(body.totals, yield* expectedTotals)
        assert.deepStrictEqual(body.coverage, {
          proven: 0,
          linked: 41,
          events: 0,
          ranges: [{ from: 0, to: 40, level: "linked" }]
        })
        assert.deepInclude(body.lease, { epoch: 1, ours: true })
      }).pipe(Effect.provide(running()))
    }).pipe(Effect.provide(world(40)))
  )

  it.effect("is ready when it follows, and not when it halts", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* chain.setFinalized(18)
      yield* Effect.gen(function* () {
        yield* until(phaseIs("following"))
        yield* until(Effect.map(json("/ready"), ({ status }) => status === 200))
        yield* chain.reorg(5, 6)
        yield* until(phaseIs("halted"))
        const { body, status } = yield* json("/ready")
        assert.strictEqual(status, 503)
        assert.match(body.reasons[0], /^halted: block 18 was final/)
        assert.deepStrictEqual(yield* json("/health"), { status: 200, body: { status: "ok" } })
      }).pipe(Effect.provide(running()))
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("lists the reorgs that were taken back, the newest first, a page at a time", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain
      yield* Effect.gen(function* () {
        yield* until(isWhole)
        for (const depth of [2, 3]) {
          yield* chain.reorg(depth, depth + 1)
          yield* until(isWhole)
        }
        const first = yield* json("/api/reorgs?limit=1")
        assert.strictEqual(first.status, 200)
        assert.strictEqual(first.body.reorgs.length, 1)
        assert.deepInclude(first.body.reorgs[0], { depth: 3 })
        assert.strictEqual(first.body.reorgs[0].removed.length, 3)
        const { body } = yield* json(`/api/reorgs?before=${first.body.next_before}`)
        assert.deepInclude(body.reorgs[0], { depth: 2 })
        assert.isNull(body.next_before)
        assert.strictEqual((yield* json("/api/reorgs?limit=0")).status, 400)
      }).pipe(Effect.provide(running()))
    }).pipe(Effect.provide(world(20)))
  )

  it.effect("has a page of its own at /, which asks nobody else", () =>
    Effect.gen(function* () {
      const page = yield* get("/")
      assert.strictEqual(page.status, 200)
      assert.match(page.type, /^text\/html/)
      const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? "")
      for (const file of files.filter((name) => /^\/(dashboard\/|uplot\.)/.test(name))) {
        assert.strictEqual((yield* get(file)).status, 200, file)
      }
      assert.deepStrictEqual(
        files.filter((name) => !/^[/#]/.test(name)),
        []
      )
    }).pipe(Effect.provide(running().pipe(Layer.provideMerge(world(2)))))
  )

  it.effect("documents itself without another host", () =>
    Effect.gen(function* () {
      const docs = yield* get("/docs")
      assert.strictEqual(docs.status, 200)
      assert.notMatch(docs.text.slice(0, 5000), /<script[^>]+src="https?:/)
      const { body } = yield* json("/openapi.json")
      assert.includeMembers(Object.keys(body.paths), ["/api/reorgs", "/api/status", "/health", "/ready"])
      assert.strictEqual((yield* get("/nothing")).status, 404)
    }).pipe(Effect.provide(running().pipe(Layer.provideMerge(world(2)))))
  )
})
