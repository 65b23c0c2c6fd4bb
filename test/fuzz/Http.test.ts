/**
 * Hostile requests to the real server, over raw sockets: what comes back is an answer that says what was wrong, or a
 * closed connection; the next caller is served as ever, and neither answers nor log show a stack or a secret.
 */
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import * as Server from "../../src/api/Server.ts"
import { Sluice } from "../../src/Sluice.ts"
import { SessionLock } from "../../src/store/SessionLock.ts"
import { settings, world } from "../support/simulated.ts"
import * as Campaign from "./Campaign.ts"

const key = "S3CR3TK3Y"

/** Bytes on a connection, in pieces that are sent one after the other; then half of it is closed, or not. */
interface Part {
  readonly what: string
  readonly pieces: ReadonlyArray<string | Uint8Array>
  readonly isOpen?: boolean
}

const routes = [
  "/",
  "/health",
  "/ready",
  "/api/status",
  "/docs",
  "/metrics",
  "/openapi.json",
  "/ws",
  "/nothing"
]
const methods = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND get G\u00c9T".split(" ")

const suffixes = [
  "%00",
  "/../../etc/passwd",
  "/..%2f..%2fetc%2fpasswd",
  "/%",
  "/%zz",
  "/%ff%fe",
  "/%c0%ae%c0%ae",
  "//",
  "/.",
  "?",
  "?a",
  "?a=%",
  "?a[]=1&a[]=2",
  "?__proto__=x",
  "?constructor[prototype]=x",
  `?k=${"x".repeat(8000)}`,
  `/${"y".repeat(8000)}`,
  `/${"z".repeat(100_000)}`,
  "#f",
  ";a=b",
  "?a=\u00e9",
  "?limit=-1",
  "?limit=1e999",
  "?from=NaN&to=9007199254740993",
  "?cursor=%7B%22a%22:1%7D"
]

const headers = [
  "Host:",
  "Host: a\r\nHost: b",
  "Content-Length: -1",
  "Content-Length: 1e9",
  "Content-Length: 5\r\nContent-Length: 6",
  "Content-Length: 99999999999999999999",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nContent-Length: 3",
  "Transfer-Encoding: gzip",
  "Expect: 100-continue",
  "Expect: sluice",
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
  "Upgrade: h2c\r\nConnection: Upgrade",
  "Accept: ;;;,,q=9",
  "Accept-Encoding: sluice;q=1e999",
  `Cookie: ${"c=1;".repeat(3000)}`,
  `X: ${"x".repeat(100_000)}`,
  "X",
  ": x",
  "X : y",
  "X: \u0000",
  "Content-Type: application/json; charset=sluice",
  "Range: bytes=-1-",
  "If-None-Match: \u001b[2J",
  "traceparent: 00-zz-zz-01",
  "b3: x-y-z",
  "X-Forwarded-For: '; drop table blocks; --",
  "Origin: null",
  "__proto__: x",
  ...Array.from({ length: 3 }, (_, i) => "A: b\r\n".repeat(900 * (i + 1)).trim())
]

const request = (method: string, path: string, header = "", body = ""): string =>
  `${method} ${path} HTTP/1.1\r\nHost: sluice\r\nConnection: close\r\n${header === "" ? "" : `${header}\r\n`}\r\n${body}`

const part = (what: string, ...pieces: ReadonlyArray<string | Uint8Array>): Part => ({ what, pieces })

const sized = (bytes: number): string =>
  request(
    "POST",
    "/api/status",
    `Content-Length: ${bytes}\r\nContent-Type: application/json`,
    "x".repeat(bytes)
  )

