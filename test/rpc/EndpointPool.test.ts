import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Logger, Redacted, Ref } from "effect"
import { TestClock } from "effect/testing"
import type { Hex } from "../../src/chain/Block.ts"
import { EndpointMemory } from "../../src/rpc/EndpointMemory.ts"
import { EndpointPool, type EndpointPoolOptions } from "../../src/rpc/EndpointPool.ts"
import { initial, type Memory, memoryOf, struck } from "../../src/rpc/EndpointState.ts"
import * as Headers from "../../src/rpc/Headers.ts"
import { Inconsistent } from "../../src/rpc/ProviderFault.ts"
import { extend } from "../support/SimulatedChain.ts"
import * as VirtualNode from "../support/VirtualNode.ts"

const chain = extend([], 50)

/** A node that can be told what to do, and that remembers when it was asked for what. */
const scripted = (height = chain.length, millis = 10) => {
  const asked: Array<{ readonly at: number; readonly methods: ReadonlyArray<string> }> = []
  const honest = VirtualNode.node(() => chain.slice(0, height), millis)
  const node = {
    instead: undefined as VirtualNode.Respond | undefined,
    asked,
    /** HTTP requests for blocks and receipts since some time. */
    since: (at: number) => asked.filter((request) => request.at >= at && request.methods.length > 0).length,
    respond: ((calls) =>
      Effect.gen(function* () {
        asked.push({ at: yield* Clock.currentTimeMillis, methods: calls.map(({ method }) => method) })
        return yield* (node.instead ?? honest)(calls)
      })) as VirtualNode.Respond
  }
  return node
}

const pool = (
  nodes: Readonly<Record<string, { readonly respond: VirtualNode.Respond }>>,
  options: Partial<EndpointPoolOptions> = {}
) =>
  EndpointPool.layer({
    urls: Object.keys(nodes).map((host) => Redacted.make(`http://${host}/key`)),
    chainId: 31_337,
    maxRetries: 8,
    timeout: Duration.seconds(30),
    maxResponseBytes: 1_000_000,
    concurrency: 8,
    prices: new Map(),
    ...options
  }).pipe(
    Layer.provide(
      VirtualNode.layer(
        Object.fromEntries(Object.entries(nodes).map(([host, { respond }]) => [host, respond]))
      )
    )
  )

/** Lets virtual time pass until the effect is done. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>, step: Duration.Input = "50 millis") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < 100_000 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust(step)
    return yield* Fiber.join(fiber)
  })

const block = (number: number) =>
  Effect.flatMap(EndpointPool, ({ use }) =>
    use((endpoint) => Effect.as(Headers.header(endpoint, number), endpoint.id), {
      method: "eth_getBlockByNumber",
      from: number,
      to: number
    })
  )

const health = Effect.flatMap(EndpointPool, (all) => all.health)
const standings = Effect.map(health, (all) => all.map(({ standing }) => standing))

const error =
  (message: string, code = -32_000): VirtualNode.Respond =>
  (calls) =>
    Effect.succeed(VirtualNode.answers(calls, () => ({ error: { code, message } })))

/** Fails everything but the question for the chain's id. */
const broken: VirtualNode.Respond = () => Effect.succeed({ status: 502, body: "<html>bad gateway</html>" })

const many = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => i % 40),
    (number) => finish(block(number)),
    { discard: true }
  )

