/**
 * What the runs say together.
 *
 * **Details**
 *
 * Ratios are taken within a round and the median of them counts: whatever else the machine did for a while then
 * weighs on both sides of a division.
 */

/**
 * @typedef {object} Run
 * @property {number} round
 * @property {string} contestant
 * @property {number} wall
 * @property {number | undefined} cpu
 * @property {number | undefined} databaseCpu
 * @property {number | undefined} nodeCpu
 * @property {number | undefined} memory
 * @property {number} requests HTTP requests to the node.
 * @property {number} calls JSON-RPC calls in them.
 * @property {ReadonlyArray<string>} wrong
 *
 * @typedef {object} Summary
 * @property {string} contestant
 * @property {Readonly<Record<string, number | undefined>>} ratios To the wall time of each of the others.
 * @property {number | undefined} wall
 * @property {number | undefined} cpu
 * @property {number | undefined} databaseCpu
 * @property {number | undefined} nodeCpu
 * @property {number | undefined} memory The highest.
 * @property {number | undefined} requests
 * @property {boolean} right
 *
 * @typedef {object} Promised
 * @property {string} contestant
 * @property {Readonly<Record<string, number>>} ratios Of wall times, to others.
 * @property {number} [requests]
 * @property {number} memory Bytes.
 *
 * @typedef {{name: string, limit: number, found: number | undefined, met: boolean | undefined}} Bar
 */

const megabyte = 1_000_000

/** What the project promises on two cores. @type {Readonly<Record<string, (latency: number) => ReadonlyArray<Promised>>>} */
const promises = {
  full: () => [
    { contestant: "linked", ratios: { baseline: 0.5 }, memory: 400 * megabyte },
    { contestant: "proven", ratios: { baseline: 0.75 }, memory: 400 * megabyte }
  ],
  events: (latency) => [
    { contestant: "sluice", ratios: eventRatios[latency] ?? {}, requests: 999, memory: 400 * megabyte }
  ]
}

/** By milliseconds that each request takes. @type {Readonly<Record<number, Readonly<Record<string, number>>>>} */
const eventRatios = { 0: { baseline: 0.1, ponder: 1 / 6 }, 50: { baseline: 0.015 } }

/** @param {ReadonlyArray<number | undefined>} values */
const median = (values) => {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? sorted[middle]
    : sorted.length === 0
      ? undefined
      : (sorted[middle - 1] + sorted[middle]) / 2
}

/** @param {ReadonlyArray<Run>} runs @param {ReadonlyArray<string>} contestants @returns {ReadonlyArray<Summary>} */
export const summarize = (runs, contestants) =>
  contestants.map((contestant) => {
    const all = runs.filter((run) => run.contestant === contestant)
    // What ended early or left something out was fast for a bad reason.
    const own = all.filter(({ wrong }) => wrong.length === 0)
    /** @param {string} other */
    const ratioTo = (other) =>
      median(
        own.map(({ round, wall }) => {
          const base = runs.find(
            (run) => run.round === round && run.contestant === other && run.wrong.length === 0
          )
          return base === undefined ? undefined : wall / base.wall
        })
      )
    const peaks = own.flatMap(({ memory }) => (memory === undefined ? [] : [memory]))
    return {
      contestant,
      ratios: Object.fromEntries(contestants.map((other) => [other, ratioTo(other)])),
      wall: median(own.map(({ wall }) => wall)),
      cpu: median(own.map(({ cpu }) => cpu)),
      databaseCpu: median(own.map(({ databaseCpu }) => databaseCpu)),
      nodeCpu: median(own.map(({ nodeCpu }) => nodeCpu)),
      memory: peaks.length === 0 ? undefined : Math.max(...peaks),
      requests: median(own.map(({ requests }) => requests)),
      right: all.length > 0 && own.length === all.length
    }
  })

/** @param {string} job @param {number} latency @param {ReadonlyArray<Summary>} summaries @returns {ReadonlyArray<Bar>} */
export const judge = (job, latency, summaries) =>
  promises[job](latency).flatMap(({ contestant, memory, ratios, requests }) => {
    const summary = summaries.find((one) => one.contestant === contestant)
    if (summary === undefined) return []
    return [
      ...Object.entries(ratios).map(([other, limit]) =>
        bar(`${contestant}: wall / ${other}`, limit, summary.ratios[other])
      ),
      ...(requests === undefined ? [] : [bar(`${contestant}: HTTP requests`, requests, summary.requests)]),
      bar(`${contestant}: peak memory, MB`, memory / megabyte, summary.memory && summary.memory / megabyte)
    ]
  })

/** @param {string} name @param {number} limit @param {number | undefined} found @returns {Bar} */
const bar = (name, limit, found) => ({
  name,
  limit,
  found,
  met: found === undefined ? undefined : found <= limit
})

/** @param {number | undefined} value @param {number} digits */
const figure = (value, digits) => (value === undefined ? "-" : value.toFixed(digits))

/** Three digits of what is small. @param {number | undefined} value */
const ratio = (value) => figure(value, value !== undefined && value < 0.2 ? 3 : 2)

/** @param {ReadonlyArray<ReadonlyArray<string>>} rows The first are the headings, the first column is text. */
const table = (rows) => {
  if (rows.length === 0) return []
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join("  ")
      .trimEnd()
  )
}

/** @param {ReadonlyArray<Run>} runs @param {ReadonlyArray<Summary>} summaries @param {ReadonlyArray<Bar>} bars @returns {ReadonlyArray<string>} */
export const render = (runs, summaries, bars) => [
  ...table([
    ["", "wall s", "ratio", "CPU s", "PostgreSQL CPU s", "node CPU s", "peak MB", "requests", "data"],
    ...summaries.map((one) => [
      one.contestant,
      figure(one.wall, 2),
      ratio(one.ratios["baseline"]),
      figure(one.cpu, 2),
      figure(one.databaseCpu, 2),
      figure(one.nodeCpu, 2),
      figure(one.memory && one.memory / megabyte, 0),
      figure(one.requests, 0),
      one.right ? "right" : "WRONG"
    ])
  ]),
  "",
  ...summaries.map(({ contestant }) => {
    const walls = runs.filter((run) => run.contestant === contestant)
    return `${contestant}, wall of each round: ${walls.map(({ wall, wrong }) => `${figure(wall, 2)}${wrong.length > 0 ? " (wrong)" : ""}`).join(", ")}`
  }),
  ...(bars.length === 0 ? [] : [""]),
  ...table([
    ...(bars.length === 0 ? [] : [["promise", "at most", "found", ""]]),
    ...bars.map(({ found, limit, met, name }) => [
      name,
      limit < 10 ? ratio(limit) : figure(limit, 0),
      limit < 10 ? ratio(found) : figure(found, 0),
      met === undefined ? "not measured" : met ? "pass" : "MISS"
    ])
  ])
]
