/**
 * Running totals of the four windows over entries by second and by minute.
 *
 * **Details**
 *
 * What is added is in every window at once; as time goes on, each window takes away the entries that it leaves behind.
 * `recount` adds up the entries anew, and has to come to the same.
 */
import { Buckets, type SavedBuckets } from "./Buckets.ts"
import { coarseReach, edge, fineReach, minute, minuteOf, windows } from "./Windows.ts"

/** Counts of an entry. */
const counts = 3

export interface SavedWindowed {
  readonly fine: SavedBuckets
  readonly coarse: SavedBuckets
}

export class Windowed {
  readonly fine: Buckets
  readonly coarse: Buckets
  private readonly both: ReadonlyArray<Buckets>
  private readonly coarseOnly: ReadonlyArray<Buckets>
  /** The levels whose newest entry is that of what happens now. */
  opened: ReadonlyArray<Buckets> = []
  private readonly sums: number
  /** When the totals hold; -1 where they have to be made anew. */
  private time = -1
  private readonly starts = windows.map(() => 0)
  private readonly counted = new Float64Array(windows.length * counts)
  private readonly summed: Array<bigint>

  /**
   * @param width Amounts of an entry.
   * @param sums How many of them, from the first on, are added up.
   */
  constructor(width: number, sums: number) {
    this.fine = new Buckets(width)
    this.coarse = new Buckets(width)
    this.both = [this.fine, this.coarse]
    this.coarseOnly = [this.coarse]
    this.sums = sums
    this.summed = windows.flatMap(() => Array.from({ length: sums }, () => 0n))
  }

  /** The entries that a window is made of. */
  level(window: number): Buckets {
    return windows[window]?.step === minute ? this.coarse : this.fine
  }

  /** The first entry inside the window. */
  start(window: number): number {
    return this.starts[window] ?? 0
  }

  count(window: number, which: number): number {
    return this.counted[window * counts + which] ?? 0
  }

  addCount(window: number, which: number, change: number): void {
    const at = window * counts + which
    this.counted[at] = (this.counted[at] ?? 0) + change
  }

  sum(window: number, which: number): bigint {
    return this.summed[window * this.sums + which] ?? 0n
  }

  private addSum(window: number, which: number, change: bigint): void {
    this.summed[window * this.sums + which] = this.sum(window, which) + change
  }

  /** Brings the totals to `time`, also back. */
  advance(time: number): void {
    if (time === this.time) return
    if (this.time < 0 || time < this.time) {
      this.refresh(time)
      return
    }
    this.time = time
    for (const [w, window] of windows.entries()) {
      const entries = this.level(w)
      const left = edge(window, time)
      let start = this.start(w)
      for (; start < entries.end && entries.time(start) <= left; start++) {
        for (let i = 0; i < counts; i++) this.addCount(w, i, -entries.count(start, i))
        for (let i = 0; i < this.sums; i++) this.addSum(w, i, -entries.amount(start, i))
      }
      this.starts[w] = start
    }
  }

  /** Makes ready for what happens at `time`, which is not before what happened last. */
  open(time: number): void {
    this.advance(time)
    this.fine.at(time)
    this.coarse.at(minuteOf(time))
    this.opened = this.both
  }

  /** The same for much at once: without totals, and without seconds that no window as of `floor` or later needs. */
  openBulk(time: number, floor: number): void {
    this.time = -1
    this.coarse.at(minuteOf(time))
    if (time > floor - fineReach) {
      this.fine.at(time)
      this.opened = this.both
    } else this.opened = this.coarseOnly
  }

  /** Counts in the newest entries and in all windows. */
  tally(which: number): void {
    for (const entries of this.opened) entries.addCount(entries.end - 1, which, 1)
    if (this.time < 0) return
    for (let w = 0; w < windows.length; w++) this.addCount(w, which, 1)
  }

  /** Adds to the newest entries and to all windows. */
  add(which: number, value: bigint): void {
    for (const entries of this.opened) {
      entries.setAmount(entries.end - 1, which, entries.amount(entries.end - 1, which) + value)
    }
    if (this.time < 0) return
    for (let w = 0; w < windows.length; w++) this.addSum(w, which, value)
  }

  /** Lets go of what no window as of `floor` or later needs. */
  forget(floor: number): void {
    this.fine.forget(floor - fineReach)
    this.coarse.forget(minuteOf(floor - coarseReach))
  }

  save(): SavedWindowed {
    return { fine: this.fine.save(), coarse: this.coarse.save() }
  }

  restore({ coarse, fine }: SavedWindowed): void {
    this.fine.restore(fine)
    this.coarse.restore(coarse)
    this.time = -1
  }

  /** One total of one window, from the entries alone. */
  recount(window: number, time: number, which: number): number {
    const entries = this.level(window)
    let count = 0
    for (let entry = this.startAt(window, time); entry < entries.end; entry++)
      count += entries.count(entry, which)
    return count
  }

  resum(window: number, time: number, which: number): bigint {
    const entries = this.level(window)
    let sum = 0n
    for (let entry = this.startAt(window, time); entry < entries.end; entry++)
      sum += entries.amount(entry, which)
    return sum
  }

  private startAt(w: number, time: number): number {
    const window = windows[w]
    return window === undefined ? 0 : this.level(w).after(edge(window, time))
  }

  private refresh(time: number): void {
    this.time = time
    for (let w = 0; w < windows.length; w++) {
      this.starts[w] = this.startAt(w, time)
      for (let i = 0; i < counts; i++) this.counted[w * counts + i] = this.recount(w, time, i)
      for (let i = 0; i < this.sums; i++) this.summed[w * this.sums + i] = this.resum(w, time, i)
    }
  }
}
