/**
 * Every setting that Sluice has, each declared once. `docs/configuration.md` and `--help` are made from this list.
 *
 * The profile is declared beside the list: it is what the other defaults come from, so it has to be known first.
 */
import { Schema, Struct } from "effect"
import * as Kind from "./Kind.ts"
import { profileNames } from "./Profile.ts"
import { type Any, derived, fromProfile, optional, required, type Setting, unset, value } from "./Setting.ts"

const block = Kind.integer({ minimum: 0, unit: "block" })
const eighth = (bytes: number): number => Math.max(2 ** 20, Math.floor(bytes / 8 / 2 ** 20) * 2 ** 20)

/** PostgreSQL's reserved words: valid nowhere as a name without quotes. */
const reserved = new Set(
  `all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
  current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
  distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
  leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
  session_user some symmetric system_user table then to trailing true union unique user using variadic when where
  window with information_schema`.split(/\s+/)
)

const profileKind = Kind.choice(profileNames)

export const profile: Any = {
  env: "PROFILE",
  flag: "profile",
  group: "Chain",
  doc: "The kind of chain, which most defaults come from. It has to be named: a devnet's defaults on mainnet would follow the head without waiting for confirmations.",
  secret: false,
  default: unset("required"),
  schema: profileKind.schema,
  expected: profileKind.expected,
  unit: profileKind.unit
}

