import { expect, test } from 'vitest'
import type { GroupLayout, GroupTable } from '../../src/state/group-table.js'
import { givePartialTable, PARTIAL_GROUPS, takePartialTable } from '../../src/state/partial-tables.js'

const layout = (initial: number): GroupLayout => ({
  keys: ['number'],
  nullableKeys: false,
  windowNumbers: 1,
  cells: [{ kind: 'number', initial }],
})

const fill = (table: GroupTable, groups: number): void => {
  for (let i = 0; i < groups; i++) table.insert(Math.imul(i, 0x9e3779b1), i)
}

test('a table that is given back is handed out empty, to the next task with its layout alone', () => {
  const first = takePartialTable(layout(1), () => undefined)
  fill(first, 5000)
  first.mark(3, 1)
  const { index, heads, cells } = first
  givePartialTable(first)
  // Compared here: a matcher would compare megabytes to say what differs.
  expect(takePartialTable(layout(2), () => undefined) === first).toBe(false)
  const again = takePartialTable(layout(1), () => undefined)
  expect(again === first).toBe(true)
  expect([again.index === index, again.heads === heads, again.cells === cells]).toEqual([true, true, true])
  expect([again.size, again.emitCount, again.arenaLength]).toEqual([0, 0, 0])
  expect(index.every((slot) => slot === 0)).toBe(true)
  expect(takePartialTable(layout(1), () => undefined) === first).toBe(false)
})

test('the new user of a table empties it when it is full', () => {
  const old = takePartialTable(layout(3), () => {
    throw new Error('not mine any more')
  })
  givePartialTable(old)
  let emptied = 0
  const table = takePartialTable(layout(3), () => {
    emptied += 1
    table.reset()
  })
  expect(table === old).toBe(true)
  fill(table, PARTIAL_GROUPS + 1)
  expect([emptied, table.size]).toEqual([1, 1])
})

test('a table that is given back twice is handed out once', () => {
  const table = takePartialTable(layout(4), () => undefined)
  givePartialTable(table)
  givePartialTable(table)
  const [a, b] = [takePartialTable(layout(4), () => undefined), takePartialTable(layout(4), () => undefined)]
  expect([a === table, b === table]).toEqual([true, false])
})

test('what cells begin with tells tables apart, where it is no number that JSON knows too', () => {
  const begins = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0, -0]
  const tables = begins.map((initial) => takePartialTable(layout(initial), () => undefined))
  for (const table of tables.slice(0, 4)) givePartialTable(table)
  const again = (initial: number): number => tables.indexOf(takePartialTable(layout(initial), () => undefined))
  expect([Number.NEGATIVE_INFINITY, -0, Number.NaN, 0].map(again)).toEqual([1, -1, 0, 3])
})
