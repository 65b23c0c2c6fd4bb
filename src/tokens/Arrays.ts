/**
 * Arrays as parameters of a statement, with their type said rather than guessed.
 */
import { PgTypes } from "@effect/sql-pg"
import type { Hex } from "../chain/Block.ts"

export type ElementType = "bytea" | "int4" | "int8" | "numeric" | "timestamptz"

const oids: Readonly<Record<ElementType, number>> = {
  bytea: PgTypes.OID.byteaArray,
  int4: PgTypes.OID.int4Array,
  int8: PgTypes.OID.int8Array,
  numeric: PgTypes.OID.numericArray,
  timestamptz: PgTypes.OID.timestamptzArray
}

/** `values` as the driver takes them: bigint for int8, text for numeric, bytes for bytea, a Date for a time. */
export const array = (type: ElementType, values: ReadonlyArray<unknown>): PgTypes.Parameter => ({
  [PgTypes.ParameterTypeId]: PgTypes.ParameterTypeId,
  oid: oids[type],
  value: values
})

export const toBytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), "hex")

export const byteas = (all: ReadonlyArray<Hex>): PgTypes.Parameter => array("bytea", all.map(toBytes))
