import { expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { Profile, profiles } from "../../src/config/Profile.ts"

/** The table of DESIGN.md, written down a second time on purpose. */
const designed = [
  ["chainId", 31_337, 11_155_111, 1],
  ["resultsCapacity", 100_000, 10_000, 5_000],
  ["batchSize", 100, 50, 20],
  ["mergeWindow", 5_000, 10_000, 30_000],
  ["flushInterval", 250, 1_000, 1_000],
  ["concurrency", 16, 10, 20],
  ["confirmationDepth", 0, 3, 12],
  ["finalityDepth", 64, 64, 64],
  ["pollInterval", 200, 4_000, 4_000]
] as const

const plain = (value: number | Duration.Duration) =>
  Duration.isDuration(value) ? Duration.toMillis(value) : value

it.each(designed)("%s is as designed", (name, anvil, sepolia, mainnet) => {
  expect([plain(profiles.anvil[name]), plain(profiles.sepolia[name]), plain(profiles.mainnet[name])]).toEqual(
    [anvil, sepolia, mainnet]
  )
})

it.effect("each layer provides its profile", () =>
  Effect.gen(function* () {
    const layers = [Profile.Anvil, Profile.Sepolia, Profile.Mainnet]
    const built = yield* Effect.forEach(layers, (layer) => Effect.scoped(Layer.build(layer)))
    expect(built.map((context) => Context.get(context, Profile).name)).toEqual([
      "anvil",
      "sepolia",
      "mainnet"
    ])
  })
)

it("a profile of one's own leaves the rest as on mainnet", () => {
  expect(Profile.make({ name: "polygon", chainId: 137, concurrency: 4 })).toEqual({
    ...profiles.mainnet,
    name: "polygon",
    chainId: 137,
    concurrency: 4
  })
})
