import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Ref, Result, Runtime, Schema, Stdio } from "effect"
import { TestConsole } from "effect/testing"
import * as Cli from "../../src/Cli.ts"
import { Host } from "../../src/config/Host.ts"
import type { Resolved } from "../../src/config/Settings.ts"
import type { Range, VerifyFlags } from "../../src/Maintenance.ts"
import { host } from "./support.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

/** What a command line does: exit code, both outputs, and what it would have run with. */
const invoke = (
  args: ReadonlyArray<string>,
  env: Record<string, string | undefined> = {},
  run: Effect.Effect<void, Broken> = Effect.void
) =>
  Effect.gen(function* () {
    const ran = yield* Ref.make<Resolved | undefined>(undefined)
    const asked = yield* Ref.make<Range | VerifyFlags | undefined>(undefined)
    const result = yield* Effect.result(
      Cli.make({
        version: "1.2.3",
        env,
        run: (resolved) => Effect.andThen(Ref.set(ran, resolved), run),
        verify: (resolved, flags) => Effect.andThen(Ref.set(ran, resolved), Ref.set(asked, flags)),
        gaps: (resolved, flags) => Effect.andThen(Ref.set(ran, resolved), Ref.set(asked, flags))
      })
    )
    return {
      code: Result.isSuccess(result) ? 0 : Runtime.getErrorExitCode(result.failure),
      reported: Result.isSuccess(result) || Runtime.getErrorReported(result.failure),
      out: (yield* TestConsole.logLines).join("\n"),
      err: (yield* TestConsole.errorLines).join("\n"),
      ran: yield* Ref.get(ran),
      asked: yield* Ref.get(asked)
    }
  }).pipe(
    Effect.provide([
      Stdio.layerTest({ args: Effect.succeed(args) }).pipe(Layer.provideMerge(NodeServices.layer)),
      TestConsole.layer,
      Layer.succeed(Host, host)
    ])
  )

it.effect("runs with flags over variables", () =>
  Effect.gen(function* () {
    const { code, err, out, ran } = yield* invoke(
      ["--profile=anvil", "--http-port", "0", "--traffic", "--batch-size=1_000"],
      { HTTP_PORT: "9", LOG_LEVEL: "debug" }
    )
    expect([code, out, err]).toEqual([0, "", ""])
    expect(ran?.settings).toMatchObject({ httpPort: 0, traffic: true, batchSize: 1000, logLevel: "Debug" })
  })
)

it.effect("takes a switch back with =false, and our own log level", () =>
  Effect.gen(function* () {
    const { ran } = yield* invoke(["--traffic=false", "--log-level=WARN"], { PROFILE: "anvil", TRAFFIC: "1" })
    expect(ran?.settings).toMatchObject({ traffic: false, logLevel: "Warn" })
  })
)

it.effect("a failure while running passes through, for the runtime to report with exit code 1", () =>
  Effect.gen(function* () {
    const { code, reported } = yield* invoke(["--profile=anvil"], {}, Effect.fail(new Broken()))
    expect([code, reported]).toEqual([1, true])
  })
)

describe("config", () => {
  it.effect("prints the table, and warnings beside it", () =>
    Effect.gen(function* () {
      const result = yield* invoke(["config", "--profile=sepolia"], {
        RPC_URL: "https://eth.example.com/S3CR3T",
        RPC_URLS: "x"
      })
      expect([result.code, result.ran]).toEqual([0, undefined])
      expect(result.out).toMatch(/^ {2}PROFILE +flag +sepolia$/m)
      expect(result.out).toMatch(/^ {2}RPC_URL +env +https:\/\/eth\.example\.com\/…$/m)
      expect(result.out).toMatch(/^ {2}CONCURRENCY +profile +10$/m)
      expect(result.err).toContain("did you mean RPC_URL?")
    })
  )

  it.effect("takes its flags before and after its name", () =>
    Effect.gen(function* () {
      const { out } = yield* invoke(["--profile=anvil", "config", "--concurrency=3", "--json"])
      expect(JSON.parse(out)).toMatchObject({
        settings: {
          profile: { value: "anvil", origin: "flag" },
          concurrency: { value: "3", origin: "flag", env: "CONCURRENCY", flag: "concurrency", secret: false }
        },
        warnings: []
      })
    })
  )
})

