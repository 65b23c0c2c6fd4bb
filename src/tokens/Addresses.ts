/**
 * Addresses as small numbers: 20 bytes each are kept once, however many tokens an address has moved.
 *
 * **Details**
 *
 * A hash table with open addressing over typed arrays, some 40 bytes an address. Every holder of a number counts
 * (`retain`, `release`); the number of an address that nobody holds is given to another.
 */
import type { Hex } from "../chain/Block.ts"

const words = 5
const smallest = 1_024

/** Digit of a character code, in lower case. */
const digitOf = new Uint8Array(128)
for (const [digit, character] of Array.from("0123456789abcdef").entries())
  digitOf[character.charCodeAt(0)] = digit

export class Addresses {
  private keys = new Uint32Array(smallest * words)
  private holders = new Uint32Array(smallest)
  /** Numbers by the hash of their address; 0 is none. */
  private slots = new Uint32Array(smallest * 2)
  private readonly free: Array<number> = []
  private next = 1
  private readonly key = new Uint32Array(words)

  /** Addresses that somebody holds, or that were asked for and not held yet. */
  get size(): number {
    return this.next - 1 - this.free.length
  }

  /** Its number, a new one if need be; `retain` it before the next `intern`. */
  intern(address: Hex): number {
    const { key } = this
    for (let i = 0, at = 2; i < words; i++) {
      let word = 0
      for (const end = at + 8; at < end; at++) word = (word << 4) | (digitOf[address.charCodeAt(at)] ?? 0)
      key[i] = word
    }
    return this.internKey()
  }

  /** The same of 20 bytes. */
  internBytes(bytes: DataView, at: number): number {
    for (let i = 0; i < words; i++) this.key[i] = bytes.getUint32(at + i * 4)
    return this.internKey()
  }

  /** Puts the 20 bytes of an address there. */
  write(id: number, into: DataView, at: number): void {
    for (let i = 0; i < words; i++) into.setUint32(at + i * 4, this.keys[id * words + i] ?? 0)
  }

  private internKey(): number {
    const { key } = this
    const mask = this.slots.length - 1
    let slot = hash(key, 0) & mask
    for (let id = this.slots[slot] ?? 0; id !== 0; id = this.slots[slot] ?? 0) {
      if (this.isKey(id)) return id
      slot = (slot + 1) & mask
    }
    const id = this.free.pop() ?? this.next++
    if (id >= this.holders.length) this.grow()
    this.keys.set(key, id * words)
    this.insert(id)
    return id
  }

  retain(id: number): void {
    this.holders[id] = (this.holders[id] ?? 0) + 1
  }

  release(id: number): void {
    const left = (this.holders[id] ?? 0) - 1
    this.holders[id] = left
    if (left === 0) this.remove(id)
  }

  private isKey(id: number): boolean {
    for (let i = 0; i < words; i++) if (this.keys[id * words + i] !== this.key[i]) return false
    return true
  }

  private insert(id: number): void {
    const mask = this.slots.length - 1
    let slot = hash(this.keys, id * words) & mask
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask
    this.slots[slot] = id
  }

  /** Closes the gap, so that no search ends early. */
  private remove(id: number): void {
    const { keys, slots } = this
    const mask = slots.length - 1
    let gap = hash(keys, id * words) & mask
    while (slots[gap] !== id) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = hash(keys, (slots[slot] ?? 0) * words) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      slots[gap] = slots[slot] ?? 0
      gap = slot
    }
    slots[gap] = 0
    this.free.push(id)
  }

  private grow(): void {
    const size = this.holders.length * 2
    const keys = new Uint32Array(size * words)
    keys.set(this.keys)
    const holders = new Uint32Array(size)
    holders.set(this.holders)
    const all = this.slots.filter((id) => id !== 0)
    this.keys = keys
    this.holders = holders
    this.slots = new Uint32Array(size * 2)
    for (const id of all) this.insert(id)
  }
}

/** Addresses are as good as random but for those that were made up, so every word counts. */
const hash = (keys: Uint32Array, at: number): number => {
  let mixed = 0
  for (let i = 0; i < words; i++) {
    mixed = Math.imul(mixed ^ (keys[at + i] ?? 0), 0x9e3779b1)
    mixed ^= mixed >>> 15
  }
  return mixed >>> 0
}
