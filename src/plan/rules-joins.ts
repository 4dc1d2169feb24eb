import { columnSlots, type StructType } from '../types/data-type.js'
import { conjuncts } from './bound-expression.js'
import { type BoundJoin, type BoundPlan, mapPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { call } from './function-spec.js'
import { canThrow } from './functions.js'
import { preservesLeft, preservesRight, shifted, sideOf, splitCondition } from './join.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { types } from './type-rules.js'

/** Rules that let rows fall out before they are paired. What throws stays where it is: it must meet the same rows. */

/** Conditions above a join on columns of one side, to that side; where a side may come out as nulls, those on it stay. */
export const pushFiltersBelowJoins: OptimizerRule = {
  name: 'pushFiltersBelowJoins',
  apply: (plan, { ansi }) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'join') return node
      const join = node.input
      const { left, right, rest } = bySide(node.condition, join, ansi, {
        left: !preservesRight(join.how),
        right: !preservesLeft(join.how),
      })
      if (left.length + right.length === 0) return node
      const input = { ...join, left: filtered(join.left, left), right: filtered(join.right, right) }
      return filtered(input, rest)
    }),
}

/**
 * Conditions above an inner join are conditions of the join: what they say of equality decides where rows meet, and what they say of time how
 * long rows wait. So a cross join with a filter is the join that was meant. What may throw is looked at for the pairs that the parts before it have left, as
 * it was above the join: only what stands before it becomes a key. `null and x` evaluates x for a pair that the join's own condition has
 * dropped, so an x that may throw stays above where that condition can be null.
 */
export const filtersIntoJoins: OptimizerRule = {
  name: 'filtersIntoJoins',
  apply: (plan, { ansi }) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'filter' || node.input.op !== 'join') return node
      const { input: join } = node
      if (join.how !== 'inner' && join.how !== 'cross') return node
      const parts = conjuncts(node.condition)
      const throwing = parts.findIndex((part) => canThrow(part, ansi))
      const safe = throwing === -1 ? parts.length : throwing
      const leftSlots = columnSlots(join.left.schema).length
      const { leftKeys, rightKeys, condition } = splitCondition(all(parts.slice(0, safe)), leftSlots)
      const staysAbove = join.condition?.nullable === true
      if (staysAbove && safe === 0) return node
      const behind = parts.slice(safe)
      const both = all([join.condition, condition, ...(staysAbove ? [] : behind)].filter((one) => one !== undefined))
      const { condition: _, ...bare } = join
      const joined: BoundJoin = {
        ...bare,
        how: 'inner',
        leftKeys: [...join.leftKeys, ...leftKeys],
        rightKeys: [...join.rightKeys, ...rightKeys],
        ...(both === undefined ? {} : { condition: both }),
      }
      return staysAbove ? filtered(joined, behind) : joined
    }),
}

/** Conditions of the join itself on columns of one side; where all rows of a side come out, those on it stay. */
export const pushJoinConditions: OptimizerRule = {
  name: 'pushJoinConditions',
  apply: (plan, { ansi }) =>
    mapPlan(plan, (node) => {
      if (node.op !== 'join' || node.condition === undefined) return node
      const { left, right, rest } = bySide(node.condition, node, ansi, {
        left: !preservesLeft(node.how) && node.how !== 'leftAnti',
        right: !preservesRight(node.how),
      })
      if (left.length + right.length === 0) return node
      const { condition: _, ...join } = node
      const condition = all(rest)
      return {
        ...join,
        left: filtered(join.left, left),
        right: filtered(join.right, right),
        ...(condition === undefined ? {} : { condition }),
      }
    }),
}

function bySide(
  condition: BoundExpression,
  join: BoundJoin,
  ansi: boolean,
  may: { readonly left: boolean; readonly right: boolean },
): { left: BoundExpression[]; right: BoundExpression[]; rest: BoundExpression[] } {
  const leftSlots = columnSlots(join.left.schema).length
  const sides = { left: [] as BoundExpression[], right: [] as BoundExpression[], rest: [] as BoundExpression[] }
  const parts = conjuncts(condition)
  const throws = parts.some((part) => canThrow(part, ansi))
  for (const part of parts) {
    const side = throws ? 'both' : sideOf(part, leftSlots)
    if (side === 'left' && may.left) sides.left.push(part)
    else if (side === 'right' && may.right) sides.right.push(shifted(part, -leftSlots))
    else sides.rest.push(part)
  }
  return sides
}

function all(parts: readonly BoundExpression[]): BoundExpression | undefined {
  return parts.reduce<BoundExpression | undefined>(
    (a, b) => (a === undefined ? b : call('and', [a, b], types.boolean, a.nullable || b.nullable)),
    undefined,
  )
}

function filtered(input: BoundPlan, parts: readonly BoundExpression[]): BoundPlan {
  const condition = all(parts)
  const schema: StructType = input.schema
  return condition === undefined ? input : { op: 'filter', input, condition, schema }
}
