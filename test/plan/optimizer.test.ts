import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyColumn } from '../../src/api/column.js'
import { col, lit, when } from '../../src/api/functions.js'
import { interpret, type Row } from '../../src/codegen/interpreter.js'
import type { StructValue, Value } from '../../src/codegen/value.js'
import { analyze } from '../../src/plan/analyzer.js'
import type { BoundJoin, BoundPlan } from '../../src/plan/bound-plan.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import { optimize } from '../../src/plan/optimizer.js'
import { verifyPlan } from '../../src/plan/verify-plan.js'
import { columnSlots, type StructType, structType, topLevelSlots } from '../../src/types/data-type.js'
import { clickSchema, evaluate, expressionsOf, scan } from './plans.js'

/** Plans run by the interpreter, node by node: rows as values of the top-level fields. */
type FieldRow = readonly (Value | null)[]

function slotRow(row: FieldRow, schema: StructType): Row {
  const values: (Value | null)[] = []
  for (const slot of columnSlots(schema)) {
    let value: Value | null = row[topLevelSlots(schema).indexOf(rootOf(slot.index, schema))] ?? null
    let type = schema.fields.find((f) => f.name === slot.path[0])?.type
    for (const part of slot.path.slice(1)) {
      if (type?.kind !== 'struct') break
      const i = type.fields.findIndex((f) => f.name === part)
      value = value === null ? null : ((value as StructValue)[i] ?? null)
      type = type.fields[i]?.type
    }
    values.push(value)
  }
  return values
}

function rootOf(slot: number, schema: StructType): number {
  const slots = columnSlots(schema)
  let root = slot
  while ((slots[root]?.parent ?? -1) !== -1) root = slots[root]?.parent ?? -1
  return root
}

function run(plan: BoundPlan, data: readonly FieldRow[], ansi: boolean): readonly FieldRow[] {
  if (plan.op === 'scan') return data.map((row) => plan.fields.map((i) => row[i] ?? null))
  if (plan.op === 'union') return plan.inputs.flatMap((input) => run(input, data, ansi))
  if (plan.op === 'join') return runJoin(plan, data, ansi)
  const input = run(plan.input, data, ansi)
  switch (plan.op) {
    case 'filter': {
      const condition = interpret(plan.condition, { ansi })
      return input.filter((row) => condition(slotRow(row, plan.input.schema)) === true)
    }
    case 'project': {
      const columns = plan.columns.map((c) => interpret(c, { ansi }))
      return input.map((row) => columns.map((c) => c(slotRow(row, plan.input.schema))))
    }
    case 'limit':
      return input.slice(0, plan.count)
    default:
      return input
  }
}

/** An inner join, by trying every pair. */
function runJoin(plan: BoundJoin, data: readonly FieldRow[], ansi: boolean): readonly FieldRow[] {
  const left = run(plan.left, data, ansi)
  const right = run(plan.right, data, ansi)
  const both = structType([...plan.left.schema.fields, ...plan.right.schema.fields])
  const holds = plan.condition === undefined ? undefined : interpret(plan.condition, { ansi })
  const keysOf = (keys: readonly BoundExpression[], row: FieldRow, schema: StructType) =>
    keys.map((key) => interpret(key, { ansi })(slotRow(row, schema)))
  return left.flatMap((l) => {
    const keys = keysOf(plan.leftKeys, l, plan.left.schema)
    return right
      .filter((r) => {
        const others = keysOf(plan.rightKeys, r, plan.right.schema)
        if (keys.some((key, i) => key === null || !(key === others[i] || (key !== key && others[i] !== others[i]))))
          return false
        return holds === undefined || holds(slotRow([...l, ...r], both)) === true
      })
      .map((r) => [...l, ...r])
  })
}

const page = fc.option(fc.constantFrom('', 'a', 'b', '/c'), { nil: null })
const rows: fc.Arbitrary<FieldRow> = fc.tuple(
  fc.constantFrom('u', 'v', ''),
  page,
  fc.integer({ min: 0, max: 1e6 }),
  fc.integer({ min: 0, max: 1e6 }),
  fc.option(fc.constantFrom(0, -0, 1.5, Number.NaN, -2), { nil: null }),
  fc.integer({ min: -3, max: 3 }),
  fc.option(fc.tuple(page, fc.integer({ min: 0, max: 9 })), { nil: null }),
)

