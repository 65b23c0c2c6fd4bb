/**
 * Contracts from files: what is read, and every message for what is wrong.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as Contract from "../../src/events/Contract.ts"
import * as ContractsFile from "../../src/events/ContractsFile.ts"
import { packNames } from "../../src/events/Pack.ts"

const folder = mkdtempSync(join(tmpdir(), "sluice-contracts-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const save = (name: string, content: unknown): string => {
  const file = join(folder, name)
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content))
  return file
}

const load = (contracts: unknown) =>
  Effect.runSync(Effect.result(ContractsFile.load(save("contracts.json", contracts))))

/** What is wrong, without the folder. */
const problems = (content: unknown): ReadonlyArray<string> => {
  const loaded = load(content)
  const found = Result.isFailure(loaded) ? loaded.failure.problems : Contract.read(loaded.success).problems
  return found.map((problem) => problem.replaceAll(`${folder}/`, ""))
}

const usdc = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
const ping = "event Ping(address indexed who)"
const one = (entry: object) => ({ contracts: [{ name: "it", abi: [ping], ...entry }] })

describe("what is right", () => {
  it("packs, lines, files, addresses and factories", () => {
    save("erc.json", [
      { type: "function", name: "f", inputs: [{ odd: true }] },
      { type: "constructor" },
      {
        type: "event",
        name: "Ping",
        inputs: [{ type: "address", name: "who", indexed: true, internalType: "address" }]
      }
    ])
    save("artifact.json", { contractName: "A", abi: [{ type: "event", name: "Pong", inputs: [] }] })
    const loaded = load({
      contracts: [
        ...packNames.map((pack) => ({ pack })),
        { name: "lines", abi: [ping], events: ["Ping"], startBlock: 7 },
        { name: "file", abi: "./erc.json", address: usdc },
        { name: "artifact", abi: "artifact.json", address: [usdc] },
        {
          name: "pair",
          pack: "uniswap-v2",
          events: ["Swap"],
          factory: { address: usdc, event: "event Made(address pair)", parameter: "pair" }
        }
      ]
    })
    assert.isTrue(Result.isSuccess(loaded), JSON.stringify(loaded))
    if (Result.isFailure(loaded)) return
    const { problems, sources } = Contract.read(loaded.success)
    expect(problems).toEqual([])
    expect(
      sources.map(({ table }) => table.name).filter((name) => !/^(erc|uniswap|weth)/.test(name))
    ).toEqual(["lines_ping", "file_ping", "artifact_pong", "pair_swap"])
    expect(sources.map(({ table }) => table.name)).toContain("uniswap_v2_pair_created")
    expect(sources.find(({ contract }) => contract === "lines")).toMatchObject({
      startBlock: 7,
      pack: undefined
    })
  })
})

const address = "an address (0x and 40 hex digits) or a list of them"
const line = "a line such as event Ping(address indexed who)"
const fields = "name, pack, abi, address, factory, events, startBlock"
const packs = "one of erc20, erc721, erc1155, uniswap-v2, uniswap-v3, weth"

