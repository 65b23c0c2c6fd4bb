/**
 * A table whose rows can be taken back: what the catalog says of it, and why it may be refused.
 */

/** A column as the catalog has it. */
export interface UndoColumn {
  /** Its number, which outlives a rename. */
  readonly number: number
  readonly name: string
  /** Without the domain around it, if there is one. */
  readonly type: string
  readonly key: boolean
  readonly generated: boolean
  /** `generated always as identity`. */
  readonly always: boolean
  readonly default: string | null
}

/** What `inspect` reads of one registered name; nulls where there is no such table. */
export interface UndoTable {
  /** As it was registered. */
  readonly name: string
  readonly schema: string | null
  readonly table: string | null
  readonly relation: bigint | null
  readonly kind: string | null
  readonly persistence: string | null
  readonly is_partition: boolean | null
  readonly inherits: boolean
  readonly secured: boolean | null
  readonly ruled: boolean
  /** Triggers that are neither ours nor PostgreSQL's own. */
  readonly triggers: string | null
  /** Tables that are not registered, and whose foreign keys change their rows along with ours. */
  readonly cascades: string | null
  readonly columns: ReadonlyArray<UndoColumn> | null
  readonly id: number | null
  /** The shape that its log was made for. */
  readonly shape: string | null
  /** Both triggers are there. */
  readonly armed: boolean
  /** The log's columns by name and type. */
  readonly kept: ReadonlyArray<{ readonly name: string; readonly type: string }> | null
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

export const full = ({ schema, table }: UndoTable): string => `${quoted(schema ?? "")}.${quoted(table ?? "")}`

/** Both triggers of a deployment; two deployments may have registered the same table. */
export const triggerNames = (schema: string) => {
  const name = `sluice_${schema}`.slice(0, 58)
  return { rows: name, truncate: `${name}_all` } as const
}

/** The session's setting that says whose block is being written. */
export const setting = (schema: string): string => `sluice.${schema}`

/** Names as a JSON array in `$1`. */
export const inspect = (schema: string): string => `
with wanted as (
  select name, to_regclass(name)::oid as oid from json_array_elements_text($1::json) w(name)
)
select w.name, n.nspname::text as schema, c.relname::text as table, c.oid::int8 as relation,
  c.relkind::text as kind, c.relpersistence::text as persistence, c.relispartition as is_partition,
  exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) as inherits,
  c.relrowsecurity as secured,
  exists (select from pg_rewrite r where r.ev_class = c.oid) as ruled,
  (select string_agg(t.tgname::text, ', ' order by t.tgname) from pg_trigger t
    where t.tgrelid = c.oid and not t.tgisinternal and t.tgname::text not like 'sluice\\_%') as triggers,
  (select string_agg(f.conrelid::regclass::text, ', ') from pg_constraint f
    where f.contype = 'f' and f.confrelid = c.oid and f.conrelid not in (select oid from wanted where oid is not null)
      and (f.confdeltype in ('c', 'n', 'd') or f.confupdtype in ('c', 'n', 'd'))) as cascades,
  (select json_agg(json_build_object(
      'number', a.attnum,
      'name', a.attname,
      'type', (
        with recursive b(type, typmod) as (
          select a.atttypid, a.atttypmod
          union all
          select y.typbasetype, y.typtypmod from b join pg_type y on y.oid = b.type where y.typtype = 'd'
        )
        select format_type(b.type, b.typmod) from b join pg_type y on y.oid = b.type where y.typtype <> 'd'
      ),
      'key', coalesce(a.attnum = any(i.indkey), false),
      'generated', a.attgenerated <> '',
      'always', a.attidentity = 'a',
      'default', pg_get_expr(d.adbin, d.adrelid)
    ) order by a.attnum)
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_index i on i.indrelid = c.oid and i.indisprimary
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  u.id, u.shape,
  (select count(*) = 2 from pg_trigger t where t.tgrelid = c.oid and t.tgenabled in ('O', 'A')
    and t.tgname::text in (${literal(triggerNames(schema).rows)}, ${literal(triggerNames(schema).truncate)})
  ) as armed,
  (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)))
    from pg_attribute a
    where a.attrelid = to_regclass(${literal(`"${schema}".undo_`)} || u.id) and a.attnum > 0
      and not a.attisdropped and a.attname not in ('block_number', 'seq', 'op')) as kept
from wanted w
left join pg_class c on c.oid = w.oid
left join pg_namespace n on n.oid = c.relnamespace
left join "${schema}".undo_tables u on u.relation = c.oid`

/** Why the rows of this table could not be taken back; undefined where they can. */
export const refusal = (table: UndoTable): string | undefined => {
  const why = reason(table)
  return why === undefined ? undefined : `the table ${table.name} cannot be registered: ${why}`
}

const reason = (table: UndoTable): string | undefined => {
  if (!table.name.includes(".")) return `say its schema too, as in public.${table.name}`
  if (table.columns === null) return "there is no such table"
  if (table.kind === "p" || table.is_partition === true)
    return "it is partitioned; only ordinary tables can be taken back"
  if (table.kind !== "r") return "it is no table, but a view or something else"
  if (table.inherits) return "it takes part in inheritance"
  if (table.persistence !== "p") return "it is unlogged or temporary, and a crash would empty it"
  if (!table.columns.some(({ key }) => key)) return "it has no primary key, so a row cannot be found again"
  if (table.triggers !== null)
    return `it has triggers of its own (${table.triggers}), which would run again when rows are put back`
  if (table.ruled) return "it has rules, which would change what is put back"
  if (table.secured === true) return "it has row level security, which may hide rows from the undo"
  if (table.cascades !== null)
    return `foreign keys of ${table.cascades} change rows along with it; register these tables too`
  return undefined
}

/** All that the log and its functions are made from. */
export const shapeOf = ({ columns, schema, table }: UndoTable): string =>
  JSON.stringify([schema, table, columns?.map(({ default: _, ...column }) => column)])
