import { topLevelSlots } from '../types/data-type.js'
import { children, conjuncts, inputSlots } from './bound-expression.js'
import { type BoundPlan, mapPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { call } from './function-spec.js'
import { canThrow } from './functions.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { belowProjection, topLevelOf } from './slot-mapping.js'
import { types } from './type-rules.js'

/** Rules that move, merge and drop the nodes of a plan. */

/** A filter on what a projection computes is a filter on what it computes it from; rows fall out earlier. */
export const pushFiltersBelowProjections: OptimizerRule = {
  name: 'pushFiltersBelowProjections',
  apply: (plan, options) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'project') return node
      const projection = node.input
      const condition = belowProjection(projection.schema, projection.columns)(node.condition)
      // A projection that throws must meet the same rows; and a long computation is not worth doing twice.
      if (
        projection.columns.some((c) => canThrow(c, options.ansi)) ||
        size(condition) > size(node.condition) + EXTRA_SIZE_MAX
      )
        return node
      const input: BoundPlan = { op: 'filter', input: projection.input, condition, schema: projection.input.schema }
      return { ...projection, input }
    }),
}

const EXTRA_SIZE_MAX = 8

function size(e: BoundExpression): number {
  return children(e).reduce((sum, child) => sum + size(child), 1)
}

/** Rows fall out before they are brought together, and in the scans where those can tell. */
export const pushFiltersBelowUnions: OptimizerRule = {
  name: 'pushFiltersBelowUnions',
  apply: (plan) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'union') return node
      // The inputs have the union's fields one for one, so the condition is bound to their rows as it is.
      const { condition } = node
      const inputs = node.input.inputs.map((input): BoundPlan => {
        return { op: 'filter', input, condition, schema: input.schema }
      })
      return { ...node.input, inputs }
    }),
}

/**
 * Two filters in a row as one. `null and x` evaluates x where the first filter alone would have dropped the
 * row, so an x that can throw stays behind a condition that can be null.
 */
export const mergeFilters: OptimizerRule = {
  name: 'mergeFilters',
  apply: (plan, options) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'filter') return node
      const lower = node.input
      if (lower.condition.nullable && canThrow(node.condition, options.ansi)) return node
      const nullable = lower.condition.nullable || node.condition.nullable
      return { ...lower, condition: call('and', [lower.condition, node.condition], types.boolean, nullable) }
    }),
}

/** A projection over a projection, where that computes nothing twice. */
export const collapseProjections: OptimizerRule = {
  name: 'collapseProjections',
  apply: (plan, options) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'project' || node.input.op !== 'project') return node
      const lower = node.input
      const uses = new Array<number>(lower.columns.length).fill(0)
      const topOf = topLevelOf(lower.schema)
      const count = (e: BoundExpression): void => {
        if (e.kind === 'input') uses[topOf(e.slot).field] = (uses[topOf(e.slot).field] ?? 0) + 1
        else for (const child of children(e)) count(child)
      }
      for (const column of node.columns) count(column)
      const fits = lower.columns.every((column, i) => {
        if (column.kind === 'input' || column.kind === 'literal') return true
        // A column that throws and is dropped would no longer throw.
        return uses[i] === 1 || (uses[i] === 0 && !canThrow(column, options.ansi))
      })
      const branching = node.columns.some((c) => c.kind !== 'input' && canThrowInside(c, lower.columns, options.ansi))
      if (!fits || branching) return node
      const below = belowProjection(lower.schema, lower.columns)
      return { ...node, columns: node.columns.map(below), input: lower.input }
    }),
}

/** Inside a larger expression what throws might be skipped (the other branch of a case), so it stays where it is. */
function canThrowInside(e: BoundExpression, lower: readonly BoundExpression[], ansi: boolean): boolean {
  return inputSlots(e).length > 0 && lower.some((column) => canThrow(column, ansi))
}

export const limitIntoSort: OptimizerRule = {
  name: 'limitIntoSort',
  apply: (plan) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'limit') return node
      if (node.input.op === 'sort')
        return { ...node.input, limit: Math.min(node.count, node.input.limit ?? node.count) }
      if (node.input.op === 'limit') return { ...node.input, count: Math.min(node.count, node.input.count) }
      return node
    }),
}

/** A projection that hands every column through under its own name. */
export const removeIdentityProjections: OptimizerRule = {
  name: 'removeIdentityProjections',
  apply: (plan) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'project' || node.columns.length !== node.input.schema.fields.length) return node
      const slots = topLevelSlots(node.input.schema)
      const isIdentity = node.columns.every(
        (column, i) =>
          column.kind === 'input' &&
          column.slot === slots[i] &&
          node.schema.fields[i]?.name === node.input.schema.fields[i]?.name,
      )
      return isIdentity ? node.input : node
    }),
}

/** The conditions right above the scan are told to the source as well; it may skip what they exclude. */
export const pushFiltersIntoScan: OptimizerRule = {
  name: 'pushFiltersIntoScan',
  apply: (plan, options) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'scan') return node
      // A source may skip by any of them, in any order, so those that throw are not for it.
      const pushedFilters = conjuncts(node.condition).filter(
        (c) => !canThrow(c, options.ansi) && inputSlots(c).length > 0,
      )
      return pushedFilters.length === 0 ? node : { ...node, input: { ...node.input, pushedFilters } }
    }),
}
