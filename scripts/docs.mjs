/**
 * Writes the generated parts of the documentation; `npm run docs` builds first. A test fails while a committed file
 * differs from what this would write.
 */
import { readFile, writeFile } from "node:fs/promises"
import * as Configuration from "../dist/config/Render.js"
import * as Metrics from "../dist/flow/MetricsDoc.js"
import * as Tables from "../dist/store/TablesDoc.js"

const pages = {
  "docs/configuration.md": Configuration,
  "docs/operations.md": Metrics,
  "docs/tables.md": Tables
}

for (const [name, { replaceGenerated }] of Object.entries(pages)) {
  const file = new URL(`../${name}`, import.meta.url)
  const written = replaceGenerated(await readFile(file, "utf8"))
  if (written === undefined) {
    process.stderr.write(`${name} has lost its markers\n`)
    process.exitCode = 1
  } else {
    await writeFile(file, written)
  }
}
