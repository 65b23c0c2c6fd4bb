/** A key planted wherever a URL can hold one must not come out of anything that is shown. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { show, showUrl } from "../../src/config/Redaction.ts"
import { renderError, renderJson, renderTable } from "../../src/config/Render.ts"
import { Settings } from "../../src/config/Settings.ts"
import { failure, host } from "./support.ts"

const key = "S3CR3TK3Y"

/** URLs that are right but for their scheme, perhaps. */
const planted = (scheme: string) => [
  `${scheme}://eth.example.com/v2/${key}`,
  `${scheme}://eth.example.com/?apikey=${key}`,
  `${scheme}://eth.example.com/#${key}`,
  `${scheme}://${key}@eth.example.com/x`,
  `${scheme}://user:${key}@eth.example.com:5432/x`
]

const mangled = (scheme: string) => [
  key,
  ` ${key} `,
  `${key}:x`,
  `${key}@eth.example.com`,
  `${scheme}//eth.example.com/${key}`,
  `${scheme}:${key}`,
  `${scheme}:/${key}`,
  `${scheme}:///${key}`,
  `${scheme}:\\\\${key}`,
  `${scheme}://\\${key}`,
  `${scheme}://user:a/${key}@eth.example.com/x`,
  `${scheme}://user:12#${key}@eth.example.com/x`,
  `${scheme}://user:12?${key}@eth.example.com/x`,
  `${scheme}://user:${key}/@eth.example.com/x`,
  `nonsense://eth.example.com/${key}`,
  `${key}://eth.example.com/`,
  `${scheme}://eth.example.com:99999/${key}`,
  `${scheme}://eth.example.com/a,${key}`,
  `"${scheme}://eth.example.com/${key}"`
]

const secrets = [
  ["RPC_URL", "rpc-url", "https"],
  ["WS_URL", "ws-url", "wss"],
  ["DATABASE_URL", "database-url", "postgres"]
] as const

const clean = (text: string) => expect(text.toLowerCase()).not.toContain(key.toLowerCase())

const cases = secrets.flatMap(([env, flag, scheme]) =>
  [...planted(scheme), ...mangled(scheme), ...planted("ftp")].map((given) => [env, flag, given] as const)
)

describe("a key in", () => {
  it.effect.each(cases)("%s (or --%s) %s stays inside", ([env, flag, given]) =>
    Effect.gen(function* () {
      const base = { PROFILE: "mainnet", RPC_URL: "https://eth.example.com" }
      for (const input of [
        { env: { ...base, [env]: given }, flags: {}, host },
        { env: base, flags: { [flag]: given }, host }
      ]) {
        const result = yield* Effect.result(Settings.resolve(input))
        if (result._tag === "Failure") {
          clean(renderError(result.failure))
          clean(result.failure.message)
          clean(String(result.failure))
          clean(JSON.stringify(result.failure))
          clean(result.failure.stack ?? "")
        } else {
          clean(renderTable(result.success))
          clean(renderJson(result.success))
          clean(JSON.stringify(result.success))
          clean(String(result.success.settings.rpcUrls))
        }
      }
    })
  )

  it.effect("an option stays inside", () =>
    Effect.gen(function* () {
      const settings = yield* Settings.make({
        profile: "mainnet",
        rpcUrls: planted("https"),
        wsUrl: Redacted.make(`wss://a.example/${key}`),
        databaseUrl: `postgres://u:${key}@db/x`
      })
      clean(JSON.stringify(settings))
      clean(`${settings.wsUrl} ${settings.databaseUrl} ${settings.rpcUrls}`)
      expect(String(settings.wsUrl)).toBe("<redacted:a.example>")
    })
  )

  it.effect("a URL pasted into another setting stays inside", () =>
    Effect.gen(function* () {
      const env = {
        PROFILE: "anvil",
        HTTP_HOST: `https://eth.example.com/${key}`,
        INSTANCE_ID: `x https://y/${key}`,
        DATABASE_SCHEMA: `https:/${key}`
      }
      const error = yield* failure({ env, flags: {}, host })
      expect(error.problems).toHaveLength(3)
      clean(error.message)
    })
  )
})

it.each([
  ["https://eth.example.com", "https://eth.example.com"],
  ["https://eth.example.com/", "https://eth.example.com"],
  ["http://localhost:8545", "http://localhost:8545"],
  ["https://eth.example.com/v2/key", "https://eth.example.com/…"],
  ["postgres://u:p@db:5432/x", "postgres://db:5432/…"],
  ["postgresql:///x?host=/run&password=p", "<redacted>"],
  ["nonsense", "<redacted>"]
])("%s is shown as %s", (given, shown) => {
  expect(showUrl(given)).toBe(shown)
})

it.effect.prop(
  "what is shown is one short line",
  { text: Schema.String, secret: Schema.Boolean },
  ({ text, secret }) =>
    Effect.sync(() => {
      const shown = show(text, { secret })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(shown).not.toMatch(/[\u0000-\u001f\u007f]/)
    })
)
