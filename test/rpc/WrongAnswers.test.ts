/**
 * Wrong answers over blocks that prove: every one has to be found, and none stored.
 *
 * `TEST_WRONG_ANSWERS=10000` for the long run.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { type Behaviour, blockOf, type Call, randomFrom } from "../../bench/provider.mjs"
import { Proof } from "../../src/chain/Proof.ts"
import { Settings } from "../../src/config/Settings.ts"
import { BackPressure } from "../../src/flow/BackPressure.ts"
import { Fetcher } from "../../src/flow/Fetcher.ts"
import { Plan } from "../../src/flow/Planner.ts"
import { Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { kinds, paths, sibling, type Told, tell, tellAt } from "../support/lies.ts"
import * as Provider from "../support/Provider.ts"
import * as provable from "../support/provable.ts"
import * as RowStore from "../support/RowStore.ts"

const count = Number(process.env["TEST_WRONG_ANSWERS"] ?? 500)

const words = ({ raw }: TemplateStringsArray): ReadonlyArray<string> => raw.join("").split(/\s+/)

/**
 * Places that no root commits to, and whose value is stored as it comes, or as null where it is missing. `Proof` says
 * why of each. The number is the type of the transaction.
 */
const uncommitted = {
  flip: words`block.size receipt(3).blobGasPrice transaction(0).from transaction(1).from transaction(2).from
    transaction(2).gasPrice transaction(3).from transaction(3).gasPrice`,
  remove: words`block.size receipt(0).effectiveGasPrice receipt(1).effectiveGasPrice receipt(2).effectiveGasPrice
    receipt(3).blobGasPrice receipt(3).blobGasUsed receipt(3).effectiveGasPrice transaction(2).gasPrice
    transaction(3).gasPrice`
}

const isField = (kind: string): boolean => kind === "flipped digit" || kind === "missing field"

/** Whether it is known that this cannot be found. */
const isKnown = (fate: Fate | undefined, { kind, path }: Told): boolean => {
  const how = kind === "missing field" ? "remove" : "flip"
  return fate === "STORED" ? uncommitted[how].includes(path ?? "") : fate !== "LINKED"
}

/**
 * What became of a wrong answer: refused; stored, with the rows that the true one has; stored as `linked`, which says
 * that nobody proved it; or stored as the truth.
 */
type Fate = "found" | "harmless" | "LINKED" | "STORED"

interface Case {
  readonly number: number
  readonly told: Told
}

/** All cases at one URL each; what is not wrong in one is as the chain has it. */
const teller = (cases: ReadonlyArray<Case>): Behaviour => ({
  answering: ({ head, url }) => {
    const wrong = cases[Number(url.slice(1))]
    return (call) => {
      if (wrong === undefined || blockOf(call, head) !== wrong.number) return undefined
      const { block, receipts } = wrong.told
      return { result: JSON.stringify(call.method === "eth_getBlockReceipts" ? receipts : block) }
    }
  }
})

const settings = Settings.layer({ profile: "anvil", maxRetries: 0 })

/** Each case is put to endpoint, pool, source and fetcher of its own, which know no other endpoint. */
const fates = Effect.fnUntraced(function* (chain: provable.ProvableChain, cases: ReadonlyArray<Case>) {
  const provider = yield* Provider.make({ chain: provable.whole(chain), behaviours: [teller(cases)] })
  const client = yield* HttpClient.HttpClient
  const proof = yield* Proof
  const http = Layer.succeed(HttpClient.HttpClient, client)
  return yield* Effect.forEach(
    cases,
    Effect.fnUntraced(function* ({ number }, i) {
      const source = Provider.source([`${provider.url}/${i}`], { maxRetries: 0, http })
      const core = Layer.fresh(Fetcher.layer).pipe(
        Layer.provide([Layer.fresh(source), Layer.fresh(BackPressure.layer), Layer.succeed(Proof, proof)]),
        Layer.provide(settings)
      )
      const fetched = yield* Effect.flatMap(Fetcher, ({ fetch }) =>
        fetch(
          Plan.Fetch({
            range: { from: number, to: number },
            what: "blocks",
            load: { blocks: 1, bytes: 0 },
            seam: false,
            attempt: 0
          })
        )
      ).pipe(Effect.provide(core))
      if (fetched._tag !== "Blocks") return "found" satisfies Fate
      const [block] = fetched.blocks
      if (block?.level === "linked") return "LINKED" satisfies Fate
      const same = block !== undefined && provable.rowsOf(block) === provable.honestRows(chain, number)
      return same ? ("harmless" satisfies Fate) : ("STORED" satisfies Fate)
    }),
    { concurrency: 16 }
  )
})

