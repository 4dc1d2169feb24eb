import { describe, expect, test } from 'vitest'
import { count } from '../../src/api/functions.js'
import { explainPhysical } from '../../src/plan/explain.js'
import type { JoinType, LogicalPlan } from '../../src/plan/logical-plan.js'
import type { BroadcastJoin, PhysicalPlan } from '../../src/plan/physical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { parseExpression } from '../../src/plan/sql-parser.js'
import { types } from '../../src/plan/type-rules.js'
import { structType } from '../../src/types/data-type.js'
import { codeOf, expressionsOf, planOptions, scan } from './plans.js'

const pages = structType([
  { name: 'path', type: types.string, nullable: true },
  { name: 'team', type: types.string, nullable: false },
  { name: 'since', type: types.timestamp, nullable: false },
])

interface Sides {
  readonly how?: JoinType
  readonly on?: string
  /** Which sides never end. */
  readonly endless?: 'left' | 'right' | 'both' | 'none'
  readonly watermark?: boolean
  /** What ends stands on the left. */
  readonly tableLeft?: boolean
}

function joined({ how = 'inner', on = 'c.page = p.path', watermark = false, tableLeft = false }: Sides): LogicalPlan {
  const stream = scan(true)
  const clicks: LogicalPlan = {
    op: 'alias',
    input: watermark ? { op: 'withWatermark', input: stream, column: 'ts', delayMs: 10_000 } : stream,
    name: 'c',
  }
  const table: LogicalPlan = { op: 'alias', input: scan(false, pages), name: 'p' }
  return {
    op: 'join',
    left: tableLeft ? table : clicks,
    right: tableLeft ? clicks : table,
    how,
    on: parseExpression(on),
  }
}

const select = (input: LogicalPlan, ...columns: string[]): LogicalPlan => ({
  op: 'select',
  input,
  columns: expressionsOf(columns),
})

const streamed = planOptions({ streaming: true, mode: 'microBatch' })
const planned = (plan: LogicalPlan): PhysicalPlan => planQuery(plan, streamed).physical
const lookupOf = ({ stages }: PhysicalPlan): BroadcastJoin | undefined =>
  stages.flatMap(({ pipeline }) => pipeline).find((operator) => operator.op === 'broadcastJoin')

test('a stream joined with what ends is one stage: no exchange, no state, what ends is read first', () => {
  const physical = planned(
    select(joined({ on: 'c.page = p.path and clicks > 3 and p.since < c.ts' }), 'userId', 'team'),
  )
  expect(explainPhysical(physical).split('\n')).toEqual([
    'Sink [userId, team]',
    '+- *(0) Project [userId#0, team#4]',
    '   +- *(0) BroadcastJoin inner [page#1 = path#0], (since#5 < ts#2)',
    '      :- *(0) Project [userId#0, page#1, ts#2]',
    '      :  +- *(0) Filter (clicks#3 > 3)',
    '      :     +- *(0) Scan streaming memory [userId, page, ts, clicks], PushedFilters: [(clicks#3 > 3)]',
    '      +- Broadcast broadcast-0, read first',
    '         +- *(0) Scan memory [path, team, since]',
  ])
  expect(physical.stateSignature).toBe('')
})

test.each([
  ['inner', false, 'inner'],
  ['cross', false, 'inner'],
  ['left', false, 'left'],
  ['leftSemi', false, 'leftSemi'],
  ['leftAnti', false, 'leftAnti'],
  ['inner', true, 'inner'],
  ['right', true, 'left'],
] as const)('a %s join, what ends on the left: %s, looks up as %s', (how, tableLeft, as) => {
  expect(lookupOf(planned(select(joined({ how, tableLeft }), 'userId')))?.how).toBe(as)
})

test.each([
  ['right', false],
  ['full', false],
  ['left', true],
  ['full', true],
  ['leftSemi', true],
  ['leftAnti', true],
] as const)('a %s join, what ends on the left: %s, is refused: its rows would wait for ever', (how, tableLeft) => {
  const plan = select(joined({ how, tableLeft }), tableLeft && how.startsWith('left') ? 'team' : 'userId')
  expect(codeOf(() => planned(plan))).toBe('UNSUPPORTED_OPERATION')
})

test('a union of a stream and what ends is refused', () => {
  const union: LogicalPlan = {
    op: 'union',
    inputs: [scan(true), scan(false)],
    byName: false,
    allowMissingColumns: false,
  }
  expect(codeOf(() => planned(union))).toBe('UNSUPPORTED_OPERATION')
})

describe('time', () => {
  const counted = (input: LogicalPlan, keys: readonly string[]): LogicalPlan => ({
    op: 'aggregate',
    input,
    keys: keys.map(parseExpression),
    aggregates: [count().as('n').expression],
  })
  const appended = planOptions({ streaming: true, mode: 'microBatch', outputMode: 'append' })

  test('goes on behind the join as before it: windows over the event time of the stream close', () => {
    const plan = counted(joined({ watermark: true, how: 'left' }), ["window(ts, '1 minute')", 'team'])
    const { physical } = planQuery(plan, appended)
    expect(physical.stages.at(-1)?.head).toMatchObject({ op: 'finalAggregate', grouping: { closesWindows: true } })
  })

  test('is not what the table says: windows over its times never close', () => {
    const plan = counted(joined({ watermark: true }), ["window(since, '1 minute')"])
    expect(codeOf(() => planQuery(plan, appended))).toBe('UNSUPPORTED_OPERATION')
  })
})

test('below the join what ends may be sorted, cut off and grouped', () => {
  const first: LogicalPlan = {
    op: 'limit',
    input: { op: 'orderBy', input: scan(false, pages), keys: expressionsOf(['team']) },
    count: 10,
  }
  const plan = joined({}) as LogicalPlan & { op: 'join' }
  const { broadcasts } = planned(select({ ...plan, right: { op: 'alias', input: first, name: 'p' } }, 'userId', 'team'))
  expect(broadcasts.map(({ plan: side }) => side.stages.map(({ head }) => head?.op))).toEqual([[undefined, 'sort']])
})
