import { present } from '../common/assert.js'
import { type StructType, scalar, structType } from '../types/data-type.js'
import type { BoundAggregate, BoundExpression } from './expression.js'
import type { GroupingWindow } from './grouping-window.js'
import type { JoinType, SourceSpec } from './logical-plan.js'
import type { Processor } from './stateful-processor.js'
import type { UserCode } from './user-code.js'

/**
 * A logical plan after analysis: every name is a slot, every expression has a type, every node knows the
 * schema of its rows. Expressions of a node are bound to the schema of its input. The optimizer turns one of
 * these into another; the planner cuts it into stages.
 */
export type BoundPlan =
  | BoundScan
  | {
      readonly op: 'filter'
      readonly input: BoundPlan
      readonly condition: BoundExpression
      readonly schema: StructType
    }
  | {
      readonly op: 'project'
      readonly input: BoundPlan
      readonly columns: readonly BoundExpression[]
      readonly schema: StructType
    }
  | {
      readonly op: 'watermark'
      readonly input: BoundPlan
      readonly eventTime: BoundExpression
      readonly column: string
      readonly delayMs: number
      readonly schema: StructType
    }
  | BoundUserCode
  | BoundExplode
  | BoundAggregation
  | BoundDeduplication
  | BoundTransform
  | BoundUnion
  | BoundJoin
  | {
      readonly op: 'sort'
      readonly input: BoundPlan
      readonly keys: readonly SortKey[]
      /** Only the first rows are wanted. */
      readonly limit?: number
      readonly schema: StructType
    }
  | { readonly op: 'limit'; readonly input: BoundPlan; readonly count: number; readonly schema: StructType }

export interface BoundScan {
  readonly op: 'scan'
  readonly source: SourceSpec
  readonly schema: StructType
  /** Top-level field of source.schema for each field of `schema`. */
  readonly fields: readonly number[]
  readonly pushedFilters: readonly BoundExpression[]
  readonly watermark?: ScanWatermark
}

/**
 * Nothing is known of it but the columns that go in and come out: all of those that go in may be read, and nothing is moved across it. Where a
 * `withWatermark` stands above, the rows that come out are stamped, in their order.
 */
export interface BoundUserCode {
  readonly op: 'userCode'
  readonly input: BoundPlan
  readonly code: UserCode
  readonly watermark?: ScanWatermark
  readonly schema: StructType
}

/** Each row once for each element of an array of its, in their order; not at all where that is null or empty. */
export interface BoundExplode {
  readonly op: 'explode'
  readonly input: BoundPlan
  readonly array: BoundExpression
  /** Names of two more columns: the place in the array, from 1 on, and the element. */
  readonly position: string
  readonly element: string
  /** See explodedSchema(). */
  readonly schema: StructType
}

export function explodedSchema(
  { array, position, element }: Pick<BoundExplode, 'array' | 'position' | 'element'>,
  input: StructType,
): StructType {
  if (array.type.kind !== 'array') throw new Error(`assertion failed: explode of a ${array.type.kind}`)
  return structType([
    ...input.fields,
    { name: position, type: scalar('int'), nullable: false },
    { name: element, type: array.type.element, nullable: array.type.containsNull },
  ])
}

/** Stamped on the records of a scan. Scans below one `withWatermark` (it stands above a union of them) have the same `node`. */
export interface ScanWatermark {
  readonly eventTime: BoundExpression
  readonly column: string
  readonly delayMs: number
  readonly node: number
  /** Lateness by Spark's rule: the watermark is given for each epoch. Left out: by the stamp of the record. */
  readonly rule?: 'spark'
}

/** The rows of all inputs. Each has the schema of the union, field by field. */
export interface BoundUnion {
  readonly op: 'union'
  readonly inputs: readonly BoundPlan[]
  readonly schema: StructType
}

/** Pairs of rows. Where only the left side comes out (semi, anti) `schema` is that of the left. */
export interface BoundJoin {
  readonly op: 'join'
  readonly left: BoundPlan
  readonly right: BoundPlan
  readonly how: JoinType
  /** Equal for a pair, one for one; bound to the rows of their side. No null is equal to another. */
  readonly leftKeys: readonly BoundExpression[]
  readonly rightKeys: readonly BoundExpression[]
  /** What else has to be true of a pair: over the slots of the left side, and behind them those of the right. */
  readonly condition?: BoundExpression
  readonly schema: StructType
}

