/**
 * A made-up chain that looks like mainnet and is valid down to the last hash, as the answers a node would give.
 *
 * **Details**
 *
 * Everything comes from one seed, so two machines measure the same bytes. Header hashes, transaction hashes, roots,
 * blooms, base fees, blob gas, contract addresses, block sizes and parent links are computed here with viem and a
 * list trie of its own, and deliberately not with Sluice's `Proof`: this chain is what `Proof` is judged by. Only
 * signatures and state roots are random, which nobody can check without senders or state.
 *
 * The answers are cached in `os.tmpdir()/sluice-bench-<hash>/`, keyed by this file and its options: making them
 * takes longer than most measurements.
 *
 * **Gotchas**
 *
 * Block 0 is empty, as a genesis is. Figures count blocks 1 to `blocks`.
 */
import { createHash } from "node:crypto"
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as immediate } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { keccak256, serializeTransaction, toRlp } from "viem"

/**
 * @typedef {`0x${string}`} Hex
 *
 * @typedef {object} Options
 * @property {number} [blocks] Height of the chain.
 * @property {number} [chainId]
 * @property {number} [seed]
 * @property {number} [density] Transactions of a block, 1 for as many as on mainnet.
 * @property {number} [tokens] Contracts that most transfers are of: the first of them most, the last seldom.
 * @property {number} [withdrawals] In each block.
 * @property {number} [steady] So many of the busiest tokens, of which one moves in the first transaction of each block.
 * @property {ReadonlyArray<Run>} [traffic] Blocks of Transfers and Swaps alone, so many in each, instead of mainnet's
 *   mixture; `blocks` follows from it, and `density` says nothing.
 * @property {(line: string) => void} [log]
 *
 * @typedef {readonly [blocks: number, events: number, seconds: number]} Run So many blocks with so many events in each,
 *   and their time apart; where that is less than a second, some have the same time.
 *
 * @typedef {object} Span Where a body lies in the file of answers.
 * @property {number} at
 * @property {number} length
 *
 * @typedef {object} BlockEntry
 * @property {Span} full `eth_getBlockByNumber(n, true)`.
 * @property {Span} light `eth_getBlockByNumber(n, false)`.
 * @property {Span} receipts `eth_getBlockReceipts(n)`, a JSON array.
 * @property {ReadonlyArray<number>} receiptLengths Bytes of each receipt inside of it.
 * @property {number} logs
 *
 * @typedef {object} Expected What a database that holds blocks 1 to `blocks` has to say, see `verify.mjs`.
 * @property {number} blocks
 * @property {number} transactions
 * @property {number} logs
 * @property {number} failed Transactions with status 0.
 * @property {string} blockGas Sum of gas used, by the headers.
 * @property {string} transactionGas The same by the receipts.
 * @property {string} value Wei, summed.
 * @property {string} blockHashes MD5 over all of them in order.
 * @property {string} transactionBytes MD5 over hash, from, to and input of each.
 * @property {string} logBytes MD5 over address, topics and data of each.
 *
 * @typedef {object} Chain
 * @property {string} folder
 * @property {number} chainId
 * @property {number} blocks
 * @property {number} bytes Of full blocks and receipts, as JSON.
 * @property {ReadonlyArray<BlockEntry>} entries
 * @property {ReadonlyArray<Hex>} tokens The busiest first.
 * @property {Expected} expected
 */

/** Of 1,000 blocks of mainnet; other heights get their share. */
const reference = { blocks: 1000, transactions: 142_737, logs: 291_683 }

const gwei = 1_000_000_000
const gasLimit = 36_000_000
const gasPerBlob = 131_072
/** EIP-7691: six blobs are the target, nine the most. */
const blobs = { target: 6, most: 9, updateFraction: 5_007_716n }

