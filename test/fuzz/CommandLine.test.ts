/**
 * Hostile arguments: the exit code is 0 or 2, nothing runs that was not asked for, and what is said has no stack, no
 * secret and nothing that a terminal would obey. A few of them go to the program as its own process.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Runtime, Stdio } from "effect"
import { TestConsole } from "effect/testing"
import * as Cli from "../../src/Cli.ts"
import { all } from "../../src/config/Declarations.ts"
import { Host } from "../../src/config/Host.ts"
import { host } from "../config/support.ts"
import * as Program from "../support/Program.ts"
import * as Campaign from "./Campaign.ts"

const key = "S3CR3TK3Y"

const flags = all.flatMap(([, { flag }]) => (flag === undefined ? [] : [flag]))

const args: ReadonlyArray<string> = [
  "",
  " ",
  "-",
  "--",
  "---",
  "--=",
  "--=x",
  "-=",
  "-x",
  "-hv",
  "-h=1",
  "--help=x",
  "--version=1",
  "--no-help",
  "config",
  "config=1",
  "CONFIG",
  "confg",
  "help",
  "start",
  "run",
  "--json",
  "--no-json",
  "--json=x",
  "--completions",
  "--completions=bash",
  "--completions=evil",
  "--wizard",
  "--__proto__",
  "--__proto__=x",
  "--constructor=x",
  "--toString",
  "--profile",
  "--profile=",
  "--profile= ",
  "--profile=anvil",
  "--profile=mainnet",
  "--PROFILE=anvil",
  "-profile=anvil",
  "--profile=anvil=x",
  "--profile\u0000=anvil",
  "--pro\u001b[2Jfile",
  "\u001b[31m",
  "line\nfeed",
  "\u202e",
  "\ud800",
  "😀",
  "x".repeat(100_000),
  `--${"y".repeat(100_000)}`,
  `--profile=${"z".repeat(100_000)}`,
  `https://a/${key}`,
  `--rpc-url=https://a/${key}`,
  `--rpc-url=ftp://a/${key}`,
  `--rpcurl=https://u:${key}@a/`,
  `--ws-url=https://a/${key}`,
  `--database-url=redis://:${key}@h`,
  `--http-host=https://a/${key}`,
  `https:/${key}`,
  `--https://a/${key}`,
  ...flags.flatMap((flag) => [
    `--${flag}`,
    `--${flag}=`,
    `--${flag}=-1`,
    `--${flag}=\u001b[2J`,
    `--no-${flag}`,
    `--${flag.slice(0, -1)}=1`
  ])
]

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

const nothing = () => Effect.void

const invoke = (given: ReadonlyArray<string>): Effect.Effect<Said | string> =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(
      Cli.make({ version: "1.2.3", env: {}, run: nothing, verify: nothing, gaps: nothing })
    )
    const out = (yield* TestConsole.logLines).join("\n")
    const err = (yield* TestConsole.errorLines).join("\n")
    if (Exit.isSuccess(exit)) return { code: 0, out, err }
    const [reason] = exit.cause.reasons
    return reason?._tag === "Fail"
      ? { code: Runtime.getErrorExitCode(reason.error), out, err }
      : `it died: ${exit.cause}`
  }).pipe(
    Effect.provide([
      Stdio.layerTest({ args: Effect.succeed(given) }).pipe(Layer.provideMerge(NodeServices.layer)),
      Layer.fresh(TestConsole.layer),
      Layer.succeed(Host, host)
    ])
  )

const complaint = ({ code, err, out }: Said): string | undefined => {
  if (code !== 0 && code !== 2) return `the exit code ${code}`
  if (code === 2 && (err === "" || out !== "")) return "it does not say what is wrong, where errors are said"
  const text = `${out}\n${err}`
  if (text.includes(key)) return `it names the key: ${err.slice(0, 300)}`
  if (/[^\P{Cc}\n\t]|[\u2028\u2029]/u.test(err))
    return `it would be obeyed: ${JSON.stringify(err).slice(0, 300)}`
  if (err.length > 20_000) return `it has ${err.length} letters`
  return /^ {2,}at |node_modules|\bundefined\b|\[object/m.test(err)
    ? `it is not for people: ${err.slice(0, 300)}`
    : undefined
}

type Run = readonly [given: ReadonlyArray<string>, env: Record<string, string>, code: number]

const slow: ReadonlyArray<Run> = [
  [["--profile=anvil", "--http-host=256.256.256.256"], { RPC_URL: `http://127.0.0.1:1/${key}` }, 1],
  [["--profile=anvil", "--data-dir=/proc/nothing"], { RPC_URL: `http://127.0.0.1:1/${key}` }, 1]
]

const processes: ReadonlyArray<Run> = [
  [["--profile=x", "--end-block=y", `--rpc-url=ftp://u:${key}@a`], { BATCH_SIZE: "-1" }, 2],
  [["--__proto__=x", "\u001b[2J"], {}, 2],
  [["--profile=mainnet"], { RPC_URL: `https:/${key}`, DATABASE_URL: `postgres//u:${key}@db` }, 2],
  [["config", "--profile=anvil"], { RPC_URL: `http://a/${key}`, SLUICE_X: key, HTTP_PROT: "1" }, 0],
  // These end when they have tried, which takes seconds.
  ...(Campaign.isLarge ? slow : [])
]

describe("the command line", () => {
  it.effect(
    "arguments",
    () =>
      Campaign.test({
        name: "arguments",
        singles: args.length,
        single: (n) => args[n] ?? "",
        small: { singles: args.length, mixtures: 100 },
        draw: (r) => args[r.int(args.length)] ?? "",
        show: (text) => JSON.stringify(text.slice(0, 100)),
        judge: (given) =>
          Effect.map(invoke(given), (said) => (typeof said === "string" ? said : complaint(said)))
      }),
    Campaign.limit
  )

  it.live.each(processes)("as a process: %j %j ends with %d", ([given, env, code]) =>
    Effect.gen(function* () {
      const dataDir = yield* Program.dataDir
      const program = yield* Program.start(given, { SLUICE_DATA_DIR: dataDir, ...env })
      const exit = yield* program.exited
      const text = program.output()
      assert.deepStrictEqual(exit, { code, signal: null }, text)
      assert.notInclude(text, key)
      assert.notMatch(text, /^ +at |node:internal|\bundefined\b/m)
      assert.notInclude(text, "\u001b[2J")
      assert.isBelow(text.length, 20_000)
    }).pipe(Effect.scoped)
  )
})
