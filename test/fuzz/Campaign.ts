/**
 * A fuzz campaign: numbered cases, each a list of parts that together are one input, and a judge that says what is
 * wrong with what became of it.
 *
 * **Details**: a number makes the same case for ever, so one number replays. The first `singles` numbers enumerate
 * what a campaign tries one by one; every number above is a mixture drawn from the number. `npm test` takes some of
 * the first, spread evenly, and a few mixtures; `TEST_FUZZ=100000` takes all of the first and mixtures up to that
 * number. A case that fails loses parts for as long as it still fails, and is told in one line:
 *
 * ```
 * TEST_FUZZ_CASE=4711 npx vitest run test/fuzz -t "blocks": <what is wrong>: <the parts that are left>
 * ```
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, References } from "effect"
import { type Random, random } from "../support/blocks.ts"

export interface Campaign<Part, R> {
  readonly name: string
  /** How many cases there are one by one. */
  readonly singles: number
  readonly single: (n: number) => Part
  /** How many of each kind `npm test` takes. */
  readonly small: { readonly singles: number; readonly mixtures: number }
  /** Draws one part of a mixture; two to four of them make one. */
  readonly draw: (r: Random) => Part
  readonly show: (part: Part) => string
  /** What is wrong, or nothing. */
  readonly judge: (parts: ReadonlyArray<Part>) => Effect.Effect<string | undefined, never, R>
  /** Cases at the same time; 1 where there is no number. */
  readonly concurrency?: number
}

const large = process.env["TEST_FUZZ"] === undefined ? undefined : Number(process.env["TEST_FUZZ"])
export const isLarge = large !== undefined
const replayed = process.env["TEST_FUZZ_CASE"]

/** Complaints that are told; the rest is counted. */
const most = 12

const numbersOf = (campaign: Pick<Campaign<never, never>, "singles" | "small">): ReadonlyArray<number> => {
  if (replayed !== undefined) return [Number(replayed)]
  const { singles } = campaign
  const until = (limit: number) => Array.from({ length: limit }, (_, n) => n)
  if (large !== undefined) return until(Math.max(singles, large))
  const taken = Math.min(singles, campaign.small.singles)
  return [
    ...until(taken).map((n) => Math.floor((n * singles) / taken)),
    ...until(campaign.small.mixtures).map((n) => singles + n)
  ]
}

const partsOf = <Part, R>({ draw, single, singles }: Campaign<Part, R>, n: number): ReadonlyArray<Part> => {
  if (n < singles) return [single(n)]
  const r = random(n)
  return Array.from({ length: 2 + r.int(3) }, () => draw(r))
}

/** What dies is a complaint like any other. */
const judged = <Part, R>(campaign: Campaign<Part, R>, parts: ReadonlyArray<Part>) =>
  Effect.catchCause(
    Effect.suspend(() => campaign.judge(parts)),
    (cause) => Effect.succeed(`it died: ${Cause.pretty(cause).slice(0, 600)}`)
  )

/** Parts are left out one after the other while the case still fails. */
const shrink = Effect.fnUntraced(function* <Part, R>(
  campaign: Campaign<Part, R>,
  parts: ReadonlyArray<Part>,
  complaint: string
) {
  let left = parts
  let said = complaint
  for (let i = 0; i < left.length && left.length > 1; ) {
    const fewer = left.filter((_, at) => at !== i)
    const now = yield* judged(campaign, fewer)
    if (now === undefined) i++
    else {
      left = fewer
      said = now
    }
  }
  return { left, said }
})

/** Runs the campaign as one test; fails with every complaint. `environment` is made once. */
export const test = <Part, R>(campaign: Campaign<Part, R>): Effect.Effect<void, never, R> =>
  Effect.gen(function* () {
    const numbers = numbersOf(campaign)
    const complaints: Array<string> = []
    let failed = 0
    yield* Effect.forEach(
      numbers,
      Effect.fnUntraced(function* (n) {
        const parts = partsOf(campaign, n)
        const complaint = yield* judged(campaign, parts)
        if (complaint === undefined) return
        if (++failed > most) return
        const { left, said } = yield* shrink(campaign, parts, complaint)
        const shown = left.map(campaign.show).join(" + ")
        complaints.push(
          `TEST_FUZZ_CASE=${n} npx vitest run test/fuzz -t "${campaign.name}": ${said}: ${shown.slice(0, 500)}`
        )
      }),
      { concurrency: campaign.concurrency ?? 1, discard: true }
    )
    assert.isAbove(numbers.length, 0)
    assert.strictEqual(failed, 0, `${failed} of ${numbers.length}:\n${complaints.join("\n")}\n`)
  })

/** How long a campaign may take, in real milliseconds. */
export const limit = large === undefined ? 120_000 : 6 * 3_600_000

/** Wrong answers are worth a warning each; thousands are not worth reading. */
export const quiet = Effect.provideService(References.MinimumLogLevel, "None")
