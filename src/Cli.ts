/**
 * The command line: `sluice` runs, `sluice config` shows what it would run with, `sluice verify` and `sluice gaps` look
 * at what is stored.
 *
 * Flags are made from the declarations of the settings, and are taken as plain text: whether a value is right is for
 * `Settings.resolve` to say, which reports everything that is wrong at once, flags and variables alike.
 *
 * **Exit codes**: 0 when all went well, 1 when something failed while running or an audit found something, 2 when settings or flags are wrong.
 * What is wrong has been printed by then, so `UsageError` carries its exit code and asks not to be reported again;
 * `NodeRuntime.runMain` honours both.
 */
import { Console, Effect, Option, Runtime, Schema, type Stdio } from "effect"
import { CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { commandNames, help, manual, withFlags } from "./CliHelp.ts"
import { Host } from "./config/Host.ts"
import { show } from "./config/Redaction.ts"
import { renderError, renderJson, renderTable } from "./config/Render.ts"
import { type Any, summary } from "./config/Setting.ts"
import { type Resolved, Settings } from "./config/Settings.ts"
import type { Range, VerifyFlags } from "./Maintenance.ts"

/** The command line or the settings were wrong, and this has been said. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  detail: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 2
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    return this.detail
  }
}

export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const

const settingFlag = (setting: Any & { readonly flag: string }): Flag.Flag<Option.Option<string>> => {
  const flag = Flag.String(setting.flag).pipe(
    Flag.withDescription(summary(setting.doc)),
    Flag.withMetavar(`<${setting.unit}>`)
  )
  // `--traffic` alone means true; its value, if any, has to be attached with `=`.
  return Flag.optional(setting.unit === "boolean" ? Flag.withOptionalValue(flag, "true") : flag)
}

const settingFlags = Object.fromEntries(withFlags.map((setting) => [setting.flag, settingFlag(setting)]))

/** effect/cli quotes what was typed; what was typed may be a URL with a key in it. */
const explain = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption": {
      const meant = error.suggestions.length === 0 ? "" : `; did you mean ${error.suggestions.join(" or ")}?`
      return `unknown flag ${show(error.option, { secret: false })}${meant}`
    }
    case "UnknownSubcommand":
      return `unknown command ${show(error.subcommand, { secret: false })}; there are ${commandNames.join(", ")}`
    case "UnexpectedArgument":
      return `unexpected argument ${error.arguments.map((text) => show(text, { secret: false })).join(" ")}`
    case "InvalidValue":
      return error.value === ""
        ? `--${error.option} needs a value`
        : `--${error.option}: expected ${show(error.expected, { secret: false })}, given ${show(error.value, { secret: false })}`
    default:
      return show(error.message, { secret: false })
  }
}

const presenter = (bold: (text: string) => string): CliOutput.Presenter => ({
  present: (event) => {
    switch (event._tag) {
      case "Help":
        return Console.log(help(bold, event.commandPath))
      case "Version":
        return Console.log(`${event.name} ${event.version}`)
      case "InvalidInvocation":
        return Console.error(
          [...new Set(event.errors.map(explain)), "Run sluice --help for the flags."].join("\n")
        )
    }
  }
})

const switchFlag = (name: string, text: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDescription(text), Flag.withDefault(false))

const blockFlag = (name: string, text: string): Flag.Flag<number> =>
  Flag.Int(name).pipe(
    Flag.withDescription(text),
    Flag.filter(
      (value) => value >= 0 && Number.isSafeInteger(value),
      () => "not below 0"
    )
  )

const rangeFlags = {
  from: Flag.optional(blockFlag("from", "First block to look at")),
  to: Flag.optional(blockFlag("to", "Last block to look at, inclusive")),
  json: switchFlag("json", "For machines")
}

const plain = ({
  from,
  to
}: {
  readonly from: Option.Option<number>
  readonly to: Option.Option<number>
}) => ({
  from: Option.getOrUndefined(from),
  to: Option.getOrUndefined(to)
})

/**
 * The whole command line as one effect. Arguments come from `Stdio`; the environment is given, so that nothing
 * below reads it. `run` gets settings that are right; its errors pass through untouched. `resolved.warnings` are for
 * `run` to log; `sluice config` prints them itself.
 */
export const make = <E, R>(options: {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run: (resolved: Resolved) => Effect.Effect<void, E, R>
  readonly verify: (resolved: Resolved, flags: VerifyFlags) => Effect.Effect<void, E, R>
  readonly gaps: (resolved: Resolved, flags: Range) => Effect.Effect<void, E, R>
}): Effect.Effect<void, E | UsageError, R | Command.Environment | Stdio.Stdio> =>
  Effect.gen(function* () {
    const host = yield* Host
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const bold = (text: string) => (canColor ? `\u001b[1m${text}\u001b[0m` : text)

    const resolve = (flags: Readonly<Record<string, Option.Option<string>>>, needsChain = true) =>
      Settings.resolve({
        flags: Object.fromEntries(
          Object.entries(flags).map(([name, text]) => [name, Option.getOrUndefined(text)])
        ),
        env: options.env,
        host,
        needsChain
      }).pipe(
        Effect.catchTag("SettingsError", (error) =>
          Effect.andThen(
            Console.error(`${renderError(error)}\n\nRun sluice --help for the flags, or read ${manual}.`),
            Effect.fail(new UsageError({ detail: "wrong settings" }))
          )
        )
      )

    const root = Command.make("sluice").pipe(
      Command.withSharedFlags({ flags: settingFlags }),
      Command.withDescription("Turns an EVM chain into SQL tables you can trust")
    )
    const config = Command.make(
      "config",
      { json: switchFlag("json", "For machines") },
      Effect.fnUntraced(function* ({ json }) {
        const { flags } = yield* root
        const resolved = yield* resolve(flags)
        yield* Console.log(json ? renderJson(resolved) : renderTable(resolved))
        if (!json)
          yield* Effect.forEach(resolved.warnings, (warning) => Console.error(`\nwarning: ${warning}`))
      })
    ).pipe(Command.withDescription("Prints the settings that would hold, and where each came from"))

    const verify = Command.make(
      "verify",
      {
        ...rangeFlags,
        sample: blockFlag("sample", "Random blocks to compare with the chain").pipe(Flag.withDefault(100)),
        repair: switchFlag("repair", "Fetch again what is damaged, and exchange it")
      },
      Effect.fnUntraced(function* (given) {
        const { flags } = yield* root
        yield* options.verify(yield* resolve(flags, false), { ...given, ...plain(given) })
      })
    ).pipe(Command.withDescription("Proves what is stored again"))
    const gaps = Command.make(
      "gaps",
      rangeFlags,
      Effect.fnUntraced(function* (given) {
        const { flags } = yield* root
        yield* options.gaps(yield* resolve(flags, false), { ...given, ...plain(given) })
      })
    ).pipe(Command.withDescription("Lists the blocks that are missing"))

    return yield* root.pipe(
      Command.withHandler(({ flags }) => Effect.flatMap(resolve(flags), options.run)),
      Command.withSubcommands([config, verify, gaps]),
      Command.run({ version: options.version }),
      Effect.catchIf(CliError.isCliError, () => Effect.fail(new UsageError({ detail: "wrong flags" }))),
      Effect.provideService(CliOutput.Presenter, presenter(bold)),
      // Its own --log-level would collide with ours; a wizard over thirty flags helps nobody.
      Effect.provideService(
        CliConfig.CliConfig,
        CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
      )
    )
  })
