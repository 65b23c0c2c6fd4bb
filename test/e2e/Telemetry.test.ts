/**
 * What a running program tells its operators: `/metrics`, and metrics and traces for a collector, which may be well,
 * slow or away, and which is told no key.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Behaviour } from "../../bench/provider.mjs"
import { declared } from "../../src/flow/MetricsDoc.ts"
import * as Collector from "../support/collector.ts"
import * as Program from "../support/Program.ts"
import * as Provider from "../support/Provider.ts"
import * as prometheus from "../support/prometheus.ts"
import * as provable from "../support/provable.ts"

const keyOf = (where: string): string => `S3cr3tT${where}Qx7zW9kLm`

/** `http://user:password@host/path/key?apikey=key`. */
const plant = (host: string, name: string): string =>
  `http://${keyOf(`${name}User`)}:${keyOf(`${name}Password`)}@${host}/v3/${keyOf(`${name}Path`)}?apikey=${keyOf(`${name}Query`)}`

/** Fails every tenth request, and says the URL that it was asked at. */
const careless: Behaviour = {
  instead: ({ headers, random, url }) =>
    random() < 0.1 ? { status: 503, body: `upstream http://${headers["host"]}${url} is down` } : undefined
}

/** Says once that the transactions of block 100 failed. */
const lyingOnce = (): Behaviour => {
  let lied = false
  return {
    answering: () => (call, chain) => {
      if (lied || call.method !== "eth_getBlockReceipts" || Number(call.params[0]) !== 100) return undefined
      lied = true
      return { result: chain.receipts(100).replaceAll('"status":"0x1"', '"status":"0x0"') }
    }
  }
}

const leaks = (text: string): ReadonlyArray<string> => {
  const found = [...text.matchAll(/.{0,60}S3cr3tT\w+/g)].map(([all]) => all)
  const encoded = ["provider", "collector", "database"].flatMap((name) => {
    const pair = `${keyOf(`${name}User`)}:${keyOf(`${name}Password`)}`
    const base64 = Buffer.from(pair).toString("base64").replace(/=+$/, "")
    return text.includes(base64) ? [`${name} in base64`] : []
  })
  return [...found, ...encoded]
}

const world = Effect.gen(function* () {
  const chain = yield* provable.make(160)
  const provider = yield* Provider.make({ chain: provable.whole(chain), behaviours: [careless, lyingOnce()] })
  const RPC_URL = plant(new URL(provider.url).host, "provider")
  return { env: { RPC_URL, LOG_LEVEL: "Trace" }, provider }
})

const flags = ["--profile=anvil", "--poll-interval=20ms", "--rpc-timeout=2s", "--confirmation-depth=0"]

const isCaughtUp = (status: { readonly committed_cursor: number | null }) => status.committed_cursor === 160

