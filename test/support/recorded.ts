/**
 * Blocks that `test/chain/recorded/record.mjs` recorded from Anvil. Every clone has them.
 */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export interface RecordedBlock {
  readonly name: string
  readonly chainId: number
  readonly block: Record<string, unknown>
  readonly receipts: ReadonlyArray<Record<string, unknown>>
}

const folder = fileURLToPath(new URL("../chain/recorded/", import.meta.url))

/** `prague-2`: one block with transaction types 0, 1, 2 and 4; `prague-3`: a blob transaction. */
export const recordedBlocks: ReadonlyArray<RecordedBlock> = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file) => ({
    name: file.slice(0, -".json".length),
    ...JSON.parse(readFileSync(`${folder}${file}`, "utf8"))
  }))

/** A copy that a test may change. */
export const recorded = (name: string): RecordedBlock =>
  structuredClone(
    recordedBlocks.find((block) => block.name === name) ?? { name, chainId: 0, block: {}, receipts: [] }
  )
