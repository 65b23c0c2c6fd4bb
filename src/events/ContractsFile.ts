/**
 * Contracts from a JSON file: `{"contracts": [...]}`, with ABIs in it as lines, or in files beside it.
 *
 * **Details**: what is wrong is told all at once: each thing with the file, its path in there, what was found and what
 * was expected. Fields that nobody knows are refused, since a misspelt one would be left out without a word.
 */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Effect, Result, Schema, SchemaIssue } from "effect"
import type { Abi } from "viem"
import { parseAbi } from "viem/utils"
import { distance } from "../config/NearMiss.ts"
import { type Contract, ContractsError, read } from "./Contract.ts"
import { packNames, packs } from "./Pack.ts"

const Address = Schema.TemplateLiteral(["0x", Schema.String]).check(Schema.isPattern(/^0x[\da-fA-F]{40}$/))
const Addresses = Schema.Union([Address, Schema.Array(Address)])

const Factory = Schema.Struct({ address: Addresses, event: Schema.String, parameter: Schema.String })

const Entry = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  pack: Schema.optionalKey(Schema.Literals(packNames)),
  abi: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  address: Schema.optionalKey(Addresses),
  factory: Schema.optionalKey(Factory),
  events: Schema.optionalKey(Schema.Array(Schema.String)),
  startBlock: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))
})
type Entry = typeof Entry.Type

const File = Schema.Struct({ contracts: Schema.Array(Schema.Unknown) })

interface Parameter {
  readonly type: string
  readonly name?: string
  readonly indexed?: boolean
  readonly components?: ReadonlyArray<Parameter>
}
const Parameter = Schema.Struct({
  type: Schema.String,
  name: Schema.optionalKey(Schema.String),
  indexed: Schema.optionalKey(Schema.Boolean),
  components: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<Parameter> => Parameter)))
})
/** What is needed of an ABI; its other items are never looked at. */
const AbiEvent = Schema.Struct({
  type: Schema.Literal("event"),
  name: Schema.String,
  inputs: Schema.Array(Parameter),
  anonymous: Schema.optionalKey(Schema.Boolean)
})

const anAddress = "0x and 40 hex digits"
const aLine = "a line such as event Ping(address indexed who)"

/** What each field has to be, and each item where it is a list. */
const expectations: Readonly<Record<string, { readonly whole: string; readonly item?: string }>> = {
  "": { whole: `an object such as {"contracts": [...]}` },
  contracts: { whole: "a list of contracts", item: "a contract, which is an object" },
  name: { whole: "a name" },
  pack: { whole: `one of ${packNames.join(", ")}` },
  abi: { whole: "the path of an ABI file, or a list of lines", item: aLine },
  address: { whole: `an address (${anAddress}) or a list of them`, item: anAddress },
  factory: { whole: "an object with address, event and parameter" },
  event: { whole: aLine },
  parameter: { whole: "the name of the event's parameter with the new contract's address" },
  events: { whole: "a list of names or signatures", item: "the name or the signature of an event" },
  startBlock: { whole: "a block number: an integer, 0 or more" },
  inputs: { whole: "a list of parameters", item: "a parameter, which is an object" },
  components: { whole: "a list of parameters", item: "a parameter, which is an object" },
  type: { whole: "the name of a type" },
  indexed: { whole: "true or false" },
  anonymous: { whole: "true or false" }
}

/** Of objects, for who misspelt one. */
const fields: Readonly<Record<string, ReadonlyArray<string>>> = {
  "": Object.keys(File.fields),
  contracts: Object.keys(Entry.fields),
  factory: Object.keys(Factory.fields)
}

type Path = ReadonlyArray<PropertyKey>

const spell = (path: Path): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    return `${text}${text === "" ? "" : "."}${String(key)}`
  }, "")

const isRecord = (value: unknown): value is Readonly<Record<PropertyKey, unknown>> =>
  typeof value === "object" && value !== null

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce((inner, key) => (isRecord(inner) ? inner[key] : undefined), value)

