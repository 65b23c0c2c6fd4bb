import { assert, expect } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { toStoreError } from "../../src/store/SqlFailure.ts"
import type { StoreError } from "../../src/store/Store.ts"
import * as UndoLog from "../../src/store/UndoLog.ts"
import { random } from "../support/blocks.ts"
import { overEach, rowsOf } from "./support.ts"

const run = (...statements: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  )

/** A table to the bit: each row in PostgreSQL's binary form, and as text, for whoever reads a failure. */
const bits = (table: string) =>
  rowsOf(`select t::text as row, encode(record_send(t), 'hex') from ${table} t order by t::text`)

/** The log of some tables in `app_<schema>`, prepared and installed. */
const logOf = (schema: string, names: ReadonlyArray<string>, asOf = 0) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* run(`create schema if not exists ${schema}`)
    const log = UndoLog.make(
      sql,
      schema,
      names.map((name) => (name.includes(".") ? name : `app_${schema}.${name}`))
    )
    yield* sql.withTransaction(log.prepare)
    yield* sql.withTransaction(log.install(asOf))
    /** The statements of a block, as a commit runs them. */
    const block = (number: number, ...statements: ReadonlyArray<string>) =>
      log
        .logging(number)
        .pipe(Effect.andThen(run(...statements)), Effect.andThen(log.settle(-1)), sql.withTransaction)
    const undo = (ancestor: number) => sql.withTransaction(log.undo(ancestor))
    return { ...log, block, undo }
  })

/** What the store would say of the failure. */
const messageOf = <A, R>(effect: Effect.Effect<A, SqlError | StoreError, R>) =>
  Effect.match(effect, {
    onSuccess: () => "it did not fail",
    onFailure: (error) => toStoreError("test")(error).message
  })

/** Types with two values each, such as text and JSON would not keep. */
const values: ReadonlyArray<readonly [type: string, first: string, second: string]> = [
  ["bool", "true", "null"],
  ["int2", "-32768", "1"],
  ["int8", "9223372036854775807", "0"],
  ["float4", "'-0'", "1e-45"],
  ["float8", "'NaN'", "0.1::float8 + 0.2"],
  ["float8", "'-Infinity'", "'-0'"],
  ["numeric", "'NaN'", "1.5000"],
  ["numeric", "'Infinity'", "null"],
  ["numeric(78,0)", "115792089237316195423570985008687907853269984665640564039457584007913129639935", "0"],
  ["numeric", "1.10", "1.1"],
  ["text", "''", "null"],
  ["text", `'a"b\\c,(d) ''e'' ' || chr(10)`, "'NULL'"],
  ["text", "repeat('x', 1000000)", "'short'"],
  ["char(5)", "'a  '", "''"],
  ["varchar(3)", "'a  '", "'a'"],
  ['"char"', "'x'", "null"],
  ["name", "'a'", "'b'"],
  ["bytea", "'\\x00ff5c27'", "''"],
  ["uuid", "'00000000-0000-0000-0000-000000000001'", "null"],
  ["date", "'infinity'", "'4713-01-01 BC'"],
  ["time", "'24:00:00'", "'00:00:00.000001'"],
  ["timetz", "'12:00:00+15:59:59'", "'00:00:00-15'"],
  ["timestamp(3)", "'294276-12-31 23:59:59.999'", "'-infinity'"],
  ["timestamptz", "'-infinity'", "'0044-03-15 12:00:00.000001 BC'"],
  ["interval", "'1 mon -3 days 25:00:00.000001'", "'-1 year 2 mons'"],
  ["json", `'{"a": 1,  "a":2 }'`, "'null'"],
  ["json", "null", "'1.00'"],
  ["jsonb", "'null'", `'{"n": 1.100}'`],
  ["inet", "'10.1.2.3/8'", "'::1'"],
  ["cidr", "'10.0.0.0/8'", "null"],
  ["macaddr8", "'08:00:2b:01:02:03:04:05'", "null"],
  ["bit(5)", "B'10101'", "B'00000'"],
  ["varbit", "B''", "B'1'"],
  ["money", "'-1234.56'", "0"],
  ["point", "'(NaN,-0)'", "'(0.1,1e300)'"],
  ["polygon", "'((0,0),(1,1),(0.3,0))'", "null"],
  ["circle", "'<(0.1,0.2),0.3>'", "null"],
  ["tsvector", "'''it''''s'':1A b:2'", "''"],
  ["tsquery", "'a & !b:*'", "''"],
  ["int4range", "'empty'", "'[1,)'"],
  ["nummultirange", "'{[1.0,2.00),(3,)}'", "'{}'"],
  ["text[]", `array['NULL', null, 'a"b', '']`, "'{}'"],
  ["int4[]", "'[-1:0]={1,null}'", "'{{1,2},{3,4}}'"],
  ["oid", "4294967295", "0"],
  ["pg_lsn", "'FFFFFFFF/FFFFFFFF'", "'0/0'"],
  ["regclass", "'pg_class'", "null"],
  ["app.mood", "'so ''so'''", "'fine'"],
  ["app.pair", `row(1.10, 'a"')`, "row(null, null)"],
  ["app.pair[]", `array[row(1.10, 'a"')::app.pair, null]`, "'{}'"],
  ["app.positive", "1.50", "2"],
  ["app.positive[]", "array[1.50]::app.positive[]", "'{}'"]
]

