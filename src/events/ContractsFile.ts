/**
 * Contracts from a JSON file: `{"contracts": [...]}`. What is wrong with it is told all at once, each with its path.
 */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Effect, Result, Schema, SchemaIssue } from "effect"
import type { Abi } from "viem"
import { parseAbi } from "viem/utils"
import { type Contract, ContractsError } from "./Contract.ts"
import { packNames, packs } from "./Pack.ts"

const Address = Schema.TemplateLiteral(["0x", Schema.String]).check(
  Schema.isPattern(/^0x[\da-fA-F]{40}$/, { expected: "an address: 0x and 40 hex digits" })
)
const Addresses = Schema.Union([Address, Schema.Array(Address)])

const Parameter = Schema.Struct({
  type: Schema.String,
  name: Schema.optionalKey(Schema.String),
  indexed: Schema.optionalKey(Schema.Boolean),
  components: Schema.optionalKey(Schema.Array(Schema.Unknown))
})
const AbiItem = Schema.Struct({
  type: Schema.String,
  name: Schema.optionalKey(Schema.String),
  inputs: Schema.optionalKey(Schema.Array(Parameter))
})
const AbiFile = Schema.Union([Schema.Array(AbiItem), Schema.Struct({ abi: Schema.Array(AbiItem) })])

const Entry = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  pack: Schema.optionalKey(Schema.Literals(packNames)),
  abi: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  address: Schema.optionalKey(Addresses),
  factory: Schema.optionalKey(
    Schema.Struct({ address: Addresses, event: Schema.String, parameter: Schema.String })
  ),
  events: Schema.optionalKey(Schema.Array(Schema.String)),
  startBlock: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))
})
type Entry = typeof Entry.Type

const File = Schema.Struct({ contracts: Schema.Array(Entry) })

const formatter = SchemaIssue.makeFormatterStandardSchemaV1()

const pathOf = (path: ReadonlyArray<unknown> | undefined): string =>
  (path ?? []).reduce<string>((text, key) => {
    const part = typeof key === "object" && key !== null && "key" in key ? key.key : key
    return typeof part === "number" ? `${text}[${part}]` : `${text}${text === "" ? "" : "."}${String(part)}`
  }, "")

const decode = <A>(schema: Schema.Codec<A, unknown>, value: unknown): A | ReadonlyArray<string> => {
  const decoded = Schema.decodeUnknownResult(schema)(value, { errors: "all", onExcessProperty: "error" })
  if (Result.isSuccess(decoded)) return decoded.success
  return formatter(decoded.failure.issue).issues.map(
    ({ message, path }) => `${pathOf(path) || "it"}: ${message}`
  )
}

const readJson = (file: string): { readonly value: unknown } | string => {
  try {
    const text = readFileSync(file, "utf8")
    try {
      return { value: JSON.parse(text) as unknown }
    } catch (cause) {
      return `${file} is no JSON: ${messageOf(cause)}`
    }
  } catch (cause) {
    return `${file} cannot be read: ${messageOf(cause)}`
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The contracts of a file; paths in it are relative to its folder. */
export const load = (file: string): Effect.Effect<ReadonlyArray<Contract>, ContractsError> =>
  Effect.suspend(() => {
    const fail = (problems: ReadonlyArray<string>) => Effect.fail(new ContractsError({ problems }))
    const json = readJson(file)
    if (typeof json === "string") return fail([json])
    const decoded = decode(File, json.value)
    if (!("contracts" in decoded)) return fail(decoded.map((problem) => `${file}: ${problem}`))
    const problems: Array<string> = []
    const contracts = decoded.contracts.map((entry, i) =>
      contractOf(entry, dirname(file), (what) => problems.push(`${file}: contracts[${i}]${what}`))
    )
    return problems.length > 0
      ? fail(problems)
      : Effect.succeed(contracts.filter((contract) => contract !== undefined))
  })

const contractOf = (
  { abi, address, events, factory, name, pack, startBlock = 0 }: Entry,
  folder: string,
  wrong: (what: string) => void
): Contract | undefined => {
  const rest = { address, factory, events, startBlock }
  if (pack !== undefined) {
    if (abi !== undefined) wrong(": it has a pack and an ABI, expected one of them")
    return { ...rest, name: name ?? pack.replaceAll("-", "_"), abi: packs[pack], pack }
  }
  if (name === undefined) wrong(".name: nothing, expected a name")
  if (abi === undefined) {
    wrong(": neither a pack nor an ABI, expected one of them")
    return undefined
  }
  const parsed = typeof abi === "string" ? abiFile(resolve(folder, abi), wrong) : abiLines(abi, wrong)
  return parsed === undefined ? undefined : { ...rest, name: name ?? "", abi: parsed, pack: undefined }
}

const abiLines = (lines: ReadonlyArray<string>, wrong: (what: string) => void): Abi | undefined => {
  try {
    return parseAbi(lines)
  } catch (cause) {
    wrong(`.abi: ${messageOf(cause).split("\n")[0]}, expected lines such as event Ping(address indexed who)`)
    return undefined
  }
}

const abiFile = (file: string, wrong: (what: string) => void): Abi | undefined => {
  const json = readJson(file)
  if (typeof json === "string") {
    wrong(`.abi: ${json}`)
    return undefined
  }
  const decoded = Schema.decodeUnknownResult(AbiFile)(json.value)
  if (Result.isFailure(decoded)) {
    wrong(`.abi: ${file} is no ABI, expected an array of its items, or an object with such an array as abi`)
    return undefined
  }
  const items = "abi" in decoded.success ? decoded.success.abi : decoded.success
  const [odd] = items.filter(({ inputs, name, type }) => type === "event" && (name === undefined || !inputs))
  if (odd !== undefined) {
    wrong(`.abi: ${file} has an event without a name or inputs`)
    return undefined
  }
  // Its shape was looked at as far as events need it; the rest of the ABI is never used.
  return items.filter(({ type }) => type === "event") as unknown as Abi
}