/** The chain's answers, made now or taken from the cache. @param {Options} [options] @returns {Promise<Chain>} */
export const load = async ({
  traffic = [],
  blocks = traffic.length === 0 ? 1000 : traffic.reduce((sum, [count]) => sum + count, 0),
  chainId = 31_337,
  seed = 20_250_507,
  density = 1,
  tokens = 1_500,
  withdrawals = 16,
  steady = 0,
  log = () => {}
} = {}) => {
  const source = readFileSync(fileURLToPath(import.meta.url))
  const key = createHash("sha256")
    .update(source)
    .update(JSON.stringify([blocks, chainId, seed, density, tokens, withdrawals, steady, traffic]))
  const folder = join(tmpdir(), `sluice-bench-${key.digest("hex").slice(0, 16)}`)
  if (!existsSync(join(folder, "chain.json"))) {
    log(`making ${blocks} blocks in ${folder}`)
    const started = performance.now()
    await make(folder, { blocks, chainId, seed, density, tokens, withdrawals, steady, traffic })
    log(`made in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  }
  return { ...JSON.parse(readFileSync(join(folder, "chain.json"), "utf8")), folder }
}

/** The file that the spans of a chain's entries point into. @param {string} folder */
export const answersFile = (folder) => join(folder, "answers.bin")

/** @param {string} folder @param {Required<Omit<Options, "log">>} options */
const make = async (folder, { blocks, chainId, density, seed, steady, tokens, traffic, withdrawals }) => {
  // Another run may be making the same chain: whoever is first renames its folder, and both are equal.
  const draft = `${folder}.${process.pid}`
  const remove = () => rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { recursive: true })
  process.once("exit", remove)
  try {
    const file = openSync(answersFile(draft), "w")
    const random = makeRandom(seed)
    const world = makeWorld(random, tokens, withdrawals)
    const plans =
      traffic.length === 0 ? planBlocks(random, blocks, density, steady) : planTraffic(random, traffic)
    const spacing = traffic.length === 0 ? [] : spacingOf(traffic)
    const sums = makeSums()
    let at = 0
    let bytes = 0
    /** @param {string} json @returns {Span} */
    const store = (json) => {
      const span = { at, length: writeSync(file, json, null, "latin1") }
      at += span.length
      return span
    }
    const entries = []
    let parent = genesisParent
    for (let number = 0; number <= blocks; number++) {
      const { block, receipts, seal } = makeBlock(
        random,
        world,
        chainId,
        number,
        parent,
        plans[number] ?? [],
        spacing[number]
      )
      parent = seal
      // Lets a signal through: half a minute is long to wait for a Ctrl-C.
      if (number % 10 === 0) await immediate()
      const bodies = receipts.map((receipt) => JSON.stringify(receipt))
      const full = store(JSON.stringify(block))
      const light = store(
        JSON.stringify({ ...block, transactions: block.transactions.map(({ hash }) => hash) })
      )
      const all = store(`[${bodies.join(",")}]`)
      const logs = receipts.reduce((sum, receipt) => sum + receipt.logs.length, 0)
      entries.push({ full, light, receipts: all, receiptLengths: bodies.map(({ length }) => length), logs })
      if (number === 0) continue
      bytes += full.length + all.length
      sums.add(block, receipts)
    }
    closeSync(file)
    const chain = { chainId, blocks, bytes, expected: sums.finish(), tokens: world.tokens, entries }
    writeFileSync(join(draft, "chain.json"), JSON.stringify(chain))
    if (!existsSync(folder)) renameSync(draft, folder)
  } finally {
    remove()
    process.off("exit", remove)
  }
}

// Chance, always the same one

/** sfc32: small, fast, and the same everywhere. @param {number} seed */
const makeRandom = (seed) => {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = 0xb7e15162
  let d = seed | 0
  const word = () => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
  for (let i = 0; i < 20; i++) word()
  const fraction = () => word() / 4_294_967_296
  /** @param {Buffer} buffer @param {number} from @param {number} to */
  const fill = (buffer, from, to) => {
    for (let i = from; i < to; ) {
      let bits = word()
      for (let j = 0; j < 4 && i < to; j++, i++) {
        buffer[i] = bits & 0xff
        bits >>>= 8
      }
    }
  }
  /** @param {number} size @returns {Hex} */
  const hex = (size) => {
    const buffer = Buffer.allocUnsafe(size)
    fill(buffer, 0, size)
    return `0x${buffer.toString("hex")}`
  }
  /** From `low` to `high`, both included. @param {number} low @param {number} high */
  const between = (low, high) => low + Math.floor(fraction() * (high - low + 1))
  return {
    fraction,
    fill,
    hex,
    between,
    /** @param {number} probability */
    chance: (probability) => fraction() < probability,
    /** @template A @param {ReadonlyArray<A>} items @returns {A} */
    pick: (items) => items[Math.floor(fraction() * items.length)],
    /** Few are met often, most seldom, as tokens and traders are. @template A @param {ReadonlyArray<A>} items @returns {A} */
    skewed: (items) => items[Math.floor(fraction() ** 3 * items.length)]
  }
}

/** @typedef {ReturnType<typeof makeRandom>} Random */

/** @param {Random} random @param {number} tokens @param {number} withdrawals */
const makeWorld = (random, tokens, withdrawals) => {
  /** @param {number} length @param {() => Hex} one @returns {ReadonlyArray<Hex>} */
  const many = (length, one) => Array.from({ length }, one)
  return {
    users: many(20_000, () => random.hex(20)),
    tokens: many(tokens, () => random.hex(20)),
    pools: many(800, () => random.hex(20)),
    routers: many(60, () => random.hex(20)),
    contracts: many(2_500, () => random.hex(20)),
    selectors: many(400, () => random.hex(4)),
    events: many(300, () => random.hex(32)),
    builders: many(12, () => random.hex(20)),
    validators: many(3_000, () => random.hex(20)),
    /** @type {Map<Hex, number>} */
    nonces: new Map(),
    withdrawals: { perBlock: withdrawals, next: 80_000_000 }
  }
}

/** @typedef {ReturnType<typeof makeWorld>} World */

// What happens in each block

/**
 * @typedef {object} Kind
 * @property {number} share Of all transactions.
 * @property {readonly [number, number]} input Bytes, from and to.
 * @property {readonly [number, number]} logs
 * @property {number} gas Beyond what every transaction and its input cost; scaled to how full the block is.
 */

/** @type {Readonly<Record<string, Kind>>} */
const kinds = {
  payment: { share: 0.27, input: [0, 0], logs: [0, 0], gas: 0 },
  tokenTransfer: { share: 0.27, input: [68, 68], logs: [1, 1], gas: 30_000 },
  approval: { share: 0.07, input: [68, 68], logs: [1, 1], gas: 25_000 },
  swap: { share: 0.17, input: [228, 900], logs: [3, 6], gas: 130_000 },
  aggregator: { share: 0.06, input: [500, 2_400], logs: [6, 16], gas: 350_000 },
  call: { share: 0.1, input: [4, 640], logs: [0, 4], gas: 90_000 },
  rollup: { share: 0.01, input: [1_500, 12_000], logs: [1, 3], gas: 150_000 },
  creation: { share: 0.005, input: [1_000, 16_000], logs: [0, 2], gas: 900_000 },
  blob: { share: 0.01, input: [100, 1_200], logs: [0, 1], gas: 60_000 },
  failure: { share: 0.035, input: [68, 900], logs: [0, 0], gas: 60_000 },
  // Of traffic alone, which says itself how many logs.
  payout: { share: 0, input: [100, 600], logs: [2, 2], gas: 200_000 },
  route: { share: 0, input: [228, 900], logs: [4, 4], gas: 200_000 }
}

const kindEntries = Object.entries(kinds)

/** @param {Random} random @returns {string} */
const drawKind = (random) => {
  let left = random.fraction()
  for (const [name, { share }] of kindEntries) {
    left -= share
    if (left < 0) return name
  }
  return "tokenTransfer"
}

/**
 * Kinds and numbers of logs for every transaction, with the totals hit exactly.
 *
 * @typedef {{kind: string, logs: number, busiest?: number}} Plan With the number of tokens to choose from.
 * @param {Random} random @param {number} blocks @param {number} density @param {number} steady
 * @returns {ReadonlyArray<ReadonlyArray<Plan>>}
 */
const planBlocks = (random, blocks, density, steady) => {
  const transactions = Math.round((reference.transactions * blocks * density) / reference.blocks)
  const logs = Math.round((reference.logs * blocks * density) / reference.blocks)
  // The sum of four dice is near enough to a bell: most blocks are around the mean, a few are small or twice as large.
  const counts = Array.from({ length: blocks }, () => {
    const bell = (random.fraction() + random.fraction() + random.fraction() + random.fraction()) / 4
    return Math.max(1, Math.round((20 + bell * 245) * density))
  })
  let excess = counts.reduce((sum, count) => sum + count, 0) - transactions
  for (let i = 0; excess !== 0; i = (i + 1) % blocks) {
    const step = Math.sign(excess)
    if (counts[i] - step < 1) continue
    counts[i] -= step
    excess -= step
  }
  const plans = counts.map((count) =>
    Array.from({ length: count }, (_, i) => {
      if (steady > 0 && i === 0) return { kind: "tokenTransfer", logs: 1, busiest: steady }
      const kind = drawKind(random)
      const [low, high] = kinds[kind].logs
      return { kind, logs: random.between(low, high) }
    })
  )
  const elastic = plans.flat().filter(({ kind }) => kind === "aggregator" || kind === "swap")
  let missing = logs - plans.flat().reduce((sum, plan) => sum + plan.logs, 0)
  while (missing !== 0) {
    const plan = random.pick(elastic)
    const step = Math.sign(missing)
    if (plan.logs + step < 2) continue
    plan.logs += step
    missing -= step
  }
  return [[], ...plans]
}

/** Logs of a hop of a route, and how many of them are events: a Transfer into the pool and one out of it, and the Swap. */
const hop = { logs: 4, events: 3 }

/** A block of many events has larger transactions rather than more, so that it fits below the gas limit. @param {Random} random @param {ReadonlyArray<Run>} traffic @returns {ReadonlyArray<ReadonlyArray<Plan>>} */
const planTraffic = (random, traffic) => {
  /** @param {number} events */
  const planBlock = (events) => {
    /** @type {Array<Plan>} */
    const plans = []
    for (let left = events; left > 0; ) {
      const sort = random.fraction()
      const hops = Math.min(
        Math.floor(left / hop.events),
        random.between(1, Math.max(2, Math.round(events / 500)))
      )
      const paid = Math.min(left, random.between(2, Math.max(8, Math.round(events / 40))))
      if (sort < 0.35 && hops > 0) {
        plans.push({ kind: "route", logs: hops * hop.logs })
        left -= hops * hop.events
      } else if (sort < 0.55) {
        plans.push({ kind: "payout", logs: paid })
        left -= paid
      } else {
        plans.push({ kind: "tokenTransfer", logs: 1 })
        left--
      }
    }
    return plans
  }
  const counts = traffic.flatMap(([blocks, events]) => Array.from({ length: blocks }, () => events))
  return [[], ...counts.map(planBlock)]
}

/** Whole seconds from each block's parent to it. @param {ReadonlyArray<Run>} traffic */
const spacingOf = (traffic) => {
  let time = 0
  const apart = traffic.flatMap(([blocks, , seconds]) =>
    Array.from({ length: blocks }, () => {
      const before = Math.floor(time)
      time += seconds
      return Math.floor(time) - before
    })
  )
  return [0, ...apart]
}

// Blocks

/** What the next block needs to know of this one. */
const genesisParent = {
  /** @type {Hex} */
  hash: `0x${"00".repeat(32)}`,
  timestamp: 1_746_612_299,
  gasUsed: gasLimit / 2,
  baseFee: 2 * gwei,
  blobGasUsed: 0,
  excessBlobGas: 0
}

/** @param {Random} random @param {World} world @param {number} chainId @param {number} number @param {typeof genesisParent} parent @param {ReadonlyArray<Plan>} plans @param {number} [seconds] since its parent */
const makeBlock = (random, world, chainId, number, parent, plans, seconds) => {
  const timestamp = parent.timestamp + (seconds ?? (random.chance(0.01) ? 24 : 12))
  const baseFee = nextBaseFee(parent)
  const excessBlobGas = Math.max(0, parent.excessBlobGas + parent.blobGasUsed - blobs.target * gasPerBlob)
  const context = {
    random,
    world,
    chainId,
    baseFee,
    blobPrice: blobPrice(excessBlobGas),
    blobsLeft: blobs.most
  }
  const drafts = plans.map((plan) => makeTransaction(context, plan))
  const gas = distributeGas(drafts, fullness(random, baseFee))
  const blobGasUsed = (blobs.most - context.blobsLeft) * gasPerBlob

  const blockBloom = Buffer.alloc(256)
  let cumulative = 0
  /** @type {Array<Uint8Array>} */
  const encodedReceipts = []
  const outcomes = drafts.map(({ status, logs, type }, i) => {
    cumulative += gas[i]
    const bloom = Buffer.alloc(256)
    for (const { address, topics } of logs) {
      addToBloom(bloom, address)
      for (const topic of topics) addToBloom(bloom, topic)
    }
    for (let j = 0; j < 256; j++) blockBloom[j] |= bloom[j]
    /** @type {Hex} */
    const logsBloom = `0x${bloom.toString("hex")}`
    const body = toRlp(
      [
        quantity(status),
        quantity(cumulative),
        logsBloom,
        logs.map(({ address, topics, data }) => [address, topics, data])
      ],
      "bytes"
    )
    encodedReceipts.push(type === 0 ? body : Buffer.concat([Uint8Array.of(type), body]))
    return { cumulative, logsBloom }
  })

  const withdrawals = number === 0 ? [] : makeWithdrawals(random, world)
  const encodedWithdrawals = withdrawals.map(({ index, validatorIndex, address, amount }) =>
    toRlp([index, validatorIndex, address, amount], "bytes")
  )
  const fields = {
    parentHash: parent.hash,
    sha3Uncles: emptyListHash,
    miner: random.skewed(world.builders),
    stateRoot: random.hex(32),
    transactionsRoot: listRoot(drafts.map(({ encoded }) => encoded)),
    receiptsRoot: listRoot(encodedReceipts),
    /** @type {Hex} */
    logsBloom: `0x${blockBloom.toString("hex")}`,
    difficulty: 0,
    number,
    gasLimit,
    gasUsed: cumulative,
    timestamp,
    extraData: text(
      random.pick(["beaverbuild.org", "Titan (titanbuilder.xyz)", "BuilderNet (Flashbots)", "reth/v1.3.12"])
    ),
    mixHash: random.hex(32),
    /** @type {Hex} */
    nonce: "0x0000000000000000",
    baseFeePerGas: baseFee,
    withdrawalsRoot: listRoot(encodedWithdrawals),
    blobGasUsed,
    excessBlobGas,
    parentBeaconBlockRoot: random.hex(32),
    requestsHash: noRequestsHash
  }
  const header = toRlp(
    Object.values(fields).map((field) => (typeof field === "number" ? quantity(field) : field)),
    "bytes"
  )
  const hash = keccak256(header)
  const size = listSize(
    header.length +
      listSize(
        drafts.reduce(
          (sum, { encoded, type }) => sum + (type === 0 ? encoded.length : stringSize(encoded.length)),
          0
        )
      ) +
      listSize(0) +
      listSize(encodedWithdrawals.reduce((sum, { length }) => sum + length, 0))
  )

  const place = { blockHash: hash, blockNumber: hexOf(number) }
  const transactions = drafts.map(({ json }, i) => ({ ...place, ...json, transactionIndex: hexOf(i) }))
  let logIndex = 0
  const receipts = drafts.map(({ json, type, status, logs, price, created, blobCount }, i) => ({
    type: hexOf(type),
    status: hexOf(status),
    cumulativeGasUsed: hexOf(outcomes[i].cumulative),
    logs: logs.map((log) => ({
      ...log,
      ...place,
      transactionHash: json.hash,
      transactionIndex: hexOf(i),
      blockTimestamp: hexOf(timestamp),
      logIndex: hexOf(logIndex++),
      removed: false
    })),
    logsBloom: outcomes[i].logsBloom,
    transactionHash: json.hash,
    transactionIndex: hexOf(i),
    ...place,
    gasUsed: hexOf(gas[i]),
    effectiveGasPrice: hexOf(price),
    from: json.from,
    to: json.to,
    contractAddress: created,
    ...(type === 3
      ? { blobGasUsed: hexOf(blobCount * gasPerBlob), blobGasPrice: hexOf(context.blobPrice) }
      : {})
  }))
  const block = {
    hash,
    ...Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, typeof field === "number" ? hexOf(field) : field])
    ),
    size: hexOf(size),
    uncles: [],
    transactions,
    withdrawals
  }
  return {
    block,
    receipts,
    seal: { hash, timestamp, gasUsed: cumulative, baseFee, blobGasUsed, excessBlobGas }
  }
}

/** EIP-1559. @param {typeof genesisParent} parent */
const nextBaseFee = ({ baseFee, gasUsed }) => {
  const target = gasLimit / 2
  if (gasUsed === target) return baseFee
  // Products exceed 2^53.
  const change = Number((BigInt(baseFee) * BigInt(Math.abs(gasUsed - target))) / BigInt(target) / 8n)
  return gasUsed > target ? baseFee + Math.max(1, change) : baseFee - change
}

/** EIP-4844's `fake_exponential(1, excess, fraction)`. @param {number} excess */
const blobPrice = (excess) => {
  const fraction = blobs.updateFraction
  let output = 0n
  let term = fraction
  for (let i = 1n; term > 0n; i++) {
    output += term
    term = (term * BigInt(excess)) / (fraction * i)
  }
  return Number(output / fraction)
}

/** Gas that a block aims at: demand falls as its price rises, so that the base fee stays around two gwei. @param {Random} random @param {number} baseFee */
const fullness = (random, baseFee) => {
  const demand = Math.min(0.25, Math.max(-0.25, Math.log2((2 * gwei) / baseFee) / 8))
  return gasLimit * Math.min(0.98, Math.max(0.1, 0.5 + demand + (random.fraction() - 0.5) * 0.5))
}

/** Gas used by each transaction, together near `aim`. @param {ReadonlyArray<{floor: number, gas: number, limit: number}>} drafts @param {number} aim */
const distributeGas = (drafts, aim) => {
  const floor = drafts.reduce((sum, draft) => sum + draft.floor, 0)
  const gas = drafts.reduce((sum, draft) => sum + draft.gas, 0)
  const scale = Math.min(3, Math.max(0.1, (aim - floor) / Math.max(1, gas)))
  return drafts.map((draft) => Math.min(draft.limit, draft.floor + Math.round(draft.gas * scale)))
}

/** @param {Random} random @param {World} world */
const makeWithdrawals = (random, world) =>
  Array.from({ length: world.withdrawals.perBlock }, () => ({
    index: hexOf(world.withdrawals.next++),
    validatorIndex: hexOf(random.between(1, 1_500_000)),
    address: random.pick(world.validators),
    amount: hexOf(random.between(15_000_000, 60_000_000))
  }))

// Transactions

/**
 * @typedef {object} Context
 * @property {Random} random
 * @property {World} world
 * @property {number} chainId
 * @property {number} baseFee
 * @property {number} blobPrice
 * @property {number} blobsLeft In this block; counted down.
 *
 * @param {Context} context @param {Plan} plan
 */
const makeTransaction = (context, plan) => {
  const { baseFee, chainId, random, world } = context
  const blobCount = plan.kind === "blob" ? Math.min(context.blobsLeft, random.between(1, 6)) : 0
  context.blobsLeft -= blobCount
  const type = blobCount > 0 ? 3 : random.chance(0.13) ? 0 : random.chance(0.01) ? 1 : 2
  const { gas: variable, input: inputRange } = kinds[plan.kind]
  const input = calldata(random, world, random.between(...inputRange))
  const from = random.skewed(world.users)
  const nonce = world.nonces.get(from) ?? random.between(0, 2_000)
  world.nonces.set(from, nonce + 1)
  const to = recipient(random, world, plan)
  const value =
    plan.kind === "payment" || random.chance(0.12)
      ? BigInt(random.between(1, 4e9)) * BigInt(random.between(1, 4e9))
      : 0n
  const tip = random.between(gwei / 100, 2 * gwei)
  const mostFee = baseFee * 2 + tip
  const price = baseFee + tip
  // EIP-7623's floor, 40 gas a byte at most, covers the usual 16 a byte too.
  const floor = 21_000 + 20 * ((input.length - 2) / 2) + (to === null ? 32_000 : 0)
  const limit = plan.kind === "payment" ? 21_000 : floor + variable * 3
  const accessList =
    type === 1 || (type === 2 && random.chance(0.04))
      ? Array.from({ length: random.between(1, 3) }, () => ({
          address: random.skewed(world.contracts),
          storageKeys: Array.from({ length: random.between(0, 3) }, () => random.hex(32))
        }))
      : []
  const r = random.hex(32)
  const s = random.hex(32)
  const parity = random.between(0, 1)
  const v = type === 0 ? chainId * 2 + 35 + parity : parity
  const blobVersionedHashes = Array.from(
    { length: blobCount },
    /** @returns {Hex} */ () => `0x01${random.hex(31).slice(2)}`
  )
  const blobFee = context.blobPrice * 2 + random.between(1, gwei)

  const common = { chainId, nonce, to, value, data: input, gas: BigInt(limit) }
  const fees = { maxFeePerGas: BigInt(mostFee), maxPriorityFeePerGas: BigInt(tip) }
  const unsigned = [
    () => ({ ...common, type: "legacy", gasPrice: BigInt(price) }),
    () => ({ ...common, type: "eip2930", gasPrice: BigInt(price), accessList }),
    () => ({ ...common, type: "eip1559", ...fees, accessList }),
    () => ({
      ...common,
      type: "eip4844",
      ...fees,
      accessList,
      blobVersionedHashes,
      maxFeePerBlobGas: BigInt(blobFee)
    })
  ][type]()
  // viem's own types tell the four apart by more than a plain object shows.
  const serialized = serializeTransaction(/** @type {any} */ (unsigned), {
    r,
    s,
    yParity: parity,
    v: BigInt(v)
  })
  const encoded = Buffer.from(serialized.slice(2), "hex")

  const json = {
    hash: keccak256(encoded),
    type: hexOf(type),
    from,
    to,
    nonce: hexOf(nonce),
    gas: hexOf(limit),
    gasPrice: hexOf(price),
    ...(type >= 2 ? { maxFeePerGas: hexOf(mostFee), maxPriorityFeePerGas: hexOf(tip) } : {}),
    ...(type === 3 ? { maxFeePerBlobGas: hexOf(blobFee), blobVersionedHashes } : {}),
    value: hexOf(value),
    input,
    ...(type >= 1 ? { accessList, yParity: hexOf(parity) } : {}),
    chainId: hexOf(chainId),
    v: hexOf(v),
    r: quantityHex(r),
    s: quantityHex(s)
  }
  /** @type {Hex | null} */
  const created = to === null ? `0x${keccak256(toRlp([from, quantity(nonce)])).slice(26)}` : null
  return {
    type,
    encoded,
    json,
    price,
    floor,
    limit,
    created,
    blobCount,
    gas: plan.kind === "payment" ? 0 : Math.round(variable * (0.4 + random.fraction() * 1.2)),
    status: plan.kind === "failure" ? 0 : 1,
    logs: makeLogs(random, world, plan, from, to)
  }
}

/** @param {Random} random @param {World} world @param {Plan} plan @returns {Hex | null} */
const recipient = (random, world, { busiest, kind }) => {
  if (busiest !== undefined) return random.skewed(world.tokens.slice(0, busiest))
  if (kind === "creation") return null
  if (kind === "payment") return random.skewed(world.users)
  if (kind === "tokenTransfer" || kind === "approval") return random.skewed(world.tokens)
  if (kind === "swap" || kind === "aggregator" || kind === "route") return random.skewed(world.routers)
  return random.skewed(world.contracts)
}

/** A selector and words as the ABI pads them: addresses, amounts, and some that look like noise. @param {Random} random @param {World} world @param {number} size @returns {Hex} */
const calldata = (random, world, size) => {
  if (size === 0) return "0x"
  const buffer = Buffer.alloc(size)
  buffer.write(random.skewed(world.selectors).slice(2), 0, "hex")
  for (let at = 4; at < size; at += 32) {
    const sort = random.fraction()
    const zeros = sort < 0.35 ? 12 : sort < 0.75 ? random.between(22, 30) : 0
    random.fill(buffer, Math.min(size, at + zeros), Math.min(size, at + 32))
  }
  return `0x${buffer.toString("hex")}`
}

// Logs

/** @param {string} signature @returns {Hex} */
const topicOf = (signature) => keccak256(Buffer.from(signature))

const topics = {
  transfer: topicOf("Transfer(address,address,uint256)"),
  approval: topicOf("Approval(address,address,uint256)"),
  sync: topicOf("Sync(uint112,uint112)"),
  swap2: topicOf("Swap(address,uint256,uint256,uint256,uint256,address)"),
  swap3: topicOf("Swap(address,address,int256,int256,uint160,uint128,int24)"),
  deposit: topicOf("Deposit(address,uint256)"),
  withdrawal: topicOf("Withdrawal(address,uint256)")
}

/** @param {Hex} address @returns {Hex} */
const padded = (address) => `0x${"00".repeat(12)}${address.slice(2)}`

/** @param {Random} random @param {number} words @returns {Hex} */
const amounts = (random, words) => {
  const buffer = Buffer.alloc(32 * words)
  for (let at = 0; at < buffer.length; at += 32) random.fill(buffer, at + random.between(20, 29), at + 32)
  return `0x${buffer.toString("hex")}`
}

/**
 * @typedef {{address: Hex, topics: ReadonlyArray<Hex>, data: Hex}} Log
 * @param {Random} random @param {World} world @param {Plan} plan @param {Hex} from @param {Hex | null} to
 * @returns {ReadonlyArray<Log>}
 */
const makeLogs = (random, world, plan, from, to) => {
  if (plan.kind === "approval") return [approvalLog(random, world, from, to)]
  if (plan.kind === "tokenTransfer") {
    return [transferLog(random, to ?? random.skewed(world.tokens), from, random.skewed(world.users))]
  }
  if (plan.kind === "payout") {
    return Array.from({ length: plan.logs }, () =>
      transferLog(random, random.skewed(world.tokens), from, random.skewed(world.users))
    )
  }
  if (plan.kind === "route") {
    return Array.from({ length: plan.logs / hop.logs }, () => hopLogs(random, world, from, to)).flat()
  }
  const trades = plan.kind === "swap" || plan.kind === "aggregator"
  /** @type {Array<Log>} */
  const logs = []
  while (logs.length < plan.logs) {
    if (trades) logs.push(...tradeLogs(random, world, from, to))
    else logs.push(random.chance(0.4) ? nftLog(random, world, from) : anyLog(random, world, from))
  }
  return logs.slice(0, plan.logs)
}

/** @param {Random} random @param {Hex} token @param {Hex} from @param {Hex} to @returns {Log} */
const transferLog = (random, token, from, to) => ({
  address: token,
  topics: [topics.transfer, padded(from), padded(to)],
  data: amounts(random, 1)
})

/** @param {Random} random @param {World} world @param {Hex} from @param {Hex | null} to @returns {Log} */
const approvalLog = (random, world, from, to) => ({
  address: to ?? random.skewed(world.tokens),
  topics: [topics.approval, padded(from), padded(random.skewed(world.routers))],
  data: random.chance(0.5) ? `0x${"ff".repeat(32)}` : amounts(random, 1)
})

/** One hop through a pool. @param {Random} random @param {World} world @param {Hex} from @param {Hex | null} to @returns {ReadonlyArray<Log>} */
const tradeLogs = (random, world, from, to) => {
  const pool = random.skewed(world.pools)
  const router = to ?? random.skewed(world.routers)
  const paid = transferLog(random, random.skewed(world.tokens), from, pool)
  const got = transferLog(random, random.skewed(world.tokens), pool, from)
  const wrapped = {
    address: world.tokens[0],
    topics: [random.chance(0.5) ? topics.deposit : topics.withdrawal, padded(router)],
    data: amounts(random, 1)
  }
  const hop = random.chance(0.5)
    ? [
        { address: pool, topics: [topics.sync], data: amounts(random, 2) },
        { address: pool, topics: [topics.swap2, padded(router), padded(from)], data: amounts(random, 4) }
      ]
    : [{ address: pool, topics: [topics.swap3, padded(router), padded(from)], data: amounts(random, 5) }]
  return random.chance(0.3) ? [wrapped, paid, got, ...hop] : [paid, got, ...hop]
}

/** Pools that routes go through. */
const pairs = 40

const zeroWord = "0".repeat(64)

/** A swap whose amounts are those of its two transfers. @param {Random} random @param {World} world @param {Hex} from @param {Hex | null} to @returns {ReadonlyArray<Log>} */
const hopLogs = (random, world, from, to) => {
  const pool = random.skewed(world.pools.slice(0, pairs))
  const paid = transferLog(random, random.skewed(world.tokens), from, pool)
  const got = transferLog(random, random.skewed(world.tokens), pool, from)
  const [paidWord, gotWord] = [paid, got].map(({ data }) => data.slice(2))
  /** @type {Hex} */
  const data = random.chance(0.5)
    ? `0x${paidWord}${zeroWord}${zeroWord}${gotWord}`
    : `0x${zeroWord}${paidWord}${gotWord}${zeroWord}`
  return [
    paid,
    got,
    { address: pool, topics: [topics.sync], data: amounts(random, 2) },
    { address: pool, topics: [topics.swap2, padded(to ?? from), padded(from)], data }
  ]
}

/** @param {Random} random @param {World} world @param {Hex} from @returns {Log} */
const nftLog = (random, world, from) => ({
  address: random.skewed(world.contracts),
  topics: [topics.transfer, padded(from), padded(random.skewed(world.users)), amounts(random, 1)],
  data: "0x"
})

/** Any other event; one in a hundred is anonymous. @param {Random} random @param {World} world @param {Hex} from @returns {Log} */
const anyLog = (random, world, from) => ({
  address: random.skewed(world.contracts),
  topics: random.chance(0.01)
    ? []
    : [random.skewed(world.events), padded(from), random.hex(32)].slice(0, random.between(1, 3)),
  data: amounts(random, random.between(0, 8))
})

// Consensus encodings

/** A number as its RLP bytes: zero is the empty string. @param {number} value @returns {Hex} */
const quantity = (value) => (value === 0 ? "0x" : hexOf(value))

/** @param {number | bigint} value @returns {Hex} */
const hexOf = (value) => `0x${value.toString(16)}`

/** Random 32 bytes as the number that a node sends: without leading zeros. @param {Hex} hex @returns {Hex} */
const quantityHex = (hex) => hexOf(BigInt(hex))

/** @param {string} value @returns {Hex} */
const text = (value) => `0x${Buffer.from(value).toString("hex")}`

const emptyListHash = keccak256("0xc0")

/** EIP-7685: SHA-256 of nothing, since no block here has requests. @type {Hex} */
const noRequestsHash = `0x${createHash("sha256").digest("hex")}`

/** Bytes of an RLP string's or list's prefix. @param {number} length */
const prefixSize = (length) => (length < 56 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 4)

/** @param {number} length */
const listSize = (length) => prefixSize(length) + length

/** Of a string that is longer than one byte. @param {number} length */
const stringSize = (length) => prefixSize(length) + length

/** Users, tokens and event names come again and again. @type {Map<Hex, ReadonlyArray<number>>} */
const bloomBits = new Map()

/** @param {Buffer} bloom @param {Hex} item */
const addToBloom = (bloom, item) => {
  let bits = bloomBits.get(item)
  if (bits === undefined) {
    const hash = keccak256(item, "bytes")
    bits = [0, 2, 4].map((i) => ((hash[i] << 8) | hash[i + 1]) & 2047)
    bloomBits.set(item, bits)
  }
  for (const bit of bits) bloom[255 - (bit >> 3)] |= 1 << (bit & 7)
}

/**
 * The root of the Merkle Patricia trie that maps `rlp(index)` to each value.
 *
 * @typedef {readonly [path: string, value: Uint8Array]} Entry Path in hex digits.
 * @param {ReadonlyArray<Uint8Array>} values @returns {Hex}
 */
const listRoot = (values) => {
  if (values.length === 0) return keccak256("0x80")
  const entries = values.map((value, i) => /** @type {Entry} */ ([toRlp(quantity(i)).slice(2), value]))
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return keccak256(toRlp(trieNode(entries, 0), "bytes"))
}

/**
 * No path is the beginning of another one, as RLP keys are, so no branch has a value of its own.
 *
 * @typedef {Uint8Array | ReadonlyArray<Node>} Node
 * @param {ReadonlyArray<Entry>} entries sorted, sharing their first `depth` digits
 * @param {number} depth
 * @returns {any} a `Node`; viem's type of what it encodes is not recursive in its readonly form
 */
const trieNode = (entries, depth) => {
  const [first, value] = entries[0]
  if (entries.length === 1) return [compact(first.slice(depth), true), value]
  const last = entries[entries.length - 1][0]
  let shared = depth
  while (first[shared] === last[shared]) shared++
  if (shared > depth)
    return [compact(first.slice(depth, shared), false), reference32(trieNode(entries, shared))]
  const branch = Array.from({ length: 17 }, () => new Uint8Array(0))
  for (let from = 0; from < entries.length; ) {
    const digit = entries[from][0][depth]
    let to = from + 1
    while (to < entries.length && entries[to][0][depth] === digit) to++
    branch[Number.parseInt(digit, 16)] = reference32(trieNode(entries.slice(from, to), depth + 1))
    from = to
  }
  return branch
}

/** A node of less than 32 bytes stands in its parent, a larger one is named by its hash. @param {any} node @returns {any} */
const reference32 = (node) => {
  const encoded = toRlp(node, "bytes")
  return encoded.length < 32 ? node : keccak256(encoded, "bytes")
}

/** Hex-prefix encoding. @param {string} digits @param {boolean} leaf */
const compact = (digits, leaf) => {
  const odd = digits.length % 2
  return Uint8Array.from(Buffer.from(`${(leaf ? 2 : 0) + odd}${odd === 1 ? "" : "0"}${digits}`, "hex"))
}

// What has to be in the database afterwards

const makeSums = () => {
  const blockHashes = createHash("md5")
  const transactionBytes = createHash("md5")
  const logBytes = createHash("md5")
  const counts = { blocks: 0, transactions: 0, logs: 0, failed: 0 }
  let blockGas = 0n
  let transactionGas = 0n
  let value = 0n
  /** @param {ReadonlyArray<Hex | null>} items */
  const bytes = (items) => Buffer.from(items.map((item) => item?.slice(2) ?? "").join(""), "hex")
  return {
    /** @param {any} block @param {ReadonlyArray<any>} receipts */
    add: (block, receipts) => {
      counts.blocks++
      counts.transactions += block.transactions.length
      blockHashes.update(bytes([block.hash]))
      blockGas += BigInt(block.gasUsed)
      for (const transaction of block.transactions) {
        transactionBytes.update(
          bytes([transaction.hash, transaction.from, transaction.to, transaction.input])
        )
        value += BigInt(transaction.value)
      }
      for (const receipt of receipts) {
        transactionGas += BigInt(receipt.gasUsed)
        if (receipt.status === "0x0") counts.failed++
        counts.logs += receipt.logs.length
        for (const log of receipt.logs) logBytes.update(bytes([log.address, ...log.topics, log.data]))
      }
    },
    /** @returns {Expected} */
    finish: () => ({
      ...counts,
      blockGas: `${blockGas}`,
      transactionGas: `${transactionGas}`,
      value: `${value}`,
      blockHashes: blockHashes.digest("hex"),
      transactionBytes: transactionBytes.digest("hex"),
      logBytes: logBytes.digest("hex")
    })
  }
}
