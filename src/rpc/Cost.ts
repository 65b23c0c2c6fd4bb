/**
 * What requests cost: calls and bytes by method, and credits where the provider has a price list.
 */

/** What was spent on one method. */
export interface Spent {
  readonly calls: number
  /** Received. */
  readonly bytes: number
}

/** By method. */
export type Spending = Readonly<Record<string, Spent>>

/** Credits for one call, by method; `*` stands for every other one. */
export type Prices = ReadonlyMap<string, number>

export const nothing: Spent = { calls: 0, bytes: 0 }

export const plus = (a: Spent, b: Spent): Spent => ({ calls: a.calls + b.calls, bytes: a.bytes + b.bytes })

export const add = (a: Spending, b: Spending): Spending => {
  const sum: Record<string, Spent> = { ...a }
  for (const [method, spent] of Object.entries(b)) sum[method] = plus(sum[method] ?? nothing, spent)
  return sum
}

export const total = (spending: Spending): Spent => Object.values(spending).reduce(plus, nothing)

export const credits = (prices: Prices, spending: Spending): number => {
  let sum = 0
  for (const [method, { calls }] of Object.entries(spending)) {
    sum += calls * (prices.get(method) ?? prices.get("*") ?? 0)
  }
  return sum
}

/** What the calls of one request cost, whose answers are in `body`; `usual` are bytes of an answer by method. */
export const byMethod = (
  calls: ReadonlyArray<{ readonly method: string }>,
  body: string,
  usual: Readonly<Record<string, number>>
): Spending => {
  const weights = calls.map(({ method }) => usual[method] ?? 1)
  const each = body.length / weights.reduce((sum, weight) => sum + weight, 0)
  return spent(calls, (i) => (weights[i] ?? 0) * each)
}

const spent = (calls: ReadonlyArray<{ readonly method: string }>, bytes: (i: number) => number): Spending => {
  const sum: Record<string, Spent> = {}
  for (const [i, { method }] of calls.entries()) {
    sum[method] = plus(sum[method] ?? nothing, { calls: 1, bytes: bytes(i) })
  }
  return sum
}

const start = '{"jsonrpc"'

/**
 * Bytes of an answer by method, as they are in the body of a batch, taken to be in the order of the calls; undefined
 * where answers cannot be told apart without parsing them. It reads the whole body, so it is not for every answer.
 */
export const measure = (
  calls: ReadonlyArray<{ readonly method: string }>,
  body: string
): Readonly<Record<string, number>> | undefined => {
  const starts: Array<number> = []
  // No string inside of an answer can hold an unescaped quote, so this is found at the start of one only.
  for (let at = body.indexOf(start); at >= 0; at = body.indexOf(start, at + start.length)) starts.push(at)
  if (starts.length !== calls.length) return undefined
  const sum = spent(calls, (i) => (starts[i + 1] ?? body.length) - (starts[i] ?? 0))
  return Object.fromEntries(Object.entries(sum).map(([method, { bytes, calls }]) => [method, bytes / calls]))
}
