import { describe, expect, test } from 'vitest'
import type { AnyColumn } from '../../src/api/column.js'
import { col, count, lit, sum, upper, when, window } from '../../src/api/functions.js'
import { explain, explainPhysical } from '../../src/plan/explain.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { columnSlots } from '../../src/types/data-type.js'
import { codeOf, expressionsOf, planOptions, scan } from './plans.js'

const perPage = (streaming: boolean): LogicalPlan => {
  const stamped: LogicalPlan = { op: 'withWatermark', input: scan(streaming), column: 'ts', delayMs: 10_000 }
  const filtered: LogicalPlan = { op: 'filter', input: stamped, condition: col('price').gt(lit(1).plus(1)).expression }
  return {
    op: 'aggregate',
    input: filtered,
    keys: expressionsOf([window('ts', '1 minute'), 'page']),
    aggregates: expressionsOf([count().as('views'), sum('price').as('revenue')]),
  }
}

describe('the plan of views per page and minute', () => {
  const query = planQuery(perPage(true), planOptions({ streaming: true, mode: 'microBatch' }))
  const [first, second] = query.physical.stages

  test('has two stages, cut at the exchange', () => {
    expect(
      query.physical.stages.map((s) => [
        s.input.kind,
        s.head?.op,
        s.pipeline.map((o) => o.op),
        s.output.kind,
        s.parallelism,
      ]),
    ).toStrictEqual([
      ['scan', undefined, ['filter'], 'partialAggregate', 'parallel'],
      ['exchange', 'finalAggregate', [], 'sink', 'parallel'],
    ])
  })
  test('reads the columns that it uses and no others', () => {
    expect(first?.input.kind === 'scan' && first.input.schema.fields.map((f) => f.name)).toStrictEqual([
      'page',
      'ts',
      'price',
    ])
    expect(first?.input.kind === 'scan' && first.input.fields).toStrictEqual([1, 2, 4])
  })
  test('tells the source the condition, with its constant folded', () => {
    const pushed = first?.input.kind === 'scan' ? first.input.pushedFilters : []
    expect(pushed).toHaveLength(1)
    expect(pushed[0]).toMatchObject({
      kind: 'call',
      fn: 'gt',
      args: [
        { kind: 'input', slot: 2 },
        { kind: 'literal', value: 2 },
      ],
    })
  })
  test('stamps the watermark at the scan, before the filter', () => {
    expect(first?.input.kind === 'scan' && first.input.watermark).toMatchObject({
      eventTime: { kind: 'input', slot: 1 },
      delayMs: 10_000,
      column: 'ts',
    })
  })
  test('closes windows and knows which fields identify a group', () => {
    expect(second?.head?.op === 'finalAggregate' && second.head.grouping.closesWindows).toBe(true)
    expect(query.physical.groupingFields).toStrictEqual([0, 1])
    expect(columnSlots(query.physical.schema).map((s) => s.path.join('.'))).toStrictEqual([
      'window',
      'window.start',
      'window.end',
      'page',
      'views',
      'revenue',
    ])
  })
  test('says what its state depends on', () => {
    expect(query.physical.stateSignature).toBe(
      'aggregate by (window:window(60000,0), page:string) of (count():long, sum(double?):double)',
    )
  })
  test('survives structuredClone', () => {
    expect(structuredClone(query.physical)).toStrictEqual(query.physical)
  })
  test('is explained as a tree', () => {
    expect(explain(query).split('== Physical Plan ==\n')[1]?.split('\n')).toStrictEqual([
      'Sink [window, page, views, revenue]',
      '+- *(1) FinalAggregate [window, page], [views, revenue], append, closes windows',
      '   +- Exchange by key group',
      '      +- *(0) PartialAggregate [window(ts#1, 60000 ms), page#0], [count(1) AS views, sum(price#2) AS revenue]',
      '         +- *(0) Filter (price#2 > 2)',
      '            +- *(0) Scan streaming memory [page, ts, price], PushedFilters: [(price#2 > 2)], Watermark: ts#1, delay 10000 ms',
    ])
  })
})

