/**
 * Seconds since 1970 as PostgreSQL keeps a timestamptz: microseconds since 2000.
 */

/** Microseconds since 2000, in two halves of 32 bits, as `ColumnWriter.int64` takes them. */
export interface Halves {
  readonly timeHigh: number
  readonly timeLow: number
}

/** The last second that a timestamptz can hold: in the year 294276. */
export const last = 9_224_318_015_999

const secondsTo2000 = 946_684_800

export const halves = (seconds: number): Halves => {
  const micros = BigInt(seconds - secondsTo2000) * 1_000_000n
  return { timeHigh: Number(micros >> 32n), timeLow: Number(BigInt.asUintN(32, micros)) }
}
