import { present } from '../common/assert.js'
import { lazyModule } from '../common/lazy-module.js'
import { columnSlots, type StructType, sameType, topLevelSlots, typeName } from '../types/data-type.js'
import { analyze } from './analyzer.js'
import { expressionKey } from './bound-expression.js'
import type {
  BoundAggregation,
  BoundDeduplication,
  BoundJoin,
  BoundPlan,
  BoundScan,
  BoundTransform,
} from './bound-plan.js'
import { type BroadcastShape, broadcastShape } from './broadcast-join.js'
import { closesWindows, eventTimeKey, joinBounds, joinLag, keyExpiries } from './event-time.js'
import type { BoundExpression, TopRows } from './expression.js'
import { boundText } from './expression-name.js'
import { windowSignature } from './grouping-window.js'
import type { LogicalPlan } from './logical-plan.js'
import { optimize } from './optimizer.js'
import {
  type Broadcast,
  type BroadcastJoin,
  bearsStamp,
  type Deduplicate,
  type ExchangeInput,
  type Grouping,
  type HeadOperator,
  type Join,
  type NarrowOperator,
  type OutputMode,
  type PhysicalPlan,
  type ScanInput,
  type Stage,
  type StageOutput,
  stampOf,
  type TransformWithState,
} from './physical-plan.js'
import { checkResultNames } from './result-names.js'

/** Cuts an optimized plan into stages: a stage ends where rows must change tasks. */
export interface PlanOptions {
  readonly ansi: boolean
  readonly outputMode: OutputMode
  /** False: the input ends, so everything may be done with it, and `outputMode` decides nothing. */
  readonly streaming: boolean
  /** How lateness is decided; default by the log. */
  readonly watermark?: 'log' | 'spark'
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

const heading = lazyModule(import.meta.url, './transform-with-state.js', () => import('./transform-with-state.js'))
const transforming = lazyModule(import.meta.url, './stateful-processor.js', () => import('./stateful-processor.js'))
const streamingRules = lazyModule(import.meta.url, './streaming-rules.js', () => import('./streaming-rules.js'))

export function planQuery(logical: LogicalPlan, options: PlanOptions): PlannedQuery {
  const analyzed = analyze(logical, { ansi: options.ansi })
  checkResultNames(analyzed.schema)
  const optimized = optimize(analyzed, { ansi: options.ansi, evaluate: options.evaluate })
  if (options.streaming && options.mode !== 'batch') streamingRules().checkStreaming(optimized, options.outputMode)
  return { logical, analyzed, optimized, physical: planStages(optimized, analyzed.schema, options) }
}

interface OpenStage {
  readonly input: ScanInput | ExchangeInput
  readonly head?: HeadOperator
  readonly pipeline: NarrowOperator[]
  readonly parallelism: Stage['parallelism']
}

function planStages(plan: BoundPlan, schema: StructType, options: PlanOptions): PhysicalPlan {
  const cutter = new StageCutter(options)
  cutter.close(cutter.open(plan), { kind: 'sink', schema: plan.schema })
  return {
    stages: cutter.stages,
    schema: sameType(schema, plan.schema) ? schema : plan.schema,
    broadcasts: cutter.broadcasts,
    groupingFields: groupingFields(plan),
    outputMode: options.outputMode,
    streaming: options.streaming,
    ansi: options.ansi,
    stateSignature: cutter.signatures.join('; '),
  }
}

class StageCutter {
  readonly stages: Stage[] = []
  readonly signatures: string[] = []
  readonly broadcasts: Broadcast[] = []
  private readonly outputMode: OutputMode
  private readonly sparkRule: boolean

  constructor(private readonly options: PlanOptions) {
    this.outputMode = options.outputMode
    this.sparkRule = options.watermark === 'spark'
  }

