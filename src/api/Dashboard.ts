/**
 * The dashboard at `/`: the files of `dashboard/`, and of uPlot, which draws its charts, as they are, read once at the
 * start.
 *
 * They belong together, so they are asked for again each time (`no-cache`) and answered with 304 where nothing changed.
 * The policy allows nothing but this server: no other host, no inline script or style.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

/** Wherever the package manager has put it, this package too: a program that is bundled is elsewhere in it. */
const installed = (path: string) => pathToFileURL(createRequire(import.meta.url).resolve(path))

const folder = new URL("dashboard/", installed("sluice/package.json"))

const own = [
  "style.css",
  "app.js",
  "live.js",
  "chart.js",
  "dom.js",
  "notices.js",
  "views.js",
  "stream.js",
  "tokens.js",
  "format.js",
  "icon.svg"
]

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

const headers = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  vary: "accept-encoding"
}

const file = (path: HttpRouter.PathInput, location: URL) => {
  const plain = readFileSync(location)
  const zipped = gzipSync(plain, { level: 9 })
  const etag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`
  const contentType = types[location.pathname.replace(/.*\./, "")] ?? "application/octet-stream"
  const answer = Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
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
  return HttpRouter.add("GET", path, answer)
}

export const layer = Layer.unwrap(
  Effect.sync(() =>
    Layer.mergeAll(
      file("/", new URL("index.html", folder)),
      file("/uplot.js", installed("uplot/dist/uPlot.esm.js")),
      file("/uplot.css", installed("uplot/dist/uPlot.min.css")),
      ...own.map((name) => file(`/dashboard/${name}`, new URL(name, folder)))
    )
  )
)
