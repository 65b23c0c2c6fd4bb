/**
 * The DDL of the undo log: tables, triggers and functions, made from what the catalog says of the registered tables.
 *
 * **Details**
 *
 * Each registered table has a log of its own, `undo_<id>`: for each row that was written the old values (`a<n>`, where
 * n is the column's number in the catalog, which outlives a rename) and the key that the row has now (`k<n>`). The
 * values are columns of the table's own types and never pass through text or JSON, so that they come back to the bit:
 * NaN, infinity, the scale of a numeric, a null inside of JSON, trailing blanks.
 */
import { full, literal, quoted, setting, triggerNames, type UndoTable } from "./UndoTable.ts"

interface LogColumn {
  readonly name: string
  readonly type: string
  /** What entries take that were made before the column was. */
  readonly default: string | null
}

const keyColumns = ({ columns }: UndoTable) => (columns ?? []).filter(({ key }) => key)
/** All but generated ones, which follow from the others. */
const oldColumns = ({ columns }: UndoTable) => (columns ?? []).filter(({ generated }) => !generated)

const logColumns = (table: UndoTable): ReadonlyArray<LogColumn> => [
  ...keyColumns(table).map(({ number, type }) => ({ name: `k${number}`, type, default: null })),
  ...oldColumns(table).map((column) => ({
    name: `a${column.number}`,
    type: column.type,
    default: column.default
  }))
]

/** Another key: what is in the log does not tell which rows it is about. */
export const hasOtherKey = (table: UndoTable): boolean => {
  const names = new Set(keyColumns(table).map(({ number }) => `k${number}`))
  const kept = (table.kept ?? []).filter(({ name }) => name.startsWith("k"))
  return kept.length !== names.size || kept.some(({ name }) => !names.has(name))
}

/** The table's log, made, or changed along with the table. */
export const createLog = (schema: string, id: number, table: UndoTable): ReadonlyArray<string> => {
  const log = `"${schema}".undo_${id}`
  const wanted = logColumns(table)
  const { kept } = table
  if (kept === null || hasOtherKey(table)) {
    return [
      `drop table if exists ${log}`,
      `create table ${log} (
        block_number int8 not null,
        seq int8 not null default nextval('"${schema}".undo_seq'),
        op "char" not null,
        ${wanted.map(({ name, type }) => `${name} ${type}`).join(", ")},
        primary key (block_number, seq)
      )`
    ]
  }
  const gone = kept.filter((column) => !wanted.some(({ name }) => name === column.name))
  const added = wanted.filter((column) => !kept.some(({ name }) => name === column.name))
  const changed = wanted.filter((column) =>
    kept.some(({ name, type }) => name === column.name && type !== column.type)
  )
  return [
    ...gone.map(({ name }) => `alter table ${log} drop column ${name}`),
    ...added.map(({ name, type }) => `alter table ${log} add column ${name} ${type}`),
    ...added.flatMap((column) =>
      column.default === null ? [] : [`update ${log} set ${column.name} = ${column.default} where op <> 'I'`]
    ),
    ...changed.map(
      ({ name, type }) => `alter table ${log} alter column ${name} type ${type} using ${name}::${type}`
    )
  ]
}

/**
 * Row by row, after the row was written. Where no block is set the `when` is all that a write costs. A statement's
 * transition tables would be kept even then, and do not say which old row became which new one.
 */
export const createTriggers = (schema: string, id: number, table: UndoTable): ReadonlyArray<string> => {
  const log = `"${schema}".undo_${id}`
  const names = triggerNames(schema)
  const keys = keyColumns(table)
  const old = oldColumns(table)
  const when = `when (current_setting('${setting(schema)}', true) <> '')`
  const block = `current_setting('${setting(schema)}')::int8`
  const k = keys.map(({ number }) => `k${number}`)
  const a = old.map(({ number }) => `a${number}`)
  const newKeys = keys.map(({ name }) => `new.${quoted(name)}`)
  const oldValues = old.map(({ name }) => `old.${quoted(name)}`)
  const refused = old
    .filter(({ always }) => always)
    .map(
      ({ name }) => `
    if new.${quoted(name)} is distinct from old.${quoted(name)} then
      raise exception ${literal(`${table.name}: a new value for the identity column ${name} cannot be undone`).replaceAll("%", "%%")};
    end if;`
    )
  return [
    `create or replace function "${schema}".undo_log_${id}() returns trigger language plpgsql as $undo$
begin
  if tg_op = 'INSERT' then
    insert into ${log} (block_number, op, ${k.join(", ")}) values (${[block, "'I'", ...newKeys].join(", ")});
  elsif tg_op = 'UPDATE' then${refused.join("")}
    insert into ${log} (block_number, op, ${[...k, ...a].join(", ")})
    values (${[block, "'U'", ...newKeys, ...oldValues].join(", ")});
  else
    insert into ${log} (${["block_number", "op", ...a].join(", ")}) values (${[block, "'D'", ...oldValues].join(", ")});
  end if;
  return null;
end $undo$`,
    `create or replace trigger ${quoted(names.rows)} after insert or update or delete on ${full(table)}
      for each row ${when} execute function "${schema}".undo_log_${id}()`,
    `create or replace trigger ${quoted(names.truncate)} before truncate on ${full(table)}
      for each statement ${when} execute function "${schema}".undo_no_truncate()`
  ]
}