  /** The stages whose rows together are those of `node`: one for each input of the unions below it. */
  open(node: BoundPlan): readonly OpenStage[] {
    switch (node.op) {
      case 'scan':
        return [{ input: scanInput(node, this.sparkRule), pipeline: [], parallelism: 'parallel' }]
      case 'watermark':
        return this.open(node.input)
      case 'filter':
        return this.#extended(node.input, { op: 'filter', condition: node.condition })
      case 'project':
        return this.#extended(node.input, { op: 'project', columns: node.columns, schema: node.schema })
      case 'userCode': {
        const { code, schema, watermark } = node
        return this.#extended(node.input, {
          op: 'userCode',
          code,
          input: node.input.schema,
          schema,
          ...(watermark === undefined
            ? {}
            : { watermark: this.sparkRule ? { ...watermark, rule: 'spark' as const } : watermark }),
        })
      }
      case 'explode':
        return this.#extended(node.input, { op: 'explode', array: node.array, schema: node.schema })
      case 'union':
        return node.inputs.flatMap((input) => this.open(input))
      case 'aggregate':
        return [this.#aggregate(node)]
      case 'join': {
        const shape = broadcastShape(node)
        return shape === undefined ? [this.#join(node)] : this.#broadcastJoin(node, shape)
      }
      case 'deduplicate':
        return [this.#deduplicate(node)]
      case 'transformWithState':
        return [this.#transform(node)]
      case 'sort': {
        const { schema, keys, limit } = node
        return [this.#single(node.input, { op: 'sort', schema, keys, ...(limit === undefined ? {} : { limit }) })]
      }
      case 'limit':
        return [this.#single(node.input, { op: 'limit', schema: node.schema, count: node.count })]
    }
  }

  /** Ids of the stages that are finished by it. */
  close(open: readonly OpenStage[], output: StageOutput): readonly number[] {
    return open.map((stage) => {
      const id = this.stages.length
      this.stages.push({ id, ...stage, output })
      return id
    })
  }

  #extended(input: BoundPlan, operator: NarrowOperator): readonly OpenStage[] {
    const stages = this.open(input)
    for (const stage of stages) stage.pipeline.push(operator)
    return stages
  }

  #aggregate(node: BoundAggregation): OpenStage {
    const grouping = groupingOf(node, this.outputMode, this.sparkRule)
    const stages = this.open(node.input)
    for (const stage of stages) {
      // A group of its very time: late for it is who is late.
      if (grouping.closing !== undefined) dropLate(stage)
    }
    const from = this.close(stages, { kind: 'partialAggregate', grouping })
    const isGlobal = node.keys.length === 0 && node.window === undefined
    this.signatures.push(signature(grouping))
    return {
      // The frames are partial states: their schema follows from the grouping, see operator/aggregate.ts.
      input: { kind: 'exchange', from, schema: node.schema },
      head: { op: 'finalAggregate', grouping, schema: node.schema },
      pipeline: [],
      // One task alone, so that an empty input gives one row of a global aggregate and not one a task.
      parallelism: isGlobal ? 'single' : 'parallel',
    }
  }

  #broadcastJoin(node: BoundJoin, { table, how }: BroadcastShape): readonly OpenStage[] {
    const { condition, schema } = node
    const tableFirst = table === 'left'
    const [stream, side] = tableFirst ? [node.right, node.left] : [node.left, node.right]
    const [keys, tableKeys] = tableFirst ? [node.rightKeys, node.leftKeys] : [node.leftKeys, node.rightKeys]
    const name = `broadcast-${this.broadcasts.length}`
    const plan = planStages(side, side.schema, { ...this.options, outputMode: 'append', streaming: false })
    this.broadcasts.push({ table: name, plan })
    const operator: BroadcastJoin = {
      op: 'broadcastJoin',
      how,
      keys,
      table: { name, schema: side.schema, keys: tableKeys },
      tableFirst,
      ...(condition === undefined ? {} : { condition }),
      schema,
    }
    return this.#extended(stream, operator)
  }

  #join(node: BoundJoin): OpenStage {
    const bounds = joinBounds(node)
    const side = (input: BoundPlan, keys: readonly BoundExpression[], expiresAt: readonly BoundExpression[]) => {
      const stages = this.open(input)
      for (const stage of stages) {
        // A late row may have missed its match, which is gone: whether it is late must not depend on that.
        dropLate(stage)
      }
      const { schema } = input
      const from = this.close(stages, { kind: 'shuffle', schema, keys })
      return { from, side: { schema, keys, expiresAt } }
    }
    const left = side(node.left, node.leftKeys, bounds.left)
    const right = side(node.right, node.rightKeys, bounds.right)
    const lag = joinLag(node)
    const head: Join = {
      op: 'join',
      how: node.how,
      left: left.side,
      right: right.side,
      ...(node.condition === undefined ? {} : { condition: node.condition }),
      ...(lag === undefined ? {} : { watermarkLagMs: lag }),
      ...(this.sparkRule ? { rule: 'spark' } : {}),
      schema: node.schema,
    }
    this.signatures.push(joinSignature(head))
    return {
      input: {
        kind: 'exchange',
        from: [...left.from, ...right.from],
        sides: [...left.from.map(() => 'left' as const), ...right.from.map(() => 'right' as const)],
        schema: node.schema,
      },
      head,
      pipeline: [],
      // Without keys every row is of one key group.
      parallelism: node.leftKeys.length === 0 ? 'single' : 'parallel',
    }
  }

