/**
 * Where blocks come from. The pipeline knows this service alone: the pool of JSON-RPC endpoints is one
 * implementation, the tests' simulated chain another.
 *
 * The reader brings the proof: what does not pass it is a wrong answer, which is asked of somebody else and never
 * handed over.
 */

import type { Effect, Stream } from "effect"
import { Context } from "effect"
import type { BlockHeader, Hex, RawBlock } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { LogFilter } from "../chain/LogFilter.ts"
import type { PlacedLog } from "../chain/LogParser.ts"
import type { EndpointHealth } from "../rpc/EndpointHealth.ts"
import type { Inconsistent, ProviderFault } from "../rpc/ProviderFault.ts"

/** What a proof makes of a block, or what does not fit. */
export type Prove<A> = (raw: RawBlock, number: number) => Effect.Effect<A, Inconsistent>

/** Blocks that one endpoint sent together. */
export interface FetchedBlocks<A> {
  readonly endpoint: string
  /** All of the range asked for, ascending. */
  readonly blocks: ReadonlyArray<A>
  /** Bytes received for them. */
  readonly bytes: number
}

/** Logs that one endpoint sent together. */
export interface FetchedLogs {
  readonly endpoint: string
  /** The part of the range asked for that this page answers. */
  readonly range: BlockRange
  /** By block, transaction and index. */
  readonly logs: ReadonlyArray<PlacedLog>
  /** The last block of `range`, as the endpoint had it. */
  readonly last: BlockHeader
  /** Bytes received for them. */
  readonly bytes: number
}

export interface Chunk {
  readonly blocks: number
  /** Expected memory of one block while it is on its way. */
  readonly bytes: number
}

export class ChainSource extends Context.Service<
  ChainSource,
  {
    /**
     * The head whenever it is another one than before: higher, lower, or another block at the same height. Heads may
     * be skipped. Faults of single endpoints are dealt with inside; it ends with a fault only when no endpoint
     * answers any more.
     */
    readonly heads: Stream.Stream<BlockHeader, ProviderFault>
    /** The highest block that the chain calls final; undefined where it knows no such tag. */
    readonly finalized: Effect.Effect<BlockHeader | undefined, ProviderFault>
    /** The highest block that the chain calls safe; undefined where it knows no such tag. */
    readonly safe: Effect.Effect<BlockHeader | undefined, ProviderFault>
    /** Headers by number, as the endpoint with the highest head knows them; undefined where it has none. */
    readonly headers: (
      numbers: ReadonlyArray<number>
    ) => Effect.Effect<ReadonlyArray<BlockHeader | undefined>, ProviderFault>
    /**
     * The hash of a block as each endpoint has it that is not down or out. Fails when one of them does not answer: it
     * may be the only one that is right.
     */
    readonly everyHash: (number: number) => Effect.Effect<ReadonlyArray<Hex>, ProviderFault>
    /**
     * Hash of block 0. `pinned` is what it was before: endpoints that serve another are left out from then on, as long
     * as one is left.
     */
    readonly genesis: (pinned: Hex | undefined) => Effect.Effect<Hex, ProviderFault>
    /** Every block of the range with full transactions and receipts, all of them proven. */
    readonly blocks: <A>(range: BlockRange, prove: Prove<A>) => Effect.Effect<FetchedBlocks<A>, ProviderFault>
    /**
     * The logs of the range that pass the filter, in pages: ascending, without gaps, all of the range. Nothing proves
     * that none is missing.
     */
    readonly logs: (range: BlockRange, filter: LogFilter) => Stream.Stream<FetchedLogs, ProviderFault>
    /** How many blocks to ask for at once so that an answer has the size that serves best. */
    readonly chunk: Effect.Effect<Chunk>
    /** Blocks whose logs to ask for at once. */
    readonly logChunk: Effect.Effect<number>
    /** An answer of `fault.endpoint` turned out to be wrong after it was handed over. */
    readonly report: (fault: ProviderFault) => Effect.Effect<void>
    readonly health: Effect.Effect<ReadonlyArray<EndpointHealth>>
    /** Blocks handed over so far: what was spent, per block, tells what is still to come. */
    readonly fetched: Effect.Effect<number>
  }
>()("sluice/source/ChainSource") {}
