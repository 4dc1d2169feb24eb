import { topLevelSlots } from '../types/data-type.js'
import { children, conjuncts, inputSlots } from './bound-expression.js'
import type { BoundPlan, BoundScan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { call } from './function-spec.js'
import { canThrow } from './functions.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { mapPlan, withInput } from './rules-expressions.js'
import { afterPruning, belowProjection, keptFields, topLevelOf } from './slot-mapping.js'
import { types } from './type-rules.js'

/** Rules that move, merge and drop the nodes of a plan. */

/**
 * The watermark belongs to the scan: records are stamped before any filter, so that filters do not decide
 * what is late. The event time is expressed over the scan's columns by putting projections in place.
 */
export const hoistWatermark: OptimizerRule = {
  name: 'hoistWatermark',
  apply: (plan) => {
    let stamp: BoundScan['watermark']
    const hoisted = mapPlan(plan, (node) => {
      if (node.op !== 'watermark') return node
      stamp = { eventTime: overScan(node.eventTime, node.input), column: node.column, delayMs: node.delayMs }
      return node.input
    })
    if (stamp === undefined) return plan
    const watermark = stamp
    return mapPlan(hoisted, (node) => (node.op === 'scan' ? { ...node, watermark } : node))
  },
}

/** The expression over the rows of the scan. There is no aggregate in between. */
export function overScan(e: BoundExpression, plan: BoundPlan): BoundExpression {
  if (plan.op === 'scan') return e
  return overScan(plan.op === 'project' ? belowProjection(plan.schema, plan.columns)(e) : e, plan.input)
}

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

/** Columns that nobody reads are not carried, and not decoded by the source. */
export const pruneColumns: OptimizerRule = {
  name: 'pruneColumns',
  apply: (plan) =>
    prune(
      plan,
      plan.schema.fields.map((_, i) => i),
    ).plan,
}

interface Pruned {
  readonly plan: BoundPlan
  /** Which fields of the node's former schema are left, in order. */
  readonly kept: readonly number[]
}

function prune(plan: BoundPlan, required: readonly number[]): Pruned {
  const need = (
    expressions: readonly BoundExpression[],
    input: BoundPlan,
    also: readonly number[] = [],
  ): readonly number[] => {
    const topOf = topLevelOf(input.schema)
    const fields = new Set(also)
    for (const e of expressions) for (const slot of inputSlots(e)) fields.add(topOf(slot).field)
    return [...fields].sort((a, b) => a - b)
  }
  switch (plan.op) {
    case 'scan': {
      const kept = plan.watermark === undefined ? required : need([plan.watermark.eventTime], plan, required)
      if (kept.length === plan.schema.fields.length) return { plan, kept }
      const move = afterPruning(plan.schema, kept)
      const watermark =
        plan.watermark === undefined
          ? {}
          : { watermark: { ...plan.watermark, eventTime: move(plan.watermark.eventTime) } }
      const fields = kept.map((i) => plan.fields[i] as number)
      return { plan: { ...plan, schema: keptFields(plan.schema, kept), fields, ...watermark }, kept }
    }
    case 'project': {
      const columns = required.map((i) => plan.columns[i] as BoundExpression)
      const below = prune(plan.input, need(columns, plan.input))
      const move = afterPruning(plan.input.schema, below.kept)
      const schema = keptFields(plan.schema, required)
      return { plan: { ...plan, input: below.plan, columns: columns.map(move), schema }, kept: required }
    }
    case 'filter': {
      const below = prune(plan.input, need([plan.condition], plan.input, required))
      const condition = afterPruning(plan.input.schema, below.kept)(plan.condition)
      return { plan: { ...plan, input: below.plan, condition, schema: below.plan.schema }, kept: below.kept }
    }
    case 'sort': {
      const below = prune(
        plan.input,
        need(
          plan.keys.map((k) => k.value),
          plan.input,
          required,
        ),
      )
      const move = afterPruning(plan.input.schema, below.kept)
      const keys = plan.keys.map((k) => ({ ...k, value: move(k.value) }))
      return { plan: { ...plan, input: below.plan, keys, schema: below.plan.schema }, kept: below.kept }
    }
    case 'limit':
    case 'watermark': {
      const below = prune(plan.input, required)
      return { plan: withInput(plan, below.plan), kept: below.kept }
    }
    case 'aggregate': {
      const used = [
        ...plan.keys.map((k) => k.value),
        ...(plan.window === undefined ? [] : [plan.window.eventTime]),
        ...plan.aggregates.flatMap((a) => (a.arg === undefined ? [] : [a.arg])),
      ]
      const below = prune(plan.input, need(used, plan.input))
      const move = afterPruning(plan.input.schema, below.kept)
      const keys = plan.keys.map((k) => ({ ...k, value: move(k.value) }))
      const aggregates = plan.aggregates.map((a) => (a.arg === undefined ? a : { ...a, arg: move(a.arg) }))
      const window =
        plan.window === undefined ? {} : { window: { ...plan.window, eventTime: move(plan.window.eventTime) } }
      return {
        plan: { ...plan, input: below.plan, keys, aggregates, ...window },
        kept: plan.schema.fields.map((_, i) => i),
      }
    }
  }
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