/** Statements on two tables with a second unique key and a foreign key that cascades. */
const statement = (r: ReturnType<typeof random>, schema: string): string => {
  const key = () => r.int(8)
  const parents = `${schema}.parents`
  const children = `${schema}.children`
  const all: readonly [() => string, ...ReadonlyArray<() => string>] = [
    () => `insert into ${parents} values (${key()}, ${r.int(20)}, 'n${r.int(99)}') on conflict do nothing`,
    () =>
      `insert into ${parents} values (${key()}, ${r.int(20)}, null)
      on conflict (id) do update set code = excluded.code, note = coalesce(parents.note, '') || '+'`,
    () => `update ${parents} set note = note || '${r.int(9)}' where id % 2 = ${r.int(2)}`,
    () => `update ${parents} set code = code + 1 where id > ${key()}`,
    () => `update ${parents} set id = id + 100 where id = ${key()}`,
    () => `update ${parents} set id = id - 100 where id >= 100`,
    () => `delete from ${parents} where id = ${key()}`,
    () => `delete from ${parents} where code > ${r.int(20)}`,
    () =>
      `insert into ${children} select id, ${r.int(4)}, 1.0 from ${parents} where id < ${key()} on conflict do nothing`,
    () => `update ${children} set amount = amount * 1.10 where n = ${r.int(4)}`,
    () => `delete from ${children} where n = ${r.int(4)}`,
    () => `with d as (delete from ${parents} where id = ${key()} returning id, code)
      insert into ${children} select p.id, 9, 0 from ${parents} p where p.id <> all(select id from d) limit 1
      on conflict do nothing`
  ]
  return r.pick(...all)()
}

