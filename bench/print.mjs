/** A bench talks to whoever started it, not to a log. @param {string} line */
export const print = (line) => {
  process.stdout.write(`${line}\n`)
}

/** For what must not get into `--json` output. @param {string} line */
export const note = (line) => {
  process.stderr.write(`${line}\n`)
}
