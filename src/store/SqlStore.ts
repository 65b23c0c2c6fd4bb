/**
 * `Store` in PostgreSQL, or in an embedded one: the same SQL, the same promises.
 *
 * **When to use**: `SqlStore.layer({ schema })` over `Postgres.layer` or `Embedded.layer`.
 *
 * **Details**
 *
 * A commit is eight statements, however many blocks are in it (more only above 5,000 rows a table): `begin`; one that
 * holds the lease's row and looks at epoch, coverage and neighbours; an `insert` for each table; one that writes
 * coverage, totals, tip and the feed, and returns the state; `commit`.
 *
 * Two commits under one epoch meet in the primary keys; two epochs meet in the lease's row.
 *
 * **Gotchas**
 *
 * The layer migrates, and waits up to half a minute for a server that is only just starting. How many blocks a
 * partition has is fixed by the first start.
 */
import { PgTypes } from "@effect/sql-pg"
import { Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import * as FeedRows from "./FeedRows.ts"
import * as Guard from "./Guard.ts"
import * as Inserts from "./Inserts.ts"
import * as LeaseRow from "./LeaseRow.ts"
import * as Migrations from "./Migrations.ts"
import type { Participant } from "./Participant.ts"
import * as Partitions from "./Partitions.ts"
import * as Replace from "./Replace.ts"
import * as Rows from "./Rows.ts"
import { toStoreError, transaction } from "./SqlFailure.ts"
import {
  type Append,
  BelowFinality,
  DatabaseFailure,
  Duplicate,
  type Identity,
  IdentityMismatch,
  type LogPage,
  Store,
  StoreError
} from "./Store.ts"
import { indexes } from "./Tables.ts"

export interface SqlStoreOptions {
  /** The deployment's own schema: a name that needs no quotes, as `DATABASE_SCHEMA` is checked to be. */
  readonly schema: string
  /** Blocks in one partition, fixed by the first start. Default 1,000,000. */
  readonly partitionBlocks?: number
  /** Commits that the feed keeps. Default 100,000. */
  readonly feedCommits?: number
  /** Write in the same transactions, in this order. */
  readonly participants?: ReadonlyArray<Participant>
}

export const layer = (options: SqlStoreOptions): Layer.Layer<Store, StoreError, SqlClient.SqlClient> =>
  Layer.effect(Store, make(options))

/** A statement that takes longer is given up, so that a server which is gone without a word is noticed. */
const patience = Duration.minutes(2)

/** A server that was started together with us may need a moment. */
const startUp = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("2 seconds")]).pipe(
  Schedule.upTo({ duration: "30 seconds" })
)

const int8 = (value: number) => PgTypes.int8(BigInt(value))
const nullable = (value: number | undefined) => PgTypes.int8(value === undefined ? null : BigInt(value))
const fail = (reason: StoreError["reason"]) => new StoreError({ reason })

