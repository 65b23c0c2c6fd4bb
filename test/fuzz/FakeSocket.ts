/**
 * WebSockets that a test holds the other end of. They open at once, unless told otherwise.
 */
type Listener = (event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }) => void

class FakeSocket {
  readyState: number
  private readonly listeners = new Map<string, Set<Listener>>()

  constructor(open: boolean) {
    this.readyState = open ? 1 : 0
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener))
  }

  removeEventListener(type: string, listener: Listener): void {
    this.listeners.get(type)?.delete(listener)
  }

  send(): void {}

  close(): void {
    this.readyState = 3
  }

  receive(data: string | Uint8Array): void {
    this.tell("message", { data })
  }

  fail(): void {
    this.tell("error", {})
  }

  end(code: number, reason: string): void {
    this.readyState = 3
    this.tell("close", { code, reason })
  }

  private tell(type: string, event: Parameters<Listener>[0]): void {
    for (const listener of [...(this.listeners.get(type) ?? [])]) listener(event)
  }
}

export interface Sockets {
  readonly connect: () => FakeSocket
  /** The one that was made last. */
  readonly newest: () => FakeSocket | undefined
  /** How many were made. */
  readonly count: () => number
  /** The next so many throw instead of being made. */
  readonly refuse: (count: number) => void
  /** The next so many never open. */
  readonly mute: (count: number) => void
}

export const make = (): Sockets => {
  const made: Array<FakeSocket> = []
  let refused = 0
  let muted = 0
  return {
    connect: () => {
      if (refused-- > 0) throw new SyntaxError("the URL contains a fragment identifier")
      const socket = new FakeSocket(muted-- <= 0)
      made.push(socket)
      return socket
    },
    newest: () => made.at(-1),
    count: () => made.length,
    refuse: (count) => {
      refused = count
    },
    mute: (count) => {
      muted = count
    }
  }
}
