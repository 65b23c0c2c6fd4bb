/**
 * What a `Store` of SQL tables promises beyond the service: that the rows are right.
 */
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Hex, RawBlock } from "../../src/chain/Block.ts"
import { placeOf } from "../../src/delivery/Feed.ts"
import { EndpointMemory } from "../../src/rpc/EndpointMemory.ts"
import { initial, memoryOf } from "../../src/rpc/EndpointState.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store, type StoreError } from "../../src/store/Store.ts"
import * as StoredEndpoints from "../../src/store/StoredEndpoints.ts"
import { tables } from "../../src/store/Tables.ts"
import { chain } from "../support/blocks.ts"
import { encoded, eventsAfter, lead, linked, start, tag } from "./contract.ts"

type Row = Record<string, unknown>
type Optional = Hex | null | undefined

/** Values as a reader of SQL would expect them, computed without the encoder: text for all that has no bound. */
const bytes = (value: Optional) => value?.toLowerCase() ?? null
const number = (value: Optional) => (value === undefined || value === null ? null : BigInt(value).toString())
const word = (value: Optional) =>
  value === undefined || value === null ? null : `0x${BigInt(value).toString(16).padStart(64, "0")}`
const list = (value: ReadonlyArray<unknown> | null | undefined) =>
  value === undefined || value === null || value.length === 0 ? null : value
const time = (value: Hex) => new Date(Number(value) * 1000).toISOString()

export const expectedRows = ({ block, receipts }: RawBlock): Readonly<Record<string, ReadonlyArray<Row>>> => {
  const place = { block_number: number(block.number), block_timestamp: time(block.timestamp) }
  const own = ({ transactions: _, ...rest }: RawBlock["block"]) => rest
  const header = own(block)
  const logs = receipts.flatMap((receipt, i) => receipt.logs.map((log) => ({ log, i })))
  return {
    blocks: [
      {
        number: number(header.number),
        hash: bytes(header.hash),
        parent_hash: bytes(header.parentHash),
        timestamp: time(header.timestamp),
        miner: bytes(header.miner),
        gas_used: number(header.gasUsed),
        gas_limit: number(header.gasLimit),
        base_fee_per_gas: number(header.baseFeePerGas),
        difficulty: number(header.difficulty),
        total_difficulty: number(header.totalDifficulty),
        size: number(header.size),
        extra_data: bytes(header.extraData),
        nonce: bytes(header.nonce),
        mix_hash: bytes(header.mixHash),
        sha3_uncles: bytes(header.sha3Uncles),
        state_root: bytes(header.stateRoot),
        transactions_root: bytes(header.transactionsRoot),
        receipts_root: bytes(header.receiptsRoot),
        withdrawals_root: bytes(header.withdrawalsRoot),
        logs_bloom: bytes(header.logsBloom),
        blob_gas_used: number(header.blobGasUsed),
        excess_blob_gas: number(header.excessBlobGas),
        parent_beacon_block_root: bytes(header.parentBeaconBlockRoot),
        requests_hash: bytes(header.requestsHash),
        transaction_count: String(block.transactions.length),
        log_count: String(logs.length)
      }
    ],
    transactions: block.transactions.map((transaction, i) => ({
      ...place,
      transaction_index: String(i),
      type: number(transaction.type ?? "0x0"),
      status: number(receipts[i]?.status),
      nonce: number(transaction.nonce),
      gas: number(transaction.gas),
      gas_used: number(receipts[i]?.gasUsed),
      cumulative_gas_used: number(receipts[i]?.cumulativeGasUsed),
      hash: bytes(transaction.hash),
      from_address: bytes(transaction.from),
      to_address: bytes(transaction.to),
      value: number(transaction.value),
      gas_price: number(transaction.gasPrice),
      max_fee_per_gas: number(transaction.maxFeePerGas),
      max_priority_fee_per_gas: number(transaction.maxPriorityFeePerGas),
      max_fee_per_blob_gas: number(transaction.maxFeePerBlobGas),
      effective_gas_price: number(receipts[i]?.effectiveGasPrice),
      blob_gas_used: number(receipts[i]?.blobGasUsed),
      blob_gas_price: number(receipts[i]?.blobGasPrice),
      contract_address: bytes(receipts[i]?.contractAddress),
      input: bytes(transaction.input),
      access_list: list(transaction.accessList),
      blob_versioned_hashes: list(transaction.blobVersionedHashes),
      authorization_list: list(transaction.authorizationList),
      v: number(transaction.yParity ?? transaction.v),
      r: word(transaction.r),
      s: word(transaction.s),
      post_state_root: bytes(receipts[i]?.root),
      extra:
        transaction.type === "0x7e"
          ? {
              transaction: {
                sourceHash: transaction.sourceHash,
                mint: transaction.mint,
                isSystemTx: transaction.isSystemTx
              },
              receipt: {
                depositNonce: receipts[i]?.depositNonce,
                depositReceiptVersion: receipts[i]?.depositReceiptVersion
              }
            }
          : null
    })),
    logs: logs.map(({ i, log }) => ({
      ...place,
      log_index: number(log.logIndex),
      transaction_index: String(i),
      transaction_hash: bytes(log.transactionHash),
      address: bytes(log.address),
      topic0: bytes(log.topics[0]),
      topic1: bytes(log.topics[1]),
      topic2: bytes(log.topics[2]),
      topic3: bytes(log.topics[3]),
      data: bytes(log.data)
    })),
    withdrawals: (block.withdrawals ?? []).map((withdrawal) => ({
      block_number: place.block_number,
      withdrawal_index: number(withdrawal.index),
      validator_index: number(withdrawal.validatorIndex),
      address: bytes(withdrawal.address),
      amount: number(withdrawal.amount)
    }))
  }
}

