/**
 * `Store` in memory, with the promises of the real one; it passes the same contract suite. For tests that are about
 * the stream, and need thousands of runs or a virtual clock.
 */
import { Clock, Effect, Layer, Ref } from "effect"
import * as BlockRange from "../../src/chain/BlockRange.ts"
import { comparePlaces, type FeedEvent, placeOf } from "../../src/delivery/Feed.ts"
import type { EncodedBlock } from "../../src/store/Columns.ts"
import {
  BelowFinality,
  Duplicate,
  Fenced,
  type Identity,
  IdentityMismatch,
  type LeaseAttempt,
  type LeaseRow,
  LinkMismatch,
  type RolledBack,
  Store,
  StoreError,
  type StoreState
} from "../../src/store/Store.ts"

interface Memory {
  readonly identity: Identity | undefined
  readonly blocks: ReadonlyMap<number, EncodedBlock>
  readonly finalized: number | undefined
  readonly lastReorg: RolledBack | undefined
  readonly lease: LeaseRow | undefined
  readonly indexed: boolean
  readonly events: ReadonlyArray<FeedEvent>
  readonly commit: number
}

const fail = (reason: StoreError["reason"]) => new StoreError({ reason })

const totals = (blocks: Iterable<EncodedBlock>) => {
  const sum = { blocks: 0, transactions: 0, logs: 0 }
  for (const block of blocks) {
    sum.blocks++
    sum.transactions += block.transactions
    sum.logs += block.logs
  }
  return sum
}

const stateOf = (memory: Memory): StoreState => {
  const blocks = [...memory.blocks.values()].sort((a, b) => a.number - b.number)
  const tip = blocks.at(-1)
  const coverage: Array<StoreState["coverage"][number]> = []
  for (const { number, level } of blocks) {
    const last = coverage.at(-1)
    if (last !== undefined && last.to === number - 1 && last.level === level) {
      coverage[coverage.length - 1] = { ...last, to: number }
    } else coverage.push({ from: number, to: number, level })
  }
  return {
    coverage,
    totals: totals(blocks),
    tip:
      tip === undefined
        ? undefined
        : { number: tip.number, hash: tip.hash, parentHash: tip.parentHash, timestamp: tip.timestamp },
    finalized: memory.finalized,
    lastReorg: memory.lastReorg,
    commit: memory.commit
  }
}

/** The feed with these blocks as its next commit. */
const told = (before: Memory, blocks: ReadonlyArray<EncodedBlock>): Pick<Memory, "commit" | "events"> => {
  const commit = before.commit + (blocks.length > 0 ? 1 : 0)
  const events = blocks.map(
    ({ hash, level, logs, number, parentHash, timestamp, transactions }): FeedEvent => ({
      _tag: "BlockCommitted",
      commit,
      number,
      hash,
      parentHash,
      timestamp,
      level,
      transactions,
      logs
    })
  )
  return { commit, events: [...before.events, ...events] }
}

