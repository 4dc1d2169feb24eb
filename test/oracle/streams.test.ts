import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, type DataFrame, expr, Millrace, sessionWindow, window } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StructSchema } from '../../dist/types/schema.js'
import { type ScalarKind, scalar, structType } from '../../src/types/data-type.js'
import { readCases } from './oracle-cases.js'

/**
 * What each step of a streaming query emits, against Spark's answers, by Spark's rule of lateness. Between steps the query is stopped and goes on from its
 * checkpoint, as Spark was. A case that asks for what there is not yet is counted as unsupported, by its operator, and nothing else is.
 */
interface StreamCase {
  readonly id: string
  readonly group: string
  readonly title: string
  readonly sources: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly plan: CasePlan
  readonly outputMode: 'append' | 'update' | 'complete'
  readonly steps: readonly {
    readonly add: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>
    readonly expect: { readonly rows?: readonly unknown[]; readonly error?: { readonly class: string } }
  }[]
  readonly conf?: Readonly<Record<string, string>>
  readonly ordered?: boolean
}

interface CasePlan {
  readonly from: string
  readonly ops: readonly CaseOperator[]
}

type WindowKey = { readonly window: string; readonly size: string; readonly slide?: string; readonly start?: string }
type GroupKey = string | WindowKey | { readonly session: string; readonly gap: string }
type CaseOperator =
  | { readonly op: 'withWatermark'; readonly column: string; readonly delay: string }
  | { readonly op: 'filter'; readonly sql: string }
  | { readonly op: 'select'; readonly sql: readonly string[] }
  | { readonly op: 'withColumn'; readonly name: string; readonly sql?: string; readonly window?: WindowKey }
  | { readonly op: 'groupBy'; readonly keys: readonly GroupKey[]; readonly aggs: Readonly<Record<string, string>> }
  | { readonly op: 'join'; readonly how: string; readonly right: CasePlan; readonly on: string }
  | { readonly op: 'union'; readonly with: CasePlan }
  | { readonly op: 'orderBy'; readonly sql: readonly string[] }
  | { readonly op: 'limit'; readonly n: number }
  | { readonly op: 'distinct' }
  | { readonly op: 'dropDuplicates' | 'dropDuplicatesWithinWatermark'; readonly columns?: readonly string[] }

class Unsupported extends Error {}

const path = process.env.MILLRACE_ORACLE_STREAMS ?? new URL('streams.jsonl', import.meta.url).pathname
const cases = readCases<StreamCase>(path)

let dir: string
let mill: Millrace
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-oracle-'))
  mill = await Millrace.open({ dir, workers: 2, fsync: 'never' })
})
afterAll(async () => {
  await mill.close()
  rmSync(dir, { recursive: true, force: true })
})

function frameOf(id: string, plan: CasePlan): DataFrame {
  let frame: DataFrame = mill.readStream.option('startingOffsets', 'earliest').topic(`${id}-${plan.from}`)
  plan.ops.forEach((operator, i) => {
    frame = applied(id, frame, operator, plan.ops[i + 1])
  })
  return frame
}

function applied(id: string, frame: DataFrame, operator: CaseOperator, next: CaseOperator | undefined): DataFrame {
  switch (operator.op) {
    case 'withWatermark':
      return frame.withWatermark(operator.column, operator.delay)
    case 'filter':
      return frame.filter(operator.sql)
    case 'select':
      return frame.selectExpr(...operator.sql)
    case 'withColumn': {
      const { name, sql, window: key } = operator
      return frame.withColumn(
        name,
        key === undefined ? expr(sql ?? '') : window(key.window, key.size, key.slide, key.start),
      )
    }
    case 'groupBy': {
      const aggregates = Object.fromEntries(Object.entries(operator.aggs).map(([name, sql]) => [name, expr(sql)]))
      return frame.groupBy(...operator.keys.map(keyOf)).agg(aggregates) as unknown as DataFrame
    }
    case 'join': {
      const right = frameOf(id, operator.right)
      const joined = frame.as('l').join(right.as('r'), expr(operator.on), operator.how as 'inner')
      if (next?.op === 'select' || operator.how === 'leftSemi') return joined as unknown as DataFrame
      const renamed = right.columns.map((name) =>
        frame.columns.includes(name) ? col(`r.${name}`).as(`r_${name}`) : col(`r.${name}`),
      )
      return joined.select(...frame.columns.map((name) => col(`l.${name}`)), ...renamed) as unknown as DataFrame
    }
    case 'union':
      return frame.union(frameOf(id, operator.with))
    case 'orderBy':
      return frame.orderBy(...operator.sql.map((sql) => expr(sql)))
    case 'limit':
      return frame.limit(operator.n)
    case 'distinct':
      return frame.distinct()
    case 'dropDuplicates':
      return frame.dropDuplicates(...(operator.columns ?? []))
    case 'dropDuplicatesWithinWatermark':
      return frame.dropDuplicatesWithinWatermark(...(operator.columns ?? []))
  }
}

