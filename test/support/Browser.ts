/**
 * A headless Chromium, driven by its own protocol over a pipe: nothing has to be installed but the browser. Tests that
 * need one are skipped where there is none.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Readable, Writable } from "node:stream"
import { Effect, Schedule } from "effect"

/** The system's Chromium, or the one in `CHROMIUM`. */
export const executable: string | undefined = [
  process.env["CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
].find((path) => path !== "" && existsSync(path))

type Json = Record<string, unknown>

interface Answer {
  readonly id?: number
  readonly sessionId?: string
  readonly method?: string
  readonly params?: Json
  readonly result?: Json
  readonly error?: { readonly message: string }
}

const flags = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--hide-scrollbars",
  "--remote-debugging-pipe"
]

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
  /** The whole page as PNG. */
  readonly screenshot: (file: string) => Effect.Effect<void>
  /** Each node that a screen reader would know of, with its role and name. */
  readonly accessibilityTree: Effect.Effect<ReadonlyArray<{ readonly role: string; readonly name: string }>>
  /** Errors in the console so far, failed requests and exceptions among them. */
  readonly errors: () => ReadonlyArray<string>
  /** Every address that was asked for, and the bytes that came over the wire. */
  readonly requests: () => ReadonlyArray<string>
  readonly received: () => number
}

const connect = (child: ChildProcess) => {
  const write = child.stdio[3] as Writable
  const read = child.stdio[4] as Readable
  const waiting = new Map<
    number,
    { readonly done: (result: Json) => void; readonly fail: (error: Error) => void }
  >()
  const listeners = new Map<string, (method: string, params: Json) => void>()
  let last = 0
  let pending = ""
  read.setEncoding("utf8").on("data", (text: string) => {
    const messages = (pending + text).split("\0")
    pending = messages.pop() ?? ""
    for (const message of messages) {
      const { error, id, method, params, result, sessionId } = JSON.parse(message) as Answer
      if (id === undefined) listeners.get(sessionId ?? "")?.(method ?? "", params ?? {})
      else if (error === undefined) waiting.get(id)?.done(result ?? {})
      else waiting.get(id)?.fail(new Error(error.message))
    }
  })
  return {
    send: (method: string, params: Json = {}, sessionId?: string) =>
      new Promise<Json>((done, fail) => {
        last++
        waiting.set(last, { done, fail })
        write.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`)
      }),
    listen: (sessionId: string, listener: (method: string, params: Json) => void) =>
      listeners.set(sessionId, listener)
  }
}

/** Starts the browser; it ends with the scope. */
export const launch = Effect.gen(function* () {
  const profile = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-chromium-"))),
    (folder) =>
      Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }))
  )
  const child = yield* Effect.sync(() =>
    spawn(executable ?? "chromium", [...flags, `--user-data-dir=${profile}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"]
    })
  )
  const { listen, send } = connect(child)
  // Asked to close, it waits for its own processes, which write to the profile until then.
  yield* Effect.addFinalizer(() =>
    Effect.callback<void>((resume) => {
      child.once("exit", () => resume(Effect.void))
      send("Browser.close").catch(() => child.kill("SIGKILL"))
    }).pipe(
      Effect.timeoutOrElse({
        duration: "5 seconds",
        orElse: () => Effect.sync(() => void child.kill("SIGKILL"))
      })
    )
  )

  /** Opens an address in a window of its own. */
  const open = Effect.fnUntraced(function* (url: string, first: View = desktop) {
    const { targetId } = yield* Effect.promise(() => send("Target.createTarget", { url: "about:blank" }))
    const { sessionId } = yield* Effect.promise(() =>
      send("Target.attachToTarget", { targetId, flatten: true })
    )
    const session = String(sessionId)
    const ask = (method: string, params: Json = {}) => Effect.promise(() => send(method, params, session))
    const errors: Array<string> = []
    const requests: Array<string> = []
    let received = 0
    listen(session, (method, params) => {
      const told = JSON.stringify(params)
      if (method === "Runtime.exceptionThrown") errors.push(told)
      if (method === "Runtime.consoleAPICalled" && params["type"] === "error") errors.push(told)
      if (method === "Log.entryAdded" && /"level":"error"/.test(told)) errors.push(told)
      if (method === "Network.requestWillBeSent")
        requests.push((params["request"] as { readonly url: string }).url)
      if (method === "Network.webSocketCreated") requests.push(String(params["url"]))
      if (method === "Network.loadingFinished") received += Number(params["encodedDataLength"])
    })
    for (const domain of ["Page", "Runtime", "Log", "Network", "Accessibility"])
      yield* ask(`${domain}.enable`)

    const view = Effect.fnUntraced(function* ({ height, scheme, width }: View) {
      yield* ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false })
      const features = [{ name: "prefers-color-scheme", value: scheme }]
      yield* ask("Emulation.setEmulatedMedia", { features })
    })
    const evaluate = <A>(expression: string): Effect.Effect<A> =>
      Effect.flatMap(
        ask("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true }),
        ({ exceptionDetails, result }) =>
          exceptionDetails === undefined
            ? Effect.succeed((result as { readonly value: A }).value)
            : Effect.die(new Error(JSON.stringify(exceptionDetails)))
      )
    yield* view(first)
    yield* ask("Page.navigate", { url })
    return {
      evaluate,
      until: (expression, seconds = 20) =>
        Effect.flatMap(evaluate<boolean>(`document.readyState === "complete" && (${expression})`), (isSo) =>
          isSo ? Effect.void : Effect.fail("not yet")
        ).pipe(
          Effect.retry(Schedule.spaced("50 millis")),
          Effect.timeoutOrElse({
            duration: `${seconds} seconds`,
            orElse: () =>
              Effect.flatMap(evaluate<string>("document.body.innerText"), (text) =>
                Effect.die(new Error(`never ${expression}; the page says:\n${text}\n${errors.join("\n")}`))
              )
          }),
          Effect.orDie
        ),
      view,
      screenshot: (file) =>
        Effect.map(ask("Page.captureScreenshot", { captureBeyondViewport: true }), ({ data }) => {
          mkdirSync(dirname(file), { recursive: true })
          writeFileSync(file, Buffer.from(String(data), "base64"))
        }),
      accessibilityTree: Effect.map(ask("Accessibility.getFullAXTree"), ({ nodes }) =>
        (nodes as ReadonlyArray<Record<string, { readonly value?: string } | boolean | undefined>>)
          .filter((node) => node["ignored"] !== true)
          .map(({ name, role }) => ({
            role: typeof role === "object" ? (role.value ?? "") : "",
            name: typeof name === "object" ? (name.value ?? "") : ""
          }))
      ),
      errors: () => errors,
      requests: () => requests,
      received: () => received
    } satisfies Page
  })
  return { open }
})
