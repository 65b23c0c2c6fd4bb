/**
 * Mending what is stored: the rows of some blocks are exchanged for the right ones, and the totals counted again. The
 * stream never does this; `sluice verify --repair` does. The feed tells of the right blocks anew.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import type * as FeedRows from "./FeedRows.ts"
import * as Guard from "./Guard.ts"
import type { Participant } from "./Participant.ts"
import type { Partitions } from "./Partitions.ts"
import * as Rows from "./Rows.ts"
import { transaction } from "./SqlFailure.ts"
import { type Store, StoreError } from "./Store.ts"
import * as TokenTables from "./TokenTables.ts"

export type ReplaceMethods = Pick<Store["Service"], "replace" | "recount">

const int8 = (value: number) => PgTypes.int8(BigInt(value))

export const make = ({
  feed,
  guard,
  inserts,
  participants,
  partitions,
  schema,
  sql
}: {
  readonly sql: SqlClient.SqlClient
  readonly schema: string
  readonly feed: ReturnType<typeof FeedRows.make>
  readonly guard: ReturnType<typeof Guard.make>
  readonly inserts: (blocks: ReadonlyArray<EncodedBlock>) => Effect.Effect<void, SqlError>
  readonly partitions: Partitions
  readonly participants: ReadonlyArray<Participant>
}): ReplaceMethods => {
  const name = (table: string) => sql(`${schema}.${table}`)

  const tip = sql`
    (select 1) one left join (select * from ${name("blocks")} order by number desc limit 1) tip on true`
  const tipColumns = sql`
    tip_number = tip.number, tip_hash = tip.hash, tip_parent_hash = tip.parent_hash,
    tip_timestamp = extract(epoch from tip.timestamp)::int8`

  const replace: ReplaceMethods["replace"] = Effect.fnUntraced(function* ({ blocks, epoch, range, unsure }) {
    yield* partitions.ensure(blocks.map(({ number }) => number))
    return yield* exchange({ blocks, epoch, range, unsure }).pipe(transaction(sql, "replace"))
  })

  const exchange = Effect.fnUntraced(function* ({
    blocks,
    epoch,
    range,
    unsure
  }: Parameters<ReplaceMethods["replace"]>[0]) {
    const rows = yield* guard(epoch, blocks)
    const beside = rows
      .flatMap(Guard.neighbour)
      .filter(({ number }) => (number < range.from || number > range.to) && !unsure.includes(number))
    const wrong = Guard.mismatch(blocks, beside)
    if (wrong !== undefined) return yield* new StoreError({ reason: wrong })
    const [from, to] = [int8(range.from), int8(range.to)]
    const [gone] = yield* sql<Record<"blocks" | "transactions" | "logs", bigint>>`
      with b as (delete from ${name("blocks")} where number between ${from} and ${to} returning 1),
      t as (delete from ${name("transactions")} where block_number between ${from} and ${to} returning 1),
      l as (delete from ${name("logs")} where block_number between ${from} and ${to} returning 1),
      w as (delete from ${name("withdrawals")} where block_number between ${from} and ${to} returning 1)
      select (select count(*) from b) as blocks, (select count(*) from t) as transactions,
        (select count(*) from l) as logs, (select count(*) from w) as withdrawals`
    yield* inserts(blocks)
    for (const participant of participants) yield* participant.replace(range, blocks)
    yield* TokenTables.voidState(sql, schema)
    const more = (count: (block: EncodedBlock) => number, less: bigint | undefined) =>
      int8(blocks.reduce((n, block) => n + count(block), 0) - Number(less ?? 0))
    const covered = Coverage.byLevel(blocks)
    const after = yield* sql<Rows.StateRow>`
      with c as (
        update ${name("coverage")} set ranges = ranges
          - int8multirange(int8range(${from}, ${to}, '[]')) + case level
          when 'proven' then ${covered.proven}::int8multirange
          when 'linked' then ${covered.linked}::int8multirange
          else ${covered.events}::int8multirange end
        returning level, ranges
      ), s as (
        update ${name("sync_state")} s set
          blocks = s.blocks + ${more(() => 1, gone?.blocks)},
          transactions = s.transactions + ${more((block) => block.transactions, gone?.transactions)},
          logs = s.logs + ${more((block) => block.logs, gone?.logs)},
          ${tipColumns},
          ${feed.counted(blocks)}
        from ${tip}
        returning s.*
      ), ${feed.recorded(blocks)}
      select ${sql.literal(Rows.stateColumns)}, c.level, c.ranges::text as ranges from s, c`
    return Rows.toState(after)
  })

  const recount: ReplaceMethods["recount"] = Effect.fnUntraced(
    function* (epoch) {
      yield* guard(epoch, [])
      yield* sql`
        update ${name("sync_state")} set
          blocks = (select count(*) from ${name("blocks")}),
          transactions = (select count(*) from ${name("transactions")}),
          logs = (select count(*) from ${name("logs")}),
          ${tipColumns}
        from ${tip}`
    },
    transaction(sql, "count again")
  )

  return { replace, recount }
}
