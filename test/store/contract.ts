/**
 * What every `Store` promises, whatever it is made of. Nothing here knows SQL.
 */
import { expect } from "@effect/vitest"
import { Effect, Result } from "effect"
import type { Hex, ProofLevel, RawBlock } from "../../src/chain/Block.ts"
import { comparePlaces, type FeedEvent, type FeedPlace, placeOf } from "../../src/delivery/Feed.ts"
import { type EncodedBlock, encode } from "../../src/store/Columns.ts"
import { Store, type StoreError } from "../../src/store/Store.ts"
import { chain } from "../support/blocks.ts"

export const encoded = (
  blocks: ReadonlyArray<RawBlock>,
  level: ProofLevel = "proven"
): ReadonlyArray<EncodedBlock> =>
  blocks.map((block) => {
    const result = encode(block, level)
    return "rows" in result ? result : expect.fail(result.message)
  })

/** Small linked blocks from `from` on. */
export const linked = (
  from: number,
  count: number,
  options: { readonly seed?: number; readonly parentHash?: Hex } = {}
) => chain({ seed: 1, transactions: 2, logs: 3, ...options, from, count })

export const tag = <A>(effect: Effect.Effect<A, StoreError, Store>) =>
  Effect.map(Effect.result(effect), (result) =>
    Result.isFailure(result) ? result.failure.reason._tag : "Success"
  )

/** What it fails with, which it has to. */
export const failure = <A>(
  effect: Effect.Effect<A, StoreError, Store>
): Effect.Effect<StoreError, never, Store> =>
  Effect.match(effect, { onFailure: (error) => error, onSuccess: () => expect.fail("it did not fail") })

const use = <K extends keyof Store["Service"]>(key: K) => Effect.map(Store, (store) => store[key])

/** Takes the lease and returns its epoch. */
export const lead = Effect.gen(function* () {
  const acquire = yield* use("acquireLease")
  const { lease } = yield* acquire({ holder: "test", duration: 60_000, evenIfHeld: true })
  return lease.epoch
})

const append = (epoch: number, blocks: ReadonlyArray<EncodedBlock>, finalized?: number) =>
  Effect.flatMap(Store, (store) => store.append({ epoch, blocks, finalized }))

const state = Effect.flatMap(Store, (store) => store.state)

export const start: FeedPlace = { commit: 0, number: undefined }

/** What the feed tells after a place, read a page at a time. */
export const eventsAfter = (after: FeedPlace, limit: number) =>
  Effect.gen(function* () {
    const store = yield* Store
    const all: Array<FeedEvent> = []
    for (let at = after; ; ) {
      const page = yield* store.events(at, limit)
      if (page._tag === "Reset") return expect.fail("the feed was reset")
      const last = page.events.at(-1)
      if (last === undefined) return all
      all.push(...page.events)
      at = placeOf(last)
    }
  })

/** The blocks that a reader of the feed ends up with, having checked what it is told to forget. */
export const replayed = (events: ReadonlyArray<FeedEvent>): ReadonlyMap<number, Hex> => {
  const blocks = new Map<number, Hex>()
  for (const event of events) {
    if (event._tag === "BlockCommitted") {
      expect(blocks.has(event.number)).toBe(false)
      blocks.set(event.number, event.hash)
      continue
    }
    const above = [...blocks].filter(([number]) => number > event.ancestor).sort(([a], [b]) => a - b)
    expect(event.removed).toEqual(above.map(([number, hash]) => ({ number, hash })))
    expect(event.depth).toBe(above.length)
    for (const [number] of above) blocks.delete(number)
  }
  return blocks
}

type Tests = Readonly<Record<string, Effect.Effect<void, StoreError, Store>>>

