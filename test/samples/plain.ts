import { ManagedRuntime } from "effect"
import { Sluice } from "../../src/index.ts"

export const watch = async (rpcUrl: string, dataDir: string) => {
  const runtime = ManagedRuntime.make(
    Sluice.layer({ profile: "anvil", rpcUrls: [rpcUrl], dataDir, startBlock: 0, endBlock: 20 })
  )
  const sluice = await runtime.runPromise(Sluice)
  const outcome = await runtime.runPromise(sluice.outcome)
  const { store } = await runtime.runPromise(sluice.status)
  await runtime.dispose() // commits what is whole, and gives the lease back
  return { outcome, blocks: store.totals.blocks }
}
