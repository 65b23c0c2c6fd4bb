/**
 * Contracts in code: their types, the names of tables and columns, and what is wrong with them.
 */
import { assert, describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Abi } from "viem"
import type { Hex } from "../../src/chain/Block.ts"
import * as Columns from "../../src/events/Columns.ts"
import * as Contract from "../../src/events/Contract.ts"

const usdc: Hex = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
const transfer = "event Transfer(address indexed from, address indexed to, uint256 value)"

const of = (abi: Abi | ReadonlyArray<string>, name = "it") => Contract.make({ name, abi })
const read = (...contracts: ReadonlyArray<Contract.Contract>) => Contract.read(contracts)
const tables = (...contracts: ReadonlyArray<Contract.Contract>) => {
  const { problems, sources } = read(...contracts)
  assert.deepStrictEqual(problems, [])
  return sources.map(({ table }) => table.name)
}
const columns = (...lines: ReadonlyArray<string>) => {
  const { problems, sources } = read(of(lines))
  assert.deepStrictEqual(problems, [])
  const own = Object.entries(sources[0]?.table.columns ?? {}).slice(Object.keys(Columns.placeColumns).length)
  return Object.fromEntries(own.map(([name, { type }]) => [name, type]))
}
const problems = (...contracts: ReadonlyArray<Contract.Contract>) => read(...contracts).problems

describe("types", () => {
  it("come from lines", () => {
    const contract = Contract.make({ name: "usdc", address: usdc, abi: [transfer] })
    expectTypeOf(contract.abi[0].name).toEqualTypeOf<"Transfer">()
    expectTypeOf(contract.abi[0].inputs[2].type).toEqualTypeOf<"uint256">()
    expect(contract.abi[0].inputs[2].name).toBe("value")
  })

  it("come from an ABI", () => {
    const contract = Contract.make({
      name: "it",
      abi: [{ type: "event", name: "Ping", inputs: [{ type: "bool", name: "on", indexed: true }] }]
    })
    expectTypeOf(contract.abi[0].name).toEqualTypeOf<"Ping">()
    expectTypeOf(contract.abi[0].inputs[0].indexed).toEqualTypeOf<true>()
    expect(contract.startBlock).toBe(0)
  })

  it("refuse what is no line, and an address without 0x", () => {
    expect(() => Contract.make({ name: "it", abi: ["event Ping(uint257 a)"] })).toThrow()
    // @ts-expect-error: no 0x
    const contract = Contract.make({ name: "it", address: "a0b8", abi: [transfer] })
    expect(problems(contract)).toEqual(["it: the address is a0b8, expected 0x and 40 hex digits"])
  })
})

describe("names of tables", () => {
  it("are the contract and the event in snake case", () => {
    const lines = ["event PairCreated(address a)", "event URI(string a)", "event SetX96Price2(bool a)"]
    expect(tables(of(lines, "UniswapV2"))).toEqual([
      "uniswap_v2_pair_created",
      "uniswap_v2_uri",
      "uniswap_v2_set_x96_price2"
    ])
  })

  it("have the types of events of one name in them", () => {
    const lines = [
      "struct Leg { address who; uint256 amount; }",
      "event Moved(address a)",
      "event Moved(address a, uint256[2] b)",
      "event Moved(uint256[] a)",
      "event Moved(uint256 a)",
      "event Moved()",
      "event Moved(Leg[] a, bool b)",
      "event Other(uint256 a)"
    ]
    expect(tables(of(lines))).toEqual([
      "it_moved_address",
      "it_moved_address_uint256_array2",
      "it_moved_uint256_array",
      "it_moved_uint256",
      "it_moved",
      "it_moved_address_uint256_array_bool",
      "it_other"
    ])
  })

  it("are cut to 63 bytes, and two of them stay two", () => {
    const long = "AVeryLongNameOfAnEventThatGoesOnAndOnAndOnAndOnAndOn"
    const [one = "", two = ""] = tables(of([`event ${long}A(bool a)`, `event ${long}B(bool a)`], "vault"))
    expect(one).toMatch(/^vault_a_very_long_name_of_an_event_that_goes_on_and_o_h[\da-f]{8}$/)
    expect(two).not.toBe(one)
    expect([one.length, two.length].every((length) => length <= 63)).toBe(true)
    expect(tables(of([`event ${long}A(bool a)`], "vault"))).toEqual([one])
    const exact = "x".repeat(63 - "it_".length)
    expect(tables(of([`event ${exact}(bool a)`]))).toEqual([`it_${exact}`])
  })

  it("that clash are told", () => {
    const event = "event Sent(bool a)"
    expect(problems(of([event, "event sent(bool a)"]))).toEqual([
      "it.sent(bool) and it.Sent(bool) would both have the table it_sent, expected other names"
    ])
    expect(problems(of(["event C(bool a)"], "a_b"), of(["event B_C(bool a)"], "a"))).toEqual([
      "a.B_C(bool) and a_b.C(bool) would both have the table a_b_c, expected other names"
    ])
    expect(problems(of([event]), of([event], "IT"))).toContain(
      "IT: there is another contract of this name, expected one of each"
    )
  })

  it("that are Sluice's own are told", () => {
    const own = (name: string, event: string) => problems(of([`event ${event}(bool a)`], name))
    for (const [name, event, table] of [
      ["sync", "State", "sync_state"],
      ["event", "Sources", "event_sources"],
      ["undo", "Tables", "undo_tables"],
      ["undo", "_7", "undo_7"],
      ["logs", "_1000", "logs_1000"],
      ["removed", "Blocks", "removed_blocks"]
    ] as const) {
      expect(own(name, event)).toEqual([
        `${name}.${event}(bool) would have the table ${table}, which is Sluice's own, expected another name of the contract`
      ])
    }
    expect(own("token", "Transfer")).toEqual([])
    expect(own("it", "Version_2")).toEqual([])
  })
})

