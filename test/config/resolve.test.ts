import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import {
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  type LogLevel,
  Option,
  Redacted,
  Result,
  Runtime,
  Schema
} from "effect"
import { all } from "../../src/config/Declarations.ts"
import { Host } from "../../src/config/Host.ts"
import { distance } from "../../src/config/NearMiss.ts"
import { Profile, profileNames, profiles } from "../../src/config/Profile.ts"
import { Settings, type SettingsOptions, type SettingsShape } from "../../src/config/Settings.ts"
import { SettingsError } from "../../src/config/SettingsError.ts"
import { failure, host } from "./support.ts"

const url = "https://eth.example.com"

describe("precedence", () => {
  const steps = [
    ["flag", { flags: { "batch-size": "7" }, env: { BATCH_SIZE: "8" } }, 7],
    ["env", { flags: {}, env: { BATCH_SIZE: "8" } }, 8],
    ["profile", { flags: {}, env: {} }, 20]
  ] as const

  it.effect.each(steps)("%s", ([origin, given, value]) =>
    Effect.gen(function* () {
      const env = { PROFILE: "mainnet", RPC_URL: url, ...given.env }
      const { origins, settings } = yield* Settings.resolve({ flags: given.flags, env, host })
      expect(settings.batchSize).toBe(value)
      expect(settings.profile.batchSize).toBe(value)
      expect(origins["batchSize"]).toEqual({ value: String(value), origin })
    })
  )

  it.effect("the flag of the profile beats its variable, and an empty flag is none", () =>
    Effect.gen(function* () {
      const env = { PROFILE: "mainnet", RPC_URL: url }
      const byFlag = yield* Settings.resolve({ flags: { profile: "sepolia" }, env, host })
      expect(byFlag.settings.chainId).toBe(11_155_111)
      const byEnv = yield* Settings.resolve({ flags: { profile: "" }, env, host })
      expect(byEnv.settings.chainId).toBe(1)
    })
  )

  it.effect("a right flag hides a wrong variable", () =>
    Effect.gen(function* () {
      const env = { PROFILE: "anvil", HTTP_PORT: "nonsense" }
      const { settings } = yield* Settings.resolve({ flags: { "http-port": "0" }, env, host })
      expect(settings.httpPort).toBe(0)
    })
  )
})

describe("defaults", () => {
  it.effect.each(profileNames)("of %s are the profile's", (name) =>
    Effect.gen(function* () {
      const { origins, settings } = yield* Settings.resolve({
        flags: {},
        env: { PROFILE: name, RPC_URL: url },
        host
      })
      expect(settings.profile).toEqual(profiles[name])
      const { name: _, ...values } = profiles[name]
      expect(settings).toMatchObject(values)
      expect(origins["concurrency"]?.origin).toBe("profile")
    }).pipe(Effect.asVoid)
  )

  it.effect("that depend on other things", () =>
    Effect.gen(function* () {
      const at = (overrides: Partial<typeof host>, env = {}) =>
        Settings.resolve({
          flags: {},
          env: { PROFILE: "mainnet", RPC_URL: url, ...env },
          host: { ...host, ...overrides }
        })
      const plain = yield* at({})
      expect(plain.settings).toMatchObject({
        databaseSchema: "chain_1",
        instanceId: "box-42",
        logFormat: "json",
        bufferBytes: 48 * 2 ** 20,
        memoryBytes: host.memoryBytes,
        rpcUrls: [Redacted.make(url)],
        databaseUrl: undefined,
        endBlock: undefined
      })
      const other = yield* at(
        { hostname: "mein pc", isTTY: true, memoryBytes: 2 ** 28 + 12_345 },
        { CHAIN_ID: "137" }
      )
      expect(other.settings).toMatchObject({
        chainId: 137,
        databaseSchema: "chain_137",
        instanceId: "mein-pc-42",
        logFormat: "pretty",
        bufferBytes: 32 * 2 ** 20
      })
      expect(other.settings.profile.chainId).toBe(137)
    })
  )
})

