/**
 * When each address last sent a token, and when it last received it.
 *
 * **Details**
 *
 * Distinct senders of a window are the addresses whose newest sending is inside it, so one time for each address and
 * role is all that has to be kept, whatever the number of events. A hash table of three numbers an entry; before it
 * grows, it lets go of what is too old to matter.
 */
import type { Addresses } from "./Addresses.ts"

/** Which of the two times; also its place in an entry. */
export const sender = 1
export const receiver = 2
export type Role = typeof sender | typeof receiver

const stride = 3

export class Seen {
  private readonly addresses: Addresses
  private entries = new Uint32Array(4 * stride)
  private used = 0

  constructor(addresses: Addresses) {
    this.addresses = addresses
  }

  get size(): number {
    return this.used
  }

  /** Seconds since 1970; 0 for never. */
  get(address: number, role: Role): number {
    const at = this.find(address)
    return this.entries[at] === address ? (this.entries[at + role] ?? 0) : 0
  }

  /** Entries older than `floor` may be let go of. */
  set(address: number, role: Role, time: number, floor: number): void {
    let at = this.find(address)
    if (this.entries[at] !== address) {
      if ((this.used + 1) * 4 > (this.entries.length / stride) * 3) {
        this.rebuild(floor)
        at = this.find(address)
      }
      this.addresses.retain(address)
      this.entries[at] = address
      this.used++
    }
    this.entries[at + role] = time
  }

  /** How many addresses have a time later than `edge`. Looks at all of them. */
  count(role: Role, edge: number): number {
    let count = 0
    for (let at = 0; at < this.entries.length; at += stride) {
      if (this.entries[at] !== 0 && (this.entries[at + role] ?? 0) > edge) count++
    }
    return count
  }

  /** Each address with when it last sent and received. */
  forEach(take: (address: number, sent: number, received: number) => void): void {
    for (let at = 0; at < this.entries.length; at += stride) {
      const address = this.entries[at] ?? 0
      if (address !== 0) take(address, this.entries[at + sender] ?? 0, this.entries[at + receiver] ?? 0)
    }
  }

  /** Gives all addresses back. */
  close(): void {
    for (let at = 0; at < this.entries.length; at += stride) {
      const address = this.entries[at] ?? 0
      if (address !== 0) this.addresses.release(address)
    }
    this.entries = new Uint32Array(4 * stride)
    this.used = 0
  }

  private find(address: number): number {
    const slots = this.entries.length / stride
    const mask = slots - 1
    let slot = (Math.imul(address, 0x9e3779b1) >>> 7) & mask
    for (;;) {
      const found = this.entries[slot * stride]
      if (found === address || found === 0) return slot * stride
      slot = (slot + 1) & mask
    }
  }

  private rebuild(floor: number): void {
    const old = this.entries
    const newest = (at: number) => Math.max(old[at + sender] ?? 0, old[at + receiver] ?? 0)
    let kept = 0
    for (let at = 0; at < old.length; at += stride) if (old[at] !== 0 && newest(at) > floor) kept++
    let slots = 4
    // At most half full, so that it is not rebuilt again at once.
    while (slots < (kept + 1) * 2) slots *= 2
    this.entries = new Uint32Array(slots * stride)
    this.used = kept
    for (let at = 0; at < old.length; at += stride) {
      const address = old[at] ?? 0
      if (address === 0) continue
      if (newest(at) <= floor) this.addresses.release(address)
      else this.entries.set(old.subarray(at, at + stride), this.find(address))
    }
  }
}