describe("columns", () => {
  it("are in snake case, and none is there twice", () => {
    expect(columns("event E(uint8 amount0In, uint8 tokenURI, uint8 _from, uint8 from, uint8 From)")).toEqual({
      amount0_in: "int4",
      token_uri: "int4",
      from: "int4",
      from_2: "int4",
      from_3: "int4"
    })
  })

  it("of parameters without names have their place", () => {
    expect(columns("event E(uint8, bool arg2, uint8, uint8)")).toEqual({
      arg0: "int4",
      arg2: "bool",
      arg2_2: "int4",
      arg3: "int4"
    })
  })

  it("keep clear of those of every table, and begin with a letter", () => {
    const { problems, sources } = read(
      of([
        {
          type: "event",
          name: "E",
          inputs: [
            { type: "bool", name: "contract" },
            { type: "bool", name: "blockNumber" },
            { type: "bool", name: "1st" },
            { type: "bool", name: "\u00e4\u00f6" }
          ]
        }
      ])
    )
    expect(problems).toEqual([])
    expect(Object.keys(sources[0]?.table.columns ?? {}).slice(5)).toEqual([
      "contract_2",
      "block_number_2",
      "arg_1st",
      "arg3"
    ])
  })

  it("are cut to 63 bytes and stay apart", () => {
    const long = "x".repeat(70)
    const names = Object.keys(columns(`event E(bool ${long}a, bool ${long}b, bytes indexed ${long}c)`))
    expect(names).toEqual(["x".repeat(63), `${"x".repeat(59)}_2`, `${"x".repeat(59)}_3`])
  })

  it("have the natural type of each parameter", () => {
    expect(
      columns(
        "struct S { uint8 a; }",
        "event E(address a, bool b, bytes c, bytes32 d, string e, uint24 f, uint32 g, uint56 h, uint64 i, int32 j, int64 k, int72 l, uint256 m, uint8[] n, S o, string indexed p, uint8[2] indexed q, bytes4 indexed r)"
      )
    ).toEqual({
      a: "bytea",
      b: "bool",
      c: "bytea",
      d: "bytea",
      e: "text",
      f: "int4",
      g: "int8",
      h: "int8",
      i: "numeric",
      j: "int4",
      k: "int8",
      l: "numeric",
      m: "numeric",
      n: "jsonb",
      o: "jsonb",
      p_hash: "bytea",
      q_hash: "bytea",
      r: "bytea"
    })
  })
})

describe("sources", () => {
  it("are the events that are named, by name or by signature", () => {
    const abi = [transfer, "event Moved(address a)", "event Moved(bool a)", "event Other(bool a)"]
    const ids = (...events: ReadonlyArray<string>) =>
      read(Contract.make({ name: "it", abi, events })).sources.map(({ id }) => id)
    expect(ids("Moved")).toEqual(["it.Moved(address)", "it.Moved(bool)"])
    expect(ids("Moved(bool)", "Other")).toEqual(["it.Moved(bool)", "it.Other(bool)"])
  })

  it("have each event once, though an ABI that was put together has it twice", () => {
    expect(tables(of([transfer, transfer]))).toEqual(["it_transfer"])
  })

  it("have another fingerprint when other rows come of them, and only then", () => {
    const print = (change: object, event = transfer) =>
      read({ ...Contract.make({ name: "it", abi: [event] }), ...change }).sources[0]?.fingerprint
    const two = address2()
    expect(print({})).toBe(print({ origin: "elsewhere", events: ["Transfer"] }))
    expect(print({ address: [usdc, two] })).toBe(print({ address: [two, usdc.toLowerCase(), usdc] }))
    const prints = [
      print({}),
      print({ startBlock: 1 }),
      print({ address: usdc }),
      print({ address: [usdc, two] }),
      print({}, "event Transfer(address indexed from, address to, uint256 indexed value)"),
      print({}, "event Transfer(address indexed sender, address indexed to, uint256 value)"),
      print({ factory: { address: usdc, event: "event C(address a, address b)", parameter: "a" } }),
      print({ factory: { address: usdc, event: "event C(address a, address b)", parameter: "b" } }),
      print({ factory: { address: usdc, event: "event C(address a, address indexed b)", parameter: "b" } })
    ]
    expect(new Set(prints).size).toBe(prints.length)
  })

  it("of a factory may take a parameter that has no name", () => {
    const contract = Contract.make({
      name: "it",
      abi: [transfer],
      factory: { address: usdc, event: "event C(address indexed, address)", parameter: "arg1" }
    })
    expect(read(contract)).toMatchObject({
      problems: [],
      sources: [{ emitters: { _tag: "Children", factory: { parameter: "arg1" } } }]
    })
  })
})

