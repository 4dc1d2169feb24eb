import type { BoundExpression } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import type { Value } from './value.js'

/**
 * What each function computes. A kernel takes values that are not null and gives a value or the SQL null; the kernel of a
 * function that sees nulls (FunctionSpec.seesNulls) takes those too. This is the reference: the interpreter
 * calls kernels, and so does compiled code wherever it has no quicker text of its own.
 */
export type Kernel = (...args: never[]) => Value | null
export type Invocable = (...args: (Value | null)[]) => Value | null
export type BoundCall = BoundExpression & { readonly kind: 'call' }

/** A lambda's body over its parameters, and behind them the values that it has from outside. */
export type LambdaFunction = (row: readonly (Value | null)[]) => Value | null

/** Makes the kernel of one call; `first` is the type of its first argument. */
export type MakeKernel = (first: DataType, call: BoundCall, ansi: boolean, lambdas: readonly LambdaFunction[]) => Kernel

export const plain =
  (kernel: Kernel): MakeKernel =>
  () =>
    kernel

export type KernelTable = Readonly<Record<string, MakeKernel>>
