import { present } from '../common/assert.js'
import { columnSlots, type StructType, typeName } from '../types/data-type.js'
import { type BoundPlan, inputsOf, type ScanWatermark, type SortKey } from './bound-plan.js'
import type { BoundAggregate, BoundExpression } from './expression.js'
import { boundText, expressionText, resultName } from './expression-name.js'
import type { GroupingWindow } from './grouping-window.js'
import { type LogicalPlan, logicalInputs, type SourceSpec } from './logical-plan.js'
import type {
  BroadcastJoin,
  Grouping,
  HeadOperator,
  NarrowOperator,
  PhysicalPlan,
  ScanInput,
  Stage,
  StageOutput,
} from './physical-plan.js'
import type { PlannedQuery } from './planner.js'
import type { Processor } from './stateful-processor.js'
import { stepName, type UserCode } from './user-code.js'

/** Plans as indented trees, the result at the top and the scan at the bottom, in Spark's manner. */
export function explain(query: PlannedQuery, isLocal = false): string {
  return [
    '== Logical Plan ==',
    explainLogical(query.logical),
    '',
    '== Analyzed Plan ==',
    query.analyzed.schema.fields.map((f) => `${f.name}: ${typeName(f.type)}`).join(', '),
    explainBound(query.analyzed),
    '',
    '== Optimized Plan ==',
    explainBound(query.optimized),
    '',
    '== Physical Plan ==',
    explainPhysical(query.physical, isLocal),
  ].join('\n')
}

interface Tree {
  readonly text: string
  readonly below: readonly Tree[]
}

/** A node and, below it, what it takes its rows from. */
function treeLines({ text, below }: Tree): readonly string[] {
  const lines = [text]
  below.forEach((tree, i) => {
    const isLast = i === below.length - 1
    treeLines(tree).forEach((line, n) => {
      lines.push(`${n === 0 ? (isLast ? '+- ' : ':- ') : isLast ? '   ' : ':  '}${line}`)
    })
  })
  return lines
}

const drawn = (tree: Tree): string => treeLines(tree).join('\n')

/** `lines` one below the other, the last above `below`. */
function chain(lines: readonly string[], below: readonly Tree[]): readonly Tree[] {
  return lines.reduceRight<readonly Tree[]>((under, text) => [{ text, below: under }], below)
}

export function explainLogical(plan: LogicalPlan): string {
  const treeOf = (node: LogicalPlan): Tree => ({ text: logicalLine(node), below: logicalInputs(node).map(treeOf) })
  return drawn(treeOf(plan))
}

function logicalLine(plan: LogicalPlan): string {
  switch (plan.op) {
    case 'scan':
      return `Scan ${sourceText(plan.source)}`
    case 'select':
      return `Select [${plan.columns.map(expressionText).join(', ')}]`
    case 'withColumn':
      return `WithColumn ${plan.name} = ${expressionText(plan.value)}`
    case 'drop':
      return `Drop [${plan.names.join(', ')}]`
    case 'filter':
      return `Filter ${expressionText(plan.condition)}`
    case 'withWatermark':
      return `Watermark ${plan.column}, delay ${plan.delayMs} ms`
    case 'aggregate':
      return `Aggregate [${plan.keys.map(expressionText).join(', ')}], [${plan.aggregates.map(expressionText).join(', ')}]`
    case 'top':
      return `Top ${plan.count} of [${plan.keys.map(expressionText).join(', ')}] by [${plan.order.map(expressionText).join(', ')}]`
    case 'transformWithState':
      return transformLine(plan.processor, plan.keys.map(resultName), plan.initial !== undefined)
    case 'deduplicate':
      return `Deduplicate [${plan.names?.join(', ') ?? '*'}]${plan.withinWatermark ? ', within watermark' : ''}`
    case 'orderBy':
      return `Sort [${plan.keys.map(expressionText).join(', ')}]`
    case 'limit':
      return `Limit ${plan.count}`
    case 'userCode':
      return userCodeLine(plan.code)
    case 'join':
      return `Join ${plan.how}${plan.using === undefined ? '' : ` using (${plan.using.join(', ')})`}${plan.on === undefined ? '' : ` on ${expressionText(plan.on)}`}`
    case 'alias':
      return `Alias ${plan.name}`
    case 'union':
      return plan.byName ? 'UnionByName' : 'Union'
  }
}

