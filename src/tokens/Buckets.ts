/**
 * What happened to one token, by second or by minute: entries in the order of time, added at the end and let go of at
 * the beginning.
 *
 * **Details**
 *
 * An entry is its time and three counts in one typed array, and some amounts in an array of bigints. Entries have
 * numbers that stay the same while older ones go, so that a window can remember where it begins.
 */

/** Numbers of an entry: its time, then three counts. */
const stride = 4

export class Buckets {
  private readonly width: number
  private numbers = new Uint32Array(2 * stride)
  private amounts: Array<bigint> = []
  /** Number of the entry that lies at the start of the arrays. */
  private base = 0
  /** Number of the first entry. */
  first = 0
  /** Number after that of the last entry. */
  end = 0

  /** @param width Amounts of an entry. */
  constructor(width: number) {
    this.width = width
  }

  time(entry: number): number {
    return this.numbers[(entry - this.base) * stride] ?? 0
  }

  /** @param which 0 to 2 */
  count(entry: number, which: number): number {
    return this.numbers[(entry - this.base) * stride + 1 + which] ?? 0
  }

  addCount(entry: number, which: number, change: number): void {
    const at = (entry - this.base) * stride + 1 + which
    this.numbers[at] = (this.numbers[at] ?? 0) + change
  }

  amount(entry: number, which: number): bigint {
    return this.amounts[(entry - this.base) * this.width + which] ?? 0n
  }

  setAmount(entry: number, which: number, value: bigint): void {
    this.amounts[(entry - this.base) * this.width + which] = value
  }

  /** The entry of `time`, which is none before the last one's. */
  at(time: number): number {
    const last = this.end - 1
    if (last >= this.first && this.time(last) === time) return last
    const at = this.end - this.base
    if ((at + 1) * stride > this.numbers.length) this.makeRoom()
    const place = this.end - this.base
    this.numbers.fill(0, place * stride, (place + 1) * stride)
    this.numbers[place * stride] = time
    for (let i = 0; i < this.width; i++) this.amounts[place * this.width + i] = 0n
    return this.end++
  }

  /** The first entry that is later than `time`; `end` if there is none. */
  after(time: number): number {
    let [low, high] = [this.first, this.end]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.time(middle) <= time) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The entry of exactly this time, or -1. */
  find(time: number): number {
    const entry = this.after(time) - 1
    return entry >= this.first && this.time(entry) === time ? entry : -1
  }

  /** Lets go of entries up to `time`. */
  forget(time: number): void {
    while (this.first < this.end && this.time(this.first) <= time) this.first++
  }

  /** A copy of the last entry, for `restore`. */
  save(): SavedBuckets {
    const last = this.end - 1
    if (last < this.first) return { end: this.end, numbers: undefined, amounts: [] }
    const at = last - this.base
    return {
      end: this.end,
      // As a typed array, four numbers would be mostly header.
      numbers: Array.from(this.numbers.subarray(at * stride, (at + 1) * stride)),
      amounts: this.amounts.slice(at * this.width, (at + 1) * this.width)
    }
  }

  /** Takes back what came after `save`; entries that were let go of meanwhile stay away. */
  restore({ amounts, end, numbers }: SavedBuckets): void {
    this.end = Math.max(end, this.first)
    const last = end - 1
    this.amounts.length = (this.end - this.base) * this.width
    if (numbers === undefined || last < this.first) return
    this.numbers.set(numbers, (last - this.base) * stride)
    for (const [i, amount] of amounts.entries()) this.setAmount(last, i, amount)
  }

  private makeRoom(): void {
    const gone = this.first - this.base
    const live = this.end - this.first
    const wanted = Math.max(2, live + 1 + (live >> 1)) * stride
    const numbers = new Uint32Array(wanted)
    numbers.set(this.numbers.subarray(gone * stride, (gone + live) * stride))
    this.numbers = numbers
    if (gone > 0) this.amounts = this.amounts.slice(gone * this.width)
    this.base = this.first
  }
}

export interface SavedBuckets {
  readonly end: number
  readonly numbers: ReadonlyArray<number> | undefined
  readonly amounts: ReadonlyArray<bigint>
}
