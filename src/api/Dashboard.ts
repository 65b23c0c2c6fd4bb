/**
 * The dashboard at `/`: the files of `dashboard/`, as they are, read once at the start.
 *
 * They are small and belong together, so they are asked for again each time (`no-cache`) and answered with 304 where
 * nothing changed. The policy allows nothing but this server: no other host, no inline script.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

/** Beside `src` in the project, beside `dist` in the package. */
const folder = new URL("../../dashboard/", import.meta.url)

const types = {
  "index.html": "text/html; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
  "app.js": "text/javascript; charset=utf-8",
  "live.js": "text/javascript; charset=utf-8",
  "chart.js": "text/javascript; charset=utf-8",
  "notices.js": "text/javascript; charset=utf-8",
  "views.js": "text/javascript; charset=utf-8",
  "format.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml"
} as const

const headers = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  vary: "accept-encoding"
}

const file = (name: string, contentType: string) => {
  const plain = readFileSync(new URL(name, folder))
  const zipped = gzipSync(plain, { level: 9 })
  const etag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`
  return Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
    const validated = { ...headers, etag }
    if (request.headers["if-none-match"] === etag) {
      return HttpServerResponse.empty({ status: 304, headers: validated })
    }
    return /\bgzip\b/.test(request.headers["accept-encoding"] ?? "")
      ? HttpServerResponse.uint8Array(zipped, {
          contentType,
          headers: { ...validated, "content-encoding": "gzip" }
        })
      : HttpServerResponse.uint8Array(plain, { contentType, headers: validated })
  })
}

export const layer = Layer.unwrap(
  Effect.sync(() =>
    Layer.mergeAll(
      HttpRouter.add("GET", "/", file("index.html", types["index.html"])),
      ...Object.entries(types).map(([name, type]) =>
        HttpRouter.add("GET", `/dashboard/${name}`, file(name, type))
      )
    )
  )
)