overEach("the undo log", {
  "gives back every type to the bit": (schema) =>
    Effect.gen(function* () {
      const app = `app_${schema}`
      const table = `${app}."All ""Types"""`
      const types = values.map(([type]) => type.replace("app.", `${app}.`))
      const columns = values.map((_, i) => (i === 0 ? '"above"' : i === 1 ? '"Mixed ""Case"' : `"new${i}"`))
      yield* run(
        `create type ${app}.mood as enum ('so ''so''', 'fine')`,
        `create type ${app}.pair as (a numeric, b text)`,
        `create domain ${app}.positive as numeric not null check (value > 0)`,
        `create table ${table} (
          id int8 generated always as identity, "e" text collate "C", ${columns.map((name, i) => `${name} ${types[i]}`).join(", ")},
          twice int8 generated always as (id * 2) stored, primary key ("e", id))`
      )
      const cast = (pick: 1 | 2) =>
        values.map((value, i) => `(${value[pick].replaceAll("app.", `${app}.`)})::${types[i]}`)
      const insert = (e: string, pick: 1 | 2) =>
        `insert into ${table} ("e", ${columns.join(", ")}) values ('${e}', ${cast(pick).join(", ")})`
      const log = yield* logOf(schema, [table])
      yield* run(insert("a", 1), insert("b", 2), insert("c", 1))
      const before = yield* bits(table)
      const set = (pick: 1 | 2) => columns.map((name, i) => `${name} = ${cast(pick)[i]}`).join(", ")
      yield* log.block(5, `update ${table} set ${set(2)} where "e" = 'a'`, insert("d", 1))
      const between = yield* bits(table)
      yield* log.block(
        6,
        `update ${table} set ${set(1)}, "e" = 'z' where "e" = 'b'`,
        `delete from ${table} where "e" in ('c', 'd')`,
        `update ${table} set ${set(1)} where "e" = 'a'`,
        `update ${table} set ${set(2)} where "e" = 'a'`
      )
      assert.strictEqual(yield* log.undo(5), 5)
      expect(yield* bits(table)).toEqual(between)
      assert.strictEqual(yield* log.undo(4), 2)
      expect(yield* bits(table)).toEqual(before)
    }),
  "equals a replay after random writes and rollbacks": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const app = `app_${schema}`
      const oracle = `oracle_${schema}`
      yield* run(`create schema ${oracle}`)
      for (const home of [app, oracle]) {
        yield* run(
          `create table ${home}.parents (id int4 primary key, code int4 unique, note text)`,
          `create table ${home}.children (id int4 references ${home}.parents on delete cascade, n int4,
            amount numeric, primary key (id, n))`
        )
      }
      /** One that fails is as if it had not been, in both. */
      const attempt = (statement: string) => Effect.ignore(sql.withTransaction(run(statement)))
      const log = yield* logOf(schema, ["parents", "children"])
      for (let seed = 1; seed <= 25; seed++) {
        const r = random(seed)
        let chain: Array<{ readonly number: number; readonly statements: ReadonlyArray<string> }> = []
        let finalized = -1
        yield* run(`truncate ${app}.parents, ${app}.children`)
        yield* run(`truncate ${schema}.undo_1, ${schema}.undo_2`)
        for (let step = 0; step < 14; step++) {
          const tip = chain.at(-1)?.number ?? -1
          if (r.int(4) === 0 && tip > finalized) {
            const ancestor = finalized + r.int(tip - finalized)
            yield* log.undo(ancestor)
            chain = chain.filter(({ number }) => number <= ancestor)
          } else {
            const number = tip + 1
            if (r.int(3) === 0) finalized = Math.max(finalized, tip - r.int(4))
            const statements = Array.from({ length: r.int(5) }, () => statement(r, app))
            chain.push({ number, statements })
            yield* log
              .logging(number)
              .pipe(
                Effect.andThen(Effect.forEach(statements, attempt)),
                Effect.andThen(log.settle(finalized)),
                sql.withTransaction
              )
          }
          yield* run(`truncate ${oracle}.parents, ${oracle}.children`)
          for (const { statements } of chain) {
            yield* Effect.forEach(statements, (statement) => attempt(statement.replaceAll(app, oracle)))
          }
          for (const table of ["parents", "children"]) {
            expect(yield* bits(`${app}.${table}`), `seed ${seed}, step ${step}`).toEqual(
              yield* bits(`${oracle}.${table}`)
            )
          }
        }
      }
    }),
  "logs nothing without a block, and forgets what is final": (schema) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const table = `app_${schema}.t`
      yield* run(`create table ${table} (id int4 primary key)`)
      const log = yield* logOf(schema, ["t"])
      const logged = rowsOf(`select block_number, op from ${schema}.undo_1 order by seq`)
      yield* run(`insert into ${table} values (0)`)
      yield* log.block(1, `insert into ${table} values (1)`)
      // The setting ends with the transaction, and with `settle` within it.
      yield* log
        .logging(2)
        .pipe(
          Effect.andThen(run(`insert into ${table} values (2)`)),
          Effect.andThen(log.settle(0)),
          Effect.andThen(run(`insert into ${table} values (3)`)),
          sql.withTransaction
        )
      yield* run(
        `insert into ${table} values (4)`,
        `truncate ${table}`,
        `insert into ${table} values (1), (2)`
      )
      expect(yield* logged).toEqual(["(1,I)", "(2,I)"])
      yield* sql.withTransaction(log.settle(1))
      expect(yield* logged).toEqual(["(2,I)"])
      yield* log.undo(1)
      expect(yield* rowsOf(`select * from ${table}`)).toEqual(["(1)"])
    }),
  "refuses TRUNCATE above finality, and says when a row was changed by hand": (schema) =>
    Effect.gen(function* () {
      const table = `app_${schema}.t`
      yield* run(`create table ${table} (id int4 primary key, v int4 generated always as identity)`)
      const log = yield* logOf(schema, ["t"])
      expect(yield* messageOf(log.block(1, `truncate ${table}`))).toContain("cannot be undone; use DELETE")
      yield* log.block(1, `insert into ${table} values (1)`)
      const renumber = log.block(2, `update ${table} set v = default`)
      expect(yield* messageOf(renumber)).toContain("identity column v cannot be undone")
      yield* run(`delete from ${table}`)
      expect(yield* messageOf(log.undo(0))).toContain("changed outside of a commit")
      yield* run(`insert into ${table} values (1)`)
      assert.strictEqual(yield* log.undo(0), 1)
    }),
  "refuses tables that it could not take back": (schema) =>
    Effect.gen(function* () {
      const app = `app_${schema}`
      yield* run(
        `create schema ${schema}`,
        `create table ${app}.keyless (id int4)`,
        `create unlogged table ${app}.unlogged (id int4 primary key)`,
        `create table ${app}.parted (id int4 primary key) partition by range (id)`,
        `create table ${app}.part partition of ${app}.parted for values from (0) to (9)`,
        `create view ${app}.view as select 1 as id`,
        `create table ${app}.base (id int4 primary key)`,
        `create table ${app}.child (primary key (id)) inherits (${app}.base)`,
        `create table ${app}.triggered (id int4 primary key)`,
        `create trigger mine before insert on ${app}.triggered for each row execute function suppress_redundant_updates_trigger()`,
        `create table ${app}.ruled (id int4 primary key)`,
        `create rule r as on delete to ${app}.ruled do instead nothing`,
        `create table ${app}.secured (id int4 primary key)`,
        `alter table ${app}.secured enable row level security`,
        `create table ${app}.parent (id int4 primary key)`,
        `create table ${app}.follower (id int4 primary key references ${app}.parent on delete set null)`
      )
      const why = (...names: ReadonlyArray<string>) => messageOf(logOf(schema, names))
      expect(yield* why("nothing")).toContain("there is no such table")
      expect(yield* why(`"a.b"."c"`, `x${app}.keyless`)).toContain("there is no such table")
      expect(yield* why("keyless")).toContain("no primary key")
      expect(yield* why("unlogged")).toContain("unlogged")
      expect(yield* why("parted")).toContain("partitioned")
      expect(yield* why("part")).toContain("partitioned")
      expect(yield* why("view")).toContain("view")
      expect(yield* why("base")).toContain("inheritance")
      expect(yield* why("triggered")).toContain("(mine)")
      expect(yield* why("ruled")).toContain("rules")
      expect(yield* why("secured")).toContain("row level security")
      expect(yield* why("parent")).toContain(`${app}.follower`)
      yield* logOf(schema, ["parent", "follower"])
    }),
  "is installed once, follows the table, and goes with its registration": (schema) =>
    Effect.gen(function* () {
      const app = `app_${schema}`
      const table = `${app}.t`
      yield* run(
        `create table ${table} (id int4 primary key, v text, gone text)`,
        `create table ${app}.other (id int4 primary key)`,
        `insert into ${table} values (1, 'a', 'x'), (2, 'b', 'x')`
      )
      const triggers = rowsOf(`
        select c.relname, t.xmin from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_namespace n on n.oid = c.relnamespace where n.nspname = '${app}' order by 1`)
      const first = yield* logOf(schema, ["t", "other"], 3)
      const installed = yield* triggers
      assert.strictEqual(installed.length, 4)
      yield* first.block(4, `update ${table} set v = v || '4'`, `delete from ${table} where id = 2`)
      yield* logOf(schema, ["t", "other"], 4)
      expect(yield* triggers).toEqual(installed)
      // Altered with entries in the log.
      yield* run(
        `alter table ${table} rename v to w`,
        `alter table ${table} alter w type varchar(20)`,
        `alter table ${table} drop gone`,
        `alter table ${table} add n numeric not null default 7.0`,
        `alter schema ${app} rename to moved_${app}`
      )
      const second = yield* logOf(schema, [`moved_${table}`], 4)
      assert.strictEqual((yield* triggers).length, 0)
      yield* second.block(5, `update moved_${table} set n = 8, w = w || '5'`)
      yield* second.undo(3)
      expect(yield* rowsOf(`select * from moved_${table} order by id`)).toEqual(["(1,a,7.0)", "(2,b,7.0)"])
      // What was there before it was registered cannot be told.
      expect(yield* messageOf(second.undo(2))).toContain("since block 3")
      yield* logOf(schema, [], 4)
      expect(
        yield* rowsOf(`select relname from pg_class c where relname ~ '^undo_[0-9]+$'
        and relnamespace = '${schema}'::regnamespace`)
      ).toEqual([])
      expect(
        yield* rowsOf(`select tgname from pg_trigger where tgrelid = 'moved_${table}'::regclass`)
      ).toEqual([])
    })
})
