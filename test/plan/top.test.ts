import { expect, test } from 'vitest'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import { codeOf, expressionsOf, planOptions, scan } from './plans.js'

const streamed = planOptions({ streaming: true, mode: 'microBatch', outputMode: 'update' })

const top = (count: number, order: string, keys: readonly string[] = ['page']): LogicalPlan => ({
  op: 'top',
  input: scan(true),
  keys: expressionsOf(keys),
  count,
  order: expressionsOf([order]),
})
const select = (input: LogicalPlan, columns: readonly string[]): LogicalPlan => ({
  op: 'select',
  input,
  columns: expressionsOf(columns),
})
const physical = (plan: LogicalPlan) => planQuery(plan, streamed).physical

test('state goes on for the same rows in the same order alone, whatever is selected behind it', () => {
  const signature = (plan: LogicalPlan): string => physical(plan).stateSignature
  const known = signature(top(3, 'price'))
  expect(signature(select(top(3, 'price'), ['page', 'rank']))).toBe(known)
  for (const other of [top(4, 'price'), top(3, 'ts'), top(3, 'userId'), top(3, 'price', ['userId'])]) {
    expect(signature(other)).not.toBe(known)
  }
})

test('in update mode a row takes the place of the one with its keys and rank', () => {
  const plan = physical(top(3, 'price'))
  expect(plan.groupingFields.map((i) => plan.schema.fields[i]?.name)).toEqual(['page', 'rank'])
  expect(physical(select(top(3, 'price'), ['price', 'page'])).groupingFields).toEqual([])
})

test('without a window that closes it is not appended', () => {
  expect(codeOf(() => planQuery(top(3, 'price'), { ...streamed, outputMode: 'append' }))).toBe('UNSUPPORTED_OPERATION')
  expect(codeOf(() => planQuery(top(3, 'price'), { ...streamed, outputMode: 'complete' }))).toBe('no error')
})
