/**
 * A chain on an Anvil that grows and reorganises until it is told to settle.
 *
 * **Gotchas**: blocks are mined by hand, since an Anvil that mines by itself loses blocks when a reorg meets a pending
 * transaction. For the same reason the growth is asked to end and never interrupted.
 */
import { Effect, Fiber, Random, Ref, type Scope } from "effect"
import { rpc } from "./oracle.ts"

export interface Growth {
  /** So many blocks at once, most of them with a transaction or a log. */
  readonly mine: (blocks: number) => Effect.Effect<void>
  /** Replaces so many of the newest blocks by other ones. */
  readonly reorg: (depth: number) => Effect.Effect<void>
  /** Grows and reorganises; `settle` lets it end, with a block that no reorg will take back. */
  readonly go: Effect.Effect<{ readonly settle: Effect.Effect<void> }, never, Scope.Scope>
  /** Reorgs so far. */
  readonly reorgs: Effect.Effect<number>
}

const hex = (n: number) => `0x${n.toString(16)}`

/** Creation code that only logs: a topic, and a word of data. */
const logging = "0x602a600052600760206000a100"

/** Far less than what Anvil calls final, 64 blocks below its head. */
const deepest = 15

export const make = Effect.fnUntraced(function* (url: string): Effect.fn.Return<Growth> {
  const [from, to] = yield* rpc<ReadonlyArray<string>>(url, "eth_accounts")
  yield* rpc(url, "evm_setAutomine", [false])
  const taken = yield* Ref.make(0)
  let value = 1

  const transaction = () =>
    value++ % 2 === 0 ? { from, to, value: hex(value) } : { from, data: logging, gas: hex(200_000) }

  const mine = (blocks: number) =>
    Effect.repeat(
      Effect.andThen(
        Effect.suspend(() => rpc(url, "eth_sendTransaction", [transaction()])),
        rpc(url, "evm_mine")
      ),
      { times: blocks - 1 }
    ).pipe(Effect.asVoid)

  const reorg = (depth: number) =>
    // With a transaction of its own, so that the new blocks are other ones.
    Effect.suspend(() => rpc(url, "anvil_reorg", [depth, [[{ from, to, value: hex(value++) }, 0]]])).pipe(
      Effect.andThen(Ref.update(taken, (n) => n + 1))
    )

  const go = Effect.gen(function* () {
    const settling = yield* Ref.make(false)
    const grow = Effect.gen(function* () {
      yield* mine(yield* Random.nextIntBetween(1, 4))
      const height = Number(yield* rpc<string>(url, "eth_blockNumber"))
      const isDue = (yield* Random.nextIntBetween(0, 12)) === 0
      if (isDue && height > 2 * deepest) yield* reorg(yield* Random.nextIntBetween(1, deepest + 1))
      yield* Effect.sleep("40 millis")
    })
    const fiber = yield* Effect.forkScoped(Effect.repeat(grow, { until: () => Ref.get(settling) }))
    const settle = Ref.set(settling, true).pipe(Effect.andThen(Fiber.join(fiber)), Effect.andThen(mine(1)))
    return { settle }
  })

  return { mine, reorg, go, reorgs: Ref.get(taken) }
})
