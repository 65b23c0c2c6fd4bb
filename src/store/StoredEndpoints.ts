/**
 * What was learned of RPC endpoints, kept in the deployment's schema.
 *
 * **Details**: endpoints are known by their host and a digest of their URL, so that a changed order of `RPC_URL` mixes
 * nothing up and no key is stored. What is older than a day is forgotten: plans and limits change.
 *
 * **Gotchas**: this is only memory. When it cannot be read or written that is logged, and everything goes on.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { EndpointMemory, type EndpointMemoryShape } from "../rpc/EndpointMemory.ts"
import { Memory } from "../rpc/EndpointState.ts"
import type { Store } from "./Store.ts"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Memory))
const encode = Schema.encodeEffect(Schema.fromJsonString(Memory))

const make = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient.SqlClient
  const endpoints = sql(`${schema}.endpoints`)
  return {
    load: sql<{ readonly key: string; readonly memory: string }>`
      select key, memory::text as memory from ${endpoints} where saved_at > now() - interval '1 day'`.pipe(
      Effect.map(
        (rows) =>
          new Map(
            rows.flatMap(({ key, memory }) =>
              Option.match(decode(memory), {
                onNone: () => [],
                onSome: (known) => [[key, known] as const]
              })
            )
          )
      ),
      Effect.catch((error) => Effect.as(forgotten("read", error), new Map<string, Memory>()))
    ),
    save: Effect.fnUntraced(
      function* (memories) {
        for (const [key, memory] of memories) {
          yield* sql`
            insert into ${endpoints} (key, memory) values (${key}, ${yield* encode(memory)}::jsonb)
            on conflict (key) do update set memory = excluded.memory, saved_at = now()`
        }
      },
      Effect.catch((error) => forgotten("written", error))
    )
  } satisfies EndpointMemoryShape
})

const forgotten = (what: string, error: { readonly message: string }) =>
  Effect.logDebug("the memory of endpoints cannot be used").pipe(
    Effect.annotateLogs({ what, reason: error.message })
  )

/** The store comes first: it makes the table. */
export const layer = (schema: string): Layer.Layer<never, never, SqlClient.SqlClient | Store> =>
  Layer.effect(EndpointMemory, make(schema))
