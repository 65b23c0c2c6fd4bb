/**
 * What `EventWriter` writes is what viem decodes: of random events with random values, of the edges of each type, and
 * of all logs of real blocks for all packs. What viem would take and Solidity would not is refused.
 */
import { assert, describe, expect, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Abi, type AbiEvent, decodeEventLog, keccak256, parseAbiItem, toEventSelector } from "viem"
import type { Hex, RpcLog } from "../../src/chain/Block.ts"
import * as Table from "../../src/columns/Table.ts"
import * as TableWriter from "../../src/columns/TableWriter.ts"
import * as Columns from "../../src/events/Columns.ts"
import type { EventSource } from "../../src/events/EventSource.ts"
import * as EventWriter from "../../src/events/EventWriter.ts"
import { packs } from "../../src/events/Pack.ts"
import { parameters } from "../../src/store/ColumnArray.ts"
import { type Random, random } from "../support/blocks.ts"
import { fixtureFiles, fixturesAvailable, loadFixture, withoutFixtures } from "../support/fixtures.ts"
import * as PGliteTest from "../support/PGliteTest.ts"
import { encode, logOf, place, rowsOf, sourceOf, valuesOf, wanted, write } from "./support.ts"

const widths = Array.from({ length: 32 }, (_, i) => i + 1)
const elementary = [
  "address",
  "bool",
  ...widths.flatMap((bytes) => [`uint${bytes * 8}`, `int${bytes * 8}`, `bytes${bytes}`])
]

/** The least and the greatest integer of a type. */
const rangeOf = (type: string): readonly [bigint, bigint] => {
  const bits = BigInt(type.replace(/\D/g, ""))
  return type.startsWith("u") ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
}

const digits = (r: Random, length: number): string =>
  Array.from({ length }, () => r.int(16).toString(16)).join("")

const integer = (type: string, r: Random): bigint | number => {
  const [least, greatest] = rangeOf(type)
  const span = greatest - least + 1n
  const some = BigInt(`0x${digits(r, 64)}`) >> BigInt(r.int(256))
  const value = r.pick(
    least,
    greatest,
    0n < least ? least : 0n,
    least + (some % span),
    greatest - (some % span)
  )
  // viem takes and gives numbers up to 48 bits.
  return Number(type.replace(/\D/g, "")) <= 48 ? Number(value) : value
}

const texts = [
  "",
  "a",
  "0xABCDEF",
  "zero \0 inside",
  "\\u0000",
  "snow \u2603 \ud83d\ude00",
  "x".repeat(70),
  '"\\'
]

const itemOf = (parameter: Columns.Parameter, type: string) => ({ ...parameter, type })

const valueOf = (parameter: Columns.Parameter, r: Random): unknown => {
  const { type } = parameter
  const array = /^(.*)\[(\d*)\]$/.exec(type)
  if (array !== null) {
    const [, item = "", size] = array
    const length = size === "" ? r.int(4) : Number(size)
    return Array.from({ length }, () => valueOf(itemOf(parameter, item), r))
  }
  if ("components" in parameter) {
    const values = parameter.components.map((component) => valueOf(component, r))
    const isNamed = parameter.components.every(({ name }) => name)
    return isNamed ? Object.fromEntries(parameter.components.map(({ name }, i) => [name, values[i]])) : values
  }
  if (type === "bool") return r.int(2) === 1
  if (type === "address") return `0x${digits(r, 40)}`
  if (type === "string") return texts[r.int(texts.length)]
  if (type === "bytes") return `0x${digits(r, r.int(70) * 2)}`
  if (type.startsWith("bytes")) return `0x${digits(r, Number(type.slice(5)) * 2)}`
  return integer(type, r)
}

/** A type of the ABI; deeper ones are rarer. */
const typeOf = (r: Random, depth: number): Columns.Parameter => {
  const kind = r.int(10)
  if (depth > 2 || kind < 5) return { type: elementary[r.int(elementary.length)] ?? "bool" }
  if (kind < 6) return { type: "string" }
  if (kind < 7) return { type: "bytes" }
  if (kind < 9) {
    const of = typeOf(r, depth + 1)
    return { ...of, type: `${of.type}[${r.pick("", "1", "3")}]` }
  }
  const isNamed = r.int(4) > 0
  const components = Array.from({ length: 1 + r.int(3) }, (_, i) => ({
    ...typeOf(r, depth + 1),
    ...(isNamed ? { name: `part${i}` } : {})
  }))
  return { type: "tuple", components }
}

