/**
 * The HTTP API as data: paths, answers, errors. Handlers and documentation are made from it, and a client can be.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Unavailable } from "./ApiErrors.ts"
import { Tokens } from "./TokenApi.ts"

const Header = Schema.Struct({
  number: Schema.Finite,
  hash: Schema.String,
  timestamp: Schema.Finite.annotate({ description: "Seconds since 1970." })
})

export const Health = Schema.Struct({ status: Schema.Literal("ok") })

export const Ready = Schema.Struct({ ready: Schema.Literal(true) })

/** 503: what keeps the service from being ready, in sentences. */
export class NotReady extends Schema.TaggedError<NotReady>()(
  "NotReady",
  { ready: Schema.Literal(false), reasons: Schema.Array(Schema.String) },
  { httpApiStatus: 503 }
) {}

export const Endpoint = Schema.Struct({
  id: Schema.String,
  host: Schema.String,
  standing: Schema.Literals(["available", "resting", "down", "out", "removed"]).annotate({
    description:
      "`resting` as it was told, `down` while most requests fail, `out` after wrong answers, `removed` for another chain."
  }),
  until: Schema.NullOr(Schema.String).annotate({
    description: "When it is asked again, where that is known."
  }),
  head: Schema.NullOr(Schema.Finite),
  latency_ms: Schema.NullOr(Schema.Finite),
  calls_per_second: Schema.NullOr(Schema.Finite).annotate({
    description: "What it takes, as learned; null where it was never too many."
  }),
  concurrency: Schema.Finite.annotate({ description: "Requests in flight that it takes at once." }),
  requests: Schema.Finite.annotate({ description: "HTTP requests." }),
  calls: Schema.Finite,
  bytes_received: Schema.Finite,
  credits: Schema.Finite,
  methods: Schema.Record(Schema.String, Schema.Struct({ calls: Schema.Finite, bytes: Schema.Finite })),
  faults: Schema.Record(Schema.String, Schema.Finite).annotate({ description: "By reason." }),
  last_fault: Schema.NullOr(Schema.String)
})

const Cost = Schema.Struct({
  calls: Schema.Finite,
  bytes_received: Schema.Finite,
  credits: Schema.NullOr(Schema.Finite).annotate({ description: "By RPC_CREDITS; null without it." }),
  estimated_calls: Schema.NullOr(Schema.Finite).annotate({
    description: "For the blocks that are still missing, from what a block took so far."
  }),
  estimated_bytes: Schema.NullOr(Schema.Finite),
  estimated_credits: Schema.NullOr(Schema.Finite)
})

export const StatusAnswer = Schema.Struct({
  chain_id: Schema.Finite,
  profile: Schema.String,
  instance: Schema.String,
  phase: Schema.Literals([
    "starting",
    "waiting",
    "syncing",
    "following",
    "retrying",
    "halted",
    "stopping",
    "done"
  ]),
  reason: Schema.NullOr(Schema.String),
  head: Schema.NullOr(Header),
  safe: Schema.NullOr(Schema.Finite),
  finalized: Schema.NullOr(Schema.Finite),
  start_block: Schema.Finite,
  target_block: Schema.NullOr(Schema.Finite),
  committed_cursor: Schema.NullOr(Schema.Finite).annotate({
    description: "Highest block up to which everything from start_block on is committed."
  }),
  tip: Schema.NullOr(Header).annotate({ description: "Highest committed block." }),
  sync_progress_percent: Schema.Finite,
  blocks_per_second: Schema.Finite.annotate({ description: "Committed, over the last minute." }),
  eta_seconds: Schema.NullOr(Schema.Finite),
  totals: Schema.Struct({
    blocks: Schema.Finite,
    transactions: Schema.Finite,
    logs: Schema.Finite
  }),
  coverage: Schema.Struct({
    proven: Schema.Finite.annotate({ description: "Blocks." }),
    linked: Schema.Finite.annotate({ description: "Blocks." }),
    events: Schema.Finite.annotate({ description: "Blocks of which only events are stored." }),
    ranges: Schema.Array(
      Schema.Struct({
        from: Schema.Finite,
        to: Schema.Finite,
        level: Schema.Literals(["proven", "linked", "events"])
      })
    ).annotate({ description: "The first hundred." })
  }),
  in_flight: Schema.Struct({
    blocks: Schema.Finite,
    bytes: Schema.Finite,
    max_blocks: Schema.Finite,
    max_bytes: Schema.Finite
  }),
  last_reorg: Schema.NullOr(
    Schema.Struct({ ancestor: Schema.Finite, depth: Schema.Finite, at: Schema.String })
  ),
  lease: Schema.NullOr(
    Schema.Struct({
      holder: Schema.String,
      epoch: Schema.Finite,
      acquired_at: Schema.String,
      expires_at: Schema.String,
      ours: Schema.Boolean
    })
  ),
  stuck: Schema.Array(
    Schema.Struct({
      from: Schema.Finite,
      to: Schema.Finite,
      reason: Schema.String,
      attempts: Schema.Finite,
      retry_at: Schema.String
    })
  ).annotate({ description: "Blocks that nobody could answer, or that did not prove; the rest goes on." }),
  cost: Cost.annotate({ description: "Of this process." }),
  endpoints: Schema.Array(Endpoint)
})