/** Longest text of the file that a message repeats. */
const longestShown = 60

const show = (value: unknown): string => {
  const text = JSON.stringify(value)
  if (text === undefined) return "missing"
  return text.length > longestShown ? `${text.slice(0, longestShown)}...` : text
}

/** The field that a path leads to, or is in. */
const fieldOf = (path: Path): string => String(path.findLast((key) => typeof key === "string") ?? "")

/** Letters in which a field may differ from the one that is meant. */
const nearby = 2

const unknownField = (path: Path): string => {
  const known = fields[fieldOf(path.slice(0, -1))] ?? []
  const name = String(path.at(-1))
  const meant = known
    .map((field) => ({ field, far: distance(name.toLowerCase(), field.toLowerCase()) }))
    .filter(({ far }) => far <= nearby)
    .sort((a, b) => a.far - b.far)[0]?.field
  const hint = meant === undefined ? "" : `; did you mean ${meant}?`
  return `${spell(path)} is no field, expected ${known.join(", ")}${hint}`
}

const wrongValue = (root: unknown, path: Path): string => {
  const { item, whole } = expectations[fieldOf(path)] ?? { whole: "another value" }
  const expected = typeof path.at(-1) === "number" ? (item ?? whole) : whole
  return `${spell(path) || "it"} is ${show(valueAt(root, path))}, expected ${expected}`
}

const unexpected = "unexpected"
const formatter = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: ({ _tag }) => (_tag === "UnexpectedKey" ? unexpected : "wrong"),
  checkHook: () => "wrong"
})

const keyOf = (segment: PropertyKey | { readonly key: PropertyKey }): PropertyKey =>
  typeof segment === "object" ? segment.key : segment

/** The value at `path` in `root` as the schema has it, or all that is wrong. */
const decode = <A>(
  schema: Schema.Codec<A, unknown>,
  root: unknown,
  path: Path,
  onExcessProperty: "error" | "ignore" = "error"
): Result.Result<A, ReadonlyArray<string>> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema)(valueAt(root, path), { errors: "all", onExcessProperty }),
    ({ issue }) => {
      const issues = formatter(issue).issues.map((one) => ({
        path: [...path, ...(one.path ?? []).map(keyOf)],
        isUnknown: one.message === unexpected
      }))
      const problems = issues
        // Where one of several forms fits but for something inside, that is what is wrong.
        .filter((one) => !issues.some((other) => isInside(other.path, one.path)))
        .map((one) => (one.isUnknown ? unknownField(one.path) : wrongValue(root, one.path)))
      return [...new Set(problems)]
    }
  )

const isInside = (inner: Path, outer: Path): boolean =>
  inner.length > outer.length && outer.every((key, i) => inner[i] === key)

