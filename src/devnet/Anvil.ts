/**
 * Anvil, the real one, as a scoped resource: started from the npm package that carries its binary, ready when it
 * answers, gone when the scope closes.
 *
 * **When to use**: `Anvil.layer` for a devnet that lives as long as the program, `Anvil.make` for one that lives as
 * long as a test. `Anvil.find` looks first whether the user runs one already.
 *
 * **Details**: without a port the operating system chooses a free one, and Anvil's own word is taken for which it
 * was; so that many of them can start at once without a race. Closing the scope sends SIGTERM, and SIGKILL two seconds
 * later. Requests are not logged by Anvil: at a devnet's rate that would be most of what it does.
 *
 * Anvil 1.7 keeps the state after each of its newest blocks, and with each state the hashes of all blocks before it;
 * 1,500 states when it mines by the clock, however short a history it was asked for. At a block a second that was
 * 1.1 GB after an hour of empty blocks, or gigabytes of files in `~/.foundry` that it leaves behind. So here the clock
 * is ours (`evm_mine`) and the history is short: 70 MB after the same hour. What remains is about 9 kB for each
 * transaction, with its trace.
 *
 * **Gotchas**: it runs in a process group of its own. A Ctrl-C in the terminal therefore reaches the program alone,
 * which can finish its work against a living chain and then closes the scope. Should the program die without doing so
 * (`kill -9`), the end of the pipe that it held is seen by a waiting shell, which stops Anvil. Windows has no such
 * shell: there an Anvil can outlive a program that was killed hard.
 */

import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import type { Scope } from "effect"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Layer,
  Option,
  Redacted,
  Result,
  Schedule,
  Schema,
  Stream
} from "effect"
import type { HttpClient } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Endpoint from "../rpc/Endpoint.ts"

export interface AnvilOptions {
  /** A free one when absent or 0. */
  readonly port?: number | undefined
  /**
   * A block each time this has passed, as long as this program lives; without it, a block for each transaction.
   */
  readonly blockTime?: Duration.Input | undefined
  /** Unlocked accounts with 10,000 ether each. 10 when absent. */
  readonly accounts?: number | undefined
  /** 31337 when absent. */
  readonly chainId?: number | undefined
  /** Of block 0, seconds since 1970. The present when absent. */
  readonly genesisTimestamp?: number | undefined
  /** Anvil's `finalized` block is two of these behind its head. 32 when absent. */
  readonly slotsInAnEpoch?: number | undefined
  /** Blocks below the head of which the state can be asked for, and so the deepest `anvil_reorg`. 32 when absent. */
  readonly history?: number | undefined
  /**
   * From SIGTERM to SIGKILL. Two seconds when absent. With `--state` Anvil writes its chain in that time, and half a
   * file is worse than none: 14,000 transactions are 72 MB and took 0.2 s.
   */
  readonly stopTimeout?: Duration.Input | undefined
  /** Further flags. Not `--quiet` nor `--json`: the port is read from what Anvil says. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Path of another binary than the bundled one. */
  readonly binary?: string | undefined
}

export interface AnvilShape {
  /** `http://127.0.0.1:<port>`; the same port takes WebSockets. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Never succeeds; fails when Anvil ends although nobody stopped it. */
  readonly exited: Effect.Effect<never, AnvilError>
}

/** A node that was found running. */
export interface Found {
  readonly url: string
  readonly chainId: number
  /** What it calls itself, as in `anvil/v1.7.1`. */
  readonly client: string
}

