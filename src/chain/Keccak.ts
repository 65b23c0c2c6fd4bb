/**
 * Keccak-256, the hash under everything in an EVM block.
 *
 * Node has none before version 26, and JavaScript implementations are five times slower than hash-wasm's.
 * Creating the WebAssembly instance is asynchronous; hashing afterwards is not, so that a whole block can be
 * verified in one synchronous step.
 *
 * **Gotchas**
 *
 * One instance has one state: a `Keccak` must not be used by two callers that interleave between `init` and
 * `digest`. The function that `make` returns does both in one call, so any number of fibers may share it.
 */
import { Effect } from "effect"
import { createKeccak } from "hash-wasm"

/** Hashes `data` into 32 fresh bytes. */
export type Keccak = (data: Uint8Array) => Uint8Array

export const make: Effect.Effect<Keccak> = Effect.map(
  // A WebAssembly module that ships inside the package either loads or the installation is broken: a defect.
  Effect.promise(() => createKeccak(256)),
  (hasher) => (data) => hasher.init().update(data).digest("binary")
)

const nibble = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** Whether `hex` (with `0x`, in any case) says exactly these bytes. */
export const equalsHex = (bytes: Uint8Array, hex: string): boolean => {
  if (hex.length !== 2 + bytes.length * 2) return false
  for (let i = 0, at = 2; i < bytes.length; i++, at += 2) {
    if (((nibble(hex.charCodeAt(at)) << 4) | nibble(hex.charCodeAt(at + 1))) !== bytes[i]) return false
  }
  return true
}

export const toHex = (bytes: Uint8Array): string =>
  `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`