describe("verify and gaps", () => {
  it.effect("take a range, and need no provider", () =>
    Effect.gen(function* () {
      const verify = yield* invoke(["verify", "--profile=mainnet", "--from=5", "--sample", "0", "--repair"])
      expect([verify.code, verify.err]).toEqual([0, ""])
      expect(verify.ran?.settings.rpcUrls).toEqual([])
      expect(verify.asked).toEqual({ from: 5, to: undefined, sample: 0, repair: true, json: false })
      const gaps = yield* invoke(["--profile=mainnet", "gaps", "--to=9", "--json"])
      expect([gaps.code, gaps.err]).toEqual([0, ""])
      expect(gaps.asked).toEqual({ from: undefined, to: 9, json: true })
    })
  )
})

describe("what is wrong is said on standard error, with exit code 2 and no stack", () => {
  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, said: ReadonlyArray<string>]> = [
    [[], ["PROFILE (or --profile)", "one of anvil, sepolia, mainnet"]],
    [
      ["--profile=x", "--end-block=y"],
      ["2 settings are wrong", "--profile", "--end-block"]
    ],
    [["config", "--profile=mainnet"], ["RPC_URL (or --rpc-url)"]],
    [["--htp-port=1"], ["unknown flag --htp-port; did you mean --http-port?"]],
    [["start"], ["unknown command start; there are config, verify, gaps"]],
    [
      ["verify", "--profile=anvil", "--from=-1"],
      ["--from", "not below 0"]
    ],
    [["gaps", "--profile=anvil", "--to=x"], ["--to"]],
    [["https://eth.example.com/S3CR3T"], ["unknown command https://eth.example.com/…"]],
    [["config", "https://eth.example.com/S3CR3T"], ["unexpected argument https://eth.example.com/…"]],
    [["--profile"], ["--profile needs a value"]],
    [["--rpc-url=https://a/S3CR3T", "--rpc-url=https://b/S3CR3T"], ["--rpc-url: expected at most 1 value"]],
    [["config", "--json=S3CR3T"], ["--json"]],
    [["config", "--no-json=https://a/S3CR3T"], ["unknown flag --no-json"]],
    [["--profile=anvil", "--", "S3CR3T"], ["unexpected argument"]]
  ]

  it.effect.each(cases)("%j", ([args, said]) =>
    Effect.gen(function* () {
      const result = yield* invoke(args)
      expect([result.code, result.reported, result.out, result.ran]).toEqual([2, false, "", undefined])
      for (const part of said) expect(result.err).toContain(part)
      expect(result.err).toContain("sluice --help")
      expect(result.err).not.toContain("    at ")
      expect(result.err).not.toContain("://a/S3CR3T")
    })
  )
})

it.effect.each<readonly [ReadonlyArray<string>]>([
  [["--help"]],
  [["-h"]],
  [["config", "--help"]],
  [["verify", "--help"]],
  [["gaps", "--help"]],
  [["--bogus", "--help"]]
])("%j helps", ([args]) =>
  Effect.gen(function* () {
    const { code, err, out } = yield* invoke(args)
    expect([code, err]).toEqual([0, ""])
    for (const part of ["Usage", "--rpc-url <URLs>", "HTTP_PORT", "Exit codes", "Examples"]) {
      expect(out).toContain(part)
    }
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(104)
  })
)

it.effect("--version", () =>
  Effect.gen(function* () {
    const { code, out } = yield* invoke(["--version"])
    expect([code, out]).toEqual([0, "sluice 1.2.3"])
  })
)
