/**
 * Well-formed, linked blocks from a seed, with everything in them that a column may have to take: all transaction
 * types, withdrawals, receipts from before Byzantium, huge values, empty data. Hashes are random: nothing here proves.
 */
import type {
  Hex,
  RawBlock,
  RpcBlock,
  RpcLog,
  RpcReceipt,
  RpcTransaction,
  RpcWithdrawal
} from "../../src/chain/Block.ts"

export interface Random {
  /** Below `limit`. */
  readonly int: (limit: number) => number
  readonly bytes: (length: number) => Hex
  readonly pick: <A>(first: A, ...rest: ReadonlyArray<A>) => A
}

/** mulberry32 */
export const random = (seed: number): Random => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
  const int = (limit: number) => Math.floor((next() / 0x1_0000_0000) * limit)
  const bytes = (length: number): Hex => {
    const digits: Array<string> = []
    for (let left = length * 2; left > 0; left -= 8) {
      digits.push(next().toString(16).padStart(8, "0").slice(0, Math.min(8, left)))
    }
    return `0x${digits.join("")}`
  }
  return { int, bytes, pick: (first, ...rest) => [first, ...rest][int(rest.length + 1)] ?? first }
}

export const hex = (value: number | bigint): Hex => `0x${value.toString(16)}`

const maxUint256: Hex = `0x${"f".repeat(64)}`

/** As nodes send it: without leading zeros. */
const quantity = (r: Random, bytes: number): Hex => hex(BigInt(r.bytes(bytes)))

const amount = (r: Random): Hex =>
  r.int(20) === 0
    ? maxUint256
    : r.pick(hex(0), hex(r.int(1e6)), quantity(r, 8), quantity(r, 8), quantity(r, 12))

const signature = (r: Random) => ({ r: quantity(r, 32), s: r.pick(quantity(r, 32), quantity(r, 31), "0x0") })

const typed = (r: Random, type: number): Partial<RpcTransaction> => {
  const fees = {
    maxFeePerGas: quantity(r, 6),
    maxPriorityFeePerGas: quantity(r, 4),
    gasPrice: quantity(r, 5)
  }
  const accessList = Array.from({ length: r.pick(0, 0, 0, 0, 0, 0, 0, r.int(4)) }, () => ({
    address: r.bytes(20),
    storageKeys: Array.from({ length: r.int(3) }, () => r.bytes(32))
  }))
  const parity = r.pick<Hex>("0x0", "0x1")
  const common = { chainId: hex(1), yParity: parity, v: parity, accessList, ...signature(r) }
  switch (type) {
    case 0:
      return {
        ...signature(r),
        v: r.pick<Hex>("0x1b", "0x25", hex(2n ** 63n + 36n)),
        gasPrice: quantity(r, 5)
      }
    case 1:
      return { ...common, gasPrice: quantity(r, 5) }
    case 3:
      return {
        ...common,
        ...fees,
        maxFeePerBlobGas: quantity(r, 5),
        blobVersionedHashes: Array.from({ length: 1 + r.int(5) }, () => r.bytes(32))
      }
    case 4:
      return {
        ...common,
        ...fees,
        authorizationList: [
          { chainId: "0x1", address: r.bytes(20), nonce: hex(r.int(99)), yParity: parity, ...signature(r) }
        ]
      }
    case 0x7e:
      return { sourceHash: r.bytes(32), mint: quantity(r, 8), isSystemTx: false }
    default:
      return { ...common, ...fees }
  }
}

const makeTransaction = (r: Random, i: number, types: ReadonlyArray<number>): RpcTransaction => {
  const type = types[r.int(types.length)] ?? 0
  return {
    hash: r.bytes(32),
    transactionIndex: hex(i),
    type: hex(type),
    from: r.bytes(20),
    to: r.int(20) === 0 ? null : r.bytes(20),
    value: amount(r),
    nonce: hex(r.int(2 ** 31)),
    gas: hex(21_000 + r.int(1e7)),
    input: r.bytes(r.pick(0, 4, 4 + 32 * r.int(8), 68, 132)),
    ...typed(r, type)
  }
}

const makeLog = (r: Random, logIndex: number, transactionIndex: number, transactionHash: Hex): RpcLog => ({
  address: r.bytes(20),
  topics: Array.from({ length: r.pick(0, 1, 2, 3, 3, 3, 4) }, () => r.bytes(32)),
  data: r.bytes(32 * r.pick(0, 1, 1, 1, 2, 6)),
  logIndex: hex(logIndex),
  transactionIndex: hex(transactionIndex),
  transactionHash
})

