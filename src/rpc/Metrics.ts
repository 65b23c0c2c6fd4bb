/**
 * Metrics of the pool. Labels are bounded: endpoints by id, methods that we send, reasons and checks by their names.
 */
import { Effect, Metric } from "effect"
import { type Reason, reasons } from "./ProviderFault.ts"

export const calls = Metric.counter("indexer_rpc_calls_total", {
  description: "JSON-RPC calls answered, by endpoint and method.",
  incremental: true
})

export const bytes = Metric.counter("indexer_rpc_bytes_total", {
  description: "Bytes received, by endpoint and method.",
  incremental: true
})

const faults = Metric.counter("indexer_rpc_faults_total", {
  description: "Faults of endpoints, by endpoint and reason.",
  incremental: true
})

export const latency = Metric.histogram("indexer_rpc_latency_seconds", {
  description: "Time until an endpoint had answered, or failed, in seconds.",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
})

export const wrongAnswers = Metric.counter("indexer_rpc_wrong_answers_total", {
  description:
    "Answers that contradict themselves, their proof or the chain, by endpoint and by what did not fit.",
  incremental: true
})

export const hedges = Metric.counter("indexer_rpc_hedges_total", {
  description: "Requests that were asked of a second endpoint because the first one was slow.",
  incremental: true
})

export const available = Metric.gauge("indexer_rpc_endpoint_available", {
  description: "1 while the endpoint may be asked, 0 while it rests, is down, out or removed."
})

/** A fault counts from the first one only where the counter was there before: the counters of `endpoint`, from zero. */
export const zero = Effect.fnUntraced(function* (endpoint: string) {
  yield* Metric.update(Metric.withAttributes(hedges, { endpoint }), 0)
  for (const reason of reasons) {
    yield* Metric.update(Metric.withAttributes(faults, { endpoint, reason }), 0)
  }
})

export const faulted = (endpoint: string, reason: Reason["_tag"]): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(faults, { endpoint, reason }), 1)

/** Every metric of this file with the names of its labels. */
export const all: ReadonlyArray<readonly [Metric.Metric<number, unknown>, ReadonlyArray<string>]> = [
  [available, ["endpoint"]],
  [calls, ["endpoint", "method"]],
  [bytes, ["endpoint", "method"]],
  [latency, ["endpoint"]],
  [faults, ["endpoint", "reason"]],
  [wrongAnswers, ["endpoint", "check"]],
  [hedges, ["endpoint"]]
]
