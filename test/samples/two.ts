import { Effect } from "effect"
import { Profile, Sluice } from "../../src/index.ts"

const testnet = Profile.make({ name: "testnet", chainId: 1337, confirmationDepth: 2, batchSize: 10 })

export const twoChains = (rpcUrls: readonly [string, string], dataDirs: readonly [string, string]) => {
  const outcome = Effect.flatMap(Sluice, (sluice) => sluice.outcome)
  const local = { profile: "anvil", rpcUrls: [rpcUrls[0]], dataDir: dataDirs[0], endBlock: 20 } as const
  const other = { profile: testnet, rpcUrls: [rpcUrls[1]], dataDir: dataDirs[1], endBlock: 15 }
  return Effect.all(
    [outcome.pipe(Effect.provide(Sluice.layer(local))), outcome.pipe(Effect.provide(Sluice.layer(other)))],
    { concurrency: 2 }
  )
}
