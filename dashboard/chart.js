/**
 * A small line chart of the last fifteen minutes: an axis from zero, the times, what it reads under the pointer, and a
 * sentence with the same for who does not see it.
 */

const minutes = 15
const height = 132
const inset = { top: 10, right: 8, bottom: 20, left: 46 }
/** Points further apart than this have nothing between them. Milliseconds. */
const gap = 20_000

const svg = (name, attributes = {}, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text !== undefined) element.textContent = text
  return element
}

/** The next of 1, 2, 5, 10, 20 ... that is not less. */
const nice = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)))
  return [1, 2, 5, 10].find((step) => step * power >= value) * power
}

/** Adds a chart to `parent`; the answer draws it. `format` is for the axis and for what is read out. */
export const chart = (parent, { title, format, floor = 1 }) => {
  const figure = document.createElement("figure")
  const caption = document.createElement("figcaption")
  const name = document.createElement("span")
  const reading = document.createElement("output")
  name.textContent = title
  reading.setAttribute("aria-live", "off")
  caption.append(name, reading)
  const picture = svg("svg", { role: "img", height })
  figure.append(caption, picture)
  parent.append(figure)

  let points = []
  let now = 0
  let width = 0
  let pointed

  const x = (at) => inset.left + (1 - (now - at) / (minutes * 60_000)) * (width - inset.left - inset.right)

  const read = () => {
    const point = pointed ?? points.at(-1)
    reading.textContent = point === undefined ? "no data yet" : format(point.value)
    const age = point === undefined ? 0 : Math.round((now - point.at) / 1000)
    if (pointed !== undefined)
      reading.textContent += `, ${age < 90 ? `${age} s` : `${Math.round(age / 60)} min`} ago`
  }

  const paint = () => {
    if (width === 0) return
    const top = nice(Math.max(floor, ...points.map(({ value }) => value)))
    const y = (value) => inset.top + (1 - value / top) * (height - inset.top - inset.bottom)
    const parts = []
    for (const value of [0, top / 2, top]) {
      parts.push(
        svg("line", { class: "grid", x1: inset.left, x2: width - inset.right, y1: y(value), y2: y(value) })
      )
      parts.push(svg("text", { x: inset.left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)))
    }
    for (const back of [15, 10, 5, 0]) {
      const anchor = back === 0 ? "end" : back === minutes ? "start" : "middle"
      const label = back === 0 ? "now" : back === minutes ? `−${back} min` : `−${back}`
      parts.push(svg("text", { x: x(now - back * 60_000), y: height - 5, "text-anchor": anchor }, label))
    }
    let line = ""
    let area = ""
    let start
    points.forEach(({ at, value }, i) => {
      const isNew = i === 0 || at - points[i - 1].at > gap
      if (isNew) start = x(at)
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`
      line += `${isNew ? "M" : "L"}${place}`
      area += `${isNew ? `M${start.toFixed(1)} ${y(0)}L` : "L"}${place}`
      if (i === points.length - 1 || points[i + 1].at - at > gap) area += `L${x(at).toFixed(1)} ${y(0)}Z`
    })
    parts.push(svg("path", { class: "area", d: area }), svg("path", { class: "line", d: line }))
    const mark = pointed ?? points.at(-1)
    if (mark !== undefined) parts.push(svg("circle", { cx: x(mark.at), cy: y(mark.value), r: 3 }))
    if (pointed !== undefined) {
      parts.push(
        svg("line", { class: "cursor", x1: x(pointed.at), x2: x(pointed.at), y1: inset.top, y2: y(0) })
      )
    }
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`)
    picture.replaceChildren(...parts)
    read()
  }

  const describe = () => {
    const values = points.map(({ value }) => value)
    const range = `between ${format(Math.min(...values))} and ${format(Math.max(...values))} in the last ${minutes} minutes`
    picture.setAttribute(
      "aria-label",
      values.length === 0 ? `${title}: no data yet` : `${title}: ${format(values.at(-1))} now, ${range}`
    )
  }

  picture.addEventListener("pointermove", (event) => {
    const at = event.clientX - picture.getBoundingClientRect().left
    const distance = (point) => Math.abs(x(point.at) - at)
    pointed = points.reduce(
      (best, point) => (best === undefined || distance(point) < distance(best) ? point : best),
      undefined
    )
    paint()
  })
  picture.addEventListener("pointerleave", () => {
    pointed = undefined
    paint()
  })
  new ResizeObserver(([entry]) => {
    width = Math.round(entry.contentRect.width)
    paint()
  }).observe(picture)

  /** Draws `[{ at, value }]`, milliseconds since 1970; what has no value is left out. */
  return (all, at) => {
    now = at
    points = all.filter((point) => point.value !== null && now - point.at <= minutes * 60_000)
    if (pointed !== undefined && !points.some((point) => point.at === pointed.at)) pointed = undefined
    describe()
    paint()
  }
}
