/**
 * The command line: `sluice` runs, `sluice config` shows what it would run with.
 *
 * Flags are made from the declarations of the settings, and are taken as plain text: whether a value is right is for
 * `Settings.resolve` to say, which reports everything that is wrong at once, flags and variables alike.
 *
 * **Exit codes**: 0 when all went well, 1 when something failed while running, 2 when settings or flags are wrong.
 * What is wrong has been printed by then, so `UsageError` carries its exit code and asks not to be reported again;
 * `NodeRuntime.runMain` honours both.
 */
import { Console, Effect, Option, Runtime, Schema, type Stdio } from "effect"
import { CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { all } from "./config/Declarations.ts"
import { Host } from "./config/Host.ts"
import { show } from "./config/Redaction.ts"
import { renderDefault, renderError, renderJson, renderTable } from "./config/Render.ts"
import { type Any, groups, summary } from "./config/Setting.ts"
import { type Resolved, Settings } from "./config/Settings.ts"

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

const withFlags = all.flatMap(([, setting]) =>
  setting.flag === undefined ? [] : [{ ...setting, flag: setting.flag }]
)

const settingFlag = (setting: Any & { readonly flag: string }): Flag.Flag<Option.Option<string>> => {
  const flag = Flag.String(setting.flag).pipe(
    Flag.withDescription(summary(setting.doc)),
    Flag.withMetavar(`<${setting.unit}>`)
  )
  // `--traffic` alone means true; its value, if any, has to be attached with `=`.
  return Flag.optional(setting.unit === "boolean" ? Flag.withOptionalValue(flag, "true") : flag)
}

const settingFlags = Object.fromEntries(withFlags.map((setting) => [setting.flag, settingFlag(setting)]))

const manual = "docs/configuration.md"

const examples = [
  ["sluice --profile=anvil --traffic", "a devnet of its own, with demo traffic"],
  ["RPC_URL=https://... DATABASE_URL=postgres://... sluice --profile=mainnet", "mainnet into PostgreSQL"],
  ["sluice --profile=sepolia --start-block=5000000 --end-block=5001000", "a range, then stop"],
  ["sluice config --profile=mainnet", "what it would run with, and why"]
] as const

const width = 100
const column = 32

/** Words of `text` in lines that end before `width`, each after the column of names. */
const wrap = (text: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && column + last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`
    } else lines.push(word)
  }
  return lines
}

/** Name and explanation; the explanation goes below a name that is too long for its column. */
const entry = (name: string, text: string): string => {
  const [first = "", ...rest] = wrap(text)
  const indent = " ".repeat(column)
  const head = `  ${name}`
  const start = head.length + 2 > column ? `${head}\n${indent}${first}` : `${head.padEnd(column)}${first}`
  return [start, ...rest.map((line) => `${indent}${line}`)].join("\n")
}

const flagEntry = (setting: Any & { readonly flag: string }): string => {
  const name =
    setting.unit === "boolean" ? `--${setting.flag}[=false]` : `--${setting.flag} <${setting.unit}>`
  const fallback = setting.default._tag === "Profile" ? "by profile" : renderDefault(setting)
  return entry(name, `${summary(setting.doc)} [${fallback}]`.replaceAll("`", ""))
}

const help = (bold: (text: string) => string, path: ReadonlyArray<string>): string => {
  const isConfig = path.at(-1) === "config"
  const section = (title: string, lines: ReadonlyArray<string>) => [bold(title), ...lines, ""]
  return [
    isConfig
      ? "Prints the settings that would hold, and where each came from. Secrets are not shown."
      : "Turns an EVM chain into SQL tables you can trust.",
    "",
    ...section(
      "Usage",
      isConfig
        ? ["  sluice config --profile=<anvil|sepolia|mainnet> [--json] [flags]"]
        : ["  sluice --profile=<anvil|sepolia|mainnet> [flags]", "  sluice config [--json] [flags]"]
    ),
    ...groups.flatMap((group) => {
      const flags = withFlags.filter((setting) => setting.group === group)
      return flags.length === 0 ? [] : section(group, flags.map(flagEntry))
    }),
    ...section("Other", [
      ...(isConfig ? [entry("--json", "For machines")] : []),
      entry("--help, -h", "This text"),
      entry("--version, -v", "The version"),
      entry("--completions <shell>", "A script for bash, zsh, fish or powershell")
    ]),
    ...section("Environment", [
      "  Each flag has a variable: --http-port is HTTP_PORT, --data-dir is SLUICE_DATA_DIR. A flag wins.",
      `  Keep URLs with keys in variables. ${manual} lists all settings, also those without a flag.`
    ]),
    ...section("Exit codes", [
      "  0  all went well",
      "  1  something failed while running",
      "  2  wrong settings or flags"
    ]),
    ...section(
      "Examples",
      examples.map(([command, what]) => `  # ${what}\n  ${command}`)
    )
  ]
    .join("\n")
    .trimEnd()
}

/** effect/cli quotes what was typed; what was typed may be a URL with a key in it. */
const explain = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption": {
      const meant = error.suggestions.length === 0 ? "" : `; did you mean ${error.suggestions.join(" or ")}?`
      return `unknown flag ${show(error.option, { secret: false })}${meant}`
    }
    case "UnknownSubcommand":
      return `unknown command ${show(error.subcommand, { secret: false })}; there is only config`
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

/**
 * The whole command line as one effect. Arguments come from `Stdio`; the environment is given, so that nothing
 * below reads it. `run` gets settings that are right; its errors pass through untouched. `resolved.warnings` are for
 * `run` to log; `sluice config` prints them itself.
 */
export const make = <E, R>(options: {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run: (resolved: Resolved) => Effect.Effect<void, E, R>
}): Effect.Effect<void, E | UsageError, R | Command.Environment | Stdio.Stdio> =>
  Effect.gen(function* () {
    const host = yield* Host
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const bold = (text: string) => (canColor ? `\u001b[1m${text}\u001b[0m` : text)

    const resolve = (flags: Readonly<Record<string, Option.Option<string>>>) =>
      Settings.resolve({
        flags: Object.fromEntries(
          Object.entries(flags).map(([name, text]) => [name, Option.getOrUndefined(text)])
        ),
        env: options.env,
        host
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
      {
        json: Flag.Boolean("json").pipe(
          Flag.withoutNegation,
          Flag.withDescription("For machines"),
          Flag.withDefault(false)
        )
      },
      Effect.fnUntraced(function* ({ json }) {
        const { flags } = yield* root
        const resolved = yield* resolve(flags)
        yield* Console.log(json ? renderJson(resolved) : renderTable(resolved))
        if (!json)
          yield* Effect.forEach(resolved.warnings, (warning) => Console.error(`\nwarning: ${warning}`))
      })
    ).pipe(Command.withDescription("Prints the settings that would hold, and where each came from"))

    return yield* root.pipe(
      Command.withHandler(({ flags }) => Effect.flatMap(resolve(flags), options.run)),
      Command.withSubcommands([config]),
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
