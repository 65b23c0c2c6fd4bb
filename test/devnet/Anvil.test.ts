import { spawn } from "node:child_process"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schedule, Scope } from "effect"
import { Anvil, bundledBinary, watcher } from "../../src/devnet/Anvil.ts"

const world = Layer.merge(NodeHttpClient.layerNodeHttp, NodeServices.layer)

const isAlive = (pid: number) =>
  Effect.sync(() => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  })

describe("Anvil", () => {
  it.live("starts, answers, and leaves no process behind", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const anvil = yield* Scope.provide(Anvil.make({ accounts: 3, chainId: 4242 }), scope)
      const found = yield* Anvil.find(anvil.port)
      assert.deepStrictEqual(
        Option.map(found, ({ chainId, url }) => ({ chainId, url })),
        Option.some({ chainId: 4242, url: anvil.url })
      )
      assert.isTrue(yield* isAlive(anvil.pid))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(yield* isAlive(anvil.pid))
      assert.isFalse(yield* Anvil.isListening(anvil.port))
    }).pipe(Effect.provide(world))
  )

  it.live("starts many at once, each on a port of its own", () =>
    Effect.gen(function* () {
      const all = yield* Effect.all([Anvil.make(), Anvil.make(), Anvil.make()], { concurrency: 3 })
      assert.strictEqual(new Set(all.map(({ port }) => port)).size, 3)
    }).pipe(Effect.provide(world))
  )

  it.live("tells when it ends by somebody else's hand", () =>
    Effect.gen(function* () {
      const anvil = yield* Anvil.make()
      process.kill(anvil.pid, "SIGKILL")
      const error = yield* Effect.flip(anvil.exited)
      assert.strictEqual(error.reason._tag, "Exited")
      assert.include(error.message, "killed")
    }).pipe(Effect.provide(world))
  )

  it.live("says in Anvil's words why it did not start", () =>
    Effect.gen(function* () {
      const first = yield* Anvil.make()
      const error = yield* Effect.flip(Anvil.make({ port: first.port }))
      assert.strictEqual(error.reason._tag, "StartFailed")
      assert.include(error.message, "in use")
      const wrong = yield* Effect.flip(Anvil.make({ args: ["--no-such-flag"] }))
      assert.include(wrong.message, "--no-such-flag")
    }).pipe(Effect.provide(world))
  )

  // What `kill -9` of the program means for Anvil: the pipe that it held is closed.
  it.live.skipIf(process.platform === "win32")("ends with the program, however that ends", () =>
    Effect.gen(function* () {
      const binary = yield* bundledBinary(process.platform, process.arch)
      const { args, command } = watcher(0)
      const parent = spawn(
        process.execPath,
        [
          "-e",
          `const { spawn } = require("node:child_process")
           const anvil = spawn(${JSON.stringify(binary)}, ["--port", "0"], { detached: true })
           const [option, script] = ${JSON.stringify(args)}
           spawn(${JSON.stringify(command)}, [option, script, String(anvil.pid)], { detached: true })
           anvil.stdout.on("data", (text) => /Listening/.test(text) && console.log(String(text).match(/Listening on .*:(\\d+)/)[1]))`
        ],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      const port = yield* Effect.callback<number>((resume) => {
        parent.stdout.once("data", (text) => resume(Effect.succeed(Number(text))))
      })
      assert.isTrue(yield* Anvil.isListening(port))
      parent.kill("SIGKILL")
      const survived = yield* Anvil.isListening(port).pipe(
        Effect.repeat({ schedule: Schedule.spaced("20 millis"), while: (listening) => listening, times: 250 })
      )
      assert.isFalse(survived)
    }).pipe(Effect.provide(world))
  )

  it.effect("says clearly that there is no binary", () =>
    Effect.gen(function* () {
      const unknown = yield* Effect.flip(bundledBinary("sunos", "x64"))
      assert.include(unknown.message, "there is no Anvil for sunos on x64")
      const elsewhere = process.platform === "darwin" ? "linux" : "darwin"
      const absent = yield* Effect.flip(bundledBinary(elsewhere, "arm64"))
      assert.include(absent.message, `@foundry-rs/anvil-${elsewhere}-arm64 is not installed`)
      assert.include(absent.message, "RPC_URL")
      const path = yield* Effect.flip(Anvil.make({ binary: "/nowhere/anvil" }))
      assert.include(path.message, "there is no Anvil at /nowhere/anvil")
    }).pipe(Effect.provide(world))
  )
})
