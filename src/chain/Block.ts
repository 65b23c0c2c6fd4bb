/**
 * A block as a provider sends it, before anything of it is believed.
 *
 * Quantities and bytes stay the hex strings that they were on the wire until they become columns: a block of
 * mainnet has tens of thousands of them. `parse` (see `BlockParser`) has checked that every field below that is
 * not optional is there and is a string of the right length; whether the values are true is for `Proof` to say.
 */

/** A hex string with its `0x`, lower or upper case. */
export type Hex = `0x${string}`

/** The four fields that place a block in its chain. */
export interface BlockHeader {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
  /** Seconds since 1970. */
  readonly timestamp: number
}

/**
 * What is known of a block's truth. `proven`: header hash, transactions root, receipts root and bloom were
 * recomputed from the answer and fit. `linked`: only its place in the chain and its own consistency were checked.
 */
export type ProofLevel = "proven" | "linked"

/** What of a range is stored: whole blocks and how far they are proven, or the events of some contracts alone. */
export type CoverageLevel = ProofLevel | "events"

export interface RpcLog {
  readonly address: Hex
  readonly topics: ReadonlyArray<Hex>
  readonly data: Hex
  readonly logIndex: Hex
  readonly transactionIndex: Hex
  readonly transactionHash: Hex
}

export interface RpcReceipt {
  readonly transactionHash: Hex
  readonly transactionIndex: Hex
  readonly type?: Hex | null
  /** Since Byzantium. */
  readonly status?: Hex | null
  /** Before Byzantium, the state root after the transaction; some nodes send it beside a meaningless status. */
  readonly root?: Hex | null
  readonly cumulativeGasUsed: Hex
  readonly gasUsed: Hex
  readonly contractAddress?: Hex | null
  readonly effectiveGasPrice?: Hex | null
  readonly blobGasUsed?: Hex | null
  readonly blobGasPrice?: Hex | null
  readonly logsBloom: Hex
  readonly logs: ReadonlyArray<RpcLog>
  /** Deposits of the OP Stack; in the receipts root since Canyon, which brought the version. */
  readonly depositNonce?: Hex | null
  readonly depositReceiptVersion?: Hex | null
}

export interface RpcAccessListItem {
  readonly address: Hex
  readonly storageKeys: ReadonlyArray<Hex>
}

export interface RpcAuthorization {
  readonly chainId: Hex
  readonly address: Hex
  readonly nonce: Hex
  readonly yParity: Hex
  readonly r: Hex
  readonly s: Hex
}

export interface RpcTransaction {
  readonly hash: Hex
  readonly transactionIndex: Hex
  readonly type?: Hex | null
  readonly from: Hex
  readonly to?: Hex | null
  readonly value: Hex
  readonly nonce: Hex
  readonly gas: Hex
  readonly gasPrice?: Hex | null
  readonly maxFeePerGas?: Hex | null
  readonly maxPriorityFeePerGas?: Hex | null
  readonly maxFeePerBlobGas?: Hex | null
  readonly input: Hex
  readonly chainId?: Hex | null
  readonly accessList?: ReadonlyArray<RpcAccessListItem> | null
  readonly blobVersionedHashes?: ReadonlyArray<Hex> | null
  readonly authorizationList?: ReadonlyArray<RpcAuthorization> | null
  /** Absent on transactions of systems that sign nothing (deposits, state sync). */
  readonly v?: Hex | null
  readonly r?: Hex | null
  readonly s?: Hex | null
  readonly yParity?: Hex | null
  /** Deposits of the OP Stack (type 0x7e). */
  readonly sourceHash?: Hex | null
  readonly mint?: Hex | null
  readonly isSystemTx?: boolean | null
}

export interface RpcWithdrawal {
  readonly index: Hex
  readonly validatorIndex: Hex
  readonly address: Hex
  /** Gwei. */
  readonly amount: Hex
}

export interface RpcBlock {
  readonly number: Hex
  readonly hash: Hex
  readonly parentHash: Hex
  readonly timestamp: Hex
  readonly miner: Hex
  readonly sha3Uncles: Hex
  readonly stateRoot: Hex
  readonly transactionsRoot: Hex
  readonly receiptsRoot: Hex
  readonly logsBloom: Hex
  readonly difficulty: Hex
  readonly totalDifficulty?: Hex | null
  readonly gasLimit: Hex
  readonly gasUsed: Hex
  readonly extraData: Hex
  readonly mixHash?: Hex | null
  readonly nonce?: Hex | null
  readonly size?: Hex | null
  /** Since London. */
  readonly baseFeePerGas?: Hex | null
  /** Since Shanghai. */
  readonly withdrawalsRoot?: Hex | null
  readonly withdrawals?: ReadonlyArray<RpcWithdrawal> | null
  /** Since Cancun. */
  readonly blobGasUsed?: Hex | null
  readonly excessBlobGas?: Hex | null
  readonly parentBeaconBlockRoot?: Hex | null
  /** Since Prague. */
  readonly requestsHash?: Hex | null
  readonly transactions: ReadonlyArray<RpcTransaction>
}

/** A block with full transactions, and the receipts of all of them in their order. */
export interface RawBlock {
  readonly block: RpcBlock
  readonly receipts: ReadonlyArray<RpcReceipt>
}
