/**
 * Real blocks of many chains and eras, which live beside the repository: `../shared/fixtures/real`.
 * A clone has none of them. Use `fixturesAvailable` to skip what needs them.
 */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"

const root = fileURLToPath(new URL("../../../shared/fixtures/real/", import.meta.url))

export const fixturesAvailable = existsSync(`${root}MANIFEST.json`)

/** For the name of a suite that is skipped. */
export const withoutFixtures = fixturesAvailable ? "" : " (skipped: no ../shared/fixtures/real)"

export interface Verification {
  readonly headerHash?: string
  readonly transactionsRoot?: string
  readonly receiptsRoot?: string
  readonly txProblems?: ReadonlyArray<string>
}

export interface FixtureFile {
  readonly file: string
  readonly chain: string
  readonly chainId: number
  readonly blockNumber: number | undefined
  readonly what: string
  readonly verification: Verification
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const text = (value: unknown): string => (typeof value === "string" ? value : "")

const verificationOf = (value: unknown): Verification =>
  isRecord(value)
    ? {
        headerHash: text(value["headerHash"]),
        transactionsRoot: text(value["transactionsRoot"]),
        receiptsRoot: text(value["receiptsRoot"]),
        txProblems: Array.isArray(value["txProblems"]) ? value["txProblems"].map(String) : []
      }
    : {}

const fileOf = (value: unknown): ReadonlyArray<FixtureFile> =>
  isRecord(value) && typeof value["file"] === "string"
    ? [
        {
          file: value["file"],
          chain: text(value["chain"]),
          chainId: Number(value["chainId"]),
          blockNumber: typeof value["blockNumber"] === "number" ? value["blockNumber"] : undefined,
          what: text(value["what"]),
          verification: verificationOf(value["verification"])
        }
      ]
    : []

/** The JSON of a file of the manifest, unpacked where it is packed. */
export const loadFixture = (file: string): unknown => {
  const content = readFileSync(`${root}${file}`)
  return JSON.parse((file.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8"))
}

const manifest = (): ReadonlyArray<FixtureFile> => {
  if (!fixturesAvailable) return []
  const value = loadFixture("MANIFEST.json")
  return isRecord(value) && Array.isArray(value["files"]) ? value["files"].flatMap(fileOf) : []
}

/** All files of the manifest, none where the folder is missing. */
export const fixtureFiles: ReadonlyArray<FixtureFile> = manifest()

export interface FixtureBlock {
  /** `ethereum/18000000` */
  readonly name: string
  readonly chainId: number
  readonly number: number
  readonly block: unknown
  /** All receipts of the block, where the manifest has them. */
  readonly receipts: unknown
  readonly verification: Verification
}

const isBlock = ({ file }: FixtureFile): boolean => /\/\d+\/block\.json(\.gz)?$/.test(file)

/** Every block of the manifest, with all its receipts or without any. */
export const fixtureBlocks = (): ReadonlyArray<FixtureBlock> =>
  fixtureFiles.filter(isBlock).map((entry) => {
    const name = entry.file.slice(0, entry.file.lastIndexOf("/"))
    const receipts = fixtureFiles.find(
      ({ file }) => file === `${name}/receipts.json` || file === `${name}/receipts.json.gz`
    )
    return {
      name,
      chainId: entry.chainId,
      number: entry.blockNumber ?? Number(name.slice(name.lastIndexOf("/") + 1)),
      block: loadFixture(entry.file),
      receipts: receipts && loadFixture(receipts.file),
      verification: {
        ...entry.verification,
        ...(receipts?.verification.receiptsRoot ? { receiptsRoot: receipts.verification.receiptsRoot } : {})
      }
    }
  })
