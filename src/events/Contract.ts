/**
 * A contract whose events become tables, as a program names it in code; `ContractsFile` reads the same from a file.
 *
 * **Details**: each event is a source of its own (`EventSource`), with the table `<contract>_<event>` in snake case.
 * Events of one name that differ in their parameters have the types in it as well.
 *
 * **Gotchas**: anonymous events have no topic to be found by. Where an ABI has some, name the events to index.
 *
 * @example
 * ```ts
 * const usdc = Contract.make({
 *   name: "usdc",
 *   address: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
 *   abi: ["event Transfer(address indexed from, address indexed to, uint256 value)"],
 *   startBlock: 6_082_465
 * })
 * ```
 */
import { createHash } from "node:crypto"
import { Effect, Runtime, Schema } from "effect"
import type { Abi, AbiEvent, ParseAbi } from "viem"
import { parseAbi, parseAbiItem, toEventSelector, toEventSignature } from "viem/utils"
import type { Hex } from "../chain/Block.ts"
import { column, type Table, table } from "../columns/Table.ts"
import * as Columns from "./Columns.ts"
import type { Emitters, EventSource, Factory } from "./EventSource.ts"
import type { PackName } from "./Pack.ts"

export interface FactoryOptions {
  /** Of the factory, or of several. */
  readonly address: Hex | ReadonlyArray<Hex>
  /** The event that names a new contract, as a human-readable line. */
  readonly event: string
  /** The event's parameter with the new contract's address. */
  readonly parameter: string
}

export interface Contract<A extends Abi = Abi> {
  /** Begins the names of its tables: letters, digits and `_`. */
  readonly name: string
  /** Any contract where it is absent, unless there is a factory. */
  readonly address: Hex | ReadonlyArray<Hex> | undefined
  readonly factory: FactoryOptions | undefined
  readonly abi: A
  /** Names or signatures; all events of the ABI where it is absent. */
  readonly events: ReadonlyArray<string> | undefined
  readonly startBlock: number
  readonly pack: PackName | undefined
  /** Where it was read, `contracts.json: contracts[0]`; undefined for what a program names. */
  readonly origin: string | undefined
}

/** Everything that is wrong with the contracts, a line each. */
export class ContractsError extends Schema.TaggedError<ContractsError>()("ContractsError", {
  problems: Schema.Array(Schema.String)
}) {
  /** Wrong contracts are wrong settings. */
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    const { length } = this.problems
    const title =
      length === 1
        ? "One thing is wrong with the contracts:"
        : `${length} things are wrong with the contracts:`
    return [title, ...this.problems.map((problem) => `  ${problem}`)].join("\n")
  }
}

type Lines = ReadonlyArray<string>

/** Human-readable lines are parsed; what is wrong with them is thrown, as a mistake in the program. */
export const make = <const A extends Abi | Lines>(options: {
  readonly name: string
  readonly address?: Hex | ReadonlyArray<Hex>
  readonly factory?: FactoryOptions
  readonly abi: A
  readonly events?: ReadonlyArray<string>
  readonly startBlock?: number
}): Contract<A extends Lines ? ParseAbi<A> : A extends Abi ? A : never> => ({
  name: options.name,
  address: options.address,
  factory: options.factory,
  // Parsed where it is lines: which of the two it is, the compiler knows only for the caller.
  abi: (isLines(options.abi) ? parseLines(options.abi) : options.abi) as A extends Lines
    ? ParseAbi<A>
    : A extends Abi
      ? A
      : never,
  events: options.events,
  startBlock: options.startBlock ?? 0,
  pack: undefined,
  origin: undefined
})

const parseLines = (lines: Lines): Abi => parseAbi(lines)

const isLines = (abi: Abi | Lines): abi is Lines => abi.every((one) => typeof one === "string")

/** Tables that are there already, and those that come and go beside them. */
const ownTables = new Set(
  `blocks transactions logs withdrawals coverage sync_state lease feed removed_blocks endpoints migrations undecoded
  event_sources event_children undo_tables handlers handler_state token_metrics pair_metrics token_candles
  token_checkpoint token_states`.split(/\s+/)
)
const isOwn = (table: string): boolean =>
  ownTables.has(table) || /^(undo|blocks|transactions|logs|withdrawals)_\d+$/.test(table)

type Wrong = (what: string) => void

/** What contracts come to: a source for each event, and all that is wrong. */
export interface Read {
  readonly sources: ReadonlyArray<EventSource>
  readonly problems: ReadonlyArray<string>
}

