/**
 * A contract whose events become tables, as a program names it in code; `ContractsFile` reads the same from a file.
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
import { column, table } from "../columns/Table.ts"
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
}

/** Everything that is wrong with the contracts, a line each. */
export class ContractsError extends Schema.TaggedError<ContractsError>()("ContractsError", {
  problems: Schema.Array(Schema.String)
}) {
  /** Wrong contracts are wrong settings. */
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    const { length } = this.problems
    const title = length === 1 ? "One contract is wrong:" : `${length} things are wrong with the contracts:`
    return [title, ...this.problems.map((problem) => `  ${problem}`)].join("\n")
  }
}

type Lines = ReadonlyArray<string>

/** Human-readable lines are parsed; what is wrong with them is a defect here, as it is an error of the types. */
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
  pack: undefined
})

const parseLines = (lines: Lines): Abi => parseAbi(lines)

const isLines = (abi: Abi | Lines): abi is Lines => abi.every((one) => typeof one === "string")

/** Tables that are there already, and what they begin with. */
const ownTables = new Set(
  `blocks transactions logs withdrawals coverage sync_state lease feed removed_blocks endpoints migrations undecoded
  event_sources event_children handlers handler_state`.split(/\s+/)
)

/** One source for each event of each contract. Fails with all that is wrong at once. */
export const sources = (
  contracts: ReadonlyArray<Contract>
): Effect.Effect<ReadonlyArray<EventSource>, ContractsError> =>
  Effect.suspend(() => {
    const problems: Array<string> = []
    const found: Array<EventSource> = []
    const names = new Set<string>()
    for (const contract of contracts) {
      const wrong = (what: string) => problems.push(`${contract.name}: ${what}`)
      if (!/^[a-z]\w{0,40}$/i.test(contract.name)) {
        wrong("the name has to be a letter and up to 40 letters, digits and _")
      }
      if (names.has(contract.name.toLowerCase())) wrong("there are two contracts of this name")
      names.add(contract.name.toLowerCase())
      if (!Number.isSafeInteger(contract.startBlock) || contract.startBlock < 0) {
        wrong(`startBlock is ${contract.startBlock}, expected a block number`)
      }
      const emitters = emittersOf(contract, wrong)
      if (emitters === undefined) continue
      found.push(...sourcesOf(contract, emitters, wrong))
    }
    const tables = new Map<string, string>()
    for (const {
      id,
      table: { name }
    } of found) {
      const other = tables.get(name)
      if (other !== undefined) problems.push(`${id} and ${other} would both have the table ${name}`)
      if (ownTables.has(name) || /^(token|undo)_/.test(name) || /_\d+$/.test(name)) {
        problems.push(`${id} would have the table ${name}, which is Sluice's own name`)
      }
      tables.set(name, id)
    }
    return problems.length > 0 ? Effect.fail(new ContractsError({ problems })) : Effect.succeed(found)
  })

const addressesOf = (address: Hex | ReadonlyArray<Hex>, wrong: (what: string) => void): ReadonlySet<Hex> => {
  const list: ReadonlyArray<Hex> = typeof address === "string" ? [address] : address
  if (list.length === 0) wrong("the list of addresses is empty; leave it out to take any contract")
  for (const one of list) {
    if (!/^0x[\da-f]{40}$/i.test(one)) wrong(`the address is ${one}, expected 0x and 40 hex digits`)
  }
  return new Set(list.map(lowerCase))
}

const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`

const emittersOf = ({ address, factory }: Contract, wrong: (what: string) => void): Emitters | undefined => {
  if (factory === undefined) {
    return address === undefined
      ? { _tag: "Anybody" }
      : { _tag: "Listed", addresses: addressesOf(address, wrong) }
  }
  if (address !== undefined) wrong("it has an address and a factory, expected one of them")
  const event = factoryEvent(factory, wrong)
  return event === undefined
    ? undefined
    : { _tag: "Children", factory: { ...event, addresses: addressesOf(factory.address, wrong) } }
}

const factoryEvent = (
  { event: line, parameter }: FactoryOptions,
  wrong: (what: string) => void
): Omit<Factory, "addresses"> | undefined => {
  const event = parseEvent(line)
  if (event === undefined) {
    wrong(`factory.event is ${line}, expected a line such as event Created(address indexed child)`)
    return undefined
  }
  const input = event.inputs.find(({ name }) => name === parameter)
  if (input?.type !== "address") {
    wrong(`factory.parameter is ${parameter}, expected the name of an address in ${line}`)
    return undefined
  }
  // Where one parameter has no name, viem gives none of them.
  const inputs = event.inputs.map((one, i) => (one.name ? one : { ...one, name: `arg${i}` }))
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

const sourcesOf = (
  { abi, events, name, pack, startBlock }: Contract,
  emitters: Emitters,
  wrong: (what: string) => void
): ReadonlyArray<EventSource> => {
  const known = abi.filter(isEvent).map((event) => ({ event, signature: toEventSignature(event) }))
  const isWanted = ({ event, signature }: (typeof known)[number]) =>
    events === undefined || events.includes(event.name) || events.includes(signature)
  for (const one of events ?? []) {
    if (known.some(({ event, signature }) => event.name === one || signature === one)) continue
    wrong(
      `there is no event ${one}; the ABI has ${known.map((found) => found.signature).join(", ") || "none"}`
    )
  }
  const wanted = known.filter(isWanted)
  if (wanted.length === 0) wrong("there is no event to index")
  return wanted.flatMap(({ event, signature }) => {
    if (event.anonymous === true) {
      wrong(
        `${signature} is anonymous: its logs cannot be told from others; name the events to index without it`
      )
      return []
    }
    const isOverloaded = known.some(
      (other) => other.event.name === event.name && other.signature !== signature
    )
    const of = tableOf(name, event, isOverloaded)
    return [
      {
        id: `${name}.${signature}`,
        fingerprint: fingerprint({ signature, emitters, startBlock, inputs: event.inputs, table: of }),
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

const tableOf = (contract: string, event: AbiEvent, isOverloaded: boolean) => {
  const types = isOverloaded ? `_${event.inputs.map(({ type }) => type).join("_")}` : ""
  const name = Columns.snakeCase(`${contract}_${event.name}${types}`)
  const names = Columns.namesOf(event.inputs)
  return table({
    name: Columns.cut(name, Columns.longestName),
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

const fingerprint = (of: unknown): string =>
  createHash("sha256")
    .update(JSON.stringify(of, (_, value: unknown) => (value instanceof Set ? [...value].sort() : value)))
    .digest("hex")
    .slice(0, 32)
