/**
 * The place in a list of tokens as readers hand it back: opaque to them, and of use for the same list only.
 */
import { Schema } from "effect"
import type { Hex } from "../chain/Block.ts"
import type { Measure, Place } from "../tokens/TokenReads.ts"
import type { WindowName } from "../tokens/Windows.ts"

export type List = Measure & { readonly window: WindowName }

/** Digits of a volume: sums of so many uint256 as no chain will ever have. Counts are int8 in the tables. */
const longestVolume = 120
const longestCount = 18

const nameOf = ({ by, kind, window }: List): string => `${kind}.${window}.${by}`

export const print = (list: List, { address, value }: Place): string =>
  Buffer.from(`${nameOf(list)}.${value}.${address}`).toString("base64url")

const isAddress = Schema.is(
  Schema.TemplateLiteral(["0x", Schema.String.check(Schema.isPattern(/^[0-9a-f]{40}$/))])
)

/** Undefined where it is not of this list. */
export const parse = (list: List, cursor: string): Place | undefined => {
  const text = Buffer.from(cursor, "base64url").toString()
  const start = `${nameOf(list)}.`
  const [value = "", address = "", ...rest] = text.slice(start.length).split(".")
  const longest = list.by === "volume" ? longestVolume : longestCount
  const fits = text.startsWith(start) && /^\d+$/.test(value) && value.length <= longest && rest.length === 0
  return fits && isAddress(address) ? { value, address: address satisfies Hex } : undefined
}
