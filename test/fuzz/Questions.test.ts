/**
 * Small answers with every place wrong in every way: the chain's id, a head, logs, and errors.
 *
 * No root covers them, so a value of the right shape is believed; what has another shape is a fault that says so.
 */
import { describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import type { BlockHeader } from "../../src/chain/Block.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import * as AnswerCampaign from "./AnswerCampaign.ts"
import * as Campaign from "./Campaign.ts"
import * as Node from "./Node.ts"
import * as Subjects from "./Subjects.ts"

const isHash = (text: unknown): boolean => typeof text === "string" && /^0x[\da-f]{64}$/.test(text)

const misshapen = ({ hash, number, parentHash, timestamp }: BlockHeader): string | undefined =>
  isHash(hash) && isHash(parentHash) && [number, timestamp].every((n) => Number.isSafeInteger(n) && n >= 0)
    ? undefined
    : `a header ${JSON.stringify({ hash, number, parentHash, timestamp }).slice(0, 300)}`

const judge =
  <A>(
    subject: Node.Subject,
    ask: Effect.Effect<A, Effect.Error<ChainSource["Service"]["finalized"]>, ChainSource>,
    wrong: (answer: A, body: string) => string | undefined
  ): AnswerCampaign.Judge =>
  (body, parts) =>
    Effect.map(Node.through(subject, body, ask, parts.length % 2), (exit) =>
      Exit.isFailure(exit) ? Node.misspokenCause(exit.cause) : wrong(exit.value, body)
    )

const number = Number(Subjects.head.raw.block.number)

const cases: ReadonlyArray<readonly [subject: Node.Subject, judge: AnswerCampaign.Judge]> = [
  [
    Subjects.head,
    judge(
      Subjects.head,
      Effect.flatMap(ChainSource, ({ finalized }) => finalized),
      (header) => header && misshapen(header)
    )
  ],
  [
    Subjects.byNumber,
    judge(
      Subjects.byNumber,
      Effect.flatMap(ChainSource, ({ headers }) => headers([number])),
      ([header]) =>
        header && (misshapen(header) ?? (header.number === number ? undefined : `block ${header.number}`))
    )
  ],
  [
    Subjects.genesis,
    judge(
      Subjects.genesis,
      Effect.flatMap(ChainSource, ({ genesis }) => genesis(undefined)),
      (hash) => (isHash(hash) ? undefined : `the genesis ${hash}`)
    )
  ],
  [
    Subjects.chainId,
    judge(
      Subjects.chainId,
      Effect.flatMap(ChainSource, ({ headers }) => headers([number])),
      (_, body) => (/"0x0{0,9}7a69"/i.test(body) ? undefined : "another chain")
    )
  ],
  [
    Subjects.logs,
    judge(
      Subjects.logs,
      Effect.flatMap(ChainSource, ({ logs }) => Stream.runCollect(logs({ from: number, to: number }, {}))),
      (pages) => {
        const wrong = pages
          .flatMap(({ logs }) => logs)
          .find(
            ({ address, blockHash, blockNumber, data, topics, transactionHash }) =>
              Number(blockNumber) !== number ||
              blockHash.toLowerCase() !== Subjects.logs.raw.block.hash ||
              address.length !== 42 ||
              [transactionHash, ...topics].some(({ length }) => length !== 66) ||
              topics.length > 4 ||
              data.length % 2 !== 0
          )
        return wrong && `a log ${JSON.stringify(wrong)}`
      }
    )
  ],
  ...Subjects.errors.map(
    (subject) =>
      [
        subject,
        judge(
          subject,
          Effect.flatMap(ChainSource, ({ blocks }) =>
            blocks({ from: number, to: number }, () => Effect.succeed("a block"))
          ),
          () => "an error is an answer"
        )
      ] as const
  )
]

describe("answers to small questions", () => {
  for (const [subject, judge] of cases) {
    it.effect(
      subject.name,
      () => AnswerCampaign.test(subject, judge, { singles: Number.POSITIVE_INFINITY, mixtures: 12 }),
      Campaign.limit
    )
  }
})