function sourceText(source: SourceSpec): string {
  const of = source.topics === undefined ? (source.name ?? '') : source.topics.map((topic) => topic.name).join(', ')
  return `${source.streaming ? 'streaming ' : ''}${source.format}${of === '' ? '' : ` ${of}`}`
}

const slotNames = (schema: StructType): readonly string[] => columnSlots(schema).map((s) => s.path.join('.'))

export function explainBound(plan: BoundPlan): string {
  const treeOf = (node: BoundPlan): Tree => ({ text: boundLine(node), below: inputsOf(node).map(treeOf) })
  return drawn(treeOf(plan))
}

function boundLine(plan: BoundPlan): string {
  const text = (e: BoundExpression, of: BoundPlan): string => boundText(e, slotNames(of.schema))
  switch (plan.op) {
    case 'scan':
      return scanLine(plan)
    case 'filter':
      return `Filter ${text(plan.condition, plan.input)}`
    case 'project':
      return `Project [${projection(plan.columns, plan.schema, plan.input.schema)}]`
    case 'watermark':
      return `Watermark ${text(plan.eventTime, plan.input)}, delay ${plan.delayMs} ms`
    case 'aggregate':
      return `Aggregate ${groupingText(plan, plan.input.schema)}`
    case 'explode':
      return `Explode ${text(plan.array, plan.input)}`
    case 'transformWithState':
      return transformLine(plan.processor, plan.names, plan.initial !== undefined)
    case 'deduplicate':
      return `Deduplicate ${keysText(plan.keys, plan.schema)}${plan.within === undefined ? '' : `, within ${plan.within.delayMs} ms of ${text(plan.within.eventTime, plan.input)}`}`
    case 'sort':
      return `Sort ${sortText(plan.keys, plan.input.schema)}${plan.limit === undefined ? '' : `, first ${plan.limit}`}`
    case 'limit':
      return `Limit ${plan.count}`
    case 'userCode':
      return userCodeLine(plan.code, plan.watermark)
    case 'join':
      return `Join ${plan.how} ${joinText(plan.leftKeys, plan.rightKeys, plan.condition, plan.left.schema, plan.right.schema)}`
    case 'union':
      return 'Union'
  }
}

function keysText(keys: readonly BoundExpression[], schema: StructType): string {
  const names = slotNames(schema)
  return `[${keys.map((key) => boundText(key, names)).join(', ')}]`
}

function joinText(
  leftKeys: readonly BoundExpression[],
  rightKeys: readonly BoundExpression[],
  condition: BoundExpression | undefined,
  left: StructType,
  right: StructType,
): string {
  const leftNames = slotNames(left)
  const rightNames = slotNames(right)
  const keys = leftKeys.map(
    (key, i) => `${boundText(key, leftNames)} = ${boundText(rightKeys[i] as BoundExpression, rightNames)}`,
  )
  const rest = condition === undefined ? '' : `, ${boundText(condition, [...leftNames, ...rightNames])}`
  return `[${keys.join(', ')}]${rest}`
}

function projection(columns: readonly BoundExpression[], schema: StructType, input: StructType): string {
  const names = slotNames(input)
  return columns
    .map((column, i) => {
      const text = boundText(column, names)
      const name = schema.fields[i]?.name ?? ''
      return column.kind === 'input' && names[column.slot] === name ? text : `${text} AS ${name}`
    })
    .join(', ')
}

function sortText(keys: readonly SortKey[], schema: StructType): string {
  const names = slotNames(schema)
  const parts = keys.map(
    (k) => `${boundText(k.value, names)} ${k.descending ? 'DESC' : 'ASC'} NULLS ${k.nullsFirst ? 'FIRST' : 'LAST'}`,
  )
  return `[${parts.join(', ')}]`
}

function scanLine(scan: Omit<ScanInput, 'kind'>): string {
  const names = slotNames(scan.schema)
  const parts = [`Scan ${sourceText(scan.source)} [${scan.schema.fields.map((f) => f.name).join(', ')}]`]
  if (scan.pushedFilters.length > 0)
    parts.push(`PushedFilters: [${scan.pushedFilters.map((f) => boundText(f, names)).join(', ')}]`)
  if (scan.watermark !== undefined) {
    parts.push(`Watermark: ${boundText(scan.watermark.eventTime, names)}, delay ${scan.watermark.delayMs} ms`)
  }
  return parts.join(', ')
}

