/**
 * `eth_getLogs` over a chain's ready bytes: a scan over numbers, and one copy of what it finds.
 *
 * **Details**
 *
 * Limits and the words of refusals are those of large providers: QuickNode's for too many blocks, Infura's for too
 * many logs, with the range that would do. Clients know both.
 *
 * **Gotchas**
 *
 * Making the index reads every receipt once: two to four seconds for 220,000 logs, before the node listens.
 */

/** @typedef {import("./chain.mjs").Chain} Chain */
/** @typedef {import("./chain.mjs").Span} Span */

/**
 * @typedef {object} Limits
 * @property {number} blocks Most of them in one question.
 * @property {number} logs Most of them in one answer.
 *
 * @typedef {{code: number, message: string}} Refusal
 *
 * @param {object} options
 * @param {Chain} options.chain
 * @param {Buffer} options.answers What the chain's spans point into.
 * @param {Limits} options.limits
 * @param {boolean} options.timestamps Whether logs say when their block was, as those of new nodes do.
 * @returns {{find: (filter: any, numberOf: (which: unknown) => number) => Buffer | Refusal}}
 */
export const makeLogs = ({ answers, chain, limits, timestamps }) => {
  const { blocks, bytes, entries, idOf } = readLogs(chain, answers, timestamps)

  /** The ids that a position takes; undefined where it takes anything. @param {unknown} wanted */
  const idsOf = (wanted) => {
    const list = Array.isArray(wanted) ? wanted : wanted === null || wanted === undefined ? [] : [wanted]
    return list.length === 0 ? undefined : new Set(list.map((hex) => idOf.get(String(hex).toLowerCase())))
  }

  return {
    find: (filter, numberOf) => {
      const only = blocks.get(String(filter.blockHash).toLowerCase())
      if (filter.blockHash !== undefined && only === undefined)
        return { code: -32000, message: "unknown block" }
      const from = only ?? numberOf(filter.fromBlock ?? "latest")
      const to = Math.min(chain.blocks, only ?? numberOf(filter.toBlock ?? "latest"))
      if (from > to) return { code: -32000, message: "invalid block range params" }
      if (to - from >= limits.blocks) {
        const most = limits.blocks.toLocaleString("en-US")
        return { code: -32614, message: `eth_getLogs is limited to a ${most} range` }
      }
      const wanted = [filter.address, ...(filter.topics ?? [])].map(idsOf)
      /** @type {Array<number>} */
      const found = []
      for (let i = entries.first[from]; i < entries.first[to + 1]; i++) {
        if (!fits(entries, i, wanted)) continue
        if (found.length === limits.logs) return tooMany(entries, from, i, limits)
        found.push(i)
      }
      return gather(bytes, entries, found)
    }
  }
}

/** Address and topics of each log. */
const positions = 5

/**
 * @typedef {object} Entries Of all logs in order; typed arrays, so that a scan touches little memory.
 * @property {Uint32Array} first The first log of each block, and one more.
 * @property {Uint32Array} at
 * @property {Uint32Array} length
 * @property {Uint32Array} ids At `i * positions`: of its address and its topics, 0 where it has no such topic.
 */

/** @param {Chain} chain @param {Buffer} answers @param {boolean} timestamps */
const readLogs = (chain, answers, timestamps) => {
  const total = chain.entries.reduce((sum, { logs }) => sum + logs, 0)
  /** @type {Entries} */
  const entries = {
    first: new Uint32Array(chain.entries.length + 1),
    at: new Uint32Array(total),
    length: new Uint32Array(total),
    ids: new Uint32Array(total * positions)
  }
  /** @type {Map<string | undefined, number>} */
  const idOf = new Map()
  /** @param {string} hex */
  const register = (hex) => {
    const id = idOf.get(hex) ?? idOf.size + 1
    idOf.set(hex, id)
    return id
  }
  /** Number of each block by its hash. @type {Map<string, number>} */
  const blocks = new Map()
  /** Of logs that are not as they lie in the receipts. @type {Array<Buffer>} */
  const own = []
  let ownLength = 0
  let i = 0
  for (const [number, { receiptLengths, receipts }] of chain.entries.entries()) {
    let start = receipts.at + 1
    for (const length of receiptLengths) {
      const text = answers.toString("latin1", start, start + length)
      const receipt = JSON.parse(text)
      blocks.set(receipt.blockHash, number)
      let at = start + text.indexOf(opening) + opening.length
      for (const log of receipt.logs) {
        const json = JSON.stringify(log)
        entries.at[i] = at
        entries.length[i] = json.length
        at += json.length + 1
        if (!timestamps) {
          const shorter = Buffer.from(withoutTimestamps(json), "latin1")
          entries.at[i] = ownLength
          entries.length[i] = shorter.length
          ownLength += own[own.push(shorter) - 1].length
        }
        entries.ids[i * positions] = register(log.address)
        for (const [j, topic] of log.topics.entries()) entries.ids[i * positions + 1 + j] = register(topic)
        i++
      }
      start += length + 1
    }
    entries.first[number + 1] = i
  }
  return { entries, idOf, blocks, bytes: timestamps ? answers : Buffer.concat(own) }
}

/** @param {Entries} entries @param {number} i @param {ReadonlyArray<ReadonlySet<number | undefined> | undefined>} wanted */
const fits = ({ ids }, i, wanted) => {
  for (let j = 0; j < wanted.length; j++) {
    const id = ids[i * positions + j]
    // A filter with more positions than a log has topics does not take it, even where it takes anything.
    if (id === 0 || wanted[j]?.has(id) === false) return false
  }
  return true
}

/** `i` is the first log too many; its whole block has to wait. @param {Entries} entries @param {number} from @param {number} i @param {Limits} limits @returns {Refusal} */
const tooMany = ({ first }, from, i, { logs }) => {
  let to = from
  while (first[to + 1] <= i) to++
  const range = `[0x${from.toString(16)}, 0x${Math.max(from, to - 1).toString(16)}]`
  return {
    code: -32005,
    message: `query returned more than ${logs} results. Try with this block range ${range}.`
  }
}

const opening = '"logs":['
const comma = 0x2c

/** @param {Buffer} bytes @param {Entries} entries @param {ReadonlyArray<number>} found */
const gather = (bytes, { at, length }, found) => {
  if (found.length === 0) return Buffer.from("[]")
  const list = Buffer.allocUnsafe(found.reduce((sum, i) => sum + length[i] + 1, 1))
  let end = 1
  for (const i of found) {
    end += bytes.copy(list, end, at[i], at[i] + length[i])
    list[end++] = comma
  }
  list[0] = 0x5b
  list[end - 1] = 0x5d
  return list
}

/** As a node of some years ago would have sent it. @param {string} json */
export const withoutTimestamps = (json) => json.replaceAll(/,"blockTimestamp":"0x[0-9a-f]+"/g, "")
