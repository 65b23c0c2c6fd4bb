/**
 * A key planted wherever a URL can hold one, with providers that say it back in every way they know: none of it comes
 * out of a running program, in its log or in an answer of its HTTP server, however much it is asked to log.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import type { Behaviour, Exchange } from "../../bench/provider.mjs"
import * as Program from "../support/Program.ts"
import * as Provider from "../support/Provider.ts"
import * as provable from "../support/provable.ts"

/** With characters that have to be encoded in a URL, as some keys have. */
const keyOf = (where: string): string => `S3cr+T=${where}Qx7zW9kLm`

const places = [
  "deadPath",
  "deadQuery",
  "deadUser",
  "deadPassword",
  "echoPath",
  "echoQuery",
  "echoUser",
  "echoPassword",
  "goodPath",
  "goodQuery",
  "goodUser",
  "goodPassword",
  "wsPath",
  "wsQuery",
  "databasePassword"
] as const
type Place = (typeof places)[number]

/** A key in the shapes that it may come back in; also what is said without the letters' case. */
const forms = (where: Place): ReadonlyArray<string> => {
  const key = keyOf(where)
  const base64 = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "")
  const user = where.replace("Password", "User")
  const pairs = where.endsWith("Password") ? [base64(`${keyOf(user)}:${key}`), base64(`sluice:${key}`)] : []
  const all = [
    key,
    encodeURIComponent(key),
    encodeURIComponent(encodeURIComponent(key)),
    base64(key),
    ...pairs
  ]
  return all.map((form) => form.toLowerCase())
}

/** `http://user:password@host/path/key?apikey=key` with a key in each of them. */
const plant = (base: string, name: "dead" | "echo" | "good"): string => {
  const key = (part: string) => encodeURIComponent(keyOf(`${name}${part}`))
  const url = new URL(base)
  return `http://${key("User")}:${key("Password")}@${url.host}/v3/${key("Path")}?apikey=${key("Query")}`
}

/** All that a provider knows of the caller's secrets, as careless ones say it. */
const echoes = ({ headers, url }: Exchange, host: string): ReadonlyArray<string> => {
  const credentials = String(headers["authorization"] ?? "").replace(/^Basic /, "")
  const [user, password] = Buffer.from(credentials, "base64").toString().split(":")
  const { pathname, searchParams } = new URL(url, "http://localhost")
  const project = pathname.split("/").at(-1) ?? ""
  const query = searchParams.get("apikey")
  return [
    `no access to http://${host}${url}`,
    `no access to http://${user}:${password}@${host}${url}`,
    `no access to ${host}${url}`,
    `no route for POST ${url}`,
    `project ${decodeURIComponent(project)} is over its limit`,
    `invalid project id "${project}"`,
    `invalid api key: ${query}`,
    `user ${user} with password ${password} is unknown`,
    `bad authorization: Basic ${credentials}`
  ]
}

/** 401 to everything, with the URL and the keys in a body that is JSON-RPC one time and text the next. */
const refusing: Behaviour = {
  instead: (exchange) => {
    const said = echoes(exchange, String(exchange.headers["host"]))
    const message = said[Math.floor(exchange.random() * said.length)] ?? ""
    const error = { code: -32_000, message, data: { request: { url: exchange.url } } }
    return exchange.random() < 0.5
      ? { status: 401, headers: { "www-authenticate": `Basic realm="${exchange.url}"` }, body: message }
      : {
          status: 401,
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ jsonrpc: "2.0", id: exchange.calls[0]?.id ?? null, error })
        }
  }
}

/** Now and then an error instead of an answer, for one call or for all, with the URL or a key in its words. */
const careless: Behaviour = {
  instead: (exchange) => {
    if (exchange.random() >= 0.3) return undefined
    const said = echoes(exchange, String(exchange.headers["host"]))
    const message = said[Math.floor(exchange.random() * said.length)] ?? ""
    const answers = exchange.calls.map(({ id }) => ({
      jsonrpc: "2.0",
      id,
      error: { code: -32_603, message }
    }))
    return exchange.random() < 0.3
      ? { status: 503, body: `<html><body><p>upstream: ${message}</p></body></html>` }
      : { status: 200, body: JSON.stringify(exchange.batch ? answers : answers[0]) }
  }
}

const routes = ["/", "/docs", "/openapi.json", "/api/status", "/ready", "/health", "/metrics", "/nowhere"]

