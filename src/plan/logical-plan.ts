import { present } from '../common/assert.js'
import type { StructType } from '../types/data-type.js'
import type { Expression } from './expression.js'
import type { Processor } from './stateful-processor.js'
import type { UserCode } from './user-code.js'

/**
 * What the user asked for, node by node, as frozen data that survives `structuredClone`. Nothing here
 * has been checked: the analyzer does that.
 */
export type LogicalPlan =
  | { readonly op: 'scan'; readonly source: SourceSpec }
  | { readonly op: 'select'; readonly input: LogicalPlan; readonly columns: readonly Expression[] }
  | { readonly op: 'withColumn'; readonly input: LogicalPlan; readonly name: string; readonly value: Expression }
  | { readonly op: 'drop'; readonly input: LogicalPlan; readonly names: readonly string[] }
  | { readonly op: 'filter'; readonly input: LogicalPlan; readonly condition: Expression }
  | { readonly op: 'withWatermark'; readonly input: LogicalPlan; readonly column: string; readonly delayMs: number }
  | {
      readonly op: 'aggregate'
      readonly input: LogicalPlan
      readonly keys: readonly Expression[]
      readonly aggregates: readonly Expression[]
    }
  | {
      readonly op: 'top'
      readonly input: LogicalPlan
      readonly keys: readonly Expression[]
      readonly count: number
      readonly order: readonly Expression[]
    }
  | {
      readonly op: 'deduplicate'
      readonly input: LogicalPlan
      /** The key's columns; left out: all of them. */
      readonly names?: readonly string[]
      /** A key is forgotten when the watermark has passed the event time of its row plus the delay. */
      readonly withinWatermark: boolean
    }
  | { readonly op: 'orderBy'; readonly input: LogicalPlan; readonly keys: readonly Expression[] }
  | { readonly op: 'limit'; readonly input: LogicalPlan; readonly count: number }
  | { readonly op: 'userCode'; readonly input: LogicalPlan; readonly code: UserCode }
  | {
      readonly op: 'transformWithState'
      readonly input: LogicalPlan
      readonly keys: readonly Expression[]
      readonly processor: Processor
      /** Read to its end before the query begins, so no input of the node. */
      readonly initial?: { readonly input: LogicalPlan; readonly keys: readonly Expression[] }
    }
  | {
      readonly op: 'union'
      readonly inputs: readonly LogicalPlan[]
      /** Columns of the same name go together, not those of the same place. */
      readonly byName: boolean
      /** With `byName`: a column that one side lacks is null there. */
      readonly allowMissingColumns: boolean
    }
  | {
      readonly op: 'join'
      readonly left: LogicalPlan
      readonly right: LogicalPlan
      readonly how: JoinType
      readonly on?: Expression
      /** Columns that both sides have: equal, and once in the result. */
      readonly using?: readonly string[]
    }
  /** Gives the columns of the input a first name: `clicks.page`. */
  | { readonly op: 'alias'; readonly input: LogicalPlan; readonly name: string }

/** What is made of groups, apart from their keys and the rows that are grouped. */
export type GroupedNode =
  | Omit<Extract<LogicalPlan, { readonly op: 'aggregate' }>, 'input' | 'keys'>
  | Omit<Extract<LogicalPlan, { readonly op: 'top' }>, 'input' | 'keys'>

export type JoinType = 'inner' | 'left' | 'right' | 'full' | 'leftSemi' | 'leftAnti' | 'cross'

/** The plans whose rows a node takes; none of a scan. */
export function logicalInputs(plan: LogicalPlan): readonly LogicalPlan[] {
  if (plan.op === 'scan') return []
  if (plan.op === 'join') return [plan.left, plan.right]
  return plan.op === 'union' ? plan.inputs : [plan.input]
}

/** The same node over other inputs. */
export function withLogicalInputs(plan: LogicalPlan, inputs: readonly LogicalPlan[]): LogicalPlan {
  if (plan.op === 'scan') return plan
  if (plan.op === 'union') return { ...plan, inputs }
  const input = present(inputs[0], `the input of ${plan.op}`)
  if (plan.op === 'join') return { ...plan, left: input, right: present(inputs[1], 'the right side of a join') }
  return { ...plan, input }
}

/** The scans of a plan, from left to right. */
export function logicalScans(plan: LogicalPlan): readonly Extract<LogicalPlan, { op: 'scan' }>[] {
  return plan.op === 'scan' ? [plan] : logicalInputs(plan).flatMap(logicalScans)
}

/**
 * Where rows come from. `streaming` is false for `mill.read…` and createDataFrame: the input ends.
 * `schema` is what the scan yields to the plan; the physical source is found by `format` in connector/.
 */
export interface SourceSpec {
  /** `topic`: the value's own fields of a typed topic. `log`: Kafka's columns. `memory`: rows held in blocks. `rate`: Spark's rate source. The others: files. */
  readonly format: 'topic' | 'log' | 'memory' | 'rate' | FileFormat
  readonly streaming: boolean
  readonly schema: StructType
  /** For `topic` and `log`. Ids are checked against the checkpoint: a topic made anew is not the same topic. */
  readonly topics?: readonly { readonly name: string; readonly id: string; readonly partitions: number }[]
  /** For `memory`: key into the session's table of shared buffers, which travel beside the plan, not in it. */
  readonly tableId?: string
  readonly options: Readonly<Record<string, string>>
  /** Stable name of the source in the checkpoint; default its place in the plan. */
  readonly name?: string
}

/** The formats of files, whose columns the user names. */
export type FileFormat = TextFormat | 'parquet'
export const fileFormats: readonly FileFormat[] = ['json', 'csv', 'parquet']
/** Those that are written too. */
export type TextFormat = 'json' | 'csv'
export const textFormats: readonly TextFormat[] = ['json', 'csv']

export const isFileFormat = (format: string): format is FileFormat =>
  (fileFormats as readonly string[]).includes(format)
