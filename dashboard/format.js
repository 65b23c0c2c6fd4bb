/** Numbers, sizes and times as people read them. What is not known is a dash. */

const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })

const digits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 5 })
const percent = new Intl.NumberFormat("en-US", {
  style: "percent",
  maximumFractionDigits: 1,
  signDisplay: "exceptZero"
})
const raised = (exponent) =>
  Array.from(`${exponent}`, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("")

export const unknown = "–"

export const count = (value) => (value == null ? unknown : plain.format(value))

export const compact = (value) =>
  value == null ? unknown : value < 100_000 ? count(value) : short.format(value)

export const blocks = (value, format = count) => `${format(value)} ${value === 1 ? "block" : "blocks"}`

export const rate = (value) =>
  value == null ? unknown : value === 0 || value >= 100 ? count(value) : value.toFixed(value < 10 ? 2 : 1)

export const bytes = (value) => {
  if (value == null) return unknown
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 2 ** (10 * power)
  return `${scaled < 10 && power > 0 ? scaled.toFixed(1) : Math.round(scaled)} ${units[power]}`
}

export const millis = (value) =>
  value == null ? unknown : value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`

/** `4 h 12 min`: the two largest units. */
export const span = (seconds) => {
  if (seconds == null) return unknown
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60].map(
    Math.floor
  )
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`
  if (minutes > 0) return seconds < 600 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${minutes} min`
  return `${Math.max(0, Math.round(seconds))} s`
}

export const time = (millisSince1970) => clock.format(millisSince1970)

export const ago = (then, now) => (then == null ? unknown : `${span(Math.max(0, (now - then) / 1000))} ago`)

export const hash = (text) => `${text.slice(0, 10)}…${text.slice(-6)}`

/** Of raw units, so it may be of any size: `3.6013 × 10⁻⁹`. */
export const price = (decimal) => {
  if (decimal == null) return unknown
  const value = Number(decimal)
  if (value === 0 || (value >= 1e-3 && value < 1e6)) return digits.format(value)
  const [mantissa, exponent] = value.toExponential(3).split("e")
  return `${digits.format(mantissa)} × 10${raised(Number(exponent))}`
}

export const change = (from, to) => {
  if (from == null || to == null || Number(from) === 0) return unknown
  const share = Number(to) / Number(from) - 1
  return share >= 10 ? `× ${digits.format(Number((share + 1).toPrecision(3)))}` : percent.format(share)
}