  #deduplicate(node: BoundDeduplication): OpenStage {
    const { input, keys, within, schema } = node
    const expiresAt = within === undefined ? keyExpiries(node) : []
    const lateByKey = expiresAt.length > 0 && !node.dropsLate
    // Where rows come from an operator that keeps no stamps: what is never late, by the key's own time.
    const ownTime = lateByKey ? expiresAt[0] : this.sparkRule ? undefined : within?.eventTime
    const from = this.open(input).flatMap((stage) => {
      // The row that a late one repeats may be forgotten: whether it is late must not depend on that.
      if (node.dropsLate) dropLate(stage)
      const stamp = ownTime !== undefined && bearsStamp(stage) ? 'record' : ownTime
      return this.close([stage], { kind: 'shuffle', schema, keys, ...(stamp === undefined ? {} : { stamp }) })
    })
    const head: Deduplicate = {
      op: 'deduplicate',
      schema,
      keys,
      expiresAt,
      ...(lateByKey ? { lateByKey } : {}),
      ...(within === undefined ? {} : { within }),
      ...(this.sparkRule ? { rule: 'spark' } : {}),
    }
    this.signatures.push(deduplicateSignature(head))
    return { input: { kind: 'exchange', from, schema }, head, pipeline: [], parallelism: 'parallel' }
  }

  #transform(node: BoundTransform): OpenStage {
    const { keys, names, columns, eventTime, initial, schema } = node
    const { schema: input } = node.input
    const stages = this.open(node.input)
    // A timer that the row would have come before may have expired: whether it is late must not depend on that.
    if (eventTime !== undefined) for (const stage of stages) dropLate(stage)
    const from = this.close(stages, { kind: 'shuffle', schema: input, keys })
    const before = initial && this.#initialState(initial)
    const head: TransformWithState = heading().transformHead(node, this.sparkRule, before)
    this.signatures.push(
      transforming().transformSignature({ processor: head.processor, columns, schema: input, keys }, names),
    )
    return { input: { kind: 'exchange', from, schema }, head, pipeline: [], parallelism: 'parallel' }
  }

  #initialState({
    input,
    keys,
    columns,
  }: NonNullable<BoundTransform['initial']>): NonNullable<TransformWithState['initial']> {
    const table = `broadcast-${this.broadcasts.length}`
    const { ansi, evaluate } = this.options
    const plan = optimize(input, { ansi, evaluate })
    const { schema } = plan
    this.broadcasts.push({
      table,
      plan: planStages(plan, schema, { ...this.options, outputMode: 'append', streaming: false }),
    })
    return { table, schema, columns, keys }
  }

  /** What needs all rows in one place. */
  #single(input: BoundPlan, head: HeadOperator): OpenStage {
    const { schema } = head
    const from = this.close(this.open(input), { kind: 'exchange', schema })
    return { input: { kind: 'exchange', from, schema }, head, pipeline: [], parallelism: 'single' }
  }
}

/** Rows that are late leave where they are stamped. */
function dropLate(stage: OpenStage): void {
  if (stampOf(stage) === undefined) return
  const at = stage.pipeline.findIndex((operator) => operator.op === 'userCode' && operator.watermark !== undefined)
  stage.pipeline.splice(at + 1, 0, { op: 'dropLate' })
}

