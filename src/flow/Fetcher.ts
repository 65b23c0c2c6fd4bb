/**
 * Fetches the blocks of one plan and proves them, before anything else may see them.
 *
 * A block that contradicts its header is a wrong answer: the endpoint is reported, and the same range is asked of
 * another. Only what cannot be proven at all (a chain with rules of its own) passes as `linked`, and is said once.
 * What leaves here is encoded for the database: whatever may be wrong with a provider's answer has shown by then,
 * while it is known whose answer it was.
 */
import { Context, Data, Effect, Layer, Ref, Schedule } from "effect"
import type { BlockHeader, ProofLevel, RawBlock } from "../chain/Block.ts"
import type * as BlockRange from "../chain/BlockRange.ts"
import { Proof } from "../chain/Proof.ts"
import { Settings } from "../config/Settings.ts"
import { Inconsistent, ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import * as Columns from "../store/Columns.ts"
import { BackPressure } from "./BackPressure.ts"
import { Plan } from "./Planner.ts"

export type Fetched = Data.TaggedEnum<{
  Blocks: {
    readonly endpoint: string
    readonly blocks: ReadonlyArray<Columns.EncodedBlock>
    readonly seam: boolean
  }
  Verify: { readonly head: BlockHeader }
  /** No endpoint could answer; what came before it is whole. */
  Failed: { readonly fault: ProviderFault }
}>
export const Fetched = Data.taggedEnum<Fetched>()

export class Fetcher extends Context.Service<
  Fetcher,
  {
    /** Never fails: a fault is an element, so that what was fetched before it is still committed. */
    readonly fetch: (plan: Plan) => Effect.Effect<Fetched>
  }
>()("sluice/flow/Fetcher") {
  static readonly layer = Layer.effect(
    Fetcher,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const source = yield* ChainSource
  const proof = yield* Proof
  const gate = yield* BackPressure
  const settings = yield* Settings
  const unproven = yield* Ref.make<ReadonlySet<string>>(new Set())

  /** One log line for each reason why blocks are stored as `linked`. */
  const explain = Effect.fnUntraced(function* (number: number, reason: string) {
    const known = yield* Ref.getAndUpdate(unproven, (reasons) => new Set(reasons).add(reason))
    if (known.has(reason)) return
    yield* Effect.logWarning("blocks stored as linked, not proven").pipe(
      Effect.annotateLogs({ block: number, reason })
    )
  })

  const level = Effect.fnUntraced(function* (raw: RawBlock, number: number, wrong: Wrong) {
    if (settings.proof === "linked") return "linked" satisfies ProofLevel
    const verdict = proof.verify(raw)
    switch (verdict._tag) {
      case "Proven":
        return "proven" satisfies ProofLevel
      case "Unprovable":
        yield* explain(number, verdict.reason)
        return "linked" satisfies ProofLevel
      case "Mismatch":
        return yield* wrong(
          verdict.what,
          `block ${number}: ${verdict.what} at ${verdict.at} is ${verdict.got}, expected ${verdict.expected}`
        )
    }
  })

  const prove = Effect.fnUntraced(function* (raw: RawBlock, number: number, wrong: Wrong) {
    const encoded = Columns.encode(raw, yield* level(raw, number, wrong))
    if ("rows" in encoded) return encoded
    return yield* wrong("columns", encoded.message)
  })

  const attempt = Effect.fnUntraced(function* (
    range: BlockRange.BlockRange,
    avoid: Ref.Ref<ReadonlySet<string>>
  ) {
    const { blocks, endpoint } = yield* source.blocks(range, yield* Ref.get(avoid))
    const wrong: Wrong = (check, detail) =>
      new ProviderFault({
        endpoint,
        method: "eth_getBlockByNumber",
        reason: new Inconsistent({ check, detail })
      })
    const encoded = yield* Effect.forEach(blocks, (raw, i) => prove(raw, range.from + i, wrong)).pipe(
      Effect.tapError((fault) =>
        Effect.all([
          source.report(fault),
          Ref.update(avoid, (ids) => new Set(ids).add(endpoint)),
          Effect.logWarning("wrong answer, asking again").pipe(
            Effect.annotateLogs({ endpoint, reason: fault.reason.detail })
          )
        ])
      )
    )
    return { endpoint, encoded }
  })

  const blocks = Effect.fnUntraced(function* (plan: Extract<Plan, { readonly _tag: "Fetch" }>) {
    const avoid = yield* Ref.make<ReadonlySet<string>>(new Set())
    const { encoded, endpoint } = yield* attempt(plan.range, avoid).pipe(
      Effect.retry({
        schedule: Schedule.exponential("200 millis").pipe(Schedule.jittered),
        times: Math.min(3, settings.maxRetries),
        // The pool has retried all other faults itself.
        while: (fault) => fault.reason._tag === "Inconsistent"
      })
    )
    yield* gate.adjust({
      blocks: 0,
      bytes: encoded.reduce((sum, block) => sum + block.bytes, 0) - plan.bytes
    })
    return Fetched.Blocks({ endpoint, blocks: encoded, seam: plan.seam })
  })

  return Fetcher.of({
    fetch: (plan) =>
      Plan.$match(plan, {
        Verify: (verify): Effect.Effect<Fetched> => Effect.succeed(verify),
        Fetch: (fetch) =>
          blocks(fetch).pipe(Effect.catch((fault) => Effect.succeed(Fetched.Failed({ fault }))))
      })
  })
})

type Wrong = (check: string, detail: string) => ProviderFault
