/**
 * The facts about process and machine that some defaults depend on. They are read in one place, here, so that
 * settings are a pure function of what was given; a test provides its own.
 */
import * as os from "node:os"
import { Context } from "effect"

export interface HostShape {
  readonly hostname: string
  readonly pid: number
  /** Whether a person reads standard output. */
  readonly isTTY: boolean
  /** Memory that this process may use: the machine's, or the container's limit if that is lower. */
  readonly memoryBytes: number
}

const current = (): HostShape => {
  // Without a limit Node 20 answers 2^64 here, and older kernels 0.
  const limit = process.constrainedMemory()
  const total = os.totalmem()
  return {
    hostname: os.hostname(),
    pid: process.pid,
    isTTY: process.stdout.isTTY === true,
    memoryBytes: limit > 0 && limit < total ? limit : total
  }
}

/** Defaults to this very process. */
export class Host extends Context.Reference<HostShape>("sluice/config/Host", { defaultValue: current }) {}