const readable = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString("hex")}`
  if (value instanceof Date) return value.toISOString()
  return typeof value === "bigint" || typeof value === "number" ? String(value) : value
}

const storedRows = (schema: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const found: Record<string, ReadonlyArray<Row>> = {}
    for (const { key, name } of tables) {
      const rows = yield* sql.unsafe<Row>(`select * from "${schema}"."${name}" order by ${key.join(", ")}`)
      found[name] = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([column, value]) => [column, readable(value)]))
      )
    }
    return found
  })

const together = (blocks: ReadonlyArray<RawBlock>) => {
  const rows = blocks.map(expectedRows)
  return Object.fromEntries(tables.map(({ name }) => [name, rows.flatMap((block) => block[name] ?? [])]))
}

const totalsAreTrue = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  const { totals } = yield* Effect.flatMap(Store, (store) => store.state)
  for (const name of ["blocks", "transactions", "logs"] as const) {
    const [row] = yield* sql.unsafe<{ readonly n: bigint }>(`select count(*) as n from "${schema}"."${name}"`)
    expect([name, Number(row?.n)]).toEqual([name, totals[name]])
  }
})

type Test = (schema: string) => Effect.Effect<void, StoreError | SqlError, Store | SqlClient.SqlClient>

const roundTrip =
  (blocks: ReadonlyArray<RawBlock>): Test =>
  (schema) =>
    Effect.gen(function* () {
      const store = yield* Store
      const epoch = yield* lead
      yield* store.append({ epoch, blocks: encoded(blocks), finalized: undefined })
      expect(yield* storedRows(schema)).toEqual(together(blocks))
      yield* totalsAreTrue(schema)
    })

/** Partitions are of 1,000 blocks here. */
export const partitionBlocks = 1000

export const sqlContract: Readonly<Record<string, Test>> = {
  "gives back every value of every column": roundTrip(chain({ seed: 11, from: 500, count: 12 })),
  "and of blocks from before Byzantium": roundTrip(chain({ seed: 12, from: 500, count: 6, era: "frontier" })),
  "and of transactions of a chain's own kind": roundTrip(
    chain({ seed: 13, from: 500, count: 4, transactions: 5, types: [0x7e, 2] })
  ),
  "and of more rows than go into one statement": roundTrip(
    chain({ seed: 14, from: 500, count: 3, transactions: 200, logs: 3000 })
  ),

  "makes partitions as it goes": (schema) =>
    Effect.gen(function* () {
      const store = yield* Store
      const sql = yield* SqlClient.SqlClient
      const epoch = yield* lead
      const blocks = linked(895, 210)
      yield* store.append({ epoch, blocks: encoded(blocks.slice(0, 5)), finalized: undefined })
      const partitions = Effect.map(
        sql<{ readonly name: string }>`
          select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = ${schema} and c.relname like 'blocks!_%' escape '!' and c.relkind = 'r' order by 1`,
        (rows) => rows.map(({ name }) => name)
      )
      expect(yield* partitions).toEqual(["blocks_0"])
      yield* store.append({ epoch, blocks: encoded(blocks.slice(5, 6)), finalized: undefined })
      expect(yield* partitions).toEqual(["blocks_0", "blocks_1000"])
      yield* store.append({ epoch, blocks: encoded(blocks.slice(6)), finalized: undefined })
      yield* store.ensureIndexes
      yield* store.append({ epoch, blocks: encoded(linked(50_000, 2)), finalized: undefined })
      expect(yield* partitions).toEqual(["blocks_0", "blocks_1000", "blocks_50000"])
      yield* totalsAreTrue(schema)
      yield* store.rollback({ epoch, ancestor: 998 })
      yield* totalsAreTrue(schema)
      expect(yield* storedRows(schema)).toEqual(together(blocks.slice(0, 104)))
    }),

  "leaves nothing of a batch that fails": (schema) =>
    Effect.gen(function* () {
      const store = yield* Store
      const sql = yield* SqlClient.SqlClient
      const epoch = yield* lead
      const blocks = encoded(linked(0, 10))
      yield* store.append({ epoch, blocks: blocks.slice(0, 4), finalized: undefined })
      // A row that the coverage does not know of, as a bug would leave it.
      yield* sql.unsafe(
        `insert into "${schema}".withdrawals (block_number, withdrawal_index, validator_index, address, amount)
         select n, i, 0, '', 0 from generate_series(4, 11) n, generate_series(0, 1000) i`
      )
      const withdrawing = encoded(
        chain({
          seed: 3,
          from: 4,
          count: 8,
          ...(blocks[3] === undefined ? {} : { parentHash: blocks[3].hash })
        })
      )
      const before = yield* store.state
      expect(yield* tag(store.append({ epoch, blocks: withdrawing, finalized: 9 }))).toBe("Duplicate")
      expect(yield* store.state).toEqual(before)
      yield* totalsAreTrue(schema)
      yield* sql.unsafe(`delete from "${schema}".withdrawals where validator_index = 0`)
      expect(yield* tag(store.append({ epoch, blocks: withdrawing, finalized: 9 }))).toBe("Success")
      yield* totalsAreTrue(schema)
    }),

  "counts the commits that fill a hole": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* Store
      const blocks = encoded(linked(0, 9))
      const epoch = yield* lead
      const voids = Effect.map(
        sql<{ readonly voids: bigint }>`select voids from ${sql(`${schema}.token_checkpoint`)}`,
        ([row]) => Number(row?.voids)
      )
      yield* store.append({ epoch, blocks: blocks.slice(0, 3), finalized: undefined })
      yield* store.append({ epoch, blocks: blocks.slice(5), finalized: undefined })
      expect(yield* voids).toBe(0)
      yield* store.append({ epoch, blocks: blocks.slice(3, 5), finalized: undefined })
      expect(yield* voids).toBe(1)
      yield* store.rollback({ epoch, ancestor: 6 })
      yield* store.append({ epoch, blocks: blocks.slice(7), finalized: undefined })
      expect(yield* voids).toBe(1)
    }),

  "keeps so many commits in the feed, and every reorg": (schema) =>
    Effect.gen(function* () {
      const store = yield* SqlStore.make({ schema, partitionBlocks, feedCommits: 5 })
      const blocks = encoded(linked(0, 20))
      const epoch = yield* lead
      yield* store.append({ epoch, blocks: blocks.slice(0, 2), finalized: undefined })
      yield* store.rollback({ epoch, ancestor: 0 })
      for (let i = 1; i < 12; i++) {
        yield* store.append({ epoch, blocks: blocks.slice(i, i + 1), finalized: undefined })
      }
      const newest = { commit: 13, number: undefined }
      expect(yield* store.events(start, 100)).toEqual({ _tag: "Reset", newest })
      expect(yield* store.events({ commit: 7, number: undefined }, 100)).toEqual({ _tag: "Reset", newest })
      expect((yield* eventsAfter({ commit: 8, number: undefined }, 2)).map(({ commit }) => commit)).toEqual([
        9, 10, 11, 12, 13
      ])
      expect(yield* store.reorgs({ before: undefined, limit: 9 })).toMatchObject([
        { commit: 2, depth: 1, removed: [{ number: 1, hash: blocks[1]?.hash }] }
      ])
    }),

  "a feed that comes to tables with rows begins behind them": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* Store
      const blocks = encoded(linked(0, 9))
      const epoch = yield* lead
      yield* store.append({ epoch, blocks: blocks.slice(0, 5), finalized: undefined })
      // As migration 2 had left them; what came later is made again.
      yield* sql.unsafe(`drop table "${schema}".feed, "${schema}".removed_blocks`)
      yield* sql.unsafe(`alter table "${schema}".sync_state drop column feed_id, drop column feed_floor`)
      const later =
        "event_children event_sources undecoded token_metrics pair_metrics token_candles token_checkpoint token_states"
      for (const table of later.split(" ")) yield* sql.unsafe(`drop table "${schema}".${table}`)
      yield* sql.unsafe(`drop function "${schema}".token_price`)
      yield* sql.unsafe(`delete from "${schema}".coverage where level = 'events'`)
      yield* sql.unsafe(
        `delete from "${schema}".migrations where name in ('feed', 'digests', 'events', 'tokens')`
      )
      yield* SqlStore.make({ schema, partitionBlocks })
      expect(yield* store.events(start, 9)).toEqual({
        _tag: "Reset",
        newest: { commit: 1, number: undefined }
      })
      yield* store.append({ epoch, blocks: blocks.slice(5, 7), finalized: undefined })
      expect((yield* eventsAfter({ commit: 1, number: undefined }, 9)).map(placeOf)).toEqual([
        { commit: 2, number: 5 },
        { commit: 2, number: 6 }
      ])
      // What came before the feed can be taken back, and be told of.
      yield* store.rollback({ epoch, ancestor: 3 })
      expect(yield* eventsAfter({ commit: 2, number: undefined }, 9)).toMatchObject([
        { _tag: "RolledBack", commit: 3, depth: 3, removed: [{ number: 4 }, { number: 5 }, { number: 6 }] }
      ])
    }),

  "remembers its migrations": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql.unsafe<{ readonly name: string }>(`select name from "${schema}".migrations`)
      expect(rows.map(({ name }) => name)).toEqual([
        "tables",
        "endpoints",
        "feed",
        "digests",
        "events",
        "tokens"
      ])
    }),

  "keeps what was learned of endpoints for a day, and forgets what it cannot read": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const memory = yield* Effect.provide(EndpointMemory, StoredEndpoints.layer(schema))
      expect(yield* memory.load).toEqual(new Map())
      const known = memoryOf({ ...initial, maxBatch: 3, logRange: 2000, outUntil: 1_900_000_000_000 })
      yield* memory.save(
        new Map([
          ["a.example#1", memoryOf(initial)],
          ["b.example#2", known]
        ])
      )
      yield* memory.save(new Map([["a.example#1", known]]))
      expect(yield* memory.load).toEqual(
        new Map([
          ["a.example#1", known],
          ["b.example#2", known]
        ])
      )
      yield* sql.unsafe(`update "${schema}".endpoints set memory = '{"maxBatch":"many"}' where key like 'a%'`)
      yield* sql.unsafe(
        `update "${schema}".endpoints set saved_at = now() - interval '25 hours' where key like 'b%'`
      )
      expect(yield* memory.load).toEqual(new Map())
    })
}
