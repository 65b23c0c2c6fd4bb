/**
 * What a log takes in memory while it waits for its commit, whatever else of its answer is let go.
 */
import type { RpcLog } from "./Block.ts"

/** Bytes of its objects, and of the strings that have the same length in every log. */
const fixed = 460
/** A hash in hex, and its place in the array. */
const topic = 84

/** Bytes on the heap of V8, where hex takes one for each digit: within a twentieth of what was measured. */
export const bytesOf = ({ data, topics }: RpcLog): number => fixed + topics.length * topic + data.length
