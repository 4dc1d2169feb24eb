import { describe, expect, test } from 'vitest'
import { type AnyColumn, Column } from '../../src/api/column.js'
import { avg, col, count, lit, max, min, sessionWindow, sum, upper, when, window } from '../../src/api/functions.js'
import { analyze } from '../../src/plan/analyzer.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { typeName } from '../../src/types/data-type.js'
import { clickSchema, codeOf, expressionsOf, planOptions, scan } from './plans.js'

const aggregate = (
  input: LogicalPlan,
  keys: Parameters<typeof expressionsOf>[0],
  aggregates: Parameters<typeof expressionsOf>[0],
): LogicalPlan => ({
  op: 'aggregate',
  input,
  keys: expressionsOf(keys),
  aggregates: expressionsOf(aggregates),
})
const select = (input: LogicalPlan, ...columns: Parameters<typeof expressionsOf>[0]): LogicalPlan => ({
  op: 'select',
  input,
  columns: expressionsOf(columns),
})
const filter = (input: LogicalPlan, condition: AnyColumn): LogicalPlan => ({
  op: 'filter',
  input,
  condition: condition.expression,
})
const watermark = (input: LogicalPlan, column = 'ts'): LogicalPlan => ({
  op: 'withWatermark',
  input,
  column,
  delayMs: 10_000,
})
const schemaText = (plan: LogicalPlan): string => {
  const { fields } = analyze(plan, { ansi: true }).schema
  return fields.map((f) => `${f.name} ${typeName(f.type)}${f.nullable ? '?' : ''}`).join(', ')
}

describe('types and names of results', () => {
  test('a projection names what nobody named as Spark does', () => {
    expect(
      schemaText(
        select(
          scan(),
          'userId',
          col('price').mul(2),
          upper('page'),
          'place.zip',
          col('clicks').cast('long'),
          lit(5n).as('big'),
        ),
      ),
    ).toBe('userId string, (price * 2) double?, upper(page) string?, zip int?, clicks long, big bigint')
  })
  test('a star stands for all columns, and struct.* for its fields', () => {
    expect(schemaText(select(scan(), 'place.*', 'clicks'))).toBe('country string?, zip int?, clicks int')
    expect(analyze(select(scan(), '*'), { ansi: true }).schema).toStrictEqual(clickSchema)
  })
  test('withColumn replaces in place or appends, drop takes away', () => {
    const added: LogicalPlan = { op: 'withColumn', input: scan(), name: 'price', value: col('clicks').expression }
    const dropped: LogicalPlan = { op: 'drop', input: added, names: ['place', 'seenAt', 'nope'] }
    expect(schemaText(dropped)).toBe('userId string, page string?, ts timestamp, price int, clicks int')
  })
  test('an aggregation gives keys in the order given, then aggregates', () => {
    expect(
      schemaText(
        aggregate(
          scan(),
          ['page', window('ts', '1 minute'), 'userId'],
          [count().as('n'), sum('price'), sum('clicks'), avg('clicks'), min('page'), max('ts')],
        ),
      ),
    ).toBe(
      'page string?, window struct<start:timestamp,end:timestamp>, userId string, n long, sum(price) double?, sum(clicks) long?, avg(clicks) double?, min(page) string?, max(ts) timestamp?',
    )
  })
  test('an expression around aggregates becomes a projection above', () => {
    const plan = analyze(
      aggregate(
        scan(),
        ['page'],
        [sum('price').divide(count()).as('mean'), count().as('n'), upper(col('page')).as('p')],
      ),
      { ansi: true },
    )
    expect(plan.op).toBe('project')
    expect(plan.schema.fields.map((f) => f.name)).toStrictEqual(['page', 'mean', 'n', 'p'])
  })
  test('count of a column that is never null counts rows', () => {
    const plan = analyze(aggregate(scan(), [], [count('userId').as('a'), count('page').as('b')]), { ansi: true })
    expect(plan.op === 'aggregate' && plan.aggregates.map((a) => a.arg === undefined)).toStrictEqual([true, false])
  })
})

