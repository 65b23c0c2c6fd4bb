/**
 * A connection to an embedded PostgreSQL: what the driver would read from a socket and write to it.
 *
 * **Details**
 *
 * PGlite wants whole messages of the wire protocol, so what is written is gathered until they are whole. There is only
 * one server process behind all connections: when one ends, its transaction and its prepared statements are taken
 * back, or the next one would find itself in them. The client has to be limited to one connection.
 */
import { Duplex } from "node:stream"
import type { PGlite } from "@electric-sql/pglite"

/** Requests without a type byte, by their code: answered or swallowed, since there is no server to read them. */
const sslRequest = 80_877_103
const cancelRequest = 80_877_102
const terminate = 0x58

export const make = (db: PGlite): Duplex => {
  let pending: Buffer = Buffer.alloc(0)
  let started = false
  /** Whatever runs in the database, one after the other. */
  let last: Promise<void> = Promise.resolve()

  const run = (message: Uint8Array): Promise<void> => {
    last = last.then(() =>
      db.runExclusive(() =>
        db.execProtocolRawStream(message, {
          // The memory behind `data` is the database's own, and used again.
          onRawData: (data) => duplex.push(Buffer.from(data))
        })
      )
    )
    return last
  }

  /** Length of the messages that are whole at the start of `bytes`, and whether the last of them says goodbye. */
  const whole = (bytes: Buffer): { readonly length: number; readonly ends: boolean } => {
    let at = 0
    while (bytes.length - at >= 5) {
      const next = at + 1 + bytes.readInt32BE(at + 1)
      if (bytes[at] === terminate) return { length: at, ends: true }
      if (next > bytes.length) break
      at = next
    }
    return { length: at, ends: false }
  }

  /** Takes the messages before the first typed one off `pending`; false while they are not whole. */
  const start = async (): Promise<boolean> => {
    while (!started) {
      if (pending.length < 8) return false
      const length = pending.readInt32BE(0)
      const code = pending.readInt32BE(4)
      if (pending.length < length) return false
      const message = pending.subarray(0, length)
      pending = pending.subarray(length)
      if (code === sslRequest) duplex.push("N")
      else if (code === cancelRequest) {
        duplex.push(null)
        return false
      } else {
        started = true
        await run(message)
      }
    }
    return true
  }

  const consume = async (chunk: Buffer): Promise<void> => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    if (!(await start())) return
    const { ends, length } = whole(pending)
    const messages = pending.subarray(0, length)
    pending = pending.subarray(length)
    if (messages.length > 0) await run(messages)
    if (ends) duplex.push(null)
  }

  const cleanUp = (): Promise<void> =>
    started && !db.closed
      ? last
          .catch(() => undefined)
          .then(async () => {
            await db.exec("rollback")
            await db.exec("discard all")
          })
      : Promise.resolve()

  const duplex: Duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      consume(chunk).then(() => done(), done)
    },
    final: (done) => {
      cleanUp().then(() => done(), done)
    },
    destroy: (error, done) => {
      const cleaned = duplex.writableFinished ? Promise.resolve() : cleanUp()
      cleaned.then(
        () => done(error),
        (failure: Error) => done(error ?? failure)
      )
    }
  })
  return duplex
}
