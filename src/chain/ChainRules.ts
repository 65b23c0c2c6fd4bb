/**
 * Which chains hash their blocks as Ethereum does, and what it means when a block does not hash to its hash.
 *
 * **Details**
 *
 * A hash that fits proves itself on every chain. Only a hash that does not fit needs knowledge of the chain:
 * somebody changed the data, or the chain (or a fork to come) hashes something that this version does not know.
 *
 * - Chains of `ownRules` are not tried. Some of their blocks would fit, others never will, and a coverage that
 *   alternates between `proven` and `linked` helps nobody.
 * - Chains of `ethereumRules` get no benefit of the doubt: unknown fields and transaction types excuse a block
 *   only if it has every header field of the newest known fork too, which is how a later fork would look.
 * - On all others an unknown header field or transaction type makes a block unprovable. A block with nothing
 *   unknown in it is expected to fit: private chains and most of Ethereum's relatives do.
 */
import type { RawBlock, RpcBlock } from "./Block.ts"

const ethereumRules: ReadonlySet<number> = new Set([
  1, // Ethereum
  5, // Goerli
  17_000, // Holesky
  560_048, // Hoodi
  11_155_111, // Sepolia
  1_337, // geth --dev, Ganache
  31_337 // Anvil, Hardhat
])

/** Of the OP Stack, and known to hash deposits and their receipts as it says. */
const depositChains: ReadonlySet<number> = new Set([
  10, // OP Mainnet
  130, // Unichain
  8_453, // Base
  84_532, // Base Sepolia
  11_155_420 // OP Sepolia
])

const developmentChains: ReadonlySet<number> = new Set([1_337, 31_337])

const ownRules: ReadonlyMap<number, string> = new Map([
  [
    25,
    "Cronos lists transactions and logs that its roots do not cover, and its headers do not hash to their hash"
  ],
  [30, "Rootstock hashes merged-mining fields, and keeps its transactions in a trie of its own kind"],
  [31, "Rootstock hashes merged-mining fields, and keeps its transactions in a trie of its own kind"],
  [88, "Viction hashes validator fields into its headers"],
  [137, "Polygon's state-sync transactions stand outside the transactions root and the receipts root"],
  [80_002, "Polygon's state-sync transactions stand outside the transactions root and the receipts root"],
  [300, "zkSync has zero roots and a zero bloom filter"],
  [324, "zkSync has zero roots and a zero bloom filter"],
  [988, "Stable's headers do not hash to their hash"],
  [2_201, "Stable's headers do not hash to their hash"],
  [998, "Hyperliquid's system transactions stand outside the transactions root"],
  [999, "Hyperliquid's system transactions stand outside the transactions root"],
  [4_217, "Tempo hashes header fields of its own"],
  [42_431, "Tempo hashes header fields of its own"]
])

/** Why blocks of this chain cannot be proven, if they cannot. */
export const unprovable = (chainId: number): string | undefined => ownRules.get(chainId)

export const hasDeposits = (chainId: number): boolean => depositChains.has(chainId)

export const followsEthereum = (chainId: number): boolean => ethereumRules.has(chainId)

/** Fields of a block's JSON that are part of the header, repeat it, or never were in one. */
const knownFields: ReadonlySet<string> = new Set([
  "number",
  "hash",
  "parentHash",
  "timestamp",
  "miner",
  "sha3Uncles",
  "stateRoot",
  "transactionsRoot",
  "receiptsRoot",
  "logsBloom",
  "difficulty",
  "gasLimit",
  "gasUsed",
  "extraData",
  "mixHash",
  "nonce",
  "baseFeePerGas",
  "withdrawalsRoot",
  "blobGasUsed",
  "excessBlobGas",
  "parentBeaconBlockRoot",
  "requestsHash",
  "author",
  "sealFields",
  "size",
  "totalDifficulty",
  "transactions",
  "uncles",
  "withdrawals",
  // BNB Smart Chain and Arbitrum: read out of the header's own fields.
  "milliTimestamp",
  "l1BlockNumber",
  "sendCount",
  "sendRoot"
])

/** Fields that may be part of this block's header without this version knowing how to hash them. */
export const unknownFields = (block: RpcBlock): ReadonlyArray<string> =>
  Object.entries(block)
    .filter(([name, value]) => !knownFields.has(name) && value !== null && value !== undefined)
    .map(([name]) => name)

/** Whether what is unknown in this block may come from rules that this version does not know. */
export const mayHaveNewRules = (chainId: number, block: RpcBlock): boolean =>
  !followsEthereum(chainId) || (block.requestsHash !== undefined && block.requestsHash !== null)

/**
 * Whether the transactions root may be Anvil's for blob transactions: it covers them with their sidecars, as they
 * travel between nodes, and its answers hold the sidecars as well. No other node sends those.
 */
export const hashesSidecars = (chainId: number, block: RpcBlock): boolean =>
  developmentChains.has(chainId) && block.transactions.some((transaction) => "blobs" in transaction)

/** The same of a block whose sidecars nobody kept. */
export const mayHashSidecars = (chainId: number, block: RpcBlock): boolean =>
  developmentChains.has(chainId) && block.transactions.some(({ type }) => Number(type) === 3)

/** Some nodes leave out `depositReceiptVersion`, and then nobody can tell what the receipts root covers. */
export const lacksDepositVersion = (chainId: number, { block, receipts }: RawBlock): boolean =>
  hasDeposits(chainId) &&
  receipts.some(
    ({ depositReceiptVersion }, i) =>
      !depositReceiptVersion && Number(block.transactions[i]?.type ?? 0) === 0x7e
  )