const environment = Layer.merge(NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), Proof.layer(31_337))

/** Counts by `key`, as lines. */
const tally = (keys: ReadonlyArray<string>): string => {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, n]) => `${`${n}`.padStart(6)}  ${key}`)
    .join("\n")
}

/** Each wrong answer is worth a warning; thousands are not worth reading. */
const quiet = Effect.provideService(References.MinimumLogLevel, "Error")

const once = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.runSync(Effect.cached(effect))

const made = once(provable.make(300))

/** `count` wrong answers of all kinds in turn, to blocks by chance. */
const draw = (chain: provable.ProvableChain, random: () => number): ReadonlyArray<Case> => {
  const names = Object.keys(kinds)
  const cases: Array<Case> = []
  for (let i = 0; cases.length < count; i++) {
    const number = 1 + Math.floor(random() * chain.height)
    const told = tell(chain, number, names[i % names.length] ?? "", random)
    if (told !== undefined) cases.push({ number, told })
  }
  return cases
}

/** Every kind of place in a block with a digit changed, and left out; by what became of it. */
const fields = once(
  Effect.gen(function* () {
    const chain = yield* made
    const random = randomFrom(7)
    const where = new Map<string, ReadonlyArray<number>>()
    for (let number = 1; number <= chain.height; number++) {
      for (const path of paths(chain, number)) where.set(path, [...(where.get(path) ?? []), number])
    }
    const cases = (["flip", "remove"] as const).flatMap((how) =>
      [...where].flatMap(([path, numbers]) =>
        Array.from({ length: 4 }, (): ReadonlyArray<Case> => {
          const number = numbers[Math.floor(random() * numbers.length)] ?? 1
          const told = tellAt(chain, number, path, how, random)
          return told === undefined ? [] : [{ number, told }]
        }).flat()
      )
    )
    const became = yield* fates(chain, cases)
    const of = (fate: Fate) => {
      const distinct = (kind: string): ReadonlyArray<string> => {
        const all = cases.filter(({ told }, i) => became[i] === fate && told.kind === kind)
        return [...new Set(all.map(({ told }) => told.path ?? ""))].sort()
      }
      return { flip: distinct("flipped digit"), remove: distinct("missing field") }
    }
    return { LINKED: of("LINKED"), STORED: of("STORED") }
  })
)

describe("wrong answers", () => {
  it.live("the truth passes, so that what is refused is refused for being wrong", () =>
    Effect.gen(function* () {
      const chain = yield* made
      const cases = provable.numbers(chain).map((number): Case => {
        const block: unknown = JSON.parse(chain.full(number))
        const receipts: unknown = JSON.parse(chain.receipts(number))
        return { number, told: { kind: "the truth", what: undefined, block, receipts } }
      })
      assert.deepStrictEqual([...new Set(yield* fates(chain, cases))], ["harmless"])
    }).pipe(Effect.provide(environment), quiet)
  )

  it.live(
    `${count} of all kinds are found, or change nothing that is stored`,
    () =>
      Effect.gen(function* () {
        const chain = yield* made
        const cases = draw(chain, randomFrom(20_260_801))
        const became = yield* fates(chain, cases)
        const stored = cases.flatMap(({ number, told }, i) =>
          isKnown(became[i], told) ? [] : [`block ${number}: ${told.what}: ${became[i]}`]
        )
        const byKind = tally(cases.map(({ told }, i) => `${told.kind}: ${became[i]}`))
        assert.deepStrictEqual(stored, [], `of ${cases.length} wrong answers:\n${byKind}\n`)
      }).pipe(Effect.provide(environment), quiet),
    600_000
  )

  it.live("these fields, and no others, may be wrong in what is stored", () =>
    Effect.gen(function* () {
      const { LINKED, STORED } = yield* fields
      assert.deepStrictEqual(STORED, uncommitted)
      assert.deepStrictEqual(LINKED, { flip: [], remove: [] })
    }).pipe(Effect.provide(environment), quiet)
  )
})

