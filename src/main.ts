#!/usr/bin/env node
/**
 * The command line: flags and environment become settings, settings become layers, and the layers run until they are
 * done or told to stop. The only file with a process of its own: signals and exit codes are dealt with here.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer, Logger, MutableRef, References, Runtime, Schema } from "effect"
import * as Server from "./api/Server.ts"
import * as Cli from "./Cli.ts"
import { type Resolved, Settings } from "./config/Settings.ts"
import * as Gauges from "./flow/Gauges.ts"
import * as Maintenance from "./Maintenance.ts"
import * as Progress from "./Progress.ts"
import { layerFromSettings, Sluice } from "./Sluice.ts"
import * as Telemetry from "./Telemetry.ts"
import { version } from "./Version.ts"

/** What ended it has been logged; nothing is left to say but the exit code. */
class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {
  override readonly [Runtime.errorExitCode] = Cli.exitCodes.failed
  override readonly [Runtime.errorReported] = false
}

const run = (resolved: Resolved) =>
  Effect.gen(function* () {
    for (const warning of resolved.warnings) yield* Effect.logWarning(warning)
    const { outcome } = yield* Sluice
    const how = yield* outcome
    if (how === "done") yield* Effect.logInfo("done: everything up to END_BLOCK is committed")
  }).pipe(
    Effect.provide(
      Layer.mergeAll(Server.layer, Progress.layer, Gauges.layer).pipe(
        Layer.provideMerge(layerFromSettings),
        Layer.provideMerge(Telemetry.layer),
        Layer.provide(Settings.layerResolved(resolved))
      )
    ),
    // Another instance does the work: that is how two of them are meant to end up.
    Effect.catchTag(["LeaseHeld", "DataDirectoryHeld"], (held) => Effect.logInfo(held.message)),
    Effect.catch((error) => Effect.andThen(Effect.logError(error.message), new Failed())),
    Effect.tapCauseIf(Cause.hasDies, (cause) =>
      Effect.logFatal("ended by a bug").pipe(Effect.annotateLogs({ cause: Cause.pretty(cause) }))
    ),
    Effect.provide(Logger.layer([logger(resolved)])),
    Effect.provideService(References.MinimumLogLevel, resolved.settings.logLevel)
  )

const logger = ({ settings }: Resolved) =>
  settings.logFormat === "pretty" ? Logger.consolePretty() : Logger.consoleJson

/** Like `run`, for a command that writes its report to standard output: logs go to standard error. */
const maintain = <E extends { readonly _tag: string; readonly message: string }, R>(
  resolved: Resolved,
  command: Effect.Effect<void, E, R | Settings>
) =>
  Effect.sync(() => MutableRef.set(stopped, Cli.exitCodes.failed)).pipe(
    Effect.andThen(Effect.forEach(resolved.warnings, (warning) => Effect.logWarning(warning))),
    Effect.andThen(command),
    Effect.provide(Settings.layerResolved(resolved)),
    Effect.catch((error) => {
      if (error instanceof Maintenance.SomethingFound) return Effect.fail(new Failed())
      const held = error._tag === "LeaseHeld" || error._tag === "DataDirectoryHeld"
      const advice = held ? "; stop it first" : ""
      return Effect.andThen(Effect.logError(`${error.message}${advice}`), new Failed())
    }),
    Effect.provide(Logger.layer([logToError(resolved)])),
    Effect.provideService(Logger.LogToStderr, true),
    Effect.provideService(References.MinimumLogLevel, resolved.settings.logLevel)
  )

const logToError = ({ settings }: Resolved) =>
  settings.logFormat === "pretty" ? Logger.consolePretty() : Logger.withConsoleError(Logger.formatJson)

/**
 * The exit code after a signal, which is an order and no failure: what was whole is committed by then. Only an audit that
 * was stopped halfway must not end as if it had found nothing.
 */
const stopped = MutableRef.make<number>(Cli.exitCodes.ok)

const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    ? onExit(MutableRef.get(stopped))
    : Runtime.defaultTeardown(exit, onExit)

Cli.make({
  version,
  env: process.env,
  run,
  verify: (resolved, flags) => maintain(resolved, Maintenance.verify(flags)),
  gaps: (resolved, flags) => maintain(resolved, Maintenance.gaps(flags))
}).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain({ teardown, disableErrorReporting: true }))
