import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { concat, type Hex, keccak256, size, slice, toHex, toRlp } from "viem"
import * as Keccak from "../../src/chain/Keccak.ts"
import { RlpWriter } from "../../src/chain/Rlp.ts"
import { OrderedTrie } from "../../src/chain/Trie.ts"

type Nested = Hex | ReadonlyArray<Nested>

const hexPrefix = (nibbles: string, leaf: boolean): Hex => {
  const odd = nibbles.length % 2 === 1
  return `0x${(leaf ? 2 : 0) + (odd ? 1 : 0)}${odd ? "" : "0"}${nibbles}`
}

/** The yellow paper's definition, as slow and plain as it can be. */
const nodeOf = (pairs: ReadonlyArray<readonly [string, Hex]>): Nested => {
  const [first] = pairs
  if (first === undefined) return "0x"
  if (pairs.length === 1) return [hexPrefix(first[0], true), first[1]]
  let shared = 0
  while (pairs.every(([key]) => key[shared] === first[0][shared])) shared++
  if (shared > 0) {
    const rest = pairs.map(([key, value]) => [key.slice(shared), value] as const)
    return [hexPrefix(first[0].slice(0, shared), false), reference(nodeOf(rest))]
  }
  const children = [..."0123456789abcdef"].map((nibble) => {
    const below = pairs
      .filter(([key]) => key[0] === nibble)
      .map(([key, value]) => [key.slice(1), value] as const)
    return below.length === 0 ? "0x" : reference(nodeOf(below))
  })
  return [...children, "0x"]
}

const rlp = (node: Nested): Hex => {
  if (typeof node === "string") return toRlp(node)
  const content = concat(node.map(rlp))
  const length = size(content)
  // Only the header of a list of this length is wanted: the content is encoded already.
  return concat([length === 0 ? "0xc0" : listHeader(length), content])
}

const listHeader = (length: number): Hex => {
  const list = toRlp(Array.from({ length }, (): Hex => "0x"))
  return slice(list, 0, size(list) - length)
}

const reference = (node: Nested): Nested => {
  const encoded = rlp(node)
  return size(encoded) < 32 ? node : keccak256(encoded)
}

const expectedRoot = (values: ReadonlyArray<Hex>): Hex =>
  keccak256(
    rlp(nodeOf(values.map((value, i) => [toRlp(i === 0 ? "0x" : toHex(i)).slice(2), value] as const)))
  )

const rootOf = Effect.fnUntraced(function* (values: ReadonlyArray<Hex>) {
  const writer = new RlpWriter(256)
  const trie = new OrderedTrie(writer, yield* Keccak.make)
  for (const value of values) {
    const mark = writer.mark()
    writer.raw(Buffer.from(value.slice(2), "hex"))
    trie.push(mark)
  }
  return toHex(trie.root())
})

const list = (count: number, bytes: (i: number) => number): ReadonlyArray<Hex> =>
  Array.from(
    { length: count },
    (_, i): Hex => `0x${((i % 250) + 1).toString(16).padStart(2, "0").repeat(bytes(i))}`
  )

describe("OrderedTrie", () => {
  it.effect("knows the root of nothing", () =>
    Effect.gen(function* () {
      expect(yield* rootOf([])).toBe("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
    })
  )

  it.effect("agrees with the definition for every count that changes the shape", () =>
    Effect.gen(function* () {
      for (const count of [1, 2, 3, 15, 16, 17, 126, 127, 128, 129, 130, 255, 256, 257, 258, 272, 300, 513]) {
        const values = list(count, (i) => 33 + (i % 90))
        expect(yield* rootOf(values), `${count} items`).toBe(expectedRoot(values))
      }
    })
  )

  it.effect("keeps nodes shorter than 32 bytes inside their parents", () =>
    Effect.gen(function* () {
      for (const length of [1, 2, 5, 26, 27, 28, 29, 30, 31, 32, 54, 55, 56, 57]) {
        for (const count of [1, 2, 17, 130, 260]) {
          const values = list(count, () => length)
          expect(yield* rootOf(values), `${count} x ${length} bytes`).toBe(expectedRoot(values))
        }
      }
    })
  )

  it.effect("can be asked twice, and used again", () =>
    Effect.gen(function* () {
      const writer = new RlpWriter()
      const trie = new OrderedTrie(writer, yield* Keccak.make)
      for (const values of [list(20, () => 40), list(3, () => 100)]) {
        trie.clear()
        writer.reset()
        for (const value of values) {
          const mark = writer.mark()
          writer.raw(Buffer.from(value.slice(2), "hex"))
          trie.push(mark)
        }
        expect(toHex(trie.root())).toBe(expectedRoot(values))
        expect(toHex(trie.root())).toBe(expectedRoot(values))
      }
    })
  )
})