export const make = Effect.gen(function* () {
  const memory = yield* Ref.make<Memory>({
    identity: undefined,
    blocks: new Map(),
    finalized: undefined,
    lastReorg: undefined,
    lease: undefined,
    indexed: false,
    events: [],
    commit: 0
  })

  const checkEpoch = (m: Memory, epoch: number) =>
    m.lease?.epoch === epoch
      ? Effect.void
      : fail(new Fenced({ epoch, current: m.lease?.epoch ?? 0, holder: m.lease?.holder ?? "nobody" }))

  const checkLink = (blocks: ReadonlyMap<number, EncodedBlock>, upper: EncodedBlock | undefined) => {
    const below = upper === undefined ? undefined : blocks.get(upper.number - 1)
    return upper === undefined || below === undefined || below.hash === upper.parentHash
      ? Effect.void
      : fail(new LinkMismatch({ number: upper.number, parentHash: upper.parentHash, storedHash: below.hash }))
  }

  const lease = (change: (m: Memory, now: number) => LeaseRow) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Ref.modify(memory, (m) => {
        const row = change(m, now)
        return [row, { ...m, lease: row }]
      })
    )

  return Store.of({
    pin: Effect.fnUntraced(function* (identity) {
      const { identity: stored } = yield* Ref.get(memory)
      if (stored === undefined) return yield* Ref.update(memory, (m) => ({ ...m, identity }))
      if (stored.chainId !== identity.chainId) {
        return yield* fail(
          new IdentityMismatch({
            what: "chain id",
            stored: String(stored.chainId),
            seen: String(identity.chainId)
          })
        )
      }
      if (stored.genesisHash !== identity.genesisHash) {
        return yield* fail(
          new IdentityMismatch({
            what: "genesis hash",
            stored: stored.genesisHash,
            seen: identity.genesisHash
          })
        )
      }
    }),
    identity: Effect.map(Ref.get(memory), ({ identity }) => identity),
    state: Effect.map(Ref.get(memory), stateOf),
    gaps: (range, limit) =>
      Effect.map(Ref.get(memory), (m) => BlockRange.subtract(range, stateOf(m).coverage).slice(0, limit)),
    headers: (range) =>
      Effect.map(Ref.get(memory), ({ blocks }) =>
        [...blocks.values()]
          .filter(({ number }) => BlockRange.contains(range, number))
          .sort((a, b) => a.number - b.number)
          .map(({ number, hash, parentHash, timestamp }) => ({ number, hash, parentHash, timestamp }))
      ),
    append: Effect.fnUntraced(function* ({ blocks, epoch, finalized }) {
      const before = yield* Ref.get(memory)
      yield* checkEpoch(before, epoch)
      const after = new Map(before.blocks)
      for (const block of blocks) {
        if (after.has(block.number)) return yield* fail(new Duplicate({ detail: `block ${block.number}` }))
        after.set(block.number, block)
      }
      for (const block of blocks) {
        yield* checkLink(after, block)
        yield* checkLink(after, after.get(block.number + 1))
      }
      const final = Math.max(before.finalized ?? -1, finalized ?? -1)
      const next = {
        ...before,
        blocks: after,
        finalized: final < 0 ? undefined : final,
        ...told(before, blocks)
      }
      yield* Ref.set(memory, next)
      return stateOf(next)
    }),
    rollback: Effect.fnUntraced(function* ({ ancestor, epoch }) {
      const before = yield* Ref.get(memory)
      yield* checkEpoch(before, epoch)
      const gone = [...before.blocks.values()].filter(({ number }) => number > ancestor)
      if (before.finalized !== undefined && gone.some(({ number }) => number <= (before.finalized ?? -1))) {
        return yield* fail(new BelowFinality({ ancestor, finalized: before.finalized }))
      }
      const at = yield* Clock.currentTimeMillis
      const commit = before.commit + 1
      const removed = gone.map(({ hash, number }) => ({ number, hash })).sort((a, b) => a.number - b.number)
      const lastReorg = { ancestor, depth: gone.length, at, commit, removed, ...totals(gone) }
      const event: FeedEvent = { _tag: "RolledBack", commit, ancestor, depth: gone.length, at, removed }
      yield* Ref.set(memory, {
        ...before,
        blocks: new Map([...before.blocks].filter(([number]) => number <= ancestor)),
        lastReorg,
        commit,
        events: [...before.events, event]
      })
      return lastReorg
    }),
    events: (after, limit) =>
      Effect.map(Ref.get(memory), ({ commit, events }) =>
        after.commit > commit
          ? { _tag: "Reset", newest: { commit, number: undefined } }
          : {
              _tag: "Page",
              events: events.filter((event) => comparePlaces(placeOf(event), after) > 0).slice(0, limit)
            }
      ),
    reorgs: ({ before, limit }) =>
      Effect.map(Ref.get(memory), ({ events }) =>
        events
          .filter((event) => event._tag === "RolledBack")
          .filter(({ commit }) => before === undefined || commit < before)
          .toReversed()
          .slice(0, limit)
          .map(({ ancestor, at, commit, depth, removed }) => ({ ancestor, at, commit, depth, removed }))
      ),
    replace: Effect.fnUntraced(function* ({ blocks, epoch, range, unsure }) {
      const before = yield* Ref.get(memory)
      yield* checkEpoch(before, epoch)
      const after = new Map([...before.blocks].filter(([number]) => !BlockRange.contains(range, number)))
      for (const block of blocks) after.set(block.number, block)
      const known = new Map([...after].filter(([number]) => !unsure.includes(number)))
      for (const block of blocks) {
        yield* checkLink(known, block)
        yield* checkLink(known, known.get(block.number + 1))
      }
      const next = { ...before, blocks: after, ...told(before, blocks) }
      yield* Ref.set(memory, next)
      return stateOf(next)
    }),
    recount: (epoch) => Effect.flatMap(Ref.get(memory), (m) => checkEpoch(m, epoch)),
    ensureIndexes: Ref.modify(memory, (m) => [!m.indexed, { ...m, indexed: true }]),
    acquireLease: ({ duration, evenIfHeld, holder }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Ref.modify(memory, (m): [LeaseAttempt, Memory] => {
          if (m.lease !== undefined && m.lease.expiresAt > now && !evenIfHeld) {
            return [{ _tag: "Held", lease: m.lease }, m]
          }
          const row = { holder, epoch: (m.lease?.epoch ?? 0) + 1, acquiredAt: now, expiresAt: now + duration }
          return [
            { _tag: "Acquired", lease: row },
            { ...m, lease: row }
          ]
        })
      ),
    renewLease: Effect.fnUntraced(function* ({ duration, epoch }) {
      const held = yield* Ref.get(memory)
      yield* checkEpoch(held, epoch)
      return yield* lease((m, now) => ({
        holder: m.lease?.holder ?? "",
        epoch,
        acquiredAt: m.lease?.acquiredAt ?? now,
        expiresAt: now + duration
      }))
    }),
    releaseLease: (epoch) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Ref.update(memory, (m) =>
          m.lease?.epoch === epoch ? { ...m, lease: { ...m.lease, expiresAt: now } } : m
        )
      ),
    readLease: Effect.map(Ref.get(memory), (m) => m.lease)
  })
})

export const layer = Layer.effect(Store, make)