export interface BlockOptions {
  readonly seed: number
  readonly number: number
  readonly parentHash: Hex
  readonly transactions?: number
  readonly logs?: number
  /** `frontier`: state roots in receipts, and no field that came later. */
  readonly era?: "frontier" | "prague"
  readonly types?: ReadonlyArray<number>
}

export const makeBlock = (options: BlockOptions): RawBlock => {
  const r = random(options.seed * 7919 + options.number)
  const modern = (options.era ?? "prague") === "prague"
  const types = options.types ?? (modern ? [0, 1, 2, 2, 2, 3, 4] : [0])
  const count = options.transactions ?? r.pick(0, r.int(8), r.int(200))
  const transactions = Array.from({ length: count }, (_, i) => makeTransaction(r, i, types))
  let left = options.logs ?? r.int(count * 3 + 1)
  let logIndex = 0
  let cumulative = 0
  const receipts = transactions.map((transaction, i): RpcReceipt => {
    const share = i === count - 1 ? left : Math.min(left, r.int(5))
    left -= share
    const gasUsed = 21_000 + r.int(1e6)
    cumulative += gasUsed
    const blobs = transaction.blobVersionedHashes?.length
    return {
      transactionHash: transaction.hash,
      transactionIndex: hex(i),
      type: transaction.type ?? null,
      ...(modern ? { status: r.pick<Hex>("0x1", "0x1", "0x0") } : { root: r.bytes(32) }),
      cumulativeGasUsed: hex(cumulative),
      gasUsed: hex(gasUsed),
      contractAddress: transaction.to === null ? r.bytes(20) : null,
      effectiveGasPrice: quantity(r, 5),
      ...(blobs === undefined ? {} : { blobGasUsed: hex(blobs * 131_072), blobGasPrice: quantity(r, 4) }),
      ...(transaction.type === "0x7e" ? { depositNonce: hex(i), depositReceiptVersion: hex(1) } : {}),
      logsBloom: `0x${"00".repeat(256)}`,
      logs: Array.from({ length: share }, () => makeLog(r, logIndex++, i, transaction.hash))
    }
  })
  const block: RpcBlock = {
    number: hex(options.number),
    hash: r.bytes(32),
    parentHash: options.parentHash,
    timestamp: hex(1_500_000_000 + options.number * 12),
    miner: r.bytes(20),
    sha3Uncles: r.bytes(32),
    stateRoot: r.bytes(32),
    transactionsRoot: r.bytes(32),
    receiptsRoot: r.bytes(32),
    logsBloom: r.bytes(256),
    difficulty: modern ? "0x0" : quantity(r, 7),
    totalDifficulty: r.pick<Hex | null>(null, quantity(r, 10)),
    gasLimit: r.pick<Hex>("0x1c9c380", hex(2n ** 64n - 1n)),
    gasUsed: hex(cumulative),
    extraData: r.bytes(r.int(33)),
    mixHash: r.bytes(32),
    nonce: "0x0000000000000000",
    size: r.pick<Hex | null>(null, hex(500 + r.int(1e6))),
    ...(modern
      ? {
          baseFeePerGas: quantity(r, 5),
          withdrawalsRoot: r.bytes(32),
          withdrawals: makeWithdrawals(r, options.number),
          blobGasUsed: hex(131_072 * r.int(7)),
          excessBlobGas: hex(r.int(1e9)),
          parentBeaconBlockRoot: r.bytes(32),
          requestsHash: r.bytes(32)
        }
      : {}),
    transactions
  }
  return { block, receipts }
}

const makeWithdrawals = (r: Random, number: number): ReadonlyArray<RpcWithdrawal> =>
  Array.from({ length: r.pick(0, 16) }, (_, i) => ({
    index: hex(number * 16 + i),
    validatorIndex: hex(r.int(1e6)),
    address: r.bytes(20),
    amount: r.pick(hex(r.int(1e9)), hex(32_000_000_000))
  }))

/** `count` blocks from `from` on, each the parent of the next. */
export const chain = (
  options: Omit<BlockOptions, "number" | "parentHash"> & {
    readonly from: number
    readonly count: number
    readonly parentHash?: Hex
  }
): ReadonlyArray<RawBlock> => {
  const blocks: Array<RawBlock> = []
  let parentHash = options.parentHash ?? random(options.seed).bytes(32)
  for (let i = 0; i < options.count; i++) {
    const block = makeBlock({ ...options, number: options.from + i, parentHash })
    parentHash = block.block.hash
    blocks.push(block)
  }
  return blocks
}
