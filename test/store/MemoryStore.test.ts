import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as MemoryStore from "../support/MemoryStore.ts"
import { contract } from "./contract.ts"

for (const [name, test] of Object.entries(contract)) {
  it.live(name, () => Effect.provide(test, Layer.fresh(MemoryStore.layer)))
}
