/**
 * Writes the generated part of docs/configuration.md; `npm run docs` builds first. A test fails while the committed
 * file differs from what this would write.
 */
import { readFile, writeFile } from "node:fs/promises"
import { replaceGenerated } from "../dist/config/Render.js"

const file = new URL("../docs/configuration.md", import.meta.url)
const written = replaceGenerated(await readFile(file, "utf8"))
if (written === undefined) {
  process.stderr.write("docs/configuration.md has lost its markers\n")
  process.exitCode = 1
} else {
  await writeFile(file, written)
}
