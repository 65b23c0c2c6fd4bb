/**
 * Loads the campaign straight from its TypeScript, as it is or with deliberate bugs in it.
 */
import { fileURLToPath } from "node:url"
import { createServer, createServerModuleRunner } from "vite"

const root = fileURLToPath(new URL("../..", import.meta.url))

export async function open() {
  let edits = []
  const unfound = []
  const mutate = {
    name: "mutate",
    transform(code, id) {
      let changed = code
      for (const { file, find, replace } of edits.filter(({ file }) => id.endsWith(`/src/${file}`))) {
        const parts = changed.split(find)
        if (parts.length === 2) changed = parts.join(replace)
        else unfound.push(`${file}: ${parts.length - 1} times: ${find}`)
      }
      return changed === code ? undefined : { code: changed, map: null }
    }
  }
  const server = await createServer({
    root,
    configFile: false,
    logLevel: "error",
    plugins: [{ ...mutate, enforce: "pre" }],
    server: { middlewareMode: true, watch: null, ws: false, hmr: false },
    optimizeDeps: { noDiscovery: true }
  })
  const { ssr } = server.environments
  const invalidate = () => {
    for (const { file } of edits) {
      for (const module of ssr.moduleGraph.getModulesByFile(`${root}src/${file}`) ?? []) {
        ssr.moduleGraph.invalidateModule(module)
      }
    }
  }
  return {
    /** A fresh instance of all modules, with these changes of text below `src`; `use` gets what `path` exports. */
    async withModule(path, changes, use) {
      invalidate()
      edits = changes
      invalidate()
      const runner = createServerModuleRunner(ssr)
      try {
        const module = await runner.import(path)
        if (unfound.length > 0)
          throw new Error(`text to change is not there once: ${unfound.splice(0).join("; ")}`)
        return await use(module)
      } finally {
        await runner.close()
      }
    },
    close: () => server.close()
  }
}
