import { expect, test } from 'vitest'
import { interpret, type Row } from '../../src/codegen/interpreter.js'
import { comparator, type Value } from '../../src/codegen/value.js'
import { bindTree, fromJson, readCases, slotsOf, type Tree, toJson } from './oracle-cases.js'

/** Orders of nulls, NaN, −0 and strings, against Spark's. */
interface OrderingCase {
  readonly id: string
  readonly table: { readonly columns: Readonly<Record<string, string>>; readonly rows: readonly (readonly unknown[])[] }
  readonly orderBy: readonly string[]
  readonly trees: readonly Tree[]
  readonly expectedKeys: readonly (readonly unknown[])[]
}

const cases = readCases<OrderingCase>(new URL('ordering.jsonl', import.meta.url).pathname)

test.each(cases.map((c) => [c.id, c.orderBy.join(', '), c] as const))('%s: order by %s', (_id, _by, oracle) => {
  const slots = slotsOf(oracle.table.columns)
  const names = Object.keys(oracle.table.columns)
  const rows = oracle.table.rows.map(
    (row): Row => slots.map((s) => fromJson(row[names.indexOf(s.path[0] ?? '')], s.type) ?? null),
  )
  const keys = oracle.trees.map((tree, i) => {
    const bound = bindTree(tree, slots, true)
    const words = (oracle.orderBy[i] ?? '').toLowerCase()
    const descending = / desc\b/.test(words)
    const nullsFirst = / nulls first/.test(words) || (!/ nulls last/.test(words) && !descending)
    const compare = comparator(bound.type) as (a: Value, b: Value) => number
    return { bound, value: interpret(bound, { ansi: true }), descending, nullsFirst, compare }
  })
  const sorted = rows.map((row) => keys.map((key) => key.value(row)))
  sorted.sort((a, b) => {
    for (const [i, key] of keys.entries()) {
      const [x, y] = [a[i] ?? null, b[i] ?? null]
      if (x === null || y === null) {
        if (x === y) continue
        return (x === null) === key.nullsFirst ? -1 : 1
      }
      const order = key.compare(x, y)
      if (order !== 0) return key.descending ? -order : order
    }
    return 0
  })
  const text = (values: readonly unknown[]): string => JSON.stringify(values.map((v) => (v === '-0.0' ? 0 : v)))
  expect(
    sorted.map((row) => text(row.map((v, i) => toJson(v, keys[i]?.bound.type ?? { kind: 'void' })))),
  ).toStrictEqual(oracle.expectedKeys.map(text))
})
