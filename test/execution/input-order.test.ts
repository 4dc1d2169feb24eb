import { expect, test } from 'vitest'
import { type InputName, inputOrder, inputsOf } from '../../src/execution/input-order.js'
import type { TopicDescriptor } from '../../src/log/partition-descriptor.js'

const topics = (...counts: readonly (readonly [string, number])[]): TopicDescriptor[] =>
  counts.map(([name, count]) => ({ name, partitions: Array.from({ length: count }) }) as unknown as TopicDescriptor)
const shown = (inputs: readonly InputName[]): string => inputs.map(([t, p]) => `${t}${p}`).join(' ')

test('a new query has the partitions topic by topic', () => {
  expect(shown(inputOrder(topics(['a', 2], ['b', 1])))).toBe('a0 a1 b0')
})

test('what is known keeps its number, whatever has grown', () => {
  const known = inputOrder(topics(['a', 2], ['b', 1]))
  const grown = inputOrder(topics(['a', 3], ['b', 1]), known)
  expect(shown(grown)).toBe('a0 a1 b0 a2')
  expect(shown(inputOrder(topics(['a', 4], ['b', 2]), grown))).toBe('a0 a1 b0 a2 b1 a3')
  expect(inputOrder(topics(['a', 3], ['b', 1]), grown)).toEqual(grown)
})

test('a checkpoint in which no order was written down has the partitions of its last topic behind the first ones', () => {
  const first = inputsOf([
    { name: 'a', partitions: 1 },
    { name: 'b', partitions: 1 },
  ])
  expect(shown(inputOrder(topics(['a', 2], ['b', 3]), first))).toBe('a0 b0 b1 b2 a1')
})
