/**
 * The 2048-bit Bloom filters of receipts and blocks, computed from the logs.
 *
 * Each address and topic is hashed for three bits. A chain says the same few thousand again and again, so the bits
 * are remembered by their hex string: without that, bloom filters would cost more than all the roots together.
 */
import type { Keccak } from "./Keccak.ts"

/** Enough for the addresses and signatures of a mainnet hour, some 3 MB with their strings. */
const rememberedItems = 16_384

export class LogBloom {
  /** The filter of the receipt under construction. */
  readonly receipt = new Uint8Array(256)
  /** All filters since `startBlock`, united. */
  readonly block = new Uint8Array(256)
  private readonly keccak: Keccak
  private readonly slots = new Map<string, number>()
  private readonly bits = new Uint16Array(rememberedItems * 3)
  private readonly item = Buffer.alloc(32)

  constructor(keccak: Keccak) {
    this.keccak = keccak
  }

  startBlock(): void {
    this.block.fill(0)
  }

  startReceipt(): void {
    this.receipt.fill(0)
  }

  /** Adds an address or a topic, whose digits and length somebody else checks. */
  add(hex: string): void {
    const slot = (this.slots.get(hex) ?? this.remember(hex)) * 3
    for (let i = slot; i < slot + 3; i++) {
      const bit = this.bits[i] ?? 0
      const at = 255 - (bit >> 3)
      const mask = 1 << (bit & 7)
      this.receipt[at] = (this.receipt[at] ?? 0) | mask
      this.block[at] = (this.block[at] ?? 0) | mask
    }
  }

  /** In how many bits the block's filter is not this one. */
  differingBits(hex: string): number {
    const other = Buffer.from(hex.slice(2), "hex")
    let count = 0
    for (const [i, byte] of this.block.entries()) {
      for (let rest = byte ^ (other[i] ?? 0); rest > 0; rest &= rest - 1) count++
    }
    return count
  }

  private remember(hex: string): number {
    if (this.slots.size === rememberedItems) this.slots.clear()
    const slot = this.slots.size
    const length = this.item.write(hex.slice(2), 0, 32, "hex")
    const hash = this.keccak(this.item.subarray(0, length))
    for (let i = 0; i < 3; i++) {
      this.bits[slot * 3 + i] = (((hash[i * 2] ?? 0) << 8) | (hash[i * 2 + 1] ?? 0)) & 2047
    }
    this.slots.set(hex, slot)
    return slot
  }
}