export interface BoundAggregation {
  readonly op: 'aggregate'
  readonly input: BoundPlan
  readonly keys: readonly { readonly name: string; readonly value: BoundExpression }[]
  readonly window?: GroupingWindow
  readonly aggregates: readonly BoundAggregate[]
  /** The keys, the window at its position, then the aggregates. */
  readonly schema: StructType
}

/** The first row of each key, as it comes. */
export interface BoundDeduplication {
  readonly op: 'deduplicate'
  readonly input: BoundPlan
  /** Of types that have a hash; the fields of a struct one by one. */
  readonly keys: readonly BoundExpression[]
  /** The rows bear their event time, so those that are late are told apart, and dropped. */
  readonly dropsLate: boolean
  /** A key counts until the watermark has reached the event time of its row plus the delay; left out: as long as its own time, or for ever. */
  readonly within?: { readonly eventTime: BoundExpression; readonly delayMs: number }
  readonly schema: StructType
}

/** Rows by key to a processor of the user's: see transform-with-state.ts. */
export interface BoundTransform {
  readonly op: 'transformWithState'
  /** The columns that the user has, and behind them the keys. */
  readonly input: BoundPlan
  readonly columns: number
  /** The columns behind. */
  readonly keys: readonly BoundExpression[]
  readonly names: readonly string[]
  readonly processor: Processor
  /** Which column of the input is the event time, where the processor goes by it. */
  readonly eventTime?: number
  /** Read to its end before the query begins, so no input of the node. */
  readonly initial?: {
    readonly input: BoundPlan
    readonly columns: number
    readonly keys: readonly BoundExpression[]
  }
  readonly schema: StructType
}

export interface SortKey {
  readonly value: BoundExpression
  readonly descending: boolean
  readonly nullsFirst: boolean
}

/** The plans whose rows a node takes; none of a scan. */
export function inputsOf(plan: BoundPlan): readonly BoundPlan[] {
  if (plan.op === 'scan') return []
  if (plan.op === 'join') return [plan.left, plan.right]
  return plan.op === 'union' ? plan.inputs : [plan.input]
}

/** The same node over other inputs. Nodes that hand rows through take the schema of theirs. */
export function withInputs(plan: BoundPlan, inputs: readonly BoundPlan[]): BoundPlan {
  if (plan.op === 'scan') return plan
  if (plan.op === 'union') return { ...plan, inputs }
  const input = present(inputs[0], `the input of a ${plan.op}`)
  if (plan.op === 'join') return { ...plan, left: input, right: present(inputs[1], 'the right side of a join') }
  if (plan.op === 'project' || plan.op === 'aggregate' || plan.op === 'transformWithState') return { ...plan, input }
  if (plan.op === 'explode') return { ...plan, input, schema: explodedSchema(plan, input.schema) }
  if (plan.op === 'userCode' && plan.code.method !== 'filter') return { ...plan, input }
  return { ...plan, input, schema: input.schema }
}

/** Every node below `plan`, and itself, inputs before what reads them. */
export function nodesOf(plan: BoundPlan): readonly BoundPlan[] {
  return [...inputsOf(plan).flatMap(nodesOf), plan]
}

/** From left to right. */
export function scansOf(plan: BoundPlan): readonly BoundScan[] {
  return plan.op === 'scan' ? [plan] : inputsOf(plan).flatMap(scansOf)
}

/** What stamps the rows that come out of each scan below `plan`; undefined for one that nobody stamps. */
export function stampsOf(plan: BoundPlan): readonly (ScanWatermark | undefined)[] {
  if (plan.op === 'scan') return plan.source.streaming ? [plan.watermark] : []
  return plan.op === 'userCode' && plan.watermark !== undefined ? [plan.watermark] : inputsOf(plan).flatMap(stampsOf)
}

/** From the scans up; nodes that do not change stay the same objects. */
export function mapPlan(plan: BoundPlan, change: (node: BoundPlan) => BoundPlan): BoundPlan {
  const before = inputsOf(plan)
  const after = before.map((input) => mapPlan(input, change))
  return change(after.every((input, i) => input === before[i]) ? plan : withInputs(plan, after))
}
