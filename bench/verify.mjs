/**
 * Whether a database holds the whole chain, so that nobody is fast by leaving something out.
 *
 * Counts, sums and MD5 over hashes, addresses, inputs, topics and data, in order, against what the generator summed
 * up. It asks for the columns that both sides have, under the names that both sides use.
 */
import pg from "pg"

/** One question for each property of `Expected`. @param {string} schema */
const questions = (schema) => ({
  blocks: `select count(*) from ${schema}.blocks`,
  transactions: `select count(*) from ${schema}.transactions`,
  logs: `select count(*) from ${schema}.logs`,
  failed: `select count(*) from ${schema}.transactions where status = 0`,
  blockGas: `select sum(gas_used) from ${schema}.blocks`,
  transactionGas: `select sum(gas_used) from ${schema}.transactions`,
  value: `select sum(value) from ${schema}.transactions`,
  blockHashes: `select md5(string_agg(hash, ''::bytea order by number)) from ${schema}.blocks`,
  transactionBytes: `
    select md5(string_agg(hash || from_address || coalesce(to_address, '') || input, ''::bytea
      order by block_number, transaction_index))
    from ${schema}.transactions`,
  logBytes: `
    select md5(string_agg(address || coalesce(topic0, '') || coalesce(topic1, '') || coalesce(topic2, '')
      || coalesce(topic3, '') || data, ''::bytea order by block_number, log_index))
    from ${schema}.logs`
})

/** What is wrong, in words; empty if nothing is. @param {string} url @param {string} schema @param {import("./chain.mjs").Expected} expected @returns {Promise<ReadonlyArray<string>>} */
export const verify = async (url, schema, expected) => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const wrong = []
    for (const [name, question] of Object.entries(questions(schema))) {
      try {
        const { rows } = await client.query({ text: question, rowMode: "array" })
        const found = String(rows[0]?.[0])
        const right = String(expected[/** @type {keyof typeof expected} */ (name)])
        if (found !== right) wrong.push(`${name}: ${found} instead of ${right}`)
      } catch (cause) {
        wrong.push(`${name}: ${cause instanceof Error ? cause.message : cause}`)
      }
    }
    return wrong
  } finally {
    await client.end()
  }
}