const readJson = (file: string): Result.Result<unknown, string> => {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (cause) {
    return Result.fail(`${file} cannot be read: ${messageOf(cause)}`)
  }
  try {
    const value: unknown = JSON.parse(text)
    return Result.succeed(value)
  } catch (cause) {
    return Result.fail(`${file} is no JSON: ${messageOf(cause)}`)
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The contracts of a file; paths in it are relative to its folder. */
export const load = (file: string): Effect.Effect<ReadonlyArray<Contract>, ContractsError> =>
  Effect.suspend(() => {
    const json = readJson(file)
    if (Result.isFailure(json)) return Effect.fail(new ContractsError({ problems: [json.failure] }))
    const root = json.success
    const problems: Array<string> = []
    const outer = decode(File, root, [])
    if (Result.isFailure(outer)) problems.push(...outer.failure.map((what) => `${file}: ${what}`))
    const entries = valueAt(root, ["contracts"])
    const contracts = (Array.isArray(entries) ? entries : []).flatMap((_, i) => {
      const entry = decode(Entry, root, ["contracts", i])
      const contract = Result.flatMap(entry, (value) =>
        contractOf(value, { origin: `contracts[${i}]`, file, folder: dirname(file) })
      )
      if (Result.isSuccess(contract)) return [contract.success]
      problems.push(...contract.failure.map((what) => `${file}: ${what}`))
      return []
    })
    // Whoever makes sources of them is told the same; beside other problems it is told here.
    return problems.length === 0
      ? Effect.succeed(contracts)
      : Effect.fail(new ContractsError({ problems: [...problems, ...read(contracts).problems] }))
  })

const contractOf = (
  { abi, address, events, factory, name, pack, startBlock = 0 }: Entry,
  { file, folder, origin }: { readonly origin: string; readonly file: string; readonly folder: string }
): Result.Result<Contract, ReadonlyArray<string>> => {
  const rest = { address, factory, events, startBlock, origin: `${file}: ${origin}` }
  const fail = (...problems: ReadonlyArray<string>) => Result.fail(problems)
  if (pack !== undefined) {
    if (abi !== undefined) return fail(`${origin} has a pack and an abi, expected one of them`)
    return Result.succeed({ ...rest, name: name ?? pack.replaceAll("-", "_"), abi: packs[pack], pack })
  }
  const nameless =
    name === undefined ? [`${origin}.name is missing, expected a name, as there is no pack`] : []
  if (abi === undefined) return fail(...nameless, `${origin} has no abi and no pack, expected one of them`)
  const parsed =
    typeof abi === "string" ? abiFile(resolve(folder, abi), abi, origin) : abiLines(abi, `${origin}.abi`)
  if (Result.isFailure(parsed)) return fail(...nameless, ...parsed.failure)
  if (name === undefined) return fail(...nameless)
  return Result.succeed({ ...rest, name, abi: parsed.success, pack: undefined })
}

const abiLines = (lines: ReadonlyArray<string>, path: string): Result.Result<Abi, ReadonlyArray<string>> => {
  const parse = (wanted: ReadonlyArray<string>) => Result.try(() => parseAbi(wanted))
  const all = parse(lines)
  if (Result.isSuccess(all)) return Result.succeed(all.success)
  // Lines can need each other: of structs, and of events that have them.
  const structs = lines.filter((line) => /^\s*struct\b/.test(line))
  const wrong = lines.flatMap((line, i) =>
    Result.isFailure(parse(structs.includes(line) ? structs : [...structs, line]))
      ? [`${path}[${i}] is ${show(line)}, expected ${aLine}`]
      : []
  )
  const [first] = messageOf(all.failure).split("\n")
  return Result.fail(wrong.length > 0 ? wrong : [`${path}: ${first}, expected lines such as ${aLine}`])
}

const abiFile = (file: string, path: string, origin: string): Result.Result<Abi, ReadonlyArray<string>> => {
  const at = `${origin}.abi`
  const json = readJson(file)
  if (Result.isFailure(json)) return Result.fail([`${at}: ${json.failure}`])
  const root = json.success
  const [where, items]: readonly [Path, unknown] = Array.isArray(root)
    ? [[], root]
    : [["abi"], valueAt(root, ["abi"])]
  if (!Array.isArray(items)) {
    return Result.fail([
      `${at} is ${show(path)}, and in ${file} is no ABI, expected a list of items, or an object with one as abi`
    ])
  }
  const events = items.flatMap((item: unknown, i) =>
    valueAt(item, ["type"]) === "event" ? [decode(AbiEvent, root, [...where, i], "ignore")] : []
  )
  const problems = events.flatMap((event) => (Result.isFailure(event) ? event.failure : []))
  // Whether its types are there for viem is looked at where sources are made of it.
  return problems.length > 0
    ? Result.fail(problems.map((what) => `${at}: ${file}: ${what}`))
    : Result.succeed(events.flatMap((event) => (Result.isSuccess(event) ? [event.success] : [])) as Abi)
}
