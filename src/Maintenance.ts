/**
 * The commands that look after a database: `sluice verify` and `sluice gaps`, with the layers they need. Their lines go
 * to standard output; logs and the progress bar go to standard error.
 *
 * **Details**
 *
 * Both read beside an instance that is running on PostgreSQL. `--repair` takes the lease first, so that nobody writes
 * meanwhile, and gives it back. An embedded database belongs to one process, so that one has to be stopped before.
 */
import { Console, Context, Effect, Layer, Ref, Runtime, Schedule, Schema, type Scope, Stream } from "effect"
import type * as Finding from "./audit/Finding.ts"
import * as Gaps from "./audit/Gaps.ts"
import * as Progress from "./audit/Progress.ts"
import * as Report from "./audit/Report.ts"
import * as Verify from "./audit/Verify.ts"
import { Proof } from "./chain/Proof.ts"
import { type Held, Lease, type LeaseHeld } from "./cluster/Lease.ts"
import { Settings } from "./config/Settings.ts"
import { layerSource, layerStore } from "./Sluice.ts"
import { ChainSource } from "./source/ChainSource.ts"
import { Pages } from "./store/Pages.ts"
import { Store, type StoreError } from "./store/Store.ts"

/** Something is wrong with what is stored, and has been said: exit code 1. */
export class SomethingFound extends Schema.TaggedError<SomethingFound>()("SomethingFound", {}) {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** A repair needs the chain. */
export class NoChain extends Schema.TaggedError<NoChain>()("NoChain", {
  reason: Schema.String
}) {
  override get message(): string {
    return `nothing can be repaired without the chain: ${this.reason}`
  }
}

export interface Range {
  readonly from: number | undefined
  readonly to: number | undefined
  readonly json: boolean
}

export interface VerifyFlags extends Range {
  readonly sample: number
  readonly repair: boolean
}

/** The providers get this long to answer for the first time. */
const patience = "30 seconds"

/** The chain, if its providers answer and it is the one that is stored; or why there is none. */
const chain = Effect.gen(function* () {
  const { rpcUrls, traffic } = yield* Settings
  const missing = (reason: string) => ({ missing: reason })
  if (rpcUrls.length === 0 || traffic) return missing("no RPC_URL is given")
  const pinned = (yield* (yield* Store).identity)?.genesisHash
  const source = Context.get(yield* Layer.build(layerSource), ChainSource)
  return yield* source.genesis(pinned).pipe(
    Effect.map((genesis) =>
      pinned === undefined || genesis === pinned
        ? source
        : missing(`the providers serve a chain with genesis ${genesis}, stored is ${pinned}`)
    ),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.succeed(missing(`no provider answers within ${patience}`))
    }),
    Effect.catchTag("ProviderFault", (fault) => Effect.succeed(missing(fault.message)))
  )
})

/** The lease, or a wait for it where `WHEN_HELD` says so. */
const leased: Effect.Effect<Held, LeaseHeld | StoreError, Lease | Settings | Scope.Scope> = Effect.gen(
  function* () {
    const lease = yield* Lease
    const { whenHeld } = yield* Settings
    return yield* lease.take.pipe(
      Effect.retry({
        schedule: Schedule.spaced("1 second"),
        while: (error) => whenHeld === "wait" && error._tag === "LeaseHeld"
      })
    )
  }
)

const audit = Effect.fnUntraced(function* (flags: VerifyFlags) {
  const source = yield* chain
  if (flags.repair && "missing" in source) return yield* new NoChain({ reason: source.missing })
  const held = flags.repair ? yield* leased : undefined
  const progress = yield* Progress.make
  const print = (event: Finding.AuditEvent) => {
    if (!flags.json) return Effect.forEach(Report.text(event), (line) => Console.log(line), { discard: true })
    const line = Report.json(event)
    return line === undefined ? Effect.void : Console.log(line)
  }
  const verified = Verify.run({
    from: flags.from,
    to: flags.to,
    sample: flags.sample,
    repair: held && { epoch: held.epoch },
    chain: source,
    emit: (event) => progress.around(event, print(event))
  })
  const { findings } = yield* held === undefined ? verified : Effect.raceFirst(verified, held.lost)
  if (findings > 0) return yield* new SomethingFound()
})

const layerAudit = Layer.unwrap(
  Effect.map(Settings, ({ chainId, databaseSchema }) =>
    Layer.mergeAll(Lease.layer, Proof.layer(chainId), Pages.layer(databaseSchema))
  )
).pipe(Layer.provideMerge(layerStore))

/** `sluice verify`. Fails with `SomethingFound` when something was, also when it has been repaired. */
export const verify = (flags: VerifyFlags) => Effect.scoped(audit(flags)).pipe(Effect.provide(layerAudit))

/** `sluice gaps`. Fails with `SomethingFound` when there are any. */
export const gaps = (flags: Range) =>
  Effect.gen(function* () {
    const { endBlock, startBlock } = yield* Settings
    const range = yield* Gaps.searched(flags.from ?? startBlock, flags.to ?? endBlock)
    const print = (line: string) => Console.log(line)
    const found = yield* Ref.make({ gaps: 0, blocks: 0 })
    if (range !== undefined) {
      yield* Stream.runForEach(Gaps.gaps(range), (gap) =>
        Effect.andThen(
          Ref.update(found, (sum) => ({ gaps: sum.gaps + 1, blocks: sum.blocks + gap.to - gap.from + 1 })),
          print(flags.json ? Report.gapJson(gap) : Report.gapText(gap))
        )
      )
    }
    const sum = yield* Ref.get(found)
    yield* print(flags.json ? Report.gapSummaryJson(range, sum) : Report.gapSummary(range, sum))
    if (sum.gaps > 0) return yield* new SomethingFound()
  }).pipe(Effect.provide(layerStore))
