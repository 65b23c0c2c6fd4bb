/**
 * The dashboard: keeps what the live feed said, and draws it at most once a frame. Nothing is drawn while the page is
 * out of view.
 */
import { chart, steps } from "./chart.js"
import * as f from "./format.js"
import { connect } from "./live.js"
import * as notices from "./notices.js"
import * as stream from "./stream.js"
import { tokens } from "./tokens.js"
import * as views from "./views.js"

const blocksShown = 12
const reorgsShown = 8
const samplesKept = 180

const model = {
  state: "connecting",
  lostSince: undefined,
  snapshot: undefined,
  tokens: null,
  samples: [],
  blocks: [],
  reorgs: []
}

const charts = document.getElementById("charts")
const watermark = (stage) => (snapshot) => snapshot.stages.find(({ name }) => name === stage).watermark
/** Samples are as `Sample` in src/api/Snapshot.ts has them. */
const drawn = [
  chart(charts, {
    title: "Blocks a second",
    value: ([, rate]) => rate,
    format: f.rate,
    incrs: steps.decimal,
    floor: 1
  }),
  chart(charts, { title: "Blocks behind", value: ([, , lag]) => lag, format: f.compact, floor: 10 }),
  chart(charts, { title: "Commit, median", value: ([, , , commit]) => commit, format: f.millis, floor: 10 }),
  chart(charts, {
    title: "Blocks fetched ahead",
    value: ([, , , , blocks, , sequenced]) => blocks - sequenced,
    limit: watermark("fetch"),
    format: f.compact,
    floor: 10
  }),
  chart(charts, {
    title: "Blocks waiting for their commit",
    value: ([, , , , , , sequenced]) => sequenced,
    limit: watermark("commit"),
    format: f.compact,
    floor: 10
  }),
  chart(charts, {
    title: "Bytes in flight",
    value: ([, , , , , bytes]) => bytes,
    limit: watermark("batch"),
    format: f.bytes,
    incrs: steps.binary,
    floor: 1024
  })
]

const draw = () => {
  const { blocks, reorgs, samples, snapshot, state } = model
  views.connection(state)
  views.notice(notices.of(model))
  if (snapshot === undefined) return
  views.header(snapshot)
  views.progress(snapshot)
  stream.stages(snapshot)
  stream.pressure(snapshot)
  tokens(model.tokens)
  views.endpoints(snapshot)
  views.newest(blocks, snapshot.at)
  views.reorgs(reorgs, snapshot.at)
  views.footer(snapshot)
  for (const paint of drawn) paint(samples, snapshot)
}

let isDue = false
const drawSoon = () => {
  if (isDue || document.hidden) return
  isDue = true
  requestAnimationFrame(() => {
    isDue = false
    draw()
  })
}

/** What was committed, and what was taken back again, in the order in which it happened. */
const apply = (events) => {
  for (const event of events) {
    if (event.type === "block") model.blocks.unshift(event)
    else {
      model.blocks = model.blocks.filter(({ number }) => number <= event.ancestor)
      const commit = Number(event.id)
      if (!model.reorgs.some((known) => known.commit === commit)) model.reorgs.unshift({ ...event, commit })
    }
  }
  model.blocks.sort((a, b) => b.number - a.number).splice(blocksShown)
  model.reorgs.splice(reorgsShown)
}

const older = async () => {
  const answer = await fetch(`/api/reorgs?limit=${reorgsShown}`)
  if (!answer.ok) return
  const { reorgs } = await answer.json()
  const known = new Set(reorgs.map(({ commit }) => commit))
  model.reorgs = [...model.reorgs.filter(({ commit }) => !known.has(commit)), ...reorgs].slice(0, reorgsShown)
  drawSoon()
}

const addSample = (sample) => {
  if (sample === null || model.samples.at(-1)?.[0] === sample[0]) return
  model.samples.push(sample)
  model.samples.splice(0, model.samples.length - samplesKept)
}

const onMessage = (message) => {
  if (message.tokens !== undefined) model.tokens = message.tokens
  switch (message.type) {
    case "welcome":
      model.snapshot = message.snapshot
      model.samples = message.history
      model.blocks = []
      model.reorgs = []
      apply(message.events)
      older().catch(() => undefined)
      break
    case "snapshot":
      model.snapshot = message.snapshot
      addSample(message.sample)
      apply(message.events)
      break
  }
  drawSoon()
}

document.addEventListener("visibilitychange", drawSoon)
connect({
  message: onMessage,
  state: (state) => {
    if (state === "lost" && model.state !== "lost") model.lostSince = Date.now()
    model.state = state
    drawSoon()
  }
})
