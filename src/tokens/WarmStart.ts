/**
 * The state from nothing, as of a block: from the checkpoint and the events above it, or, where it can not be used, from
 * the last day of all tokens in the event tables. Rows that claim a block that is gone are mended, and what is due since
 * the last flush is written.
 *
 * **When to use**
 *
 * At each start, and where memory can not follow: after a rollback that is too deep for it, and after blocks that fill
 * a hole below.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import * as Rows from "../store/Rows.ts"
import type { CheckpointWriter } from "./Checkpoint.ts"
import type { CheckpointRows } from "./CheckpointRows.ts"
import type { DueWrites, Transact } from "./DueWrites.ts"
import { type ReadBack, slack } from "./ReadBack.ts"
import * as Restore from "./Restore.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { TokenMemory } from "./TokenMemory.ts"
import type { TokenRows } from "./TokenRows.ts"
import type { TokenSources } from "./TokenSources.ts"
import { TokenState } from "./TokenState.ts"
import { coarseReach, minuteOf } from "./Windows.ts"

interface Flushed {
  readonly number: bigint | null
  readonly timestamp: bigint | null
  /** Its block is not stored any more, events below it have changed since, or others count. */
  readonly gone: boolean
  /** Blocks that have filled holes since begin at this time, seconds since 1970. */
  readonly void_from: bigint | null
}

export const make = ({
  checkpoints,
  format,
  memory,
  reading,
  rows,
  saved,
  schema,
  sources,
  sql,
  transact,
  writes
}: {
  readonly sql: SqlClient.SqlClient
  readonly schema: string
  readonly memory: TokenMemory
  readonly reading: ReadBack
  readonly rows: TokenRows
  readonly checkpoints: CheckpointWriter
  readonly saved: CheckpointRows
  /** Of a checkpoint that can be read. */
  readonly format: string
  readonly sources: TokenSources
  readonly transact: Transact
  readonly writes: DueWrites
}) => {
  const name = (table: string) => sql(`${schema}.${table}`)
  const { undoBlocks } = memory

  /** Addresses whose rows say that something happened in the last day. */
  const active = Effect.map(
    sql<{ readonly address: Uint8Array }>`
      select token as address from ${name("token_metrics")} where window_seconds = ${coarseReach}::int4 and transfers > 0
      union select pair from ${name("pair_metrics")} where window_seconds = ${coarseReach}::int4 and trades > 0`,
    (found) => found.map(({ address }) => Rows.toHex(address))
  )

  /** The block that all rows were last written as of, and whether that is worth nothing any more. */
  const lastFlush = (tip: AsOf) => sql<Flushed>`
    select c.number, c.timestamp, c.void_from, c.voids <> c.written_voids or c.written_format <> ${format}
      or coalesce(c.number > ${PgTypes.int8(BigInt(tip.number))} or b.hash <> c.hash, false) as gone
    from ${name("token_checkpoint")} c left join ${name("blocks")} b on b.number = c.number`

  /** The last day of all tokens. */
  const readDay = Effect.fnUntraced(function* (tip: AsOf) {
    const knownFrom = tip.timestamp - coarseReach - slack
    const floor = { number: tip.number - undoBlocks, timestamp: Math.max(0, tip.timestamp - slack) }
    const fresh = new TokenState({ undoBlocks, knownFrom, floor })
    const from = yield* sources.firstBlock(knownFrom - 1, tip.number)
    yield* Restore.replay(sources, fresh, { from, after: knownFrom - 1 }, floor, tip)
    return fresh
  })

  const restore = Restore.make({ saved, sources, memory, format })

  const restored = Effect.fnUntraced(function* (tip: AsOf, flushed: number | undefined) {
    const { checkpoint, voids } = yield* saved.standing
    checkpoints.heard(voids)
    const found = checkpoint?.voids === voids ? yield* restore(checkpoint, tip, flushed) : undefined
    if (found !== undefined) return found
    yield* transact(saved.clear)
    const state = yield* readDay(tip)
    return { state, unsaved: state.tokens.keys(), savedAt: undefined, asleep: [] }
  })

  /** From when on rows may not be what they have to be, seconds since 1970; all of the last day before the first flush. */
  const dueFrom = (tip: AsOf, last: Flushed | undefined): number => {
    if (last?.number == null || last.timestamp === null) return tip.timestamp - coarseReach
    const written = Number(last.timestamp)
    // How deep a reorg went is not known any more.
    const kept = last.gone ? Math.min(tip.timestamp - coarseReach, written - slack) : written
    return Math.min(kept, tip.timestamp, Number(last.void_from ?? kept))
  }

  /** Who moved since then, but so long ago that the state does not know. */
  const before = Effect.fnUntraced(function* (tip: AsOf, since: number) {
    if (since >= tip.timestamp - coarseReach) return []
    const from = yield* sources.firstBlock(since - 1, tip.number)
    return yield* sources.moved({ from, to: tip.number, after: since - 1 })
  })

  /** Makes memory and rows hold as of the tip; undefined where no block is stored. */
  return Effect.fnUntraced(function* (tip: AsOf | undefined) {
    memory.clear()
    reading.searchAnew()
    if (tip === undefined) {
      checkpoints.heard((yield* saved.standing).voids)
      yield* transact(Effect.andThen(rows.clear, saved.clear))
      return
    }
    const [last] = yield* lastFlush(tip)
    const flushed = last?.number == null || last.gone ? undefined : Number(last.number)
    const { asleep, savedAt, state, unsaved } = yield* restored(tip, flushed)
    memory.state = state
    memory.savedAt = savedAt
    memory.unsaved = new Set(unsaved)
    for (const [address, pruned] of asleep) memory.pruned.set(address, pruned)
    const { tokens } = state
    const late = [...tokens.values()].filter(({ lastBlock }) => flushed === undefined || lastBlock > flushed)
    const since = dueFrom(tip, last)
    const due = new Set([
      ...(yield* reading.claiming(tip, "anybody's")),
      ...(yield* active).filter((address) => !tokens.has(address) && !memory.pruned.has(address)),
      ...late.map(({ address }) => address),
      ...(yield* before(tip, since))
    ])
    const mended = yield* reading.mend(due, tip)
    yield* writes.write(
      memory.tokensOf(due),
      tip,
      Effect.gen(function* () {
        yield* sources.rebuildCandles(minuteOf(since), tip.number)
        yield* rows.checkpoint(tip, memory.voids, false)
      }),
      mended.insert
    )
    memory.drop(tip)
  })
}
