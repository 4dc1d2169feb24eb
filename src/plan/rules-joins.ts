import { columnSlots, type StructType } from '../types/data-type.js'
import { conjuncts } from './bound-expression.js'
import { type BoundJoin, type BoundPlan, mapPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { call } from './function-spec.js'
import { canThrow } from './functions.js'
import { preservesLeft, preservesRight, shifted, sideOf } from './join.js'
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
