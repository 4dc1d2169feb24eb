import { expect, test } from 'vitest'
import { interpret, type Row } from '../../src/codegen/interpreter.js'
import { comparator, type Value } from '../../src/codegen/value.js'
import { bindExpression } from '../../src/plan/binder.js'
import type { Expression } from '../../src/plan/expression.js'
import { parseSortKey } from '../../src/plan/sql-parser.js'
import { columnSlots } from '../../src/types/data-type.js'
import { fromJson, readCases, schemaOf, toJson } from './oracle-cases.js'

/** Orders of nulls, NaN, −0, strings, structs and arrays, against Spark's. */
interface OrderingCase {
  readonly id: string
  readonly table: { readonly columns: Readonly<Record<string, string>>; readonly rows: readonly (readonly unknown[])[] }
  readonly orderBy: readonly string[]
  readonly expectedKeys: readonly (readonly unknown[])[]
}

const path = process.env.MILLRACE_ORACLE_ORDERING ?? new URL('ordering.jsonl', import.meta.url).pathname
const cases = readCases<OrderingCase>(path)

test.each(cases.map((c) => [c.id, c.orderBy.join(', '), c] as const))('%s: order by %s', (_id, _by, oracle) => {
  const schema = schemaOf(oracle.table.columns)
  const slots = columnSlots(schema)
  const names = Object.keys(oracle.table.columns)
  const rows = oracle.table.rows.map(
    (row): Row => slots.map((s) => fromJson(row[names.indexOf(s.path[0] ?? '')], s.type) ?? null),
  )
  const keys = oracle.orderBy.map((sql) => {
    const { arg, descending, nullsFirst } = parseSortKey(sql) as Expression & { kind: 'sort' }
    const bound = bindExpression(arg, schema, { ansi: true, place: 'orderBy' })
    const compare = comparator(bound.type) as (a: Value, b: Value) => number
    return {
      bound,
      value: interpret(bound, { ansi: true }),
      descending,
      nullsFirst: nullsFirst ?? !descending,
      compare,
    }
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
  const text = (values: readonly unknown[]): string =>
    JSON.stringify(values)
      .replaceAll('"-0.0"', '0')
      .replaceAll(/(?<=[[:,])-0(?=[\],}])/g, '0')
  expect(
    sorted.map((row) => text(row.map((v, i) => toJson(v, keys[i]?.bound.type ?? { kind: 'void' })))),
  ).toStrictEqual(oracle.expectedKeys.map(text))
})
