/**
 * A PostgreSQL of a test's own, to be hurt: stopped in each of its ways, killed, started again on the same port, on a
 * file system that the test chooses.
 *
 * **Details**: it keeps the times of commits (`track_commit_timestamp`), so that who wrote when can be told from the
 * server's own words. Its segments of WAL are of 1 MB, so that it fits on a small file system.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schedule, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { binaries, freePort, owner } from "./Postgres.ts"

/** `fast` rolls back and ends connections, `immediate` leaves all to the recovery, `kill` is SIGKILL. */
export type Stop = "fast" | "immediate" | "kill"

const signals = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const

export interface PostgresServer {
  /** Returns when it accepts connections; tried again while what a killed one left behind is in its way. */
  readonly start: Effect.Effect<void>
  /** Returns when it is gone. */
  readonly stop: (how: Stop) => Effect.Effect<void>
  /** An empty database. It goes with the server. */
  readonly database: Effect.Effect<string>
  /** A URL for a superuser of that name, which is made when it is not there. */
  readonly url: (database: string, user?: string) => Effect.Effect<string>
}

export interface ServerOptions {
  /** Where its data goes, owned by `owner()`; a folder in the temporary directory when absent. */
  readonly folder?: string
  /** Where its WAL goes; beside the data when absent. */
  readonly walFolder?: string
  readonly settings?: ReadonlyArray<string>
}

/** A folder that belongs to the user who runs the server, gone when the scope closes. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const made = mkdtempSync(join(tmpdir(), "sluice-server-"))
    chmodSync(made, 0o755)
    const { gid, uid } = owner()
    if (uid !== undefined && gid !== undefined) chownSync(made, uid, gid)
    return made
  }),
  (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true, maxRetries: 5 }))
)

export interface SmallDisk {
  readonly folder: string
  /** Leaves not a byte free. */
  readonly fill: Effect.Effect<void>
  /** Gives back what `fill` took. */
  readonly clear: Effect.Effect<void>
}

/** A file system of so many megabytes, in memory; undefined where this process may not mount one. */
export const smallDisk = Effect.fnUntraced(function* (
  megabytes: number
): Effect.fn.Return<SmallDisk | undefined, never, Scope.Scope> {
  const mounted = yield* folder
  const { gid = 0, uid = 0 } = owner()
  const isThere = yield* Effect.acquireRelease(
    Effect.sync(() => {
      try {
        const flags = ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755,uid=${uid},gid=${gid}`, "tmpfs"]
        execFileSync("mount", [...flags, mounted], { stdio: "pipe" })
        return true
      } catch {
        return false
      }
    }),
    (isMounted) =>
      // Lazily: a process of the server may be about to end.
      Effect.sync(() => (isMounted ? void execFileSync("umount", ["-l", mounted]) : undefined))
  )
  const ballast = join(mounted, "ballast")
  return isThere
    ? {
        folder: mounted,
        fill: Effect.sync(() => take(ballast)),
        clear: Effect.sync(() => rmSync(ballast, { force: true }))
      }
    : undefined
})

/** Smaller and smaller pieces, until not one byte more goes in. */
const take = (path: string): void => {
  const file = openSync(path, "w")
  for (let size = 2 ** 20; size >= 1; size /= 4) {
    const piece = Buffer.alloc(size)
    try {
      while (writeSync(file, piece) === size);
    } catch {
      // No space for this much: a smaller one may still fit.
    }
  }
  closeSync(file)
}

/** Started; killed when the scope closes, or when this process is gone. */
export const make = Effect.fnUntraced(function* (
  options: ServerOptions = {}
): Effect.fn.Return<PostgresServer, never, Scope.Scope> {
  const home = yield* folder
  const bin = (name: string) => join(binaries(), "bin", name)
  const data = join(options.folder ?? home, "data")
  const run = { ...owner(), cwd: home, env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" } }
  const wal = options.walFolder === undefined ? [] : [`--waldir=${join(options.walFolder, "wal")}`]
  yield* Effect.sync(() => {
    const flags = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--wal-segsize=1"]
    execFileSync(bin("initdb"), [...flags, ...wal], { ...run, stdio: "pipe" })
  })
  const port = yield* Effect.promise(freePort)
  const settings = [
    ...["fsync=off", "listen_addresses=127.0.0.1", `port=${port}`, "unix_socket_directories="],
    ...["max_connections=50", "track_commit_timestamp=on", "min_wal_size=2MB", "max_wal_size=8MB"],
    ...["shared_buffers=16MB", ...(options.settings ?? [])]
  ]
  let server: ChildProcess | undefined

  const isGone = (child: ChildProcess | undefined) =>
    child === undefined || child.exitCode !== null || child.signalCode !== null

  const launch = Effect.callback<void, string>((resume) => {
    const child = spawn(bin("postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], {
      ...run,
      stdio: ["ignore", "ignore", "pipe"]
    })
    server = child
    // It sees the end of its input when this process is gone, however that came.
    const watcher = spawn("/bin/sh", ["-c", 'read -r _; kill -QUIT "$0"', String(child.pid)], {
      stdio: ["pipe", "ignore", "ignore"]
    })
    child.once("exit", () => watcher.kill("SIGKILL"))
    let said = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = `${said}${text}`.slice(-4000)
      if (said.includes("ready to accept connections")) resume(Effect.void)
    })
    child.once("close", () => resume(Effect.fail(said)))
  })

  const stop = (how: Stop) =>
    Effect.callback<void>((resume) => {
      const child = server
      if (child === undefined || isGone(child)) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill(signals[how])
    })

  const start = launch.pipe(
    Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "20 seconds" }))),
    Effect.orDie
  )
  yield* Effect.acquireRelease(start, () => stop("immediate"))

  const urlOf = (database: string, user: string) => `postgres://${user}@127.0.0.1:${port}/${database}`
  const admin = (statement: string) => Effect.orDie(query(urlOf("postgres", "postgres"), statement))
  let databases = 0
  return {
    start,
    stop,
    database: Effect.suspend(() => {
      const name = `test_${databases++}`
      return Effect.as(admin(`create database ${name}`), name)
    }),
    url: Effect.fnUntraced(function* (database, user = "postgres") {
      const found = yield* admin(`select 1 from pg_roles where rolname = '${user}'`)
      if (found.length === 0) yield* admin(`create role ${user} superuser login`)
      return urlOf(database, user)
    })
  }
})

/** One statement over a connection of its own. */
export const query = <Row extends object>(
  url: string,
  statement: string
): Effect.Effect<ReadonlyArray<Row>, SqlError> =>
  Effect.scoped(
    Effect.flatMap(PgClient.make({ url: Redacted.make(url), maxConnections: 1 }), (sql) =>
      sql.unsafe<Row>(statement)
    )
  ).pipe(Effect.provide(Reactivity.layer))
