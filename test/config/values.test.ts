/** Every setting with values that are right and values that are wrong, through its variable and through its flag. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { all } from "../../src/config/Declarations.ts"
import { Settings, type SettingsShape } from "../../src/config/Settings.ts"
import { failure, host } from "./support.ts"

interface Row {
  readonly read: (settings: SettingsShape) => unknown
  readonly good: ReadonlyArray<readonly [text: string, value: unknown]>
  readonly bad: ReadonlyArray<string>
}

const whole = (key: keyof SettingsShape, options: { min: number; max?: number }): Row => ({
  read: (settings) => settings[key],
  good: [
    [String(options.min), options.min],
    [" 2000 ", 2000],
    ["2_000", 2000],
    ["2,000", 2000],
    ...(options.max === undefined ? [] : [[String(options.max), options.max] as const])
  ],
  bad: [
    String(options.min - 1),
    ...(options.max === undefined ? ["9007199254740993"] : [String(options.max + 1)]),
    "1.5",
    "1e3",
    "0x10",
    "1_0",
    "10,00",
    "ten",
    "NaN",
    "Infinity",
    "1 000"
  ]
})

const small = (key: keyof SettingsShape, options: { min: number; max: number }): Row => {
  const row = whole(key, options)
  return { ...row, good: row.good.filter(([, value]) => value !== 2000) }
}

const duration = (
  read: (settings: SettingsShape) => Duration.Duration,
  bounds: { below: string; above: string }
): Row => ({
  read: (settings) => Duration.toMillis(read(settings)),
  good: [
    ["1500ms", 1500],
    ["1500 millis", 1500],
    ["2s", 2000],
    ["1.1s", 1100],
    ["30 seconds", 30_000],
    ["1 Minute", 60_000],
    ["5m", 300_000],
    ["1h", 3_600_000]
  ],
  bad: [bounds.below, bounds.above, "5", "-1s", "1 fortnight", "s", "1.0005s", "1s 2s", "Infinity", "soon"]
})

const size = (read: (settings: SettingsShape) => number): Row => ({
  read,
  good: [
    ["1048576", 2 ** 20],
    ["256MiB", 2 ** 28],
    ["64 MB", 64e6],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["2_000KB", 2e6],
    ["1gb", 1e9]
  ],
  bad: ["1KiB", "1048575", "-1MiB", "64 M", "MiB", "1.5.5MB", "0.0001MB", "lots"]
})

const switched = (read: (settings: SettingsShape) => boolean): Row => ({
  read,
  good: [
    ["true", true],
    ["YES", true],
    ["on", true],
    ["1", true],
    ["false", false],
    ["no", false],
    ["Off", false],
    ["0", false]
  ],
  bad: ["maybe", "2", "truee", "t"]
})

const word = (read: (settings: SettingsShape) => string, words: Readonly<Record<string, string>>): Row => ({
  read,
  good: Object.entries(words).flatMap(([text, value]) => [
    [text, value],
    [text.toUpperCase(), value]
  ]),
  bad: ["", "nonsense", "true"].filter((text) => text !== "")
})

const text = (
  read: (settings: SettingsShape) => unknown,
  good: ReadonlyArray<string>,
  bad: ReadonlyArray<string>
): Row => ({
  read,
  good: good.map((value) => [value, value]),
  bad
})

const revealed = (value: Redacted.Redacted | undefined) =>
  value === undefined ? undefined : Redacted.value(value)

const urls = [
  "example.com",
  "https//example.com",
  "file:///etc/passwd",
  "http://",
  "http://u:p#w@host",
  "ht tp://a"
]

const rows: Readonly<Record<string, Row>> = {
  profile: word((s) => s.profile.name, { anvil: "anvil", sepolia: "sepolia", mainnet: "mainnet" }),
  chainId: whole("chainId", { min: 1 }),
  startBlock: whole("startBlock", { min: 0 }),
  endBlock: whole("endBlock", { min: 0 }),
  confirmationDepth: whole("confirmationDepth", { min: 0, max: 100_000 }),
  finalityDepth: whole("finalityDepth", { min: 1, max: 1_000_000 }),
  proof: word((s) => s.proof, { proven: "proven", linked: "linked" }),
  contracts: text((s) => s.contracts, ["contracts.json", "/etc/sluice/a b.json"], ["a\u0000b"]),
  index: word((s) => s.index, { blocks: "blocks", auto: "auto" }),
  tokenMetrics: switched((s) => s.tokenMetrics),
  tokenFlushInterval: duration((s) => s.tokenFlushInterval, { below: "99ms", above: "61m" }),
  tokenFullFlushInterval: duration((s) => s.tokenFullFlushInterval, { below: "999ms", above: "61m" }),
  tokenCheckpointInterval: duration((s) => s.tokenCheckpointInterval, { below: "999ms", above: "25h" }),
  flushBatchSize: whole("flushBatchSize", { min: 1, max: 100_000 }),
  tokenPruneThreshold: whole("tokenPruneThreshold", { min: 60, max: 1_000_000_000 }),
  rpcUrls: {
    read: (s) => s.rpcUrls.map(revealed),
    good: [
      ["http://localhost:8545", ["http://localhost:8545"]],
      ["https://a.example/k, https://b.example/%2C", ["https://a.example/k", "https://b.example/%2C"]]
    ],
    bad: [...urls, "ws://localhost", "http://a,", "http://a,,http://b", "http://a,b"]
  },
  wsUrl: {
    read: (s) => revealed(s.wsUrl),
    good: [
      ["ws://localhost:8545", "ws://localhost:8545"],
      ["wss://a.example/k?x=1", "wss://a.example/k?x=1"]
    ],
    bad: [...urls, "http://localhost"]
  },
  pollInterval: duration((s) => s.pollInterval, { below: "9ms", above: "61m" }),
  rpcTimeout: duration((s) => s.rpcTimeout, { below: "99ms", above: "61m" }),
  maxRetries: small("maxRetries", { min: 0, max: 1_000 }),
  maxResponseBytes: size((s) => s.maxResponseBytes),
  rpcCredits: {
    read: (s) => Object.fromEntries(s.rpcCredits),
    good: [
      ["eth_getLogs=75", { eth_getLogs: 75 }],
      ["eth_getLogs = 75, *=0.5,", { eth_getLogs: 75, "*": 0.5 }]
    ],
    bad: ["eth_getLogs", "eth_getLogs=", "=5", "eth_getLogs=-1", "a=1,a=2", "a=1;b=2", "a=1e9", "http://a=1"]
  },
  databaseUrl: {
    read: (s) => revealed(s.databaseUrl),
    good: [
      ["postgres://u:p@localhost:5432/x", "postgres://u:p@localhost:5432/x"],
      ["postgresql:///x?host=/var/run/postgresql", "postgresql:///x?host=/var/run/postgresql"]
    ],
    bad: [...urls, "mysql://localhost/x", "postgres"]
  },
  databaseSchema: text(
    (s) => s.databaseSchema,
    ["chain", "_x", "chain_1_b", "a".repeat(63)],
    [
      "Chain",
      "1chain",
      "a-b",
      'a"b',
      "a b",
      "a;drop",
      "pg_chain",
      "select",
      "information_schema",
      "a".repeat(64),
      "é"
    ]
  ),
  dataDir: text((s) => s.dataDir, ["/var/lib/sluice", "a b", "./x"], ["a\u0000b", "a\nb"]),
  partitionBlocks: whole("partitionBlocks", { min: 1_000, max: 100_000_000 }),
  batchSize: whole("batchSize", { min: 1, max: 100_000 }),
  flushInterval: duration((s) => s.flushInterval, { below: "0ms", above: "61m" }),
  concurrency: small("concurrency", { min: 1, max: 1_000 }),
  bufferBytes: size((s) => s.bufferBytes),
  resultsCapacity: whole("resultsCapacity", { min: 1, max: 10_000_000 }),
  // The critical one is not below the high one.
  highWatermarkPct: {
    ...small("highWatermarkPct", { min: 1, max: 100 }),
    good: [
      ["1", 1],
      ["95", 95]
    ]
  },
  criticalWatermarkPct: {
    ...small("criticalWatermarkPct", { min: 1, max: 100 }),
    good: [
      ["80", 80],
      ["100", 100]
    ]
  },
  mergeWindow: duration((s) => s.mergeWindow, { below: "0ms", above: "61m" }),
  instanceId: text(
    (s) => s.instanceId,
    ["a", "pod-1.eu/b:2", "x".repeat(128)],
    ["a b", "x".repeat(129), "é", "a\tb"]
  ),
  whenHeld: word((s) => s.whenHeld, { exit: "exit", wait: "wait" }),
  leaseDuration: duration((s) => s.leaseDuration, { below: "999ms", above: "61m" }),
  advisoryLock: switched((s) => s.advisoryLock),
  httpHost: text((s) => s.httpHost, ["0.0.0.0", "::1", "localhost"], ["a b", "http://a", "a/b"]),
  httpPort: whole("httpPort", { min: 0, max: 65_535 }),
  readyMaxLag: whole("readyMaxLag", { min: 0, max: 1_000_000_000 }),
  liveMaxClients: whole("liveMaxClients", { min: 0, max: 100_000 }),
  liveInterval: duration((s) => s.liveInterval, { below: "99ms", above: "61m" }),
  livePingInterval: duration((s) => s.livePingInterval, { below: "99ms", above: "61m" }),
  logLevel: word((s) => s.logLevel, {
    all: "All",
    trace: "Trace",
    debug: "Debug",
    info: "Info",
    warn: "Warn",
    none: "None"
  }),
  logFormat: word((s) => s.logFormat, { pretty: "pretty", json: "json" }),
  otlpEndpoint: {
    read: (s) => revealed(s.otlpEndpoint),
    good: [["http://localhost:4318", "http://localhost:4318"]],
    bad: [...urls, "grpc://localhost:4317"]
  },
  traffic: switched((s) => s.traffic)
}

/** Enough for any profile. */
const env = { PROFILE: "anvil", RPC_URL: "http://localhost:8545" }

