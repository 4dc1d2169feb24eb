import type { Cell, Item, OrderedQuery, Query, Table, TableColumn } from './random-query.js'

/** A random query and its tables in DuckDB's words. */

const duckType = (kind: TableColumn['kind']): string =>
  kind === 'string' ? 'varchar' : kind === 'long' ? 'bigint' : kind

function literal(cell: Cell, { kind }: TableColumn): string {
  if (cell === null) return 'null'
  if (kind === 'timestamp') return `make_timestamp(${Number(cell)}::bigint * 1000)`
  if (kind === 'double') return `'${Object.is(cell, -0) ? '-0' : String(cell)}'::double`
  if (kind === 'string') return `'${String(cell).replaceAll("'", "''")}'`
  return String(cell)
}

/** Makes the tables that the query reads. */
export function tablesInSql(query: Query): string[] {
  return tablesOf(query).flatMap((table) => {
    const columns = table.columns.map((column) => `${column.name} ${duckType(column.kind)}`).join(', ')
    const rows = table.rows.map(
      (row) => `(${row.map((cell, i) => literal(cell, table.columns[i] as TableColumn)).join(', ')})`,
    )
    const made = `create or replace temp table ${table.name} (${columns})`
    return rows.length === 0 ? [made] : [made, `insert into ${table.name} values ${rows.join(', ')}`]
  })
}

export function tablesOf(query: Query): Table[] {
  if (query.op === 'table') return [query.table]
  return [...tablesOf(query.from), ...('other' in query ? tablesOf(query.other) : [])]
}

const list = (items: readonly Item[]): string => items.map(({ sql, name }) => `${sql} as ${name}`).join(', ')

export function inSql(query: Query): string {
  switch (query.op) {
    case 'table':
      return `select * from ${query.table.name}`
    case 'filter':
      return `select * from (${inSql(query.from)}) where ${query.sql}`
    case 'select':
      return `select ${list(query.items)} from (${inSql(query.from)})`
    case 'distinct':
      return `select distinct * from (${inSql(query.from)})`
    case 'union':
      return `(${inSql(query.from)}) union all (${inSql(query.other)})`
    case 'group': {
      const { window } = query
      const start =
        window === undefined
          ? []
          : [{ sql: `time_bucket(interval '${window.seconds} seconds', ${window.column})`, name: window.name }]
      const keys = [...start, ...query.keys]
      const timed = window === undefined ? '' : ` where ${window.column} is not null`
      const input = `select *${keys.map(({ sql, name }) => `, ${sql} as ${name}`).join('')} from (${inSql(query.from)})${timed}`
      const names = keys.map(({ name }) => name)
      const columns = [...names, list(query.aggregates)].join(', ')
      return `select ${columns} from (${input})${names.length === 0 ? '' : ` group by ${names.join(', ')}`}`
    }
    case 'join': {
      const words = { inner: 'join', left: 'left join', right: 'right join', full: 'full join' }
      const { how } = query
      const [left, right] = [`(${inSql(query.from)}) l`, `(${inSql(query.other)}) r`]
      if (how === 'cross') return `select * from ${left} cross join ${right}`
      if (how === 'leftSemi') return `select * from ${left} semi join ${right} on ${query.on}`
      if (how === 'leftAnti') return `select * from ${left} anti join ${right} on ${query.on}`
      return `select * from ${left} ${words[how]} ${right} on ${query.on}`
    }
  }
}

export function orderedInSql({ query, order }: OrderedQuery): string {
  if (order === undefined) return inSql(query)
  const keys = order.keys.map(({ name, descending }) => `${name} ${descending ? 'desc nulls last' : 'asc nulls first'}`)
  return `select * from (${inSql(query)}) order by ${keys.join(', ')} limit ${order.limit}`
}

/** As values that compare: times in milliseconds, integers as numbers, decimals as text. */
export function comparable(columns: readonly TableColumn[], sql: string): string {
  const of = ({ name, kind }: TableColumn): string => {
    if (kind === 'timestamp') return `cast(epoch_ms(${name}) as double) as ${name}`
    if (kind === 'int' || kind === 'long') return `cast(${name} as double) as ${name}`
    if (kind === 'decimal(9,2)') return `cast(cast(${name} as decimal(9,2)) as varchar) as ${name}`
    return name
  }
  return `select ${columns.map(of).join(', ')} from (${sql})`
}
