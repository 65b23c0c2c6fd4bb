/**
 * JSON-RPC answers with every place wrong in every way, over the real way from a provider to rows.
 *
 * What comes of one is a fault that says what is wrong, or exactly the rows of the genuine answer. The places that no
 * root commits to, where another value is another row, are listed here; `Proof` says why of each.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Result } from "effect"
import type { RawBlock } from "../../src/chain/Block.ts"
import * as BlockParser from "../../src/chain/BlockParser.ts"
import { Proof } from "../../src/chain/Proof.ts"
import * as JsonRpc from "../../src/rpc/JsonRpc.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as provable from "../support/provable.ts"
import * as AnswerCampaign from "./AnswerCampaign.ts"
import * as Campaign from "./Campaign.ts"
import * as Mutations from "./Mutations.ts"
import * as Node from "./Node.ts"
import * as Subjects from "./Subjects.ts"

const words = ({ raw }: TemplateStringsArray): ReadonlyArray<string> => raw.join("").trim().split(/\s+/)

/**
 * Places whose value is stored as it comes where it has the right shape, or as null where it is missing. `Proof` says
 * why of each. The number is the type of the transaction; 126 are the deposits of the OP Stack,
 * whose fields without a column are kept as JSON, known or not.
 */
const uncommitted: ReadonlySet<string> = new Set(words`
  block.size block.totalDifficulty
  transaction(0).from transaction(0).chainId
  transaction(1).from
  transaction(2).from transaction(2).gasPrice
  transaction(3).from transaction(3).gasPrice
  transaction(4).from transaction(4).gasPrice
  transaction(126). receipt(126). receipt(126).effectiveGasPrice receipt(126).blobGasPrice transaction(126).nonce transaction(126).gasPrice transaction(126).v transaction(126).r transaction(126).s
  receipt(0).effectiveGasPrice receipt(1).effectiveGasPrice receipt(2).effectiveGasPrice
  receipt(3).effectiveGasPrice receipt(3).blobGasUsed receipt(3).blobGasPrice receipt(4).effectiveGasPrice
  receipt(0).blobGasPrice receipt(1).blobGasPrice receipt(2).blobGasPrice receipt(4).blobGasPrice`)

/** The field that a mutation changes, with the type of the transaction that it belongs to. */
const placeOf = ({ name, raw }: Node.Subject, { path }: Mutations.Mutation): string => {
  const [index, , ...inside] = path
  const place = (what: string, i: unknown, field: unknown) => {
    const transaction = typeof i === "number" ? raw.block.transactions[i] : undefined
    return `${what}(${Number(transaction?.type ?? 0)}).${String(field ?? "")}`
  }
  if (name === "receipts one by one") return place("receipt", index, inside[0])
  if (index === 1) return place("receipt", inside[0], inside[1])
  return inside[0] === "transactions"
    ? place("transaction", inside[1], inside[2])
    : `block.${String(inside[0] ?? "")}`
}

/** On chains with rules of their own a transaction of a kind that is not known passes, as linked; so does a deposit without a version. */
const mayBeNew = (subject: Node.Subject, parts: ReadonlyArray<Mutations.Mutation>): boolean =>
  subject.chainId === 10 &&
  parts
    .map((part) => placeOf(subject, part))
    .some((place) => place.startsWith("transaction") || place === "receipt(126).depositReceiptVersion")

const blocks = (subject: Node.Subject) =>
  Effect.gen(function* () {
    const { verify } = yield* Proof
    assert.strictEqual(verify(subject.raw)._tag, "Proven")
    const expected = Columns.encode(subject.raw, "proven")
    const genuine = "rows" in expected ? provable.rowsOf(expected) : expected.message
    yield* AnswerCampaign.test(
      subject,
      Effect.fnUntraced(function* (body, parts) {
        const exit = yield* Node.fetch(subject, body, parts.length % 2)
        if (Exit.isFailure(exit)) return Node.misspokenCause(exit.cause)
        const fetched = exit.value
        if (fetched._tag === "Failed") return Node.misspoken(fetched.fault)
        const [block] = fetched._tag === "Blocks" ? fetched.blocks : []
        if (block === undefined) return "nothing came of it"
        if (block.level !== "proven") return mayBeNew(subject, parts) ? undefined : "stored as linked"
        if (provable.rowsOf(block) === genuine) return undefined
        return parts.some((part) => uncommitted.has(placeOf(subject, part)))
          ? undefined
          : "other rows, proven"
      })
    )
  }).pipe(Effect.provide(Node.core(subject.chainId)))

const subjects = await Effect.runPromise(Subjects.blocks)

/** Places of the same field in transactions of the same type are one. */
const nameOf =
  (subject: Node.Subject) =>
  (path: Mutations.Path): string =>
    `${placeOf(subject, { path, kind: "null" })} ${path.slice(2).filter((key) => typeof key === "string")} ${path.length}`

/** Every field in every wrong way, without the way through the pool: it takes a tenth of the time. */
const straight = (
  subject: Node.Subject,
  name: string,
  isWanted: (mutation: Mutations.Mutation) => boolean = () => true
) =>
  Effect.gen(function* () {
    const { verify } = yield* Proof
    const mutations = Mutations.distinct(Mutations.all(subject.genuine).filter(isWanted), nameOf(subject))
    const rows = (raw: RawBlock) => {
      const encoded = Columns.encode(raw, "proven")
      return "rows" in encoded ? provable.rowsOf(encoded) : undefined
    }
    const genuine = rows(subject.raw)
    yield* Campaign.test({
      name,
      singles: mutations.length,
      single: (n) => mutations[n] ?? { path: [], kind: "null" as const },
      small: { singles: mutations.length, mixtures: 0 },
      draw: (r) => Mutations.draw(mutations, r),
      show: Mutations.show,
      judge: (parts) =>
        Effect.sync(() => {
          const answers = JsonRpc.decode(
            { status: 200, retryAfter: Option.none(), body: Mutations.apply(subject.genuine, parts) },
            2
          )
          const [block, receipts] = Result.isSuccess(answers) ? answers.success : []
          if (block === undefined || receipts === undefined) return undefined
          if (Result.isFailure(block) || Result.isFailure(receipts)) return undefined
          const raw = BlockParser.parse(block.success, receipts.success, Number(subject.raw.block.number))
          if (!("block" in raw) || verify(raw)._tag === "Mismatch") return undefined
          const now = rows(raw)
          return now === undefined ||
            now === genuine ||
            parts.some((part) => uncommitted.has(placeOf(subject, part)))
            ? undefined
            : "other rows, proven"
        })
    })
  }).pipe(Effect.provide(Node.core(subject.chainId)))

describe("JSON-RPC answers", () => {
  it.effect("every field", () => straight(Subjects.mixed, "every field"), Campaign.limit)

  it.effect(
    "every field of a withdrawal",
    () =>
      Effect.flatMap(provable.make(300), (chain) =>
        straight(Subjects.withBlobs(chain), "every field of a withdrawal", ({ path }) =>
          path.includes("withdrawals")
        )
      ),
    Campaign.limit
  )

  for (const subject of subjects) {
    it.effect(subject.name, () => blocks(subject), Campaign.limit)
  }
})
