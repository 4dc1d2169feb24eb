import { col, type DataFrame, expr, type Millrace, t, window } from 'millrace'
import type { Cell, OrderedQuery, Query, Table, TableColumn } from './random-query.js'

/** A random query as its user would write it. */

const cellValue = (cell: Cell, { kind }: TableColumn): unknown =>
  kind === 'timestamp' && cell !== null ? Number(cell) : cell

const objectsOf = ({ columns, rows }: Table): Record<string, unknown>[] =>
  rows.map((row) => Object.fromEntries(columns.map((column, i) => [column.name, cellValue(row[i] as Cell, column)])))

let topics = 0

/**
 * The frame, and the topics that were made for it. As a stream the first table is read from its topic as it comes; what is joined to it ends.
 */
export async function inFrames(
  mill: Millrace,
  { query, order }: OrderedQuery,
  asStream = false,
): Promise<[DataFrame, string[]]> {
  const made: string[] = []
  const first = firstTable(query)

  async function source(table: Table): Promise<DataFrame> {
    const schema = t.ddl(table.columns.map(({ name, kind }) => `${name} ${kind}`).join(', '))
    const rows = objectsOf(table)
    if (table.partitions === undefined) return mill.createDataFrame(rows, schema) as unknown as DataFrame
    const topic = `oracle-${++topics}`
    await mill.topics.create(topic, { partitions: table.partitions, schema })
    made.push(topic)
    const partitions = table.partitions
    const messages = rows.map((value, i) => ({ value, partition: i % partitions }))
    if (messages.length > 0) await mill.producer().send({ topic, messages })
    const reader = asStream && table === first ? mill.readStream.option('startingOffsets', 'earliest') : mill.read
    return reader.topic(topic) as unknown as DataFrame
  }

  async function frameOf(one: Query): Promise<DataFrame> {
    if (one.op === 'table') return await source(one.table)
    const from = await frameOf(one.from)
    switch (one.op) {
      case 'filter':
        return from.filter(one.sql)
      case 'select':
        return from.selectExpr(...one.items.map(({ sql, name }) => `${sql} as ${name}`))
      case 'distinct':
        return from.distinct()
      case 'union':
        return from.union(await frameOf(one.other))
      case 'group': {
        const keys = one.keys.map(({ sql, name }) => expr(sql).as(name))
        const at = one.window === undefined ? [] : [window(one.window.column, `${one.window.seconds} seconds`)]
        const aggregates = Object.fromEntries(one.aggregates.map(({ sql, name }) => [name, expr(sql)]))
        const groups = from.groupBy(...([...at, ...keys] as never[])).agg(aggregates) as unknown as DataFrame
        if (one.window === undefined) return groups
        return groups.selectExpr(`window.start as ${one.window.name}`, ...one.columns.slice(1).map(({ name }) => name))
      }
      case 'join': {
        const other = await frameOf(one.other)
        if (one.how === 'cross') return from.crossJoin(other) as unknown as DataFrame
        return from.join(other, expr(one.on), one.how) as unknown as DataFrame
      }
    }
  }

  const frame = await frameOf(query)
  if (order === undefined) return [frame, made]
  const keys = order.keys.map(({ name, descending }) => (descending ? col(name).desc() : col(name).asc()))
  return [frame.orderBy(...keys).limit(order.limit), made]
}

export function firstTable(query: Query): Table {
  return query.op === 'table' ? query.table : firstTable(query.from)
}

/** How a stream can give the query's rows in the end: the output mode; undefined where it cannot. */
export function streamingMode(query: Query): 'append' | 'complete' | undefined {
  if (firstTable(query).partitions === undefined) return undefined
  let state = 0
  let mode: 'append' | 'complete' = 'append'
  for (let one = query; one.op !== 'table'; one = one.from) {
    if (one.op === 'union') return undefined
    if (one.op === 'join') {
      // Beside the rows that end, those without a match are known only of the stream's side; and no join may follow an aggregation.
      if (mode === 'complete' || !['inner', 'left', 'leftSemi', 'leftAnti'].includes(one.how)) return undefined
    }
    if (one.op === 'group') mode = 'complete'
    if (one.op === 'group' || one.op === 'distinct') state += 1
  }
  return state > 1 ? undefined : mode
}
