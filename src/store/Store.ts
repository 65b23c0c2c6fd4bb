/**
 * Where the chain becomes rows. One transaction says one thing: rows, coverage, totals and the lease's epoch
 * change together or not at all.
 *
 * **Coverage is the truth.** What is committed is kept as a multirange of block numbers for each proof level; what
 * is missing is always asked anew (`gaps`), never remembered elsewhere. A block is inserted once: the tables take
 * plain inserts, and a duplicate fails loudly with `Duplicate`.
 */
import { Context, type Effect, Schema } from "effect"
import type { BlockHeader, CoverageLevel, Hex, RpcLog } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { FeedEvent, FeedPlace, RemovedBlock } from "../delivery/Feed.ts"
import type { EncodedBlock } from "./Columns.ts"

/** Rows in the tables, equal to `count(*)` at any committed moment. */
export interface Totals {
  readonly blocks: number
  readonly transactions: number
  readonly logs: number
}

/** The newest reorg that was taken back. */
export interface Reorg {
  /** Highest block that both chains share. */
  readonly ancestor: number
  /** Blocks deleted above the ancestor. */
  readonly depth: number
  /** Milliseconds since 1970, by the database's clock. */
  readonly at: number
}

export interface CoveredRange extends BlockRange {
  readonly level: CoverageLevel
}

/** One consistent snapshot of what is committed. */
export interface StoreState {
  /** Ascending, disjoint, adjacent ranges of the same level merged. */
  readonly coverage: ReadonlyArray<CoveredRange>
  readonly totals: Totals
  /** Highest committed block. */
  readonly tip: BlockHeader | undefined
  /** Highest block ever told to be final; below it nothing is ever taken back. */
  readonly finalized: number | undefined
  readonly lastReorg: Reorg | undefined
  /** The newest commit in the feed; 0 before the first. */
  readonly commit: number
}

/** What this deployment's tables belong to; pinned by the first start. */
export interface Identity {
  readonly chainId: number
  readonly genesisHash: Hex
}

export interface LeaseRow {
  readonly holder: string
  readonly epoch: number
  /** Milliseconds since 1970, by the database's clock. */
  readonly acquiredAt: number
  readonly expiresAt: number
}

export type LeaseAttempt =
  | { readonly _tag: "Acquired"; readonly lease: LeaseRow }
  | { readonly _tag: "Held"; readonly lease: LeaseRow }

/** A log with the block that it is in. */
export interface PlacedLog {
  readonly log: RpcLog
  readonly number: number
  /** Seconds since 1970. */
  readonly timestamp: number
}

/** All logs of a range that some sources take. */
export interface LogPage {
  readonly range: BlockRange
  /** In the order of the chain. */
  readonly logs: ReadonlyArray<PlacedLog>
  /** The range's last block. */
  readonly last: BlockHeader
  /** Bytes that it holds in memory. */
  readonly bytes: number
}

export interface Append {
  /** The epoch of the lease under which this is written. */
  readonly epoch: number
  /** In ascending order; each one's parent is the one before it wherever the numbers are adjacent. */
  readonly blocks: ReadonlyArray<EncodedBlock>
  /** Final ranges of which only events are stored; none of them covered by now. */
  readonly pages?: ReadonlyArray<LogPage>
  /** Raises the stored finalized block, never lowers it. */
  readonly finalized: number | undefined
}

export interface RolledBack extends Reorg {
  readonly blocks: number
  readonly transactions: number
  readonly logs: number
  /** Its place in the feed. */
  readonly commit: number
  readonly removed: ReadonlyArray<RemovedBlock>
}

/** A reorg as the feed keeps it. */
export interface RecordedReorg extends Reorg {
  readonly commit: number
  readonly removed: ReadonlyArray<RemovedBlock>
}

/** `Reset` when the feed no longer has what came next: the reader has to read the tables anew, and goes on from `newest`. */
export type FeedPage =
  | { readonly _tag: "Page"; readonly events: ReadonlyArray<FeedEvent> }
  | { readonly _tag: "Reset"; readonly newest: FeedPlace }

