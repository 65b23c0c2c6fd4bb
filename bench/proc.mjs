/**
 * What a process has used, from Linux's `/proc`. On other systems everything here is undefined.
 */
import { readdirSync, readFileSync } from "node:fs"

/** `sysconf(_SC_CLK_TCK)`, which is 100 wherever Node runs. */
const ticksPerSecond = 100

/**
 * @typedef {object} Cpu Seconds of user and system time.
 * @property {string} name
 * @property {number} parent
 * @property {number} own
 * @property {number} ended Of children that it has waited for, and of theirs.
 *
 * @param {number | "self"} pid @returns {Cpu | undefined}
 */
export const cpuOf = (pid) => {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The name is in parentheses and may have spaces and parentheses of its own.
  const end = stat.lastIndexOf(")")
  const fields = stat.slice(end + 2).split(" ")
  /** Numbered as in proc(5). @param {number} n */
  const field = (n) => Number(fields[n - 3])
  return {
    name: stat.slice(stat.indexOf("(") + 1, end),
    parent: field(4),
    own: (field(14) + field(15)) / ticksPerSecond,
    ended: (field(16) + field(17)) / ticksPerSecond
  }
}

/** Processes whose parent this one is, by what `/proc` says. @param {number} pid @returns {ReadonlyArray<number>} */
export const childrenOf = (pid) =>
  readdirSync("/proc")
    .map(Number)
    .filter((child) => Number.isInteger(child) && cpuOf(child)?.parent === pid)

/** CPU seconds of a server and all its children, the ended ones included. @param {number} pid @returns {number | undefined} */
export const treeCpu = (pid) => {
  const root = cpuOf(pid)
  if (root === undefined) return undefined
  let sum = root.own + root.ended
  for (const child of childrenOf(pid)) {
    const cpu = cpuOf(child)
    if (cpu !== undefined) sum += cpu.own + cpu.ended
  }
  return sum
}

/** The most memory that a process has ever held, in bytes: its peak resident set. @param {number} pid @returns {number | undefined} */
export const peakMemory = (pid) => statusOf(pid, "VmHWM")

/** The memory that a process holds now, in bytes: its resident set. @param {number} pid @returns {number | undefined} */
export const memoryOf = (pid) => statusOf(pid, "VmRSS")

/** @param {number} pid @param {"VmHWM" | "VmRSS"} which */
const statusOf = (pid, which) => {
  const kibibytes = read(`/proc/${pid}/status`)?.match(new RegExp(`^${which}:\\s+(\\d+) kB$`, "m"))?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** @param {string} path */
const read = (path) => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
