/** Sluice itself is killed. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { catchesUp, commitsAgain, kills, pauseBelow, real, settle, world } from "../../support/real.ts"

describe("everything real: the process", () => {
  real(`kill -9 of Sluice, ${kills} times, on a chain that grows and reorganises`, (context) =>
    Effect.gen(function* () {
      const it = yield* world(300)
      const { settle: settled } = yield* it.chain.go
      for (let i = 0; i < kills; i++) {
        const program = yield* it.sluice("single", { BATCH_SIZE: "10" })
        yield* commitsAgain(it)
        yield* pauseBelow(600)
        yield* program.kill("SIGKILL")
        yield* program.exited
      }
      yield* settled
      const last = yield* it.sluice("single")
      yield* catchesUp(last, it)
      yield* last.kill("SIGTERM")
      assert.deepStrictEqual(yield* last.exited, { code: 0, signal: null }, last.output())
      yield* settle(it, context, `${kills} kills`)
    })
  )

  real("killed at the head, which the chain then replaces and leaves far below what is final", (context) =>
    Effect.gen(function* () {
      const it = yield* world(100)
      for (let i = 0; i < 2; i++) {
        const program = yield* it.sluice("single")
        yield* catchesUp(program, it)
        yield* program.kill("SIGKILL")
        yield* program.exited
        yield* it.chain.reorg(5)
        // Anvil calls final what is 64 blocks below its head.
        yield* it.chain.mine(100)
      }
      yield* catchesUp(yield* it.sluice("single"), it)
      yield* settle(it, context, "2 kills")
    })
  )
})
