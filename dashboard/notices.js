/** What a reader has to know before anything else, and what they can do about it. The first that holds is shown. */
import * as f from "./format.js"

const lost = (since) => ({
  kind: "lost",
  title: "Disconnected",
  why: `No word from the server since ${f.time(since)}. What is below is from then; this page tries to connect again by itself.`,
  todo: [
    "Is the process running? The end of its log says why it stopped.",
    "Start it again with the same settings: it goes on where it was, and this page with it.",
    "If it runs, look at what lies between: a proxy has to let WebSockets through to /ws."
  ]
})

const never = {
  kind: "lost",
  title: "No connection yet",
  why: "The server gave this page, but not its live feed; it tries again by itself.",
  todo: [
    "A proxy in front has to let WebSockets through to /ws.",
    "All places of the feed may be taken: LIVE_MAX_CLIENTS sets how many there are. /api/status has the same numbers."
  ]
}

const halted = ({ reason }) => ({
  kind: "halted",
  title: "Halted: nothing is written until somebody has looked",
  why: reason ?? "The log says why.",
  todo: [
    "Ask another provider for the block and its hash, and compare: one of the two is wrong.",
    "If an endpoint is wrong, take it out of RPC_URL and start again. Nothing in the tables has to be mended.",
    "If the chain itself began anew (a devnet that was reset), give it tables of its own: another DATABASE_SCHEMA or SLUICE_DATA_DIR."
  ]
})

const waiting = ({ lease, reason }) => ({
  kind: "calm",
  title: "Standing by",
  why:
    reason ??
    `${lease?.holder ?? "Another instance"} writes to these tables; this one takes over when that one is gone.`,
  todo: ["Open that instance's page to see its progress."]
})

const retrying = ({ reason }) => ({
  kind: "warn",
  title: "Trying again",
  why: reason ?? "Something failed; the log says what.",
  todo: ["It goes on by itself once that works again. The endpoints below show their faults."]
})

const empty = ({ endpoints, head }) => ({
  kind: "calm",
  title: "No blocks yet",
  why:
    head === null
      ? "The chain's head is not known yet: no endpoint has answered so far."
      : `The head is ${f.count(head.number)}; the first blocks are on their way into the tables.`,
  todo: [
    endpoints.some(({ last_fault }) => last_fault !== null)
      ? "An endpoint answered with a fault: its reason is in the list of endpoints below."
      : "This takes a few seconds. If it stays so, look at the endpoints below, and at RPC_URL.",
    "START_BLOCK says where it begins, and CONFIRMATION_DEPTH how far it stays behind the head."
  ]
})

/** The notice for a state of the page, or undefined where all is well. */
export const of = ({ lostSince, snapshot, state }) => {
  if (state === "lost") return snapshot === undefined ? never : lost(lostSince)
  if (snapshot === undefined) return undefined
  const { status } = snapshot
  if (status.phase === "halted") return halted(status)
  if (status.phase === "waiting") return waiting(status)
  if (status.phase === "retrying") return retrying(status)
  return status.totals.blocks === 0 ? empty(status) : undefined
}