/** Every answer of the HTTP server, with its headers. */
const answers = (base: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const texts = routes.map(async (route) => {
      const response = await fetch(`${base}${route}`, { redirect: "manual" })
      return `${route} ${response.status} ${JSON.stringify([...response.headers])}\n${await response.text()}`
    })
    return (await Promise.all(texts)).join("\n")
  })

/** Where `text` holds a key: its place, how often, and the words around the first. */
const leaks = (text: string): ReadonlyArray<string> => {
  const lower = text.toLowerCase()
  return places.flatMap((where) => {
    const pieces = forms(where).map((form) => ({ form, pieces: lower.split(form) }))
    const count = pieces.reduce((sum, { pieces }) => sum + pieces.length - 1, 0)
    const at = Math.min(...pieces.map(({ pieces }) => pieces[0]?.length ?? 0))
    return count === 0 ? [] : [`${where}, ${count} times: ${text.slice(Math.max(0, at - 120), at + 40)}`]
  })
}

const world = Effect.gen(function* () {
  const chain = yield* provable.make(160)
  const { grow, served } = provable.growing(chain, 60)
  const echo = yield* Provider.make({ chain: served, behaviours: [refusing] })
  const good = yield* Provider.make({
    chain: served,
    behaviours: [careless],
    onRequest: () => grow(1),
    seed: 3
  })
  const ws = new URL(echo.url)
  const key = (where: Place) => encodeURIComponent(keyOf(where))
  const env = {
    RPC_URL: [plant("http://127.0.0.1:1", "dead"), plant(echo.url, "echo"), plant(good.url, "good")].join(
      ","
    ),
    WS_URL: `ws://${ws.host}/ws/${key("wsPath")}?token=${key("wsQuery")}`,
    LOG_LEVEL: "Trace"
  }
  return { echo, env, good }
})

const flags = ["--profile=anvil", "--poll-interval=20ms", "--rpc-timeout=2s"]

describe("no key comes out of the program", () => {
  // Beside a WebSocket it polls seldom; without one it hears its providers' complaints all the time.
  for (const withSocket of [false, true]) {
    it.live(`that syncs from careless providers${withSocket ? ", beside a WebSocket" : ""}`, () =>
      Effect.gen(function* () {
        const { echo, env, good } = yield* world
        const { WS_URL, ...rest } = env
        const program = yield* Program.start(
          [...flags, `--data-dir=${yield* Program.dataDir}`],
          withSocket ? env : rest
        )
        const url = yield* program.url
        const said = [yield* answers(url)]
        const enough = withSocket ? 8 : 40
        yield* Program.until(program, (status) => {
          said.push(JSON.stringify(status))
          return good.stats.requests >= enough && echo.stats.requests > 0
        })
        said.push(yield* answers(url))
        yield* program.kill("SIGTERM")
        yield* program.exited
        assert.deepStrictEqual(leaks([...said, program.output()].join("\n")), [])
      })
    )
  }

  it.live("whose database refuses", () =>
    Effect.gen(function* () {
      const { env } = yield* world
      const password = encodeURIComponent(keyOf("databasePassword"))
      const program = yield* Program.start(flags, {
        ...env,
        DATABASE_URL: `postgres://sluice:${password}@127.0.0.1:1/chain`
      })
      // It tries again for a while, and gives up then; the first try says it all.
      yield* Effect.repeat(Effect.sync(program.output), {
        schedule: Schedule.spaced("20 millis"),
        until: (output) => output.includes("ECONNREFUSED")
      }).pipe(Effect.timeout("30 seconds"))
      yield* program.kill("SIGTERM")
      yield* program.exited
      assert.isNotEmpty(program.output())
      assert.deepStrictEqual(leaks(program.output()), [])
    })
  )

  it.live("that shows its settings", () =>
    Effect.gen(function* () {
      const { env } = yield* world
      const password = encodeURIComponent(keyOf("databasePassword"))
      const DATABASE_URL = `postgres://sluice:${password}@127.0.0.1:1/chain`
      for (const args of [
        ["config", "--profile=anvil"],
        ["config", "--profile=anvil", "--json"],
        ["--nonsense"]
      ]) {
        const program = yield* Program.start(args, { ...env, DATABASE_URL })
        yield* program.exited
        assert.isNotEmpty(program.output())
        assert.deepStrictEqual(leaks(program.output()), [])
      }
    })
  )
})
