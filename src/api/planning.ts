import { MillraceError } from '../common/errors.js'
import { analyze } from '../plan/analyzer.js'
import { explain } from '../plan/explain.js'
import type { LogicalPlan } from '../plan/logical-plan.js'
import { optimize } from '../plan/optimizer.js'
import type { OutputMode, PhysicalPlan } from '../plan/physical-plan.js'
import { planQuery } from '../plan/planner.js'
import type { BlockRef } from '../types/block.js'
import { type StructType, sameType, typeName } from '../types/data-type.js'
import type { PlanTables } from './memory-tables.js'

/** The API's way through the rooms of the plan: checked, optimized, planned, explained. */
export interface PlanningOptions {
  readonly ansi: boolean
  readonly outputMode: OutputMode
}

/** The columns that a plan yields; throws where a name or a type in it does not fit. */
export function analyzedSchema(plan: LogicalPlan, ansi: boolean): StructType {
  return analyze(plan, { ansi }).schema
}

export function physicalPlan(plan: LogicalPlan, { ansi, outputMode }: PlanningOptions): PhysicalPlan {
  return planQuery(optimize(analyze(plan, { ansi })), { ansi, outputMode })
}

export function explainPlan(
  plan: LogicalPlan,
  options: {
    readonly ansi: boolean
    readonly mode: 'simple' | 'extended' | 'codegen'
    readonly outputMode?: OutputMode
  },
): string {
  return explain(plan, options)
}

/** True where the scan never ends. */
export function isStreamingPlan(plan: LogicalPlan): boolean {
  return scanOf(plan).source.streaming
}

/** The blocks of a plan's memory tables, as they are now. */
export function tablesOf(tables: PlanTables): ReadonlyMap<string, readonly BlockRef[]> {
  return new Map([...tables].map(([id, table]) => [id, table.blocks()]))
}

/** `plan` over another input, which must have the columns of the one it was written for. */
export function replaceScan(plan: LogicalPlan, input: LogicalPlan, inputSchema: StructType): LogicalPlan {
  const { schema } = scanOf(plan).source
  if (!sameType(schema, inputSchema)) {
    throw new MillraceError(
      'SCHEMA_DIFFERS',
      'the new input has other columns than the one the query was written for',
      {
        detail: `found ${typeName(inputSchema)}, expected ${typeName(schema)}`,
      },
    )
  }
  const replaced = (node: LogicalPlan): LogicalPlan =>
    node.op === 'scan' ? input : { ...node, input: replaced(node.input) }
  return replaced(plan)
}

function scanOf(plan: LogicalPlan): Extract<LogicalPlan, { op: 'scan' }> {
  let node = plan
  while (node.op !== 'scan') node = node.input
  return node
}
