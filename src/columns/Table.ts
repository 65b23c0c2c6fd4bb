/**
 * What a table is: its columns, its key, and the statements that follow from them.
 *
 * The data tables of the chain (`store/Tables`) and those of events (`events/EventTable`) are both described so.
 */

export type ColumnType =
  | "bool"
  | "int2"
  | "int4"
  | "int8"
  | "numeric"
  | "bytea"
  | "text"
  | "timestamptz"
  | "jsonb"

export interface Column {
  readonly type: ColumnType
  readonly nullable: boolean
  /** For an analyst: one sentence, in Markdown. */
  readonly doc: string
}

export interface Table<C extends string = string> {
  readonly name: string
  readonly doc: string
  /** In the order of the columns in the database. */
  readonly columns: Readonly<Record<C, Column>>
  /** The primary key; its first column is the block's number. */
  readonly key: readonly [NoInfer<C>, ...ReadonlyArray<NoInfer<C>>]
}

export const column =
  (type: ColumnType, nullable: boolean) =>
  (doc: string): Column => ({ type, nullable, doc })

export const table = <const C extends string>(definition: Table<C>): Table<C> => definition

export const columnNames = <C extends string>(of: Table<C>): ReadonlyArray<string> => Object.keys(of.columns)

/** The type of a column as DDL says it. */
export const sqlType = (type: ColumnType): string => (type === "numeric" ? "numeric(78,0)" : type)

/** `create table`, in one piece. `schema` has been checked to need no quotes (see `Settings`). */
export const createTable = (schema: string, of: Table): string => {
  const columns = Object.entries(of.columns).map(
    ([name, { nullable, type }]) => `  "${name}" ${sqlType(type)}${nullable ? "" : " not null"}`
  )
  return [
    `create table "${schema}"."${of.name}" (`,
    [...columns, `  primary key (${of.key.map((name) => `"${name}"`).join(", ")})`].join(",\n"),
    ")"
  ].join("\n")
}

/** `create table` for the parent of partitions by block number. */
export const createPartitioned = (schema: string, of: Table): string =>
  `${createTable(schema, of)} partition by range ("${of.key[0]}")`

/**
 * `insert` with one array of elements as the parameter for each column. All of them have the same length, so they are
 * taken apart in step. In `from unnest(...)` PostgreSQL would store the rows once more before it reads them, which is a
 * fifth of its time.
 */
export const insert = (schema: string, of: Table): string => {
  const names = columnNames(of)
    .map((name) => `"${name}"`)
    .join(", ")
  const arrays = Object.values(of.columns).map(({ type }, i) => `unnest($${i + 1}::${type}[])`)
  return `insert into "${schema}"."${of.name}" (${names}) select ${arrays.join(", ")}`
}
