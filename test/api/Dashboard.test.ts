/**
 * The dashboard in a browser: it shows what the feed says, in every state, to everybody. With TEST_SCREENSHOTS=folder
 * the pictures are kept.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, PubSub, Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Dashboard from "../../src/api/Dashboard.ts"
import { Live } from "../../src/api/Live.ts"
import * as LiveSocket from "../../src/api/LiveSocket.ts"
import { Settings } from "../../src/config/Settings.ts"
import { violations } from "../support/accessibility.ts"
import * as Browser from "../support/Browser.ts"
import * as Program from "../support/Program.ts"
import { moments, noTokens, tokens, welcome } from "../support/snapshots.ts"

const pictures = process.env["TEST_SCREENSHOTS"]
const picture = (page: Browser.Page, name: string) =>
  pictures === undefined ? Effect.void : page.screenshot(`${pictures}/${name}.png`)

const settings = Settings.layer({ profile: "anvil" })

/** The page, and a feed that says one thing; the answer is its address. */
const serving = Effect.fnUntraced(function* (said: string) {
  const live = Live.of({
    enter: Effect.succeed(true),
    clients: Effect.succeed(1),
    welcome: Effect.succeed(said),
    ticks: Effect.flatMap(PubSub.sliding<never>(1), PubSub.subscribe),
    newest: Effect.succeed({ commit: 0, number: undefined }),
    since: () => Effect.succeed({ _tag: "Events", events: [] })
  })
  const reorgs = HttpRouter.add(
    "GET",
    "/api/reorgs",
    HttpServerResponse.jsonUnsafe({ reorgs: [], next_before: null })
  )
  const routes = Layer.mergeAll(Dashboard.layer, LiveSocket.layer, reorgs).pipe(
    Layer.provide([Layer.succeed(Live, live), settings])
  )
  const server = yield* Layer.build(
    HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(createServer, {
          port: 0,
          host: "127.0.0.1",
          gracefulShutdownTimeout: "100 millis"
        })
      )
    )
  )
  return yield* Effect.provideContext(HttpServer.addressFormattedWith(Effect.succeed), server)
})

/** uPlot draws on a canvas; each is as wide as its figure, and has something in it. */
const chartsFit = `[...document.querySelectorAll("#charts figure")].every((figure) => {
  const canvas = figure.querySelector("canvas")
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
  return Math.abs(canvas.clientWidth - figure.clientWidth) < 2 && data.some((value) => value > 0)
})`

/** Charts that say what their number is now. */
const chartsTold = 'document.querySelectorAll("#charts [aria-label*=\\" now, between \\"]").length'

const views: ReadonlyArray<readonly [name: string, view: Browser.View]> = [
  ["", Browser.desktop],
  ["-dark", { ...Browser.desktop, scheme: "dark" }],
  ["-phone", { width: 360, height: 740, scheme: "light" }],
  ["-phone-dark", { width: 360, height: 740, scheme: "dark" }]
]

const sees: Readonly<Record<keyof typeof moments, RegExp>> = {
  empty: /No blocks yet[\s\S]*no endpoint has answered[\s\S]*ECONNREFUSED/,
  syncing:
    /42\.1[\s\S]*9,214,381 blocks of 21,840,113[\s\S]*about 11 h[\s\S]*The endpoints are what limits the rate/,
  full: /What comes after fetching does not keep up[\s\S]*bottleneck[\s\S]*Fetching had to wait\s*214 times/,
  following: /following[\s\S]*100[\s\S]*Up to date with block 21,840,112[\s\S]*2 blocks taken back/,
  retrying: /Trying again[\s\S]*connection refused/,
  halted: /Halted: nothing is written until somebody has looked[\s\S]*block 21840048 was final/
}

