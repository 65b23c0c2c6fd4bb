/**
 * Metrics and traces for an OpenTelemetry collector, when `OTEL_EXPORTER_OTLP_ENDPOINT` names one.
 *
 * **Details**: a trace is a batch's way: one span for each fetch, with its range and endpoint, and one for the commit,
 * linked to the fetches whose blocks it wrote. Requests to providers and to the collector make no spans of their own:
 * they would carry URLs, and URLs hold keys.
 *
 * **Gotchas**: a host program that embeds Sluice brings its own tracer and exporter; this layer is for `main.ts`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"
import { Settings } from "./config/Settings.ts"
import { version } from "./Version.ts"

/** Spans of requests would tell their URLs. */
const silent = Layer.succeed(HttpClient.TracerDisabledWhen, () => true)

export const layer: Layer.Layer<never, never, Settings> = Layer.unwrap(
  Effect.map(Settings, ({ chainId, instanceId, otlpEndpoint }) => {
    if (otlpEndpoint === undefined) return silent
    const base = Redacted.value(otlpEndpoint).replace(/\/+$/, "")
    const resource = {
      serviceName: "sluice",
      serviceVersion: version,
      attributes: { "service.instance.id": instanceId, "chain.id": chainId }
    }
    return Layer.mergeAll(
      OtlpMetrics.layer({ url: `${base}/v1/metrics`, resource }),
      OtlpTracer.layer({ url: `${base}/v1/traces`, resource })
    ).pipe(
      Layer.provide([OtlpSerialization.layerJson, NodeHttpClient.layerNodeHttp]),
      Layer.provideMerge(silent)
    )
  })
)
