/**
 * Which of the indexed events are a handler's. One that could never get any is refused, since nobody would notice.
 */
import type { AbiEvent, AbiParameter } from "viem"
import { formatAbiItem } from "viem/utils"
import type { EventSource } from "../events/EventSource.ts"
import type { Handler } from "./Handler.ts"

/** The ids of its sources, or why there are none. */
export const find = (
  { contract, events, name }: Pick<Handler, "contract" | "events" | "name">,
  sources: ReadonlyArray<EventSource>
): ReadonlySet<string> | string => {
  const own = sources.filter((source) => source.contract === contract.name)
  if (own.length === 0) {
    return (
      `the handler ${name} is of the contract ${contract.name}, which is not indexed ` +
      `(known: ${list(sources.map((source) => source.contract))}); ` +
      "give it to the layer in `contracts`, or name it in the file of CONTRACTS"
    )
  }
  const described = contract.abi.filter((item) => item.type === "event").map(shapeOf)
  const found = new Set<string>()
  for (const wanted of events) {
    const named = own.filter(({ event }) => event.name === wanted)
    if (named.length === 0) {
      return (
        `the handler ${name} is of ${wanted}, which is not indexed ` +
        `(of ${contract.name}: ${list(own.map(({ event }) => event.name))}); add it to the contract's \`events\``
      )
    }
    const same = named.filter(({ event }) => described.includes(shapeOf(event)))
    if (same.length === 0) {
      return (
        `the handler ${name} is of another ${wanted} than the one that is indexed, which is ` +
        `${list(named.map(({ event }) => formatAbiItem(event, { includeName: true })))}; make it of the same contract`
      )
    }
    for (const { id } of same) found.add(id)
  }
  return found
}

const list = (names: ReadonlyArray<string>): string => [...new Set(names)].sort().join(", ") || "none"

/** What decides how an event decodes, and into which names. */
const shapeOf = ({ inputs, name }: AbiEvent): string => JSON.stringify([name, inputs.map(shapeOfParameter)])

const shapeOfParameter = (parameter: AbiParameter | AbiEvent["inputs"][number]): unknown => [
  parameter.type,
  parameter.name ?? "",
  "indexed" in parameter && parameter.indexed === true,
  "components" in parameter ? parameter.components.map(shapeOfParameter) : []
]