/** No binary for this machine. */
export class BinaryMissing extends Schema.TaggedError<BinaryMissing>()("BinaryMissing", {
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.detail}; or run a node of your own and name it with RPC_URL`
  }
}

/** It did not come up. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  detail: Schema.String,
  /** The last lines that it wrote to stderr. */
  stderr: Schema.String
}) {
  override get message(): string {
    return `Anvil did not start: ${this.detail}${said(this.stderr)}`
  }
}

/** It was up, and ended by itself or by somebody else's hand. */
export class Exited extends Schema.TaggedError<Exited>()("Exited", {
  detail: Schema.String,
  stderr: Schema.String
}) {
  override get message(): string {
    return `Anvil ended: ${this.detail}${said(this.stderr)}`
  }
}

/** Anything that `Anvil` fails with: one error around a tagged reason. */
export class AnvilError extends Schema.TaggedError<AnvilError>()("AnvilError", {
  reason: Schema.Union([BinaryMissing, StartFailed, Exited])
}) {
  override get message(): string {
    return this.reason.message
  }
}

const said = (stderr: string): string => (stderr === "" ? "" : `. It said: ${stderr}`)

/** Anvil is up in a tenth of a second; a loaded machine in its first start may need much longer. */
const startLimit = Duration.seconds(20)
const stopTimeout = Duration.seconds(2)
const history = 32
const keptLines = 10

export class Anvil extends Context.Service<Anvil, AnvilShape>()("sluice/devnet/Anvil") {
  /** Starts one; it ends with the scope. */
  static readonly make = (
    options: AnvilOptions = {}
  ): Effect.Effect<
    AnvilShape,
    AnvilError,
    Scope.Scope | HttpClient.HttpClient | ChildProcessSpawner.ChildProcessSpawner
  > => start(options)

  static readonly layer = (
    options: AnvilOptions = {}
  ): Layer.Layer<Anvil, AnvilError, HttpClient.HttpClient> =>
    Layer.effect(Anvil, Anvil.make(options)).pipe(Layer.provide(NodeServices.layer))

  /** Whether a node answers on that port of this machine, and which one. 8545 is where Anvil listens by itself. */
  static readonly find = (port = 8545): Effect.Effect<Option.Option<Found>, never, HttpClient.HttpClient> =>
    find(port)

  /** Whether anything answers JSON-RPC on that port of this machine. */
  static readonly isListening = (port?: number): Effect.Effect<boolean, never, HttpClient.HttpClient> =>
    Effect.map(Anvil.find(port), Option.isSome)
}

const start = Effect.fnUntraced(function* (options: AnvilOptions) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const binary = yield* options.binary === undefined
    ? bundledBinary(process.platform, process.arch)
    : present(options.binary)
  const stderr: Array<string> = []
  const output = () => stderr.join("\n").trim()
  const startFailed = (detail: string) =>
    new AnvilError({ reason: new StartFailed({ detail, stderr: output() }) })

  const spawn = (command: ChildProcess.Command) =>
    spawner.spawn(command).pipe(Effect.mapError((error) => startFailed(error.message)))

  const child = yield* spawn(
    ChildProcess.make(binary, flags(options), {
      forceKillAfter: options.stopTimeout ?? stopTimeout,
      stdin: "ignore"
    })
  )
  if (process.platform !== "win32") {
    const watching = yield* spawn(watcher(child.pid))
    // Once Anvil is gone its process id may become another's.
    yield* child.exitCode.pipe(
      Effect.ignore,
      Effect.andThen(watching.kill()),
      Effect.ignore,
      Effect.forkScoped
    )
  }
  const listening = yield* Deferred.make<number>()
  yield* lines(child.stdout, (line) => {
    const port = /^Listening on .*:(\d+)$/.exec(line)?.[1]
    return port === undefined ? Effect.void : Deferred.succeed(listening, Number(port))
  })
  yield* lines(child.stderr, (line) =>
    Effect.sync(() => {
      if (stderr.push(line) > keptLines) stderr.shift()
    })
  )
  const ended = <E>(fail: (detail: string) => E): Effect.Effect<never, E> =>
    child.exitCode.pipe(
      // A signal is no exit code, and comes as an error.
      Effect.match({ onSuccess: (code) => `exit code ${code}`, onFailure: () => "it was killed" }),
      // Its last words may still be on their way through the pipe.
      Effect.delay("50 millis"),
      Effect.flatMap((detail) => Effect.fail(fail(detail)))
    )

  const answering = Effect.gen(function* () {
    const port = yield* Deferred.await(listening)
    const url = `http://127.0.0.1:${port}`
    const endpoint = yield* endpointOf(url)
    yield* endpoint
      .send([
        { method: "eth_chainId", params: [] },
        { method: "anvil_setLoggingEnabled", params: [false] }
      ])
      .pipe(
        Effect.retry(Schedule.spaced("20 millis")),
        Effect.mapError((fault) => startFailed(fault.message))
      )
    return { url, port, endpoint }
  }).pipe(
    Effect.timeoutOrElse({
      duration: startLimit,
      orElse: () => Effect.fail(startFailed(`no answer within ${Duration.format(startLimit)}`))
    })
  )
  const { endpoint, port, url } = yield* Effect.raceFirst(answering, ended(startFailed))
  if (options.blockTime !== undefined) yield* Effect.forkScoped(mining(endpoint, options.blockTime))
  return {
    url,
    port,
    pid: child.pid,
    exited: ended((detail) => new AnvilError({ reason: new Exited({ detail, stderr: output() }) }))
  } satisfies AnvilShape
})

