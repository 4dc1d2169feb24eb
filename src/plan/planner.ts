import { present } from '../common/assert.js'
import { type StructType, sameType, topLevelSlots, typeName } from '../types/data-type.js'
import { analyze } from './analyzer.js'
import { type BoundAggregation, type BoundPlan, type BoundScan, spine } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import type { LogicalPlan } from './logical-plan.js'
import { optimize } from './optimizer.js'
import type {
  ExchangeInput,
  Grouping,
  HeadOperator,
  NarrowOperator,
  OutputMode,
  PhysicalPlan,
  ScanInput,
  Stage,
  StageOutput,
} from './physical-plan.js'
import { checkStreaming, closesWindows } from './streaming-rules.js'

/** Cuts an optimized plan into stages: a stage ends where rows must change tasks. */
export interface PlanOptions {
  readonly ansi: boolean
  readonly outputMode: OutputMode
  /** False: the input ends, so everything may be done with it, and `outputMode` decides nothing. */
  readonly streaming: boolean
  readonly mode: 'batch' | 'microBatch' | 'continuous'
  /** Value of an expression of literals: `evaluateConstant` of codegen/interpreter.ts. */
  readonly evaluate: (expression: BoundExpression) => unknown
}

export interface PlannedQuery {
  readonly logical: LogicalPlan
  readonly analyzed: BoundPlan
  readonly optimized: BoundPlan
  readonly physical: PhysicalPlan
}

export function planQuery(logical: LogicalPlan, options: PlanOptions): PlannedQuery {
  const analyzed = analyze(logical, { ansi: options.ansi })
  const optimized = optimize(analyzed, { ansi: options.ansi, evaluate: options.evaluate })
  if (options.streaming && options.mode !== 'batch') checkStreaming(optimized, options.outputMode)
  return { logical, analyzed, optimized, physical: planStages(optimized, analyzed.schema, options) }
}

interface OpenStage {
  readonly input: ScanInput | ExchangeInput
  readonly head?: HeadOperator
  readonly pipeline: NarrowOperator[]
  readonly parallelism: Stage['parallelism']
}

function planStages(plan: BoundPlan, schema: StructType, options: PlanOptions): PhysicalPlan {
  const stages: Stage[] = []
  const signatures: string[] = []
  const nodes = spine(plan)
  let open: OpenStage = { input: scanInput(nodes[0] as BoundScan), pipeline: [], parallelism: 'parallel' }
  const close = (output: StageOutput): void => {
    stages.push({ id: stages.length, ...open, output })
  }
  for (const node of nodes) {
    switch (node.op) {
      case 'scan':
      case 'watermark':
        break
      case 'filter':
        open.pipeline.push({ op: 'filter', condition: node.condition })
        break
      case 'project':
        open.pipeline.push({ op: 'project', columns: node.columns, schema: node.schema })
        break
      case 'aggregate': {
        const grouping = groupingOf(node, options.outputMode)
        close({ kind: 'partialAggregate', grouping })
        const isGlobal = node.keys.length === 0 && node.window === undefined
        open = {
          // The frames are partial states: their schema follows from the grouping, see operator/aggregate.ts.
          input: { kind: 'exchange', schema: node.schema },
          head: { op: 'finalAggregate', grouping, schema: node.schema },
          pipeline: [],
          // One task alone, so that an empty input gives one row of a global aggregate and not one a task.
          parallelism: isGlobal ? 'single' : 'parallel',
        }
        signatures.push(signature(grouping))
        break
      }
      case 'sort':
      case 'limit': {
        close({ kind: 'exchange', schema: node.schema })
        const head: HeadOperator =
          node.op === 'limit'
            ? { op: 'limit', schema: node.schema, count: node.count }
            : {
                op: 'sort',
                schema: node.schema,
                keys: node.keys,
                ...(node.limit === undefined ? {} : { limit: node.limit }),
              }
        open = { input: { kind: 'exchange', schema: node.schema }, head, pipeline: [], parallelism: 'single' }
        break
      }
    }
  }
  close({ kind: 'sink', schema: plan.schema })
  return {
    stages,
    schema: sameType(schema, plan.schema) ? schema : plan.schema,
    groupingFields: groupingFields(nodes),
    outputMode: options.outputMode,
    streaming: options.streaming,
    ansi: options.ansi,
    stateSignature: signatures.join('; '),
  }
}

function scanInput(scan: BoundScan): ScanInput {
  const { source, schema, fields, pushedFilters, watermark } = scan
  return { kind: 'scan', source, schema, fields, pushedFilters, ...(watermark === undefined ? {} : { watermark }) }
}

function groupingOf(node: BoundAggregation, outputMode: OutputMode): Grouping {
  const { keys, window, aggregates } = node
  return {
    keys,
    aggregates,
    closesWindows: closesWindows(node),
    outputMode,
    ...(window === undefined ? {} : { window }),
  }
}

/** What the state of an aggregate depends on; the filters before it may change between runs. */
function signature(grouping: Grouping): string {
  const keys = grouping.keys.map((k) => `${k.name}:${typeName(k.value.type)}`)
  const { window } = grouping
  if (window !== undefined) keys.splice(window.position, 0, `${window.name}:window(${window.sizeMs},${window.startMs})`)
  const aggregates = grouping.aggregates.map((a) => {
    const nullable = a.arg?.nullable === true ? '?' : ''
    return `${a.fn}(${a.arg === undefined ? '' : typeName(a.arg.type) + nullable}):${typeName(a.type)}`
  })
  return `aggregate by (${keys.join(', ')}) of (${aggregates.join(', ')})`
}

/** The group's keys as columns of the result; none where the result lacks one of them. */
function groupingFields(nodes: readonly BoundPlan[]): readonly number[] {
  let at: (number | undefined)[] = []
  for (const node of nodes) {
    if (node.op === 'aggregate') {
      at = node.schema.fields.slice(0, node.keys.length + (node.window === undefined ? 0 : 1)).map((_, i) => i)
    } else if (node.op === 'project' && at.length > 0) {
      const slots = topLevelSlots(node.input.schema)
      at = at.map((field) => {
        const slot = field === undefined ? undefined : slots[field]
        const i = node.columns.findIndex((column) => column.kind === 'input' && column.slot === slot)
        return i === -1 ? undefined : i
      })
    }
  }
  return at.every((field) => field !== undefined) ? at.map((field) => present(field, 'a grouping field')) : []
}
