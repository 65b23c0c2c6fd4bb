/**
 * A strict reader of Prometheus' text format, version 0.0.4: what Prometheus would refuse, or count wrongly, throws.
 */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

const fail = (line: string, why: string): never => {
  throw new Error(`${why}: ${line}`)
}

const number = (text: string, line: string): number => {
  if (text === "+Inf") return Number.POSITIVE_INFINITY
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : fail(line, "not a number")
}

const labelsOf = (text: string | undefined, line: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  let rest = text ?? ""
  while (rest !== "") {
    const match = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest)
    const [all = "", name = "", value = ""] = match ?? fail(line, "not a label")
    if (name in labels) fail(line, "a label twice")
    labels[name] = value
    rest = rest.slice(all.length)
  }
  return labels
}

/** The families of a page by their names. */
export const parse = (page: string): ReadonlyMap<string, Family> => {
  if (!page.endsWith("\n")) fail("", "no newline at the end")
  const families = new Map<string, { type: string; help: string; samples: Array<Sample> }>()
  const seen = new Set<string>()
  let name = ""
  let help: string | undefined
  for (const line of page.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line)
    if (comment !== null) {
      const [, what, about = "", text = ""] = comment
      if (what === "HELP") {
        help = text
      } else {
        if (families.has(about)) fail(line, "a family twice")
        families.set(about, { type: text, help: help ?? fail(line, "no HELP before TYPE"), samples: [] })
        help = undefined
        name = about
      }
      continue
    }
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.+)\})? (\S+)$/.exec(line)
    const [, sample = "", labels, value = ""] = match ?? fail(line, "not a sample")
    const family = families.get(name) ?? fail(line, "a sample before its TYPE")
    const suffix = family.type === "histogram" ? "(_bucket|_sum|_count)" : ""
    if (!new RegExp(`^${name}${suffix}$`).test(sample)) fail(line, `not of ${name}`)
    const series = line.slice(0, line.lastIndexOf(" "))
    if (seen.has(series)) fail(line, "a series twice")
    seen.add(series)
    family.samples.push({ name: sample, labels: labelsOf(labels, line), value: number(value, line) })
  }
  for (const [of, family] of families) check(of, family)
  return families
}

const check = (name: string, { samples, type }: Family): void => {
  if (samples.length === 0) fail(name, "no samples")
  if (!["counter", "gauge", "histogram"].includes(type)) fail(type, "an unknown type")
  if ((type === "counter") !== name.endsWith("_total"))
    fail(name, "a counter ends in _total, and nothing else does")
  for (const { name: sample, value } of samples) {
    if (!Number.isFinite(value)) fail(sample, "not finite")
    if (type !== "gauge" && value < 0) fail(sample, "negative")
  }
  if (type === "histogram") checkHistogram(name, samples)
}

/** Buckets are cumulative, ascending, and end with all that was counted. */
const checkHistogram = (name: string, samples: ReadonlyArray<Sample>): void => {
  const byLabels = new Map<string, Array<Sample>>()
  for (const sample of samples) {
    const { le, ...labels } = sample.labels
    const key = JSON.stringify(labels)
    byLabels.set(key, [...(byLabels.get(key) ?? []), sample])
  }
  for (const [labels, series] of byLabels) {
    const buckets = series.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map((bucket) => number(bucket.labels["le"] ?? "", labels))
    const counts = buckets.map(({ value }) => value)
    const isAscending = (values: ReadonlyArray<number>) =>
      values.every((v, i) => i === 0 || v >= (values[i - 1] ?? v))
    if (!isAscending(bounds) || !isAscending(counts)) fail(labels, `${name} is not cumulative`)
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) fail(labels, `${name} has no +Inf`)
    const count = series.find((sample) => sample.name === `${name}_count`)?.value
    if (count !== counts.at(-1)) fail(labels, `${name} counts otherwise than its buckets`)
    if (!series.some((sample) => sample.name === `${name}_sum`)) fail(labels, `${name} has no sum`)
  }
}

/** The value of one series; undefined where there is none. */
export const value = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number | undefined => {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""))
  const entries = Object.entries(labels)
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === entries.length &&
      entries.every(([key, wanted]) => sample.labels[key] === wanted)
  )?.value
}
