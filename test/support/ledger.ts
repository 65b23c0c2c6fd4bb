/**
 * Who wrote when, and whether the tables are right: told by the database and the chain, never by the program.
 *
 * **Details**
 *
 * Each instance has a user of its own, named as the instance. A deferred trigger notes user and transaction of every
 * commit that changes what is stored, and another one those that change the lease's epoch; the server keeps the time of
 * each commit. A commit of an instance outside the time between its own epoch and the next one is one that fencing
 * should have stopped.
 */
import { Effect, Redacted } from "effect"
import * as Postgres from "../../src/store/Postgres.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { type BlockRow, chainRows, rpc, tableRows } from "./oracle.ts"
import { query } from "./PostgresServer.ts"

export const schema = "chain_31337"

/** Makes the tables, and watches them from then on. */
export const watch = Effect.fnUntraced(function* (url: string) {
  yield* SqlStore.make({ schema }).pipe(
    Effect.provide(Postgres.layer({ url: Redacted.make(url) })),
    Effect.scoped
  )
  yield* query(
    url,
    `do $do$ begin
        create schema watched;
        create table watched.commits (who text, xid xid8, blocks int8, reorg_at timestamptz);
        create table watched.epochs (who text, xid xid8, epoch int8);
        create function watched.commit() returns trigger language plpgsql as $$ begin
          insert into watched.commits values (session_user, pg_current_xact_id(), new.blocks, new.reorg_at);
          return null;
        end $$;
        create function watched.epoch() returns trigger language plpgsql as $$ begin
          insert into watched.epochs values (session_user, pg_current_xact_id(), new.epoch);
          return null;
        end $$;
        create constraint trigger watched after update on ${schema}.sync_state
          deferrable initially deferred for each row
          when ((old.blocks, old.tip_hash) is distinct from (new.blocks, new.tip_hash))
          execute function watched.commit();
        create constraint trigger watched after update on ${schema}.lease
          deferrable initially deferred for each row
          when (old.epoch <> new.epoch) execute function watched.epoch();
      end $do$`
  )
}, Effect.orDie)

export interface Tally {
  /** Transactions that stored or took back blocks. */
  readonly commits: number
  /** Among them, those of an instance that did not have the lease at that time. */
  readonly fenced: number
  /** How often the lease was taken. */
  readonly epochs: number
  /** Reorgs taken back. */
  readonly reorgs: number
}

export const tally = Effect.fnUntraced(function* (url: string): Effect.fn.Return<Tally> {
  const [row] = yield* Effect.orDie(
    query<Record<keyof Tally, bigint>>(
      url,
      `with commits as (
        select *, pg_xact_commit_timestamp(xid::xid) as at from watched.commits
      ), epochs as (
        select *, lead(at) over (order by epoch) as next
        from (select *, pg_xact_commit_timestamp(xid::xid) as at from watched.epochs) e
      )
      select (select count(*) from commits) as commits,
        (select count(*) from commits c where not exists (
          select from epochs e
          where e.who = c.who and e.at <= c.at and (e.next is null or c.at < e.next)
        )) as fenced,
        (select count(*) from epochs) as epochs,
        (select count(distinct reorg_at) from commits) as reorgs`
    )
  )
  return {
    commits: Number(row?.commits),
    fenced: Number(row?.fenced),
    epochs: Number(row?.epochs),
    reorgs: Number(row?.reorgs)
  }
})

export interface Comparison {
  /** Rows of blocks, transactions and logs that the chain has. */
  readonly rows: number
  /** Rows of the chain that the tables lack, or have otherwise. */
  readonly lost: number
  /** Rows of the tables that the chain lacks, or that are there once more than they should be. */
  readonly doubled: number
  /** Whether totals and coverage say what is in the tables. */
  readonly isAgreed: boolean
}

/** The tables against the chain, up to its head, or up to where the tables end. */
export const compare = Effect.fnUntraced(function* (
  chain: string,
  database: string,
  upTo?: number
): Effect.fn.Return<Comparison> {
  const head = upTo ?? Number(yield* rpc<string>(chain, "eth_blockNumber"))
  const wanted = split(yield* chainRows(chain, 0, head))
  const found = split(
    yield* tableRows(schema).pipe(
      Effect.provide(Postgres.layer({ url: Redacted.make(database) })),
      Effect.orDie
    )
  )
  const [row] = yield* Effect.orDie(
    query<{ readonly rows: bigint; readonly agreed: boolean }>(
      database,
      `with n as (
        select (select count(*) from ${schema}.blocks) as b, (select count(*) from ${schema}.transactions) as t,
          (select count(*) from ${schema}.logs) as l
      )
      select n.b + n.t + n.l as rows, (n.b, n.t, n.l) = (s.blocks, s.transactions, s.logs)
        and c.ranges = int8multirange(int8range(0, ${head} + 1)) as agreed
      from n, ${schema}.sync_state s, ${schema}.coverage c where c.level = 'proven'`
    )
  )
  const missing = minus(wanted, found)
  return {
    rows: wanted.length,
    lost: missing,
    // What no block owns is not among those found.
    doubled: minus(found, wanted) + Number(row?.rows) - found.length,
    isAgreed: row?.agreed === true
  }
})

const split = (blocks: ReadonlyArray<BlockRow>): ReadonlyArray<string> =>
  blocks.flatMap(({ logs, transactions, ...block }) => [
    JSON.stringify(block),
    ...transactions.map((row, i) => JSON.stringify([block.number, i, row])),
    ...logs.map((row) => JSON.stringify([block.number, row]))
  ])

/** How many of `left` are not in `right`, each of which stands for one. */
const minus = (left: ReadonlyArray<string>, right: ReadonlyArray<string>): number => {
  const counts = new Map<string, number>()
  for (const row of right) counts.set(row, (counts.get(row) ?? 0) + 1)
  return left.filter((row) => {
    const count = counts.get(row) ?? 0
    counts.set(row, count - 1)
    return count <= 0
  }).length
}