const parts: ReadonlyArray<Part> = [
  ...routes.flatMap((route) => [
    ...methods.map((method) => part(`${method} ${route}`, request(method, route))),
    ...suffixes.map((suffix) =>
      part(`GET ${route}${suffix.slice(0, 30)}`, request("GET", `${route}${suffix}`))
    )
  ]),
  ...headers.map((header) => part(header.slice(0, 60), request("GET", "/api/status", header))),
  ...[
    "GET",
    "GET /",
    "GET / HTTP/9.9",
    "GET http://[::1 HTTP/1.1",
    "* / HTTP/1.1",
    "GET  / HTTP/1.1",
    "\u0016\u0003\u0001",
    "PRI * HTTP/2.0",
    "SSH-2.0-x"
  ].map((line) => part(`the line ${JSON.stringify(line)}`, `${line}\r\nHost: a\r\n\r\n`)),
  part(
    "random bytes",
    Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251)
  ),
  part("nothing"),
  part("half a request", "GET /api/status HTTP/1.1\r\nHost: slu"),
  part("a slow request", "GET /hea", "lth HTTP/1.1\r\nHo", "st: sluice\r\nConnection: close\r\n", "\r\n"),
  part("half a body", request("POST", "/api/status", "Content-Length: 100", "only this")),
  part("chunks that are none", request("POST", "/", "Transfer-Encoding: chunked", "zz\r\nabc\r\n0\r\n\r\n")),
  part("a great chunk", request("POST", "/", "Transfer-Encoding: chunked", "ffffffffffffffff\r\nabc")),
  part("a megabyte", sized(2 ** 20)),
  part("ten megabytes", sized(10 * 2 ** 20)),
  part("a body to GET", request("GET", "/health", "Content-Length: 5", "hello")),
  part("garbage behind a request", `GET /health HTTP/1.1\r\nHost: a\r\n\r\n\u0000\u0001 garbage\r\n\r\n`),
  part(
    "a hundred requests at once",
    "GET /api/status HTTP/1.1\r\nHost: a\r\n\r\n".repeat(99) + request("GET", "/health")
  ),
  { ...part("a connection that says nothing more", "GET /health HTTP/1.1\r\n"), isOpen: true }
]

/** Milliseconds; whoever says nothing is left after half of it. */
const patience = 10_000

const exchange = (port: number, { isOpen, pieces }: Part): Effect.Effect<string> =>
  Effect.callback<string>((resume) => {
    let answer = ""
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }, () => {
      const send = (i: number): void => {
        const piece = pieces[i]
        if (piece !== undefined)
          socket.write(piece, () => setTimeout(send, pieces.length > 1 ? 10 : 0, i + 1))
        else if (isOpen === true) setTimeout(() => socket.destroy(), 50)
        else socket.end()
      }
      send(0)
    })
    socket.on("data", (data) => {
      answer += data.toString("latin1")
    })
    socket.on("error", () => undefined)
    socket.on("end", () => socket.destroy())
    socket.on("close", () => resume(Effect.succeed(answer)))
    socket.setTimeout(patience, () => socket.destroy())
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutOrElse({ duration: 2 * patience, orElse: () => Effect.succeed("HTTP/1.1 599 it hangs") })
  )

const complaint = (text: string): string | undefined => {
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  if (text !== "" && statuses.length === 0) return `no HTTP: ${JSON.stringify(text.slice(0, 100))}`
  const bad = statuses.find(
    (status) => status >= 500 && !(status === 503 && /content-type: application\/json/i.test(text))
  )
  if (bad !== undefined) return `the status ${bad}: ${JSON.stringify(text.slice(0, 300))}`
  if (text.includes(key)) return "it names the key"
  const refused = statuses.length === 1 && (statuses[0] ?? 0) >= 400
  return refused && /\n +at |node_modules|\.ts:\d|Error:/.test(text)
    ? `it shows a stack: ${text.slice(0, 300)}`
    : undefined
}

describe("the HTTP server", () => {
  it.live(
    "requests",
    () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const log = Logger.layer([
          Logger.map(Logger.formatJson, (line) => {
            lines.push(line)
          })
        ])
        const running = Layer.fresh(Server.layer).pipe(
          Layer.provideMerge(Layer.fresh(Sluice.layerCore)),
          Layer.provide(SessionLock.none),
          Layer.provideMerge(
            settings({
              httpPort: 0,
              rpcUrls: `https://u:${key}@a/${key}`,
              databaseUrl: `postgres://u:${key}@db/x`
            })
          ),
          Layer.provideMerge(world(5)),
          Layer.provide(log)
        )
        yield* Effect.gen(function* () {
          const port = Number(/"url":"http:[^"]*:(\d+)"/.exec(lines.join("\n"))?.[1])
          assert.isAbove(port, 0)
          yield* Campaign.test({
            name: "requests",
            singles: parts.length,
            single: (n) => parts[n] ?? part(""),
            small: { singles: parts.length, mixtures: 60 },
            draw: (r) => parts[r.int(parts.length)] ?? part(""),
            show: ({ what }) => what,
            judge: Effect.fnUntraced(function* (given) {
              for (const one of given) {
                const wrong = complaint(yield* exchange(port, one))
                if (wrong !== undefined) return wrong
              }
              const after = yield* exchange(port, part("", request("GET", "/health")))
              return after.includes('{"status":"ok"}') ? undefined : `afterwards: ${after.slice(0, 200)}`
            }),
            concurrency: 8
          })
        }).pipe(Effect.provide(running))
        const said = lines.join("\n")
        assert.notInclude(said, key)
        assert.notMatch(said, /\\n +at |node:internal/)
        assert.isBelow(lines.length, 50, said.slice(0, 3000))
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Info")),
    Campaign.limit
  )
})
