import { describe, expect, test } from 'vitest'
import { joinTypeOf } from '../../src/api/join-arguments.js'
import { explainPhysical } from '../../src/plan/explain.js'
import type { JoinType, LogicalPlan } from '../../src/plan/logical-plan.js'
import type { Join } from '../../src/plan/physical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { parseExpression } from '../../src/plan/sql-parser.js'
import { types } from '../../src/plan/type-rules.js'
import { structType } from '../../src/types/data-type.js'
import { codeOf, expressionsOf, planOptions, scan } from './plans.js'

const visits = structType([
  { name: 'page', type: types.string, nullable: true },
  { name: 'at', type: types.timestamp, nullable: false },
  { name: 'until', type: types.timestamp, nullable: true },
  { name: 'seconds', type: types.long, nullable: false },
])

interface Sides {
  readonly on?: string
  readonly how?: JoinType
  readonly streaming?: boolean
  readonly watermarks?: boolean
  readonly using?: readonly string[]
}

function joined({ on, how = 'inner', streaming = true, watermarks = true, using }: Sides): LogicalPlan {
  const side = (input: LogicalPlan, column: string, name: string): LogicalPlan => ({
    op: 'alias',
    input: watermarks ? { op: 'withWatermark', input, column, delayMs: 10_000 } : input,
    name,
  })
  return {
    op: 'join',
    left: side(scan(streaming), 'ts', 'c'),
    right: side(scan(streaming, visits), 'at', 'v'),
    how,
    ...(on === undefined ? {} : { on: parseExpression(on) }),
    ...(using === undefined ? {} : { using }),
  }
}

const selected = (input: LogicalPlan): LogicalPlan => ({
  op: 'select',
  input,
  columns: expressionsOf(['userId', 'c.page', 'ts', 'at']),
})

const streamed = planOptions({ streaming: true, mode: 'microBatch' })
const headOf = (plan: LogicalPlan): Join =>
  planQuery(selected(plan), streamed).physical.stages.find(({ head }) => head?.op === 'join')?.head as Join

