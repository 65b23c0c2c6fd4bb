/**
 * Which blocks are committed, as PostgreSQL's multiranges and as ours.
 *
 * **Gotchas**: a multirange is written with an open end, `[10,20)`, where a `BlockRange` is closed.
 */
import type { CoverageLevel } from "../chain/Block.ts"
import type { BlockRange } from "../chain/BlockRange.ts"

interface Numbered {
  readonly number: number
}

/** Runs of adjacent numbers; `blocks` ascend. */
export const runs = (blocks: ReadonlyArray<Numbered>): ReadonlyArray<BlockRange> => {
  const found: Array<BlockRange> = []
  for (const { number } of blocks) {
    const last = found.at(-1)
    if (last !== undefined && number === last.to + 1)
      found[found.length - 1] = { from: last.from, to: number }
    else found.push({ from: number, to: number })
  }
  return found
}

/** The numbers of these blocks as the text of an `int8multirange`. */
export const multirange = (blocks: ReadonlyArray<Numbered>): string => text(runs(blocks))

/** What a commit covers, by level, each as the text of an `int8multirange`. */
export const byLevel = (
  blocks: ReadonlyArray<Numbered & { readonly coverage: CoverageLevel }>,
  pages: ReadonlyArray<{ readonly range: BlockRange }> = []
): Readonly<Record<CoverageLevel, string>> => {
  const of = (level: CoverageLevel) => runs(blocks.filter(({ coverage }) => coverage === level))
  return {
    proven: text(of("proven")),
    linked: text(of("linked")),
    events: text([...of("events"), ...pages.map(({ range }) => range)])
  }
}

/** Ranges as the text of an `int8multirange`. */
export const text = (ranges: ReadonlyArray<BlockRange>): string =>
  `{${ranges.map(({ from, to }) => `[${from},${to + 1})`).join(",")}}`

export const parse = (text: string): ReadonlyArray<BlockRange> =>
  [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, from, end]) => ({ from: Number(from), to: Number(end) - 1 }))

/** The lowest number in it. */
export const firstOf = (text: string): number | undefined => parse(text)[0]?.from
