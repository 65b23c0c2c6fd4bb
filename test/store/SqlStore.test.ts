import { describe, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { SqlClient } from "effect/sql"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store } from "../../src/store/Store.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import * as Postgres from "../support/Postgres.ts"
import { contract } from "./contract.ts"
import { partitionBlocks, sqlContract } from "./sqlContract.ts"

let schemas = 0

const suite = (name: string, database: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  describe(name, () => {
    layer(database, { timeout: "2 minutes", excludeTestServices: true })((it) => {
      const inFreshSchema = <A, E>(
        test: (schema: string) => Effect.Effect<A, E, Store | SqlClient.SqlClient>
      ) =>
        Effect.suspend(() => {
          const schema = `deployment_${schemas++}`
          return Effect.flatMap(SqlStore.make({ schema, partitionBlocks }), (store) =>
            Effect.provideService(test(schema), Store, store)
          )
        })
      for (const [title, test] of Object.entries(contract)) {
        it.effect(title, () => inFreshSchema(() => test))
      }
      for (const [title, test] of Object.entries(sqlContract)) it.effect(title, () => inFreshSchema(test))
    })
  })

suite("PGlite", PGliteTest.layer)
suite("PostgreSQL", Postgres.layer)
