/**
 * Metrics and traces for an OpenTelemetry collector, when `OTEL_EXPORTER_OTLP_ENDPOINT` names one.
 *
 * **Details**: a trace is a batch's way: one span for each fetch, with its range and endpoint, and one for the commit,
 * linked to the fetches whose blocks it wrote; a rollback has one of its own. Nothing else is sent: spans of requests
 * and of SQL statements would tell URLs and hosts, and stack traces whatever the cause of an error holds.
 *
 * A collector that is away or does not answer costs what has been gathered meanwhile, and nothing else.
 *
 * **Gotchas**: a host program that embeds Sluice brings its own tracer and exporter; this layer is for `main.ts`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Cause, Duration, Effect, Exit, Layer, Redacted, Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"
import { Settings } from "./config/Settings.ts"
import { version } from "./Version.ts"

/** Requests make no spans. */
const silent = Layer.succeed(HttpClient.TracerDisabledWhen, () => true)

/** The spans that are sent. */
const sent: ReadonlySet<string> = new Set(["fetch", "commit", "rollback"])

/** What is left when the process ends has this long to be sent. */
const shutdownTimeout = Duration.seconds(1)

/** A collector that takes longer is as good as away. */
const requestTimeout = Duration.seconds(3)

/** Where the exporters believe they send to: they log it when that fails, and the real URL may hold a key. */
const alias = "http://collector"

/** Sends what is meant for the alias to the collector. */
const collector = (endpoint: Redacted.Redacted) => {
  const base = new URL(Redacted.value(endpoint))
  const headers: Record<string, string> = {}
  if (base.username !== "" || base.password !== "") {
    const credentials = `${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`
    headers["authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`
  }
  base.username = ""
  base.password = ""
  const urlOf = (path: string): string => {
    const url = new URL(base)
    url.pathname = `${base.pathname.replace(/\/+$/, "")}${path}`
    return url.toString()
  }
  return Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (client) =>
      HttpClient.make((request, { pathname }) => {
        const said = (description: string) =>
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, description })
          })
        return client
          .execute(
            request.pipe(HttpClientRequest.setUrl(urlOf(pathname)), HttpClientRequest.setHeaders(headers))
          )
          .pipe(
            Effect.mapError((error) => said(error.reason._tag)),
            Effect.timeoutOrElse({
              duration: requestTimeout,
              orElse: () => Effect.fail(said("no answer in time"))
            })
          )
      })
    )
  )
}

/** How a span ended, without causes and stack traces. */
const plainly = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return exit
  const [error] = Cause.prettyErrors(exit.cause)
  const { message, name } = error ?? new Error("unknown")
  return Exit.fail(Object.assign(new Error(message), { name, stack: `${name}: ${message}` }))
}

/** The tracer for the spans that are sent; the others are kept from it. */
const selective = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (options) => {
      if (!sent.has(options.name)) return new Tracer.NativeSpan(options)
      const span = tracer.span(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => end(endTime, plainly(exit))
      return span
    }
  })

export const layer: Layer.Layer<never, never, Settings> = Layer.unwrap(
  Effect.map(Settings, ({ chainId, instanceId, otlpEndpoint }) => {
    if (otlpEndpoint === undefined) return silent
    const resource = {
      serviceName: "sluice",
      serviceVersion: version,
      attributes: { "service.instance.id": instanceId, "chain.id": chainId }
    }
    const traces = OtlpTracer.make({ url: `${alias}/v1/traces`, resource, shutdownTimeout })
    return Layer.merge(
      OtlpMetrics.layer({ url: `${alias}/v1/metrics`, resource, shutdownTimeout }),
      Layer.effect(Tracer.Tracer, Effect.map(traces, selective))
    ).pipe(
      Layer.provide([
        OtlpExporter.layerFlusher,
        OtlpSerialization.layerJson,
        collector(otlpEndpoint).pipe(Layer.provide(NodeHttpClient.layerNodeHttp))
      ]),
      Layer.provideMerge(silent)
    )
  })
)