const eventOf = (r: Random, isStatic: boolean): AbiEvent => {
  let indexed = 0
  const inputs = Array.from({ length: r.int(8) }, (_, i) => {
    const isIndexed = indexed < 3 && r.int(3) === 0
    if (isIndexed) indexed++
    const type = isStatic ? { type: elementary[r.int(elementary.length)] ?? "bool" } : typeOf(r, 0)
    return { ...type, name: `value${i}`, indexed: isIndexed }
  })
  return { type: "event", name: "Happened", inputs }
}

/** What viem makes of the log, by column. */
const viemRow = (event: AbiEvent, { data, topics: [topic0 = "0x", ...topics] }: RpcLog) => {
  const { args } = decodeEventLog({ abi: [event], data, topics: [topic0, ...topics], strict: true })
  const values = valuesOf(args)
  const names = Columns.namesOf(event.inputs)
  return Object.fromEntries(
    event.inputs.map((input, i) => [names[i], wanted(input, values.get(input.name ?? ""))])
  )
}

const placed = {
  block_number: 5_000_000_000n,
  block_timestamp: 2n ** 32n + 2n,
  transaction_hash: `0x${"ab".repeat(32)}`,
  log_index: 7n,
  contract: "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
}

const agree = (event: AbiEvent, values: ReadonlyArray<unknown>, what: string): void => {
  const log = encode(event, values)
  assert.deepStrictEqual(write(sourceOf(event), log), { ...placed, ...viemRow(event, log) }, what)
}

const events = Number(process.env["TEST_EVENT_ABIS"] ?? 1500)

describe("what is written is what viem decodes", () => {
  for (const [name, isStatic] of [
    ["of one word each", true],
    ["of any type", false]
  ] as const) {
    it(`random events with parameters ${name}`, () => {
      for (let seed = 1; seed <= events; seed++) {
        const r = random(seed)
        const event = eventOf(r, isStatic)
        for (let n = 0; n < 3; n++) {
          agree(
            event,
            event.inputs.map((input) => valueOf(input, r)),
            `seed ${seed}, ${JSON.stringify(event)}`
          )
        }
      }
    })
  }

  it("the edges of every integer, in topics and in the data", () => {
    for (const type of elementary.filter((one) => /^u?int/.test(one))) {
      const [least, greatest] = rangeOf(type)
      for (const edge of [least, least + 1n, 0n, 1n, greatest - 1n, greatest]) {
        if (edge < least || edge > greatest) continue
        const value = Number(type.replace(/\D/g, "")) <= 48 ? Number(edge) : edge
        const inputs = [
          { type, name: "a", indexed: true },
          { type, name: "b" }
        ]
        agree({ type: "event", name: "Edge", inputs }, [value, value], `${type} ${edge}`)
      }
    }
  })

  it("hex in upper case is the same row", () => {
    const upper = (hex: Hex): Hex => `0x${hex.slice(2).toUpperCase()}`
    for (let seed = 1; seed <= 300; seed++) {
      const r = random(seed)
      const event = eventOf(r, seed % 2 === 0)
      const log = encode(
        event,
        event.inputs.map((input) => valueOf(input, r))
      )
      const shouted = { ...log, topics: log.topics.map(upper), data: upper(log.data) }
      assert.deepStrictEqual(write(sourceOf(event), shouted), write(sourceOf(event), log), `seed ${seed}`)
    }
  })

  it("data that is longer than the event is taken", () => {
    const event = parseAbiItem("event Two(uint256 a, int8 b)")
    const log = encode(event, [5n, -3])
    const row = write(sourceOf(event), log)
    expect(write(sourceOf(event), { ...log, data: `${log.data}${"12".repeat(40)}` })).toEqual(row)
  })

  it("never throws, and writes whole rows or none, whatever the data is", () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const r = random(seed)
      const event = eventOf(r, false)
      const log = encode(
        event,
        event.inputs.map((input) => valueOf(input, r))
      )
      const at = 2 + r.int(Math.max(1, log.data.length - 2))
      const data: Hex = r.pick<Hex>(
        `0x${log.data.slice(2, at)}`,
        `0x${log.data.slice(2, at)}${"f".repeat(64)}${log.data.slice(at + 64)}`,
        `0x${digits(r, log.data.length - 2)}`,
        `0x${log.data.slice(2, at)}g${log.data.slice(at + 1)}`
      )
      const written = write(sourceOf(event), { ...log, data })
      if (typeof written === "string") assert.notMatch(written, /written/, `seed ${seed}`)
      else assert.notInclude(Object.values(written), null, `seed ${seed}`)
    }
  })
})

