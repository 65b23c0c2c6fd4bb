/**
 * One event of one contract, as a source of rows: which logs are its, and the table that they become.
 *
 * Coverage is kept by source, so that a new event on blocks that are stored already costs nothing but its own rows.
 */
import type { AbiEvent } from "viem"
import type { Hex, RpcLog } from "../chain/Block.ts"
import type { Table } from "../columns/Table.ts"
import type { PackName } from "./Pack.ts"

/** Whose logs count: anybody's, those of some contracts, or those of contracts that a factory's event names. */
export type Emitters =
  | { readonly _tag: "Anybody" }
  /** In lower case. */
  | { readonly _tag: "Listed"; readonly addresses: ReadonlySet<Hex> }
  | { readonly _tag: "Children"; readonly factory: Factory }

export interface Factory {
  /** In lower case. */
  readonly addresses: ReadonlySet<Hex>
  /** The event that names a new contract. */
  readonly event: AbiEvent
  readonly topic0: Hex
  /** The event's parameter with the new contract's address. */
  readonly parameter: string
}

export interface EventSource {
  /** `usdc.Transfer(address,address,uint256)`: the name under which coverage is kept. */
  readonly id: string
  /** Of all that decides which rows there are and in which form: another one means that they have to be made anew. */
  readonly fingerprint: string
  /** Name of the contract. */
  readonly contract: string
  readonly event: AbiEvent
  readonly topic0: Hex
  readonly emitters: Emitters
  /** The first block whose logs count. */
  readonly startBlock: number
  readonly table: Table
  /** The pack that it comes from, for whoever knows what its events mean. */
  readonly pack: PackName | undefined
}

/** A log that a source took, in its place: what handlers and metrics get to see. */
export interface SourceLog {
  readonly source: EventSource
  readonly blockNumber: number
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly log: RpcLog
}