test('an event time that is computed is stamped over the columns of the scan', () => {
  const renamed: LogicalPlan = {
    op: 'select',
    input: scan(true),
    columns: expressionsOf([when(col('clicks').gt(1), col('ts')).otherwise(col('seenAt')).as('t'), 'page']),
  }
  const stamped: LogicalPlan = { op: 'withWatermark', input: renamed, column: 't', delayMs: 0 }
  const plan: LogicalPlan = {
    op: 'aggregate',
    input: stamped,
    keys: expressionsOf([window('t', '1 hour')]),
    aggregates: expressionsOf([count()]),
  }
  const { physical } = planQuery(plan, planOptions({ streaming: true, mode: 'continuous' }))
  const input = physical.stages[0]?.input
  expect(input?.kind === 'scan' && input.watermark?.eventTime.kind).toBe('case')
  expect(input?.kind === 'scan' && input.schema.fields.map((f) => f.name)).toStrictEqual(['ts', 'seenAt', 'clicks'])
})

test('a sort and a limit right above it are one operator of one task', () => {
  const sorted: LogicalPlan = { op: 'orderBy', input: scan(), keys: expressionsOf([col('price').desc(), 'page']) }
  const { physical } = planQuery({ op: 'limit', input: sorted, count: 3 }, planOptions())
  expect(physical.stages).toHaveLength(2)
  expect(physical.stages[1]).toMatchObject({
    parallelism: 'single',
    head: {
      op: 'sort',
      limit: 3,
      keys: [
        { descending: true, nullsFirst: false },
        { descending: false, nullsFirst: true },
      ],
    },
  })
})

test('projections on projections become one', () => {
  const a: LogicalPlan = { op: 'withColumn', input: scan(), name: 'big', value: upper('page').expression }
  const b: LogicalPlan = { op: 'select', input: a, columns: expressionsOf(['big', 'userId', 'place.zip']) }
  const { physical } = planQuery({ op: 'filter', input: b, condition: col('zip').gt(3).expression }, planOptions())
  expect(physical.stages[0]?.pipeline.map((o) => o.op)).toStrictEqual(['filter', 'project'])
  expect(physical.schema.fields.map((f) => f.name)).toStrictEqual(['big', 'userId', 'zip'])
})

test('a global aggregate is one task, so that nothing gives one row', () => {
  const { physical } = planQuery(
    { op: 'aggregate', input: scan(), keys: [], aggregates: expressionsOf([count()]) },
    planOptions(),
  )
  expect(physical.stages[1]?.parallelism).toBe('single')
  const input = physical.stages[0]?.input
  expect(input?.kind === 'scan' && input.schema.fields).toStrictEqual([])
})

const union = (...inputs: readonly LogicalPlan[]): LogicalPlan => ({
  op: 'union',
  inputs,
  byName: false,
  allowMissingColumns: false,
})

test('the inputs of a union are stages of their own that feed the same exchange, each with its filters', () => {
  const plan: LogicalPlan = {
    op: 'aggregate',
    input: { op: 'filter', input: union(scan(), scan()), condition: col('clicks').gt(1).expression },
    keys: expressionsOf(['page']),
    aggregates: expressionsOf([count()]),
  }
  const { physical } = planQuery(plan, planOptions())
  expect(physical.stages.map(({ input }) => (input.kind === 'scan' ? 'scan' : input.from))).toEqual([
    'scan',
    'scan',
    [0, 1],
  ])
  for (const stage of physical.stages.slice(0, 2)) {
    expect(stage.input.kind === 'scan' && stage.input.schema.fields.map((f) => f.name)).toEqual(['page', 'clicks'])
    expect(stage.input.kind === 'scan' && stage.input.pushedFilters).toHaveLength(1)
  }
  expect(explainPhysical(physical).split('\n')).toEqual([
    'Sink [page, count(1)]',
    '+- *(2) FinalAggregate [page], [count(1)], append',
    '   :- Exchange by key group',
    '   :  +- *(0) PartialAggregate [page#0], [count(1) AS count(1)]',
    '   :     +- *(0) Project [page#0]',
    '   :        +- *(0) Filter (clicks#1 > 1)',
    '   :           +- *(0) Scan memory [page, clicks], PushedFilters: [(clicks#1 > 1)]',
    '   +- Exchange by key group',
    '      +- *(1) PartialAggregate [page#0], [count(1) AS count(1)]',
    '         +- *(1) Project [page#0]',
    '            +- *(1) Filter (clicks#1 > 1)',
    '               +- *(1) Scan memory [page, clicks], PushedFilters: [(clicks#1 > 1)]',
  ])
})