/** A block missed, because Anvil is busy or gone, is not made up for. */
const mining = (endpoint: Endpoint.Endpoint, blockTime: Duration.Input): Effect.Effect<unknown> =>
  endpoint
    .call("evm_mine", [])
    .pipe(Effect.ignore, Effect.repeat(Schedule.fixed(blockTime)), Effect.delay(blockTime))

const flags = (options: AnvilOptions): ReadonlyArray<string> => {
  const flag = (name: string, value: number | undefined) => (value === undefined ? [] : [name, String(value)])
  return [
    ...["--color", "never", "--port", String(options.port ?? 0)],
    ...(options.blockTime === undefined ? [] : ["--no-mining"]),
    ...flag("--prune-history", options.history ?? history),
    ...flag("--accounts", options.accounts),
    ...flag("--chain-id", options.chainId),
    ...flag("--timestamp", options.genesisTimestamp),
    ...flag("--slots-in-an-epoch", options.slotsInAnEpoch),
    ...(options.args ?? [])
  ]
}

/**
 * Stops Anvil when this program has died without doing so: it waits for the end of a pipe that the program holds open
 * and never writes to. A child of the program, not of Anvil, so that there is somebody to bury it.
 */
export const watcher = (pid: number): ChildProcess.StandardCommand =>
  ChildProcess.make("/bin/sh", ["-c", 'read -r _; kill "$0"', String(pid)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore"
  })

const lines = <E>(
  output: Stream.Stream<Uint8Array, E>,
  use: (line: string) => Effect.Effect<unknown>
): Effect.Effect<void, never, Scope.Scope> =>
  output.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach(use),
    // A pipe that breaks belongs to a process that ends, which is told elsewhere.
    Effect.ignore,
    Effect.forkScoped,
    Effect.asVoid
  )

const systems: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin", win32: "win32" }
const processors: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" }

/**
 * The binary inside `@foundry-rs/anvil-<system>-<processor>`. The package's own start script is passed by: it needs
 * an install script, which npm may have been told not to run, and it would be one more process.
 */
export const bundledBinary = (platform: string, arch: string): Effect.Effect<string, AnvilError> => {
  const system = systems[platform]
  const processor = processors[arch]
  if (system === undefined || processor === undefined) {
    return missing(`there is no Anvil for ${platform} on ${arch}`)
  }
  const name = `@foundry-rs/anvil-${system}-${processor}`
  return Effect.try({
    try: () => {
      // It is a dependency of that package, not of ours, and may be installed below it.
      const parent = createRequire(import.meta.url).resolve("@foundry-rs/anvil/package.json")
      return dirname(createRequire(parent).resolve(`${name}/package.json`))
    },
    catch: () => name
  }).pipe(
    Effect.matchEffect({
      onSuccess: (folder) => present(join(folder, "bin", system === "win32" ? "anvil.exe" : "anvil")),
      onFailure: () => missing(`${name} is not installed: npm leaves it out with --omit=optional`)
    })
  )
}

const present = (path: string): Effect.Effect<string, AnvilError> =>
  Effect.suspend(() => (existsSync(path) ? Effect.succeed(path) : missing(`there is no Anvil at ${path}`)))

const missing = (detail: string): Effect.Effect<never, AnvilError> =>
  Effect.fail(new AnvilError({ reason: new BinaryMissing({ detail }) }))

const endpointOf = (url: string) =>
  Endpoint.make({
    id: "anvil",
    url: Redacted.make(url),
    timeout: Duration.seconds(2),
    maxResponseBytes: 1_000_000
  })

const find = Effect.fnUntraced(function* (port: number) {
  const url = `http://127.0.0.1:${port}`
  const endpoint = yield* endpointOf(url)
  const sent = yield* Effect.result(
    endpoint.send([
      { method: "eth_chainId", params: [] },
      { method: "web3_clientVersion", params: [] }
    ])
  )
  if (Result.isFailure(sent)) return Option.none<Found>()
  const [chain, client] = sent.success.answers.map(Result.getOrUndefined)
  const chainId = Number(chain)
  return typeof chain === "string" && Number.isSafeInteger(chainId)
    ? Option.some<Found>({ url, chainId, client: typeof client === "string" ? client : "" })
    : Option.none<Found>()
})
