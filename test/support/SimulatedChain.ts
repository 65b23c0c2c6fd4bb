/**
 * A chain in memory that a test mines, reorganises and breaks as it likes, and the `ChainSource` that reads it.
 */
import { Context, Effect, Layer, PubSub, Ref, Stream } from "effect"
import { keccak256, toHex } from "viem"
import type {
  BlockHeader,
  Hex,
  RawBlock,
  RpcBlock,
  RpcReceipt,
  RpcTransaction
} from "../../src/chain/Block.ts"
import type { BlockRange } from "../../src/chain/BlockRange.ts"
import { HeadLag, ProviderFault, type Reason, Unavailable } from "../../src/rpc/ProviderFault.ts"
import { ChainSource } from "../../src/source/ChainSource.ts"
import { logsOf } from "./logs.ts"

const hex = (n: number | bigint): Hex => `0x${n.toString(16)}`
const word = (seed: string): Hex => keccak256(toHex(seed))
const zeroBloom: Hex = `0x${"00".repeat(256)}`

/** Transactions and logs of a block follow from its hash, so that a replaced block has other rows. */
const makeBlock = (number: number, parentHash: Hex, salt: number): RawBlock => {
  const hash = word(`block ${number} ${parentHash} ${salt}`)
  const count = Number.parseInt(hash.slice(2, 4), 16) % 4
  const transactions = Array.from({ length: count }, (_, i): RpcTransaction => {
    const seed = word(`${hash} tx ${i}`)
    return {
      hash: seed,
      transactionIndex: hex(i),
      type: "0x0",
      from: `0x${seed.slice(2, 42)}`,
      to: `0x${seed.slice(10, 50)}`,
      value: `0x${seed.slice(50, 58).replace(/^0+(?=.)/, "")}`,
      nonce: hex(number),
      gas: "0x5208",
      gasPrice: "0x3b9aca00",
      input: "0x",
      v: "0x1b",
      r: word(`${seed} r`),
      s: word(`${seed} s`)
    }
  })
  let logIndex = 0
  const receipts = transactions.map((transaction, i): RpcReceipt => {
    const logs = Array.from({ length: (i + number) % 3 }, () => ({
      address: transaction.from,
      topics: [word("Transfer(address,address,uint256)"), word(`topic ${hash} ${logIndex}`)],
      data: word(`data ${logIndex}`),
      logIndex: hex(logIndex++),
      transactionIndex: hex(i),
      transactionHash: transaction.hash
    }))
    return {
      transactionHash: transaction.hash,
      transactionIndex: hex(i),
      type: "0x0",
      status: "0x1",
      cumulativeGasUsed: hex(21_000 * (i + 1)),
      gasUsed: "0x5208",
      contractAddress: null,
      effectiveGasPrice: "0x3b9aca00",
      logsBloom: zeroBloom,
      logs
    }
  })
  const block: RpcBlock = {
    number: hex(number),
    hash,
    parentHash,
    timestamp: hex(1_700_000_000 + number * 12),
    miner: `0x${"11".repeat(20)}`,
    sha3Uncles: word("uncles"),
    stateRoot: word(`state ${hash}`),
    transactionsRoot: word(`transactions ${hash}`),
    receiptsRoot: word(`receipts ${hash}`),
    logsBloom: zeroBloom,
    difficulty: "0x0",
    gasLimit: "0x1c9c380",
    gasUsed: hex(21_000 * count),
    extraData: "0x",
    mixHash: word("mix"),
    nonce: "0x0000000000000000",
    size: "0x220",
    baseFeePerGas: "0x7",
    transactions
  }
  return { block, receipts }
}

export const headerOf = ({ block }: RawBlock): BlockHeader => ({
  number: Number(block.number),
  hash: block.hash,
  parentHash: block.parentHash,
  timestamp: Number(block.timestamp)
})

export class SimulatedChain extends Context.Service<
  SimulatedChain,
  {
    /** Adds blocks and tells of the last one. */
    readonly mine: (count: number) => Effect.Effect<void>
    /** Takes the newest `depth` blocks away and mines `replacement` others in their place. */
    readonly reorg: (depth: number, replacement: number) => Effect.Effect<void>
    /** Another genesis, and as many blocks as asked for. */
    readonly restart: (height: number) => Effect.Effect<void>
    readonly blocks: Effect.Effect<ReadonlyArray<RawBlock>>
    /** What the chain calls final; undefined for a chain without the tag. */
    readonly setFinalized: (number: number | undefined) => Effect.Effect<void>
    /** The next request for blocks fails so. */
    readonly failNext: (reason: Reason) => Effect.Effect<void>
    /** Every request that contains this block fails, until another one or none is broken. */
    readonly breakBlock: (number: number | undefined) => Effect.Effect<void>
    /** Changes the blocks on their way to the reader, for the next request only. */
    readonly tamperNext: (change: (raw: RawBlock) => RawBlock) => Effect.Effect<void>
    /** Ranges asked for so far. */
    readonly requested: Effect.Effect<ReadonlyArray<BlockRange>>
    readonly reports: Effect.Effect<ReadonlyArray<ProviderFault>>
  }
>()("sluice/test/SimulatedChain") {}

const endpoint = "rpc-1"

/** `blocks` with `count` more on top. */
export const extend = (blocks: ReadonlyArray<RawBlock>, count: number, salt = 0): ReadonlyArray<RawBlock> => {
  const grown = [...blocks]
  for (let i = 0; i < count; i++) {
    grown.push(makeBlock(grown.length, grown.at(-1)?.block.hash ?? word("nothing"), salt))
  }
  return grown
}

