/**
 * The store in memory, which also tells what would stand in the tables: the bytes of every row of a block.
 */
import { Context, Effect, Layer, Ref } from "effect"
import { Store } from "../../src/store/Store.ts"
import * as MemoryStore from "./MemoryStore.ts"
import { rowsOf } from "./provable.ts"

export class Rows extends Context.Service<
  Rows,
  {
    /** By number; see `rowsOf`. */
    readonly all: Effect.Effect<ReadonlyMap<number, string>>
    /** Numbers of blocks that had rows at some time, and be it for a moment, which are not these. */
    readonly everOther: (honest: (number: number) => string) => Effect.Effect<ReadonlyArray<number>>
  }
>()("sluice/test/Rows") {}

export const layer = Layer.effectContext(
  Effect.gen(function* () {
    const store = yield* MemoryStore.make
    const ever = yield* Ref.make<ReadonlyArray<readonly [number: number, rows: string]>>([])
    const rows = yield* Ref.make<ReadonlyMap<number, string>>(new Map())
    const recording = Store.of({
      ...store,
      append: (batch) =>
        Effect.tap(store.append(batch), () => {
          const added = batch.blocks.map((block) => [block.number, rowsOf(block)] as const)
          return Effect.andThen(
            Ref.update(ever, (all) => [...all, ...added]),
            Ref.update(rows, (all) => new Map([...all, ...added]))
          )
        }),
      rollback: (to) =>
        Effect.tap(store.rollback(to), () =>
          Ref.update(rows, (all) => new Map([...all].filter(([number]) => number <= to.ancestor)))
        )
    })
    const told = Rows.of({
      all: Ref.get(rows),
      everOther: (honest) =>
        Effect.map(Ref.get(ever), (all) =>
          all.flatMap(([number, text]) => (text === honest(number) ? [] : [number]))
        )
    })
    return Context.make(Store, recording).pipe(Context.add(Rows, told))
  })
)
