/**
 * The state of all tokens as of one block, kept in tables, so that a start has to read only the events above it.
 *
 * **Details**
 *
 * - It holds as of a block so far below the newest that a rollback rarely reaches it: the lowest that memory can still
 *   go back to. What newer blocks did is left out, and is read from the event tables at the start.
 * - Only tokens that have moved since the last one are written, some at a time, while blocks go on coming in.
 * - A token of which memory does not have the state as of that block, because it was dropped or read back since, is
 *   named without a state: whoever needs it reads it from the event tables.
 * - It is used where its block is still stored with the hash that it had, and where nothing has changed events below
 *   the newest block since (`voids`, see `store/TokenTables`), with the same tables and the same encoding.
 *
 * **Gotchas**
 *
 * `voids` is read only before all is read from the event tables: a number read at any other time may count a change
 * that memory has not heard of. Where it has changed without a word (blocks without events that fill a hole may name a
 * contract whose events above are stored already), nothing is saved, and all is to be read anew (`isBehind`).
 */
import { Effect, Semaphore } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex } from "../chain/Block.ts"
import type { StoreError } from "../store/Store.ts"
import { type Checkpoint, type CheckpointRows, type StateRow, unknown } from "./CheckpointRows.ts"
import type { Transact } from "./DueWrites.ts"
import { slack } from "./ReadBack.ts"
import * as StateCode from "./StateCode.ts"
import type { AsOf } from "./TokenEvent.ts"
import type { TokenMemory } from "./TokenMemory.ts"
import type { TokenSource } from "./TokenSources.ts"
import type { TokenState } from "./TokenState.ts"
import { coarseReach } from "./Windows.ts"

/** What the bytes are, and of which tables. */
export const formatOf = (sources: ReadonlyArray<TokenSource>): string =>
  JSON.stringify([StateCode.version, sources.map(({ kind, table }) => [kind, table]).sort()])

/** Bytes of states in one transaction, about: what is encoded in one step keeps others waiting. */
const batchBytes = 512 * 1_024

export interface CheckpointSize {
  /** Tokens that were written. */
  readonly tokens: number
  readonly bytes: number
}

export const none: CheckpointSize = { tokens: 0, bytes: 0 }

export type CheckpointWriter = ReturnType<typeof make>

export const make = ({
  batchSize,
  format,
  memory,
  rows,
  transact,
  writing
}: {
  readonly memory: TokenMemory
  readonly rows: CheckpointRows
  readonly transact: Transact
  /** Held while memory is looked at and what was found is written. */
  readonly writing: Semaphore.Semaphore
  readonly format: string
  /** Tokens of one transaction, at most. */
  readonly batchSize: number
}) => {
  const one = Semaphore.makeUnsafe(1)
  /** Whether something below the newest block was changed without a word of it. */
  let unheard = false

  /** So many changes are in what memory knows. */
  const heard = (count: number): void => {
    memory.voids = count
    unheard = false
  }

  /** A token as of a block: its row, or `gone` where it had none then. */
  const rowOf = (state: TokenState, address: Hex, at: AsOf): StateRow | "gone" => {
    const token = state.tokens.get(address)
    if (token === undefined) {
      const pruned = memory.pruned.get(address)
      return pruned === undefined ? "gone" : { address, ...pruned, body: undefined }
    }
    const done = state.doneAbove(token, at.number)
    if (done[0]?.created === true) return "gone"
    const code = StateCode.encode(token, at, done)
    if (code !== undefined) return { address, ...code, body: code.bytes }
    return {
      address,
      lastBlock: unknown,
      lastTime: token.lastTime,
      transfers: token.transfers !== undefined,
      trades: token.trades !== undefined,
      body: undefined
    }
  }

  /** Tokens whose state as of `at` is not that of the checkpoint. */
  const dueAt = (state: TokenState, at: AsOf): ReadonlyArray<Hex> => {
    const above = Math.min(at.number, memory.savedAt ?? -1)
    const moved = [...state.tokens.values()].filter(({ lastBlock }) => lastBlock > above)
    return [...new Set([...memory.unsaved, ...moved.map(({ address }) => address)])]
  }

  const write = Effect.fnUntraced(function* (state: TokenState, asOf: AsOf, turn: number) {
    const at = yield* rows.lowest(Math.max(0, state.settledTo), asOf.number)
    const standing = yield* rows.standing
    const { voids } = memory
    if (memory.turn !== turn) return none
    unheard = standing.voids !== voids
    if (at === undefined || unheard) return none
    const due = dueAt(state, at)
    if (due.length === 0 && memory.savedAt === at.number) return none
    const generation = standing.generation + 1
    // What is above the block is due again the next time, also when it is dropped until then.
    memory.unsaved = new Set(
      due.filter((address) => (state.tokens.get(address)?.lastBlock ?? -1) > at.number)
    )
    const checkpoint: Checkpoint = { ...at, generation, knownFrom: state.knownFrom, voids, format }
    const gone: Array<Hex> = []
    let [next, tokens, bytes] = [0, 0, 0]
    /** The next batch, in one step. */
    const batch = (): ReadonlyArray<StateRow> => {
      const found: Array<StateRow> = []
      for (let size = 0; next < due.length && found.length < batchSize && size < batchBytes; next++) {
        const row = rowOf(state, due[next] ?? "0x", at)
        if (row === "gone") gone.push(due[next] ?? "0x")
        else {
          found.push(row)
          size += row.body?.length ?? 0
          if (row.lastBlock === unknown) memory.unsaved.add(row.address)
        }
      }
      return found
    }
    const put: Effect.Effect<boolean, StoreError> = Effect.suspend(() => {
      // A rollback or a load came between: what was written is of a state that is no more.
      if (memory.turn !== turn) return Effect.succeed(false)
      const first = next === 0
      const found = batch()
      tokens += found.length
      for (const { body } of found) bytes += body?.length ?? 0
      return transact(
        Effect.gen(function* () {
          if (first) yield* rows.removeAbove(standing.generation)
          if (found.length > 0) yield* rows.insert(generation, found)
          if (next >= due.length) yield* rows.claim(checkpoint, gone, at.timestamp - coarseReach - slack)
        })
      ).pipe(Effect.as(true))
    })
    const again = Effect.sync(() => {
      for (const address of due) memory.unsaved.add(address)
    })
    const whole = yield* Effect.gen(function* () {
      do {
        if (!(yield* writing.withPermit(put))) return false
      } while (next < due.length)
      return true
    }).pipe(Effect.onError(() => again))
    if (!whole) {
      yield* again
      return none
    }
    if (memory.turn === turn) memory.savedAt = at.number
    return { tokens, bytes }
  })

  /** Writes the checkpoint anew; returns what that came to, which is nothing where it can not be made now. */
  const save: Effect.Effect<CheckpointSize, StoreError | SqlError> = Effect.suspend(() => {
    const { state, turn } = memory
    const { asOf } = state
    if (asOf === undefined) return Effect.succeed(none)
    state.hold(state.settledTo)
    return write(state, asOf, turn).pipe(Effect.ensuring(Effect.sync(() => state.hold(undefined))))
  }).pipe(one.withPermit)

  return { save, heard, isBehind: () => unheard }
}