function localScanLine({ schema }: ScanInput): string {
  return `LocalTableScan [${schema.fields.map((f) => f.name).join(', ')}]`
}

function aggregateText(a: BoundAggregate, names: readonly string[]): string {
  return `${a.fn}(${a.arg === undefined ? '1' : boundText(a.arg, names)}) AS ${a.name}`
}

function groupingText(grouping: Pick<Grouping, 'keys' | 'window' | 'aggregates'>, schema: StructType): string {
  const names = slotNames(schema)
  const keys = grouping.keys.map((k) => boundText(k.value, names))
  const { window } = grouping
  if (window !== undefined) keys.splice(window.position, 0, windowKeyText(window, names))
  return `[${keys.join(', ')}], [${grouping.aggregates.map((a) => aggregateText(a, names)).join(', ')}]`
}

function windowKeyText(window: GroupingWindow, names: readonly string[]): string {
  const time = boundText(window.eventTime, names)
  if (window.kind === 'session') {
    const { gap } = window
    return `session_window(${time}, ${boundText(gap, names)}${gap.kind === 'literal' ? ' ms' : ''})`
  }
  const slide = window.kind === 'sliding' ? `, ${window.slideMs} ms` : ''
  return `window(${time}, ${window.sizeMs} ms${slide})`
}

/**
 * Stage by stage from the last, operators numbered by their stage as in Spark's `*(2)`. A local plan (see local-plan.ts) has no numbers, since
 * nothing of it is generated code, and no exchanges: its rows stay where they are.
 */
export function explainPhysical(plan: PhysicalPlan, isLocal = false): string {
  return drawn(physicalTree(plan, isLocal))
}

function physicalTree(plan: PhysicalPlan, isLocal: boolean): Tree {
  const treesOf = (stage: Stage): readonly Tree[] => {
    const { input } = stage
    const from = input.kind === 'scan' ? [] : input.from
    return stageTrees(
      stage,
      from.flatMap((id) => treesOf(present(plan.stages[id], `stage ${id}`))),
      isLocal,
      plan,
    )
  }
  const last = plan.stages.filter((stage) => stage.output.kind === 'sink').flatMap(treesOf)
  const [only] = last
  return last.length === 1 && only !== undefined ? only : { text: 'Union', below: last }
}

function stageTrees(stage: Stage, from: readonly Tree[], isLocal: boolean, plan: PhysicalPlan): readonly Tree[] {
  const mark = isLocal ? '' : `*(${stage.id}) `
  let below = from
  const put = (text: string, ...beside: readonly Tree[]): void => {
    below = chain(text.split('\n'), [...below, ...beside])
  }
  // Each operator is bound to the schema of what feeds it.
  let schema = stage.head?.schema ?? stage.input.schema
  if (stage.input.kind === 'scan') put(isLocal ? localScanLine(stage.input) : `${mark}${scanLine(stage.input)}`)
  if (stage.head !== undefined) put(`${mark}${headLine(stage.head)}`, ...initialTrees(plan, stage.head))
  for (const operator of stage.pipeline) {
    const line = `${mark}${narrowLine(operator, schema)}`
    if (operator.op === 'broadcastJoin') put(line, broadcastTree(plan, operator.table.name))
    else put(line)
    if (operator.op !== 'filter' && operator.op !== 'dropLate') schema = operator.schema
  }
  if (!isLocal || stage.output.kind === 'sink') put(outputLine(stage.output, schema, mark))
  return below
}

/** The side that is read first; its stages are numbered by themselves. */
function initialTrees(plan: PhysicalPlan, head: HeadOperator): readonly Tree[] {
  if (head.op !== 'transformWithState' || head.initial === undefined) return []
  return [broadcastTree(plan, head.initial.table)]
}

function broadcastTree({ broadcasts }: PhysicalPlan, table: string): Tree {
  const { plan } = present(
    broadcasts.find((one) => one.table === table),
    table,
  )
  const [side] = physicalTree(plan, false).below
  return { text: `Broadcast ${table}, read first`, below: side === undefined ? [] : [side] }
}