export class Store extends Context.Service<
  Store,
  {
    /**
     * Pins chain id and genesis hash on first use; afterwards fails with `IdentityMismatch` when they differ, before
     * any write.
     */
    readonly pin: (identity: Identity) => Effect.Effect<void, StoreError>
    /** What is pinned; undefined before the first `pin`. */
    readonly identity: Effect.Effect<Identity | undefined, StoreError>
    /** What is committed; waits for what is being committed, even over a connection that is gone. */
    readonly state: Effect.Effect<StoreState, StoreError>
    /** The parts of `range` that are not covered at any level, ascending, at most `limit` of them. */
    readonly gaps: (range: BlockRange, limit: number) => Effect.Effect<ReadonlyArray<BlockRange>, StoreError>
    /** The committed headers inside `range`, ascending; absent blocks are left out. */
    readonly headers: (range: BlockRange) => Effect.Effect<ReadonlyArray<BlockHeader>, StoreError>
    /**
     * Inserts the blocks with all their rows in one transaction. Fails with `Fenced` when the epoch is no longer the
     * lease's, with `LinkMismatch` when a block does not fit a committed neighbour (below or above), with
     * `Duplicate` when a block is there already. Makes partitions as needed. Returns the state after it.
     */
    readonly append: (append: Append) => Effect.Effect<StoreState, StoreError>
    /**
     * Deletes all blocks above `ancestor` in one transaction. Fails with `BelowFinality` when that would take back a
     * finalized block, with `Fenced` as above.
     */
    readonly rollback: (options: {
      readonly epoch: number
      readonly ancestor: number
    }) => Effect.Effect<RolledBack, StoreError>
    /**
     * What was committed and taken back after a place, in order, at most `limit` events: a block with the hash it had
     * in that commit, whatever became of it since.
     */
    readonly events: (after: FeedPlace, limit: number) => Effect.Effect<FeedPage, StoreError>
    /** Reorgs of a commit below `before` (all of them without it), the newest first, at most `limit`. */
    readonly reorgs: (options: {
      readonly before: number | undefined
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<RecordedReorg>, StoreError>
    /**
     * Exchanges all rows of the blocks of `range` for those of `blocks`, which are all of that range or none of it, in
     * one transaction with coverage, totals and tip. For mending what is stored; finality is no obstacle. Fails with
     * `LinkMismatch` when they do not fit a committed neighbour, with `Fenced` as above. Returns the state after it.
     */
    readonly replace: (options: {
      readonly epoch: number
      readonly range: BlockRange
      readonly blocks: ReadonlyArray<EncodedBlock>
      /** Neighbours of the range that are to be replaced too, and so prove nothing against these blocks. */
      readonly unsure: ReadonlyArray<number>
    }) => Effect.Effect<StoreState, StoreError>
    /** Sets totals and tip to what the tables hold. Reads all of them: minutes where there are billions of rows. */
    readonly recount: (epoch: number) => Effect.Effect<void, StoreError>
    /** Builds the secondary indexes if they are not there yet; idempotent. True when it built some. */
    readonly ensureIndexes: Effect.Effect<boolean, StoreError>
    /**
     * Takes the lease when it is free or expired (or, with `evenIfHeld`, in any case: the caller knows that the
     * holder is gone), with an epoch one higher than the last. Its clock is the database's.
     */
    readonly acquireLease: (options: {
      readonly holder: string
      /** Milliseconds. */
      readonly duration: number
      readonly evenIfHeld: boolean
    }) => Effect.Effect<LeaseAttempt, StoreError>
    /** Extends the lease; fails with `Fenced` when another holder has it. */
    readonly renewLease: (options: {
      readonly epoch: number
      readonly duration: number
    }) => Effect.Effect<LeaseRow, StoreError>
    /** Lets the next instance in at once. Does nothing when the lease is another's already. */
    readonly releaseLease: (epoch: number) => Effect.Effect<void, StoreError>
    readonly readLease: Effect.Effect<LeaseRow | undefined, StoreError>
  }
>()("sluice/store/Store") {}

/** Another instance holds a newer epoch: whoever sees this must stop writing. */
export class Fenced extends Schema.TaggedError<Fenced>()("Fenced", {
  epoch: Schema.Finite,
  current: Schema.Finite,
  holder: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return `the lease's epoch is ${this.current} (held by ${this.holder}), this instance holds ${this.epoch}`
  }
}

/** A block does not fit its committed neighbour: a reorg, or a wrong answer that got this far. */
export class LinkMismatch extends Schema.TaggedError<LinkMismatch>()("LinkMismatch", {
  /** The upper block of the two. */
  number: Schema.Finite,
  parentHash: Schema.String,
  /** The hash of block `number - 1` on the other side of the seam. */
  storedHash: Schema.String
}) {
  readonly isRetryable = true
  override get message(): string {
    return `block ${this.number} has parent ${this.parentHash}, but block ${this.number - 1} is ${this.storedHash}`
  }
}

/** The database belongs to another chain. */
export class IdentityMismatch extends Schema.TaggedError<IdentityMismatch>()("IdentityMismatch", {
  what: Schema.Literals(["chain id", "genesis hash"]),
  stored: Schema.String,
  seen: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return (
      `the database belongs to another chain: its ${this.what} is ${this.stored}, the provider's is ${this.seen}; ` +
      "use another DATABASE_SCHEMA or SLUICE_DATA_DIR, or the provider of that chain"
    )
  }
}

export class BelowFinality extends Schema.TaggedError<BelowFinality>()("BelowFinality", {
  ancestor: Schema.Finite,
  finalized: Schema.Finite
}) {
  readonly isRetryable = false
  override get message(): string {
    return `taking back to block ${this.ancestor} would undo block ${this.finalized}, which is final`
  }
}

/** A row that is there already: a bug, or two writers. Nothing was written. */
export class Duplicate extends Schema.TaggedError<Duplicate>()("Duplicate", {
  detail: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return `a row was about to be written twice: ${this.detail}`
  }
}

/** A handler failed, so nothing of its batch was written. It would fail again on the same events. */
export class HandlerFailed extends Schema.TaggedError<HandlerFailed>()("HandlerFailed", {
  /** `usdc.Transfer`. */
  handler: Schema.String,
  /** Of the event that the handler named, or of the first one that it was given. */
  block: Schema.Finite,
  logIndex: Schema.Finite,
  transactionHash: Schema.String,
  detail: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return (
      `the handler ${this.handler} failed at block ${this.block}, log ${this.logIndex} ` +
      `(transaction ${this.transactionHash}): ${this.detail}`
    )
  }
}

/** Handlers or their tables that do not fit what is stored; nothing is written until a person has decided. */
export class HandlersRefused extends Schema.TaggedError<HandlersRefused>()("HandlersRefused", {
  detail: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return this.detail
  }
}

/** Handlers take blocks in their order, and the ones before these are missing yet. */
export class OutOfOrder extends Schema.TaggedError<OutOfOrder>()("OutOfOrder", {
  expected: Schema.Finite,
  found: Schema.Finite
}) {
  readonly isRetryable = true
  override get message(): string {
    return `handlers take blocks in order: block ${this.expected} comes next, not ${this.found}`
  }
}

/**
 * A factory's contract was named below blocks of which only events are stored, and its own are not among them. They are
 * fetched again.
 */
export class FoundLate extends Schema.TaggedError<FoundLate>()("FoundLate", {
  /** Contract and event. */
  source: Schema.String,
  /** The block that names the contract. */
  number: Schema.Finite
}) {
  readonly isRetryable = true
  override get message(): string {
    return (
      `block ${this.number} names a contract of ${this.source}, and blocks above it were fetched without it: ` +
      "their events are fetched again"
    )
  }
}

/** The database did not do as asked; `isRetryable` tells whether it may, later. */
export class DatabaseFailure extends Schema.TaggedError<DatabaseFailure>()("DatabaseFailure", {
  operation: Schema.String,
  detail: Schema.String,
  isRetryable: Schema.Boolean,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `${this.operation}: ${this.detail}`
  }
}

/**
 * Anything that `Store` fails with: one error around a tagged reason.
 */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  reason: Schema.Union([
    Fenced,
    LinkMismatch,
    IdentityMismatch,
    BelowFinality,
    Duplicate,
    HandlerFailed,
    HandlersRefused,
    OutOfOrder,
    FoundLate,
    DatabaseFailure
  ])
}) {
  override get message(): string {
    return this.reason.message
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
