/** Anvil is stopped, and forgets its newest blocks. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Anvil } from "../../../src/devnet/Anvil.ts"
import { rpc } from "../../support/oracle.ts"
import * as PostgresServer from "../../support/PostgresServer.ts"
import * as Program from "../../support/Program.ts"
import {
  catchesUp,
  eventually,
  real,
  reasons,
  restarts,
  settle,
  type World,
  worldOf
} from "../../support/real.ts"

describe("everything real: the node", () => {
  real(`Anvil stopped, and killed with its newest blocks, ${restarts} times each`, (context) =>
    Effect.gen(function* () {
      const server = yield* PostgresServer.make()
      const home = yield* Program.dataDir
      const state = join(home, "state.json")
      const genesisTimestamp = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const start = (port: number, file: string) =>
        Anvil.make({
          port,
          genesisTimestamp,
          history: 200,
          args: ["--load-state", file, "--dump-state", state, "--state-interval", "1"]
        })
      let node = yield* Anvil.make({
        genesisTimestamp,
        history: 200,
        args: ["--dump-state", state, "--state-interval", "1"]
      })
      const it = yield* worldOf(server, node.url, 50)
      // Short, since it takes sixteen of them until an endpoint counts as down.
      const program = yield* it.sluice("single", { RPC_TIMEOUT: "300ms" })
      for (let i = 0; i < restarts; i++) {
        yield* catchesUp(program, it)
        yield* Effect.sync(() => process.kill(node.pid, "SIGSTOP"))
        yield* eventually("says that nobody answers", reasons(program), (found) => found.length > 0)
        yield* Effect.sync(() => process.kill(node.pid, "SIGCONT"))
        yield* it.chain.mine(5)
        yield* catchesUp(program, it)

        const kept = join(home, `kept-${i}.json`)
        yield* eventually("the chain in its file", keep(state, kept, it), (isKept) => isKept)
        yield* it.chain.mine(5)
        yield* catchesUp(program, it)
        yield* Effect.sync(() => process.kill(node.pid, "SIGKILL"))
        yield* eventually("says that nobody is there", reasons(program), (found) => found.length > 0)
        node = yield* start(node.port, kept)
        yield* rpc(node.url, "evm_setAutomine", [false])
        // Five blocks are lost, and others come in their place.
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        yield* rpc(node.url, "evm_setNextBlockTimestamp", [now])
        yield* it.chain.mine(9)
        yield* catchesUp(program, it)
      }
      yield* eventually("ready", reasons(program), (found) => found.length === 0)
      yield* settle(it, context, `${restarts} pauses and kills of Anvil`)
    })
  )
})

/** Copies the file in which Anvil keeps its chain, once it is whole and has the newest block. */
const keep = (state: string, copy: string, { rpcUrl }: World) =>
  Effect.flatMap(rpc<string>(rpcUrl, "eth_blockNumber"), (head) =>
    Effect.sync(() => {
      try {
        const text = readFileSync(state, "utf8")
        const { best_block_number: best } = JSON.parse(text) as { readonly best_block_number?: unknown }
        if (Number(best) !== Number(head)) return false
        writeFileSync(copy, text)
        return true
      } catch {
        // Half written, or not yet there.
        return false
      }
    })
  )