/** One source for each event of each contract. Fails with all that is wrong at once. */
export const sources = (
  contracts: ReadonlyArray<Contract>
): Effect.Effect<ReadonlyArray<EventSource>, ContractsError> =>
  Effect.suspend(() => {
    const { problems, sources } = read(contracts)
    return problems.length > 0 ? Effect.fail(new ContractsError({ problems })) : Effect.succeed(sources)
  })

/** The same as a value; where there are problems, sources may be missing. */
export const read = (contracts: ReadonlyArray<Contract>): Read => {
  const problems: Array<string> = []
  const found: Array<EventSource> = []
  const names = new Set<string>()
  for (const contract of contracts) {
    const { name, origin, startBlock } = contract
    const wrong: Wrong = (what) =>
      problems.push(origin === undefined ? `${name}: ${what}` : `${origin} (${name}): ${what}`)
    if (!/^[a-z]\w{0,40}$/i.test(name)) {
      wrong(`the name is "${name}", expected a letter and up to 40 letters, digits and _`)
    }
    if (names.has(name.toLowerCase())) wrong("there is another contract of this name, expected one of each")
    names.add(name.toLowerCase())
    if (!Number.isSafeInteger(startBlock) || startBlock < 0) {
      wrong(`startBlock is ${startBlock}, expected a block number`)
    }
    const emitters = emittersOf(contract, wrong)
    found.push(...sourcesOf(contract, emitters ?? { _tag: "Anybody" }, wrong))
  }
  return { sources: found, problems: [...problems, ...clashes(found)] }
}

const clashes = (found: ReadonlyArray<EventSource>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const tables = new Map<string, EventSource>()
  for (const source of found) {
    const { name } = source.table
    const other = tables.get(name)
    // Two contracts of one name have been told of already.
    if (other !== undefined && other.id !== source.id) {
      problems.push(`${source.id} and ${other.id} would both have the table ${name}, expected other names`)
    }
    if (isOwn(name)) {
      problems.push(
        `${source.id} would have the table ${name}, which is Sluice's own, expected another name of the contract`
      )
    }
    tables.set(name, source)
  }
  return problems
}

const addressesOf = (address: Hex | ReadonlyArray<Hex>, wrong: Wrong): ReadonlySet<Hex> => {
  const list: ReadonlyArray<Hex> = typeof address === "string" ? [address] : address
  if (list.length === 0) wrong("the list of addresses is empty; leave it out to take any contract")
  for (const one of list) {
    if (!/^0x[\da-f]{40}$/i.test(one)) wrong(`the address is ${one}, expected 0x and 40 hex digits`)
  }
  return new Set(list.map(lowerCase))
}

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`

const emittersOf = ({ address, factory }: Contract, wrong: Wrong): Emitters | undefined => {
  if (factory === undefined) {
    return address === undefined
      ? { _tag: "Anybody" }
      : { _tag: "Listed", addresses: addressesOf(address, wrong) }
  }
  if (address !== undefined) wrong("it has an address and a factory, expected one of them")
  const addresses = addressesOf(factory.address, wrong)
  const event = factoryEvent(factory, wrong)
  return event === undefined ? undefined : { _tag: "Children", factory: { ...event, addresses } }
}

const factoryEvent = (
  { event: line, parameter }: FactoryOptions,
  wrong: Wrong
): Omit<Factory, "addresses"> | undefined => {
  const event = parseEvent(line)
  if (event === undefined) {
    wrong(`factory.event is ${line}, expected a line such as event Created(address indexed child)`)
    return undefined
  }
  // Where one parameter has no name, viem gives none of them.
  const inputs = event.inputs.map((one, i) => (one.name ? one : { ...one, name: `arg${i}` }))
  const input = inputs.find(({ name }) => name === parameter)
  if (input?.type !== "address") {
    const addresses = inputs.flatMap(({ name, type }) => (type === "address" ? [name] : []))
    wrong(
      `factory.parameter is ${parameter}, expected an address of ${event.name}: ${addresses.join(", ") || "it has none"}`
    )
    return undefined
  }
  return { event: { ...event, inputs }, topic0: toEventSelector(event), parameter }
}

const parseEvent = (line: string): AbiEvent | undefined => {
  try {
    const item: { readonly type: string } = parseAbiItem(line)
    return isEvent(item) ? item : undefined
  } catch {
    return undefined
  }
}

const isEvent = (item: { readonly type: string }): item is AbiEvent => item.type === "event"

interface Known {
  readonly event: AbiEvent
  readonly signature: string
}

const sourcesOf = (
  { abi, events, name, pack, startBlock }: Contract,
  emitters: Emitters,
  wrong: Wrong
): ReadonlyArray<EventSource> => {
  const known = knownOf(abi, wrong)
  const isNamed = ({ event, signature }: Known, one: string) => event.name === one || signature === one
  for (const one of events ?? []) {
    if (known.some((event) => isNamed(event, one))) continue
    const signatures = known.map(({ signature }) => signature).join(", ")
    wrong(`there is no event ${one}, expected some of ${signatures || "an ABI with events"}`)
  }
  const wanted = known.filter((event) => events?.some((one) => isNamed(event, one)) ?? true)
  if (known.length === 0) wrong("its ABI has no event, expected one at least")
  else if (events?.length === 0) wrong("events is empty, expected one at least; leave it out to take all")
  return wanted.flatMap((one) => {
    const { event, signature } = one
    const odd = oddity(event)
    if (odd !== undefined) {
      wrong(`${signature} ${odd}`)
      return []
    }
    const isOverloaded = known.some(
      (other) => other.event.name === event.name && other.signature !== signature
    )
    const of = tableOf(name, one, isOverloaded)
    return [
      {
        id: `${name}.${signature}`,
        fingerprint: fingerprint(event, emitters, startBlock, of),
        contract: name,
        event,
        topic0: toEventSelector(event),
        emitters,
        startBlock,
        table: of,
        pack
      }
    ]
  })
}

/** Events of the ABI, each once: those put together of several contracts have some twice. */
const knownOf = (abi: Abi, wrong: Wrong): ReadonlyArray<Known> => {
  const known = new Map<string, Known>()
  for (const event of abi.filter(isEvent)) {
    const odd = event.inputs.map((input) => Columns.oddType(input)).find((type) => type !== undefined)
    if (odd !== undefined) {
      wrong(`${event.name} has a parameter of the type ${odd}, expected one of Solidity's, as uint256`)
      continue
    }
    const signature = toEventSignature(event)
    const other = known.get(signature)
    if (other === undefined) known.set(signature, { event, signature })
    else if (indexedOf(other.event) !== indexedOf(event)) {
      wrong(`${signature} is there twice, with other indexed parameters, expected it once`)
    }
  }
  return [...known.values()]
}