export const make = Effect.fnUntraced(function* ({
  feedCommits = FeedRows.defaultCommits,
  participants = [],
  partitionBlocks = 1_000_000,
  schema
}: SqlStoreOptions): Effect.fn.Return<Store["Service"], StoreError, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const name = (table: string) => sql(`${schema}.${table}`)

  const partitionSize = Effect.map(
    sql<{ readonly partition_blocks: bigint }>`select partition_blocks from ${name("sync_state")}`,
    ([stored]) => Number(stored?.partition_blocks ?? partitionBlocks)
  ).pipe(Effect.mapError(toStoreError("start")))

  const size = yield* Migrations.run({ schema, partitionBlocks }).pipe(
    Effect.andThen(Effect.forEach(participants, ({ start = Effect.void }) => start)),
    Effect.andThen(partitionSize),
    Effect.tapError((error) =>
      error.isRetryable
        ? Effect.logWarning("the database does not answer").pipe(
            Effect.annotateLogs({ reason: error.message })
          )
        : Effect.void
    ),
    Effect.retry({ schedule: startUp, while: (error) => error.isRetryable })
  )
  const partitions = yield* Partitions.make(sql, {
    schema,
    partitionBlocks: size
  })
  const inserts = Inserts.make(sql, schema)
  const feed = FeedRows.make(sql, { schema, commits: feedCommits })
  const guard = Guard.make(sql, schema)

  const bounded =
    (operation: string) =>
    <A>(effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
      Effect.timeoutOrElse(effect, {
        duration: patience,
        orElse: () =>
          Effect.fail(
            fail(
              new DatabaseFailure({
                operation,
                detail: `no answer in ${Duration.format(patience)}`,
                isRetryable: true,
                cause: undefined
              })
            )
          )
      })

  // Reading

  /** Waits for a commit whose connection broke, and which the server goes on with. */
  const settled = sql`select from ${name("sync_state")} for share`

  const state = sql<Rows.StateRow>`
    select ${sql.literal(Rows.stateColumns)}, c.level, c.ranges::text as ranges
    from ${name("sync_state")} s, ${name("coverage")} c`.pipe(
    (read) => Effect.andThen(settled, read),
    Effect.map(Rows.toState),
    Effect.mapError(toStoreError("read the state")),
    bounded("read the state")
  )

  const gaps: Store["Service"]["gaps"] = (range, limit) =>
    sql<{ readonly from: bigint; readonly to: bigint }>`
      select lower(gap) as "from", upper(gap) - 1 as "to"
      from unnest(
        int8multirange(int8range(${int8(range.from)}, ${int8(Math.max(range.to + 1, range.from))}))
        - (select ranges from ${name("coverage")} where level = 'proven')
        - (select ranges from ${name("coverage")} where level = 'linked')
        - (select ranges from ${name("coverage")} where level = 'events')
      ) gap
      order by gap limit ${int8(limit)}`.pipe(
      Effect.map((rows) => rows.map(({ from, to }) => ({ from: Number(from), to: Number(to) }))),
      Effect.mapError(toStoreError("look for gaps")),
      bounded("look for gaps")
    )

  const headers: Store["Service"]["headers"] = (range) =>
    sql<Rows.HeaderRow>`
      select number, hash, parent_hash, extract(epoch from timestamp)::float8 as timestamp
      from ${name("blocks")} where number between ${int8(range.from)} and ${int8(range.to)} order by number`.pipe(
      Effect.map((rows) => rows.map(Rows.toHeader)),
      Effect.mapError(toStoreError("read headers")),
      bounded("read headers")
    )

  // Identity

  const pinned = sql<{ readonly chain_id: bigint | null; readonly genesis_hash: Uint8Array | null }>`
    select chain_id, genesis_hash from ${name("sync_state")}`.pipe(
    Effect.map(([row]): Identity | undefined =>
      row === undefined || row.chain_id === null || row.genesis_hash === null
        ? undefined
        : { chainId: Number(row.chain_id), genesisHash: Rows.toHex(row.genesis_hash) }
    )
  )
  const identity = Effect.mapError(pinned, toStoreError("read which chain it is"))

  const pin = Effect.fnUntraced(
    function* ({ chainId, genesisHash }: Identity) {
      const seen = genesisHash.toLowerCase()
      yield* sql`
        update ${name("sync_state")}
        set chain_id = ${int8(chainId)}, genesis_hash = decode(${seen.slice(2)}, 'hex')
        where chain_id is null`
      const stored = yield* pinned
      if (stored === undefined) return
      if (stored.chainId !== chainId) {
        const ids = { stored: String(stored.chainId), seen: String(chainId) }
        return yield* fail(new IdentityMismatch({ what: "chain id", ...ids }))
      }
      if (stored.genesisHash !== seen) {
        return yield* fail(new IdentityMismatch({ what: "genesis hash", stored: stored.genesisHash, seen }))
      }
    },
    Effect.mapError(toStoreError("pin the chain"))
  )

  // Writing

  const append = Effect.fnUntraced(function* ({ blocks, epoch, finalized, pages = [] }: Append) {
    yield* partitions.ensure(blocks.map(({ number }) => number))
    return yield* Effect.gen(function* () {
      const rows = yield* guard(epoch, blocks, pages)
      const twice = Coverage.firstOf(rows[0]?.overlap ?? "") ?? repeated(blocks)
      if (twice !== undefined) return yield* fail(new Duplicate({ detail: `block ${twice}` }))
      const wrong = Guard.mismatch(blocks, rows.flatMap(Guard.neighbour))
      if (wrong !== undefined) return yield* fail(wrong)
      yield* inserts(blocks)
      for (const participant of participants) yield* participant.append({ blocks, epoch, finalized, pages })
      return Rows.toState(yield* record(blocks, pages, finalized))
    }).pipe(transaction(sql, "append"))
  }, bounded("append"))

  const record = (
    blocks: ReadonlyArray<EncodedBlock>,
    pages: ReadonlyArray<LogPage>,
    finalized: number | undefined
  ) => {
    const top = [...blocks.slice(-1), ...pages.map(({ last }) => last)]
      .sort((a, b) => a.number - b.number)
      .at(-1)
    const [lowest] = [
      ...blocks.slice(0, 1),
      ...pages.map(({ last, logs, range }) => ({
        number: range.from,
        timestamp: (logs[0] ?? last).timestamp
      }))
    ].sort((a, b) => a.number - b.number)
    const covered = Coverage.byLevel(blocks, pages)
    const sum = (count: (block: EncodedBlock) => number) => int8(blocks.reduce((n, b) => n + count(b), 0))
    const number = nullable(top?.number)
    const tip = (column: string, value: PgTypes.Parameter) =>
      sql`case when ${number} > coalesce(tip_number, -1) then ${value} else ${sql.literal(column)} end`
    return sql<Rows.StateRow>`
      with c as (
        update ${name("coverage")} set ranges = ranges + case level
          when 'proven' then ${covered.proven}::int8multirange
          when 'linked' then ${covered.linked}::int8multirange
          else ${covered.events}::int8multirange end
        returning level, ranges
      ), s as (
        update ${name("sync_state")} set
          blocks = blocks + ${int8(blocks.length)},
          transactions = transactions + ${sum((block) => block.transactions)},
          logs = logs + ${sum((block) => block.logs)},
          tip_number = ${tip("tip_number", number)},
          tip_hash = ${tip("tip_hash", Rows.bytes(top?.hash))},
          tip_parent_hash = ${tip("tip_parent_hash", Rows.bytes(top?.parentHash))},
          tip_timestamp = ${tip("tip_timestamp", nullable(top?.timestamp))},
          finalized = greatest(finalized, ${nullable(finalized)}),
          ${feed.counted(blocks)}
        returning *
      ), v as (
        update ${name("token_checkpoint")} set voids = voids + 1,
          void_from = least(void_from, ${nullable(lowest?.timestamp)})
        where ${nullable(lowest?.number)} <= (select coalesce(tip_number, -1) from ${name("sync_state")})
      ), ${feed.recorded(blocks)}
      select ${sql.literal(Rows.stateColumns)}, c.level, c.ranges::text as ranges from s, c`
  }

  const rollback = Effect.fnUntraced(
    function* ({ ancestor, epoch }: { readonly epoch: number; readonly ancestor: number }) {
      const above = int8(ancestor)
      yield* guard(epoch, [])
      const [final] = yield* sql<{ readonly finalized: bigint | null }>`
        select s.finalized from ${name("sync_state")} s
        where exists (select from ${name("blocks")} where number > ${above} and number <= s.finalized)`
      if (final !== undefined) {
        return yield* fail(new BelowFinality({ ancestor, finalized: Number(final.finalized) }))
      }
      for (const participant of participants) yield* participant.rollback(ancestor)
      const gone = yield* sql<Rows.RolledBackRow>`
        with b as (
          delete from ${name("blocks")} where number > ${above}
          returning number, hash, parent_hash, timestamp, transaction_count, log_count
        ),
        t as (delete from ${name("transactions")} where block_number > ${above} returning 1),
        l as (delete from ${name("logs")} where block_number > ${above} returning 1),
        w as (delete from ${name("withdrawals")} where block_number > ${above} returning 1),
        c as (
          update ${name("coverage")}
          set ranges = ranges * int8multirange(int8range(null, ${above}, '[]'))
          where not isempty(ranges) and upper(ranges) > ${above} + 1
        ),
        n as (
          select (select count(*) from b) as blocks, (select count(*) from t) as transactions,
            (select count(*) from l) as logs, (select count(*) from w) as withdrawals
        ),
        s as (
          update ${name("sync_state")} s set
            blocks = s.blocks - n.blocks, transactions = s.transactions - n.transactions, logs = s.logs - n.logs,
            tip_number = tip.number, tip_hash = tip.hash, tip_parent_hash = tip.parent_hash,
            tip_timestamp = extract(epoch from tip.timestamp)::int8,
            reorg_ancestor = ${above}, reorg_depth = n.blocks, reorg_at = clock_timestamp(),
            feed_id = s.feed_id + 1
          from n left join (
            select * from ${name("blocks")} where number <= ${above} order by number desc limit 1
          ) tip on true
          returning s.reorg_at, s.feed_id
        ),
        entry as (
          insert into ${name("feed")} (id, ancestor, depth, at)
          select s.feed_id, ${above}, n.blocks, s.reorg_at from s, n
        ),
        removed as (
          insert into ${name("removed_blocks")}
            (feed_id, number, hash, parent_hash, timestamp, level, transaction_count, log_count)
          select s.feed_id, b.number, b.hash, b.parent_hash, b.timestamp, case v.level when 'proven' then 'proven' else 'linked' end,
            b.transaction_count, b.log_count
          from s, b left join ${name("coverage")} v on b.number <@ v.ranges
        )
        select n.blocks, n.transactions, n.logs, s.feed_id,
          floor(extract(epoch from s.reorg_at) * 1000)::float8 as at, b.number, b.hash
        from s, n left join b on true
        order by b.number`
      return Rows.toRolledBack(ancestor, gone)
    },
    transaction(sql, "rollback"),
    bounded("rollback")
  )

  // Indexes

  const ensureIndexes = Effect.gen(function* () {
    const [row] = yield* sql<{ readonly indexed: boolean }>`select indexed from ${name("sync_state")}`
    if (row?.indexed === true) return false
    for (const { columns, name: index, table } of indexes) {
      const on = columns.map((column) => `"${column}"`).join(", ")
      yield* sql.unsafe(`create index if not exists "${index}" on "${schema}"."${table.name}" (${on})`)
    }
    for (const participant of participants) yield* participant.index ?? Effect.void
    yield* sql`update ${name("sync_state")} set indexed = true`
    return true
  }).pipe(Effect.mapError(toStoreError("build indexes")))

  return Store.of({
    pin,
    identity,
    state,
    gaps,
    headers,
    append,
    rollback,
    events: (after, limit) => bounded("read the feed")(feed.events(after, limit)),
    reorgs: (options) => bounded("read the reorgs")(feed.reorgs(options)),
    ensureIndexes,
    ...Replace.make({ sql, schema, feed, guard, inserts, partitions, participants }),
    ...LeaseRow.make(sql, schema)
  })
})

const repeated = (blocks: ReadonlyArray<EncodedBlock>): number | undefined =>
  blocks.find(({ number }, i) => number <= (blocks[i - 1]?.number ?? -1))?.number
