/**
 * What was learned of endpoints, kept between two runs. By itself nowhere: a store provides a place.
 */
import { Context, Duration, Effect, Ref, Schedule } from "effect"
import type { Endpoint } from "./Endpoint.ts"
import * as EndpointState from "./EndpointState.ts"

export interface EndpointMemoryShape {
  /** By the endpoint's key; what is too old to be worth anything is left out. */
  readonly load: Effect.Effect<ReadonlyMap<string, EndpointState.Memory>>
  readonly save: (memories: ReadonlyMap<string, EndpointState.Memory>) => Effect.Effect<void>
}

export const EndpointMemory = Context.Reference<EndpointMemoryShape>("sluice/rpc/EndpointMemory", {
  defaultValue: () => ({ load: Effect.succeed(new Map()), save: () => Effect.void })
})

/** How often what was learned is saved. */
const saveInterval = Duration.seconds(10)

/** Recalls what earlier runs learned of the endpoints, and saves what this one does, now and then and at the end. */
export const keep = Effect.fnUntraced(function* (endpoints: ReadonlyArray<Endpoint>) {
  const memory = yield* EndpointMemory
  const recalled = yield* memory.load
  for (const { key, state } of endpoints) {
    const known = recalled.get(key)
    if (known !== undefined) yield* Ref.update(state, (s) => EndpointState.recall(s, known))
  }
  const saved = yield* Ref.make("")
  const save = Effect.gen(function* () {
    const memories = new Map<string, EndpointState.Memory>()
    for (const { key, state } of endpoints) memories.set(key, EndpointState.memoryOf(yield* Ref.get(state)))
    const text = JSON.stringify([...memories])
    if ((yield* Ref.getAndSet(saved, text)) !== text) yield* memory.save(memories)
  })
  yield* Effect.addFinalizer(() => save)
  yield* Effect.schedule(save, Schedule.spaced(saveInterval)).pipe(Effect.forkScoped)
})