/** Everything up to the chain's height is stored; dies when it never will be. */
const runs = Effect.fnUntraced(function* (urls: ReadonlyArray<string>, chain: provable.ProvableChain) {
  const core = Layer.fresh(Sluice.layerCore).pipe(
    Layer.provide([Provider.source(urls), SessionLock.none]),
    Layer.provide(Settings.layer({ profile: "anvil", endBlock: chain.height, pollInterval: "10 millis" }))
  )
  yield* Effect.gen(function* () {
    const { outcome, status } = yield* Sluice
    const halted = status.pipe(
      Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: ({ phase }) => phase === "halted" }),
      Effect.flatMap(({ reason }) => Effect.die(reason))
    )
    assert.strictEqual(yield* Effect.raceFirst(outcome, halted), "done")
  }).pipe(Effect.provide(core))
})

/** Blocks whose rows are not those of the chain. */
const wrongBlocks = Effect.fnUntraced(function* (chain: provable.ProvableChain) {
  const rows = yield* Effect.flatMap(RowStore.Rows, ({ all }) => all)
  return provable.numbers(chain).filter((number) => rows.get(number) !== provable.honestRows(chain, number))
})

type Lie = Parameters<typeof Provider.lying>[0]["lie"]

/** As many runs of a whole Sluice, each with a liar who tells several. */
const sluices = Math.max(8, Math.ceil(count / 250))

describe("a whole Sluice with one endpoint that lies", () => {
  const names = Object.keys(kinds).filter((kind) => !isField(kind))

  /** One run; returns how many lies were told. */
  const run = Effect.fnUntraced(
    function* (chain: provable.ProvableChain, seed: number) {
      // It grows with every question for its head, so that there are many answers of a block or two.
      const { grow, served } = provable.growing(chain, 40)
      const onRequest = (calls: ReadonlyArray<Call>) => {
        if (calls.some(({ params }) => params[0] === "latest")) grow(2)
      }
      const lie: Lie = ({ block, number, random, receipts }) =>
        tell(chain, number, names[Math.floor(random() * names.length)] ?? "", random) ?? {
          what: undefined,
          block,
          receipts
        }
      const behaviours = [Provider.lying({ share: 0.5, lie })]
      const liar = yield* Provider.make({ chain: served, behaviours, onRequest, seed })
      const good = yield* Provider.make({ chain: served, onRequest })
      yield* runs([liar.url, good.url], chain)
      const lies = JSON.stringify(liar.stats.notes)
      assert.deepStrictEqual(yield* wrongBlocks(chain), [], `seed ${seed}: ${lies}`)
      const { everOther } = yield* RowStore.Rows
      const ever = yield* everOther((number) => provable.honestRows(chain, number))
      assert.deepStrictEqual(ever, [], `seed ${seed}, for a moment: ${lies}`)
      return Object.values(liar.stats.notes).reduce((sum, n) => sum + n, 0)
    },
    Effect.scoped,
    Effect.provide(Layer.fresh(RowStore.layer))
  )

  it.live(
    `half of the time: ${sluices} times, the tables are never anything but the chain`,
    () =>
      Effect.gen(function* () {
        const chain = yield* provable.make(160)
        const seeds = Array.from({ length: sluices }, (_, i) => i + 1)
        const lies = yield* Effect.forEach(seeds, (seed) => run(chain, seed), { concurrency: 4 })
        // Otherwise nothing was tried.
        assert.isAtLeast(
          lies.reduce((sum, n) => sum + n, 0),
          sluices
        )
      }).pipe(quiet),
    600_000
  )

  // The next block's parent link shows it, and looks like a reorg below finality: but it never was final as it was stored.
  it.live("once, with a sibling of a final block that proves: the good one's word counts", () =>
    Effect.gen(function* () {
      const chain = yield* made
      let told = 0
      const lie: Lie = ({ block, number, receipts }) =>
        number > 0 && told++ === 0 ? sibling(chain, number) : { what: undefined, block, receipts }
      const served = provable.whole(chain)
      const liar = yield* Provider.make({ chain: served, behaviours: [Provider.lying({ share: 1, lie })] })
      const good = yield* Provider.make({ chain: served })
      yield* runs([liar.url, good.url], chain)
      assert.deepStrictEqual(yield* wrongBlocks(chain), [])
    }).pipe(Effect.provide(RowStore.layer), quiet)
  )
})
