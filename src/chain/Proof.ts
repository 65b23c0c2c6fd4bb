/**
 * Proves that a provider's answer is the block whose hash it bears, complete and unchanged.
 *
 * The header must hash to the block's hash; transactions, receipts and withdrawals must have the roots that the
 * header names; the logs must have its bloom filter; each transaction must have its own hash. Whoever trusts the
 * block's hash (because it is linked to others) may then trust the rest of the block.
 *
 * **What `Proven` covers**
 *
 * - every field of the header, every signed field of every transaction, every field of every withdrawal;
 * - of receipts: outcome, cumulative gas, and address, topics and data of every log in its order;
 * - what follows from these: gas used, log and transaction indices, transaction hashes; on Ethereum's own chains
 *   also effective gas price, blob gas and the addresses of new contracts.
 *
 * **What it does not cover**
 *
 * - `from`, except of deposits: recovering it from the signature costs far more than all hashes of a transaction.
 *   A new contract's address is checked against `from` and nonce, so it is as good as `from` is.
 * - `gasPrice` of transactions that name maximum fees (nodes fill in what was paid), `chainId` of legacy ones (their
 *   `v` says it), nonce and signature of deposits, and fields that a transaction's type does not have;
 * - `status` of a receipt that has a `root` instead, and `blobGasPrice`;
 * - `totalDifficulty`, `size` and the list of uncles;
 * - that the block is part of the canonical chain: linking blocks is the sequencer's work.
 *
 * **Gotchas**
 *
 * What happens on chains whose rules are not Ethereum's stands in `ChainRules`.
 */
import { Context, Effect, Layer } from "effect"
import type { RawBlock, RpcBlock, RpcTransaction } from "./Block.ts"
import { LogBloom } from "./Bloom.ts"
import * as ChainRules from "./ChainRules.ts"
import {
  depositType,
  type ReceiptOutcome,
  typeOf,
  writeDeposit,
  writeHeader,
  writeReceipt,
  writeTransaction,
  writeWithdrawal
} from "./Consensus.ts"
import * as Keccak from "./Keccak.ts"
import { checkDerived, checkOrder, isIndex } from "./ReceiptChecks.ts"
import { RlpWriter } from "./Rlp.ts"
import { OrderedTrie } from "./Trie.ts"
import { type Mismatch, mismatch, proven, type Unprovable, unprovable, type Verdict } from "./Verdict.ts"

export class Proof extends Context.Service<
  Proof,
  {
    /** Synchronous and without side effects: one to two milliseconds for a full block of mainnet. */
    readonly verify: (raw: RawBlock) => Verdict
  }
>()("sluice/chain/Proof") {
  static readonly layer = (chainId: number): Layer.Layer<Proof> => Layer.effect(Proof, make(chainId))
}

export const make = (chainId: number): Effect.Effect<Proof["Service"]> =>
  Effect.map(Keccak.make, (keccak) => {
    const own = ChainRules.unprovable(chainId)
    const verifier = new Verifier(chainId, keccak)
    return Proof.of({
      verify: (raw) => (own === undefined ? verifier.verify(raw) : unprovable(own))
    })
  })

const withoutVersion = "receipts of deposits come without the version that their root may cover"

const sidecars = "Anvil's transactions root covers the blobs too"

/** Types of Ethereum's transactions are 0 to 4. */
const newestType = 4

/** The first outcome of Ethereum's receipts that was a status instead of a state root. */
const byzantium = 4_370_000

/** The buffers that verifying one block after the other needs. */
class Verifier {
  private readonly chainId: number
  private readonly keccak: Keccak.Keccak
  private readonly writer = new RlpWriter()
  private readonly trie: OrderedTrie
  private readonly bloom: LogBloom

  constructor(chainId: number, keccak: Keccak.Keccak) {
    this.chainId = chainId
    this.keccak = keccak
    this.trie = new OrderedTrie(this.writer, keccak)
    this.bloom = new LogBloom(keccak)
  }

