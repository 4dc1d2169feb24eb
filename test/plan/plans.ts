import type { AnyColumn } from '../../src/api/column.js'
import { evaluateConstant } from '../../src/codegen/interpreter.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import type { BoundExpression, Expression } from '../../src/plan/expression.js'
import type { LogicalPlan, SourceSpec } from '../../src/plan/logical-plan.js'
import type { PlanOptions } from '../../src/plan/planner.js'
import { types } from '../../src/plan/type-rules.js'
import { type StructType, structType } from '../../src/types/data-type.js'

// Plans are made before a test has begun.
await modulesLoaded()

/** A small schema of clicks, and plans over it. */
export const clickSchema: StructType = structType([
  { name: 'userId', type: types.string, nullable: false },
  { name: 'page', type: types.string, nullable: true },
  { name: 'ts', type: types.timestamp, nullable: false },
  { name: 'seenAt', type: types.timestamp, nullable: false },
  { name: 'price', type: types.double, nullable: true },
  { name: 'clicks', type: types.int, nullable: false },
  {
    name: 'place',
    type: structType([
      { name: 'country', type: types.string, nullable: true },
      { name: 'zip', type: types.int, nullable: false },
    ]),
    nullable: true,
  },
])

export function scan(streaming = false, schema: StructType = clickSchema): LogicalPlan {
  const source: SourceSpec = { format: 'memory', streaming, schema, tableId: 'clicks', options: {} }
  return { op: 'scan', source }
}

export const expressionsOf = (columns: readonly (AnyColumn | string)[]): Expression[] =>
  columns.map((c) => (typeof c === 'string' ? { kind: 'column', name: c } : c.expression))

export const evaluate = (ansi: boolean) => (e: BoundExpression) => evaluateConstant(e, { ansi })

export function planOptions(changes: Partial<PlanOptions> = {}): PlanOptions {
  return { ansi: true, outputMode: 'append', streaming: false, mode: 'batch', evaluate: evaluate(true), ...changes }
}

export function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  return 'no error'
}
