/**
 * Puts every block in its place: its parent has to be the block below it, whether that one was sequenced just now or
 * committed long ago. Where it is not, the chain was reorganised: the sequencer walks down to the highest block that
 * both chains share, and says `Rollback`.
 *
 * It never says so because a head went down (nodes lag, balancers flap), only because a block at a height that we
 * have has another hash, seen on the endpoint whose head is highest. Below finality it does not say so at all:
 * `FinalityViolation` ends the run, and nothing is written.
 */
import { Context, Data, Effect, Layer, Option, Result, Schema, type Tracer } from "effect"
import type { BlockHeader, Hex } from "../chain/Block.ts"
import * as BlockRange from "../chain/BlockRange.ts"
import { Settings } from "../config/Settings.ts"
import { everyEndpoint, HeadLag, Inconsistent, ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import type { EncodedBlock } from "../store/Columns.ts"
import { type Identity, IdentityMismatch, type LogPage, Store, StoreError } from "../store/Store.ts"
import type { Fetched } from "./Fetcher.ts"
import { type Component, type Load, loadOf } from "./Pressure.ts"

export type Step = Data.TaggedEnum<{
  Append: {
    readonly block: EncodedBlock
    /** Of the fetch that it came from. */
    readonly span: Tracer.AnySpan | undefined
  }
  /** All events of a final range. */
  Cover: { readonly page: LogPage; readonly span: Tracer.AnySpan | undefined }
  /** Take back all blocks above `ancestor`; `mismatch` tells what showed it. Last of its run. */
  Rollback: { readonly ancestor: number; readonly mismatch: Mismatch }
  /** These blocks cannot be had now; what comes after them can. */
  GiveBack: {
    readonly range: BlockRange.BlockRange
    /** Whose room they still take, and how much of it. */
    readonly from: Component
    readonly load: Load
    readonly attempt: number
    readonly fault: ProviderFault
  }
  /** Nothing after this can be had now. Last of its run. */
  Stop: { readonly error: SequenceError }
}>
export const Step = Data.taggedEnum<Step>()

/** Two different blocks at one height. */
export interface Mismatch {
  readonly number: number
  readonly ours: Hex
  readonly theirs: Hex
}

/** Why two neighbours do not fit. */
interface Misfit {
  readonly mismatch: Mismatch
  readonly detail: string
}

/** What cannot be committed where it does not fit, and who sent it. */
interface Lost {
  readonly endpoint: string
  readonly method: string
  readonly range: BlockRange.BlockRange
  readonly load: Load
  readonly attempt: number
}

/** The chain shows another block at a height that was final. Nothing is written any more. */
export class FinalityViolation extends Schema.TaggedError<FinalityViolation>()("FinalityViolation", {
  number: Schema.Finite,
  finalized: Schema.Finite,
  ours: Schema.String,
  theirs: Schema.String
}) {
  override get message(): string {
    return (
      `block ${this.number} was final (finalized: ${this.finalized}) and is ${this.ours} in the tables, ` +
      `but the provider now says ${this.theirs}`
    )
  }
}

export type SequenceError = ProviderFault | StoreError | FinalityViolation

export const isLast = (step: Step): boolean => step._tag === "Rollback" || step._tag === "Stop"

/** Headers compared in one request while walking down. */
const page = 32

export class Sequencer extends Context.Service<
  Sequencer,
  {
    /** A stateful sequencer for one run. */
    readonly start: (
      identity: Identity
    ) => Effect.Effect<(fetched: Fetched) => Effect.Effect<ReadonlyArray<Step>>>
  }
>()("sluice/flow/Sequencer") {
  static readonly layer = Layer.effect(
    Sequencer,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const store = yield* Store
  const source = yield* ChainSource
  const settings = yield* Settings

  const start = (identity: Identity) =>
    Effect.sync(() => {
      const recent = makeRecent(settings.profile.resultsCapacity + settings.batchSize)
      /** The last block of the newest page, which is not stored: what follows a page has to be its child. */
      let pageEnd: BlockHeader | undefined

      /** Hashes that we have inside `range`: sequenced in this run, or committed. */
      const ours = Effect.fnUntraced(function* (range: BlockRange.BlockRange) {
        const hashes = new Map<number, Hex>()
        for (const { number, hash } of yield* store.headers(range)) hashes.set(number, hash)
        for (let number = range.from; number <= range.to; number++) {
          const hash = recent.at(number)?.hash
          if (hash !== undefined) hashes.set(number, hash)
        }
        return hashes
      })

      /**
       * Walks down from `mismatch` to the highest block that both chains share. None when the chain has our block at
       * that height after all: somebody's slip, no reorg.
       */
      const rollback = Effect.fnUntraced(function* (mismatch: Mismatch) {
        yield* sameGenesis
        // What is final now says nothing of what was stored before a pause: only what was final as it is stored counts.
        const finalized = (yield* store.state).finalized ?? -1
        // Down to the lowest block that is stored, which may be below a START_BLOCK that was raised meanwhile.
        for (let to = mismatch.number; to >= 0; to -= page) {
          const range = BlockRange.make(Math.max(0, to - page + 1), to)
          const have = yield* ours(range)
          const numbers = descending(range)
          const theirs = yield* source.headers(numbers)
          for (const [i, number] of numbers.entries()) {
            const our = have.get(number)
            const their = theirs[i]
            if (our === undefined) return Option.some(Step.Rollback({ ancestor: number, mismatch }))
            if (their === undefined) return yield* lagging(number)
            if (their.hash === our) {
              return number === mismatch.number
                ? Option.none<Step>()
                : Option.some(Step.Rollback({ ancestor: number, mismatch }))
            }
            if (number <= finalized) {
              // One that is left on a dead fork must not halt us while another one has our block.
              if ((yield* source.everyHash(number)).includes(our)) return yield* disagreement(number, our)
              return yield* new FinalityViolation({ number, finalized, ours: our, theirs: their.hash })
            }
          }
        }
        return Option.some(Step.Rollback({ ancestor: -1, mismatch }))
      })

      const sameGenesis = Effect.gen(function* () {
        const [genesis] = yield* source.headers([0])
        if (genesis === undefined) return yield* lagging(0)
        if (genesis.hash === identity.genesisHash) return
        return yield* new StoreError({
          reason: new IdentityMismatch({
            what: "genesis hash",
            stored: identity.genesisHash,
            seen: genesis.hash
          })
        })
      })

      /** What we have at `number`, with a look into the store only where the run has no memory of it. */
      const headerAt = Effect.fnUntraced(function* (number: number) {
        return recent.at(number) ?? (yield* store.headers(BlockRange.make(number, number)))[0]
      })
      const hashAt = (number: number) => Effect.map(headerAt(number), (header) => header?.hash)
      const hashBelow = (number: number) =>
        pageEnd?.number === number - 1 ? Effect.succeed(pageEnd.hash) : hashAt(number - 1)

      /**
       * A reorg, or somebody's slip: what does not fit is then given back, and the rest goes on. A walk that cannot be
       * finished ends the run.
       */
      const misfit = Effect.fnUntraced(function* (
        { endpoint, method, ...lost }: Lost,
        { detail, mismatch }: Misfit
      ) {
        const walked = yield* Effect.result(rollback(mismatch))
        if (Result.isFailure(walked)) return Step.Stop({ error: walked.failure })
        if (Option.isSome(walked.success)) return walked.success.value
        const reason = new Inconsistent({ check: "parent hash", detail })
        const fault = new ProviderFault({ endpoint, method, reason })
        yield* source.report(fault)
        return Step.GiveBack({ ...lost, from: "results", fault })
      })

      /** Where the block above this one is stored already and is not its child. */
      const misfitAbove = Effect.fnUntraced(function* (number: number, hash: Hex) {
        const above = yield* headerAt(number + 1)
        if (above === undefined || above.parentHash === hash) return undefined
        const [seen] = yield* source.headers([number + 1])
        const mismatch = { number: number + 1, ours: above.hash, theirs: seen?.hash ?? above.hash }
        return { mismatch, detail: `block ${number} is ${hash}, expected ${above.parentHash}` }
      })

      const misfitBelow = (number: number, parentHash: Hex, ours: Hex): Misfit => ({
        mismatch: { number: number - 1, ours, theirs: parentHash },
        detail: `block ${number} has parent ${parentHash}, expected ${ours}`
      })

      const blocks = Effect.fnUntraced(function* ({
        blocks,
        endpoint,
        plan,
        span
      }: Extract<Fetched, { readonly _tag: "Blocks" }>) {
        const lostFrom = (at: number): Lost => ({
          endpoint,
          method: "eth_getBlockByNumber",
          range: BlockRange.make(at, plan.range.to),
          load: loadOf(blocks.filter(({ number }) => number >= at)),
          attempt: plan.attempt
        })
        const steps: Array<Step> = []
        for (const block of blocks) {
          const below = block.number > 0 ? yield* hashBelow(block.number) : undefined
          if (below !== undefined && below !== block.parentHash) {
            const found = misfitBelow(block.number, block.parentHash, below)
            return [...steps, yield* misfit(lostFrom(block.number), found)]
          }
          recent.push(block)
          steps.push(Step.Append({ block, span }))
        }
        const top = blocks.at(-1)
        const above = plan.seam && top !== undefined ? yield* misfitAbove(top.number, top.hash) : undefined
        if (top === undefined || above === undefined) return steps
        // The top one cannot be committed below a block that is not its child.
        recent.forget(top.number)
        return [...steps.slice(0, -1), yield* misfit(lostFrom(top.number), above)]
      })

      /** What is final is not linked block by block; only where a block is stored beside it the two have to fit. */
      const events = Effect.fnUntraced(function* ({
        endpoint,
        page,
        plan,
        span
      }: Extract<Fetched, { readonly _tag: "Events" }>) {
        const { from, to } = page.range
        const lost = {
          endpoint,
          method: "eth_getLogs",
          range: plan.range,
          load: loadOf([page]),
          attempt: plan.attempt
        }
        const below = from > 0 ? yield* hashAt(from - 1) : undefined
        if (below !== undefined) {
          // Who was away for long may have a block that was replaced before what is above it was final.
          const [first] = yield* source.headers([from])
          if (first === undefined) return yield* lagging(from)
          if (first.parentHash !== below) {
            return [yield* misfit(lost, misfitBelow(from, first.parentHash, below))]
          }
        }
        const above = plan.seam ? yield* misfitAbove(to, page.last.hash) : undefined
        if (above !== undefined) return [yield* misfit(lost, above)]
        pageEnd = page.last
        return [Step.Cover({ page, span })]
      })

      const verify = Effect.fnUntraced(function* (number: number, head: BlockHeader) {
        const our = yield* hashAt(number)
        const seen = number === head.number ? head : (yield* source.headers([number]))[0]
        if (our === undefined || seen === undefined || our === seen.hash) return []
        const walked = yield* Effect.result(rollback({ number, ours: our, theirs: seen.hash }))
        return Result.isFailure(walked)
          ? [Step.Stop({ error: walked.failure })]
          : Option.toArray(walked.success)
      })

      const step = (fetched: Fetched): Effect.Effect<ReadonlyArray<Step>, StoreError | ProviderFault> => {
        switch (fetched._tag) {
          case "Blocks":
            return blocks(fetched)
          case "Events":
            return events(fetched)
          case "Verify":
            return verify(fetched.number, fetched.head)
          case "Failed":
            return Effect.succeed([Step.GiveBack({ ...fetched.plan, from: "jobs", fault: fetched.fault })])
        }
      }
      return (fetched: Fetched) =>
        step(fetched).pipe(Effect.catch((error) => Effect.succeed([Step.Stop({ error })])))
    })

  return Sequencer.of({ start })
})

const disagreement = (number: number, ours: Hex) =>
  new ProviderFault({
    endpoint: everyEndpoint,
    method: "eth_getBlockByNumber",
    reason: new Inconsistent({
      check: "finalized block",
      detail: `some say that block ${number}, which is final, is another one than ${ours}; others do not`
    })
  })

const lagging = (number: number) =>
  new ProviderFault({
    endpoint: "the highest endpoint",
    method: "eth_getBlockByNumber",
    reason: new HeadLag({ detail: `has no block ${number} that could be compared` })
  })

const descending = (range: BlockRange.BlockRange): ReadonlyArray<number> =>
  Array.from({ length: BlockRange.size(range) }, (_, i) => range.to - i)

/**
 * The blocks sequenced last, at least as many as can be on their way to the store: older ones are committed, and found
 * there.
 */
const makeRecent = (capacity: number) => {
  const headers = new Map<number, Pick<BlockHeader, "hash" | "parentHash">>()
  return {
    at: (number: number) => headers.get(number),
    push: ({ hash, number, parentHash }: BlockHeader): void => {
      headers.set(number, { hash, parentHash })
      if (headers.size <= capacity) return
      for (const oldest of headers.keys()) {
        headers.delete(oldest)
        return
      }
    },
    forget: (number: number): void => {
      headers.delete(number)
    }
  }
}
