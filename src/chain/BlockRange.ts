/**
 * A closed range of block numbers, `from` and `to` both inside: what JSON-RPC and people mean by a range.
 */

export interface BlockRange {
  readonly from: number
  readonly to: number
}

export const make = (from: number, to: number): BlockRange => ({ from, to })

/** Number of blocks, 0 when `to` is below `from`. */
export const size = (range: BlockRange): number => Math.max(0, range.to - range.from + 1)

export const contains = (range: BlockRange, number: number): boolean =>
  number >= range.from && number <= range.to

/**
 * What is left of `range` after `taken` (in any order, overlaps allowed) is cut out, in ascending order.
 */
export const subtract = (range: BlockRange, taken: ReadonlyArray<BlockRange>): ReadonlyArray<BlockRange> => {
  const rest: Array<BlockRange> = []
  let from = range.from
  for (const cut of [...taken].sort((a, b) => a.from - b.from)) {
    if (cut.to < from) continue
    if (cut.from > range.to) break
    if (cut.from > from) rest.push({ from, to: cut.from - 1 })
    from = cut.to + 1
  }
  if (from <= range.to) rest.push({ from, to: range.to })
  return rest
}

/** `ranges` (ascending, disjoint) with one more, overlapping and adjacent ones merged. */
export const add = (ranges: ReadonlyArray<BlockRange>, more: BlockRange): ReadonlyArray<BlockRange> => {
  let { from, to } = more
  const below: Array<BlockRange> = []
  const above: Array<BlockRange> = []
  for (const range of ranges) {
    if (range.to < from - 1) below.push(range)
    else if (range.from > to + 1) above.push(range)
    else {
      from = Math.min(from, range.from)
      to = Math.max(to, range.to)
    }
  }
  return [...below, { from, to }, ...above]
}
