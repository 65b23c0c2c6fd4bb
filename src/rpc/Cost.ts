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

/** What the calls of one request cost, whose answers are in `body`. */
export const byMethod = (calls: ReadonlyArray<{ readonly method: string }>, body: string): Spending => {
  const bytes = sizes(body, calls.length)
  const spent: Record<string, Spent> = {}
  for (const [i, { method }] of calls.entries()) {
    spent[method] = plus(spent[method] ?? nothing, { calls: 1, bytes: bytes[i] ?? 0 })
  }
  return spent
}

const start = '{"jsonrpc"'

/**
 * Bytes of each answer in the body of a batch, taken to be in the order of the calls. Where answers cannot be told
 * apart without parsing them, each counts the same.
 */
const sizes = (body: string, count: number): ReadonlyArray<number> => {
  const starts: Array<number> = []
  // No string inside of an answer can hold an unescaped quote, so this is found at the start of one only.
  for (let at = body.indexOf(start); at >= 0; at = body.indexOf(start, at + start.length)) starts.push(at)
  if (starts.length !== count) return Array.from({ length: count }, () => body.length / count)
  return starts.map((at, i) => (starts[i + 1] ?? body.length) - (i === 0 ? 0 : at))
}