const address2 = (): Hex => `0x${"2".repeat(40)}`

describe("problems", () => {
  const event = (type: string, change: object = {}) => ({
    type: "event" as const,
    name: "E",
    inputs: [{ type, name: "a" }],
    ...change
  })
  const table: ReadonlyArray<readonly [what: string, contract: object, problems: ReadonlyArray<string>]> = [
    [
      "a name",
      { name: "1st-token" },
      [`1st-token: the name is "1st-token", expected a letter and up to 40 letters, digits and _`]
    ],
    ["a start block", { startBlock: -1 }, ["it: startBlock is -1, expected a block number"]],
    [
      "no address in the list",
      { address: [] },
      ["it: the list of addresses is empty; leave it out to take any contract"]
    ],
    [
      "both",
      { address: usdc, factory: { address: usdc, event: "event C(address a)", parameter: "a" } },
      ["it: it has an address and a factory, expected one of them"]
    ],
    [
      "a factory's event",
      { factory: { address: usdc, event: "Created(address)", parameter: "a" } },
      ["it: factory.event is Created(address), expected a line such as event Created(address indexed child)"]
    ],
    [
      "a factory's parameter",
      { factory: { address: "0x1", event: "event C(address a, bool b)", parameter: "b" } },
      [
        "it: the address is 0x1, expected 0x and 40 hex digits",
        "it: factory.parameter is b, expected an address of C: a"
      ]
    ],
    [
      "an event",
      { events: ["Transfr"] },
      ["it: there is no event Transfr, expected some of Transfer(address,address,uint256)"]
    ],
    [
      "no events in the list",
      { events: [] },
      ["it: events is empty, expected one at least; leave it out to take all"]
    ],
    ["no events in the ABI", { abi: [] }, ["it: its ABI has no event, expected one at least"]],
    [
      "an anonymous event",
      { abi: [event("bool", { anonymous: true })] },
      ["it: E(bool) is anonymous: its logs cannot be told from others, expected a list of events without it"]
    ],
    [
      "four indexed parameters",
      {
        abi: [
          event("", { inputs: ["a", "b", "c", "d"].map((name) => ({ type: "bool", name, indexed: true })) })
        ]
      },
      ["it: E(bool,bool,bool,bool) has 4 indexed parameters, expected at most 3"]
    ],
    [
      "an event twice",
      {
        abi: [event("bool"), event("bool", { inputs: [{ type: "bool", name: "a", indexed: true }] })]
      },
      ["it: E(bool) is there twice, with other indexed parameters, expected it once"]
    ],
    ...["uint", "uint7", "int264", "bytes33", "bytes0", "fixed128x18", "function", "tuple", "Foo[]"].map(
      (type) =>
        [
          `the type ${type}`,
          { abi: [event(type), event("bool")] },
          [
            `it: E has a parameter of the type ${type === "tuple" ? "tuple without components" : type.replace("[]", "")}, expected one of Solidity's, as uint256`
          ]
        ] as const
    )
  ]
  for (const [what, change, expected] of table) {
    it(what, () => {
      expect(problems({ ...of([transfer]), ...change })).toEqual(expected)
    })
  }

  it("are told all at once, and end the program as wrong settings do", async () => {
    const wrong = [{ ...of([transfer]), startBlock: 0.5 }, of([], "other")]
    const error = await Effect.runPromise(Effect.flip(Contract.sources(wrong)))
    expect(error.message).toBe(
      [
        "2 things are wrong with the contracts:",
        "  it: startBlock is 0.5, expected a block number",
        "  other: its ABI has no event, expected one at least"
      ].join("\n")
    )
  })
})
