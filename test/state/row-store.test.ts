import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GroupTable } from '../../src/state/group-table.js'
import { ROW_ALIVE, RowStore, SEGMENT_ROWS } from '../../src/state/row-store.js'
import { scalar, structType } from '../../src/types/data-type.js'

const schema = structType([{ name: 'n', type: scalar('int'), nullable: false }])
const count = { kind: 'number', initial: 0 } as const
const newTable = () =>
  new GroupTable({ keys: ['number'], nullableKeys: false, windowNumbers: 0, cells: [count, count] })

/** A store beside the plain list of what it should hold. */
class Model {
  readonly table = newTable()
  readonly store = new RowStore(schema, 0, true, true)
  readonly rows = new Map<number, { readonly entry: number; readonly expiresAt: number; matched: boolean }>()
  #id = 0

  add(entry: number, expiresAt: number): void {
    while (this.table.size <= entry) {
      const e = this.table.insert(this.table.size * 7, this.table.size)
      this.table.cells[e * this.table.places.cellDoubles + (this.table.places.keyNumbers[0] as number)] = e
    }
    const builder = this.store.tail()
    const row = this.store.nextRow
    this.store.ensure(row + 1)
    builder.append([row])
    this.store.expiresAt[row] = expiresAt
    this.store.link(this.table, row, 1, Int32Array.of(entry << 1), 0, Float64Array.of(++this.#id))
    this.rows.set(row, { entry, expiresAt, matched: false })
  }

  /** Rows in the chains, by entry. */
  chains(): number[][] {
    const { cells, places, size } = this.table
    return Array.from({ length: size }, (_, e) => {
      const chain: number[] = []
      let x = cells[e * places.cellDoubles + (places.numbers[0] as number)] as number
      for (; x !== 0; x = this.store.next[x - 1] as number) chain.push(x - 1)
      return chain
    })
  }

  check(): void {
    const expected = Array.from({ length: this.table.size }, (_, e) =>
      [...this.rows].filter(([, row]) => row.entry === e).map(([row]) => row),
    )
    expect(this.chains().map((chain) => chain.sort((a, b) => a - b))).toEqual(
      expected.map((c) => c.sort((a, b) => a - b)),
    )
    expect([...this.store.rows()]).toEqual([...this.rows.keys()].sort((a, b) => a - b))
    expect(this.store.size).toBe(this.rows.size)
  }
}

test('rows hang in the chains of their entries until they are removed or expire, and those without a match are told', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), n: fc.nat(9), at: fc.nat(50) }) },
    fc.record({
      do: fc.constantFrom('remove', 'match', 'expire', 'reclaim', 'changes'),
      n: fc.nat(99),
      at: fc.nat(50),
    }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model()
      for (const { do: what, n, at } of steps) {
        const rows = [...model.rows.keys()]
        const row = rows[n % Math.max(1, rows.length)]
        if (what === 'add') model.add(n, at)
        else if (what === 'expire') {
          const expected = [...model.rows].filter(([, r]) => r.expiresAt < at)
          const unmatched: number[] = []
          expect(model.store.expire(model.table, at, unmatched)).toBe(expected.length)
          expect(unmatched).toEqual(
            expected
              .filter(([, r]) => !r.matched)
              .map(([r]) => r)
              .sort((a, b) => a - b),
          )
          for (const [r] of expected) model.rows.delete(r)
        } else if (what === 'changes') model.store.takeChanges()
        else if (row !== undefined && what === 'remove') {
          model.store.remove(model.table, row)
          model.store.forget(row)
          model.rows.delete(row)
        } else if (row !== undefined && what === 'match') {
          const held = model.rows.get(row)
          expect(model.store.match(row)).toBe(held?.matched === false)
          if (held !== undefined) held.matched = true
        } else if (what === 'reclaim') {
          model.store.takeChanges()
          model.store.reclaim()
        }
        model.check()
      }
    }),
  )
})

test('a segment of which every row is gone is used again', () => {
  const model = new Model()
  for (let i = 0; i < 3 * SEGMENT_ROWS; i++) model.add(i % 5, i)
  const bytes = model.store.byteSize()
  for (let round = 1; round < 5; round++) {
    model.store.expire(model.table, (round + 2) * SEGMENT_ROWS - 10, undefined)
    model.store.takeChanges()
    model.store.reclaim()
    for (let i = 0; i < SEGMENT_ROWS; i++) model.add(i % 5, (round + 2) * SEGMENT_ROWS + i)
  }
  expect(model.store.segments.length).toBeLessThanOrEqual(5)
  expect(model.store.byteSize()).toBeLessThan(bytes * 2.5)
})

test('what is written down is what came and is still there, and what became of rows that were written down before', () => {
  const model = new Model()
  for (let i = 0; i < 4; i++) model.add(0, i)
  model.store.remove(model.table, 3)
  model.store.forget(3)
  expect([...model.store.takeChanges().fresh]).toEqual([0, 1, 2])
  model.add(1, 9)
  model.store.match(1)
  model.store.match(4)
  model.store.remove(model.table, 2)
  model.store.forget(2)
  const { fresh, changedIds, changedStates } = model.store.takeChanges()
  expect([...fresh]).toEqual([4])
  expect(changedIds).toEqual([2, 3])
  expect(changedStates.map((state) => (state & ROW_ALIVE) !== 0)).toEqual([true, false])
})

test('keys without a row can be dropped from the table, and rows find theirs under its new number', () => {
  const model = new Model()
  for (let e = 0; e < 20; e++) model.add(e, e)
  model.store.expire(model.table, 15, undefined)
  const { cellDoubles, numbers } = model.table.places
  const isUsed = (e: number): boolean => model.table.cells[e * cellDoubles + (numbers[0] as number)] !== 0
  const moved = model.table.retain(isUsed)
  model.store.moveEntries(moved)
  expect(model.table.size).toBe(5)
  expect(model.chains()).toEqual([[15], [16], [17], [18], [19]])
  model.store.remove(model.table, 17)
  expect(model.chains()).toEqual([[15], [16], [], [18], [19]])
})