describe("what is wrong", () => {
  it.effect("is said all at once, in the order of the list", () =>
    Effect.gen(function* () {
      const error = yield* failure({
        flags: { "end-block": "3", "http-port": "99999" },
        env: { PROFILE: "mainnet", CHAIN_ID: "x", START_BLOCK: "10", FLUSH_INTERVAL: "5", TRAFFIC: "on" },
        host
      })
      expect(error.problems.map(({ name, given, origin }) => [name, given, origin])).toEqual([
        ["CHAIN_ID", "x", "env"],
        ["--end-block", "3", "flag"],
        ["RPC_URL (or --rpc-url)", undefined, "default"],
        ["FLUSH_INTERVAL", "5", "env"],
        ["--http-port", "99999", "flag"],
        ["TRAFFIC", "on", "env"]
      ])
      expect(error.message).toMatch(/^6 settings are wrong:/)
      expect(error.message).toContain("a block not below START_BLOCK, which is 10")
    })
  )

  it.effect("includes a profile that is missing or unknown, without hiding the rest", () =>
    Effect.gen(function* () {
      const missing = yield* failure({ flags: {}, env: { HTTP_PORT: "x" }, host })
      expect(missing.problems.map(({ setting }) => setting)).toEqual(["profile", "httpPort"])
      expect(missing.message).toContain("one of anvil, sepolia, mainnet")
      const unknown = yield* failure({ flags: { profile: "goerli" }, env: {}, host })
      expect(unknown.problems.map(({ setting, given }) => [setting, given])).toEqual([["profile", "goerli"]])
    })
  )

  it.effect("takes an end that is the start", () =>
    Effect.gen(function* () {
      const same = yield* Settings.resolve({
        flags: {},
        env: { PROFILE: "anvil", START_BLOCK: "5", END_BLOCK: "5" },
        host
      })
      expect(same.settings.endBlock).toBe(5)
    })
  )

  it.effect("ends a program with exit code 2", () =>
    Effect.gen(function* () {
      const error = yield* failure({ flags: {}, env: {}, host })
      expect(Runtime.getErrorExitCode(error)).toBe(2)
      expect(Schema.is(SettingsError)(error)).toBe(true)
    })
  )
})

describe("misspelt variables", () => {
  const warnings = (env: Record<string, string | undefined>) =>
    Effect.map(
      Settings.resolve({ flags: {}, env: { PROFILE: "anvil", ...env }, host }),
      (resolved) => resolved.warnings
    )

  it.effect.each([
    ["CONFIRMATIONS_DEPTH", "CONFIRMATION_DEPTH"],
    ["RPC_URLS", "RPC_URL"],
    ["DATABASE_URI", "DATABASE_URL"],
    ["SLUICE_BATCH_SIZE", "BATCH_SIZE"],
    ["SLUICE_DATADIR", "SLUICE_DATA_DIR"],
    ["SLUICE_HTTP_PROT", "HTTP_PORT"]
  ])("%s was meant to be %s", ([given, meant]) =>
    Effect.gen(function* () {
      const said = yield* warnings(Object.fromEntries([[given, "secret-value"]]))
      expect(said).toEqual([`${given} is not a setting and has no effect; did you mean ${meant}?`])
    })
  )

  it.effect("an unknown SLUICE_ variable is reported without a guess", () =>
    Effect.map(warnings({ SLUICE_TURBO: "1" }), (said) =>
      expect(said).toEqual(["SLUICE_TURBO is not a setting and has no effect"])
    )
  )

  it.effect("are said beside what is wrong, since they may be why", () =>
    Effect.gen(function* () {
      const error = yield* failure({ flags: {}, env: { PROFILE: "mainnet", RPC_URLS: url }, host })
      expect(error.problems.map(({ setting }) => setting)).toEqual(["rpcUrls"])
      expect(error.message).toContain("RPC_URLS is not a setting and has no effect; did you mean RPC_URL?")
    })
  )

  it.effect("others' variables are left alone", () =>
    Effect.map(
      warnings({
        PATH: "/bin",
        HOME: "/root",
        DB_URL: "x",
        POOL: "x",
        PORT: "1",
        AWS_PROFILE: "x",
        SLUICE_X: ""
      }),
      (said) => expect(said).toEqual([])
    )
  )

  it("distance counts letters", () => {
    expect([distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")]).toEqual([3, 3, 0])
  })
})

describe("embedding", () => {
  it.effect("takes typed values and texts, and no environment", () =>
    Effect.gen(function* () {
      const settings = yield* Settings.make({
        profile: "sepolia",
        rpcUrls: ["https://a.example/x,y", Redacted.make("https://b.example")],
        databaseUrl: Redacted.make("postgres://localhost/x"),
        startBlock: 5,
        flushInterval: Duration.seconds(2),
        rpcTimeout: "5s",
        bufferBytes: 2 ** 26,
        maxResponseBytes: "32MiB",
        advisoryLock: false,
        logLevel: "Debug"
      })
      expect(settings.rpcUrls.map(Redacted.value)).toEqual(["https://a.example/x%2Cy", "https://b.example"])
      expect(settings).toMatchObject({
        startBlock: 5,
        bufferBytes: 2 ** 26,
        advisoryLock: false,
        logLevel: "Debug"
      })
      expect(Duration.toMillis(settings.profile.flushInterval)).toBe(2000)
      expect(Duration.toMillis(settings.rpcTimeout)).toBe(5000)
      expect(settings.instanceId).toBe("box-42")
    }).pipe(Effect.provideService(Host, host))
  )

  it.effect("checks options and a profile of one's own alike, by their names in code", () =>
    Effect.gen(function* () {
      const profile = Profile.make({ name: "odd", chainId: 0, batchSize: 2.5 })
      const error = yield* Effect.flip(
        Settings.make({ profile, startBlock: 9, endBlock: 3, httpPort: Number.NaN })
      )
      expect(error.problems.map(({ name, given, origin }) => [name, given, origin])).toEqual([
        ["chainId", "0", "profile"],
        ["endBlock", "3", "option"],
        ["rpcUrls", undefined, "default"],
        ["batchSize", "2.5", "profile"],
        ["httpPort", "NaN", "option"]
      ])
      expect(error.message).toContain("a block not below startBlock, which is 9")
    })
  )

  it.effect("the layer provides the effective profile too", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(Settings.layer({ profile: "anvil", concurrency: 3 }))
      expect(Context.get(context, Profile).concurrency).toBe(3)
      expect(Context.get(context, Settings).profile).toBe(Context.get(context, Profile))
    })
  )
})

