import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { describe, expect, it } from "vitest"

/** From the roof to the ground: a file imports from its own floor or from below. */
const floors = [
  "main.ts",
  "index.ts",
  "Cli.ts",
  "CliHelp.ts",
  "Maintenance.ts",
  "Progress.ts",
  "Telemetry.ts",
  "Sluice.ts",
  "api",
  "audit",
  "flow",
  "tokens",
  "cluster",
  "source",
  "handlers",
  "store",
  "delivery",
  "devnet",
  "events",
  "rpc",
  "config",
  "columns",
  "chain",
  "Version.ts"
]

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))

const floorOf = (file: string): number => floors.indexOf(file.split("/")[0] ?? "")

const importsOf = (file: string): ReadonlyArray<string> =>
  [...readFileSync(join("src", file), "utf8").matchAll(/from "(\.[^"]+)"/g)].map(([, path]) =>
    normalize(join(dirname(file), path ?? ""))
  )

/** Without comments. */
const codeOf = (file: string): string =>
  readFileSync(join("src", file), "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "")

describe("the house", () => {
  it("has a floor for every file", () => {
    expect(files.filter((file) => floorOf(file) < 0)).toEqual([])
  })

  it("no file imports upward", () => {
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => floorOf(target) < floorOf(file))
        .map((target) => `${file} -> ${target}`)
    )
    expect(upward).toEqual([])
  })

  it("process, console and the clock are left to the edges", () => {
    const allowed = new Set(["main.ts", "config/Host.ts"])
    const direct = /\bconsole\.|process\.(exit|on|env)\b|Date\.now\(|Math\.random\(|(?<!\.)setTimeout\(/
    const found = files.filter((file) => !allowed.has(file)).filter((file) => direct.test(codeOf(file)))
    expect(found).toEqual([])
  })
})
