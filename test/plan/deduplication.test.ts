import { describe, expect, test } from 'vitest'
import { explain, explainPhysical } from '../../src/plan/explain.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import type { Deduplicate } from '../../src/plan/physical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { parseExpression } from '../../src/plan/sql-parser.js'
import { types } from '../../src/plan/type-rules.js'
import { structType } from '../../src/types/data-type.js'
import { codeOf, expressionsOf, planOptions, scan } from './plans.js'

const streamed = planOptions({ streaming: true, mode: 'microBatch' })

const watermarked = (delayMs = 10_000): LogicalPlan => ({
  op: 'withWatermark',
  input: scan(true),
  column: 'ts',
  delayMs,
})
const deduplicate = (input: LogicalPlan, names?: readonly string[], withinWatermark = false): LogicalPlan => ({
  op: 'deduplicate',
  input,
  ...(names === undefined ? {} : { names }),
  withinWatermark,
})
const select = (input: LogicalPlan, columns: readonly string[]): LogicalPlan => ({
  op: 'select',
  input,
  columns: expressionsOf(columns),
})
const headOf = (plan: LogicalPlan, options = streamed): Deduplicate =>
  planQuery(plan, options).physical.stages.find(({ head }) => head?.op === 'deduplicate')?.head as Deduplicate
const lines = (plan: LogicalPlan): string[] => explainPhysical(planQuery(plan, streamed).physical).split('\n')

test('rows go to the task that owns their key, with the columns that are needed and no others', () => {
  expect(lines(select(deduplicate(watermarked(), ['userId', 'ts']), ['page']))).toEqual([
    'Sink [page]',
    '+- *(1) Project [page#1]',
    '   +- *(1) Deduplicate [userId#0, ts#2], keys kept until ts#2',
    '      +- Exchange by key group of [userId#0, ts#2]',
    '         +- *(0) DropLate',
    '            +- *(0) Scan streaming memory [userId, page, ts], Watermark: ts#2, delay 10000 ms',
  ])
})

test('within the watermark the event time is needed as well, and says how long a key counts', () => {
  expect(lines(select(deduplicate(watermarked(), ['userId'], true), ['userId']))).toEqual([
    'Sink [userId]',
    '+- *(1) Project [userId#0]',
    '   +- *(1) Deduplicate [userId#0], keys kept until ts#1 + 10000 ms',
    '      +- Exchange by key group of [userId#0]',
    '         +- *(0) DropLate',
    '            +- *(0) Scan streaming memory [userId, ts], Watermark: ts#1, delay 10000 ms',
  ])
})

test('the other forms of the plan name it too', () => {
  const text = explain(planQuery(deduplicate(watermarked(), ['userId'], true), streamed))
  expect(text).toContain('Deduplicate [userId], within watermark')
  expect(text).toMatch(/Deduplicate \[userId#0\], within 10000 ms of ts#\d/)
})

describe('how long a key is kept', () => {
  test('for ever, where the event time is not in it', () => {
    expect(headOf(deduplicate(watermarked(), ['userId'])).expiresAt).toEqual([])
    expect(lines(deduplicate(watermarked(), ['userId']))[1]).toContain('keys kept for ever')
  })

  test('until the time is over of which it is made', () => {
    const later: LogicalPlan = {
      op: 'withColumn',
      input: watermarked(),
      name: 'until',
      value: parseExpression("ts + interval '1' hour"),
    }
    expect(lines(deduplicate(later, ['until']))[1]).toContain(`until addInterval(until#`)
    expect(headOf(deduplicate(later, ['until'])).expiresAt).toHaveLength(1)
  })

  test('of two inputs the greater delay counts', () => {
    const union: LogicalPlan = {
      op: 'union',
      inputs: [watermarked(3000), watermarked(8000)],
      byName: false,
      allowMissingColumns: false,
    }
    expect(headOf(deduplicate(union, ['userId'], true)).within?.delayMs).toBe(8000)
  })
})

describe('what is late', () => {
  const dropsLate = (plan: LogicalPlan): boolean => lines(plan).some((line) => line.includes('DropLate'))

  test('is told of rows that bear their event time', () => {
    expect(dropsLate(deduplicate(watermarked(), ['userId']))).toBe(true)
    expect(dropsLate(select(deduplicate(watermarked(), ['userId']), ['userId']))).toBe(true)
  })

  test('and of no others: without a time a key is of no time', () => {
    expect(dropsLate(deduplicate(select(watermarked(), ['userId'])))).toBe(false)
    expect(dropsLate(deduplicate(scan(true)))).toBe(false)
  })
})

test('by the rule of Spark no row brings its watermark', () => {
  const plan = deduplicate(watermarked(), ['userId'], true)
  const outputOf = (watermark: 'log' | 'spark') =>
    planQuery(plan, { ...streamed, watermark }).physical.stages[0]?.output
  expect(outputOf('log')).toMatchObject({ kind: 'shuffle', stamp: 'record' })
  expect(outputOf('spark')).not.toHaveProperty('stamp')
  expect(headOf(plan, { ...streamed, watermark: 'spark' }).rule).toBe('spark')
})

test('behind an operator with state rows have no watermark of their own, and are told by their time', () => {
  const plan = deduplicate(deduplicate(watermarked()), ['userId'], true)
  const { stages } = planQuery(plan, streamed).physical
  expect(stages.map(({ output }) => (output.kind === 'shuffle' ? output.stamp : output.kind))).toMatchObject([
    undefined,
    { kind: 'input' },
    'sink',
  ])
})

test('more columns than a table has bits for are a key all the same', () => {
  const wide = structType(Array.from({ length: 40 }, (_, i) => ({ name: `c${i}`, type: types.double, nullable: true })))
  expect(headOf(deduplicate(scan(true, wide))).keys).toHaveLength(31)
})

test('state goes on where the key is the same, whatever else is selected', () => {
  const signature = (plan: LogicalPlan): string => planQuery(plan, streamed).physical.stateSignature
  const key = ['page']
  expect(signature(select(deduplicate(watermarked(), key), ['ts', 'page']))).toBe(
    signature(deduplicate(watermarked(), key)),
  )
  expect(signature(deduplicate(watermarked(), key))).not.toBe(signature(deduplicate(watermarked(), ['userId'])))
  expect(signature(deduplicate(watermarked(), key))).not.toBe(signature(deduplicate(watermarked(), key, true)))
})

test('update gives what append does, complete is refused', () => {
  const plan = deduplicate(watermarked(), ['userId'])
  expect(planQuery(plan, { ...streamed, outputMode: 'update' }).physical.groupingFields).toEqual([])
  expect(codeOf(() => planQuery(plan, { ...streamed, outputMode: 'complete' }))).toBe('UNSUPPORTED_OPERATION')
})

test('an aggregation above may be of any mode, one below only of what is final', () => {
  const counted = (input: LogicalPlan): LogicalPlan => ({
    op: 'aggregate',
    input,
    keys: expressionsOf(['page']),
    aggregates: [{ kind: 'alias', arg: { kind: 'aggregate', fn: 'count', args: [] }, name: 'n' }],
  })
  for (const outputMode of ['update', 'complete'] as const)
    planQuery(counted(deduplicate(watermarked(), ['userId'])), { ...streamed, outputMode })
  const below = deduplicate(counted(watermarked()), ['n'])
  for (const outputMode of ['append', 'update', 'complete'] as const)
    expect(codeOf(() => planQuery(below, { ...streamed, outputMode }))).toBe('UNSUPPORTED_OPERATION')
  planQuery(below, planOptions())
})
