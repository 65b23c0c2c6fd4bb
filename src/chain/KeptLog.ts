/**
 * A log as it waits in memory for its commit: with what its row is made of, and nothing else of the answer that it came
 * in.
 */
import type { Hex, RpcLog } from "./Block.ts"

/** `transactionHash` is given apart: the logs of a transaction can share one string. */
export const of = (
  { address, data, logIndex, topics, transactionIndex }: RpcLog,
  transactionHash: Hex
): RpcLog => ({ address, topics, data, logIndex, transactionIndex, transactionHash })

/** Bytes of its objects, and of the strings that have the same length in every log. */
const fixed = 280
/** A hash in hex, and its place in the array. */
const topic = 84

/** Bytes on the heap of V8, where hex takes one for each digit: within a tenth of what was measured. */
export const bytesOf = ({ data, topics }: RpcLog): number => fixed + topics.length * topic + data.length