export const declarations = {
  chainId: required({
    env: "CHAIN_ID",
    flag: "chain-id",
    group: "Chain",
    kind: Kind.integer({ minimum: 1, unit: "id" }),
    default: fromProfile((p) => p.chainId),
    doc: "The chain's id, which every provider is asked for before anything is written. Another id than the profile's is fine: `--profile=mainnet --chain-id=137` indexes Polygon with mainnet's values."
  }),
  startBlock: required({
    env: "START_BLOCK",
    flag: "start-block",
    group: "Chain",
    kind: block,
    default: value("0"),
    doc: "First block to index. Lowering it later fetches what is missing below; raising it deletes nothing."
  }),
  endBlock: optional({
    env: "END_BLOCK",
    flag: "end-block",
    group: "Chain",
    kind: block,
    unset: "none, follows the head",
    doc: "Last block to index, inclusive: when it is committed the program ends with exit code 0. Without it the head is followed for ever."
  }),
  confirmationDepth: required({
    env: "CONFIRMATION_DEPTH",
    flag: "confirmation-depth",
    group: "Chain",
    kind: Kind.integer({ minimum: 0, maximum: 100_000, unit: "blocks" }),
    default: fromProfile((p) => p.confirmationDepth),
    doc: "Blocks to stay behind the head. Most reorgs happen above this depth and are then never seen; deeper ones are rolled back."
  }),
  finalityDepth: required({
    env: "FINALITY_DEPTH",
    flag: "finality-depth",
    group: "Chain",
    kind: Kind.integer({ minimum: 1, maximum: 1_000_000, unit: "blocks" }),
    default: fromProfile((p) => p.finalityDepth),
    doc: "Blocks below the head that count as final on a chain without a `finalized` tag. A reorg that reaches below them stops the indexer instead of rolling back."
  }),
  proof: required({
    env: "PROOF",
    flag: "proof",
    group: "Chain",
    kind: Kind.choice(["proven", "linked"]),
    default: value("proven"),
    doc: "How much of a block is checked before it is stored. `proven` recomputes header hash, transactions root, receipts root and bloom; `linked` checks only its place in the chain, which is all that a chain with its own rules allows."
  }),

  contracts: optional({
    env: "CONTRACTS",
    flag: "contracts",
    group: "Events",
    kind: Kind.text({ pattern: /^\P{Cc}{1,4096}$/u, expected: "a path", unit: "path" }),
    unset: "none: no tables of events",
    doc: "JSON file that names contracts, each of whose events becomes a table. See `docs/events.md`."
  }),
  index: required({
    env: "INDEX",
    flag: "index",
    group: "Events",
    kind: Kind.choice(["blocks", "events", "auto"]),
    default: value("blocks"),
    doc: "What is fetched. `blocks` stores whole blocks and decodes events from receipts that are proven; `events` asks only for the logs of CONTRACTS, in large ranges, and stores their events alone; `auto` measures both on the chain and takes what needs fewer bytes. What is stored already is not fetched again either way."
  }),

  tokenMetrics: required({
    env: "TOKEN_METRICS",
    group: "Events",
    kind: Kind.boolean,
    default: value("true"),
    doc: "Whether rolling metrics of tokens and pairs are kept. They are made of the events that CONTRACTS index with the packs erc20, uniswap-v2 and uniswap-v3."
  }),
  tokenFlushInterval: required({
    env: "TOKEN_FLUSH_INTERVAL",
    group: "Events",
    kind: Kind.duration({ minimum: "100ms", maximum: "1h" }),
    default: value("5s"),
    doc: "Time between two writes of the tokens that have moved meanwhile."
  }),
  tokenFullFlushInterval: required({
    env: "TOKEN_FULL_FLUSH_INTERVAL",
    group: "Events",
    kind: Kind.duration({ minimum: "1s", maximum: "1h" }),
    default: value("60s"),
    doc: "Time between two looks at all tokens: they are counted anew and compared with what was written."
  }),
  tokenCheckpointInterval: required({
    env: "TOKEN_CHECKPOINT_INTERVAL",
    group: "Events",
    kind: Kind.duration({ minimum: "1s", maximum: "1d" }),
    default: value("5m"),
    doc: "Time between two checkpoints of token metrics. A start reads the last one and the events since; all that moved in between is written each time."
  }),
  flushBatchSize: required({
    env: "FLUSH_BATCH_SIZE",
    group: "Events",
    kind: Kind.integer({ minimum: 1, maximum: 100_000, unit: "tokens" }),
    default: value("500"),
    doc: "Tokens whose metrics are written in one transaction."
  }),
  tokenPruneThreshold: required({
    env: "TOKEN_PRUNE_THRESHOLD_SECS",
    group: "Events",
    kind: Kind.integer({ minimum: 60, maximum: 1_000_000_000, unit: "seconds" }),
    default: value("7_200"),
    doc: "A token that has not moved for so long, by the chain's time, is dropped from memory. Its rows stay."
  }),

  rpcUrls: required({
    env: "RPC_URL",
    flag: "rpc-url",
    group: "Providers",
    kind: Kind.secretUrls({ schemes: ["http", "https"], example: "https://eth.example.com/key" }),
    default: derived("none: a devnet of its own (anvil), required otherwise", () => ""),
    secret: true,
    doc: "JSON-RPC endpoints, with commas between them. Requests go to the best one that can have the answer, and wrong answers are fetched again from another. Prefer the variable to the flag: other users of the machine can read a command line."
  }),
  wsUrl: optional({
    env: "WS_URL",
    flag: "ws-url",
    group: "Providers",
    kind: Kind.secretUrl({ schemes: ["ws", "wss"], example: "wss://eth.example.com/key" }),
    unset: "none, the head is polled",
    secret: true,
    doc: "WebSocket endpoint that announces new heads. Without it, or while it is down, the head is polled."
  }),
  pollInterval: required({
    env: "POLL_INTERVAL",
    flag: "poll-interval",
    group: "Providers",
    kind: Kind.duration({ minimum: "10ms", maximum: "1h" }),
    default: fromProfile((p) => p.pollInterval),
    doc: "Time between two questions for the head, without a WebSocket."
  }),
  rpcTimeout: required({
    env: "RPC_TIMEOUT",
    flag: "rpc-timeout",
    group: "Providers",
    kind: Kind.duration({ minimum: "100ms", maximum: "1h" }),
    default: value("30s"),
    doc: "A request that takes longer counts as failed and is tried again."
  }),
  maxRetries: required({
    env: "MAX_RETRIES",
    flag: "max-retries",
    group: "Providers",
    kind: Kind.integer({ minimum: 0, maximum: 1_000, unit: "attempts" }),
    default: value("8"),
    doc: "Attempts after the first one before a request is given up. What is given up is a gap in the coverage, and gaps are asked for again."
  }),
  maxResponseBytes: required({
    env: "MAX_RESPONSE_BYTES",
    group: "Providers",
    kind: Kind.size({ minimum: 2 ** 20 }),
    default: value("64MiB"),
    doc: "A response larger than this is cut off, and asked for again in smaller parts."
  }),
  rpcCredits: required({
    env: "RPC_CREDITS",
    group: "Providers",
    kind: Kind.prices,
    default: derived("none, calls and bytes are counted", () => ""),
    doc: "The provider's price list: credits for one call of a method, `*` for every other method. `/api/status` then shows what was spent and what a backfill will still take."
  }),

  databaseUrl: optional({
    env: "DATABASE_URL",
    flag: "database-url",
    group: "Storage",
    kind: Kind.secretUrl({
      schemes: ["postgres", "postgresql"],
      example: "postgres://sluice@localhost:5432/chain"
    }),
    unset: "embedded PostgreSQL (PGlite) in `SLUICE_DATA_DIR`",
    secret: true,
    doc: "The PostgreSQL to write to. Prefer the variable to the flag: other users of the machine can read a command line."
  }),
  databaseSchema: required({
    env: "DATABASE_SCHEMA",
    flag: "database-schema",
    group: "Storage",
    kind: Kind.text({
      pattern: /^(?!pg_)[a-z_][a-z0-9_]{0,62}$/,
      except: reserved,
      expected:
        "a name that PostgreSQL takes without quotes: at most 63 of a-z, 0-9 and _, no digit first, no reserved word",
      unit: "name"
    }),
    default: derived("`chain_<chain id>`", (facts) => `chain_${facts.chainId}`),
    doc: "The database schema that holds the tables. Each deployment has its own; two chains never share one."
  }),
  dataDir: required({
    env: "SLUICE_DATA_DIR",
    flag: "data-dir",
    group: "Storage",
    kind: Kind.text({ pattern: /^\P{Cc}{1,4096}$/u, expected: "a path", unit: "path" }),
    default: value(".sluice"),
    doc: "Directory of the embedded database and of the devnet's state."
  }),
  partitionBlocks: required({
    env: "PARTITION_BLOCKS",
    group: "Storage",
    kind: Kind.integer({ minimum: 1_000, maximum: 100_000_000, unit: "blocks" }),
    default: value("1_000_000"),
    doc: "Blocks in one partition of the large tables. It is fixed by the first start of a deployment."
  }),
  batchSize: required({
    env: "BATCH_SIZE",
    flag: "batch-size",
    group: "Storage",
    kind: Kind.integer({ minimum: 1, maximum: 100_000, unit: "blocks" }),
    default: fromProfile((p) => p.batchSize),
    doc: "Blocks in one commit, at most."
  }),
  flushInterval: required({
    env: "FLUSH_INTERVAL",
    flag: "flush-interval",
    group: "Storage",
    kind: Kind.duration({ minimum: "1ms", maximum: "1h" }),
    default: fromProfile((p) => p.flushInterval),
    doc: "Longest time that a block waits for its batch to fill before it is committed."
  }),

  concurrency: required({
    env: "CONCURRENCY",
    flag: "concurrency",
    group: "Fetching",
    kind: Kind.integer({ minimum: 1, maximum: 1_000, unit: "fetches" }),
    default: fromProfile((p) => p.concurrency),
    doc: "Fetches in flight, at most. Back-pressure lowers what is really in flight."
  }),

  bufferBytes: required({
    env: "BUFFER_BYTES",
    flag: "buffer-bytes",
    group: "Memory",
    kind: Kind.size({ minimum: 2 ** 20 }),
    default: derived("48MiB, or an eighth of memory if less", ({ host }) =>
      Kind.printSize(Math.min(48 * 2 ** 20, eighth(host.memoryBytes)))
    ),
    doc: "Bytes of fetched blocks that may wait for their commit. Fetching pauses when they near it."
  }),
  resultsCapacity: required({
    env: "RESULTS_CAPACITY",
    group: "Memory",
    kind: Kind.integer({ minimum: 1, maximum: 10_000_000, unit: "slots" }),
    default: fromProfile((p) => p.resultsCapacity),
    doc: "Cap of the queue of fetched blocks. The queue is shorter on a small machine: 1,000 slots for each GB of memory."
  }),
  highWatermarkPct: required({
    env: "CHANNEL_HIGH_WATERMARK_PCT",
    group: "Memory",
    kind: Kind.integer({ minimum: 1, maximum: 100, unit: "percent" }),
    default: value("80"),
    doc: "Fill of the queue, in slots or in bytes, above which nothing new is scheduled."
  }),
  criticalWatermarkPct: required({
    env: "CHANNEL_CRITICAL_WATERMARK_PCT",
    group: "Memory",
    kind: Kind.integer({ minimum: 1, maximum: 100, unit: "percent" }),
    default: value("95"),
    doc: "Fill at which scheduling backs off as long as it can (3.2 s between two tries). Blocks that turn out heavier than expected can get there."
  }),
  mergeWindow: required({
    env: "MERGE_WINDOW",
    flag: "merge-window",
    group: "Memory",
    kind: Kind.duration({ minimum: "10ms", maximum: "1h" }),
    default: fromProfile((p) => p.mergeWindow),
    doc: "Under back-pressure, new heads within this time are planned as one. Nothing is lost by it: what is missing is asked of the coverage."
  }),

  instanceId: required({
    env: "INSTANCE_ID",
    flag: "instance-id",
    group: "One writer",
    kind: Kind.text({
      pattern: /^[\x21-\x7e]{1,128}$/,
      expected: "1 to 128 visible ASCII characters without spaces",
      unit: "name"
    }),
    default: derived(
      "`<hostname>-<pid>`",
      ({ host }) => `${host.hostname.replaceAll(/[^\x21-\x7e]/g, "-").slice(0, 100) || "host"}-${host.pid}`
    ),
    doc: "Who holds the lease, as others see it. It has to differ between instances."
  }),
  whenHeld: required({
    env: "WHEN_HELD",
    flag: "when-held",
    group: "One writer",
    kind: Kind.choice(["exit", "wait"]),
    default: value("exit"),
    doc: "What to do when another instance writes already. `exit` ends at once and without an error, `wait` stands by and takes over when the other one is gone."
  }),
  leaseDuration: required({
    env: "LEASE_DURATION",
    group: "One writer",
    kind: Kind.duration({ minimum: "1s", maximum: "1h" }),
    default: value("15s"),
    doc: "An instance that has not renewed its lease for so long may be replaced."
  }),
  advisoryLock: required({
    env: "LEASE_ADVISORY_LOCK",
    group: "One writer",
    kind: Kind.boolean,
    default: value("true"),
    doc: "Whether a session advisory lock tells at once that the writer's connection is gone. Turn it off behind a transaction pooler, where sessions are shared; the lease alone then serves."
  }),

  httpHost: required({
    env: "HTTP_HOST",
    flag: "http-host",
    group: "HTTP",
    kind: Kind.text({
      pattern: /^[A-Za-z0-9._:-]{1,253}$/,
      expected: "a host name or an IP address, such as 127.0.0.1 or 0.0.0.0",
      unit: "host"
    }),
    default: value("127.0.0.1"),
    doc: "Address to listen on. 0.0.0.0 listens on all of them; put a proxy in front before doing so in public."
  }),
  httpPort: required({
    env: "HTTP_PORT",
    flag: "http-port",
    group: "HTTP",
    kind: Kind.integer({ minimum: 0, maximum: 65_535, unit: "port" }),
    default: value("8080"),
    doc: "Port of dashboard, API, metrics and live feed. 0 takes any free one, which the log then names."
  }),
  readyMaxLag: required({
    env: "READY_MAX_LAG",
    group: "HTTP",
    kind: Kind.integer({ minimum: 0, maximum: 1_000_000_000, unit: "blocks" }),
    default: value("50"),
    doc: "`/ready` fails when more blocks than this are missing between what is committed and what could be."
  }),

  liveMaxClients: required({
    env: "LIVE_MAX_CLIENTS",
    group: "HTTP",
    kind: Kind.integer({ minimum: 0, maximum: 100_000, unit: "clients" }),
    default: value("1_000"),
    doc: "Readers of `/ws` and `/events` at the same time, open dashboards included. Further ones are answered 503."
  }),
  liveInterval: required({
    env: "LIVE_INTERVAL",
    group: "HTTP",
    kind: Kind.duration({ minimum: "100ms", maximum: "1h" }),
    default: value("500ms"),
    doc: "Time between two messages of the live feed. A snapshot is made once, whoever reads it."
  }),
  livePingInterval: required({
    env: "LIVE_PING_INTERVAL",
    group: "HTTP",
    kind: Kind.duration({ minimum: "100ms", maximum: "1h" }),
    default: value("20s"),
    doc: "Time after which a live reader is asked whether it is still there. One that has not answered when it is asked again, or that takes in nothing for twice as long, is closed."
  }),

  logLevel: required({
    env: "LOG_LEVEL",
    flag: "log-level",
    group: "Logging",
    kind: Kind.choice(["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"]),
    default: value("info"),
    doc: "Least severe level that is logged. At info a healthy run says less than ten lines a minute."
  }),
  logFormat: required({
    env: "LOG_FORMAT",
    flag: "log-format",
    group: "Logging",
    kind: Kind.choice(["pretty", "json"]),
    default: derived("pretty on a terminal, json otherwise", ({ host }) => (host.isTTY ? "pretty" : "json")),
    doc: "For people, or one JSON object a line."
  }),
  otlpEndpoint: optional({
    env: "OTEL_EXPORTER_OTLP_ENDPOINT",
    group: "Logging",
    kind: Kind.secretUrl({ schemes: ["http", "https"], example: "http://localhost:4318" }),
    unset: "none",
    secret: true,
    doc: "OpenTelemetry collector that gets metrics and traces, over HTTP with JSON. `/v1/metrics` and `/v1/traces` are added to it. Metrics are at `/metrics` in any case."
  }),

  traffic: required({
    env: "TRAFFIC",
    flag: "traffic",
    group: "Demo",
    kind: Kind.boolean,
    default: value("false"),
    doc: "Deploys demo contracts and sends transactions to them. Only with the anvil profile."
  })
}

export type Declarations = typeof declarations

/** The names that settings have in code: `chainId`, `rpcUrls`, and so on; `profile` besides. */
export type SettingName = keyof Declarations

export const settingNames: ReadonlyArray<SettingName> = Struct.keys(declarations)

interface SchemaOf extends Struct.Lambda {
  readonly "~lambda.out": this["~lambda.in"] extends Any ? this["~lambda.in"]["schema"] : never
  <A, T extends string | undefined, I>(setting: Setting<A, T, I>): Schema.Codec<A, T>
}

/** All settings but the profile, from their texts to their values. */
export const SettingsFromTexts = Schema.Struct(
  Struct.map(
    declarations,
    Struct.lambda<SchemaOf>((setting) => setting.schema)
  )
)

export type Values = typeof SettingsFromTexts.Type

/** The profile first, then the list in its order. */
export const all: ReadonlyArray<readonly [name: SettingName | "profile", setting: Any]> = [
  ["profile", profile],
  ...settingNames.map((name): readonly [SettingName, Any] => [name, declarations[name]])
]
