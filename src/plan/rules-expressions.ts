import { rewrite } from './bound-expression.js'
import { type BoundPlan, mapPlan } from './bound-plan.js'
import type { BoundExpression, LiteralValue } from './expression.js'
import { mapWindow } from './grouping-window.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { types } from './type-rules.js'

/** Rules that look at one expression at a time. */

export const foldConstants: OptimizerRule = {
  name: 'foldConstants',
  apply: (plan, options) => mapExpressions(plan, (e) => rewrite(e, (x) => fold(x, options.evaluate))),
}

/** From the leaves up, so looking at the children is enough. What throws stays, and throws where a row reaches it. */
function fold(e: BoundExpression, evaluate: (e: BoundExpression) => unknown): BoundExpression {
  const constant = (x: BoundExpression): boolean => x.kind === 'literal'
  const isConstant =
    (e.kind === 'call' && e.args.every(constant)) ||
    (e.kind === 'cast' && constant(e.arg)) ||
    (e.kind === 'case' &&
      e.branches.every((b) => constant(b.when) && constant(b.then)) &&
      (e.otherwise === undefined || constant(e.otherwise)))
  if (!isConstant) return e
  try {
    const value = evaluate(e)
    if (value !== null && typeof value === 'object' && !(value instanceof Uint8Array)) return e
    return { kind: 'literal', value: value as LiteralValue, type: e.type, nullable: value === null }
  } catch {
    return e
  }
}

const truth: BoundExpression = { kind: 'literal', value: true, type: types.boolean, nullable: false }
const untruth: BoundExpression = { kind: 'literal', value: false, type: types.boolean, nullable: false }

/** `true and x`, `false or x`, `not not x`, a null test of what is never null. */
export const simplifyBooleans: OptimizerRule = {
  name: 'simplifyBooleans',
  apply: (plan) => {
    const simplified = mapExpressions(plan, (e) => rewrite(e, simplify))
    return mapPlan(simplified, (node) => (node.op === 'filter' && isLiteral(node.condition, true) ? node.input : node))
  },
}

const isLiteral = (e: BoundExpression | undefined, value: boolean): boolean =>
  e?.kind === 'literal' && e.value === value

function simplify(e: BoundExpression): BoundExpression {
  if (e.kind !== 'call') return e
  const [a, b] = e.args
  if (a === undefined) return e
  switch (e.fn) {
    case 'and':
      if (isLiteral(a, false)) return untruth
      if (isLiteral(a, true) && b !== undefined) return b
      return isLiteral(b, true) ? a : e
    case 'or':
      if (isLiteral(a, true)) return truth
      if (isLiteral(a, false) && b !== undefined) return b
      return isLiteral(b, false) ? a : e
    case 'not':
      return a.kind === 'call' && a.fn === 'not' && a.args[0] !== undefined ? a.args[0] : e
    case 'isNull':
      // Columns only: anything else might throw, which the test would then no longer do.
      return a.kind === 'input' && !a.nullable ? untruth : e
    case 'isNotNull':
      return a.kind === 'input' && !a.nullable ? truth : e
    default:
      return e
  }
}

/** Every expression of every node. */
export function mapExpressions(plan: BoundPlan, change: (e: BoundExpression) => BoundExpression): BoundPlan {
  return mapPlan(plan, (node): BoundPlan => {
    switch (node.op) {
      case 'filter': {
        const condition = change(node.condition)
        return condition === node.condition ? node : { ...node, condition }
      }
      case 'project': {
        const columns = node.columns.map(change)
        return columns.every((c, i) => c === node.columns[i]) ? node : { ...node, columns }
      }
      case 'aggregate':
        return {
          ...node,
          keys: node.keys.map((key) => ({ ...key, value: change(key.value) })),
          aggregates: node.aggregates.map((a) => (a.arg === undefined ? a : { ...a, arg: change(a.arg) })),
          ...(node.window === undefined ? {} : { window: mapWindow(node.window, change) }),
        }
      case 'sort':
        return { ...node, keys: node.keys.map((key) => ({ ...key, value: change(key.value) })) }
      case 'join':
        return {
          ...node,
          leftKeys: node.leftKeys.map(change),
          rightKeys: node.rightKeys.map(change),
          ...(node.condition === undefined ? {} : { condition: change(node.condition) }),
        }
      case 'explode':
        return { ...node, array: change(node.array) }
      case 'deduplicate':
        return { ...node, keys: node.keys.map(change) }
      case 'watermark':
      case 'userCode':
      case 'transformWithState':
      case 'scan':
      case 'union':
      case 'limit':
        return node
    }
  })
}