describe('what a condition says of equality', () => {
  test('is by what rows meet, and what is of one side is looked at there', () => {
    const plan = joined({ on: 'c.page = v.page and clicks > 3 and seconds > clicks and v.seconds < 9' })
    const { physical } = planQuery(selected(plan), streamed)
    expect(explainPhysical(physical).split('\n')).toEqual([
      'Sink [userId, page, ts, at]',
      '+- *(2) Project [userId#0, page#1, ts#2, at#5]',
      '   +- *(2) Join inner [page#1 = page#0], (seconds#6 > CAST(clicks#3 AS LONG)), left kept for ever, right kept for ever',
      '      :- Exchange by key group of [page#1]',
      '      :  +- *(0) Filter (clicks#3 > 3)',
      '      :     +- *(0) DropLate',
      '      :        +- *(0) Scan streaming memory [userId, page, ts, clicks], PushedFilters: [(clicks#3 > 3)], Watermark: ts#2, delay 10000 ms',
      '      +- Exchange by key group of [page#0]',
      '         +- *(1) Filter (seconds#2 < 9)',
      '            +- *(1) DropLate',
      '               +- *(1) Scan streaming memory [page, at, seconds], PushedFilters: [(seconds#2 < 9)], Watermark: at#1, delay 10000 ms',
    ])
  })

  test('a condition on a side of which all rows come out stays with the pair', () => {
    const left = headOf(joined({ on: 'c.page = v.page and clicks > 3 and at <= ts', how: 'left' }))
    expect(left.condition).toBeDefined()
    expect(left.left.keys).toHaveLength(1)
    const { physical } = planQuery(
      joined({
        on: 'c.page = v.page and clicks > 3 and seconds = 1',
        how: 'leftAnti',
        streaming: false,
        watermarks: false,
      }),
      planOptions(),
    )
    expect(physical.stages.slice(0, 2).map(({ pipeline }) => pipeline.map(({ op }) => op))).toEqual([
      [],
      ['filter', 'project'],
    ])
  })

  test('a filter above an outer join stays where the side may be missing', () => {
    const plan = (how: JoinType): string =>
      explainPhysical(
        planQuery(
          {
            op: 'filter',
            input: selected(joined({ on: 'c.page = v.page', how, streaming: false, watermarks: false })),
            condition: parseExpression('at > ts and userId = "u"'.replaceAll('"', "'")),
          },
          planOptions(),
        ).physical,
      )
    expect(plan('left')).toMatch(/\*\(2\) Filter .*at.*\n[\s\S]*\*\(0\) Filter/)
    expect(plan('right')).toMatch(/\*\(2\) Filter .*userId/)
    expect(plan('inner')).toMatch(/Join inner .*, \(at#\d+ > ts#\d+\)/)
  })
})

describe('a filter above an inner join', () => {
  const filtered = (how: JoinType, on: string | undefined, condition: string): LogicalPlan => ({
    op: 'filter',
    input: joined({ how, ...(on === undefined ? {} : { on }) }),
    condition: parseExpression(condition),
  })

  test('is a condition of the join: a cross join with an equality meets by it, and rows wait as long as it says', () => {
    const condition = 'c.page = v.page and v.at <= c.ts + interval 5 minutes and v.at >= c.ts and clicks > 3'
    const explained = explainPhysical(planQuery(selected(filtered('cross', undefined, condition)), streamed).physical)
    expect(explained).toContain('Join inner [page#1 = page#0]')
    expect(explained).not.toContain('for ever')
    expect(explained).not.toContain('Filter (')
  })

  test('that may throw is no key, and neither is what stands behind it', () => {
    const condition = '1 / seconds > 0 and c.page = v.page'
    const explained = explainPhysical(planQuery(selected(filtered('cross', undefined, condition)), streamed).physical)
    expect(explained).toMatch(/Join inner \[\], \(.* AND \(page#1 = page#\d+\)\)/)
  })

  test('that may throw does not meet the pairs for which the condition of the join is null', () => {
    const plan = (on: string): string =>
      explainPhysical(planQuery(selected(filtered('inner', on, 'clicks > 3 and 1 / seconds > 0')), streamed).physical)
    expect(plan('until > ts')).toMatch(/Filter \(.*seconds#\d+[\s\S]*Join inner \[\], \(until#\d+ > ts#\d+\)/)
    expect(plan('at > ts')).toMatch(/Join inner \[\], .*seconds#/)
  })
})

describe('until when a row is kept follows from the bound on the event time of the other side', () => {
  const kept = (on: string) => {
    const { left, right } = headOf(joined({ on: `c.page = v.page and ${on}` }))
    return [left.expiresAt.length, right.expiresAt.length]
  }
  test.each([
    ['at between ts - interval 5 seconds and ts + interval 10 seconds', [1, 1]],
    ['at <= ts + interval 1 minute', [1, 0]],
    ['ts + interval 1 minute >= at', [1, 0]],
    ['at - interval 1 minute < ts', [1, 0]],
    ['ts < at', [0, 1]],
    ['ts = at', [1, 1]],
    ['ts <= until', [0, 1]],
    ['until <= ts', [0, 0]],
    ['at <= seenAt and at < ts', [2, 0]],
    ['(at <= ts or clicks > 3)', [0, 0]],
    ['at <> ts', [0, 0]],
  ])('%s', (on, expected) => {
    expect(kept(on)).toEqual(expected)
  })

  test('without a watermark on the other side nothing is known', () => {
    const { left, right } = headOf(joined({ on: 'c.page = v.page and at = ts', watermarks: false }))
    expect([left.expiresAt, right.expiresAt]).toEqual([[], []])
  })

  test('behind the join the watermark is that of its inputs less the longest wait, where both sides have one', () => {
    const lag = (on: string) => headOf(joined({ on: `c.page = v.page and ${on}` })).watermarkLagMs
    expect(lag('at between ts - interval 5 seconds and ts + interval 10 seconds')).toBe(10_000)
    expect(lag('at between ts and ts')).toBe(0)
    expect(lag('at <= ts + interval 1 minute')).toBeUndefined()
    expect(lag('at >= ts and at <= seenAt')).toBeUndefined()
  })
})

describe('a stream refuses', () => {
  const bound = 'c.page = v.page and at between ts and ts + interval 1 hour'
  const code = (plan: LogicalPlan, options = {}): string =>
    codeOf(() => planQuery(selected(plan), { ...streamed, ...options }))
  test.each<[JoinType]>([['left'], ['right'], ['full'], ['leftAnti']])('%s without a bound in time', (how) => {
    const plan = (on: string): LogicalPlan => ({
      ...(selected(joined({ on, how })) as LogicalPlan & { op: 'select' }),
      columns: expressionsOf(['userId', 'c.page', 'ts']),
    })
    expect(codeOf(() => planQuery(plan('c.page = v.page'), streamed))).toBe('UNSUPPORTED_OPERATION')
    expect(codeOf(() => planQuery(plan(bound), streamed))).toBe('no error')
  })

  test('output modes that would take back what has come out', () => {
    expect(code(joined({ on: bound }), { outputMode: 'update' })).toBe('no error')
    expect(code(joined({ on: bound, how: 'left' }), { outputMode: 'update' })).toBe('UNSUPPORTED_OPERATION')
    expect(code(joined({ on: bound }), { outputMode: 'complete' })).toBe('UNSUPPORTED_OPERATION')
  })

  test('a watermark behind the join', () => {
    const plan: LogicalPlan = {
      op: 'withWatermark',
      input: joined({ on: bound, watermarks: false }),
      column: 'ts',
      delayMs: 1,
    }
    expect(code(plan)).toBe('UNSUPPORTED_OPERATION')
  })
})

describe('a join is refused in words', () => {
  const batch = (sides: Sides) =>
    codeOf(() => planQuery(selected(joined({ streaming: false, watermarks: false, ...sides })), planOptions()))
  test('without a condition, unless every pair is meant', () => {
    expect(batch({})).toBe('MISSING_JOIN_CONDITION')
    expect(batch({ how: 'cross' })).toBe('no error')
  })
  test('over a column that both sides have, and one that neither has', () => {
    expect(batch({ on: 'page = v.page' })).toBe('AMBIGUOUS_REFERENCE')
    expect(batch({ on: 'c.pages = v.page' })).toBe('UNRESOLVED_COLUMN')
    expect(batch({ using: ['userId'] })).toBe('UNRESOLVED_COLUMN')
  })
  test('over types that cannot be equal', () => {
    expect(batch({ on: 'c.place = v.seconds' })).toMatch(/^DATATYPE_MISMATCH/)
  })
  test('where the result has two columns of one name', () => {
    expect(
      codeOf(() => planQuery(joined({ on: 'c.page = v.page', streaming: false, watermarks: false }), planOptions())),
    ).toBe('COLUMN_ALREADY_EXISTS')
  })
  test('of a type that there is none of', () => {
    expect(codeOf(() => joinTypeOf('sideways'))).toBe('UNKNOWN_JOIN_TYPE')
    expect(['inner', 'left_outer', 'leftOuter', 'OUTER', 'left_semi', 'anti'].map(joinTypeOf)).toEqual([
      'inner',
      'left',
      'left',
      'full',
      'leftSemi',
      'leftAnti',
    ])
  })
})
