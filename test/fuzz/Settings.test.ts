/**
 * Every setting with every hostile value, alone and together, from the environment and from flags: it holds, or one
 * error names all that is wrong and what was expected, with no secret and nothing that a terminal would obey.
 */
import { describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { all } from "../../src/config/Declarations.ts"
import { renderError, renderJson, renderTable } from "../../src/config/Render.ts"
import { Settings } from "../../src/config/Settings.ts"
import { SettingsError } from "../../src/config/SettingsError.ts"
import { host } from "../config/support.ts"
import * as Campaign from "./Campaign.ts"

const key = "S3CR3TK3Y"

/** What people paste, mistype and attack with; `{key}` never comes out. */
const values: ReadonlyArray<string> = [
  "",
  " ",
  "-",
  "--",
  "0",
  "1",
  "-1",
  "-0",
  "+1",
  "1.5",
  "1e3",
  "1e999",
  "NaN",
  "Infinity",
  "0x10",
  "0b1",
  "1_",
  "_1",
  "1__0",
  "1,2,3",
  "9007199254740993",
  "9".repeat(400),
  "9".repeat(200_000),
  "\u0661\u0662",
  "１２",
  "1 000",
  "null",
  "undefined",
  "true",
  "TRUE",
  "yes",
  "maybe",
  "[]",
  "{}",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "../../etc/passwd",
  "a\u0000b",
  "\u001b[2J\u001b[31mred",
  "line\nfeed",
  "carriage\rreturn",
  "\u2028",
  "\u202eesrever",
  "\ud800",
  "😀",
  "é".normalize("NFD"),
  "x".repeat(100_000),
  "'; drop table blocks; --",
  '"',
  "$(reboot)",
  "%s%n",
  "%00",
  "$\u007bjndi:ldap://x}",
  "1s",
  "0s",
  "1h1m",
  "-5m",
  "5M",
  "1ms",
  "99999999999h",
  "5 m",
  "64MiB",
  "64 mib",
  "-64MiB",
  "1e3MiB",
  "0.1B",
  "1 PB",
  "anvil",
  "ANVIL ",
  "mainnet",
  "main net",
  "http://",
  "https://",
  "http:///",
  "http://a b",
  "https://[::1",
  "https://:80",
  "wss://h:0",
  "postgres://",
  "javascript:alert(1)",
  `https://user:${key}@eth.example.com/v2/${key}?k=${key}`,
  `wss://eth.example.com/${key}`,
  `postgres://u:${key}@db/x`,
  `http://a/${key},ftp://b/${key}`,
  `https://eth.example.com/${key},,`,
  `https:/${key}`,
  `https://${key}:99999/`,
  "eth.example.com/v2",
  `redis://x:${key}@h/0`,
  "*=x",
  `eth_getLogs=75,eth_getLogs=75`,
  "eth_getLogs=-1",
  "eth_getLogs=1e9,*=",
  "=1",
  "*=1,*=1",
  ":::",
  "256.256.256.256",
  "a".repeat(254),
  "pg_x",
  "select",
  "Public",
  "x;y"
]

interface Part {
  readonly name: string
  readonly env: string
  readonly flag: string | undefined
  readonly value: string
}

const parts: ReadonlyArray<Part> = all.flatMap(([name, { env, flag }]) =>
  values.map((value) => ({ name, env, flag, value }))
)

/** Milliseconds that the text of a whole environment may take to be read. */
const patience = 500

const said = (text: string): string | undefined => {
  if (text.toLowerCase().includes(key.toLowerCase())) return `it names the key: ${text.slice(0, 300)}`
  if (/[^\P{Cc}\n]|[\u2028\u2029]/u.test(text))
    return `it would be obeyed: ${JSON.stringify(text).slice(0, 300)}`
  if (text.length > 60_000) return `it has ${text.length} letters`
  return undefined
}

const judge = (given: ReadonlyArray<Part>) =>
  Effect.gen(function* () {
    // Only what cannot be right without it.
    const base: Record<string, string> = { PROFILE: "mainnet", RPC_URL: "https://eth.example.com" }
    const env: Record<string, string> = {
      ...base,
      ...Object.fromEntries(given.map(({ env, value }) => [env, value]))
    }
    const flags = Object.fromEntries(
      given.flatMap(({ flag, value }, i) => (flag === undefined || i % 2 === 0 ? [] : [[flag, value]]))
    )
    const started = performance.now()
    const exit = yield* Effect.exit(Settings.resolve({ env, flags, host }))
    const took = performance.now() - started
    if (took > patience) return `it took ${Math.round(took)} ms`
    if (Exit.isSuccess(exit)) return said(`${renderTable(exit.value)}\n${renderJson(exit.value)}`)
    const [reason] = exit.cause.reasons
    if (reason?._tag !== "Fail" || !(reason.error instanceof SettingsError))
      return `no error of settings: ${exit.cause}`
    const text = renderError(reason.error)
    const wrong = said(text) ?? said(String(reason.error)) ?? said(reason.error.stack ?? "")
    if (wrong !== undefined) return wrong
    if (/^ {4}at /m.test(text)) return "it shows a stack"
    const silent = reason.error.problems.find(({ expected, name }) => name === "" || expected.length < 4)
    if (silent !== undefined) return `it says too little of ${silent.setting}`
    // What is wrong alone is wrong together with anything, and is said.
    if (given.length === 1) return undefined
    const named = new Set(reason.error.problems.map(({ setting }) => setting))
    const alone = yield* Effect.forEach(given, (part) =>
      Effect.exit(Settings.resolve({ env: { ...base, [part.env]: env[part.env] ?? "" }, flags: {}, host }))
    )
    const missing = given.find(
      ({ env: variable, flag, name, value }, i) =>
        alone[i] !== undefined &&
        Exit.isFailure(alone[i]) &&
        !named.has(name) &&
        // Another part may have set the same one, or the profile that it depends on.
        env[variable] === value &&
        (flag === undefined || flags[flag] === undefined) &&
        !["profile", "endBlock", "startBlock", "traffic", "rpcUrls"].includes(name)
    )
    return missing && `nothing is said of ${missing.name}`
  })

const names = [
  ...all.flatMap(([, { env }]) => [`${env}S`, `SLUICE_${env}`, env.toLowerCase(), env.slice(1), ` ${env}`]),
  "SLUICE_",
  "SLUICE___proto__",
  "SLUICE_\u001b[2J",
  "SLUICE_\n",
  "__proto__",
  "constructor",
  "A".repeat(100_000),
  `SLUICE_${"B".repeat(100_000)}`
]

describe("settings", () => {
  it.effect(
    "values of settings",
    () =>
      Campaign.test({
        name: "values of settings",
        singles: parts.length,
        single: (n) => parts[n] ?? { name: "", env: "", flag: undefined, value: "" },
        small: { singles: parts.length, mixtures: 300 },
        draw: (r) => parts[r.int(parts.length)] ?? { name: "", env: "", flag: undefined, value: "" },
        show: ({ env, value }) => `${env}=${JSON.stringify(value.slice(0, 100))}`,
        judge
      }),
    Campaign.limit
  )

  it.effect("names that are no settings", () =>
    Campaign.test({
      name: "names that are no settings",
      singles: names.length,
      single: (n) => ({ name: "", env: names[n] ?? "", flag: undefined, value: key }),
      small: { singles: names.length, mixtures: 20 },
      draw: (r) => ({ name: "", env: names[r.int(names.length)] ?? "", flag: undefined, value: key }),
      show: ({ env }) => JSON.stringify(env.slice(0, 100)),
      judge: (given) =>
        Effect.gen(function* () {
          const env = Object.fromEntries(given.map(({ env, value }) => [env, value]))
          const started = performance.now()
          const exit = yield* Effect.exit(
            Settings.resolve({ env: { ...env, PROFILE: "anvil" }, flags: {}, host })
          )
          if (Exit.isFailure(exit)) return `no settings: ${exit.cause}`
          const took = performance.now() - started
          if (took > patience) return `it took ${Math.round(took)} ms`
          return said(exit.value.warnings.join("\n").slice(0, 50_000))
        })
    })
  )
})
