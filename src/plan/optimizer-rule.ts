import type { BoundPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'

/** One step of the optimizer: a name for explain and for errors, and a pure function of plans. */
export interface OptimizerRule {
  readonly name: string
  readonly apply: (plan: BoundPlan, options: OptimizerOptions) => BoundPlan
}

export interface OptimizerOptions {
  readonly ansi: boolean
  /** Value of an expression of literals; `codegen/` lies above this room, so the evaluator comes as an argument. */
  readonly evaluate: (expression: BoundExpression) => unknown
}
