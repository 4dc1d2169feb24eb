import fc from 'fast-check'
import { Millrace, type Trigger } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DuckDB, openDuckDB } from './duckdb.js'
import { inFrames, streamingMode } from './in-frames.js'
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
      // −0 and 0 are one value, of which either may stand for the group.
      return Number(value) + 0
    }),
  )
}

/** Doubles to 9 digits: sums depend on the order of their parts. */
const textOf = (row: readonly Value[]): string =>
  JSON.stringify(row.map((value) => (typeof value === 'number' ? (value === 0 ? '0' : value.toPrecision(9)) : value)))

const sorted = (rows: Rows): string[] => rows.map(textOf).sort()

async function differences(one: OrderedQuery, mill: Millrace): Promise<void> {
  for (const sql of tablesInSql(one.query)) await duck.run(sql)
  const sql = orderedInSql(one)
  const { columns } = one.query
  const right = valuesOf((await duck.runAndReadAll(comparable(columns, sql))).getRowObjectsJS(), columns)
  const [frame, topics] = await inFrames(mill, one)
  try {
    const found = valuesOf((await frame.collect()) as object[], columns)
    expect(sorted(found), sql).toEqual(sorted(right))
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
    expect(sorted(found), sql).toEqual(sorted(right))
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
