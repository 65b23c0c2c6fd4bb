/**
 * A headless Chromium, driven by Playwright, with its promises as effects. The browser is the system's: tests that need
 * one are skipped where there is none.
 */
import { existsSync } from "node:fs"
import { Effect, Schedule } from "effect"
import { chromium, type Page as PlaywrightPage } from "playwright-core"

/** The system's Chromium, or the browser at `CHROME_PATH`. */
export const executable: string | undefined = [
  process.env["CHROME_PATH"] ?? "",
  ...(process.env["PATH"] ?? "")
    .split(":")
    .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => `${folder}/${name}`))
].find((path) => path !== "" && existsSync(path))

export interface View {
  readonly width: number
  readonly height: number
  readonly scheme: "light" | "dark"
}

export const desktop: View = { width: 1280, height: 900, scheme: "light" }

export interface Page {
  /** What an expression is worth in the page, once it has settled. */
  readonly evaluate: <A>(expression: string) => Effect.Effect<A>
  /** Until the expression is true. Dies after `seconds`, 20 unless told. */
  readonly until: (expression: string, seconds?: number) => Effect.Effect<void>
  readonly view: (view: View) => Effect.Effect<void>
  /** Moves the mouse to the middle of what the selector finds. */
  readonly hover: (selector: string) => Effect.Effect<void>
  /** The whole page as PNG. */
  readonly screenshot: (file: string) => Effect.Effect<void>
  /** Errors in the console so far; exceptions, failed requests and violations of the page's policy among them. */
  readonly errors: () => ReadonlyArray<string>
  /** Every address that was asked for. */
  readonly requests: () => ReadonlyArray<string>
  /** Bytes of the answers over the wire, headers included. */
  readonly received: Effect.Effect<number>
}

const told =
  "document.addEventListener('securitypolicyviolation', (it) => console.error('policy', it.blockedURI, it.violatedDirective))"

/** Starts the browser; it ends with the scope. */
export const launch = Effect.gen(function* () {
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launch({ executablePath: executable ?? "chromium", args: ["--no-sandbox", "--disable-quic"] })
    ),
    (running) => Effect.promise(() => running.close())
  )

  /** Opens an address in a window of its own. */
  const open = Effect.fnUntraced(function* (url: string, first: View = desktop) {
    const page = yield* Effect.promise(() =>
      browser.newPage({ viewport: first, colorScheme: first.scheme, reducedMotion: "no-preference" })
    )
    const errors: Array<string> = []
    const requests: Array<string> = []
    const sizes: Array<Promise<number>> = []
    page.on("pageerror", (error) => errors.push(String(error)))
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text())
    })
    page.on("request", (request) => requests.push(request.url()))
    page.on("websocket", (socket) => requests.push(socket.url()))
    page.on("requestfinished", (request) => {
      const size = request.sizes()
      sizes.push(
        size.then(({ responseBodySize, responseHeadersSize }) => responseBodySize + responseHeadersSize)
      )
    })
    yield* Effect.promise(() => page.addInitScript(told))
    yield* Effect.promise(() => page.goto(url))
    return {
      evaluate: <A>(expression: string) => Effect.promise(() => page.evaluate<A>(expression)),
      until: (expression, seconds = 20) => until(page, expression, seconds, errors),
      view: ({ height, scheme, width }) =>
        Effect.promise(async () => {
          await page.setViewportSize({ width, height })
          await page.emulateMedia({ colorScheme: scheme })
        }),
      hover: (selector) => Effect.promise(() => page.hover(selector)),
      screenshot: (file) => Effect.promise(() => page.screenshot({ path: file, fullPage: true })),
      errors: () => errors,
      requests: () => requests,
      received: Effect.promise(async () => (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0))
    } satisfies Page
  })
  return { open }
})

/** By the debugger, again and again: Playwright's own `waitForFunction` evaluates in the page, which its policy forbids. */
const until = (page: PlaywrightPage, expression: string, seconds: number, errors: ReadonlyArray<string>) =>
  Effect.promise(() =>
    page.evaluate<boolean>(`document.readyState === "complete" && Boolean(${expression})`)
  ).pipe(
    Effect.flatMap((isSo) => (isSo ? Effect.void : Effect.fail("not yet"))),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () =>
        Effect.flatMap(
          Effect.promise(() => page.evaluate<string>("document.body.innerText")),
          (text) =>
            Effect.die(new Error(`never ${expression}; the page says:\n${text}\n${errors.join("\n")}`))
        )
    }),
    Effect.orDie
  )