/** A chain of `height + 1` blocks, genesis included, and its source. */
export const layer = (height: number, options: { readonly chunk?: number } = {}) =>
  Layer.effectContext(make(height, options.chunk ?? 4))

const make = Effect.fnUntraced(function* (height: number, chunk: number) {
  let salt = 0
  const grow = (blocks: ReadonlyArray<RawBlock>, count: number) => extend(blocks, count, salt)
  const chain = yield* Ref.make(grow([], height + 1))
  const heads = yield* PubSub.unbounded<BlockHeader>({ replay: 1 })
  const finalized = yield* Ref.make<number | undefined>(0)
  const failures = yield* Ref.make<ReadonlyArray<Reason>>([])
  const broken = yield* Ref.make<number | undefined>(undefined)
  const tampering = yield* Ref.make<ReadonlyArray<(raw: RawBlock) => RawBlock>>([])
  const requested = yield* Ref.make<ReadonlyArray<BlockRange>>([])
  const reports = yield* Ref.make<ReadonlyArray<ProviderFault>>([])

  const announce = Effect.gen(function* () {
    const top = (yield* Ref.get(chain)).at(-1)
    if (top !== undefined) yield* PubSub.publish(heads, headerOf(top))
  })
  yield* announce

  const fault = (reason: Reason) => new ProviderFault({ endpoint, method: "simulated", reason })
  const take = <A>(ref: Ref.Ref<ReadonlyArray<A>>) =>
    Ref.modify(ref, (items): [A | undefined, ReadonlyArray<A>] => [items[0], items.slice(1)])
  const headerAt = (number: number | undefined) =>
    Effect.map(Ref.get(chain), (blocks) => {
      const raw = number === undefined ? undefined : blocks[number]
      return raw === undefined ? undefined : headerOf(raw)
    })

  const blocks = Effect.fnUntraced(function* (range: BlockRange) {
    yield* Ref.update(requested, (ranges) => [...ranges, range])
    const bad = yield* Ref.get(broken)
    if (bad !== undefined && range.from <= bad && bad <= range.to) {
      return yield* fault(new Unavailable({ detail: `block ${bad} is broken` }))
    }
    const failure = yield* take(failures)
    if (failure !== undefined) return yield* fault(failure)
    const change = (yield* take(tampering)) ?? ((raw: RawBlock) => raw)
    const found = (yield* Ref.get(chain)).slice(range.from, range.to + 1)
    if (found.length < range.to - range.from + 1) {
      return yield* fault(new HeadLag({ detail: `null for block ${range.to}` }))
    }
    return found.map(change)
  })

  const source = ChainSource.of({
    heads: Stream.fromPubSub(heads),
    finalized: Effect.flatMap(Ref.get(finalized), headerAt),
    safe: Effect.undefined,
    headers: (numbers) => Effect.forEach(numbers, headerAt),
    everyHash: (number) =>
      Effect.map(headerAt(number), (header) => (header === undefined ? [] : [header.hash])),
    genesis: () => Effect.map(Ref.get(chain), ([genesis]) => genesis?.block.hash ?? word("nothing")),
    blocks: (range, prove) =>
      blocks(range).pipe(
        Effect.flatMap((raw) => Effect.forEach(raw, (block, i) => prove(block, range.from + i))),
        Effect.catchTag("Inconsistent", (reason) =>
          Effect.andThen(
            Ref.update(reports, (all) => [...all, fault(reason)]),
            Effect.fail(fault(reason))
          )
        ),
        Effect.retry({ times: 2, while: ({ reason }) => reason._tag === "Inconsistent" }),
        Effect.map((proven) => ({ endpoint, blocks: proven, bytes: proven.length * 1000 }))
      ),
    logs: (range, filter) =>
      Stream.unfold(range.from, (from) => {
        const page = { from, to: Math.min(range.to, from + chunk - 1) }
        return from > range.to
          ? Effect.undefined
          : Effect.map(blocks(page), (found) => {
              const last = headerOf(found.at(-1) as RawBlock)
              const logs = logsOf(found, filter)
              return [{ endpoint, range: page, logs, last, bytes: 1000 }, page.to + 1] as const
            })
      }),
    chunk: Effect.succeed({ blocks: chunk, bytes: 1000 }),
    logChunk: Effect.succeed(chunk),
    report: (wrong) => Ref.update(reports, (all) => [...all, wrong]),
    health: Effect.succeed([]),
    fetched: Effect.succeed(0)
  })

  const simulated = SimulatedChain.of({
    mine: (count) =>
      Effect.andThen(
        Ref.update(chain, (blocks) => grow(blocks, count)),
        announce
      ),
    reorg: (depth, replacement) =>
      Effect.suspend(() => {
        salt++
        return Effect.andThen(
          Ref.update(chain, (blocks) => grow(blocks.slice(0, blocks.length - depth), replacement)),
          announce
        )
      }),
    restart: (to) =>
      Effect.suspend(() => {
        salt++
        return Effect.andThen(Ref.set(chain, grow([], to + 1)), announce)
      }),
    blocks: Ref.get(chain),
    setFinalized: (number) => Ref.set(finalized, number),
    failNext: (reason) => Ref.update(failures, (reasons) => [...reasons, reason]),
    breakBlock: (number) => Ref.set(broken, number),
    tamperNext: (change) => Ref.update(tampering, (changes) => [...changes, change]),
    requested: Ref.get(requested),
    reports: Ref.get(reports)
  })
  return Context.make(SimulatedChain, simulated).pipe(Context.add(ChainSource, source))
})
