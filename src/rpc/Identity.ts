/**
 * Whether endpoints serve the chain that they should: its id and its genesis. Who does not is removed, with one log
 * line, and never asked again.
 *
 * **Details**: the id is known from the settings, the genesis from the database or, the first time, from what most
 * endpoints say. An endpoint that has pruned block 0 is taken at its word about the id.
 */
import { Effect, Ref } from "effect"
import type { Hex } from "../chain/Block.ts"
import type { Endpoint } from "./Endpoint.ts"
import * as Headers from "./Headers.ts"
import { everyEndpoint, HeadLag, Malformed, ProviderFault, WrongChain } from "./ProviderFault.ts"

export const noneServes = (chainId: number, method: string): ProviderFault =>
  new ProviderFault({
    endpoint: everyEndpoint,
    method,
    reason: new WrongChain({ detail: `no endpoint serves chain ${chainId}` })
  })

const method = "eth_chainId"

type Ask = <A>(
  endpoint: Endpoint,
  attempt: (endpoint: Endpoint) => Effect.Effect<A, ProviderFault>
) => Effect.Effect<A, ProviderFault>

export const make = Effect.fnUntraced(function* (options: {
  readonly chainId: number
  readonly endpoints: ReadonlyArray<Endpoint>
}) {
  const { chainId, endpoints } = options
  const expected = yield* Ref.make<Hex | undefined>(undefined)

  const remove = Effect.fnUntraced(function* (endpoint: Endpoint, detail: string) {
    const { rightChain } = yield* Ref.getAndUpdate(endpoint.state, (s) => ({ ...s, rightChain: false }))
    if (rightChain !== false) {
      yield* Effect.logWarning("endpoint left out").pipe(
        Effect.annotateLogs({ endpoint: endpoint.id, host: endpoint.host, reason: detail })
      )
    }
    return endpoint.fault(method, new WrongChain({ detail }))
  })

  const otherGenesis = (seen: Hex, genesis: Hex) =>
    `serves a chain with the genesis ${seen}, expected ${genesis}`

  /** Block 0 as the endpoint has it; undefined where it does not say. */
  const genesisOf = (endpoint: Endpoint): Effect.Effect<Hex | undefined, ProviderFault> =>
    Headers.header(endpoint, 0).pipe(
      Effect.map((block) => block?.hash),
      Effect.catchReasons("ProviderFault", {
        MissingData: () => Effect.undefined,
        HeadLag: () => Effect.undefined,
        Rejected: () => Effect.undefined
      })
    )

  /** Makes sure that the endpoint may be asked; the first time, and after it was away, that takes two requests. */
  const confirm = Effect.fnUntraced(function* (endpoint: Endpoint) {
    const { rightChain } = yield* Ref.get(endpoint.state)
    if (rightChain === true) return
    const answer = yield* endpoint.call(method, [])
    if (typeof answer !== "string" || !/^0x[0-9a-f]{1,13}$/i.test(answer)) {
      return yield* endpoint.fault(method, new Malformed({ detail: "no chain id" }))
    }
    const seen = Number.parseInt(answer, 16)
    if (seen !== chainId) {
      return yield* yield* remove(endpoint, `serves chain ${seen}, expected chain ${chainId}`)
    }
    const genesis = yield* Ref.get(expected)
    if (genesis !== undefined) {
      const hash = yield* genesisOf(endpoint)
      if (hash !== undefined && hash !== genesis)
        return yield* yield* remove(endpoint, otherGenesis(hash, genesis))
    }
    yield* Ref.update(endpoint.state, (s) => ({ ...s, rightChain: true }))
  })

  /**
   * The genesis that the endpoints serve: `pinned` where one of them does, what most say where nothing is pinned.
   * Those that serve another are removed. When all of them do, theirs is the answer, for the caller to refuse.
   */
  const genesis = Effect.fnUntraced(function* (pinned: Hex | undefined, ask: Ask) {
    const [seen, silent] = yield* Effect.partition(
      endpoints,
      (endpoint) =>
        ask(endpoint, genesisOf).pipe(
          Effect.filterOrFail(
            (hash) => hash !== undefined,
            () => endpoint.fault(Headers.method, new HeadLag({ detail: "null for block 0" }))
          ),
          Effect.map((hash) => ({ endpoint, hash }))
        ),
      { concurrency: "unbounded" }
    )
    const most = mostOf(seen.map(({ hash }) => hash))
    const unheard = silent.find(({ reason }) => reason._tag !== "WrongChain")
    if (most === undefined) return yield* unheard ?? silent[0] ?? noneServes(chainId, method)
    const served = seen.some(({ hash }) => hash === pinned)
    if (pinned !== undefined && !served && unheard === undefined) return most
    const right = pinned ?? most
    yield* Ref.set(expected, right)
    for (const { endpoint, hash } of seen) {
      if (hash !== right) yield* remove(endpoint, otherGenesis(hash, right))
    }
    return pinned === undefined || served || unheard === undefined ? right : yield* unheard
  })

  return { confirm, genesis }
})

/** The value that occurs most, the first of several. */
const mostOf = (values: ReadonlyArray<Hex>): Hex | undefined => {
  const count = (value: Hex) => values.filter((other) => other === value).length
  return values.reduce<Hex | undefined>(
    (best, value) => (best === undefined || count(value) > count(best) ? value : best),
    undefined
  )
}