it("the table has a row for each setting", () => {
  expect(Object.keys(rows)).toEqual(all.map(([name]) => name))
})

for (const [name, setting] of all) {
  const row = rows[name]
  if (row === undefined) continue
  describe(setting.env, () => {
    it.effect.each(row.good)("takes %j", ([given, value]) =>
      Effect.gen(function* () {
        const byEnv = yield* Settings.resolve({ env: { ...env, [setting.env]: given }, flags: {}, host })
        expect(row.read(byEnv.settings)).toEqual(value)
        expect(byEnv.origins[name]?.origin).toBe("env")
        if (setting.flag === undefined) return
        const byFlag = yield* Settings.resolve({ env, flags: { [setting.flag]: given }, host })
        expect(row.read(byFlag.settings)).toEqual(value)
        expect(byFlag.origins[name]?.origin).toBe("flag")
      })
    )

    it.effect.each(row.bad)("refuses %j", (given) =>
      Effect.gen(function* () {
        const byEnv = yield* failure({ env: { ...env, [setting.env]: given }, flags: {}, host })
        expect(byEnv.problems.map((problem) => [problem.setting, problem.origin])).toEqual([[name, "env"]])
        expect(byEnv.message).toContain(`  ${setting.env}\n`)
        expect(byEnv.message).toContain(setting.expected)
        if (setting.flag === undefined) return
        const byFlag = yield* failure({ env, flags: { [setting.flag]: given }, host })
        expect(byFlag.problems.map((problem) => [problem.setting, problem.origin])).toEqual([[name, "flag"]])
        expect(byFlag.message).toContain(`  --${setting.flag}\n`)
      })
    )

    it.effect("takes an empty value as none", () =>
      Effect.gen(function* () {
        const without = { ...env, [setting.env]: setting.env === "PROFILE" ? "anvil" : undefined }
        const flags = setting.flag === undefined || setting.env === "PROFILE" ? {} : { [setting.flag]: "  " }
        const empty = yield* Settings.resolve({
          env: { ...without, ...(setting.env === "PROFILE" ? {} : { [setting.env]: "" }) },
          flags,
          host
        })
        expect(empty.origins).toEqual((yield* Settings.resolve({ env: without, flags: {}, host })).origins)
      })
    )
  })
}
