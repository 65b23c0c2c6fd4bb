/**
 * What is fetched: whole blocks, or the logs of the contracts alone. `INDEX=auto` measures both on a few places of the
 * chain, and takes what needs fewer bytes for a block; what it found is one line in the log.
 *
 * **Details**: of contracts that a factory names all logs of their events are asked for, whoever emitted them, and that
 * is what is measured. Where logs come without their time, the headers of their blocks count too.
 *
 * **Gotchas**: it is decided once in a process. What was stored in one way stays, whatever is chosen later.
 */
import { Context, Effect, Layer, Ref, Stream } from "effect"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import type { ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource, type FetchedLogs } from "../source/ChainSource.ts"
import { EventTables } from "../store/EventTables.ts"

export type Mode = "blocks" | "events"

export class IndexMode extends Context.Service<
  IndexMode,
  {
    /** The mode, for blocks up to `final`. Faults of providers are for who asks to try again. */
    readonly decide: (final: number) => Effect.Effect<Mode, ProviderFault>
  }
>()("sluice/flow/IndexMode") {
  static readonly layer = Layer.effect(
    IndexMode,
    Effect.suspend(() => make)
  )
}

/** Places that are measured. */
const places = 4
/** Blocks at each of them: whole ones, and ranges of logs. */
const wholeBlocks = 2
const logBlocks = 500

/** Fewer than this are had in a moment either way, and whole blocks are proven. */
const fewBlocks = 1000

/** What a node sends for a header: its fields, and the hash of each transaction. */
const headerBytes = (transactions: number): number => 1500 + 69 * transactions

/** Blocks whose logs say no time, which has to be asked for. */
const withoutTime = (pages: ReadonlyArray<FetchedLogs>): number =>
  new Set(
    pages.flatMap(({ logs }) =>
      logs.flatMap(({ blockNumber, blockTimestamp }) => (blockTimestamp ? [] : [Number(blockNumber)]))
    )
  ).size

const make = Effect.gen(function* () {
  const { index, startBlock } = yield* Settings
  const source = yield* ChainSource
  const { filters } = yield* EventTables
  const decided = yield* Ref.make<Mode | undefined>(index === "auto" ? undefined : index)

  const measure = Effect.fnUntraced(function* (at: number) {
    const range = BlockRange.make(at, at + logBlocks - 1)
    const pages = yield* Effect.forEach(filters, (filter) => Stream.runCollect(source.logs(range, filter)))
    const logs = pages.flat().reduce((sum, { bytes }) => sum + bytes, 0)
    const { blocks, bytes } = yield* source.blocks(BlockRange.make(at, at + wholeBlocks - 1), ({ block }) =>
      Effect.succeed(headerBytes(block.transactions.length))
    )
    const header = blocks.reduce((sum, size) => sum + size, 0) / wholeBlocks
    return { logs: (logs + withoutTime(pages.flat()) * header) / logBlocks, blocks: bytes / wholeBlocks }
  })

  const choose = Effect.fnUntraced(function* (final: number) {
    const span = final - startBlock + 1
    if (filters.length === 0 || span < fewBlocks) return "blocks" as const
    const step = Math.floor((span - logBlocks) / places)
    const measured = yield* Effect.forEach(
      Array.from({ length: places }, (_, i) => startBlock + i * step),
      measure
    )
    const mean = (of: "logs" | "blocks") =>
      Math.round(measured.reduce((sum, one) => sum + one[of], 0) / measured.length)
    const mode: Mode = mean("logs") < mean("blocks") ? "events" : "blocks"
    yield* Effect.logInfo(
      mode === "events" ? "only events are fetched: fewer bytes" : "whole blocks are fetched: fewer bytes"
    ).pipe(
      Effect.annotateLogs({ bytesOfLogsPerBlock: mean("logs"), bytesOfWholeBlocks: mean("blocks"), places })
    )
    return mode
  })

  return IndexMode.of({
    decide: Effect.fnUntraced(function* (final) {
      const known = yield* Ref.get(decided)
      if (known !== undefined) return known
      const mode = yield* choose(final)
      yield* Ref.set(decided, mode)
      return mode
    })
  })
})
