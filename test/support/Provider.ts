/**
 * A provider of `bench/provider.mjs` for as long as the scope is open, and what reads from such providers: the real
 * endpoints, pool and source.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Duration, Effect, Layer, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { start } from "../../bench/provider.mjs"
import { EndpointPool } from "../../src/rpc/EndpointPool.ts"
import * as RpcSource from "../../src/source/RpcSource.ts"
import * as WebSocket from "../../src/source/WebSocket.ts"

export { failing, lagging, lying, rateLimited } from "../../bench/provider.mjs"

export const make = (options: Parameters<typeof start>[0]) =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (provider) => Effect.promise(provider.close)
  )

export interface SourceOptions {
  readonly maxRetries?: number
  readonly maxResponseBytes?: number
  readonly http?: Layer.Layer<HttpClient.HttpClient>
}

/** A `ChainSource` as `Sluice` makes it, for a store of the test's own beside it. */
export const source = (urls: ReadonlyArray<string>, options: SourceOptions = {}) =>
  RpcSource.layer({ pollInterval: Duration.millis(10), wsUrl: undefined }).pipe(
    Layer.provide(
      EndpointPool.layer({
        urls: urls.map((url) => Redacted.make(url)),
        chainId: 31_337,
        maxRetries: options.maxRetries ?? 8,
        timeout: Duration.seconds(2),
        maxResponseBytes: options.maxResponseBytes ?? 64 * 2 ** 20,
        concurrency: 20,
        prices: new Map()
      })
    ),
    Layer.provide([options.http ?? NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), WebSocket.layer])
  )