test('a watermark above a union is that of all its inputs, one below of its own', () => {
  const stamped = (input: LogicalPlan): LogicalPlan => ({ op: 'withWatermark', input, column: 'ts', delayMs: 5 })
  const nodes = (plan: LogicalPlan) =>
    planQuery(plan, planOptions({ streaming: true, mode: 'microBatch' })).physical.stages.map(
      ({ input }) => input.kind === 'scan' && input.watermark?.node,
    )
  expect(nodes(stamped(union(scan(true), scan(true))))).toEqual([0, 0])
  expect(nodes(union(stamped(scan(true)), stamped(scan(true))))).toEqual([0, 1])
  expect(nodes(union(scan(true), stamped(scan(true))))).toEqual([undefined, 0])
})

test('windows over a union close where every input has its watermark on the column of the window', () => {
  const stamped = (column: string): LogicalPlan => ({ op: 'withWatermark', input: scan(true), column, delayMs: 5 })
  const code = (input: LogicalPlan): string =>
    codeOf(() =>
      planQuery(
        { op: 'aggregate', input, keys: expressionsOf([window('ts', '1 hour')]), aggregates: expressionsOf([count()]) },
        planOptions({ streaming: true, mode: 'microBatch' }),
      ),
    )
  expect(code(union(stamped('ts'), stamped('ts')))).toBe('no error')
  expect(code(union(stamped('ts'), stamped('seenAt')))).toBe('UNSUPPORTED_OPERATION')
  expect(code(union(stamped('ts'), scan(true)))).toBe('UNSUPPORTED_OPERATION')
})

test('a stream and an input that ends are no union', () => {
  const plan = union(scan(true), scan(false))
  expect(codeOf(() => planQuery(plan, planOptions({ streaming: true, mode: 'microBatch' })))).toBe(
    'UNSUPPORTED_OPERATION',
  )
})

test('columns of a union go together by place or by name, and what does not fit is said', () => {
  const select = (...columns: readonly (AnyColumn | string)[]): LogicalPlan => ({
    op: 'select',
    input: scan(),
    columns: expressionsOf(columns),
  })
  const fields = (plan: LogicalPlan) =>
    planQuery(plan, planOptions()).physical.schema.fields.map(({ name, type, nullable }) => [name, type.kind, nullable])
  expect(fields(union(select('userId', 'clicks'), select('page', 'price')))).toEqual([
    ['userId', 'string', true],
    ['clicks', 'double', true],
  ])
  const byName = (...inputs: readonly LogicalPlan[]): LogicalPlan =>
    ({ ...union(...inputs), byName: true }) as LogicalPlan
  expect(fields(byName(select('userId', 'clicks'), select('clicks', 'userId')))).toEqual([
    ['userId', 'string', false],
    ['clicks', 'int', false],
  ])
  expect(codeOf(() => fields(union(select('userId'), select('page', 'price'))))).toBe('NUM_COLUMNS_MISMATCH')
  expect(codeOf(() => fields(union(select('ts'), select(lit(true).as('ts')))))).toBe('INCOMPATIBLE_COLUMN_TYPE')
  expect(codeOf(() => fields(byName(select('userId'), select('page'))))).toBe('UNRESOLVED_COLUMN')
})
