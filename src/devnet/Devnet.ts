/**
 * Which endpoints to read from. With `RPC_URL`, those. Without one, which only the anvil profile allows, the Anvil that
 * the user runs on port 8545, or else one of our own on a free port.
 *
 * **Details**: our own keeps its chain in the data folder, beside the tables that are made from it, so that both go on
 * together. It writes the chain when it is stopped, also when this process was killed.
 */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Context, Duration, Effect, FileSystem, Layer, Option, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { Settings } from "../config/Settings.ts"
import { Anvil, AnvilError, StartFailed } from "./Anvil.ts"
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
  const anvil = yield* Anvil.make({
    chainId,
    args: ["--state", yield* stateFile],
    stopTimeout,
    ...(traffic ? demo : {})
  })
  yield* Effect.logInfo("started Anvil").pipe(Effect.annotateLogs({ url: anvil.url, pid: anvil.pid }))
  yield* anvil.exited.pipe(
    Effect.catch((error) => Effect.logError(error.message)),
    Effect.forkScoped
  )
  return anvil.url
})

const stateFile = Effect.gen(function* () {
  const { dataDir } = yield* Settings
  const files = yield* FileSystem.FileSystem
  yield* files
    .makeDirectory(dataDir, { recursive: true })
    .pipe(
      Effect.mapError(
        ({ message }) => new AnvilError({ reason: new StartFailed({ detail: message, stderr: "" }) })
      )
    )
  return join(dataDir, "anvil.json")
})
