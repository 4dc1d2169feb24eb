import type { DataType } from '../types/data-type.js'

/**
 * Expressions as frozen data. Two shapes: what a user builds (`Expression`, names not yet resolved, no
 * types) and what the analyzer makes of it (`BoundExpression`: typed, columns by index). Only bound
 * expressions are evaluated, by codegen/expression-compiler.ts or codegen/interpreter.ts.
 */

/**
 * A literal's JavaScript value: string, number (byte … double, long, timestamp as epoch milliseconds),
 * date as days since 1970, bigint (bigint), boolean, null, Uint8Array (binary), decimal as the unscaled bigint.
 */
export type LiteralValue = string | number | bigint | boolean | null | Uint8Array

export type Expression =
  /** A column by name; dots reach into structs (`window.start`). */
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: LiteralValue; readonly type: DataType }
  /** An operator or function by its name in the registry of functions.ts (`add`, `eq`, `upper`, …). */
  | { readonly kind: 'call'; readonly fn: string; readonly args: readonly Expression[] }
  /** `x -> x + 1`, as an argument of a higher-order function; its parameters are columns to its body. */
  | { readonly kind: 'lambda'; readonly parameters: readonly string[]; readonly body: Expression }
  | { readonly kind: 'cast'; readonly to: DataType; readonly arg: Expression; readonly try?: boolean }
  | {
      readonly kind: 'case'
      readonly branches: readonly { readonly when: Expression; readonly then: Expression }[]
      readonly otherwise?: Expression
    }
  | { readonly kind: 'alias'; readonly name: string; readonly arg: Expression }
  /** Time window of an event-time column; only as a grouping key. Milliseconds. */
  | {
      readonly kind: 'window'
      readonly arg: Expression
      readonly sizeMs: number
      readonly slideMs: number
      readonly startMs: number
    }
  /** Time between two silences of at least `gap`; only as a grouping key. The gap: milliseconds, a duration as text, or an interval. */
  | { readonly kind: 'sessionWindow'; readonly arg: Expression; readonly gap: Expression }
  | { readonly kind: 'aggregate'; readonly fn: AggregateName; readonly args: readonly Expression[] }
  | {
      readonly kind: 'sort'
      readonly arg: Expression
      readonly descending: boolean
      /** Default, as in Spark: first when ascending, last when descending. */
      readonly nullsFirst?: boolean
    }

export type AggregateName = 'count' | 'sum' | 'avg' | 'min' | 'max' | FoldName

/** Aggregates whose state is a value; plan/aggregate-specs.ts. */
/** `topRows` is what `groupBy(…).top(…)` plans, and nobody's to call. */
export type FoldName =
  | 'topRows'
  | 'collectList'
  | 'collectSet'
  | 'countDistinct'
  | 'sumDistinct'
  | 'avgDistinct'
  | 'approxCountDistinct'
  | 'stddevSamp'
  | 'stddevPop'
  | 'varSamp'
  | 'varPop'
  | 'skewness'
  | 'kurtosis'
  | 'corr'
  | 'covarSamp'
  | 'covarPop'
  | 'first'
  | 'last'
  | 'minBy'
  | 'maxBy'
  | 'minValue'
  | 'maxValue'
  | 'percentile'
  | 'percentileApprox'
  | 'median'
  | 'mode'
  | 'bitAndOf'
  | 'bitOrOf'
  | 'bitXorOf'

/**
 * A typed expression over the rows of one input schema.
 *
 * Value of each type while it is evaluated (interpreter and compiled code alike): byte short int long
 * float double timestamp (epoch ms) date (days) number; bigint and decimal (unscaled) bigint; boolean
 * boolean; string string; binary Uint8Array; struct array of field values; array array; map array of its
 * [key, value] pairs; null is null in the interpreter and a flag beside the value in compiled code.
 */
export type BoundExpression = {
  readonly type: DataType
  /** False promises that the value is never null. */
  readonly nullable: boolean
} & (
  | { readonly kind: 'input' /** Slot of the input schema, see columnSlots(). */; readonly slot: number }
  | { readonly kind: 'literal'; readonly value: LiteralValue }
  | {
      readonly kind: 'call'
      readonly fn: string
      readonly args: readonly BoundExpression[]
      readonly lambdas?: readonly BoundLambda[]
    }
  | { readonly kind: 'cast'; readonly arg: BoundExpression; readonly try?: boolean }
  | {
      readonly kind: 'case'
      readonly branches: readonly { readonly when: BoundExpression; readonly then: BoundExpression }[]
      readonly otherwise?: BoundExpression
    }
  /** Field of a computed struct (of an input struct it is already an `input` of the child's slot). */
  | { readonly kind: 'field'; readonly arg: BoundExpression; readonly index: number }
)

/**
 * A lambda of a higher-order function. Its body is an expression over a row of its own: slots 0 … parameters − 1
 * are the parameters, those behind them the values from outside, which are the call's arguments from
 * `firstCaptured` on.
 */
export interface BoundLambda {
  readonly parameters: number
  readonly firstCaptured: number
  readonly captured: number
  readonly body: BoundExpression
}

/** An aggregate of a grouping, its arguments bound to the input of the partial aggregate. */
export interface BoundAggregate {
  readonly fn: AggregateName
  /** `count()` has no argument: it counts rows. */
  readonly arg?: BoundExpression
  /** Of the result. */
  readonly type: DataType
  readonly nullable: boolean
  readonly name: string
  /** Of `topRows`. */
  readonly top?: TopRows
}

/** So many rows at the most, by the first fields of the argument in this order; the last field is the row. */
export interface TopRows {
  readonly count: number
  /** `by`: the expression as text, by which a checkpoint knows it again. */
  readonly order: readonly { readonly by: string; readonly descending: boolean; readonly nullsFirst: boolean }[]
}