export const contract: Tests = {
  "is empty at first": Effect.gen(function* () {
    expect(yield* state).toEqual({
      coverage: [],
      totals: { blocks: 0, transactions: 0, logs: 0 },
      tip: undefined,
      finalized: undefined,
      lastReorg: undefined,
      commit: 0
    })
    const gaps = yield* use("gaps")
    expect(yield* gaps({ from: 0, to: 9 }, 10)).toEqual([{ from: 0, to: 9 }])
    const readLease = yield* use("readLease")
    expect(yield* readLease).toBeUndefined()
  }),

  "an append returns the state it leaves": Effect.gen(function* () {
    const epoch = yield* lead
    const blocks = encoded(linked(0, 5))
    const after = yield* append(epoch, blocks, 2)
    expect(after).toEqual(yield* state)
    expect(after.totals).toEqual({ blocks: 5, transactions: 10, logs: 15 })
    expect(after.coverage).toEqual([{ from: 0, to: 4, level: "proven" }])
    expect(after.finalized).toBe(2)
    const top = blocks[4]
    expect(after.tip).toEqual({
      number: 4,
      hash: top?.hash,
      parentHash: top?.parentHash,
      timestamp: top?.timestamp
    })
  }),

  "an empty append changes nothing but finality": Effect.gen(function* () {
    const epoch = yield* lead
    yield* append(epoch, encoded(linked(0, 3)), 1)
    const before = yield* state
    expect(yield* append(epoch, [], 2)).toEqual({ ...before, finalized: 2 })
    expect((yield* append(epoch, [], 0)).finalized).toBe(2)
    expect((yield* append(epoch, [])).finalized).toBe(2)
  }),

  "coverage merges neighbours of a level, and knows levels apart": Effect.gen(function* () {
    const epoch = yield* lead
    const blocks = linked(0, 30)
    yield* append(epoch, encoded(blocks.slice(10, 20)))
    yield* append(epoch, encoded(blocks.slice(25, 30)))
    expect((yield* state).tip?.number).toBe(29)
    yield* append(epoch, encoded(blocks.slice(0, 5), "linked"))
    expect((yield* state).tip?.number).toBe(29)
    const gaps = yield* use("gaps")
    expect(yield* gaps({ from: 3, to: 40 }, 10)).toEqual([
      { from: 5, to: 9 },
      { from: 20, to: 24 },
      { from: 30, to: 40 }
    ])
    expect(yield* gaps({ from: 3, to: 40 }, 2)).toHaveLength(2)
    expect(yield* gaps({ from: 10, to: 19 }, 2)).toEqual([])
    expect(yield* gaps({ from: 10, to: 9 }, 2)).toEqual([])
    yield* append(epoch, encoded(blocks.slice(20, 25)))
    const { coverage } = yield* append(epoch, encoded(blocks.slice(5, 10)))
    expect(coverage).toEqual([
      { from: 0, to: 4, level: "linked" },
      { from: 5, to: 29, level: "proven" }
    ])
  }),

  "a batch may have holes and both levels": Effect.gen(function* () {
    const epoch = yield* lead
    const blocks = linked(0, 9)
    const batch = [
      ...encoded(blocks.slice(0, 2)),
      ...encoded(blocks.slice(2, 4), "linked"),
      ...encoded(blocks.slice(6, 9))
    ]
    expect((yield* append(epoch, batch)).coverage).toEqual([
      { from: 0, to: 1, level: "proven" },
      { from: 2, to: 3, level: "linked" },
      { from: 6, to: 8, level: "proven" }
    ])
  }),

  "headers leave out what is absent": Effect.gen(function* () {
    const epoch = yield* lead
    const blocks = encoded(linked(0, 9))
    yield* append(epoch, [...blocks.slice(0, 3), ...blocks.slice(5, 9)])
    const headers = yield* use("headers")
    const found = yield* headers({ from: 2, to: 6 })
    expect(found.map(({ number }) => number)).toEqual([2, 5, 6])
    expect(found[1]).toEqual({
      number: 5,
      hash: blocks[5]?.hash,
      parentHash: blocks[5]?.parentHash,
      timestamp: blocks[5]?.timestamp
    })
  }),

  "refuses a block that does not fit below, above or in its batch": Effect.gen(function* () {
    const epoch = yield* lead
    const ours = encoded(linked(0, 10))
    const theirs = encoded(linked(0, 10, { seed: 2 }))
    yield* append(epoch, ours.slice(4, 6))
    const before = yield* state
    const below = yield* failure(append(epoch, theirs.slice(6, 8)))
    expect(below.reason).toMatchObject({
      _tag: "LinkMismatch",
      number: 6,
      parentHash: theirs[6]?.parentHash,
      storedHash: ours[5]?.hash
    })
    const above = yield* failure(append(epoch, theirs.slice(2, 4)))
    expect(above.reason).toMatchObject({
      _tag: "LinkMismatch",
      number: 4,
      parentHash: ours[4]?.parentHash,
      storedHash: theirs[3]?.hash
    })
    const inside = [...ours.slice(7, 8), ...theirs.slice(8, 9)]
    expect(yield* tag(append(epoch, inside))).toBe("LinkMismatch")
    expect(yield* state).toEqual(before)
    expect(yield* tag(append(epoch, ours.slice(6, 8)))).toBe("Success")
  }),

  "refuses a block twice": Effect.gen(function* () {
    const epoch = yield* lead
    const blocks = encoded(linked(0, 6))
    yield* append(epoch, blocks.slice(0, 3))
    const before = yield* state
    expect(yield* tag(append(epoch, blocks.slice(2, 5)))).toBe("Duplicate")
    expect(yield* tag(append(epoch, encoded(linked(0, 6).slice(1, 2), "linked")))).toBe("Duplicate")
    expect(yield* tag(append(epoch, [...blocks.slice(4, 5), ...blocks.slice(4, 5)]))).toBe("Duplicate")
    expect(yield* state).toEqual(before)
  }),

  "writes under the current epoch only": Effect.gen(function* () {
    const store = yield* Store
    const blocks = encoded(linked(0, 3))
    expect(yield* tag(append(0, blocks))).toBe("Fenced")
    const old = yield* lead
    const epoch = yield* lead
    expect(epoch).toBe(old + 1)
    const refused = yield* failure(append(old, blocks))
    expect(refused.reason).toMatchObject({ _tag: "Fenced", epoch: old, current: epoch, holder: "test" })
    expect(refused.isRetryable).toBe(false)
    expect(yield* tag(store.rollback({ epoch: old, ancestor: 0 }))).toBe("Fenced")
    expect(yield* tag(store.renewLease({ epoch: old, duration: 1000 }))).toBe("Fenced")
    expect((yield* state).totals.blocks).toBe(0)
    expect(yield* tag(append(epoch, blocks))).toBe("Success")
  }),

  "takes back to any depth": Effect.gen(function* () {
    const store = yield* Store
    const epoch = yield* lead
    const blocks = encoded(linked(0, 20))
    yield* append(epoch, blocks.slice(0, 15))
    yield* append(epoch, encoded(linked(0, 20).slice(15), "linked"))
    for (const [ancestor, depth] of [
      [18, 1],
      [13, 5],
      [13, 0],
      [4, 9],
      [-1, 5]
    ] as const) {
      const gone = yield* store.rollback({ epoch, ancestor })
      expect(gone).toMatchObject({
        ancestor,
        depth,
        blocks: depth,
        transactions: depth * 2,
        logs: depth * 3
      })
      const left = ancestor + 1
      const after = yield* state
      expect(after.totals).toEqual({ blocks: left, transactions: left * 2, logs: left * 3 })
      expect(after.tip?.hash).toBe(blocks[ancestor]?.hash)
      expect(after.lastReorg).toMatchObject({ ancestor, depth, at: gone.at })
      const covered = after.coverage.reduce((sum, { from, to }) => sum + to - from + 1, 0)
      expect(covered).toBe(left)
    }
    expect(yield* tag(append(epoch, encoded(linked(0, 3, { seed: 5 }))))).toBe("Success")
  }),

  "tells what was committed and taken back, from any place, with the hashes of then": Effect.gen(
    function* () {
      const store = yield* Store
      const epoch = yield* lead
      const ours = encoded(linked(0, 12))
      const mixed = [
        ...ours.slice(0, 3),
        ...encoded(linked(0, 12).slice(3, 5), "linked"),
        ...ours.slice(7, 9)
      ]
      expect((yield* append(epoch, mixed)).commit).toBe(1)
      expect((yield* append(epoch, [], 1)).commit).toBe(1)
      yield* append(epoch, ours.slice(5, 7))
      const first = yield* store.rollback({ epoch, ancestor: 3 })
      expect(first.commit).toBe(3)
      expect(first.removed).toEqual(ours.slice(4, 9).map(({ hash, number }) => ({ number, hash })))
      const theirs = encoded(linked(4, 4, { seed: 2, ...(ours[3] && { parentHash: ours[3].hash }) }))
      yield* append(epoch, theirs)
      const second = yield* store.rollback({ epoch, ancestor: 5 })
      expect(yield* store.rollback({ epoch, ancestor: 9 })).toMatchObject({
        depth: 0,
        removed: [],
        commit: 6
      })
      const last = encoded(linked(6, 2, { seed: 3, ...(theirs[1] && { parentHash: theirs[1].hash }) }))
      expect((yield* append(epoch, last)).commit).toBe(7)

      const told = (commit: number, blocks: ReadonlyArray<EncodedBlock>): ReadonlyArray<FeedEvent> =>
        blocks.map(({ hash, level, logs, number, parentHash, timestamp, transactions }) => ({
          _tag: "BlockCommitted",
          commit,
          number,
          hash,
          parentHash,
          timestamp,
          level,
          transactions,
          logs
        }))
      const takenBack = ({ ancestor, at, commit, depth, removed }: typeof first): FeedEvent => ({
        _tag: "RolledBack",
        commit,
        ancestor,
        depth,
        at,
        removed
      })
      const expected = [
        ...told(1, mixed),
        ...told(2, ours.slice(5, 7)),
        takenBack(first),
        ...told(4, theirs),
        takenBack(second)
      ]
      const all = yield* eventsAfter(start, 1000)
      expect(all.slice(0, expected.length)).toEqual(expected)
      expect(all.slice(expected.length)).toMatchObject([
        { _tag: "RolledBack", commit: 6, depth: 0 },
        ...told(7, last)
      ])
      for (const limit of [1, 2, 3, 5]) expect(yield* eventsAfter(start, limit)).toEqual(all)
      for (const event of all) {
        const rest = all.filter((other) => comparePlaces(placeOf(other), placeOf(event)) > 0)
        expect(yield* eventsAfter(placeOf(event), 4)).toEqual(rest)
      }
      const headers = yield* store.headers({ from: 0, to: 100 })
      expect([...replayed(all)].sort(([a], [b]) => a - b)).toEqual(
        headers.map(({ hash, number }) => [number, hash])
      )

      expect(yield* store.events({ commit: 8, number: undefined }, 10)).toEqual({
        _tag: "Reset",
        newest: { commit: 7, number: undefined }
      })
      const reorgs = yield* store.reorgs({ before: undefined, limit: 2 })
      expect(reorgs).toMatchObject([
        { commit: 6, depth: 0 },
        { commit: 5, ancestor: 5, depth: 2 }
      ])
      expect(yield* store.reorgs({ before: 5, limit: 10 })).toEqual([
        {
          commit: 3,
          ancestor: 3,
          depth: 5,
          at: first.at,
          removed: ours.slice(4, 9).map(({ hash, number }) => ({ number, hash }))
        }
      ])
    }
  ),

  "never takes back what is final": Effect.gen(function* () {
    const store = yield* Store
    const epoch = yield* lead
    yield* append(epoch, encoded(linked(0, 10)), 6)
    const before = yield* state
    const refused = yield* failure(store.rollback({ epoch, ancestor: 5 }))
    expect(refused.reason).toMatchObject({ _tag: "BelowFinality", ancestor: 5, finalized: 6 })
    expect(yield* state).toEqual(before)
    expect((yield* store.rollback({ epoch, ancestor: 6 })).depth).toBe(3)
  }),

  "exchanges blocks and their level, in any hole and above what is final": Effect.gen(function* () {
    const store = yield* Store
    const epoch = yield* lead
    const blocks = linked(0, 12)
    yield* append(epoch, encoded(blocks.slice(0, 4)), 3)
    yield* append(epoch, encoded(blocks.slice(6, 10), "linked"))
    const range = { from: 2, to: 7 }
    const after = yield* store.replace({ epoch, range, blocks: encoded(blocks.slice(2, 8)), unsure: [] })
    expect(after).toEqual(yield* state)
    expect(after.totals).toEqual({ blocks: 10, transactions: 20, logs: 30 })
    expect(after.coverage).toEqual([
      { from: 0, to: 7, level: "proven" },
      { from: 8, to: 9, level: "linked" }
    ])
    expect(after.tip?.number).toBe(9)
    yield* store.recount(epoch)
    expect(yield* state).toEqual(after)
    const gone = yield* store.replace({ epoch, range: { from: 8, to: 9 }, blocks: [], unsure: [] })
    expect(gone.totals).toEqual({ blocks: 8, transactions: 16, logs: 24 })
    expect(gone.tip?.hash).toBe(encoded(blocks)[7]?.hash)
    expect(gone.coverage).toEqual([{ from: 0, to: 7, level: "proven" }])
  }),

  "exchanges nothing that does not fit, and nothing under an old epoch": Effect.gen(function* () {
    const store = yield* Store
    const old = yield* lead
    const epoch = yield* lead
    const ours = encoded(linked(0, 9))
    const theirs = encoded(linked(0, 9, { seed: 2 }))
    yield* append(epoch, ours)
    const before = yield* state
    const range = { from: 4, to: 5 }
    const replace = (epoch: number, blocks: ReadonlyArray<EncodedBlock>, unsure: ReadonlyArray<number>) =>
      tag(store.replace({ epoch, range, blocks, unsure }))
    expect(yield* replace(old, ours.slice(4, 6), [])).toBe("Fenced")
    expect(yield* tag(store.recount(old))).toBe("Fenced")
    expect(yield* replace(epoch, theirs.slice(4, 6), [])).toBe("LinkMismatch")
    expect(yield* replace(epoch, theirs.slice(4, 6), [6])).toBe("LinkMismatch")
    expect(yield* state).toEqual(before)
    expect(yield* replace(epoch, theirs.slice(4, 6), [3, 6])).toBe("Success")
    expect((yield* state).totals).toEqual(before.totals)
    expect(yield* replace(epoch, ours.slice(4, 6), [])).toBe("Success")
    // The feed tells of what was exchanged.
    expect(yield* state).toEqual({ ...before, commit: before.commit + 2 })
  }),

  "belongs to one chain": Effect.gen(function* () {
    const store = yield* Store
    const genesisHash: Hex = `0x${"ab".repeat(32)}`
    yield* store.pin({ chainId: 1, genesisHash })
    yield* store.pin({ chainId: 1, genesisHash })
    const otherId = yield* failure(store.pin({ chainId: 5, genesisHash }))
    expect(otherId.reason).toMatchObject({
      _tag: "IdentityMismatch",
      what: "chain id",
      stored: "1",
      seen: "5"
    })
    const seen: Hex = `0x${"cd".repeat(32)}`
    const otherGenesis = yield* failure(store.pin({ chainId: 1, genesisHash: seen }))
    expect(otherGenesis.reason).toMatchObject({ what: "genesis hash", stored: genesisHash, seen })
    expect(otherGenesis.isRetryable).toBe(false)
  }),

  "leases to one holder at a time": Effect.gen(function* () {
    const store = yield* Store
    const acquire = (holder: string, evenIfHeld = false) =>
      store.acquireLease({ holder, duration: 60_000, evenIfHeld })
    const first = yield* acquire("a")
    expect(first).toMatchObject({ _tag: "Acquired", lease: { holder: "a", epoch: 1 } })
    expect(first.lease.expiresAt - first.lease.acquiredAt).toBeGreaterThanOrEqual(59_990)
    expect(yield* acquire("b")).toEqual({ _tag: "Held", lease: first.lease })
    const renewed = yield* store.renewLease({ epoch: 1, duration: 120_000 })
    expect(renewed).toMatchObject({ holder: "a", epoch: 1, acquiredAt: first.lease.acquiredAt })
    expect(renewed.expiresAt).toBeGreaterThan(first.lease.expiresAt)
    expect(yield* store.readLease).toEqual(renewed)
    expect(yield* acquire("b", true)).toMatchObject({ _tag: "Acquired", lease: { holder: "b", epoch: 2 } })
    yield* store.releaseLease(1)
    expect((yield* acquire("c"))._tag).toBe("Held")
    yield* store.releaseLease(2)
    expect(yield* acquire("c")).toMatchObject({ _tag: "Acquired", lease: { holder: "c", epoch: 3 } })
  }),

  "builds indexes once": Effect.gen(function* () {
    const store = yield* Store
    const epoch = yield* lead
    yield* append(epoch, encoded(linked(0, 3)))
    expect(yield* store.ensureIndexes).toBe(true)
    expect(yield* store.ensureIndexes).toBe(false)
    expect(yield* tag(append(epoch, encoded(linked(0, 5).slice(3))))).toBe("Success")
  })
}