  verify(raw: RawBlock): Verdict {
    return (
      this.header(raw.block) ??
      this.transactions(raw.block) ??
      this.withdrawals(raw.block) ??
      this.receipts(raw) ??
      (ChainRules.followsEthereum(this.chainId) ? checkDerived(raw, this.writer, this.keccak) : undefined) ??
      proven
    )
  }

  private header(block: RpcBlock): Mismatch | Unprovable | undefined {
    this.writer.reset()
    const mark = this.writer.mark()
    writeHeader(this.writer, block)
    const invalid = this.invalid("block")
    if (invalid !== undefined) return invalid
    const hash = this.keccak(this.writer.since(mark))
    if (Keccak.equalsHex(hash, block.hash)) return undefined
    return this.newHeader(block) ?? mismatch("header hash", "block", block.hash, Keccak.toHex(hash))
  }

  /** Whether a header that does not hash to its hash may follow rules that are unknown here. */
  private newHeader(block: RpcBlock): Unprovable | undefined {
    if (!ChainRules.mayHaveNewRules(this.chainId, block)) return undefined
    const fields = ChainRules.unknownFields(block)
    if (fields.length > 0) return unprovable(`unknown header fields: ${fields.join(", ")}`)
    if (ChainRules.followsEthereum(this.chainId)) return undefined
    const odd = block.transactions.find((transaction) => {
      const type = typeOf(transaction)
      return !(type <= newestType) && !(type === depositType && ChainRules.hasDeposits(this.chainId))
    })
    return odd && unprovable(`the header does not hash to its hash, beside transaction type ${odd.type}`)
  }

  private transactions(block: RpcBlock): Mismatch | Unprovable | undefined {
    this.restart()
    for (const [i, transaction] of block.transactions.entries()) {
      const mark = this.writer.mark()
      const type = typeOf(transaction)
      const isDeposit = type === depositType && ChainRules.hasDeposits(this.chainId)
      const isWritten = isDeposit
        ? writeDeposit(this.writer, transaction)
        : writeTransaction(this.writer, transaction, type)
      if (!isWritten) {
        const what = `type ${transaction.type ?? "0x0"}`
        return ChainRules.mayHaveNewRules(this.chainId, block) && !this.isKnown(transaction, type)
          ? unprovable(`transaction ${i} is of unknown ${what}, or lacks fields that this type has`)
          : mismatch("transaction type", `transactions[${i}]`, "a complete transaction of type 0 to 4", what)
      }
      const invalid = this.invalid(`transactions[${i}]`)
      if (invalid !== undefined) return invalid
      const hash = this.keccak(this.writer.since(mark))
      if (!Keccak.equalsHex(hash, transaction.hash)) {
        return mismatch("transaction hash", `transactions[${i}]`, transaction.hash, Keccak.toHex(hash))
      }
      if (!isIndex(transaction.transactionIndex, i)) {
        return mismatch("transaction index", `transactions[${i}]`, `${i}`, transaction.transactionIndex)
      }
      const { v, yParity } = transaction
      if (type > 0 && v && yParity && Number(v) !== Number(yParity)) {
        return mismatch("transaction parity", `transactions[${i}]`, yParity, v)
      }
      this.trie.push(mark)
    }
    const wrong = this.root("transactions root", block.transactionsRoot)
    return wrong && (ChainRules.hashesSidecars(this.chainId, block) ? unprovable(sidecars) : wrong)
  }

  /** Whether it is, under whatever type it says, a transaction of Ethereum's: then something in it is wrong. */
  private isKnown(transaction: RpcTransaction, type: number): boolean {
    if (!ChainRules.followsEthereum(this.chainId)) return false
    if (type <= newestType) return true
    for (let other = 0; other <= newestType; other++) {
      this.writer.reset()
      const mark = this.writer.mark()
      if (!writeTransaction(this.writer, transaction, other)) continue
      if (Keccak.equalsHex(this.keccak(this.writer.since(mark)), transaction.hash)) return true
    }
    return false
  }

