/** The parts of the page, each drawn from the newest snapshot. An element is touched only where it changes. */
import { $, attribute, h, put, replace, text } from "./dom.js"
import * as f from "./format.js"

export const header = ({ not_ready, status }) => {
  const { chain_id, instance, phase, profile } = status
  put("chain", `chain ${chain_id} · ${profile}`)
  attribute($("chain"), "title", instance)
  put("phase", phase)
  attribute($("phase"), "data-phase", phase)
  put("ready", not_ready.length === 0 ? "ready" : "not ready")
  attribute($("ready"), "data-ready", not_ready.length === 0)
  attribute($("ready"), "title", not_ready.join("; "))
  const percent = status.sync_progress_percent
  const isWorking = phase === "syncing" || phase === "retrying"
  document.title = `${isWorking ? `${percent.toFixed(1)} %` : phase} · Sluice ${chain_id}`
}

const sentence = ({
  committed_cursor,
  coverage,
  head,
  phase,
  start_block,
  sync_progress_percent,
  target_block
}) => {
  if (head === null || target_block === null) return "Waiting for the chain's head."
  const all = target_block - start_block + 1
  if (all <= 0) return "Nothing to have yet: the chain is below the first block to index."
  const done = phase === "following" || phase === "done" || sync_progress_percent === 100
  if (done)
    return `Up to date with block ${f.count(committed_cursor)}, ${f.blocks(coverage.proven + coverage.linked)} in the tables.`
  return `${f.blocks(Math.round((all * sync_progress_percent) / 100))} of ${f.count(all)}, from ${f.count(start_block)} to ${f.count(target_block)}.`
}

export const progress = ({ at, commit_ms, status }) => {
  const { committed_cursor, cost, coverage, eta_seconds, finalized, head, safe, target_block, tip, totals } =
    status
  const percent = status.sync_progress_percent
  put("percent", percent === 100 ? "100" : (Math.floor(percent * 10) / 10).toFixed(1))
  put("sentence", sentence(status))
  put("rate", `${f.rate(status.blocks_per_second)} blocks/s`)
  put(
    "eta",
    eta_seconds === 0 ? "nothing" : eta_seconds === null ? f.unknown : `about ${f.span(eta_seconds)}`
  )
  const lag = target_block === null ? null : target_block - (committed_cursor ?? status.start_block - 1)
  put("lag", lag === null ? f.unknown : f.blocks(Math.max(0, lag)))
  attribute($("bar"), "aria-valuenow", percent)
  $("bar").firstElementChild.style.width = `${percent}%`
  put("head", f.count(head?.number))
  put("head-age", head === null ? "" : f.ago(head.timestamp * 1000, at))
  put("finalized", f.count(finalized))
  put("safe", safe === null ? "" : `safe ${f.count(safe)}`)
  put("cursor", f.count(committed_cursor))
  put("tip", tip === null || tip.number === committed_cursor ? "" : `highest ${f.count(tip.number)}`)
  put("proven", f.compact(coverage.proven))
  put("linked", coverage.linked === 0 ? "" : `${f.compact(coverage.linked)} linked only`)
  put("transactions", f.compact(totals.transactions))
  put("logs", f.compact(totals.logs))
  put("commit", commit_ms === null ? f.unknown : f.millis(commit_ms.p50))
  put("commit-p99", commit_ms === null ? "" : `p99 ${f.millis(commit_ms.p99)}`)
  put("calls", `${f.compact(cost.calls)} calls`)
  put(
    "received",
    `${f.bytes(cost.bytes_received)}${cost.credits === null ? "" : ` · ${f.compact(cost.credits)} credits`}`
  )
}

const faults = ({ faults: byReason, last_fault }) => {
  const all = Object.entries(byReason).sort(([, a], [, b]) => b - a)
  if (all.length === 0) return ["none"]
  const counts = all.map(([reason, n]) => `${f.count(n)} ${reason}`).join(", ")
  return [counts, ...(last_fault === null ? [] : [h("small", {}, last_fault)])]
}

export const endpoints = ({ status }) => {
  if (status.endpoints.length === 0) return
  replace($("endpoints"), status.endpoints, () =>
    status.endpoints.map((endpoint) => {
      const { bytes_received, calls, head, host, id, latency_ms, standing, until } = endpoint
      const known = until === null ? standing : `${standing} until ${f.time(Date.parse(until))}`
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, host, ...(id === host ? [] : [h("small", {}, id)])),
        h("td", {}, h("span", { class: "standing", "data-standing": standing }, known)),
        h("td", { class: "n" }, f.count(head)),
        h("td", { class: "n" }, f.millis(latency_ms)),
        h("td", { class: "n" }, f.compact(calls)),
        h("td", { class: "n" }, f.bytes(bytes_received)),
        h("td", {}, ...faults(endpoint))
      )
    })
  )
}

export const newest = (events, at) => {
  if (events.length === 0) return
  const seconds = Math.round(at / 1000)
  replace($("blocks"), [events.map(({ id }) => id), seconds], () =>
    events.map(({ hash, level, logs, number, timestamp, transactions }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: "n" }, f.count(number)),
        h("td", {}, h("code", { title: hash }, f.hash(hash))),
        h("td", { class: "n" }, f.count(transactions)),
        h("td", { class: "n" }, f.count(logs)),
        h("td", {}, level),
        h("td", { class: "n" }, f.span(seconds - timestamp))
      )
    )
  )
}

export const reorgs = (all, at) => {
  if (all.length === 0) return
  replace($("reorgs"), [all.map(({ commit }) => commit), Math.round(at / 10_000)], () =>
    all.map(({ ancestor, at: when, depth, removed }) =>
      h(
        "li",
        {},
        h("strong", {}, `${f.blocks(depth)} taken back`),
        ` to block ${f.count(ancestor)} `,
        h("time", { datetime: when, title: when }, f.ago(Date.parse(when), at)),
        ...(removed.length === 0
          ? []
          : [h("code", { title: removed.map((block) => block.hash).join("\n") }, removedNames(removed))])
      )
    )
  )
}

const removedNames = (removed) => {
  const names = removed.slice(0, 3).map(({ hash, number }) => `${f.count(number)} ${hash.slice(0, 10)}…`)
  return names.join(", ") + (removed.length > 3 ? ` and ${removed.length - 3} more` : "")
}

export const footer = ({ live_clients, status, version }) => {
  const { lease } = status
  const held =
    lease === null ? "no lease yet" : lease.ours ? `leads, epoch ${lease.epoch}` : `${lease.holder} leads`
  put(
    "footer",
    `Sluice ${version} · ${status.instance} · ${held} · ${f.count(live_clients)} live ${live_clients === 1 ? "reader" : "readers"}`
  )
}

export const connection = (state) => {
  attribute(document.body, "data-connection", state)
  text(
    $("connection").lastElementChild,
    state === "live" ? "live" : state === "lost" ? "disconnected" : "connecting"
  )
}

/** The one message above everything: what is wrong, and what to do. Without one, it is hidden. */
export const notice = (said) => {
  const box = $("notice")
  box.hidden = said === undefined
  if (said === undefined) return
  const [title, why, list] = box.children
  attribute(box, "data-kind", said.kind)
  text(title, said.title)
  text(why, said.why)
  replace(list, said.todo, () => said.todo.map((item) => h("li", {}, item)))
}
