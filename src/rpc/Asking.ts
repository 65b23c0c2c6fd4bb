/**
 * One request on its way through the pool: what is asked, and what became of it so far.
 */
import type * as Choice from "./Choice.ts"
import { everyEndpoint, HeadLag, ProviderFault } from "./ProviderFault.ts"

export interface UseOptions {
  /** The name of what is asked; averages are kept by it. */
  readonly method: string
  /** Lowest block that the answer needs. */
  readonly from?: number
  /** Highest block that the answer needs: who is not known to have it is not asked. */
  readonly to?: number
  /** Ask who has the highest head, not who is fastest. */
  readonly highest?: boolean
}

/** What became of one request so far. It belongs to one `use`, whose attempts follow one another. */
export interface Asking {
  readonly how: UseOptions
  readonly refused: Set<string>
  readonly wrong: Map<string, number>
  readonly whatWasWrong: Set<string>
  readonly asked: Set<string>
  attempts: number
  isOver: boolean
  last: ProviderFault | undefined
  lastWrong: ProviderFault | undefined
}

export const start = (how: UseOptions): Asking => ({
  how,
  refused: new Set(),
  wrong: new Map(),
  whatWasWrong: new Set(),
  asked: new Set(),
  attempts: 0,
  isOver: false,
  last: undefined,
  lastWrong: undefined
})

/** Takes note of a fault of one attempt. */
export const remember = (asking: Asking, fault: ProviderFault): void => {
  asking.last = fault
  if (fault.reason._tag === "Inconsistent") {
    asking.lastWrong = fault
    asking.wrong.set(fault.endpoint, (asking.wrong.get(fault.endpoint) ?? 0) + 1)
    asking.whatWasWrong.add(fault.reason.detail)
  }
  if (!fault.isRetryableHere) asking.refused.add(fault.endpoint)
}

export const question = ({ how, refused, wrong }: Asking): Choice.Question => ({
  method: how.method,
  from: how.from,
  to: how.to,
  highest: how.highest === true,
  refused,
  wrong
})

/** Nobody has the block, after a look at where they are now: that was an attempt too. */
export const behind = (asking: Asking, candidates: ReadonlyArray<Choice.Candidate<unknown>>) => {
  asking.attempts++
  const heads = candidates.map(({ id, state }) => `${id} is at ${state.head ?? "an unknown head"}`)
  return new ProviderFault({
    endpoint: everyEndpoint,
    method: asking.how.method,
    reason: new HeadLag({ detail: `nobody has block ${asking.how.to} yet: ${heads.join(", ")}` })
  })
}
