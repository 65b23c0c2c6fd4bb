/**
 * Whether the tables say what the chain of `traffic.mjs` says: its Transfers and Swaps, and the metrics of its tokens.
 *
 * **Details**
 *
 * Events are read from the chain's receipts in the plainest way there is, and compared block by block: how many, and an
 * MD5 over all of their columns in the order of the log index. Metrics are counted anew by the SQL of `docs/tokens.md`.
 */
import { createHash } from "node:crypto"
import { closeSync, openSync, readSync } from "node:fs"
import { answersFile } from "./chain.mjs"

/** Keccak-256 of `Transfer(address,address,uint256)`, as anybody can look it up. */
const transferTopic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
/** Of `Swap(address,uint256,uint256,uint256,uint256,address)`. */
const swapTopic = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"

/**
 * @typedef {object} Events Of one table in one block.
 * @property {number} count
 * @property {string} digest
 *
 * @typedef {ReadonlyMap<number, Events>} Table By block number; blocks without events are not in it.
 */

/** An address in a topic. @param {string} topic */
const addressOf = (topic) => `0x${topic.slice(26)}`

/** @param {string} data */
const words = (data) =>
  Array.from({ length: (data.length - 2) / 64 }, (_, i) => BigInt(`0x${data.slice(2 + 64 * i, 66 + 64 * i)}`))

/** @param {any} log @param {number} seconds of its block */
const lineOf = ({ address, data, logIndex, topics, transactionHash }, seconds) =>
  [
    seconds,
    transactionHash,
    Number(logIndex),
    address,
    ...topics.slice(1).map(addressOf),
    ...words(data)
  ].join(" ")

/** What has to be in both tables, of blocks 1 to `last`. @param {import("./chain.mjs").Chain} chain @param {number} last */
export const expectedEvents = (chain, last) => {
  const file = openSync(answersFile(chain.folder), "r")
  /** @param {import("./chain.mjs").Span} span */
  const parsed = ({ at, length }) => {
    const body = Buffer.allocUnsafe(length)
    readSync(file, body, 0, length, at)
    return JSON.parse(body.toString("latin1"))
  }
  /** @type {{transfers: Map<number, Events>, swaps: Map<number, Events>}} */
  const tables = { transfers: new Map(), swaps: new Map() }
  const topics = /** @type {const} */ ([
    ["transfers", transferTopic],
    ["swaps", swapTopic]
  ])
  for (let number = 1; number <= last; number++) {
    const { light, receipts } = chain.entries[number]
    const seconds = Number(parsed(light).timestamp)
    const logs = parsed(receipts).flatMap((/** @type {any} */ receipt) => receipt.logs)
    for (const [table, topic] of topics) {
      const lines = logs
        .filter((/** @type {any} */ log) => log.topics[0] === topic)
        .map((/** @type {any} */ log) => lineOf(log, seconds))
      if (lines.length === 0) continue
      const digest = createHash("md5").update(lines.join("\n")).digest("hex")
      tables[table].set(number, { count: lines.length, digest })
    }
  }
  closeSync(file)
  return tables
}

/** @param {Table} table */
export const countOf = (table) => [...table.values()].reduce((sum, { count }) => sum + count, 0)

/** A bytea as a node writes it. @param {string} column */
const hex = (column) => `'0x' || encode(${column}, 'hex')`

const columns = {
  transfers: ["from", "to"].map((column) => hex(`"${column}"`)).concat("value"),
  swaps: [hex("sender"), hex('"to"'), "amount0_in", "amount1_in", "amount0_out", "amount1_out"]
}
const names = { transfers: "erc20_transfer", swaps: "uniswap_v2_swap" }

