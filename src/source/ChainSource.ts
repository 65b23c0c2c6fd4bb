/**
 * Where blocks come from. The pipeline knows this service alone: the pool of JSON-RPC endpoints is one
 * implementation, the tests' simulated chain another.
 *
 * What it hands over is well-formed and unproven; the reader proves it, and says with `report` what did not fit, so
 * that the next request for it goes elsewhere.
 */

import type { Effect, Stream } from "effect"
import { Context } from "effect"
import type { BlockHeader, RawBlock } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"
import type { EndpointHealth } from "../rpc/EndpointPool.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"

/** Blocks that one endpoint sent together. */
export interface FetchedBlocks {
  readonly endpoint: string
  /** All of the range asked for, ascending. */
  readonly blocks: ReadonlyArray<RawBlock>
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
    /** Every block of the range with full transactions and receipts, from an endpoint that is not in `avoid`. */
    readonly blocks: (
      range: BlockRange,
      avoid?: ReadonlySet<string>
    ) => Effect.Effect<FetchedBlocks, ProviderFault>
    /** How many blocks to ask for at once so that an answer has the size that serves best. */
    readonly chunk: Effect.Effect<Chunk>
    /** An answer of `fault.endpoint` turned out to be wrong. */
    readonly report: (fault: ProviderFault) => Effect.Effect<void>
    readonly health: Effect.Effect<ReadonlyArray<EndpointHealth>>
  }
>()("sluice/source/ChainSource") {}
