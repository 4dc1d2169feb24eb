import { assert } from '../common/assert.js'
import { MillraceError } from '../common/errors.js'
import { type StructType, sameType } from '../types/data-type.js'
import { expressionKey } from './bound-expression.js'
import type { BoundPlan } from './bound-plan.js'
import type { OptimizerOptions, OptimizerRule } from './optimizer-rule.js'
import { foldConstants, simplifyBooleans } from './rules-expressions.js'
import { filtersIntoJoins, pushFiltersBelowJoins, pushJoinConditions } from './rules-joins.js'
import {
  collapseProjections,
  limitIntoSort,
  mergeFilters,
  pushFiltersBelowProjections,
  pushFiltersBelowUnions,
  pushFiltersIntoScan,
  removeIdentityProjections,
} from './rules-plan.js'
import { pruneColumns } from './rules-pruning.js'
import { stepName } from './user-code.js'
import { verifyPlan } from './verify-plan.js'
import { hoistWatermark } from './watermark.js'

/** Applied again and again until nothing changes. */
export const rewritingRules: readonly OptimizerRule[] = [
  foldConstants,
  simplifyBooleans,
  pushFiltersBelowProjections,
  pushFiltersBelowUnions,
  pushFiltersBelowJoins,
  filtersIntoJoins,
  pushJoinConditions,
  mergeFilters,
  collapseProjections,
  limitIntoSort,
]

/** Applied once, after those. */
export const finishingRules: readonly OptimizerRule[] = [pruneColumns, removeIdentityProjections, pushFiltersIntoScan]

const ROUNDS_MAX = 10

/**
 * Turns a bound plan into one that gives the same rows for less work. Each rule has a name and does one
 * thing; after each the plan is verified, so that a rule that breaks it is named.
 */
export function optimize(plan: BoundPlan, options: OptimizerOptions): BoundPlan {
  // The watermark is stamped at the scan, before any filter, so it goes there before filters do.
  let current = applyRule(hoistWatermark, plan, options)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = planKey(current)
    for (const rule of rewritingRules) current = applyRule(rule, current, options)
    if (planKey(current) === before) break
  }
  for (const rule of finishingRules) current = applyRule(rule, current, options)
  return current
}

function applyRule(rule: OptimizerRule, plan: BoundPlan, options: OptimizerOptions): BoundPlan {
  const next = rule.apply(plan, options)
  if (next === plan) return plan
  try {
    verifyPlan(next)
    assert(
      sameType(withoutNullability(next.schema), withoutNullability(plan.schema)),
      'the schema of the result changed',
    )
  } catch (error) {
    throw new MillraceError('PLAN_VALIDATION_FAILED', `the optimizer rule ${rule.name} broke the plan`, {
      detail: String(error),
      hint: 'this is a bug of millrace: please report it with the output of explain(true)',
      cause: error,
    })
  }
  return next
}

/** A rule may prove that a column has no nulls. */
function withoutNullability(schema: StructType): StructType {
  return { kind: 'struct', fields: schema.fields.map((f) => ({ ...f, nullable: true })) }
}

/** Equal texts mean equal plans, as far as rules change them. */
function planKey(plan: BoundPlan): string {
  switch (plan.op) {
    case 'scan':
      return `scan(${plan.fields.join(',')})`
    case 'filter':
      return `filter(${expressionKey(plan.condition)}) ${planKey(plan.input)}`
    case 'project':
      return `project(${plan.columns.map(expressionKey).join(', ')}) ${planKey(plan.input)}`
    case 'watermark':
      return `watermark ${planKey(plan.input)}`
    case 'userCode':
      return `${stepName(plan.code)} ${planKey(plan.input)}`
    case 'explode':
      return `explode(${expressionKey(plan.array)}) ${planKey(plan.input)}`
    case 'aggregate':
      return `aggregate(${plan.keys.map((k) => expressionKey(k.value)).join(', ')}) ${planKey(plan.input)}`
    case 'transformWithState':
      return `transformWithState(${plan.processor.fn.name} by ${plan.keys.map(expressionKey).join(', ')}) ${planKey(plan.input)}`
    case 'deduplicate':
      return `deduplicate(${plan.keys.map(expressionKey).join(', ')}) ${planKey(plan.input)}`
    case 'sort':
      return `sort(${plan.limit ?? ''}) ${planKey(plan.input)}`
    case 'limit':
      return `limit(${plan.count}) ${planKey(plan.input)}`
    case 'join':
      return `join(${plan.how} ${plan.leftKeys.map(expressionKey).join(', ')}; ${plan.condition === undefined ? '' : expressionKey(plan.condition)}) ${planKey(plan.left)}; ${planKey(plan.right)}`
    case 'union':
      return `union(${plan.inputs.map(planKey).join('; ')})`
  }
}
