/**
 * Makes the program `dist/main.js`, a part of `npm run build`: all that it loads at the start in a few files, since
 * Node needs half a second to find and read its 850 modules one by one. The library in `dist` stays modules, for the
 * bundler of who embeds it.
 */
import { build } from "rolldown"

await build({
  input: "src/main.ts",
  platform: "node",
  // It looks for files beside its own modules.
  external: /^@electric-sql\/pglite/,
  output: { dir: "dist", chunkFileNames: "chunks/[name].js" }
})
