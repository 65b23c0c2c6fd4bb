/**
 * What `sluice --help` says, made from the declarations of the settings.
 */
import { all } from "./config/Declarations.ts"
import { renderDefault } from "./config/Render.ts"
import { type Any, groups, summary } from "./config/Setting.ts"

/** The settings that have a flag. */
export const withFlags = all.flatMap(([, setting]) =>
  setting.flag === undefined ? [] : [{ ...setting, flag: setting.flag }]
)

export const manual = "docs/configuration.md"

const examples = [
  ["sluice --profile=anvil --traffic", "a devnet of its own, with demo traffic"],
  ["RPC_URL=https://... DATABASE_URL=postgres://... sluice --profile=mainnet", "mainnet into PostgreSQL"],
  ["sluice --profile=sepolia --start-block=5000000 --end-block=5001000", "a range, then stop"],
  ["sluice config --profile=mainnet", "what it would run with, and why"],
  ["sluice verify --profile=mainnet --repair", "prove all that is stored again, and mend it"]
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

interface Described {
  /** What the first line of the help says. */
  readonly what: string
  readonly usage: ReadonlyArray<string>
  readonly flags: ReadonlyArray<readonly [name: string, text: string]>
}

const json = ["--json", "For machines"] as const
const range = [
  ["--from <block>", "First block to look at"],
  ["--to <block>", "Last block to look at, inclusive"]
] as const

const main: Described = {
  what: "Turns an EVM chain into SQL tables you can trust.",
  usage: [
    "sluice --profile=<anvil|sepolia|mainnet> [flags]",
    "sluice config [--json] [flags]",
    "sluice verify [--from=<block>] [--to=<block>] [--sample=<blocks>] [--repair] [--json] [flags]",
    "sluice gaps [--from=<block>] [--to=<block>] [--json] [flags]"
  ],
  flags: []
}

const commands: Readonly<Record<string, Described>> = {
  config: {
    what: "Prints the settings that would hold, and where each came from. Secrets are not shown.",
    usage: ["sluice config --profile=<anvil|sepolia|mainnet> [--json] [flags]"],
    flags: [json]
  },
  verify: {
    what: "Proves what is stored again, from its rows and against the chain. See docs/verify.md.",
    usage: main.usage.slice(2, 3),
    flags: [
      ...range,
      ["--sample <blocks>", "Random blocks to compare with the chain [100]"],
      ["--repair", "Fetch again what is damaged, and exchange it; needs that no other instance runs"],
      ["--json", "One JSON object a line, for machines"]
    ]
  },
  gaps: {
    what: "Lists the blocks that are missing from START_BLOCK to the highest one that is stored.",
    usage: main.usage.slice(3),
    flags: [...range, ["--json", "One JSON object a line, for machines"]]
  }
}

/** All commands but the main one, which has no name. */
export const commandNames = Object.keys(commands)

/** The help of the command that `path` ends with. */
export const help = (bold: (text: string) => string, path: ReadonlyArray<string>): string => {
  const { flags: own, usage, what } = commands[path.at(-1) ?? ""] ?? main
  const section = (title: string, lines: ReadonlyArray<string>) => [bold(title), ...lines, ""]
  return [
    what,
    "",
    ...section(
      "Usage",
      usage.map((line) => `  ${line}`)
    ),
    ...groups.flatMap((group) => {
      const flags = withFlags.filter((setting) => setting.group === group)
      return flags.length === 0 ? [] : section(group, flags.map(flagEntry))
    }),
    ...section("Other", [
      ...own.map(([name, text]) => entry(name, text)),
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
      "  1  something failed while running; verify or gaps found something",
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