describe("telemetry of a process", () => {
  it.live("reaches a collector: metrics, and commits that are linked to their fetches, and no key", () =>
    Effect.gen(function* () {
      const { env, provider } = yield* world
      const collector = yield* Collector.make()
      const program = yield* Program.start([...flags, `--data-dir=${yield* Program.dataDir}`], {
        ...env,
        // A fault ends its fetch, which is made again.
        MAX_RETRIES: "0",
        // Metrics of tokens are there where there are tokens.
        CONTRACTS: "contracts/demo.json",
        OTEL_EXPORTER_OTLP_ENDPOINT: plant(collector.host, "collector")
      })
      yield* Program.until(program, isCaughtUp)
      const base = yield* program.url
      // Requests and statements make no spans.
      yield* Effect.promise(() => fetch(`${base}/api/status?apikey=${keyOf("visitor")}`))
      yield* Effect.sleep("1200 millis")
      const page = prometheus.parse(
        yield* Effect.promise(async () => (await fetch(`${base}/metrics`)).text())
      )
      yield* program.kill("SIGTERM")
      assert.deepStrictEqual(yield* program.exited, { code: 0, signal: null })

      // What /metrics says.
      assert.sameMembers(
        [...page.keys()],
        declared.map(({ name }) => name)
      )
      const wrong = page.get("indexer_rpc_wrong_answers_total")?.samples ?? []
      assert.deepStrictEqual(
        wrong.map(({ labels, value }) => [labels, value]),
        [[{ endpoint: "rpc-1", check: "receipts root" }, 1]]
      )
      assert.strictEqual(prometheus.value(page, "indexer_proof_failures_total", { what: "receipts root" }), 1)
      const faults = prometheus.value(page, "indexer_rpc_faults_total", {
        endpoint: "rpc-1",
        reason: "Unavailable"
      })
      assert.isAbove(faults ?? 0, 0)
      const none = { endpoint: "rpc-1", reason: "RateLimited" }
      assert.strictEqual(prometheus.value(page, "indexer_rpc_faults_total", none), 0)
      const requests = prometheus.value(page, "indexer_rpc_latency_seconds_count", { endpoint: "rpc-1" })
      assert.isAtLeast(requests ?? 0, faults ?? 0)
      assert.strictEqual(prometheus.value(page, "indexer_cursor_block"), 160)

      // What the collector got.
      const { received } = collector
      const authorization = Buffer.from(`${keyOf("collectorUser")}:${keyOf("collectorPassword")}`).toString(
        "base64"
      )
      for (const { headers, url } of received) {
        assert.match(
          url,
          new RegExp(
            `^/v3/${keyOf("collectorPath")}/v1/(metrics|traces)\\?apikey=${keyOf("collectorQuery")}$`
          )
        )
        assert.strictEqual(headers["authorization"], `Basic ${authorization}`)
      }
      assert.includeMembers([...Collector.metricNames(received)], [...page.keys()])
      const spans = Collector.spans(received)
      assert.sameMembers([...new Set(spans.map(({ name }) => name))], ["commit", "fetch"])
      const fetches = new Map(spans.filter(({ name }) => name === "fetch").map((span) => [span.spanId, span]))
      const commits = spans.filter(({ name }) => name === "commit")
      let written = 0
      for (const commit of commits) {
        const { blocks, epoch, from, to } = Collector.attributes(commit)
        assert.strictEqual(epoch, 1)
        assert.isAtLeast(Number(to), Number(from))
        written += Number(blocks)
        assert.isNotEmpty(commit.links)
        for (const { spanId, traceId } of commit.links) {
          const fetch = fetches.get(spanId)
          assert.strictEqual(fetch?.traceId, traceId)
          const fetched = fetch === undefined ? {} : Collector.attributes(fetch)
          assert.strictEqual(fetched["endpoint"], "rpc-1")
          assert.isAtMost(Number(fetched["from"]), Number(to))
          assert.isAtLeast(Number(fetched["to"]), Number(from))
        }
      }
      assert.strictEqual(written, 161)
      const failed = spans.filter(({ status }) => status.code === 2)
      assert.include(failed.map(({ status }) => status.message).join("\n"), "receipts root")

      // The bodies hold nothing of a URL, and the providers are not told of our traces.
      const bodies = received.map(({ body }) => body).join("\n")
      assert.deepStrictEqual(leaks(bodies), [])
      assert.notInclude(bodies, new URL(provider.url).host)
      assert.deepStrictEqual(leaks(program.output()), [])
    })
  )

  for (const how of ["away", "hanging"] as const) {
    it.live(`does not mind a collector that is ${how}, and says no key of it`, () =>
      Effect.gen(function* () {
        const { env } = yield* world
        const hanging = yield* Collector.make({ hanging: true })
        const program = yield* Program.start([...flags, `--data-dir=${yield* Program.dataDir}`], {
          ...env,
          OTEL_EXPORTER_OTLP_ENDPOINT: plant(how === "away" ? "127.0.0.1:1" : hanging.host, "collector")
        })
        yield* Program.until(program, isCaughtUp)
        // Long enough for the exporters to have tried, and failed.
        yield* Effect.sleep("12 seconds")
        const { phase } = yield* program.status
        assert.strictEqual(phase, "following")
        const asked = performance.now()
        yield* program.kill("SIGTERM")
        assert.deepStrictEqual(yield* program.exited, { code: 0, signal: null })
        assert.isBelow(performance.now() - asked, 4000)
        assert.deepStrictEqual(leaks(program.output()), [])
        if (how === "away") assert.include(program.output(), "Disabling exporter")
      })
    )
  }

  it.live("keeps the collector's keys out of the settings that it shows, right or wrong", () =>
    Effect.gen(function* () {
      const wrong = plant("127.0.0.1:1", "collector").replace("http:", "gopher:")
      for (const [args, url] of [
        [["config", "--profile=anvil"], plant("127.0.0.1:1", "collector")],
        [["config", "--profile=anvil", "--json"], plant("127.0.0.1:1", "collector")],
        [["config", "--profile=anvil"], wrong]
      ] as const) {
        const program = yield* Program.start([...args], { OTEL_EXPORTER_OTLP_ENDPOINT: url })
        yield* program.exited
        assert.include(program.output(), "OTEL_EXPORTER_OTLP_ENDPOINT")
        assert.deepStrictEqual(leaks(program.output()), [])
      }
    })
  )
})
