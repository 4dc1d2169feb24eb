import { evaluateConstant } from '../codegen/interpreter.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { analyze } from '../plan/analyzer.js'
import { type LogicalPlan, logicalInputs, logicalScans, withLogicalInputs } from '../plan/logical-plan.js'
import type { OutputMode, PhysicalPlan } from '../plan/physical-plan.js'
import { type PlannedQuery, planQuery } from '../plan/planner.js'
import type { BlockRef } from '../types/block.js'
import { type StructType, sameType, typeName } from '../types/data-type.js'
import type { PlanTables } from './memory-tables.js'
import type { ExplainMode } from './streaming-query.js'

const explaining = lazyModule(import.meta.url, '../plan/explain.js', () => import('../plan/explain.js'))
/** The stage compiler is much to load, and of no other use in this thread. */
const compiling = lazyModule(import.meta.url, './stage-code.js', () => import('./stage-code.js'))

/** The API's way through the rooms of the plan: checked, optimized, planned, explained. */
export interface PlanningOptions {
  readonly ansi: boolean
  readonly outputMode: OutputMode
  readonly mode: 'batch' | 'microBatch' | 'continuous'
  readonly watermark?: 'log' | 'spark'
}

/** The columns that a plan yields; throws where a name or a type in it does not fit. */
export function analyzedSchema(plan: LogicalPlan, ansi: boolean): StructType {
  return analyze(plan, { ansi }).schema
}

export function physicalPlan(plan: LogicalPlan, options: PlanningOptions): PhysicalPlan {
  return planned(plan, options).physical
}

/**
 * `simple`: the physical plan. `extended`: what it was made of, too. `codegen`: and the functions that the workers run. `isLocal`: whether the
 * plan would be run in this thread.
 */
export function explainPlan(
  plan: LogicalPlan,
  mode: ExplainMode,
  options: PlanningOptions,
  isLocal: (physical: PhysicalPlan) => boolean = () => false,
): string {
  const { explain, explainPhysical } = explaining()
  const query = planned(plan, options)
  const local = isLocal(query.physical)
  if (mode === 'simple') return `== Physical Plan ==\n${explainPhysical(query.physical, local)}`
  if (mode === 'extended') return explain(query, local)
  if (mode === 'codegen') {
    const code = local
      ? '(none: so few rows are interpreted where the query is called)'
      : compiling().stageCode(query.physical)
    return `${explain(query, local)}\n\n== Generated Code ==\n${code}`
  }
  throw new MillraceError('INVALID_ARGUMENT', `explain() has no mode '${String(mode)}'`, {
    detail: "there is 'simple', 'extended', 'codegen'",
    hint: 'explain() alone prints the plans',
  })
}

/** True where an input never ends. */
export function isStreamingPlan(plan: LogicalPlan): boolean {
  return logicalScans(plan).some((scan) => scan.source.streaming)
}

/** The blocks of a plan's memory tables, as they are now. */
export function tablesOf(tables: PlanTables): ReadonlyMap<string, readonly BlockRef[]> {
  return new Map([...tables].map(([id, table]) => [id, table.blocks()]))
}

/** `plan` over another input, which must have the columns of the one it was written for. */
export function replaceScan(plan: LogicalPlan, input: LogicalPlan, inputSchema: StructType): LogicalPlan {
  const scans = logicalScans(plan)
  const [scan] = scans
  if (scan === undefined || scans.length > 1) {
    throw new MillraceError('SEVERAL_INPUTS', 'withInput() needs a query over one input', {
      detail: `this one has ${scans.length}`,
      hint: 'write the query as a function of its inputs, and call it with others',
    })
  }
  const { schema } = scan.source
  if (!sameType(schema, inputSchema)) {
    throw new MillraceError(
      'SCHEMA_DIFFERS',
      'the new input has other columns than the one the query was written for',
      {
        detail: `found ${typeName(inputSchema)}, expected ${typeName(schema)}`,
        hint: 'give it an input with the same columns, or select() and cast() them',
      },
    )
  }
  const replaced = (node: LogicalPlan): LogicalPlan =>
    node.op === 'scan' ? input : withLogicalInputs(node, logicalInputs(node).map(replaced))
  return replaced(plan)
}

function planned(plan: LogicalPlan, { ansi, outputMode, mode, watermark = 'log' }: PlanningOptions): PlannedQuery {
  return planQuery(plan, {
    ansi,
    outputMode,
    mode,
    watermark,
    streaming: isStreamingPlan(plan),
    evaluate: (expression) => evaluateConstant(expression, { ansi }),
  })
}
