/**
 * Every Transfer that has to be in the database, read from the chain's receipts in the plainest way there is, and
 * whether it is there: each row, each column.
 *
 * It knows nothing of `eth_getLogs`, of ABIs and of what any contestant does.
 */
import { readFileSync } from "node:fs"
import pg from "pg"
import { answersFile } from "./chain.mjs"

/** Keccak-256 of `Transfer(address,address,uint256)`, as anybody can look it up. */
const transferTopic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

/**
 * One line for each Transfer, in the order of the chain: block, time in seconds, transaction, log index, contract,
 * from, to, value.
 *
 * @param {import("./chain.mjs").Chain} chain
 * @param {{tokens: ReadonlyArray<string>, last: number}} which
 * @returns {ReadonlyArray<string>}
 */
export const transfersOf = (chain, { last, tokens }) => {
  const answers = readFileSync(answersFile(chain.folder))
  /** @param {import("./chain.mjs").Span} span */
  const parsed = ({ at, length }) => JSON.parse(answers.toString("latin1", at, at + length))
  const lines = []
  for (let number = 1; number <= last; number++) {
    const { light, receipts } = chain.entries[number]
    const seconds = Number(parsed(light).timestamp)
    for (const { logs } of parsed(receipts)) {
      for (const { address, data, logIndex, topics, transactionHash } of logs) {
        if (!tokens.includes(address) || topics[0] !== transferTopic || topics.length !== 3) continue
        const [, from, to] = topics.map((/** @type {string} */ topic) => `0x${topic.slice(26)}`)
        lines.push(
          [number, seconds, transactionHash, Number(logIndex), address, from, to, BigInt(data)].join(" ")
        )
      }
    }
  }
  return lines
}

/** A bytea as a node writes it. @param {string} column */
const hex = (column) => `'0x' || encode(${column}, 'hex')`

/** The same lines from a table as Sluice and the baseline have it. @param {string} table */
export const decodedRows = (table) => `
  select concat_ws(' ', block_number, extract(epoch from block_timestamp)::bigint, ${hex("transaction_hash")},
    log_index, ${hex("contract")}, ${hex('"from"')}, ${hex('"to"')}, "value") as line
  from ${table} order by block_number, log_index`

/** What is wrong, in words; empty if nothing is. @param {string} url @param {string} query @param {ReadonlyArray<string>} expected @returns {Promise<ReadonlyArray<string>>} */
export const compare = async (url, query, expected) => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query(query)
    const wrong = []
    if (rows.length !== expected.length) wrong.push(`${rows.length} rows instead of ${expected.length}`)
    const at = expected.findIndex((line, i) => rows[i]?.line !== line)
    if (at >= 0) wrong.push(`row ${at} is ${rows[at]?.line ?? "missing"}\n  instead of ${expected[at]}`)
    return wrong
  } catch (cause) {
    return [cause instanceof Error ? cause.message : `${cause}`]
  } finally {
    await client.end()
  }
}
