/**
 * The feed as rows: one for each commit, written in its transaction, from which every event can be told again.
 *
 * **Details**
 *
 * `feed` says which numbers a commit wrote at which level, or down to which ancestor it took back; what was taken back
 * is kept in `removed_blocks`. A block of a commit is the one that the first later rollback removed under its number,
 * or else the one in `blocks`. Numbers of commits are taken from `sync_state`, whose row each commit writes, so they
 * have no holes and come in the order of the commits.
 *
 * Commits are kept up to a number, and deleted a hundredth of it at a time; rollbacks are kept for good. What came
 * before `sync_state.feed_floor` is gone.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { ProofLevel } from "../chain/Block.ts"
import type { FeedEvent, FeedPlace, RemovedBlock } from "../delivery/Feed.ts"
import type { EncodedBlock } from "./Columns.ts"
import * as Coverage from "./Coverage.ts"
import * as Rows from "./Rows.ts"
import { toStoreError } from "./SqlFailure.ts"
import type { FeedPage, RecordedReorg, Store } from "./Store.ts"

/** Commits that are kept, unless told otherwise: days on mainnet's head, and hours of a backfill. */
export const defaultCommits = 100_000

interface EventRow {
  readonly feed_id: bigint
  readonly feed_floor: bigint
  readonly id: bigint | null
  readonly ancestor: bigint | null
  readonly depth: bigint | null
  readonly at: number
  readonly level: ProofLevel
  readonly number: bigint | null
  readonly hash: Uint8Array | null
  readonly parent_hash: Uint8Array | null
  readonly timestamp: number
  readonly transaction_count: number
  readonly log_count: number
}

interface ReorgRow {
  readonly id: bigint
  readonly ancestor: bigint
  readonly depth: bigint
  readonly at: number
}

const int8 = (value: number) => PgTypes.int8(BigInt(value))