  private withdrawals(block: RpcBlock): Mismatch | undefined {
    const { withdrawals, withdrawalsRoot } = block
    if (withdrawalsRoot === undefined || withdrawalsRoot === null) {
      const count = withdrawals?.length ?? 0
      return count === 0 ? undefined : mismatch("withdrawals root", "block", "none", `${count} withdrawals`)
    }
    // Since Isthmus the OP Stack keeps the root of a contract's storage there; it has no withdrawals of this kind.
    if (ChainRules.hasDeposits(this.chainId) && !withdrawals?.length) return undefined
    this.restart()
    for (const [i, withdrawal] of (withdrawals ?? []).entries()) {
      const mark = this.writer.mark()
      writeWithdrawal(this.writer, withdrawal)
      const invalid = this.invalid(`withdrawals[${i}]`)
      if (invalid !== undefined) return invalid
      this.trie.push(mark)
    }
    return this.root("withdrawals root", withdrawalsRoot)
  }

  private receipts(raw: RawBlock): Mismatch | Unprovable | undefined {
    const { block, receipts } = raw
    if (receipts.length !== block.transactions.length) {
      return mismatch("receipt count", "receipts", `${block.transactions.length}`, `${receipts.length}`)
    }
    const disorder = checkOrder(raw)
    if (disorder !== undefined) return disorder
    const [likely, other] = this.outcomes(raw)
    const failure = this.receiptsRoot(raw, likely)
    if (failure?.what !== "receipts root") return failure
    if (other !== undefined && this.receiptsRoot(raw, other) === undefined) return undefined
    return ChainRules.lacksDepositVersion(this.chainId, raw) ? unprovable(withoutVersion) : failure
  }

  /**
   * Some nodes send `root` and `status` together, and only one of them is true. Before Byzantium it is the root;
   * other chains than mainnet had Byzantium from their start, or at a height that only the receipts root tells.
   */
  private outcomes({ block, receipts }: RawBlock): readonly [ReceiptOutcome, ReceiptOutcome?] {
    if (!receipts.some((receipt) => receipt.root?.length === 66)) return ["status"]
    if (!receipts.some((receipt) => receipt.status)) return ["root"]
    return this.chainId === 1 && Number(block.number) < byzantium ? ["root", "status"] : ["status", "root"]
  }

  private receiptsRoot({ block, receipts }: RawBlock, outcome: ReceiptOutcome): Mismatch | undefined {
    this.restart()
    this.bloom.startBlock()
    for (const [i, receipt] of receipts.entries()) {
      const transaction = block.transactions[i]
      const type = transaction === undefined ? 0 : typeOf(transaction)
      const mark = this.writer.mark()
      if (!writeReceipt(this.writer, receipt, type, outcome, this.bloom)) {
        return mismatch("receipt outcome", `receipts[${i}]`, outcome, "neither status nor root")
      }
      const invalid = this.invalid(`receipts[${i}]`)
      if (invalid !== undefined) return invalid
      this.trie.push(mark)
    }
    if (!Keccak.equalsHex(this.bloom.block, block.logsBloom)) {
      const bits = `${this.bloom.differingBits(block.logsBloom)} of 2048 bits differ`
      return mismatch("bloom", "block", "the header's filter", bits)
    }
    const last = receipts.at(-1)
    if (last !== undefined && ChainRules.followsEthereum(this.chainId)) {
      if (Number(last.cumulativeGasUsed) !== Number(block.gasUsed)) {
        return mismatch("cumulative gas", "block", block.gasUsed, last.cumulativeGasUsed)
      }
    }
    return this.root("receipts root", block.receiptsRoot)
  }

  private restart(): void {
    this.writer.reset()
    this.trie.clear()
  }

  private root(
    what: "transactions root" | "withdrawals root" | "receipts root",
    expected: string
  ): Mismatch | undefined {
    const root = this.trie.root()
    return Keccak.equalsHex(root, expected)
      ? undefined
      : mismatch(what, "block", expected, Keccak.toHex(root))
  }

  private invalid(at: string): Mismatch | undefined {
    const { invalid } = this.writer
    return invalid === undefined ? undefined : mismatch("hex digits", at, "0x and hex digits", invalid)
  }
}
