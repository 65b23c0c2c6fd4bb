/** The stream, drawn stage by stage, and what its back-pressure does: which stage fills up, and who has to wait. */
import { $, h, put, replace } from "./dom.js"
import * as f from "./format.js"

/** How full it is, up to the mark at which it makes others wait; a plain passage where nothing is held. */
const level = ({ capacity, depth, watermark }) => {
  if (capacity === null || depth === null) return h("div", { class: "gate" })
  const water = h("i")
  water.style.height = `${(Math.min(1, depth / Math.max(1, capacity)) * 100).toFixed(1)}%`
  if (watermark === null) return h("div", { class: "basin" }, water)
  const mark = h("b")
  mark.style.bottom = `${(watermark / capacity) * 100}%`
  return h("div", { class: "basin", "data-high": depth >= watermark ? "" : undefined }, water, mark)
}

/** An amount in the stage's unit. */
const amount = (value, unit) => (unit === "bytes" ? f.bytes(value) : f.compact(value))

const held = ({ depth, unit }) => {
  if (unit === "bytes") return f.bytes(depth)
  return unit === "blocks" ? f.blocks(depth, f.compact) : `${f.compact(depth)} ${unit}`
}

const stage = (one, flag) => {
  const { capacity, depth, does, name, note, rate, unit, watermark } = one
  const facts = [
    depth === null ? "" : held(one),
    capacity === null ? "" : `room for ${amount(capacity, unit)}`,
    rate === null ? "" : `${f.rate(rate)} blocks/s`,
    watermark === null ? "" : `pauses at ${amount(watermark, unit)}`,
    note ?? ""
  ].filter((fact) => fact !== "")
  return h(
    "li",
    { "data-stage": name, "data-flag": flag },
    level(one),
    h("div", { class: "what" }, h("h3", {}, name), h("p", { class: "does" }, does)),
    h("ul", {}, ...facts.map((fact) => h("li", {}, fact))),
    ...(flag === undefined ? [] : [h("p", { class: "flag" }, flag)])
  )
}

const explained = {
  fetch:
    "The endpoints are what limits the rate: there is room for more blocks than they send. Another endpoint, or a higher CONCURRENCY, helps.",
  commit:
    "What comes after fetching does not keep up, so fetching pauses: the database or this machine's CPU is what limits the rate."
}

const ofPhase = {
  starting: "It starts as soon as it holds the lease.",
  waiting: "It starts when the other instance is gone.",
  retrying: "It waits for the next try.",
  halted: "It stands still.",
  stopping: "It ends after the commit at hand.",
  done: "All there was to do is done."
}

const sentence = ({ bottleneck, status }) =>
  explained[bottleneck] ??
  ofPhase[status.phase] ??
  (status.head === null
    ? "It begins with the chain's head."
    : "From the chain to the tables, one stage after the other. Nothing holds it up.")

export const stages = (snapshot) => {
  const { bottleneck, stages: all } = snapshot
  put("bottleneck", sentence(snapshot))
  $("bottleneck").toggleAttribute("data-known", bottleneck !== null)
  const flags = { ...(bottleneck === "commit" ? { fetch: "waits" } : {}), [bottleneck]: "bottleneck" }
  replace($("stages"), [all, bottleneck], () => all.map((one) => stage(one, flags[one.name])))
}

/** Milliseconds of the first pause; each level doubles it. */
const firstPause = 100

const waiting = (level) =>
  level === 0 ? "none" : `level ${level} of 5, tries every ${f.millis(firstPause * 2 ** level)}`

/** What the gate before fetching says: what is ahead, back-off, how often it made others wait, the two watermarks. */
export const pressure = ({ back_pressure: now }) => {
  const { backoff_level, current_jobs_depth, current_results_depth, jobs_watermark, results_watermark } = now
  const { disk_watermark, memory_watermark, total_blocked_count, watermark_lag } = now
  const mark = Math.min(jobs_watermark, results_watermark)
  put("ahead", `${f.compact(current_jobs_depth + current_results_depth)} of ${f.blocks(mark, f.compact)}`)
  put("backoff", waiting(backoff_level))
  $("backoff").toggleAttribute("data-high", backoff_level > 0)
  put("blocked", `${f.compact(total_blocked_count)} ${total_blocked_count === 1 ? "time" : "times"}`)
  put("memory-watermark", f.count(memory_watermark))
  put("disk-watermark", f.count(disk_watermark))
  put("watermark-lag", f.blocks(watermark_lag))
}