describe("refusals", () => {
  const word = (text: string): string => text.padStart(64, "0")
  const one = (type: string): EventSource =>
    sourceOf({ type: "event", name: "One", inputs: [{ type, name: "a" }] })
  const inTopic = (type: string): EventSource =>
    sourceOf({ type: "event", name: "One", inputs: [{ type, name: "a", indexed: true }] })

  const words: ReadonlyArray<readonly [type: string, digits: string, reason: string]> = [
    ["address", `${"0".repeat(23)}1${"a".repeat(40)}`, "a value does not fit address"],
    ["uint8", word("100"), "a value does not fit uint8"],
    ["uint32", word("100000000"), "a value does not fit uint32"],
    ["uint248", `01${"0".repeat(62)}`, "a value does not fit uint248"],
    ["int8", word("80"), "a value does not fit int8"],
    ["int8", `${"f".repeat(62)}7f`, "a value does not fit int8"],
    ["int8", `0${"f".repeat(61)}80`, "a value does not fit int8"],
    ["int128", word("1".padEnd(33, "0")), "a value does not fit int128"],
    ["bool", word("2"), "a value does not fit bool"],
    ["bool", `1${word("1").slice(1)}`, "a value does not fit bool"],
    ["bytes4", `1234567801${"0".repeat(54)}`, "a value does not fit bytes4"],
    ["uint256", `g${"0".repeat(63)}`, "a value is no hex"],
    ["bytes32", `${"0".repeat(63)}\u0130`, "a value is no hex"],
    ["bool", `g${"0".repeat(63)}`, "a value is no hex"],
    ["address", `${"0".repeat(24)}${"a".repeat(39)}x`, "a value is no hex"]
  ]
  for (const [type, text, reason] of words) {
    it(`${type} as ${text}`, () => {
      expect(write(one(type), logOf([one(type).topic0], `0x${text}`))).toBe(reason)
      expect(write(inTopic(type), logOf([one(type).topic0, `0x${text}`], "0x"))).toBe(reason)
    })
  }

  const transfer = sourceOf(
    parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)")
  )
  const who: Hex = `0x${word("a1")}`
  const logs: ReadonlyArray<readonly [what: string, log: RpcLog, reason: string]> = [
    ["more topics", logOf([transfer.topic0, who, who, who], "0x"), "3 indexed parameters, expected 2"],
    ["fewer topics", logOf([transfer.topic0, who], "0x"), "1 indexed parameters, expected 2"],
    ["no data", logOf([transfer.topic0, who, who], "0x"), "0 bytes of data, expected 32"],
    [
      "half a byte too few",
      logOf([transfer.topic0, who, who], `0x${word("1").slice(1)}`),
      "31 bytes of data, expected 32"
    ],
    [
      "a topic that is cut",
      logOf([transfer.topic0, who, "0x12"], `0x${word("1")}`),
      "a value does not fit address"
    ]
  ]
  for (const [what, log, reason] of logs) {
    it(what, () => {
      const written = write(transfer, log)
      expect(written).toBe(what === "a topic that is cut" ? "a value is no hex" : reason)
    })
  }

  it("what viem cannot decode, with what viem says", () => {
    const source = sourceOf(parseAbiItem("event Said(string text)"))
    const far: Hex = `0x${word("ffffffff")}`
    expect(write(source, logOf([source.topic0], far))).toMatch(/out of bounds/)
  })

  it("dirty padding of a word beside a string", () => {
    const source = sourceOf(parseAbiItem("event Said(uint8 a, string text)"))
    const log = encode(source.event, [1, "hello"])
    expect(write(source, log)).toMatchObject({ a: 1n, text: "hello" })
    const data: Hex = `0x1${log.data.slice(3)}`
    expect(write(source, { ...log, data })).toBe("a value does not fit uint8")
  })
})

describe("indexed values that are no words", () => {
  it("are their hash", () => {
    const event = parseAbiItem("event Named(string indexed name, uint256[] indexed ids, bytes indexed raw)")
    const log = encode(event, ["sluice", [1n, 2n], "0x1234"])
    expect(write(sourceOf(event), log)).toMatchObject({
      name_hash: keccak256("0x736c75696365"),
      ids_hash: log.topics[2],
      raw_hash: log.topics[3]
    })
  })
})

const packEvents = Object.entries<Abi>(packs).flatMap(([pack, abi]) =>
  abi.flatMap((item) => (item.type === "event" ? [{ pack, source: sourceOf(item) }] : []))
)

