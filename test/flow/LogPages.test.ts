import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RawBlock } from "../../src/chain/Block.ts"
import * as LogPages from "../../src/flow/LogPages.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import * as SimulatedChain from "../support/SimulatedChain.ts"

/** As some nodes count: from 0 in each transaction. */
const countedAnew = (raw: RawBlock): RawBlock => ({
  ...raw,
  receipts: raw.receipts.map((receipt) => ({
    ...receipt,
    logs: receipt.logs.map((log, i) => ({ ...log, logIndex: `0x${i.toString(16)}` as const }))
  }))
})

const isBroken = (raw: RawBlock) =>
  countedAnew(raw)
    .receipts.flatMap(({ logs }) => logs)
    .some(({ logIndex }, i) => Number(logIndex) !== i)

describe("a page of logs", () => {
  it.effect("that counts logs anew in each transaction is a wrong answer, which says so", () =>
    Effect.gen(function* () {
      const chain = yield* SimulatedChain.SimulatedChain
      const number = (yield* chain.blocks).findIndex(isBroken)
      assert.isAbove(number, 0)
      const page = LogPages.make(yield* ChainSource, [{}])
      const range = { from: number, to: number }
      const right = yield* page(range)
      assert.isAbove(right.page.logs.length, 1)
      yield* chain.tamperNext(countedAnew)
      const fault = yield* Effect.flip(page(range))
      assert.match(
        fault.message,
        new RegExp(
          `block ${number} has log \\d+ in transaction \\d and log 0 in transaction \\d: ` +
            "logs have to be counted through the block, not anew in each transaction"
        )
      )
      assert.deepStrictEqual(yield* chain.reports, [fault])
    }).pipe(Effect.provide(SimulatedChain.layer(60)))
  )
})
