/**
 * A data directory belongs to one process.
 *
 * **Details**
 *
 * The holder listens on a unix socket in the directory (on Windows a named pipe), which the operating system closes
 * when the process ends in whatever way; nothing is left that would have to expire. Who connects is told in one line
 * of JSON who holds it and since when.
 *
 * A socket that nobody listens on is a dead holder's. It is removed under a lock of its own (`mkdir` is atomic), so that
 * of two successors one does it and the other finds the first.
 *
 * **Gotchas**: a directory shared between machines is not protected; a socket says nothing across them.
 */
import { createHash } from "node:crypto"
import { mkdir, realpath, rm, rmdir, stat } from "node:fs/promises"
import { connect, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { Clock, Duration, Effect, Schema, type Scope } from "effect"

/** Another process, or another part of this one, has the directory open. */
export class DataDirectoryHeld extends Schema.TaggedError<DataDirectoryHeld>()("DataDirectoryHeld", {
  holder: Schema.String,
  /** Milliseconds since 1970; undefined when the holder does not say. */
  since: Schema.optional(Schema.Finite),
  directory: Schema.String
}) {
  override get message(): string {
    const since = this.since === undefined ? "" : `, since ${new Date(this.since).toISOString()}`
    return `another instance is already syncing (${this.holder}${since})`
  }
}

/** The directory cannot be used. */
export class DataDirectoryError extends Schema.TaggedError<DataDirectoryError>()("DataDirectoryError", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the data directory ${this.directory} cannot be used: ${this.detail}`
  }
}

const Greeting = Schema.fromJsonString(
  Schema.Struct({ holder: Schema.String, since: Schema.Finite, pid: Schema.Finite })
)

/** Node never ends making one in `/proc`, nor does a network drive that is away. */
const longestMkdir = Duration.seconds(10)

/** Makes the directory if needed, and holds it until the scope closes. */
export const hold = Effect.fnUntraced(function* (
  directory: string,
  holder: string
): Effect.fn.Return<void, DataDirectoryHeld | DataDirectoryError, Scope.Scope> {
  const attempt = <A>(run: () => Promise<A>) =>
    Effect.tryPromise({
      try: run,
      catch: (cause) =>
        new DataDirectoryError({ directory, detail: cause instanceof Error ? cause.message : String(cause) })
    })
  yield* Effect.timeoutOrElse(
    attempt(() => mkdir(directory, { recursive: true, mode: 0o700 })),
    {
      duration: longestMkdir,
      orElse: () =>
        new DataDirectoryError({
          directory,
          detail: `it could not be made within ${Duration.format(longestMkdir)}; name one on a disk of this machine`
        })
    }
  )
  const path = socketPath(yield* attempt(() => realpath(directory)))
  const since = yield* Clock.currentTimeMillis
  const greeting = yield* Effect.orDie(Schema.encodeEffect(Greeting)({ holder, since, pid: process.pid }))

  const listening = listen(path, greeting).pipe(
    Effect.mapError((error) => new DataDirectoryError({ directory, detail: error.message }))
  )
  const heldBy = Effect.gen(function* () {
    const answer = yield* ask(path)
    if (answer === undefined) return undefined
    const said = yield* Effect.option(Schema.decodeEffect(Greeting)(answer))
    return said._tag === "Some"
      ? new DataDirectoryHeld({ directory, holder: said.value.holder, since: said.value.since })
      : new DataDirectoryHeld({ directory, holder: "a process that does not answer" })
  })
  const takeOver = Effect.acquireUseRelease(
    attempt(() => mkdirOnce(`${path}.takeover`)),
    () =>
      Effect.gen(function* () {
        const alive = yield* heldBy
        if (alive !== undefined) return yield* alive
        yield* attempt(() => rm(path, { force: true }))
        return yield* listening
      }),
    () => Effect.ignore(attempt(() => rmdir(`${path}.takeover`)))
  )

  yield* Effect.acquireRelease(
    Effect.gen(function* () {
      const server = yield* listening
      if (server !== undefined) return server
      const alive = yield* heldBy
      if (alive !== undefined) return yield* alive
      const taken = yield* takeOver
      if (taken !== undefined) return taken
      return yield* (yield* heldBy) ??
        new DataDirectoryHeld({ directory, holder: "a process that has only just started" })
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        // Closing removes the socket.
        server.close(() => resume(Effect.void))
      })
  )
})

/** A take-over takes milliseconds; one that is older than this was interrupted by a crash. */
const staleTakeOver = 10_000

const mkdirOnce = async (path: string): Promise<void> => {
  try {
    await mkdir(path)
  } catch (cause) {
    const { mtimeMs } = await stat(path)
    const { mtimeMs: now } = await touched(path)
    if (now - mtimeMs < staleTakeOver) return Promise.reject(cause)
    await rmdir(path)
    await mkdir(path)
  }
}

/** The file system's own idea of now, which is what a modification time is to be compared with. */
const touched = async (path: string) => {
  const probe = `${path}.${process.pid}`
  await mkdir(probe)
  const found = await stat(probe)
  await rmdir(probe)
  return found
}

/** Bytes that the address of a unix socket may have, on the system that allows the fewest. */
const longest = 100

const socketPath = (directory: string): string => {
  const name = `sluice-${createHash("sha256").update(directory).digest("hex").slice(0, 16)}`
  if (process.platform === "win32") return `\\\\.\\pipe\\${name}`
  const inside = join(directory, "sluice.sock")
  const nearer = relative(process.cwd(), inside)
  return [inside, nearer].find((path) => Buffer.byteLength(path) <= longest) ?? join(tmpdir(), `${name}.sock`)
}

/** A server that greets whoever connects; undefined when the address is taken, by the living or the dead. */
const listen = (path: string, greeting: string): Effect.Effect<Server | undefined, Error> =>
  Effect.callback((resume) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy())
      socket.end(`${greeting}\n`)
    })
    server.once("error", (error: NodeJS.ErrnoException) =>
      resume(error.code === "EADDRINUSE" ? Effect.undefined : Effect.fail(error))
    )
    server.listen(path, () => {
      // Holding a directory is no reason to stay alive.
      server.unref()
      resume(Effect.succeed(server))
    })
  })

/** The greeting, empty when the holder does not answer; undefined when nobody listens. */
const ask = (path: string): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    let answer = ""
    const socket = connect(path)
    socket.setTimeout(2000, () => {
      socket.destroy()
      resume(Effect.succeed(""))
    })
    socket.on("data", (data) => {
      answer += data.toString()
    })
    socket.on("end", () => resume(Effect.succeed(answer.trim())))
    socket.on("error", (error: NodeJS.ErrnoException) =>
      resume(Effect.succeed(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? undefined : answer))
    )
    return Effect.sync(() => socket.destroy())
  })