/** Columns that a projection may have made or kept; a plan that names one that is gone is skipped. */
const names = fc.constantFrom('page', 'price', 'clicks', 'place.zip', 'place.country', 'x', 'y')
const values: fc.Arbitrary<AnyColumn> = fc.letrec<{ e: AnyColumn }>((tie) => ({
  e: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    names.map((name) => col(name)),
    fc.constantFrom(lit(0), lit(2), lit(1.5), lit('a'), lit(true), lit(null)),
    fc
      .tuple(tie('e'), tie('e'), fc.constantFrom('plus', 'multiply', 'mod', 'eq', 'lt', 'and', 'or', 'eqNullSafe'))
      .map(([a, b, method]) => (a[method as 'plus'] as (other: AnyColumn) => AnyColumn).call(a, b)),
    fc
      .tuple(tie('e'), fc.constantFrom('isNull', 'isNotNull', 'not'))
      .map(([a, method]) => (a[method as 'not'] as () => AnyColumn).call(a)),
    fc.tuple(tie('e'), tie('e'), tie('e')).map(([a, b, c]) => when(a, b).otherwise(c)),
  ),
})).e

type Step = (input: LogicalPlan) => LogicalPlan
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(values, fc.constantFrom('page', 'clicks', 'price')).map(
    ([v, key]): Step =>
      (input) => ({
        op: 'select',
        input: {
          op: 'join',
          left: input,
          right: {
            op: 'select',
            input: scan(),
            columns: expressionsOf([col(key).as('other'), col('price').as('theirs')]),
          },
          how: 'inner',
          on: col(key).eq(col('other')).and(v).expression,
        },
        columns: expressionsOf(['page', 'price', 'clicks', 'place', col('theirs').as('x'), col('theirs').as('y')]),
      }),
  ),
  values.map(
    (v): Step =>
      (input) => ({
        op: 'union',
        inputs: [input, { op: 'filter', input, condition: v.expression }],
        byName: false,
        allowMissingColumns: false,
      }),
  ),
  values.map(
    (v): Step =>
      (input) => ({ op: 'filter', input, condition: v.expression }),
  ),
  fc.tuple(fc.constantFrom('x', 'y', 'price'), values).map(
    ([name, v]): Step =>
      (input) => ({ op: 'withColumn', input, name, value: v.expression }),
  ),
  fc.tuple(fc.constantFrom('x', 'y', 'page'), values).map(
    ([name, v]): Step =>
      (input) => ({
        op: 'select',
        input,
        columns: [v.as(name).expression, ...['clicks', 'price', 'place'].map((n) => col(n).expression)],
      }),
  ),
  fc.constantFrom('page', 'place', 'x').map(
    (name): Step =>
      (input) => ({ op: 'drop', input, names: [name] }),
  ),
)

function outcome(plan: BoundPlan, data: readonly FieldRow[], ansi: boolean): unknown {
  try {
    return run(plan, data, ansi)
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}

describe.each([true, false])('with ansi %s', (ansi) => {
  test('where a plan gives rows, the optimized plan gives the same and throws nothing of its own', () => {
    let planned = 0
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 5 }), fc.array(rows, { maxLength: 6 }), (list, data) => {
        let analyzed: BoundPlan
        try {
          analyzed = analyze(
            list.reduce<LogicalPlan>((plan, step) => step(plan), scan()),
            { ansi },
          )
        } catch {
          return
        }
        planned++
        const optimized = optimize(analyzed, { ansi, evaluate: evaluate(ansi) })
        verifyPlan(optimized)
        expect(optimized.schema.fields.map((f) => f.name)).toStrictEqual(analyzed.schema.fields.map((f) => f.name))
        const expected = outcome(analyzed, data, ansi)
        // What a dropped column would have thrown is not computed any more.
        if (typeof expected === 'string') return
        expect(outcome(optimized, data, ansi)).toStrictEqual(expected)
      }),
      { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 1500) },
    )
    expect(planned).toBeGreaterThan(100)
  })
})

test('a schema with nothing used is pruned to nothing', () => {
  const plan = optimize(
    analyze({ op: 'select', input: scan(), columns: [lit(1).as('one').expression] }, { ansi: true }),
    { ansi: true, evaluate: evaluate(true) },
  )
  expect(plan.op === 'project' && plan.input.schema.fields).toStrictEqual([])
  expect(clickSchema.fields.length).toBe(7)
})
