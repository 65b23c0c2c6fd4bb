/** The tests that start Sluice as a process need it built; the compiler takes less than a second. */
import { execFileSync } from "node:child_process"

export const setup = (): void => {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    stdio: "inherit"
  })
}