describe("whom it asks", () => {
  it.effect("spreads requests over endpoints that are equally good", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      const ids = yield* finish(
        Effect.forEach(Array.from({ length: 40 }), () => block(3), { concurrency: 8 })
      )
      const first = ids.filter((id) => id === "rpc-1").length
      assert.isAbove(first, 10)
      assert.isBelow(first, 30)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("prefers the fast one, and tries the slow one again later", () => {
    const nodes = { a: scripted(chain.length, 400), b: scripted() }
    return Effect.gen(function* () {
      yield* many(40)
      assert.isBelow(nodes.a.asked.length, 8)
      const before = nodes.a.asked.length
      yield* TestClock.adjust("10 minutes")
      yield* many(40)
      assert.isAbove(nodes.a.asked.length, before)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("never asks for a block above an endpoint's head", () => {
    const nodes = { a: scripted(10), b: scripted() }
    return Effect.gen(function* () {
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* finish(block(20 + i)), "rpc-2")
      assert.deepStrictEqual(
        nodes.a.asked.flatMap(({ methods }) => methods).filter((method) => method !== "eth_chainId"),
        ["eth_getBlockByNumber"]
      )
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("says where everybody is when nobody has the block", () => {
    const nodes = { a: scripted(10), b: scripted(12) }
    return Effect.gen(function* () {
      const fault = yield* Effect.flip(finish(block(20)))
      assert.strictEqual(fault.reason._tag, "HeadLag")
      assert.match(fault.message, /nobody has block 20 yet: rpc-1 is at 9, rpc-2 is at 11/)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("does not ask again for what was pruned", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 100) }
    nodes.a.instead = (calls) =>
      Number(calls[0]?.params[0]) < 30
        ? error("missing trie node abc")(calls)
        : VirtualNode.node(() => chain)(calls)
    return Effect.gen(function* () {
      assert.strictEqual(yield* finish(block(29)), "rpc-2")
      const { length } = nodes.a.asked
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* finish(block(i)), "rpc-2")
      assert.lengthOf(nodes.a.asked, length)
      assert.strictEqual(yield* finish(block(40)), "rpc-1")
    }).pipe(Effect.provide(pool(nodes)))
  })
})

describe("faults", () => {
  it.effect("asks somebody else at once, and the same one with backoff", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 200) }
    nodes.a.instead = broken
    return Effect.gen(function* () {
      assert.strictEqual(yield* finish(block(1), "1 millis"), "rpc-2")
      assert.isBelow(yield* Clock.currentTimeMillis, 1000)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("never asks more than MAX_RETRIES times again", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      yield* many(10)
      const before = nodes.a.asked.length + nodes.b.asked.length
      nodes.a.instead = nodes.b.instead = broken
      yield* Effect.flip(finish(block(1)))
      // The first failures may make it ask who it is talking to once more.
      const asked = [...nodes.a.asked, ...nodes.b.asked].filter(
        ({ methods }) => methods[0] === "eth_getBlockByNumber"
      )
      assert.isAtMost(asked.length - before, 4)
    }).pipe(Effect.provide(pool(nodes, { maxRetries: 3 })))
  })

  it.effect("what is permanent is asked of everybody once", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      yield* many(4)
      nodes.a.asked.length = nodes.b.asked.length = 0
      nodes.a.instead = nodes.b.instead = error("invalid argument 0: hex string without 0x prefix", -32_602)
      const fault = yield* Effect.flip(finish(block(1)))
      assert.strictEqual(fault.reason._tag, "Rejected")
      assert.deepStrictEqual([nodes.a.asked.length, nodes.b.asked.length], [1, 1])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("a request that hangs is asked of another endpoint too", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 100) }
    return Effect.gen(function* () {
      yield* many(10)
      nodes.a.instead = () => Effect.never
      const before = yield* Clock.currentTimeMillis
      assert.strictEqual(yield* finish(block(1)), "rpc-2")
      assert.isBelow((yield* Clock.currentTimeMillis) - before, 2000)
      // It is not asked first any more.
      const { length } = nodes.a.asked
      for (let i = 0; i < 10; i++) yield* finish(block(i))
      assert.isAtMost(nodes.a.asked.length, length + 2)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("when everybody is down it backs off to 30 s, says so, and goes on by itself", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      yield* many(4)
      nodes.a.instead = nodes.b.instead = () => Effect.succeed("refused")
      // As the stream does it: what fails is asked for again.
      const waiting = yield* Effect.forkChild(Effect.retry(block(1), { times: 1000 }))
      for (let i = 0; i < 600; i++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* standings, ["down", "down"])
      assert.match((yield* health)[0]?.lastFault ?? "", /ECONNREFUSED/)
      const now = yield* Clock.currentTimeMillis
      assert.isBelow(nodes.a.since(now - 120_000), 10)
      assert.isAbove(nodes.a.since(now - 120_000), 1)
      nodes.a.instead = undefined
      for (let i = 0; i < 31; i++) yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), "rpc-1")
      assert.deepStrictEqual(yield* standings, ["available", "down"])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("half of the answers are enough to stay in use, but not first", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 15) }
    let turn = 0
    nodes.a.instead = (calls) => (turn++ % 2 === 0 ? broken(calls) : VirtualNode.node(() => chain)(calls))
    return Effect.gen(function* () {
      yield* many(200)
      assert.isAbove(nodes.b.asked.length, 3 * nodes.a.asked.length)
      assert.deepStrictEqual(yield* standings, ["available", "available"])
    }).pipe(Effect.provide(pool(nodes)))
  })
})

describe("limits", () => {
  it.effect("a wait that was told is kept by everybody", () => {
    const nodes = { a: scripted() }
    return Effect.gen(function* () {
      yield* many(2)
      const asked = yield* Clock.currentTimeMillis
      nodes.a.instead = (calls) =>
        Effect.sync(() => {
          nodes.a.instead = undefined
          return {
            status: 429,
            headers: { "retry-after": "20" },
            body: VirtualNode.answers(calls, () => ({ error: { code: 429, message: "Too many requests" } }))
          }
        }).pipe(Effect.map(({ body, ...rest }) => ({ ...rest, body: body === "refused" ? "" : body.body })))
      yield* finish(Effect.forEach([1, 2, 3, 4, 5, 6], block, { concurrency: 3 }), "100 millis")
      const told = nodes.a.asked.find(({ at }) => at >= asked)?.at ?? 0
      // Those that were under way already are no violation.
      const early = nodes.a.asked.filter(({ at }) => at > told + 10 && at < told + 20_000)
      assert.isEmpty(early)
      assert.isAtMost((yield* Clock.currentTimeMillis) - told, 25_000)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("learns five calls a second, and stays near them", () => {
    const nodes = { a: scripted() }
    let tokens = 5
    let at = 0
    let refusals = 0
    nodes.a.instead = (calls) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        tokens = Math.min(5, tokens + ((now - at) / 1000) * 5)
        at = now
        if (tokens < calls.length) {
          refusals++
          return { status: 429, body: "slow down" }
        }
        tokens -= calls.length
        return yield* VirtualNode.node(() => chain)(calls)
      })
    return Effect.gen(function* () {
      const answered = yield* Ref.make(0)
      const ask = Effect.andThen(
        Effect.ignore(block(1)),
        Ref.update(answered, (n) => n + 1)
      )
      yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 8 }), () => Effect.forever(ask), { concurrency: "unbounded" })
      )
      for (let i = 0; i < 6000; i++) yield* TestClock.adjust("20 millis")
      assert.isAbove(yield* Ref.get(answered), 120 * 5 * 0.7)
      assert.isBelow(refusals, 60)
      const [{ perSecond } = { perSecond: undefined }] = yield* health
      assert.isAbove(perSecond ?? 0, 2)
      assert.isBelow(perSecond ?? 100, 8)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("a batch that is too much by itself is halved until it passes", () => {
    const nodes = { a: scripted() }
    nodes.a.instead = (calls) =>
      calls.length > 5
        ? Effect.succeed({ status: 429, body: "slow down" })
        : VirtualNode.node(() => chain)(calls)
    return Effect.gen(function* () {
      const { endpoints, use } = yield* EndpointPool
      const batch = use(
        (endpoint) =>
          Effect.gen(function* () {
            const { maxBatch } = yield* Ref.get(endpoint.state)
            return yield* endpoint.send(Array.from({ length: Math.min(40, maxBatch) }, () => Headers.call(1)))
          }),
        { method: "eth_getBlockByNumber" }
      )
      yield* finish(Effect.retry(batch, { times: 10 }))
      assert.strictEqual((yield* Ref.get(endpoints[0]?.state ?? Ref.makeUnsafe(initial))).maxBatch, 5)
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("a quota that is used up lets the endpoint rest, and others work", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 200) }
    return Effect.gen(function* () {
      yield* many(4)
      nodes.a.instead = error("Monthly capacity limit exceeded. Visit the dashboard to upgrade", 429)
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* finish(block(i)), "rpc-2")
      assert.deepStrictEqual(yield* standings, ["resting", "available"])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("a timeout narrows what is asked at once, answers widen it", () => {
    const nodes = { a: scripted() }
    return Effect.gen(function* () {
      yield* many(4)
      const width = Effect.map(health, ([first]) => first?.concurrency)
      assert.strictEqual(yield* width, 8)
      nodes.a.instead = () => Effect.never
      const asking = yield* Effect.forkChild(Effect.ignore(block(1)))
      yield* TestClock.adjust("31 seconds")
      yield* Fiber.interrupt(asking)
      assert.strictEqual(yield* width, 4)
      nodes.a.instead = undefined
      yield* many(30)
      assert.strictEqual(yield* width, 8)
    }).pipe(Effect.provide(pool(nodes, { timeout: Duration.seconds(30) })))
  })
})

describe("wrong answers", () => {
  const wrong = (detail: string) => new Inconsistent({ check: "receipts root", detail })

  /** Asks for a block, and finds the answers of these endpoints wrong. */
  const proving = (...liars: ReadonlyArray<string>) =>
    Effect.flatMap(EndpointPool, ({ use }) =>
      use(
        (endpoint) =>
          liars.includes(endpoint.id)
            ? Effect.andThen(
                Headers.header(endpoint, 1),
                Effect.fail(endpoint.fault("eth_getBlockByNumber", wrong("got 0xa, expected 0xb")))
              )
            : Effect.as(Headers.header(endpoint, 1), endpoint.id),
        { method: "eth_getBlockByNumber" }
      )
    )

  it.effect("three in ten minutes put an endpoint out of use for an hour", () => {
    const nodes = { a: scripted(), b: scripted(chain.length, 300) }
    return Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(yield* finish(proving("rpc-1")), "rpc-2")
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(yield* standings, ["out", "available"])
      const { length } = nodes.a.asked
      for (let i = 0; i < 50; i++) {
        yield* finish(proving("rpc-1"))
        yield* TestClock.adjust("1 minute")
      }
      assert.lengthOf(nodes.a.asked, length)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* standings, ["available", "available"])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it("two in ten minutes do not", () => {
    const minute = 60_000
    const strikes = (...minutes: ReadonlyArray<number>) =>
      minutes.reduce((state, at) => struck(state, at * minute), initial).outUntil / minute
    assert.strictEqual(strikes(0, 1, 10, 11, 20, 21), 0)
    assert.strictEqual(strikes(0, 1, 9), 69)
  })

  it.effect("what all agree on halts the request, says what did not fit, and counts against nobody", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      for (let i = 0; i < 5; i++) {
        const fault = yield* Effect.flip(finish(proving("rpc-1", "rpc-2")))
        assert.strictEqual(fault.reason._tag, "Inconsistent")
        assert.match(fault.message, /got 0xa, expected 0xb/)
      }
      assert.deepStrictEqual(yield* standings, ["available", "available"])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("who is alone stays in use: what it says is proven anyway", () => {
    const nodes = { a: scripted() }
    return Effect.gen(function* () {
      for (let i = 0; i < 4; i++) {
        let asked = 0
        const { use } = yield* EndpointPool
        yield* finish(
          use(
            (endpoint) =>
              asked++ === 0
                ? Effect.fail(endpoint.fault("eth_getBlockByNumber", wrong(`slip ${i}`)))
                : Headers.header(endpoint, 1),
            { method: "eth_getBlockByNumber" }
          )
        )
      }
      assert.deepStrictEqual(yield* standings, ["out"])
      assert.strictEqual(yield* finish(block(1)), "rpc-1")
    }).pipe(Effect.provide(pool(nodes)))
  })
})

describe("identity", () => {
  const other = extend([], 50, 7)
  const genesisOf = (blocks: typeof chain): Hex => blocks[0]?.block.hash ?? "0x"

  it.effect("another genesis removes an endpoint, with one log line", () => {
    const nodes = { a: scripted(), b: scripted(), c: scripted() }
    nodes.b.instead = VirtualNode.node(() => other)
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const { genesis } = yield* EndpointPool
      assert.strictEqual(yield* finish(genesis(undefined)), genesisOf(chain))
      yield* many(20)
      assert.deepStrictEqual(yield* standings, ["available", "removed", "available"])
      assert.deepStrictEqual(
        lines.filter((line) => line.includes("left out")),
        ["endpoint left out"]
      )
    }).pipe(Effect.provide(Layer.provideMerge(pool(nodes), Logger.layer([logger]))))
  })

  it.effect("what is pinned counts more than what most say; when nobody serves it, theirs is told", () => {
    const nodes = { a: scripted(), b: scripted(), c: scripted() }
    nodes.b.instead = VirtualNode.node(() => other)
    return Effect.gen(function* () {
      const { genesis } = yield* EndpointPool
      assert.strictEqual(yield* finish(genesis("0xabc")), genesisOf(chain))
      assert.strictEqual(yield* finish(genesis(genesisOf(other))), genesisOf(other))
      assert.deepStrictEqual(yield* standings, ["removed", "available", "removed"])
    }).pipe(Effect.provide(pool(nodes)))
  })

  it.effect("who comes back is asked again who it is", () => {
    const nodes = { a: scripted(), b: scripted() }
    return Effect.gen(function* () {
      const { genesis } = yield* EndpointPool
      yield* finish(genesis(undefined))
      nodes.a.instead = () => Effect.succeed("refused")
      yield* finish(
        Effect.flatMap(EndpointPool, ({ ask, endpoints }) =>
          Effect.forEach(Array.from({ length: 6 }), () =>
            Effect.forEach(endpoints.slice(0, 1), (first) => Effect.ignore(ask(first, Headers.latest)))
          )
        )
      )
      assert.deepStrictEqual(yield* standings, ["down", "available"])
      nodes.a.instead = VirtualNode.node(() => other)
      yield* TestClock.adjust("1 minute")
      yield* many(20)
      assert.deepStrictEqual(yield* standings, ["removed", "available"])
    }).pipe(Effect.provide(pool(nodes)))
  })
})

describe("memory", () => {
  it.effect("goes by the URL, and survives a restart", () => {
    const kept = new Map<string, Memory>()
    const memory = Layer.succeed(EndpointMemory)({
      load: Effect.sync(() => new Map(kept)),
      save: (memories) =>
        Effect.sync(() => {
          for (const [key, known] of memories) kept.set(key, known)
        })
    })
    const run = <A, E>(hosts: ReadonlyArray<string>, effect: Effect.Effect<A, E, EndpointPool>) =>
      effect.pipe(
        Effect.provide(
          pool(Object.fromEntries(hosts.map((host) => [host, scripted()]))).pipe(Layer.provide(memory))
        )
      )
    return Effect.gen(function* () {
      yield* run(
        ["a", "b"],
        Effect.flatMap(EndpointPool, ({ endpoints }) =>
          Effect.forEach(endpoints.slice(0, 1), ({ state }) =>
            Ref.update(state, (s) => ({ ...s, maxBatch: 3, outUntil: 5_000_000 }))
          )
        )
      )
      assert.sameMembers(
        [...kept.keys()].map((key) => key.split("#")[0]),
        ["a", "b"]
      )
      assert.isFalse([...kept.keys()].some((key) => key.includes("key")))
      const known = yield* run(
        ["b", "a"],
        Effect.flatMap(EndpointPool, ({ endpoints }) =>
          Effect.forEach(endpoints, ({ state }) => Effect.map(Ref.get(state), memoryOf))
        )
      )
      assert.deepStrictEqual(
        known.map(({ maxBatch, outUntil }) => [maxBatch, outUntil]),
        [
          [100, 0],
          [3, 5_000_000]
        ]
      )
    })
  })
})
