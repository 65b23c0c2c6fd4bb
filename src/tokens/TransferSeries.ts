/**
 * The transfers of one token, over all windows.
 */
import type { Addresses } from "./Addresses.ts"
import { type Role, receiver, Seen, sender } from "./Seen.ts"
import type { Transfer } from "./TokenEvent.ts"
import { type SavedWindowed, Windowed } from "./Windowed.ts"
import { edge, minuteOf, windows } from "./Windows.ts"

export interface TransferMetrics {
  readonly transfers: number
  /** Distinct addresses; the zero address of mints and burns is one. */
  readonly senders: number
  readonly receivers: number
  /** Raw units. */
  readonly volume: bigint
}

/** Takes back what one block did. */
export interface TransferUndo {
  readonly saved: SavedWindowed
  /** Address, role, and the time that it had before, three numbers each. */
  readonly seen: Array<number>
}

/** The counts of an entry: transfers, and who moved last in it as sender (1) and receiver (2), as `Role` numbers them. */
const transfers = 0

export class TransferSeries {
  readonly addresses: Addresses
  readonly windowed = new Windowed(1, 1)
  readonly seen: Seen

  constructor(addresses: Addresses) {
    this.addresses = addresses
    this.seen = new Seen(addresses)
  }

  begin(): TransferUndo {
    return { saved: this.windowed.save(), seen: [] }
  }

  apply(transfer: Transfer, floor: number, undo: TransferUndo | undefined): void {
    this.windowed.open(transfer.timestamp)
    this.add(transfer, floor, undo, true)
  }

  /** One of many at once, which are not taken back; see `Windowed.openBulk`. */
  load(transfer: Transfer, floor: number): void {
    this.windowed.openBulk(transfer.timestamp, floor)
    this.add(transfer, floor, undefined, false)
  }

  private add(
    { from, timestamp, to, value }: Transfer,
    floor: number,
    undo: TransferUndo | undefined,
    total: boolean
  ): void {
    this.windowed.tally(transfers)
    this.windowed.add(0, value)
    this.moved(this.addresses.intern(from), sender, timestamp, floor, undo, total)
    this.moved(this.addresses.intern(to), receiver, timestamp, floor, undo, total)
  }

  metrics(time: number): ReadonlyArray<TransferMetrics> {
    this.windowed.advance(time)
    return windows.map((_, w) => ({
      transfers: this.windowed.count(w, transfers),
      senders: this.windowed.count(w, sender),
      receivers: this.windowed.count(w, receiver),
      volume: this.windowed.sum(w, 0)
    }))
  }

  /** The same from the entries and from the time of each address, without the running totals. */
  recounted(time: number): ReadonlyArray<TransferMetrics> {
    return windows.map((window, w) => {
      const last = edge(window, time) + window.step - 1
      return {
        transfers: this.windowed.recount(w, time, transfers),
        senders: this.seen.count(sender, last),
        receivers: this.seen.count(receiver, last),
        volume: this.windowed.resum(w, time, 0)
      }
    })
  }

  /** An address's newest time in a role as it was, 0 for none; after all entries. */
  place(address: number, role: Role, time: number): void {
    if (time === 0) return
    this.shift(role, 0, time)
    this.seen.set(address, role, time, 0)
  }

  rollback({ saved, seen }: TransferUndo): void {
    for (let i = seen.length - 3; i >= 0; i -= 3) {
      const [address = 0, role, before = 0] = seen.slice(i, i + 3)
      // `moved` put one of the two there.
      this.shift(role as Role, this.seen.get(address, role as Role), before)
      this.seen.set(address, role as Role, before, 0)
    }
    this.settle({ saved, seen })
    this.windowed.restore(saved)
  }

  /** It will not be taken back any more. */
  settle({ seen }: TransferUndo): void {
    for (let i = 0; i < seen.length; i += 3) this.addresses.release(seen[i] ?? 0)
  }

  close(): void {
    this.seen.close()
  }

  private moved(
    address: number,
    role: Role,
    time: number,
    floor: number,
    undo: TransferUndo | undefined,
    total: boolean
  ): void {
    const before = this.seen.get(address, role)
    if (before === time) return
    this.shift(role, before, time)
    for (let w = 0; total && w < windows.length; w++) {
      const window = windows[w]
      if (window === undefined) continue
      const entry = before === 0 ? 0 : before - (before % window.step)
      if (entry <= edge(window, time)) this.windowed.addCount(w, role, 1)
    }
    this.seen.set(address, role, time, edgeOfAll(floor))
    if (undo !== undefined) {
      this.addresses.retain(address)
      undo.seen.push(address, role, before)
    }
  }

  /** The address counts in the entries of the time `to` and no more in those of `from`; 0 is none. */
  private shift(role: Role, from: number, to: number): void {
    const { coarse, fine } = this.windowed
    for (const [time, change] of [
      [from, -1],
      [to, 1]
    ] as const) {
      if (time === 0) continue
      const second = fine.find(time)
      if (second >= 0) fine.addCount(second, role, change)
      const whole = coarse.find(minuteOf(time))
      if (whole >= 0) coarse.addCount(whole, role, change)
    }
  }
}

const longest = windows[windows.length - 1]

/** What is at or below it is in no window as of `time` or later. */
const edgeOfAll = (time: number): number => (longest === undefined ? 0 : edge(longest, time))
