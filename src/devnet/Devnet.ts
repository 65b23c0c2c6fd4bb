/**
 * Which endpoints to read from. With `RPC_URL`, those. Without one, which only the anvil profile allows, the Anvil that
 * the user runs on port 8545, or else one of our own on a free port.
 *
 * **Details**: our own keeps its chain in the data folder, beside the tables that are made from it, so that both go on
 * together. It writes the chain when it is stopped, also when this process was killed.
 */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Context, Duration, Effect, FileSystem, Layer, Option, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { Settings } from "../config/Settings.ts"
import { Anvil, AnvilError, StartFailed } from "./Anvil.ts"
import * as AnvilRpc from "./AnvilRpc.ts"
import * as Traffic from "./Traffic.ts"

export class Devnet extends Context.Service<
  Devnet,
  {
    readonly urls: ReadonlyArray<Redacted.Redacted>
  }
>()("sluice/devnet/Devnet") {
  static readonly layer: Layer.Layer<Devnet, AnvilError, Settings | HttpClient.HttpClient> = Layer.effect(
    Devnet,
    Effect.suspend(() => make)
  ).pipe(Layer.provide(NodeServices.layer))
}

/** It writes its chain before it ends, which takes a while after some hours of traffic. */
const stopTimeout = Duration.seconds(30)

/** Demo traffic comes from many accounts, and a block each second shows it well. */
const demo = { accounts: 50, blockTime: Duration.seconds(1) }

const make = Effect.gen(function* () {
  const { chainId, rpcUrls, traffic } = yield* Settings
  const urls = rpcUrls.length > 0 ? rpcUrls : [Redacted.make(yield* node(chainId, traffic))]
  const [first] = urls
  if (traffic && first !== undefined) {
    yield* Traffic.run({ url: Redacted.value(first) }).pipe(
      Effect.catch((error) => Effect.logError(error.message)),
      Effect.forkScoped
    )
  }
  return Devnet.of({ urls })
})

const node = Effect.fnUntraced(function* (chainId: number, traffic: boolean) {
  const found = yield* Anvil.find()
  if (Option.isSome(found) && found.value.chainId === chainId) {
    yield* Effect.logInfo("using the node that runs on this machine").pipe(
      Effect.annotateLogs({ url: found.value.url, client: found.value.client })
    )
    return found.value.url
  }
  const { genesisTimestamp, stateFile } = yield* chain
  const anvil = yield* Anvil.make({
    chainId,
    genesisTimestamp,
    args: ["--state", stateFile],
    stopTimeout,
    ...(traffic ? demo : {})
  })
  const rpc = yield* AnvilRpc.make(anvil.url)
  // Its clock starts at genesis again with every start. On the first one that is now, and there is nothing to set.
  const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  yield* Effect.ignore(rpc.call("evm_setNextBlockTimestamp", [now]))
  yield* Effect.logInfo("started Anvil").pipe(Effect.annotateLogs({ url: anvil.url, pid: anvil.pid }))
  yield* anvil.exited.pipe(
    Effect.catch((error) => Effect.logError(error.message)),
    Effect.forkScoped
  )
  return anvil.url
})

/**
 * Where the chain is kept: a folder named by the time of its genesis. Anvil makes the genesis block anew with every
 * start and would mix it with the one in the file, so it has to be the same one.
 */
const chain = Effect.gen(function* () {
  const { dataDir } = yield* Settings
  const files = yield* FileSystem.FileSystem
  yield* files.makeDirectory(dataDir, { recursive: true })
  const known = (yield* files.readDirectory(dataDir)).flatMap((name) => {
    const time = /^anvil-(\d{10})$/.exec(name)?.[1]
    return time === undefined ? [] : [Number(time)]
  })
  const genesisTimestamp = known[0] ?? Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const folder = join(dataDir, `anvil-${genesisTimestamp}`)
  yield* files.makeDirectory(folder, { recursive: true })
  return { genesisTimestamp, stateFile: join(folder, "state.json") }
}).pipe(
  Effect.mapError(
    ({ message }) => new AnvilError({ reason: new StartFailed({ detail: message, stderr: "" }) })
  )
)