/** One branch of `undo`: takes back the entry `e` of this table's log. */
const takeBack = (schema: string, id: number, table: UndoTable): string => {
  const target = full(table)
  const entry = `"${schema}".undo_${id} u where u.block_number = e.block_number and u.seq = e.seq`
  const found = keyColumns(table).map(({ name, number }) => `t.${quoted(name)} = u.k${number}`)
  const old = oldColumns(table)
  const settable = old.filter(({ always }) => !always)
  const set = settable.map(({ name, number }) => `${quoted(name)} = u.a${number}`)
  return `
    if e.id = ${id} then
      if e.op = 'I' then
        delete from ${target} t using ${entry} and ${found.join(" and ")};
      elsif e.op = 'U' then
        ${set.length === 0 ? `perform from ${entry};` : `update ${target} t set ${set.join(", ")} from ${entry} and ${found.join(" and ")};`}
      else
        insert into ${target} (${old.map(({ name }) => quoted(name)).join(", ")}) overriding system value
        select ${old.map(({ number }) => `u.a${number}`).join(", ")} from ${entry};
      end if;
      get diagnostics touched = row_count;
      if touched <> 1 then
        raise exception using message = format(
          'the row of %s that block %s wrote is no longer as the handler left it: it was changed outside of a commit (entry %s of undo_${id})',
          ${literal(table.name)}, e.block_number, e.seq);
      end if;
    end if;`
}

/** Takes back all entries of blocks above a number, the newest first; returns how many. */
export const createUndo = (
  schema: string,
  tables: ReadonlyArray<{ readonly id: number; readonly table: UndoTable }>
): string => {
  const entries = tables.map(
    ({ id }) =>
      `select ${id} as id, block_number, seq, op from "${schema}".undo_${id} where block_number > above`
  )
  const none = `select 0 as id, 0::int8 as block_number, 0::int8 as seq, 'I'::"char" as op where false`
  const all = [none, ...entries].join(" union all ")
  return `create or replace function "${schema}".undo(above int8) returns int8 language plpgsql as $undo$
declare
  e record;
  touched int8;
  undone int8 := 0;
  late text;
  change text;
  changes text[];
begin
  select string_agg(r.name || ' since block ' || r.since, ', ') into late
  from "${schema}".undo_tables r where r.since > above;
  if late is not null then
    raise exception using message = format(
      'cannot take back to block %s: what earlier blocks wrote was not logged (%s)', above, late);
  end if;
  if not exists (${all}) then
    return 0;
  end if;
  -- A statement that wrote rows of two tables kept their foreign key only at its end.
  select array_agg(format('alter table %s alter constraint %I', f.conrelid::regclass, f.conname)) into changes
  from pg_constraint f
  where f.contype = 'f' and not f.condeferrable
    and f.conrelid in (select relation from "${schema}".undo_tables);
  foreach change in array coalesce(changes, '{}') loop
    execute change || ' deferrable';
  end loop;
  set constraints all deferred;
  for e in ${all} order by seq desc loop${tables.map(({ id, table }) => takeBack(schema, id, table)).join("")}
    undone := undone + 1;
  end loop;
  set constraints all immediate;
  foreach change in array coalesce(changes, '{}') loop
    execute change || ' not deferrable';
  end loop;
  ${tables.map(({ id }) => `delete from "${schema}".undo_${id} where block_number > above;`).join("\n  ")}
  return undone;
end $undo$`
}

/** Forgets the entries of blocks that are final. */
export const createPrune = (schema: string, ids: ReadonlyArray<number>): string =>
  `create or replace function "${schema}".undo_prune(final int8) returns void language plpgsql as $undo$
begin
  ${ids.map((id) => `delete from "${schema}".undo_${id} where block_number <= final;`).join("\n  ")}
end $undo$`

/** What there is before any table is registered. */
export const createBase = (schema: string): ReadonlyArray<string> => [
  `create table "${schema}".undo_tables (
    id int4 generated always as identity primary key,
    relation oid not null unique,
    name text not null,
    shape text not null,
    since int8
  )`,
  `create sequence "${schema}".undo_seq`,
  `create function "${schema}".undo_no_truncate() returns trigger language plpgsql as $undo$
begin
  raise exception using message = format('TRUNCATE of %I.%I cannot be undone; use DELETE', tg_table_schema, tg_table_name);
end $undo$`,
  createUndo(schema, []),
  createPrune(schema, [])
]