describe('what is refused, and how', () => {
  test('a column that is not there names the columns and the nearest', () => {
    expect(() => analyze(select(scan(), 'pgae'), { ansi: true })).toThrow(
      /there is no column named pgae[\s\S]*userId, page, ts[\s\S]*did you mean page\?/,
    )
    expect(codeOf(() => analyze(select(scan(), 'place.town'), { ansi: true }))).toBe('UNRESOLVED_COLUMN')
  })
  test.each([
    ['an unknown function', select(scan(), new Column({ kind: 'call', fn: 'uper', args: [] })), 'UNRESOLVED_ROUTINE'],
    ['an aggregate in a filter', filter(scan(), count().gt(1)), 'UNSUPPORTED_OPERATION'],
    ['an aggregate in select', select(scan(), sum('price')), 'UNSUPPORTED_OPERATION'],
    ['a sliding window in select', select(scan(), window('ts', '1 hour', '1 minute')), 'UNSUPPORTED_OPERATION'],
    ['a window of nothing in select', select(scan(), window('ts', 0)), 'INVALID_WINDOW'],
    ['a filter that is no boolean', filter(scan(), col('clicks')), 'DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN'],
    [
      'a comparison of a number with a struct',
      filter(scan(), col('place').eq(1)),
      'DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE',
    ],
    ['two columns of one name', select(scan(), 'page', upper('page').as('page')), 'COLUMN_ALREADY_EXISTS'],
    [
      'branches without a common type',
      select(scan(), when(lit(true), col('ts')).otherwise(1).as('x')),
      'DATATYPE_MISMATCH.DATA_DIFF_TYPES',
    ],
    [
      'windows with time in between',
      aggregate(scan(), [window('ts', '30 seconds', '1 minute')], [count()]),
      'INVALID_WINDOW',
    ],
    ['a start beyond the slide', aggregate(scan(), [window('ts', 60, 30, 30)], [count()]), 'INVALID_WINDOW'],
    ['a session without a gap', aggregate(scan(), [sessionWindow('ts', 0)], [count()]), 'INVALID_WINDOW'],
    [
      'a session whose gap is a boolean',
      aggregate(scan(), [sessionWindow('ts', lit(true))], [count()]),
      'DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE',
    ],
    ['a session window in a filter', filter(scan(), sessionWindow('ts', 60)), 'UNSUPPORTED_OPERATION'],
    [
      'a window and a session',
      aggregate(scan(), [window('ts', '1 minute'), sessionWindow('ts', '1 minute')], [count()]),
      'UNSUPPORTED_OPERATION',
    ],
    [
      'two windows',
      aggregate(scan(), [window('ts', '1 minute'), window('seenAt', '1 minute').as('w')], [count()]),
      'UNSUPPORTED_OPERATION',
    ],
    ['a window over a string', aggregate(scan(), [window('page', '1 minute')], [count()]), 'UNSUPPORTED_OPERATION'],
    [
      'a sum of strings that are places',
      aggregate(scan(), [], [sum('place')]),
      'DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE',
    ],
    [
      'a column in agg that is no key',
      aggregate(scan(), ['page'], [count().plus(col('price')).as('x')]),
      'MISSING_AGGREGATION',
    ],
    ['a watermark on a column that is not there', watermark(scan(), 'tz'), 'UNRESOLVED_COLUMN'],
    ['a watermark on a string', watermark(scan(), 'page'), 'EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE'],
    ['a watermark after an aggregate', watermark(aggregate(scan(), ['ts'], [count()])), 'UNSUPPORTED_OPERATION'],
    ['two watermarks', watermark(watermark(scan()), 'seenAt'), 'UNSUPPORTED_OPERATION'],
    ['a limit below zero', { op: 'limit', input: scan(), count: -1 }, 'INVALID_LIMIT'],
  ] as [string, LogicalPlan, string][])('%s', (_, plan, code) => {
    expect(codeOf(() => analyze(plan, { ansi: true }))).toBe(code)
  })
})

describe("Spark's matrix of output modes", () => {
  const stream = scan(true)
  const perMinute = (input: LogicalPlan, column = 'ts'): LogicalPlan =>
    aggregate(input, [window(column, '1 minute')], [count()])
  const running = { streaming: true, mode: 'microBatch' } as const
  const plan = (logical: LogicalPlan, outputMode: 'append' | 'update' | 'complete') =>
    codeOf(() => planQuery(logical, planOptions({ ...running, outputMode })))
  test.each([
    ['append', 'an aggregation whose windows close', perMinute(watermark(stream)), 'no error'],
    ['append', 'an aggregation without a watermark', perMinute(stream), 'UNSUPPORTED_OPERATION'],
    ['append', 'a window over another column', perMinute(watermark(stream), 'seenAt'), 'UNSUPPORTED_OPERATION'],
    [
      'append',
      'an aggregation without a window',
      aggregate(watermark(stream), ['page'], [count()]),
      'UNSUPPORTED_OPERATION',
    ],
    ['append', 'no aggregation', filter(stream, col('price').gt(0)), 'no error'],
    ['update', 'an aggregation without a watermark', perMinute(stream), 'no error'],
    ['update', 'no aggregation', stream, 'no error'],
    ['complete', 'an aggregation', aggregate(stream, ['page'], [count()]), 'no error'],
    ['complete', 'no aggregation', stream, 'UNSUPPORTED_OPERATION'],
    [
      'update',
      'two aggregations',
      aggregate(aggregate(stream, ['page'], [count().as('n')]), ['n'], [count()]),
      'UNSUPPORTED_OPERATION',
    ],
    ['update', 'orderBy', { op: 'orderBy', input: stream, keys: [col('ts').expression] }, 'UNSUPPORTED_OPERATION'],
    ['update', 'limit', { op: 'limit', input: stream, count: 1 }, 'UNSUPPORTED_OPERATION'],
  ] as ['append' | 'update' | 'complete', string, LogicalPlan, string][])('%s of %s', (mode, _, logical, code) => {
    expect(plan(logical, mode)).toBe(code)
  })
  test('a batch may do all of it', () => {
    const logical: LogicalPlan = {
      op: 'orderBy',
      input: aggregate(aggregate(stream, ['page'], [count().as('n')]), ['n'], [count()]),
      keys: [col('n').expression],
    }
    expect(codeOf(() => planQuery(logical, planOptions()))).toBe('no error')
  })
})
