/**
 * Who takes part in every commit: what a participant writes is in the same transaction as the blocks, so that it
 * changes with the cursor or not at all. Its failure is the commit's.
 */
import type { Effect } from "effect"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { EncodedBlock } from "./Columns.ts"
import type { Append, StoreError } from "./Store.ts"

export interface Participant {
  /** Once, after the migrations, in a transaction of its own: makes the tables that it needs. */
  readonly start?: Effect.Effect<void, StoreError>
  /** The blocks' own rows are written, coverage is not. */
  readonly append: (append: Append) => Effect.Effect<void, StoreError>
  /** Builds the secondary indexes that are not there yet: when a backfill is done. */
  readonly index?: Effect.Effect<void, StoreError>
  /** All blocks above `ancestor` are taken back. */
  readonly rollback: (ancestor: number) => Effect.Effect<void, StoreError>
  /** The rows of the blocks of `range` are exchanged for those of `blocks`. */
  readonly replace: (
    range: BlockRange,
    blocks: ReadonlyArray<EncodedBlock>
  ) => Effect.Effect<void, StoreError>
}