export const ReorgsAnswer = Schema.Struct({
  reorgs: Schema.Array(
    Schema.Struct({
      commit: Schema.Finite.annotate({ description: "Its place in the feed." }),
      ancestor: Schema.Finite.annotate({ description: "Highest block that both chains share." }),
      depth: Schema.Finite.annotate({ description: "Blocks that were taken back." }),
      at: Schema.String,
      removed: Schema.Array(Schema.Struct({ number: Schema.Finite, hash: Schema.String })).annotate({
        description: "What was taken back, ascending; the first hundred."
      })
    })
  ),
  next_before: Schema.NullOr(Schema.Finite).annotate({
    description: "Ask with `before` for the page of older ones; null on the last page."
  })
})

const count = (maximum: number) =>
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum }))

class System extends HttpApiGroup.make("system", { topLevel: true })
  .add(
    HttpApiEndpoint.get("health", "/health", { success: Health }).annotateMerge(
      OpenApi.annotations({ description: "The process lives." })
    )
  )
  .add(
    HttpApiEndpoint.get("ready", "/ready", { success: Ready, error: NotReady }).annotateMerge(
      OpenApi.annotations({
        description:
          "The tables are fresh: not halted, leading, and not behind by more than READY_MAX_LAG blocks."
      })
    )
  ) {}

export const BackPressureAnswer = Schema.Struct({
  max_jobs_capacity: Schema.Finite.annotate({
    description: "Blocks that may be planned and not fetched yet."
  }),
  max_results_capacity: Schema.Finite.annotate({
    description:
      "Blocks that may be fetched and not sequenced yet: 1,000 for each GiB of memory, capped by the profile."
  }),
  max_seq_buffer: Schema.Finite.annotate({
    description: "Blocks that may be sequenced and not committed yet."
  }),
  jobs_watermark: Schema.Finite.annotate({ description: "Blocks above which nothing is scheduled." }),
  results_watermark: Schema.Finite,
  current_jobs_depth: Schema.Finite,
  current_results_depth: Schema.Finite,
  current_seq_buffer: Schema.Finite,
  total_blocked_count: Schema.Finite.annotate({ description: "How often scheduling had to wait." }),
  max_bytes: Schema.Finite.annotate({ description: "BUFFER_BYTES: of all three together." }),
  bytes_watermark: Schema.Finite,
  current_bytes: Schema.Finite,
  backoff_level: Schema.Finite.annotate({
    description: "0 to 5; the next try is after 100 ms times two to this."
  }),
  memory_watermark: Schema.NullOr(Schema.Finite).annotate({ description: "Highest block sequenced." }),
  disk_watermark: Schema.NullOr(Schema.Finite).annotate({ description: "Highest block committed." }),
  watermark_lag: Schema.Finite.annotate({ description: "Blocks between the two." })
})

class Sync extends HttpApiGroup.make("sync", { topLevel: true })
  .add(HttpApiEndpoint.get("status", "/status", { success: StatusAnswer }))
  .add(
    HttpApiEndpoint.get("backPressure", "/backpressure_stats", { success: BackPressureAnswer }).annotateMerge(
      OpenApi.annotations({
        description: "What waits where, how much may, and how often scheduling had to wait."
      })
    )
  )
  .add(
    HttpApiEndpoint.get("reorgs", "/reorgs", {
      query: {
        before: Schema.optionalKey(count(Number.MAX_SAFE_INTEGER)),
        limit: Schema.optionalKey(count(500))
      },
      success: ReorgsAnswer,
      error: Unavailable
    }).annotateMerge(
      OpenApi.annotations({
        description: "Reorgs that were taken back, the newest first; `limit` is 50 unless told."
      })
    )
  )
  .prefix("/api") {}

export class Api extends HttpApi.make("sluice")
  .add(System)
  .add(Sync)
  .add(Tokens)
  .annotateMerge(
    OpenApi.annotations({
      title: "Sluice",
      description: "An EVM chain as SQL tables: what is committed, how fresh it is, and why."
    })
  ) {}
