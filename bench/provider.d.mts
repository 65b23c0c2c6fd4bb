/** What a chain answers, as JSON; numbers are between 0 and `head()`. */
export interface Served {
  readonly chainId: number
  readonly head: () => number
  /** With full transactions. */
  readonly full: (number: number) => string
  /** With hashes of transactions. */
  readonly light: (number: number) => string
  readonly receipts: (number: number) => string
}

export interface Call {
  readonly id: number | string
  readonly method: string
  readonly params: ReadonlyArray<unknown>
}

/** One HTTP request, while it is decided how to answer. */
export interface Exchange {
  readonly calls: ReadonlyArray<Call>
  readonly batch: boolean
  /** `performance.now()` when its head was there. */
  readonly arrived: number
  readonly head: number
  readonly random: () => number
  /** Counts something for `stats.notes`. */
  readonly note: (what: string, value?: number) => void
  /** The body that an honest provider would send. */
  readonly honest: () => string
  /** Path and query. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
}

export type Reply =
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body: string
      /** Called when the reply has left, with `performance.now()`. */
      readonly sent?: (at: number) => void
    }
  /** The connection breaks. */
  | { readonly reset: true }
  /** No answer, ever. */
  | { readonly hang: true }

export type CallAnswer = { readonly result: string } | { readonly error: unknown }

export interface Behaviour {
  /** The whole reply; undefined leaves it to others. */
  readonly instead?: (exchange: Exchange) => Reply | undefined
  /** Called once for each request, when it is answered; what it returns is asked about each call. */
  readonly answering?: (exchange: Exchange) => (call: Call, chain: Served) => CallAnswer | undefined
}

/** The height a call is about; undefined for other calls. */
export const blockOf: (call: Call, head: number) => number | undefined

export const randomFrom: (seed: number) => () => number

export const rateLimited: (options: {
  /** HTTP requests. */
  readonly perSecond: number
  /** Requests at once after a silence; a second's worth when absent. */
  readonly burst?: number
  /** Milliseconds after a telling in which a request cannot have known of it; 50 when absent. */
  readonly grace?: number
  /** How the wait is told: `Retry-After`, a field of the error's data, its message, or any of the three. */
  readonly tell?: "header" | "data" | "words" | "mixed"
}) => Behaviour

export const failureNames: ReadonlyArray<string>

export const failing: (options: {
  readonly share: number
  readonly ways?: ReadonlyArray<string>
}) => Behaviour

export const lagging: (options: { readonly behind: () => number }) => Behaviour

export interface Lie {
  /** What is wrong with it; undefined when there was nothing to change. */
  readonly what: string | undefined
  readonly block: unknown
  readonly receipts: unknown
}

export const lying: (options: {
  readonly share: number
  /** `block` and `receipts` are copies, and may be changed. */
  readonly lie: (truth: {
    readonly number: number
    readonly block: unknown
    readonly receipts: unknown
    readonly random: () => number
  }) => Lie
}) => Behaviour

export interface Stats {
  readonly requests: number
  readonly calls: number
  /** Blocks whose receipts went out. */
  readonly blocks: number
  /** Requests in flight, at most. */
  readonly peak: number
  readonly notes: Readonly<Record<string, number>>
  /** Milliseconds from the telling of a wait to each request that broke it. */
  readonly violations: ReadonlyArray<number>
}

export interface Provider {
  readonly url: string
  readonly stats: Stats
  /** Drops all connections, and each new one, until `up`. */
  readonly down: () => void
  readonly up: () => void
  readonly close: () => Promise<void>
}

/** Listens on a free port of 127.0.0.1. */
export const start: (options: {
  readonly chain: Served
  readonly behaviours?: ReadonlyArray<Behaviour>
  /** Milliseconds before a request of so many calls is answered; a refusal counts as one of none. */
  readonly delay?: (calls: number) => number
  readonly seed?: number
  readonly onRequest?: (calls: ReadonlyArray<Call>) => void
  /** Called after blocks went out, with how many. */
  readonly onBlocks?: (blocks: number) => void
}) => Promise<Provider>
