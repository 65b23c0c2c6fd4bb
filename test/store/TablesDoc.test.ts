/**
 * docs/tables.md says what is so: its columns are the definitions', its queries run.
 */
import { readFileSync } from "node:fs"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { replaceGenerated } from "../../src/store/TablesDoc.ts"
import * as PGliteTest from "../support/PGliteTest.ts"

const document = readFileSync(new URL("../../docs/tables.md", import.meta.url), "utf8")

it("the columns are those of the definitions", () => {
  expect(replaceGenerated(document)).toBe(document)
})

it.live("the queries run", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* SqlStore.make({ schema: "chain_1" })
    const queries = [...document.matchAll(/```sql\n([^`]+?);\n```/g)].map(([, text]) => text ?? "")
    expect(queries).toHaveLength(6)
    for (const query of queries) yield* sql.unsafe(query)
  }).pipe(Effect.provide(PGliteTest.layer))
)