/** All logs anywhere in an answer: of receipts, of eth_getLogs, of samples. */
const logsIn = (value: unknown): ReadonlyArray<RpcLog> => {
  if (Array.isArray(value)) return value.flatMap(logsIn)
  if (typeof value !== "object" || value === null) return []
  return isLog(value) ? [value] : Object.values(value).flatMap(logsIn)
}

const isLog = (value: object): value is RpcLog =>
  "topics" in value &&
  Array.isArray(value.topics) &&
  "data" in value &&
  "logIndex" in value &&
  "address" in value

/** Undefined where viem refuses the log. */
const viemOf = (event: AbiEvent, log: RpcLog) => {
  try {
    return viemRow(event, log)
  } catch {
    return undefined
  }
}

describe.skipIf(!fixturesAvailable)(`logs of real blocks${withoutFixtures}`, () => {
  it("are what viem says, for the events of all packs", () => {
    const counted = { logs: 0, rows: 0, refused: 0 }
    const seen = new Set<string>()
    const refused = new Map<string, number>()
    for (const { file } of fixtureFiles) {
      if (!/\.json(\.gz)?$/.test(file)) continue
      for (const log of logsIn(loadFixture(file))) {
        counted.logs++
        for (const { pack, source } of packEvents) {
          if (log.topics[0]?.toLowerCase() !== source.topic0) continue
          const written = write(source, log)
          const expected = viemOf(source.event, log)
          const what = `${file} ${log.transactionHash} ${log.logIndex} ${pack}`
          if (typeof written === "string") {
            counted.refused++
            refused.set(written, (refused.get(written) ?? 0) + 1)
            // Where viem decodes it all the same, its values are not what the log's padding says.
            if (expected !== undefined) assert.match(written, /does not fit/, what)
            continue
          }
          counted.rows++
          seen.add(`${pack} ${source.event.name}`)
          const { block_number, block_timestamp, contract, log_index, transaction_hash, ...own } = written
          assert.deepStrictEqual(own, expected, what)
        }
      }
    }
    assert.isAbove(counted.rows, 800, JSON.stringify({ ...counted, refused: [...refused] }))
    assert.isAbove(seen.size, 10, [...seen].join())
  }, 120_000)
})

describe("in PostgreSQL", () => {
  layer(PGliteTest.layer, { timeout: "2 minutes", excludeTestServices: true })((it) => {
    it.effect("columns are taken as they are written, and hold what viem decodes", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`create schema written`
        for (let seed = 1; seed <= 25; seed++) {
          const r = random(seed)
          const event = eventOf(r, seed % 3 === 0)
          const base = sourceOf(event)
          const source: EventSource = { ...base, table: { ...base.table, name: `it_${seed}` } }
          const writer = EventWriter.make(source)
          const logs = Array.from({ length: 20 }, (_, i) => ({
            ...encode(
              event,
              event.inputs.map((input) => valueOf(input, r))
            ),
            logIndex: `0x${i.toString(16)}` as const
          }))
          for (const log of logs) assert.isUndefined(writer.write(log, place))
          yield* sql.unsafe(Table.createTable("written", source.table))
          const rows = TableWriter.take(writer.table)
          yield* sql.unsafe(Table.insert("written", source.table), parameters(source.table, [rows]))
          const names = Columns.namesOf(event.inputs)
          const selected = event.inputs.map((input, i) => {
            const name = `"${names[i]}"`
            switch (Columns.typeOf(input)) {
              case "bytea":
                return `'0x' || encode(${name}, 'hex') as ${name}`
              case "bool":
                return name
              default:
                return `${name}::text as ${name}`
            }
          })
          const stored = yield* sql.unsafe<Record<string, unknown>>(
            `select ${["log_index", ...selected].join(", ")} from written.it_${seed} order by log_index`
          )
          assert.strictEqual(stored.length, logs.length)
          for (const [i, log] of logs.entries()) {
            const expected = viemRow(event, log)
            for (const [n, input] of event.inputs.entries()) {
              const name = names[n] ?? ""
              const value = stored[i]?.[name]
              const isJson = Columns.typeOf(input) === "jsonb"
              const shown = isJson ? JSON.parse(String(value)) : value
              const wish = expected[name]
              const message = `seed ${seed}, ${name} ${input.type}`
              if (isJson) assert.deepStrictEqual(shown, JSON.parse(String(wish)), message)
              else assert.strictEqual(shown, typeof wish === "bigint" ? String(wish) : wish, message)
            }
          }
          assert.deepStrictEqual(rowsOf(source, rows).length, logs.length)
        }
      })
    )
  })
})

it("knows the topic of every event of the packs", () => {
  for (const { source } of packEvents) expect(source.topic0).toBe(toEventSelector(source.event))
})
