import fc from 'fast-check'
import { Millrace, type Trigger } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DuckDB, openDuckDB } from './duckdb.js'
import { firstTable, inFrames, streamingMode } from './in-frames.js'
import { comparable, inSql, orderedInSql, tablesInSql } from './in-sql.js'
import { type OrderedQuery, type Query, queries, type TableColumn } from './random-query.js'

/**
 * What random queries over random bounded rows mean, by DuckDB: filters, projections, groups, windows, joins, unions, order. MILLRACE_RUNS for how many
 * (`MILLRACE_RUNS=20000 npm run test:oracle`), MILLRACE_SEED for the same again; a failure is shrunk and prints both texts.
 */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 300)
const seed = process.env['MILLRACE_SEED']

let duck: DuckDB
let local: Millrace
let threads: Millrace
beforeAll(async () => {
  duck = await openDuckDB()
  local = await Millrace.open({ workers: 1 })
  // No row is looked at in the caller's thread: all goes through compiled stages.
  threads = await Millrace.open({ workers: 2, localRowsMax: 0 })
})
afterAll(async () => {
  await local?.close()
  await threads?.close()
  duck?.closeSync()
})

/** What was asked, and how much came out. */
const seen = { queries: 0, rows: 0, empty: 0, joins: 0, groups: 0, windows: 0, topics: 0, streamed: 0 }
afterAll(() => console.log(`random queries against DuckDB: ${JSON.stringify(seen)}`))

function see(query: Query): void {
  if (query.op === 'join') seen.joins += 1
  if (query.op === 'group') seen[query.window === undefined ? 'groups' : 'windows'] += 1
  if (query.op !== 'table') see(query.from)
  if ('other' in query) see(query.other)
}

type Value = string | number | boolean | null
type Rows = readonly (readonly Value[])[]

function valuesOf(rows: readonly object[], columns: readonly TableColumn[]): Value[][] {
  return rows.map((row) =>
    columns.map(({ name, kind }): Value => {
      const value = Reflect.get(row, name) as unknown
      if (value === null || value === undefined) return null
      if (kind === 'string' || kind === 'decimal(9,2)') return String(value)
      if (kind === 'boolean') return value as boolean
      // Only doubles are numbers below, which may be nearly equal; −0 and 0 are one, of which either may stand for the group.
      return kind === 'double' ? Number(value) + 0 : String(Number(value))
    }),
  )
}

/** Sums depend on the order of their parts. */
const TOLERANCE = 1e-9

/** The rows in one order, numbers last: nearly equal ones must not decide it. */
function sorted(rows: Rows): Rows {
  const text = (row: readonly Value[]): string => JSON.stringify(row.map((v) => (typeof v === 'number' ? 0 : v)))
  const numbers = (row: readonly Value[]): number[] => row.filter((v) => typeof v === 'number')
  const compare = (a: readonly Value[], b: readonly Value[]): number => {
    const [x, y] = [text(a), text(b)]
    if (x !== y) return x < y ? -1 : 1
    const [p, q] = [numbers(a), numbers(b)]
    for (let i = 0; i < p.length; i++) {
      const [u, v] = [p[i] as number, q[i] as number]
      if (!near(u, v)) return Number.isNaN(u) ? 1 : Number.isNaN(v) ? -1 : u - v
    }
    return 0
  }
  return [...rows].sort(compare)
}

const near = (a: number, b: number): boolean =>
  a === b ||
  Object.is(a, b) ||
  (Math.abs(a) + Math.abs(b) < Infinity && Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b)))

function expectSame(found: Rows, right: Rows, sql: string): void {
  const [ours, theirs] = [sorted(found), sorted(right)]
  const same = (row: readonly Value[], i: number): boolean =>
    row.every((v, n) => {
      const other = theirs[i]?.[n]
      return typeof v === 'number' && typeof other === 'number' ? near(v, other) : v === other
    })
  if (ours.length === theirs.length && ours.every(same)) return
  expect(ours, sql).toEqual(theirs)
}

async function differences(one: OrderedQuery, mill: Millrace): Promise<void> {
  for (const sql of tablesInSql(one.query)) await duck.run(sql)
  const sql = orderedInSql(one)
  const { columns } = one.query
  const right = valuesOf((await duck.runAndReadAll(comparable(columns, sql))).getRowObjectsJS(), columns)
  const [frame, topics] = await inFrames(mill, one)
  try {
    const found = valuesOf((await frame.collect()) as object[], columns)
    expectSame(found, right, sql)
    seen.queries += 1
    seen.rows += found.length
    if (found.length === 0) seen.empty += 1
    seen.topics += topics.length
    see(one.query)
  } finally {
    for (const topic of topics) await mill.topics.delete(topic)
  }
}

let streams = 0

/** The same rows, where the query runs as a stream until its input is drained. */
async function streamDifferences({ query }: OrderedQuery, trigger: Trigger): Promise<void> {
  const outputMode = streamingMode(query)
  if (outputMode === undefined) return
  // Where there is nothing to read there is no batch, as in Spark, and so not even a count of 0.
  if ('availableNow' in trigger && firstTable(query).rows.length === 0) return
  for (const sql of tablesInSql(query)) await duck.run(sql)
  const sql = inSql(query)
  const { columns } = query
  const right = valuesOf((await duck.runAndReadAll(comparable(columns, sql))).getRowObjectsJS(), columns)
  const [frame, topics] = await inFrames(threads, { query, order: undefined }, true)
  const name = `streamed-${++streams}`
  try {
    const running = await frame.writeStream
      .format('memory')
      .queryName(name)
      .outputMode(outputMode)
      .option('idleTimeout', 'off')
      .trigger(trigger)
      .start()
    if ('availableNow' in trigger) await running.awaitTermination()
    else {
      await running.processAllAvailable()
      await running.drain()
    }
    const found = valuesOf((await threads.table(name).collect()) as object[], columns)
    expectSame(found, right, sql)
    seen.streamed += 1
  } finally {
    for (const topic of topics) await threads.topics.delete(topic)
  }
}

const triggers: readonly Trigger[] = [{ processingTime: 0 }, { availableNow: true }, { continuous: 5 }]

test(`as streams they come to the same rows (${numRuns})`, async () => {
  await fc.assert(fc.asyncProperty(queries, fc.constantFrom(...triggers), streamDifferences), {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  })
}, 3_600_000)

test(`random queries mean what they mean to DuckDB (${numRuns})`, async () => {
  await fc.assert(
    fc.asyncProperty(queries, fc.boolean(), (one, onThreads) => differences(one, onThreads ? threads : local)),
    { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }) },
  )
}, 3_600_000)