const indexedOf = ({ inputs }: AbiEvent): string => inputs.map(({ indexed }) => indexed === true).join()

/** Topics of a log beside the event's own. */
const mostIndexed = 3

/** Why no log could be told to be this event. */
const oddity = ({ anonymous, inputs }: AbiEvent): string | undefined => {
  if (anonymous === true) {
    return "is anonymous: its logs cannot be told from others, expected a list of events without it"
  }
  const indexed = inputs.filter((input) => input.indexed === true).length
  if (indexed > mostIndexed) return `has ${indexed} indexed parameters, expected at most ${mostIndexed}`
  return undefined
}

/** `Transfer`, or `Transfer(address,uint256[])` as `Transfer_address_uint256_array`. */
const spelt = ({ event, signature }: Known, isOverloaded: boolean): string =>
  isOverloaded ? signature.replaceAll("[", "_array").replaceAll(/[(,]/g, "_") : event.name

const tableOf = (contract: string, known: Known, isOverloaded: boolean) => {
  const { event } = known
  const names = Columns.namesOf(event.inputs)
  return table({
    name: Columns.tableName(`${contract}_${spelt(known, isOverloaded)}`),
    doc: `One row for each ${event.name} of ${contract}.`,
    key: ["block_number", "log_index"],
    columns: {
      ...Columns.placeColumns,
      ...Object.fromEntries(
        event.inputs.map((input, i) => [names[i], column(Columns.typeOf(input), false)(`\`${input.type}\`.`)])
      )
    }
  })
}

/** Of what decides the rows, and of nothing else: rows are made anew, or fetched again, when it changes. */
const fingerprint = (event: AbiEvent, emitters: Emitters, startBlock: number, of: Table): string => {
  const columns = Object.entries(of.columns).map(([name, { type }]) => [name, type])
  const rows = {
    signature: toEventSignature(event),
    indexed: indexedOf(event),
    emitters: shapeOf(emitters),
    startBlock,
    table: of.name,
    columns
  }
  return createHash("sha256").update(JSON.stringify(rows)).digest("hex").slice(0, 32)
}

const shapeOf = (emitters: Emitters): unknown => {
  switch (emitters._tag) {
    case "Anybody":
      return "anybody"
    case "Listed":
      return [...emitters.addresses].sort()
    case "Children": {
      const { addresses, event, parameter, topic0 } = emitters.factory
      return { addresses: [...addresses].sort(), topic0, indexed: indexedOf(event), parameter }
    }
  }
}
