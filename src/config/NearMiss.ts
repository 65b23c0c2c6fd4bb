/**
 * Variables that look as if they were meant for Sluice and are not known to it. A misspelt setting is otherwise
 * silent: its default holds, and nobody sees why.
 *
 * Only names are looked at and only names are repeated, never values.
 */
import { show } from "./Redaction.ts"

/** Levenshtein's distance: insertions, deletions and replacements that turn `a` into `b`. */
export const distance = (a: string, b: string): number => {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    above = row
  }
  return above[b.length] ?? a.length
}

/** Short names are too near to too many others: `WS_URL` and somebody's `DB_URL` differ in two letters. */
const tolerance = (name: string): number => (name.length < 6 ? 0 : name.length < 9 ? 1 : 2)

/** Whatever is farther apart in length is so in letters; the environment may hold names of any length. */
const isNear = (name: string, candidate: string): boolean =>
  Math.abs(name.length - candidate.length) <= tolerance(candidate)

const nearest = (name: string, known: ReadonlyArray<string>): string | undefined =>
  known
    .filter((candidate) => isNear(name, candidate))
    .map((candidate): readonly [string, number] => [candidate, distance(name, candidate)])
    .filter(([candidate, far]) => far <= tolerance(candidate))
    .sort(([, a], [, b]) => a - b)[0]?.[0]

const prefix = "SLUICE_"

/** One sentence for each suspicious variable that is set. */
export const nearMisses = (
  env: Readonly<Record<string, string | undefined>>,
  known: ReadonlyArray<string>
): ReadonlyArray<string> =>
  Object.keys(env)
    .filter((name) => !known.includes(name) && env[name]?.trim())
    .sort()
    .flatMap((name) => {
      const ours = name.startsWith(prefix)
      const bare = ours ? name.slice(prefix.length) : name
      const meant = known.includes(bare) ? bare : (nearest(name, known) ?? nearest(bare, known))
      const shown = show(name, { secret: false })
      if (meant !== undefined) return [`${shown} is not a setting and has no effect; did you mean ${meant}?`]
      return ours ? [`${shown} is not a setting and has no effect`] : []
    })