/** What the state of a join depends on. */
function joinSignature({ how, left, right }: Join): string {
  const text = ({ schema, keys }: Join['left']): string =>
    `(${schema.fields.map((f) => `${f.name}:${typeName(f.type)}${f.nullable ? '?' : ''}`).join(', ')}) by (${keys.map(expressionKey).join(', ')})`
  return `${how} join of ${text(left)} and ${text(right)}`
}

/** What the keys that are kept depend on. */
function deduplicateSignature({ keys, within, schema }: Deduplicate): string {
  const names = columnSlots(schema).map((slot) => slot.path.join('.'))
  // By names alone: the number of a slot depends on what else is selected.
  const text = (key: BoundExpression): string => boundText(key, names).replaceAll(/#\d+/g, '')
  const of = keys.map((key) => `${text(key)}:${typeName(key.type)}${key.nullable ? '?' : ''}`)
  return `duplicates by (${of.join(', ')})${within === undefined ? '' : ' within the watermark'}`
}

function scanInput(scan: BoundScan, sparkRule: boolean): ScanInput {
  const { source, schema, fields, pushedFilters, watermark } = scan
  return {
    kind: 'scan',
    source,
    schema,
    fields,
    pushedFilters,
    ...(watermark === undefined ? {} : { watermark: sparkRule ? { ...watermark, rule: 'spark' } : watermark }),
  }
}

function groupingOf(node: BoundAggregation, outputMode: OutputMode, sparkRule: boolean): Grouping {
  const { keys, window, aggregates } = node
  // Spark keeps every group for ever where the whole result is asked for, and so calls nothing late.
  const closes = closesWindows(node) && !(sparkRule && outputMode === 'complete')
  const key = closes ? eventTimeKey(node) : undefined
  return {
    keys,
    aggregates,
    closesWindows: closes,
    outputMode,
    ...(key === undefined ? {} : { closing: { key, lead: sparkRule ? 1 : 0 } }),
    ...(window === undefined ? {} : { window }),
  }
}

/** What the state of an aggregate depends on; the filters before it may change between runs. */
function signature(grouping: Grouping): string {
  const keys = grouping.keys.map((k) => `${k.name}:${typeName(k.value.type)}`)
  const { window } = grouping
  if (window !== undefined) keys.splice(window.position, 0, `${window.name}:${windowSignature(window)}`)
  const aggregates = grouping.aggregates.map((a) => {
    const nullable = a.arg?.nullable === true ? '?' : ''
    const top = a.top === undefined ? '' : topSignature(a.top)
    return `${a.fn}(${a.arg === undefined ? '' : typeName(a.arg.type) + nullable})${top}:${typeName(a.type)}`
  })
  return `aggregate by (${keys.join(', ')}) of (${aggregates.join(', ')})`
}

/** Rows that were not kept do not come back when more are asked for, or others. */
function topSignature({ count, order }: TopRows): string {
  const directions = order.map(
    ({ by, descending, nullsFirst }) => `${by} ${descending ? 'desc' : 'asc'}${nullsFirst ? ' nulls first' : ''}`,
  )
  return ` first ${count} by ${directions.join(', ')}`
}

/** The group's keys as columns of the result; none where the result lacks one of them, or where groups of several aggregates are mixed. */
function groupingFields(plan: BoundPlan): readonly number[] {
  const at = groupingPlaces(plan)
  return at.every((field) => field !== undefined) ? at.map((field) => present(field, 'a grouping field')) : []
}

function groupingPlaces(plan: BoundPlan): readonly (number | undefined)[] {
  switch (plan.op) {
    case 'scan':
    case 'union':
    case 'join':
    case 'deduplicate':
    case 'transformWithState':
      return []
    case 'aggregate':
      return plan.schema.fields.slice(0, plan.keys.length + (plan.window === undefined ? 0 : 1)).map((_, i) => i)
    case 'explode':
      // Of a group as many rows as there are places.
      return [...groupingPlaces(plan.input), plan.input.schema.fields.length]
    case 'project': {
      const slots = topLevelSlots(plan.input.schema)
      return groupingPlaces(plan.input).map((field) => {
        const slot = field === undefined ? undefined : slots[field]
        const i = plan.columns.findIndex((column) => column.kind === 'input' && column.slot === slot)
        return i === -1 ? undefined : i
      })
    }
    default:
      return groupingPlaces(plan.input)
  }
}