/** What is wrong with a table, in words; empty if nothing is. @param {import("pg").Client} client @param {string} schema @param {"transfers" | "swaps"} which @param {Table} expected */
const wrongEvents = async (client, schema, which, expected) => {
  const { rows } = await client.query(`
    select block_number::int as number, count(*)::int as count, md5(string_agg(concat_ws(' ',
      extract(epoch from block_timestamp)::bigint, ${hex("transaction_hash")}, log_index, ${hex("contract")},
      ${columns[which].join(", ")}), E'\\n' order by log_index)) as digest
    from ${schema}.${names[which]} group by 1`)
  const wrong = []
  const found = new Set()
  for (const { count, digest, number } of rows) {
    found.add(number)
    const due = expected.get(number)
    if (due === undefined) wrong.push(`${count} ${which} in block ${number}, which has none`)
    else if (due.count !== count) wrong.push(`${count} of ${due.count} ${which} in block ${number}`)
    else if (due.digest !== digest) wrong.push(`${which} of block ${number} are not those of the chain`)
  }
  for (const [number, { count }] of expected)
    if (!found.has(number)) wrong.push(`none of the ${count} ${which} in block ${number}`)
  return wrong
}

/** Every event once and as it was, and none besides. @param {import("pg").Client} client @param {string} schema @param {{transfers: Table, swaps: Table}} expected */
export const lostEvents = async (client, schema, expected) => {
  const { rows } = await client.query(`select count(*)::int as count from ${schema}.undecoded`)
  return [
    ...(rows[0].count === 0 ? [] : [`${rows[0].count} logs are undecoded`]),
    ...(await wrongEvents(client, schema, "transfers", expected.transfers)),
    ...(await wrongEvents(client, schema, "swaps", expected.swaps))
  ]
}

/** Events of a window as of the newest block at which all rows hold. @param {string} window column with its seconds */
const inWindow = (window) => `e.block_number <= c.checked_number
  and floor(extract(epoch from e.block_timestamp) / case when ${window} > 300 then 60 else 1 end)
    > floor((c.checked_timestamp - ${window}) / case when ${window} > 300 then 60 else 1 end)`

/** Rows of so many tokens and pairs by chance, all windows, that are not what the event tables say. @param {import("pg").Client} client @param {string} schema @param {number} count */
export const wrongMetrics = async (client, schema, count) => {
  await client.query(`set search_path to ${schema}`)
  const tokens = await client.query(
    `
    with chosen as (select token from token_metrics group by 1 order by random() limit $1)
    select m.token, m.window_seconds,
      (m.transfers, m.senders, m.receivers, m.volume)
        is not distinct from (x.transfers, x.senders, x.receivers, x.volume) as fits
    from chosen join token_metrics m using (token), token_checkpoint c,
      lateral (
        select count(*) as transfers, count(distinct "from") as senders, count(distinct "to") as receivers,
          coalesce(sum(value), 0) as volume
        from erc20_transfer e where e.contract = m.token and ${inWindow("m.window_seconds")}
      ) x`,
    [count]
  )
  const pairs = await client.query(
    `
    with chosen as (select pair from pair_metrics group by 1 order by random() limit $1),
    trades as (
      select contract, block_number, block_timestamp, log_index, amount0_in - amount0_out as amount0,
        amount1_in - amount1_out as amount1,
        token_price(amount0_in - amount0_out, amount1_in - amount1_out) as price
      from uniswap_v2_swap where contract in (select pair from chosen)
    )
    select m.pair as token, m.window_seconds,
      (m.trades, m.buys, m.sells, m.volume0, m.volume1, m.open, m.high, m.low, m.close)
        is not distinct from (x.trades, x.buys, x.sells, x.volume0, x.volume1, x.open, x.high, x.low, x.close)
        as fits
    from chosen join pair_metrics m using (pair), token_checkpoint c,
      lateral (
        select count(*) as trades, count(*) filter (where amount0 < 0) as buys,
          count(*) filter (where amount0 > 0) as sells, coalesce(sum(abs(amount0)), 0) as volume0,
          coalesce(sum(abs(amount1)), 0) as volume1, max(price) as high, min(price) as low,
          (array_agg(price order by block_number, log_index) filter (where price is not null))[1] as open,
          (array_agg(price order by block_number desc, log_index desc) filter (where price is not null))[1] as close
        from trades e where e.contract = m.pair and ${inWindow("m.window_seconds")}
      ) x`,
    [count]
  )
  const rows = [...tokens.rows, ...pairs.rows]
  return {
    rows: rows.length,
    wrong: rows
      .filter(({ fits }) => !fits)
      .map(({ token, window_seconds }) => `0x${token.toString("hex")}, ${window_seconds} s`)
  }
}
