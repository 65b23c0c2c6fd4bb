/**
 * Deliberate bugs. The campaign has to catch every one of them: that is how we know that it would catch the next real
 * one.
 *
 * Each is a change of source text that only the harness makes, while it loads the modules: nothing in `src` knows of
 * it. A change whose text is no longer found fails its test.
 */
import type * as Database from "./Database.ts"
import type * as Story from "./Story.ts"

export interface Edit {
  /** Below `src`. */
  readonly file: string
  /** Occurs once in the file. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  readonly edits: ReadonlyArray<Edit>
  readonly database: Database.Kind
  readonly mode: Story.Mode
  /** A seed that catches it; others are tried when stories have changed. */
  readonly seed: number
}

const mutant = (
  name: string,
  seed: number,
  edits: ReadonlyArray<readonly [file: string, find: string, replace: string]>,
  database: Database.Kind = "memory"
): Mutant => ({
  name,
  seed,
  edits: edits.map(([file, find, replace]) => ({ file, find, replace })),
  database,
  mode: "liveness"
})

export const mutants: ReadonlyArray<Mutant> = [
  mutant("what contradicts its roots passes as proven", 12, [
    [
      "flow/Fetcher.ts",
      "const verdict = proof.verify(raw)",
      "proof.verify(raw); const verdict = { _tag: 'Proven' } as any"
    ]
  ]),
  mutant("receipts are not proven", 12, [
    ["chain/Proof.ts", "this.receipts(raw) ??", ""],
    ["chain/Proof.ts", "checkDerived(raw, this.writer, this.keccak)", "undefined"]
  ]),
  mutant("the last block of a gap is left out", 12, [
    [
      "flow/Planner.ts",
      "if (from > gap.to) return undefined",
      "if (from >= gap.to && from > 0) return undefined"
    ]
  ]),
  mutant("chunks overlap by one block", 5, [
    [
      "flow/Planner.ts",
      "return [yield* fetch(range, seam, 0), range.to + 1] as const",
      "return [yield* fetch(range, seam, 0), range.to === gap.to ? range.to + 1 : range.to] as const"
    ]
  ]),
  mutant("what was given back is never planned again", 5, [
    ["flow/Planner.ts", "Effect.andThen(Ref.update(returned, (before) => [...before, ...parts])),", ""]
  ]),
  mutant("readers are told before the commit", 1, [
    [
      "flow/Writer.ts",
      "const state = yield* store.append(",
      "yield* feed.publish(blocks.map((block) => ({ ...block, _tag: 'BlockCommitted' as const })))\n    const state = yield* store.append("
    ]
  ]),
  mutant("parent hashes are not compared", 1, [
    [
      "flow/Sequencer.ts",
      "if (below !== undefined && below !== block.parentHash) {",
      "if (below === block.hash) {"
    ]
  ]),
  mutant("another block at a height that is stored goes unseen", 1, [
    ["flow/Planner.ts", "const verify = isKnown ?", "const verify = isKnown && to < 0 ?"]
  ]),
  mutant("blocks are stored before they are confirmed", 4, [
    ["flow/Heads.ts", "Math.min(head - settings.confirmationDepth,", "Math.min(head,"]
  ]),
  mutant("whatever is low enough is final", 17, [
    [
      "flow/Writer.ts",
      "const number = linkedFinal(final, finalityDepth, finalized, merged)",
      "const number = final.number"
    ],
    [
      "flow/Writer.ts",
      "return ours?.hash === final.hash ? number : undefined",
      "return ours === undefined ? number : number"
    ]
  ]),
  mutant("one stale endpoint is believed about a final block", 33, [
    [
      "flow/Sequencer.ts",
      "if ((yield* source.everyHash(number)).includes(our)) return yield* disagreement(number, our)",
      ""
    ],
    [
      "source/HeadSource.ts",
      "else if (!isTrusted) others.delete(endpoint.id)",
      "else others.delete(endpoint.id)"
    ]
  ]),
  mutant("a fault ends the service instead of the run", 1, [
    ["flow/Session.ts", "if (isFatal(error)", "if (error.message !== ''"]
  ]),
  mutant("the gate lets everything pass", 3, [
    ["flow/Pressure.ts", "if (all.blocks === 0) return undefined", "if (all.blocks >= 0) return undefined"]
  ]),
  mutant("a request that hangs is waited for", 51, [
    ["rpc/Endpoint.ts", "duration: options.timeout,", "duration: Duration.infinity,"]
  ]),
  mutant(
    "the epoch is not looked at",
    10,
    [
      ["store/Guard.ts", "row !== undefined && epoch > 0 && Number(row.epoch) === epoch", "row !== undefined"]
    ],
    "pglite"
  ),
  mutant(
    "a take-over leaves the epoch as it is",
    1,
    [["store/LeaseRow.ts", "epoch = epoch + 1, holder", "epoch = greatest(epoch, 1), holder"]],
    "pglite"
  ),
  mutant(
    "coverage is committed apart from the rows",
    3,
    [
      [
        "store/SqlStore.ts",
        `      return Rows.toState(yield* record(blocks, pages, finalized))
    }).pipe(transaction(sql, "append"))`,
        `    }).pipe(
      transaction(sql, "append"),
      Effect.andThen(Effect.mapError(record(blocks, pages, finalized), toStoreError("append"))),
      Effect.map(Rows.toState)
    )`
      ]
    ],
    "pglite"
  ),
  mutant(
    "a rollback forgets the logs",
    1,
    [
      [
        "store/SqlStore.ts",
        `l as (delete from \${name("logs")} where block_number > \${above}`,
        `l as (delete from \${name("logs")} where block_number > \${above} and false`
      ]
    ],
    "pglite"
  ),
  mutant(
    "a rollback forgets the coverage",
    1,
    [
      [
        "store/SqlStore.ts",
        "where not isempty(ranges) and upper(ranges) >",
        "where false and upper(ranges) >"
      ]
    ],
    "pglite"
  ),
  mutant(
    "a rollback forgets the totals",
    1,
    [["store/SqlStore.ts", "logs = s.logs - n.logs", "logs = s.logs"]],
    "pglite"
  ),
  mutant(
    "a rollback leaves the tip",
    1,
    [["store/SqlStore.ts", "tip_number = tip.number, tip_hash = tip.hash", "tip_hash = tip.hash"]],
    "pglite"
  ),
  mutant(
    "finality goes down again",
    1,
    [["store/SqlStore.ts", "greatest(finalized,", "greatest(null,"]],
    "pglite"
  ),
  mutant(
    "neighbours are not compared by the store, nor by the stream",
    1,
    [
      ["store/SqlStore.ts", "if (wrong !== undefined) return yield* fail(wrong)", ""],
      [
        "flow/Sequencer.ts",
        "if (below !== undefined && below !== block.parentHash) {",
        "if (below === block.hash) {"
      ]
    ],
    "pglite"
  ),
  mutant(
    "events outlive their blocks",
    1,
    [["store/EventRanges.ts", "yield* removeWhere(sql`block_number > ", "void (sql`block_number > "]],
    "pglite"
  ),
  mutant(
    "what is covered of a source outlives a reorg",
    1,
    [
      [
        "store/EventRanges.ts",
        "set ranges = ranges * int8multirange(int8range(null, ",
        "set ranges = ranges + '{}'::int8multirange * int8multirange(int8range(null, "
      ]
    ],
    "pglite"
  ),
  mutant(
    "logs that were stored before a contract was named are forgotten",
    1,
    [["store/EventTables.ts", "range } of owed) {", "range } of owed.slice(owed.length)) {"]],
    "pglite"
  ),
  mutant(
    "a log goes to the first of its sources only",
    1,
    [
      [
        "store/EventRows.ts",
        "for (const i of matcher.match(log, number, isChildAt(number))) {",
        "for (const i of matcher.match(log, number, isChildAt(number)).slice(0, 1)) {"
      ]
    ],
    "pglite"
  ),
  mutant(
    "a log that does not decode is dropped",
    1,
    [["store/EventRows.ts", "if (reason !== undefined) writeUndecoded(log, place, source.id, reason)", ""]],
    "pglite"
  ),
  mutant(
    "what handlers wrote outlives its blocks",
    1,
    [["handlers/Handlers.ts", "yield* undo.undo(Math.min(ancestor, block))", ""]],
    "pglite"
  ),
  mutant(
    "handlers write outside of the logged block",
    1,
    [["handlers/Handlers.ts", "yield* undo.logging(to)", ""]],
    "pglite"
  ),
  mutant(
    "a window of tokens begins a second too early",
    10,
    [["tokens/Windows.ts", "Math.floor((time - width) / step)", "Math.floor((time - width - 1) / step)"]],
    "pglite"
  ),
  mutant(
    "a window keeps the totals of what has just left it",
    10,
    [["tokens/Windowed.ts", "entries.time(start) <= left; start++", "entries.time(start) < left; start++"]],
    "pglite"
  ),
  mutant(
    "a log that two sources take counts twice for its token",
    13,
    [
      ["tokens/TokenLogs.ts", "anybody === undefined ? all : [anybody]", "all"],
      ["tokens/TokenLogs.ts", "if (chosen.every((other) => areApart(source, other))) ", ""]
    ],
    "pglite"
  ),
  mutant(
    "what tokens are read back from lacks its last block",
    10,
    [
      [
        "tokens/TokenSources.ts",
        `and block_timestamp > to_timestamp(\${PgTypes.float8(after)}) \${among}`,
        `and block_number < \${int8(to)} and block_timestamp > to_timestamp(\${PgTypes.float8(after)}) \${among}`
      ]
    ],
    "pglite"
  ),
  mutant(
    "only tokens that move are ever written",
    10,
    [
      [
        "tokens/TokenFollower.ts",
        "fullFlushInterval: settings.tokenFullFlushInterval",
        "fullFlushInterval: '1 day'"
      ]
    ],
    "pglite"
  ),
  mutant(
    "candles made anew lack the beginning of their first minute",
    10,
    [["tokens/TokenSources.ts", "firstBlock(minute - 1, to)", "firstBlock(minute + 59, to)"]],
    "pglite"
  ),
  mutant(
    "a page of events lacks its last block",
    14,
    [["flow/LogPages.ts", "placed.push(last)", "if (number < range.to) placed.push(last)"]],
    "pglite"
  ),
  mutant(
    "a page is committed whatever is stored below it",
    14,
    [
      [
        "flow/Sequencer.ts",
        "const below = from > 0 ? yield* hashAt(from - 1) : undefined",
        "const below = from < 0 ? yield* hashAt(from - 1) : undefined"
      ]
    ],
    "pglite"
  ),
  mutant(
    "what is fetched again for a new source is stored again for all",
    14,
    [["store/EventRows.ts", "if (isSeen(source.id, number)) continue", ""]],
    "pglite"
  ),
  mutant(
    "what is fetched again for a new source counts for no token",
    14,
    [
      [
        "tokens/TokenFollower.ts",
        'pages.flatMap((page) => events.logsOfPage(page, "all"))',
        "pages.flatMap((page) => events.logsOfPage(page))"
      ]
    ],
    "pglite"
  ),
  mutant(
    "a new source lets all blocks be forgotten",
    35,
    [
      [
        "store/EventRanges.ts",
        "coalesce(range_agg(int8range(b.number, b.number + 1)) filter (where b.number is not null), '{}')",
        "'{[0,)}'"
      ]
    ],
    "pglite"
  )
]