describe("the dashboard's files", () => {
  it.live("come packed, and a second time not at all", () =>
    Effect.gen(function* () {
      const url = yield* serving(welcome(moments.empty))
      const get = (path: string, headers: Record<string, string>) =>
        Effect.promise(() => fetch(url + path, { headers }))
      for (const [path, type] of [
        ["/", "text/html; charset=utf-8"],
        ["/uplot.js", "text/javascript; charset=utf-8"],
        ["/uplot.css", "text/css; charset=utf-8"],
        ["/dashboard/icon.svg", "image/svg+xml"]
      ] as const) {
        const first = yield* get(path, { "accept-encoding": "gzip" })
        assert.strictEqual(first.headers.get("content-type"), type)
        assert.strictEqual(first.headers.get("content-encoding"), "gzip")
        assert.match(first.headers.get("content-security-policy") ?? "", /^default-src 'self';/)
        const again = yield* get(path, { "if-none-match": first.headers.get("etag") ?? "" })
        assert.strictEqual(again.status, 304)
      }
    })
  )
})

describe.skipIf(Browser.executable === undefined)(
  `the dashboard${Browser.executable === undefined ? " (skipped: no Chromium, see CHROME_PATH)" : ""}`,
  () => {
    for (const [name, moment] of Object.entries(moments)) {
      it.live(`${name}: says so, in light and dark, on a desk and on a phone`, () =>
        Effect.gen(function* () {
          const { open } = yield* Browser.launch
          const page = yield* open(yield* serving(welcome(moment)))
          yield* page.until('document.body.dataset.connection === "live"')
          yield* page.until('document.getElementById("phase").textContent !== "connecting"')
          const text = yield* page.evaluate<string>("document.body.innerText")
          assert.match(text, sees[name as keyof typeof moments])
          assert.isTrue(yield* page.evaluate<boolean>('document.getElementById("tokens").hidden'))
          for (const [suffix, view] of views) {
            yield* page.view(view)
            assert.deepStrictEqual(yield* violations(page), [], name + suffix)
            yield* page.until(chartsFit)
            yield* picture(page, name + suffix)
          }
          assert.deepStrictEqual(page.errors(), [])
        })
      )
    }

    for (const [name, board, seen] of [
      [
        "tokens",
        tokens,
        /Tokens\s+The last hour, as of block 21,840,112\.[\s\S]*2\.84 × 10⁻⁹\s+-21\.1%\s+4,120\s+2,225\s+1,895/
      ],
      ["tokens-empty", noTokens, /No trade in the last hour\.[\s\S]*No transfer in the last hour\./]
    ] as const) {
      it.live(`${name}: shows what moved most, in light and dark, on a desk and on a phone`, () =>
        Effect.gen(function* () {
          const { open } = yield* Browser.launch
          const page = yield* open(yield* serving(welcome(moments.following, board)))
          yield* page.until('!document.getElementById("tokens").hidden')
          assert.match(yield* page.evaluate<string>("document.body.innerText"), seen)
          const counts = 'document.querySelectorAll("#pairs-top svg, #tokens-top a").length'
          // One of the ten pairs has no price.
          assert.strictEqual(yield* page.evaluate<number>(counts), board.pairs.length === 0 ? 0 : 19)
          for (const [suffix, view] of views) {
            yield* page.view(view)
            assert.deepStrictEqual(yield* violations(page), [], name + suffix)
            const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert.strictEqual(yield* page.evaluate<number>(overflow), 0, name + suffix)
            yield* page.until(chartsFit)
            yield* picture(page, name + suffix)
          }
          assert.deepStrictEqual(page.errors(), [])
        })
      )
    }

    it.live("reads out a chart under the pointer, in every chart at once", () =>
      Effect.gen(function* () {
        const { open } = yield* Browser.launch
        const page = yield* open(yield* serving(welcome(moments.full)))
        const readings =
          '[...document.querySelectorAll("#charts output")].map((it) => it.textContent).join(" | ")'
        yield* page.until(`${chartsTold} === 6`)
        assert.match(yield* page.evaluate<string>(readings), /of 4,000 /)
        yield* page.hover("#charts .u-over")
        yield* page.until(`${readings}.split(/ min ago/).length === 7`)
        yield* page.hover("h1")
        yield* page.until(`!/ago/.test(${readings})`)
        assert.deepStrictEqual(page.errors(), [])
      })
    )

    it.live("lets nothing in that is not its own", () =>
      Effect.gen(function* () {
        const { open } = yield* Browser.launch
        const page = yield* open(yield* serving(welcome(moments.syncing)))
        yield* page.until(`${chartsTold} === 6`)
        assert.deepStrictEqual(page.errors(), [])
        yield* page.evaluate("void (new Image().src = 'https://example.com/pixel.png')")
        yield* page.evaluate("void document.body.setAttribute('style', 'color: red')")
        yield* page.until("document.readyState === 'complete'")
        const errors = page.errors().join("\n")
        assert.match(errors, /policy https:\/\/example\.com\/pixel\.png img-src/)
        assert.match(errors, /policy inline style-src-attr/)
      })
    )

    it.live("says when the server is gone, and goes on when it is back", () =>
      Effect.gen(function* () {
        const { open } = yield* Browser.launch
        const scope = yield* Scope.make()
        const url = yield* Scope.provide(serving(welcome(moments.syncing)), scope)
        const page = yield* open(url)
        yield* page.until('document.body.dataset.connection === "live"')
        yield* Scope.close(scope, Exit.void)
        yield* page.until('/Disconnected/.test(document.getElementById("notice").innerText)')
        assert.match(yield* page.evaluate<string>("document.body.innerText"), /Is the process running\?/)
        for (const [suffix, view] of views) {
          yield* page.view(view)
          yield* page.until(chartsFit)
          assert.deepStrictEqual(yield* violations(page), [], suffix)
          yield* picture(page, `disconnected${suffix}`)
        }
      })
    )

    it.live(
      "shows a devnet live, asks no other host, and survives a restart of the server",
      () =>
        Effect.gen(function* () {
          const dataDir = yield* Program.dataDir
          const flags = [
            "--profile=anvil",
            "--traffic",
            "--contracts=contracts/demo.json",
            `--data-dir=${dataDir}`
          ]
          const first = yield* Program.start(flags)
          const url = yield* first.url
          const { open } = yield* Browser.launch
          const page = yield* open(url)
          const newest = 'Number(document.querySelector("#blocks th").textContent.replaceAll(",", ""))'
          yield* page.until(`document.querySelector("#blocks th") !== null && ${newest} > 3`, 60)
          const before = yield* page.evaluate<number>(newest)
          yield* page.until(`${newest} > ${before}`)
          yield* page.until(`${chartsTold} > 4 && ${chartsFit}`)
          yield* page.until('document.querySelector("#pairs-top svg") !== null', 60)
          assert.deepStrictEqual(yield* violations(page), [])
          assert.deepStrictEqual(page.errors(), [])
          const hosts = new Set(page.requests().map((request) => new URL(request).host))
          assert.deepStrictEqual([...hosts], [new URL(url).host])
          assert.isBelow(yield* page.received, 80_000)
          if (pictures !== undefined) {
            yield* Effect.log(
              `${page.requests().length} requests, ${yield* page.received} bytes: ${page.requests().join(" ")}`
            )
          }
          yield* picture(page, "devnet")

          const last = yield* page.evaluate<number>(newest)
          yield* first.kill("SIGTERM")
          assert.deepStrictEqual(yield* first.exited, { code: 0, signal: null })
          yield* page.until('document.body.dataset.connection === "lost"')
          yield* Program.start(flags, { HTTP_PORT: new URL(url).port })
          yield* page.until('document.body.dataset.connection === "live"', 60)
          // Beyond what the first process may have committed after that.
          yield* page.until(`${newest} > ${last + 3}`, 60)
          assert.isTrue(yield* page.evaluate<boolean>('document.getElementById("notice").hidden'))
        }),
      180_000
    )
  }
)