function headLine(head: HeadOperator): string {
  switch (head.op) {
    case 'finalAggregate': {
      const keys = head.schema.fields
        .slice(0, head.schema.fields.length - head.grouping.aggregates.length)
        .map((f) => f.name)
      const { closesWindows, closing } = head.grouping
      const closes = closesWindows ? `, closes ${closing === undefined ? 'windows' : 'groups by event time'}` : ''
      return `FinalAggregate [${keys.join(', ')}], [${head.grouping.aggregates.map((a) => a.name).join(', ')}], ${head.grouping.outputMode}${closes}`
    }
    case 'join': {
      const { left, right } = head
      const kept = [left, right].map(({ schema, expiresAt }) =>
        expiresAt.length === 0
          ? 'for ever'
          : `until ${expiresAt.map((e) => boundText(e, slotNames(schema))).join(', ')}`,
      )
      return `Join ${head.how} ${joinText(left.keys, right.keys, head.condition, left.schema, right.schema)}, left kept ${kept[0]}, right kept ${kept[1]}`
    }
    case 'transformWithState':
      return transformLine(head.processor, head.keyNames, head.initial !== undefined)
    case 'deduplicate': {
      const { keys, within, expiresAt, schema } = head
      const names = slotNames(schema)
      const until =
        within !== undefined
          ? `until ${boundText(within.eventTime, names)} + ${within.delayMs} ms`
          : expiresAt.length === 0
            ? 'for ever'
            : `until ${expiresAt.map((e) => boundText(e, names)).join(', ')}`
      return `Deduplicate ${keysText(keys, schema)}, keys kept ${until}`
    }
    case 'sort':
      return `Sort ${sortText(head.keys, head.schema)}${head.limit === undefined ? '' : `, first ${head.limit}`}`
    case 'limit':
      return `Limit ${head.count}`
  }
}

function narrowLine(operator: NarrowOperator, schema: StructType): string {
  if (operator.op === 'dropLate') return 'DropLate'
  if (operator.op === 'broadcastJoin') return broadcastLine(operator, schema)
  if (operator.op === 'userCode') return userCodeLine(operator.code, operator.watermark)
  if (operator.op === 'explode') return `Explode ${boundText(operator.array, slotNames(schema))}`
  return operator.op === 'filter'
    ? `Filter ${boundText(operator.condition, slotNames(schema))}`
    : `Project [${projection(operator.columns, operator.schema, schema)}]`
}

function transformLine(processor: Processor, keys: readonly string[], hasInitial: boolean): string {
  const { fn, timeMode, ordered } = processor
  const from = fn.kind === 'module' ? ` from ${fn.url.split('/').at(-1) ?? ''}` : ''
  const order = ordered ? ', rows in the order of event time' : ''
  return `TransformWithState ${fn.name}${from} by [${keys.join(', ')}], time ${timeMode}${order}${hasInitial ? ', with initial state' : ''}`
}

/** The module's own name for a function that is found there. */
function userCodeLine(code: UserCode, watermark?: ScanWatermark): string {
  const from = code.fn.kind === 'module' ? ` from ${code.fn.url.split('/').at(-1) ?? ''}` : ''
  const stamped = watermark === undefined ? '' : `, watermark on ${watermark.column}, delay ${watermark.delayMs} ms`
  return `UserCode ${stepName(code)}${from}${stamped}`
}

function broadcastLine({ how, keys, table, tableFirst, condition }: BroadcastJoin, row: StructType): string {
  const text = tableFirst
    ? joinText(table.keys, keys, condition, table.schema, row)
    : joinText(keys, table.keys, condition, row, table.schema)
  return `BroadcastJoin ${how} ${text}`
}

function outputLine(output: StageOutput, schema: StructType, mark: string): string {
  switch (output.kind) {
    case 'partialAggregate':
      return `Exchange by key group\n${mark}PartialAggregate ${groupingText(output.grouping, schema)}`
    case 'shuffle':
      return `Exchange by key group of ${keysText(output.keys, schema)}`
    case 'exchange':
      return 'Exchange to one task'
    case 'sink':
      return `Sink [${output.schema.fields.map((f) => f.name).join(', ')}]`
  }
}
