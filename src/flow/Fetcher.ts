/**
 * Fetches the blocks of one plan and proves them, before anything else may see them.
 *
 * A block that contradicts its header is a wrong answer: the source asks somebody else. Only what cannot be proven at
 * all (a chain with rules of its own) passes as `linked`, and is said once. What leaves here is encoded for the
 * database: whatever may be wrong with a provider's answer has shown by then, while it is known whose answer it was.
 */
import { Context, Data, Effect, Layer, Option, Ref, type Tracer } from "effect"
import type { BlockHeader, ProofLevel, RawBlock } from "../chain/Block.ts"
import { Proof } from "../chain/Proof.ts"
import { Settings } from "../config/Settings.ts"
import { Inconsistent, type ProviderFault } from "../rpc/ProviderFault.ts"
import { ChainSource } from "../source/ChainSource.ts"
import * as Columns from "../store/Columns.ts"
import { EventTables } from "../store/EventTables.ts"
import type { LogPage } from "../store/Store.ts"
import { BackPressure } from "./BackPressure.ts"
import * as LogPages from "./LogPages.ts"
import * as Metrics from "./Metrics.ts"
import { type FetchPlan, Plan } from "./Planner.ts"
import { loadOf } from "./Pressure.ts"

export type Fetched = Data.TaggedEnum<{
  Blocks: {
    readonly endpoint: string
    readonly blocks: ReadonlyArray<Columns.EncodedBlock>
    readonly plan: FetchPlan
    /** Of the fetch, for the commit to link to. */
    readonly span: Tracer.AnySpan | undefined
  }
  Events: {
    readonly endpoint: string
    readonly page: LogPage
    readonly plan: FetchPlan
    readonly span: Tracer.AnySpan | undefined
  }
  Verify: { readonly number: number; readonly head: BlockHeader }
  /** Nobody could answer, or nobody's answer proves; the plan has to be made again. */
  Failed: { readonly plan: FetchPlan; readonly fault: ProviderFault }
}>
export const Fetched = Data.taggedEnum<Fetched>()

export class Fetcher extends Context.Service<
  Fetcher,
  {
    /** Never fails: a fault is an element, so that the rest goes on. */
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
  const eventTables = yield* EventTables
  const unproven = yield* Ref.make<ReadonlySet<string>>(new Set())

  /** One log line for each reason why blocks are stored as `linked`. */
  const explain = Effect.fnUntraced(function* (number: number, reason: string) {
    const known = yield* Ref.getAndUpdate(unproven, (reasons) => new Set(reasons).add(reason))
    if (known.has(reason)) return
    yield* Effect.logWarning("blocks stored as linked, not proven").pipe(
      Effect.annotateLogs({ block: number, reason })
    )
  })

  const level = Effect.fnUntraced(function* (raw: RawBlock, number: number) {
    if (settings.proof === "linked") return "linked" satisfies ProofLevel
    const verdict = proof.verify(raw)
    switch (verdict._tag) {
      case "Proven":
        return "proven" satisfies ProofLevel
      case "Unprovable":
        yield* explain(number, verdict.reason)
        return "linked" satisfies ProofLevel
      case "Mismatch": {
        const { at, expected, got, what } = verdict
        yield* Metrics.proofFailed(what)
        return yield* new Inconsistent({
          check: what,
          detail: `block ${number}: ${what} at ${at} is ${got}, expected ${expected}`
        })
      }
    }
  })

  const prove = (only: boolean) =>
    Effect.fnUntraced(function* (raw: RawBlock, number: number) {
      const encoded = Columns.encode(raw, yield* level(raw, number), {
        matched: eventTables.matched(raw, number),
        only
      })
      if ("rows" in encoded) return encoded
      return yield* new Inconsistent({ check: "columns", detail: encoded.message })
    })

  const blocks = Effect.fnUntraced(function* (plan: FetchPlan) {
    const { blocks: encoded, endpoint } = yield* source.blocks(plan.range, prove(plan.what === "window"))
    yield* gate.move(["jobs", plan.load], ["results", loadOf(encoded)])
    yield* Effect.annotateCurrentSpan({ endpoint, ...plan.load })
    const span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
    return Fetched.Blocks({ endpoint, blocks: encoded, plan, span })
  })

  const logPage = LogPages.make(source, eventTables.filters)

  const events = Effect.fnUntraced(function* (plan: FetchPlan) {
    const { endpoint, page } = yield* logPage(plan.range)
    yield* gate.move(["jobs", plan.load], ["results", loadOf([page])])
    yield* Effect.annotateCurrentSpan({ endpoint, logs: page.logs.length, bytes: page.bytes })
    const span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
    return Fetched.Events({ endpoint, page, plan, span })
  })

  return Fetcher.of({
    fetch: (plan) =>
      Plan.$match(plan, {
        Verify: (verify): Effect.Effect<Fetched> => Effect.succeed(verify),
        Fetch: (fetch) => {
          const fetched: Effect.Effect<Fetched, ProviderFault> =
            fetch.what === "events" ? events(fetch) : blocks(fetch)
          return fetched.pipe(
            Effect.withSpan("fetch", spanOf(fetch)),
            Effect.catch((fault) => Effect.succeed(Fetched.Failed({ plan: fetch, fault })))
          )
        }
      })
  })
})

const spanOf = ({ attempt, range }: FetchPlan) => ({
  root: true,
  attributes: { from: range.from, to: range.to, attempt }
})
