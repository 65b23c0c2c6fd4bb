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
 * @property {number | undefined} ratio To the baseline's wall time.
 * @property {number | undefined} wall
 * @property {number | undefined} cpu
 * @property {number | undefined} databaseCpu
 * @property {number | undefined} nodeCpu
 * @property {number | undefined} memory The highest.
 * @property {number | undefined} requests
 * @property {boolean} right
 *
 * @typedef {{name: string, limit: number, found: number | undefined, met: boolean | undefined}} Bar
 */

const megabyte = 1_000_000

/** What the project promises on two cores; memory in bytes. */
const promises = [
  { contestant: "linked", ratio: 0.5, memory: 400 * megabyte },
  { contestant: "proven", ratio: 0.75, memory: 400 * megabyte }
]

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
    const ratios = own.map(({ round, wall }) => {
      const base = runs.find(
        (run) => run.round === round && run.contestant === "baseline" && run.wrong.length === 0
      )
      return base === undefined ? undefined : wall / base.wall
    })
    const peaks = own.flatMap(({ memory }) => (memory === undefined ? [] : [memory]))
    return {
      contestant,
      ratio: median(ratios),
      wall: median(own.map(({ wall }) => wall)),
      cpu: median(own.map(({ cpu }) => cpu)),
      databaseCpu: median(own.map(({ databaseCpu }) => databaseCpu)),
      nodeCpu: median(own.map(({ nodeCpu }) => nodeCpu)),
      memory: peaks.length === 0 ? undefined : Math.max(...peaks),
      requests: median(own.map(({ requests }) => requests)),
      right: all.length > 0 && own.length === all.length
    }
  })

/** @param {ReadonlyArray<Summary>} summaries @returns {ReadonlyArray<Bar>} */
export const judge = (summaries) =>
  promises.flatMap(({ contestant, memory, ratio }) => {
    const summary = summaries.find((one) => one.contestant === contestant)
    if (summary === undefined) return []
    return [
      bar(`${contestant}: wall / baseline`, ratio, summary.ratio),
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
      figure(one.ratio, 2),
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
      figure(limit, limit < 10 ? 2 : 0),
      figure(found, limit < 10 ? 2 : 0),
      met === undefined ? "not measured" : met ? "pass" : "MISS"
    ])
  ])
]
