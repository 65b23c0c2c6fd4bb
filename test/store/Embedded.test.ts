import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgConnection } from "@effect/sql-pg"
import { expect, it } from "@effect/vitest"
import { PGlite } from "@electric-sql/pglite"
import { Effect, Layer, Result } from "effect"
import { hold } from "../../src/store/DirectoryLock.ts"
import * as Embedded from "../../src/store/Embedded.ts"
import * as PGliteStream from "../../src/store/PGliteStream.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { Store } from "../../src/store/Store.ts"
import { encoded, lead, linked } from "./contract.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-embedded-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const withStore = <A, E, R>(directory: string, effect: Effect.Effect<A, E, R>) =>
  Effect.provide(
    effect,
    SqlStore.layer({ schema: "deployment" }).pipe(
      Layer.provideMerge(Embedded.layer({ directory, holder: "first" }))
    ),
    { local: true }
  )

it.live("keeps all over a restart, and its directory for itself", () =>
  Effect.gen(function* () {
    const directory = yield* temporary
    const before = yield* withStore(
      directory,
      Effect.gen(function* () {
        const store = yield* Store
        const epoch = yield* lead
        yield* store.append({ epoch, blocks: encoded(linked(0, 4)), finalized: 1 })
        const second = yield* Effect.result(withStore(directory, Effect.void))
        expect(Result.isFailure(second) && second.failure).toMatchObject({
          _tag: "DataDirectoryHeld",
          holder: "first"
        })
        return yield* store.state
      })
    )
    const after = yield* withStore(
      directory,
      Effect.flatMap(Store, (store) => store.state)
    )
    expect(after).toEqual(before)
  })
)

it.live("a connection that ends in a transaction takes it back", () =>
  Effect.gen(function* () {
    const db = yield* Effect.acquireRelease(
      Effect.promise(() => PGlite.create()),
      (open) => Effect.promise(() => open.close())
    )
    const connect = PgConnection.make({ stream: () => PGliteStream.make(db), username: "postgres" })
    yield* Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* connect
        yield* connection.query("create table t (n int4)")
        yield* connection.query("begin")
        yield* connection.query("insert into t values (1)")
      })
    )
    const rows = yield* Effect.scoped(
      Effect.flatMap(connect, (connection) => connection.queryValues("select count(*)::int4 from t"))
    )
    expect(rows).toEqual([[0]])
  })
)

/** Another process that holds the directory as we do, until it is killed. */
const other = (path: string) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof spawn>>((resume) => {
      const child = spawn(
        process.execPath,
        [
          "-e",
          `require("net").createServer((s) => s.end(JSON.stringify({ holder: "other", since: 5, pid: 1 }) + "\\n"))
             .listen(process.argv[1], () => console.log("listening"))`,
          path
        ],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      child.stdout.once("data", () => resume(Effect.succeed(child)))
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

it.live("says who holds the directory, and takes over from the dead", () =>
  Effect.gen(function* () {
    const directory = yield* temporary
    const child = yield* other(join(directory, "sluice.sock"))
    const refused = yield* Effect.flip(Effect.scoped(hold(directory, "me")))
    expect(refused.message).toBe(
      "another instance is already syncing (other, since 1970-01-01T00:00:00.005Z)"
    )
    yield* Effect.callback<void>((resume) => {
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    })
    const attempts = yield* Effect.forEach(
      ["a", "b", "c"],
      (holder) => Effect.result(hold(directory, holder)),
      {
        concurrency: 3
      }
    )
    expect(attempts.filter(Result.isSuccess)).toHaveLength(1)
  })
)