it.effect.prop(
  "any text for any setting resolves, or names that setting",
  { index: Schema.Int, text: Schema.String, inFlag: Schema.Boolean },
  ({ index, text, inFlag }) =>
    Effect.gen(function* () {
      const chosen = all[Math.abs(index) % all.length]
      if (chosen === undefined) return
      const [name, setting] = chosen
      const flags = inFlag && setting.flag !== undefined ? { [setting.flag]: text } : {}
      const env = { PROFILE: "anvil", RPC_URL: url, ...(inFlag ? {} : { [setting.env]: text }) }
      const exit = yield* Effect.exit(Settings.resolve({ flags, env, host }))
      if (Exit.isSuccess(exit)) return
      const error = Exit.findErrorOption(exit)
      expect(Option.map(error, ({ problems }) => problems.map(({ setting }) => setting))).toEqual(
        Option.some([name])
      )
    }),
  { arbitrary: { runs: 500 } }
)

it.effect.prop(
  "any text for all of them never throws",
  { texts: Schema.Array(Schema.String) },
  ({ texts }) =>
    Effect.gen(function* () {
      const env = Object.fromEntries(all.map(([, setting], index) => [setting.env, texts[index]]))
      const result = yield* Effect.result(Settings.resolve({ flags: {}, env, host }))
      if (Result.isSuccess(result)) return
      const names = all.map(([name]): string => name)
      const wrong = result.failure.problems.map(({ setting }) => names.indexOf(setting))
      expect(wrong).toEqual([...new Set(wrong)].sort((a, b) => a - b))
      expect(wrong).not.toContain(-1)
    }),
  { arbitrary: { runs: 300, size: 40 } }
)

it.effect("what was resolved becomes layers", () =>
  Effect.gen(function* () {
    const resolved = yield* Settings.resolve({ flags: {}, env: { PROFILE: "anvil" }, host })
    const context = yield* Layer.build(Settings.layerResolved(resolved))
    expect(Context.get(context, Settings)).toBe(resolved.settings)
    expect(Context.get(context, Profile)).toBe(resolved.settings.profile)
    expect(resolved.settings.rpcUrls).toEqual([])
    expect(resolved.origins["rpcUrls"]?.value).toBe("none: a devnet of its own (anvil), required otherwise")
  })
)

it("types are those of the values", () => {
  expectTypeOf<SettingsShape["endBlock"]>().toEqualTypeOf<number | undefined>()
  expectTypeOf<SettingsShape["rpcUrls"]>().toEqualTypeOf<ReadonlyArray<Redacted.Redacted>>()
  expectTypeOf<SettingsShape["wsUrl"]>().toEqualTypeOf<Redacted.Redacted | undefined>()
  expectTypeOf<SettingsShape["proof"]>().toEqualTypeOf<"proven" | "linked">()
  expectTypeOf<SettingsShape["logLevel"]>().toEqualTypeOf<LogLevel.LogLevel>()
  expectTypeOf<SettingsShape["leaseDuration"]>().toEqualTypeOf<Duration.Duration>()
  expectTypeOf<SettingsOptions["leaseDuration"]>().toEqualTypeOf<Duration.Duration | string | undefined>()
})
