/**
 * The root of an ordered list: how a header commits to transactions, receipts and withdrawals.
 *
 * It is the root of a Merkle-Patricia trie whose keys are `rlp(index)`. Such keys are known beforehand, sorted
 * without sorting, and none is a prefix of another. So no trie is built: one recursion over the sorted keys writes
 * each node once, hashes it, and leaves 33 bytes (or the node itself, if it is shorter than 32) in its parent.
 *
 * **Details**
 *
 * Items live in the same `RlpWriter`, each behind a gap in which the header of its leaf finds room: a leaf is
 * hashed where its item was written, without copying it.
 */
import type { Keccak } from "./Keccak.ts"
import type { RlpWriter } from "./Rlp.ts"

/** The header of a leaf: list and string headers of at most 5 bytes each, a path of at most 5. */
const gapBytes = 16

/** Items of one list, in the order of their indices, written into `writer`. */
export class OrderedTrie {
  private readonly writer: RlpWriter
  private readonly keccak: Keccak
  private readonly starts: Array<number> = []
  private readonly ends: Array<number> = []

  constructor(writer: RlpWriter, keccak: Keccak) {
    this.writer = writer
    this.keccak = keccak
  }

  clear(): void {
    this.starts.length = 0
    this.ends.length = 0
  }

  /** Takes what was written since `mark` as the next item. */
  push(mark: number): void {
    this.ends.push(mark)
    this.starts.push(this.writer.mark())
    this.writer.skip(gapBytes)
  }

  root(): Uint8Array {
    const { keccak, writer } = this
    const mark = writer.mark()
    const count = this.starts.length
    if (count === 0) writer.byte(0x80)
    else this.node(0, count, 0)
    // The root is hashed however short it is. A node inside its parent has less than 32 bytes: 33 are a hash.
    const reference = writer.since(mark)
    const root = reference.length === 33 ? reference.slice(1) : keccak(reference)
    writer.rewind(mark)
    return root
  }

  /** Writes a reference to the node of the sorted keys `from` until `to`, which agree in `depth` nibbles. */
  private node(from: number, to: number, depth: number): void {
    if (to - from === 1) {
      this.leaf(indexAt(from, this.starts.length), depth)
      return
    }
    const first = this.key(from)
    const last = this.key(to - 1)
    let split = depth
    while (nibbleAt(first, split) === nibbleAt(last, split)) split++
    const mark = this.writer.mark()
    this.branch(from, to, split)
    if (split === depth) return
    writePath(this.writer, first, depth, split, 0x00)
    this.writer.list(mark)
    this.refer(mark)
  }

  private branch(from: number, to: number, depth: number): void {
    const mark = this.writer.mark()
    // No key is a prefix of another: a branch never has a value.
    this.writer.byte(0x80)
    let end = to
    for (let nibble = 15; nibble >= 0; nibble--) {
      let start = end
      while (start > from && nibbleAt(this.key(start - 1), depth) === nibble) start--
      if (start === end) this.writer.byte(0x80)
      else this.node(start, end, depth + 1)
      end = start
    }
    this.writer.list(mark)
    this.refer(mark)
  }

  private leaf(index: number, depth: number): void {
    const { writer } = this
    const here = writer.mark()
    const end = this.ends[index] ?? 0
    const start = this.starts[index] ?? 0
    const key = keyOf(index)
    // Back to the item, to write the leaf's header in the gap before it.
    writer.rewind(start)
    writer.stringHeader(start - end, writer.since(end)[0] ?? 0)
    writePath(writer, key, depth, nibblesOf(key), 0x20)
    writer.list(end)
    const leaf = writer.since(end)
    const reference = leaf.length < 32 ? leaf.slice() : this.keccak(leaf)
    writer.rewind(here)
    writer.raw(reference)
    if (leaf.length >= 32) writer.byte(0xa0)
  }

  /** Replaces the node written since `mark` with its hash, unless it is short enough to stay. */
  private refer(mark: number): void {
    const node = this.writer.since(mark)
    if (node.length < 32) return
    const hash = this.keccak(node)
    this.writer.rewind(mark)
    this.writer.raw(hash)
    this.writer.byte(0xa0)
  }

  private key(position: number): number {
    return keyOf(indexAt(position, this.starts.length))
  }
}

/** The index at a position in the order of the keys: 1 to 127 are one byte, 0 is `0x80`, the rest come after. */
const indexAt = (position: number, count: number): number => {
  const zero = Math.min(count - 1, 127)
  return position < zero ? position + 1 : position === zero ? 0 : position
}

/** `rlp(index)` as one number. */
const keyOf = (index: number): number => {
  if (index === 0) return 0x80
  if (index < 0x80) return index
  if (index < 0x100) return 0x8100 + index
  return index < 0x10000 ? 0x820000 + index : 0x83000000 + index
}

const nibblesOf = (key: number): number => (key < 0x100 ? 2 : key < 0x10000 ? 4 : key < 0x1000000 ? 6 : 8)

const nibbleAt = (key: number, depth: number): number => (key >>> (4 * (nibblesOf(key) - 1 - depth))) & 15

/** The nibbles `from` until `to` in hex-prefix form, as an RLP string. `kind` is 0x20 for leaves. */
const writePath = (writer: RlpWriter, key: number, from: number, to: number, kind: number): void => {
  let end = to
  for (; end - from >= 2; end -= 2) writer.byte((nibbleAt(key, end - 2) << 4) | nibbleAt(key, end - 1))
  const first = end > from ? kind | 0x10 | nibbleAt(key, from) : kind
  writer.byte(first)
  writer.stringHeader(1 + ((to - from) >> 1), first)
}
