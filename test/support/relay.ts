/** A TCP port in front of another one, whose connections can be cut: neither side hears why, nor what became of it. */
import { connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

export interface Relay {
  readonly port: number
  /** Breaks all connections; new ones are taken at once. */
  readonly cut: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (to: number): Effect.fn.Return<Relay, never, Scope.Scope> {
  const sockets = new Set<Socket>()
  const track = (socket: Socket, other: () => Socket) =>
    sockets.add(
      socket
        .on("error", () => undefined)
        .on("close", () => {
          sockets.delete(socket)
          other().destroy()
        })
    )
  const server = createServer((client) => {
    const upstream = connect(to, "127.0.0.1")
    track(client, () => upstream)
    track(upstream, () => client)
    client.pipe(upstream)
    upstream.pipe(client)
  })
  const cut = Effect.sync(() => {
    for (const socket of sockets) socket.destroy()
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () =>
      Effect.andThen(
        Effect.sync(() => void server.close()),
        cut
      )
  )
  return { port, cut }
})
