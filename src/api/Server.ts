/**
 * The HTTP server: the dashboard, the API with its documentation at `/docs`, the live feed, Prometheus metrics at
 * `/metrics`, on one port.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Duration, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Settings } from "../config/Settings.ts"
import { Api } from "./Api.ts"
import { layerSaysWhatWasExpected } from "./ApiErrors.ts"
import * as Dashboard from "./Dashboard.ts"
import { Live } from "./Live.ts"
import * as LiveEvents from "./LiveEvents.ts"
import * as LiveSocket from "./LiveSocket.ts"
import * as SyncHandlers from "./SyncHandlers.ts"
import * as SystemHandlers from "./SystemHandlers.ts"
import * as TokenHandlers from "./TokenHandlers.ts"

/** All routes, for any server. */
export const routes = Layer.mergeAll(
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide([SystemHandlers.layer, SyncHandlers.layer, TokenHandlers.layer]),
    Layer.provide(layerSaysWhatWasExpected)
  ),
  HttpApiScalar.layer(Api, { path: "/docs" }),
  PrometheusMetrics.layerHttp({ path: "/metrics" }),
  Layer.mergeAll(LiveSocket.layer, LiveEvents.layer).pipe(Layer.provide(Live.layer)),
  Dashboard.layer
)

/** Open requests get this long when the server closes. */
const shutdownTimeout = Duration.seconds(1)

const listener = Layer.unwrap(
  Effect.map(Settings, ({ httpHost, httpPort }) =>
    NodeHttpServer.layer(createServer, {
      host: httpHost,
      port: httpPort,
      gracefulShutdownTimeout: shutdownTimeout,
      websocket: { maxPayload: LiveSocket.maxFrame }
    })
  )
)

/** Said once requests are answered: before that, the port is open and nobody there. */
const announce = Layer.effectDiscard(
  HttpServer.addressFormattedWith((address) =>
    Effect.logInfo("listening").pipe(Effect.annotateLogs({ url: address, docs: `${address}/docs` }))
  )
)

export const layer = announce.pipe(
  Layer.provideMerge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })),
  Layer.provide(listener)
)
