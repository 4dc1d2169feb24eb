import type { StructType } from '../types/data-type.js'
import type { BoundAggregate, BoundExpression } from './expression.js'
import type { SourceSpec } from './logical-plan.js'

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
  | BoundAggregation
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
  readonly watermark?: { readonly eventTime: BoundExpression; readonly column: string; readonly delayMs: number }
}

export interface BoundAggregation {
  readonly op: 'aggregate'
  readonly input: BoundPlan
  readonly keys: readonly { readonly name: string; readonly value: BoundExpression }[]
  readonly window?: {
    readonly name: string
    readonly position: number
    readonly eventTime: BoundExpression
    readonly sizeMs: number
    readonly startMs: number
  }
  readonly aggregates: readonly BoundAggregate[]
  /** The keys, the window at its position, then the aggregates. */
  readonly schema: StructType
}

export interface SortKey {
  readonly value: BoundExpression
  readonly descending: boolean
  readonly nullsFirst: boolean
}

/** The nodes from the scan up to the root. */
export function spine(plan: BoundPlan): readonly BoundPlan[] {
  const nodes: BoundPlan[] = []
  let node: BoundPlan | undefined = plan
  while (node !== undefined) {
    nodes.unshift(node)
    node = node.op === 'scan' ? undefined : node.input
  }
  return nodes
}

export function scanOf(plan: BoundPlan): BoundScan {
  let node = plan
  while (node.op !== 'scan') node = node.input
  return node
}