function keyOf(key: GroupKey) {
  if (typeof key === 'string') return col(key)
  if ('session' in key) return sessionWindow(key.session, key.gap).as('session_window')
  return window(key.window, key.size, key.slide, key.start).as('window')
}

async function runCase(oracle: StreamCase): Promise<void> {
  for (const [name, columns] of Object.entries(oracle.sources)) {
    const schema = structType(
      Object.entries(columns).map(([column, type]) => ({
        name: column,
        type: scalar(type as ScalarKind),
        nullable: true,
      })),
    )
    await mill.topics.create(`${oracle.id}-${name}`, { partitions: 1, schema: new StructSchema(schema) })
  }
  const refused = oracle.steps.some((step) => step.expect.error !== undefined)
  const frame = refused ? undefined : frameOf(oracle.id, oracle.plan)
  for (const [i, { add, expect: expected }] of oracle.steps.entries()) {
    for (const [name, rows] of Object.entries(add)) {
      const messages = rows.map((row) => ({
        value: Object.fromEntries(
          Object.entries(row).map(([k, v]) => [k, k === 'ts' && v !== null ? Date.parse(String(v)) : v]),
        ),
      }))
      if (messages.length > 0) await mill.producer().send({ topic: `${oracle.id}-${name}`, messages })
    }
    const emitted: unknown[] = []
    const run = async (): Promise<void> => {
      const query = await (frame ?? frameOf(oracle.id, oracle.plan)).writeStream
        .queryName(oracle.id)
        .outputMode(oracle.outputMode)
        .option('watermark', 'spark')
        .option('multipleWatermarkPolicy', oracle.conf?.['spark.sql.streaming.multipleWatermarkPolicy'] ?? 'min')
        .trigger({ availableNow: true })
        .foreachBatch(async (rows) => void emitted.push(...(await rows.collect())))
        .start()
      await query.awaitTermination()
    }
    if (expected.error !== undefined) {
      const error: unknown = await run().catch((e: unknown) => e)
      if (error instanceof Unsupported) throw error
      expect(error).toMatchObject({ code: expect.any(String) })
      return
    }
    await run()
    expect(texts(emitted.map(shown), oracle.ordered), `${oracle.title}, step ${i}`).toEqual(
      texts(expected.rows ?? [], oracle.ordered),
    )
  }
}

/** As Spark's answers are written: times in ISO. The names tell which columns are times. */
function shown(row: unknown): unknown {
  if (typeof row === 'bigint') return Number(row)
  if (Number.isNaN(row)) return 'NaN'
  if (typeof row !== 'object' || row === null) return row
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (typeof value === 'number' && /^(r_)?ts$|^start$|^end$/.test(name))
        return [name, new Date(value).toISOString()]
      if (Array.isArray(value)) return [name, value.map(shown)]
      return [name, shown(value)]
    }),
  )
}

function texts(rows: readonly unknown[], ordered: boolean | undefined): string[] {
  const sorted = rows.map((row) => JSON.stringify(row))
  return ordered === true ? sorted : sorted.sort()
}

/** Where our answer is another; a case that is listed and agrees after all fails. docs/spark-differences.md says why. */
const differences: readonly string[] = []

const unsupported: string[] = []
test.concurrent.each(cases.map((c) => [c.id, c.title, c] as const))('%s: %s', async (_id, _title, oracle) => {
  try {
    if (differences.includes(oracle.id)) {
      await expect(runCase(oracle)).rejects.toThrow('to deeply equal')
      return
    }
    await runCase(oracle)
  } catch (error) {
    const refused = (error as { readonly code?: string }).code === 'UNSUPPORTED_OPERATION'
    if (!(error instanceof Unsupported) && !refused) throw error
    unsupported.push(String((error as { readonly summary?: string }).summary ?? (error as Error).message))
  }
})

test('what is not supported yet is no more than this', () => {
  const byReason = new Map<string, number>()
  for (const reason of unsupported) byReason.set(reason, (byReason.get(reason) ?? 0) + 1)
  expect(Object.fromEntries([...byReason].sort())).toEqual({})
})