const table: ReadonlyArray<readonly [what: string, content: unknown, problems: ReadonlyArray<string>]> = [
  ["no object", 5, [`contracts.json: it is 5, expected an object such as {"contracts": [...]}`]],
  ["a list", [], [`contracts.json: it is [], expected an object such as {"contracts": [...]}`]],
  ["no contracts", {}, ["contracts.json: contracts is missing, expected a list of contracts"]],
  [
    "contracts that are no list",
    { contracts: {} },
    ["contracts.json: contracts is {}, expected a list of contracts"]
  ],
  [
    "a field beside contracts",
    { contracts: [], contract: 1 },
    ["contracts.json: contract is no field, expected contracts; did you mean contracts?"]
  ],
  [
    "an entry that is no object",
    { contracts: ["erc20"] },
    [`contracts.json: contracts[0] is "erc20", expected a contract, which is an object`]
  ],
  [
    "a misspelt field",
    one({ adress: usdc, startblock: 5, colour: 1 }),
    [
      `contracts.json: contracts[0].adress is no field, expected ${fields}; did you mean address?`,
      `contracts.json: contracts[0].startblock is no field, expected ${fields}; did you mean startBlock?`,
      `contracts.json: contracts[0].colour is no field, expected ${fields}`
    ]
  ],
  ["a name that is no text", one({ name: 5 }), ["contracts.json: contracts[0].name is 5, expected a name"]],
  [
    "a name of other letters",
    one({ name: "my token" }),
    [
      `contracts.json: contracts[0] (my token): the name is "my token", expected a letter and up to 40 letters, digits and _`
    ]
  ],
  ["a pack", one({ pack: "erc2O" }), [`contracts.json: contracts[0].pack is "erc2O", expected ${packs}`]],
  [
    "a pack and an ABI",
    one({ pack: "erc20" }),
    ["contracts.json: contracts[0] has a pack and an abi, expected one of them"]
  ],
  [
    "neither, nor a name",
    { contracts: [{}] },
    [
      "contracts.json: contracts[0].name is missing, expected a name, as there is no pack",
      "contracts.json: contracts[0] has no abi and no pack, expected one of them"
    ]
  ],
  [
    "a short address",
    one({ address: "0x12" }),
    [`contracts.json: contracts[0].address is "0x12", expected ${address}`]
  ],
  [
    "an address that is a number",
    one({ address: 5 }),
    [`contracts.json: contracts[0].address is 5, expected ${address}`]
  ],
  [
    "a short address in a list",
    one({ address: [usdc, "0x12", 7] }),
    [
      `contracts.json: contracts[0].address[1] is "0x12", expected 0x and 40 hex digits`,
      "contracts.json: contracts[0].address[2] is 7, expected 0x and 40 hex digits"
    ]
  ],
  [
    "no address in the list",
    one({ address: [] }),
    ["contracts.json: contracts[0] (it): the list of addresses is empty; leave it out to take any contract"]
  ],
  [
    "a factory",
    one({ factory: { address: "0x", event: 5, paramter: "a" } }),
    [
      "contracts.json: contracts[0].factory.paramter is no field, expected address, event, parameter; did you mean parameter?",
      `contracts.json: contracts[0].factory.address is "0x", expected ${address}`,
      `contracts.json: contracts[0].factory.event is 5, expected ${line}`,
      "contracts.json: contracts[0].factory.parameter is missing, expected the name of the event's parameter with the new contract's address"
    ]
  ],
  [
    "events",
    one({ events: ["Ping", 5] }),
    ["contracts.json: contracts[0].events[1] is 5, expected the name or the signature of an event"]
  ],
  [
    "events that are no list",
    one({ events: "Ping" }),
    [`contracts.json: contracts[0].events is "Ping", expected a list of names or signatures`]
  ],
  [
    "an event that is not there",
    one({ events: ["Pong"] }),
    ["contracts.json: contracts[0] (it): there is no event Pong, expected some of Ping(address)"]
  ],
  [
    "start blocks",
    { contracts: [-1, 1.5, "7"].map((startBlock, i) => ({ name: `c${i}`, abi: [ping], startBlock })) },
    [
      "contracts.json: contracts[0].startBlock is -1, expected a block number: an integer, 0 or more",
      "contracts.json: contracts[1].startBlock is 1.5, expected a block number: an integer, 0 or more",
      `contracts.json: contracts[2].startBlock is "7", expected a block number: an integer, 0 or more`
    ]
  ],
  [
    "an ABI that is a number",
    one({ abi: 5 }),
    ["contracts.json: contracts[0].abi is 5, expected the path of an ABI file, or a list of lines"]
  ],
  [
    "a line that is a number",
    one({ abi: [ping, 5] }),
    [`contracts.json: contracts[0].abi[1] is 5, expected ${line}`]
  ],
  [
    "lines",
    one({ abi: ["struct S { bool a; }", "event Fine(S s)", "event Ping(addres who)", "Pong()"] }),
    [
      `contracts.json: contracts[0].abi[2] is "event Ping(addres who)", expected ${line}`,
      `contracts.json: contracts[0].abi[3] is "Pong()", expected ${line}`
    ]
  ],
  [
    "a file that is not there",
    one({ abi: "none.json" }),
    [
      "contracts.json: contracts[0].abi: none.json cannot be read: ENOENT: no such file or directory, open 'none.json'"
    ]
  ],
  [
    "a file that is no ABI",
    one({ abi: "number.json" }),
    [
      `contracts.json: contracts[0].abi is "number.json", and in number.json is no ABI, expected a list of items, or an object with one as abi`
    ]
  ],
  [
    "events of an ABI",
    one({ abi: "odd.json" }),
    [
      "contracts.json: contracts[0].abi: odd.json: abi[1].name is missing, expected a name",
      "contracts.json: contracts[0].abi: odd.json: abi[1].inputs[0].type is 5, expected the name of a type",
      "contracts.json: contracts[0].abi: odd.json: abi[1].inputs[1].components[0].type is missing, expected the name of a type",
      "contracts.json: contracts[0].abi: odd.json: abi[2].inputs is missing, expected a list of parameters"
    ]
  ],
  [
    "all at once, of every kind",
    {
      contracts: [
        { name: "a", abi: [ping], address: "0x" },
        { name: "b", abi: [ping], events: ["Pong"] },
        { name: "c", abi: ["Ping"] }
      ]
    },
    [
      `contracts.json: contracts[0].address is "0x", expected ${address}`,
      `contracts.json: contracts[2].abi[0] is "Ping", expected ${line}`,
      "contracts.json: contracts[1] (b): there is no event Pong, expected some of Ping(address)"
    ]
  ],
  [
    "long values",
    one({ startBlock: "9".repeat(500) }),
    [
      `contracts.json: contracts[0].startBlock is "${"9".repeat(59)}..., expected a block number: an integer, 0 or more`
    ]
  ]
]

describe("what is wrong is told with its file and path, what was found and what was expected", () => {
  save("number.json", 5)
  save("odd.json", {
    abi: [
      { type: "function" },
      { type: "event", inputs: [{ type: 5 }, { type: "tuple", components: [{}] }] },
      { type: "event", name: "Ping" }
    ]
  })
  for (const [what, content, expected] of table) {
    it(what, () => {
      expect(problems(content)).toEqual(expected)
    })
  }

  it("a file that is no JSON, or not there", () => {
    expect(problems("{")).toEqual([expect.stringMatching(/^contracts\.json is no JSON: ./)])
    const missing = Effect.runSync(Effect.flip(ContractsFile.load(join(folder, "missing.json"))))
    expect(missing.message).toContain("missing.json cannot be read: ENOENT")
  })
})
