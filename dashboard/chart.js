/**
 * The last fifteen minutes of one number, drawn by uPlot: a line, the mark at which fetching pauses where there is one,
 * what it reads under the pointer, and a sentence with the same for who does not see it.
 */
import uPlot from "/uplot.js"

const minutes = 15
const height = 156
const font = "11px system-ui, sans-serif"
/** Samples further apart have nothing between them. Milliseconds. */
const gap = 20_000

/** Of the scheme that is on now: uPlot asks for it each time it draws. */
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name)
const scheme = matchMedia("(prefers-color-scheme: dark)")

/** Distances between two lines of the grid: 1, 2, 5, 10 ... */
const decimal = Array.from({ length: 36 }, (_, i) => Number(`${[1, 2, 5][i % 3]}e${Math.floor(i / 3) - 2}`))
const whole = decimal.filter(Number.isInteger)
const binary = Array.from({ length: 50 }, (_, i) => 2 ** i)
export const steps = { decimal, whole, binary }

const add = (parent, name, className = "") => {
  const element = document.createElement(name)
  element.className = className
  parent.append(element)
  return element
}

/** What is older than the chart is left out, and where samples are missing, nothing is drawn. */
const columns = (samples, value, now) => {
  const times = []
  const values = []
  for (const sample of samples) {
    const time = sample[0] / 1000
    if (now - time > minutes * 60) continue
    const before = times.at(-1)
    if (before !== undefined && (time - before) * 1000 > gap) {
      times.push(before + 1)
      values.push(null)
    }
    times.push(time)
    values.push(value(sample))
  }
  return [times, values]
}

const xAxis = {
  stroke: colour("--quiet"),
  font,
  size: 30,
  gap: 11,
  ticks: { show: false },
  grid: { show: false },
  splits: (_, __, from, to) => [from, from + 300, from + 600, to],
  values: () => [`−${minutes} min`, "−10", "−5", "now"]
}

const yAxis = (format, incrs) => ({
  stroke: colour("--quiet"),
  font,
  size: 54,
  gap: 6,
  space: 24,
  incrs,
  ticks: { show: false },
  grid: { stroke: colour("--edge"), width: 1 },
  values: (_, splits) => splits.map(format)
})

/**
 * Adds a chart to `parent`; the answer draws it. `value(sample)` and `limit(snapshot)` say what is drawn, `format` how
 * it reads, `floor` the least that the axis reaches to.
 */
export const chart = (parent, { floor, format, incrs = whole, limit = () => null, title, value }) => {
  const figure = add(parent, "figure")
  const caption = add(figure, "figcaption")
  add(caption, "span").textContent = title
  const reading = add(caption, "output")
  reading.setAttribute("aria-live", "off")
  const picture = add(figure, "div", "plot")
  picture.setAttribute("role", "img")

  let now = 0
  let mark = null

  /** The place of the newest value; undefined while there is none. */
  const newest = (values) => {
    const place = values.findLastIndex((one) => one !== null)
    return place < 0 ? undefined : place
  }

  const read = (plot) => {
    const [times, values] = plot.data
    const isPointed = plot.cursor.left >= 0 && times.length > 0
    const place = isPointed ? plot.posToIdx(plot.cursor.left) : newest(values)
    if (place === undefined) reading.textContent = ""
    else if (isPointed) {
      const age = Math.max(0, Math.round(now - times[place]))
      reading.textContent = `${format(values[place])}, ${age < 90 ? `${age} s` : `${Math.round(age / 60)} min`} ago`
    } else reading.textContent = `${format(values[place])}${mark === null ? "" : ` of ${format(mark)}`}`
  }

  const describe = (values) => {
    const known = values.filter((one) => one !== null)
    const range = `between ${format(Math.min(...known))} and ${format(Math.max(...known))} in the last ${minutes} minutes`
    const limited = mark === null ? "" : `; fetching pauses at ${format(mark)}`
    const said =
      known.length === 0
        ? `${title}: no data yet`
        : `${title}: ${format(known.at(-1))} now, ${range}${limited}`
    picture.setAttribute("aria-label", said)
    figure.toggleAttribute("data-empty", known.length === 0)
    figure.toggleAttribute("data-high", mark !== null && known.at(-1) >= mark)
  }

  const drawMark = ({ bbox: { left, width }, ctx, valToPos }) => {
    if (mark === null) return
    const y = valToPos(mark, "y", true)
    ctx.save()
    ctx.strokeStyle = colour("--warn")()
    ctx.lineWidth = 1.5 * uPlot.pxRatio
    ctx.setLineDash([5 * uPlot.pxRatio, 4 * uPlot.pxRatio])
    ctx.beginPath()
    ctx.moveTo(left, y)
    ctx.lineTo(left + width, y)
    ctx.stroke()
    ctx.restore()
  }

  const plot = new uPlot(
    {
      width: Math.max(1, picture.clientWidth),
      height,
      padding: [10, 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 }, sync: { key: "sluice" } },
      scales: {
        x: { time: false, range: () => [now - minutes * 60, now] },
        y: { range: (_, __, highest) => [0, Math.max(floor, highest ?? 0, mark ?? 0) * 1.06] }
      },
      series: [
        {},
        {
          stroke: colour("--water"),
          fill: colour("--water-faint"),
          width: 1.8,
          points: { size: 6, fill: colour("--water"), filter: (at) => [newest(at.data[1])] }
        }
      ],
      axes: [xAxis, yAxis(format, incrs)],
      hooks: { setCursor: [read], draw: [drawMark] }
    },
    [[], []],
    picture
  )
  scheme.addEventListener("change", () => plot.redraw(false))
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width > 0) plot.setSize({ width: Math.round(contentRect.width), height })
  }).observe(picture)
  // uPlot follows the mouse only.
  plot.over.addEventListener("pointermove", ({ offsetX, offsetY, pointerType }) => {
    if (pointerType === "touch") plot.setCursor({ left: offsetX, top: offsetY })
  })
  plot.over.addEventListener("pointerleave", () => plot.setCursor({ left: -10, top: -10 }))

  return (samples, snapshot) => {
    now = snapshot.at / 1000
    mark = limit(snapshot)
    const data = columns(samples, value, now)
    plot.setData(data)
    describe(data[1])
    read(plot)
  }
}
