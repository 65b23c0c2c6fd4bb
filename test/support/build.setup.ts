/** The tests that start Sluice as a process need it built, which takes two seconds. */
import { execSync } from "node:child_process"

export const setup = (): void => {
  execSync("npm run --silent build", { stdio: "inherit" })
}