export const make = (
  sql: SqlClient.SqlClient,
  { commits, schema }: { readonly commits: number; readonly schema: string }
) => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const step = int8(Math.max(1, Math.floor(commits / 100)))

  /** What an update of `sync_state` sets for a commit with `blocks`, or for none. */
  const counted = (blocks: ReadonlyArray<EncodedBlock>) => {
    const next = sql`feed_id + ${int8(blocks.length === 0 ? 0 : 1)}`
    return sql`
      feed_id = ${next},
      feed_floor = case when (${next}) % ${step} = 0
        then greatest(feed_floor, ${next} - ${int8(commits)}) else feed_floor end`
  }

  /** Parts of a `with` after `s`, the updated `sync_state`. */
  const recorded = (blocks: ReadonlyArray<EncodedBlock>) => sql`
    entry as (
      insert into ${name("feed")} (id, proven, linked)
      select s.feed_id, ${Coverage.multirange(blocks.filter(({ level }) => level === "proven"))}::int8multirange,
        ${Coverage.multirange(blocks.filter(({ level }) => level === "linked"))}::int8multirange
      from s where ${PgTypes.bool(blocks.length > 0)}
    ), pruned as (
      delete from ${name("feed")} f using s
      where s.feed_id % ${step} = 0 and f.id <= s.feed_floor and f.ancestor is null
    )`

  const removedBy = Effect.fnUntraced(function* (commits: ReadonlyArray<number>) {
    const removed = new Map<number, Array<RemovedBlock>>(commits.map((commit) => [commit, []]))
    if (commits.length === 0) return removed
    const rows = yield* sql<{ readonly feed_id: bigint; readonly number: bigint; readonly hash: Uint8Array }>`
      select feed_id, number, hash from ${name("removed_blocks")}
      where feed_id = any(${Rows.int8s(commits)}::int8[]) order by number`
    for (const { feed_id, hash, number } of rows) {
      removed.get(Number(feed_id))?.push({ number: Number(number), hash: Rows.toHex(hash) })
    }
    return removed
  })

  const events: Store["Service"]["events"] = Effect.fnUntraced(
    function* (after: FeedPlace, limit: number) {
      const commit = int8(after.commit)
      const number = PgTypes.int8(after.number === undefined ? null : BigInt(after.number))
      const rows = yield* sql<EventRow>`
        with page as (
          select * from ${name("feed")}
          where id > ${commit} or (id = ${commit} and ancestor is null and ${number} is not null)
          order by id limit ${int8(limit + 1)} -- the first of them may have been read to its end
        ), place as (
          select p.id, p.ancestor, p.depth, p.at, n.number, n.number <@ p.proven as proven
          from page p left join lateral (
            select generate_series(lower(r), upper(r) - 1) as number from unnest(p.proven + p.linked) r
          ) n on true
          where p.id > ${commit} or n.number > ${number}
          order by p.id, n.number limit ${int8(limit)}
        )
        select s.feed_id, s.feed_floor, p.id, p.ancestor, p.depth,
          floor(extract(epoch from p.at) * 1000)::float8 as at,
          case when p.proven then 'proven' else 'linked' end as level,
          p.number, coalesce(r.hash, b.hash) as hash, coalesce(r.parent_hash, b.parent_hash) as parent_hash,
          extract(epoch from coalesce(r.timestamp, b.timestamp))::float8 as timestamp,
          coalesce(r.transaction_count, b.transaction_count) as transaction_count,
          coalesce(r.log_count, b.log_count) as log_count
        from ${name("sync_state")} s
        left join place p on true
        left join lateral (
          select * from ${name("removed_blocks")} r
          where r.number = p.number and r.feed_id > p.id order by r.feed_id limit 1
        ) r on true
        left join ${name("blocks")} b on b.number = p.number and r.number is null
        order by p.id, p.number`
      const newest = Number(rows[0]?.feed_id ?? 0)
      if (after.commit < Number(rows[0]?.feed_floor ?? 0) || after.commit > newest) {
        return { _tag: "Reset", newest: { commit: newest, number: undefined } } satisfies FeedPage
      }
      const reorgs = rows.flatMap(({ ancestor, id }) =>
        ancestor === null || id === null ? [] : [Number(id)]
      )
      const removed = yield* removedBy(reorgs)
      return { _tag: "Page", events: rows.flatMap((row) => toEvent(row, removed)) } satisfies FeedPage
    },
    Effect.mapError(toStoreError("read the feed"))
  )

  const reorgs: Store["Service"]["reorgs"] = Effect.fnUntraced(
    function* ({ before, limit }) {
      const rows = yield* sql<ReorgRow>`
        select id, ancestor, depth, floor(extract(epoch from at) * 1000)::float8 as at
        from ${name("feed")}
        where ancestor is not null and id < coalesce(${PgTypes.int8(before === undefined ? null : BigInt(before))}, id + 1)
        order by id desc limit ${int8(limit)}`
      const removed = yield* removedBy(rows.map(({ id }) => Number(id)))
      return rows.map(
        ({ ancestor, at, depth, id }): RecordedReorg => ({
          commit: Number(id),
          ancestor: Number(ancestor),
          depth: Number(depth),
          at,
          removed: removed.get(Number(id)) ?? []
        })
      )
    },
    Effect.mapError(toStoreError("read the reorgs"))
  )

  return { counted, recorded, events, reorgs }
}

const toEvent = (
  row: EventRow,
  removed: ReadonlyMap<number, ReadonlyArray<RemovedBlock>>
): ReadonlyArray<FeedEvent> => {
  const { ancestor, at, depth, hash, id, level, log_count, number, parent_hash, timestamp } = row
  if (id === null) return []
  const commit = Number(id)
  if (ancestor !== null) {
    return [
      {
        _tag: "RolledBack",
        commit,
        ancestor: Number(ancestor),
        depth: Number(depth),
        at,
        removed: removed.get(commit) ?? []
      }
    ]
  }
  if (number === null || hash === null || parent_hash === null) return []
  return [
    {
      _tag: "BlockCommitted",
      commit,
      level,
      transactions: row.transaction_count,
      logs: log_count,
      ...Rows.toHeader({ number, hash, parent_hash, timestamp })
    }
  ]
}
