import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { BoundExpression } from '../plan/expression.js'
import { functionSpec } from '../plan/functions.js'
import { HASH_SEED, hashValue } from './hashing.js'
import { type BoundCall, type Invocable, kernelFor } from './kernels.js'
import { comparator, type StructValue, type Value } from './value.js'

/**
 * The reference semantics of expressions: a tree of closures over one row. Compiled code is held equal to
 * it by a property test, the optimizer folds constants with it, and it takes over where code generation is
 * forbidden.
 *
 * A row holds a value or null for each slot of the input schema; a struct's slot holds its field values.
 */
export type Row = readonly (Value | null)[]
export type Evaluate = (row: Row) => Value | null

const casts = lazyModule(import.meta.url, './casts.js', () => import('./casts.js'))

export interface EvaluationOptions {
  readonly ansi: boolean
}

export function evaluate(expression: BoundExpression, row: Row, options: EvaluationOptions): Value | null {
  return interpret(expression, options)(row)
}

/** Literals alone in it: the value, for constant folding. Throws what evaluation throws. */
export function evaluateConstant(expression: BoundExpression, options: EvaluationOptions): Value | null {
  return interpret(expression, options)([])
}

export function interpret(expression: BoundExpression, options: EvaluationOptions): Evaluate {
  switch (expression.kind) {
    case 'input': {
      const { slot } = expression
      return (row) => row[slot] ?? null
    }
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'field': {
      const struct = interpret(expression.arg, options)
      const { index } = expression
      return (row) => {
        const value = struct(row)
        return value === null ? null : ((value as StructValue)[index] ?? null)
      }
    }
    case 'cast': {
      const arg = interpret(expression.arg, options)
      if (expression.arg.type.kind === 'void') return () => null
      const cast = casts().castFunction(
        expression.arg.type,
        expression.type,
        options.ansi,
        expression.try === true,
      ) as Invocable
      return (row) => {
        const value = arg(row)
        return value === null ? null : cast(value)
      }
    }
    case 'case':
      return interpretCase(expression, options)
    case 'call': {
      const args = expression.args.map((arg) => interpret(arg, options))
      const special = specialForms[expression.fn]
      if (special !== undefined) return special(args, expression)
      const { strict, seesNulls } = functionSpec(expression.fn)
      const lambdas = (expression.lambdas ?? []).map((lambda) => interpret(lambda.body, options))
      if (seesNulls === true) {
        const kernel = kernelFor(expression, options.ansi, lambdas)
        return (row) => kernel(...args.map((arg) => arg(row)))
      }
      if (!strict) throw noForm(expression.fn)
      return interpretStrict(args, kernelFor(expression, options.ansi, lambdas))
    }
  }
}

/** From the left, and not beyond the first null. */
function interpretStrict(args: readonly Evaluate[], kernel: Invocable): Evaluate {
  const [first, second] = args
  if (first !== undefined && args.length === 1) {
    return (row) => {
      const value = first(row)
      return value === null ? null : kernel(value)
    }
  }
  if (first !== undefined && second !== undefined && args.length === 2) {
    return (row) => {
      const a = first(row)
      if (a === null) return null
      const b = second(row)
      return b === null ? null : kernel(a, b)
    }
  }
  return (row) => {
    const values: Value[] = []
    for (const arg of args) {
      const value = arg(row)
      if (value === null) return null
      values.push(value)
    }
    return kernel(...values)
  }
}

function interpretCase(expression: BoundExpression & { kind: 'case' }, options: EvaluationOptions): Evaluate {
  const branches = expression.branches.map((b) => ({
    when: interpret(b.when, options),
    then: interpret(b.then, options),
  }))
  const otherwise = expression.otherwise === undefined ? () => null : interpret(expression.otherwise, options)
  return (row) => {
    for (const branch of branches) if (branch.when(row) === true) return branch.then(row)
    return otherwise(row)
  }
}

type SpecialForm = (args: readonly Evaluate[], call: BoundCall) => Evaluate

const argument = (args: readonly Evaluate[], i: number): Evaluate => args[i] ?? (() => null)

/** Forms that look at nulls themselves or leave arguments out. */
const specialForms: Readonly<Record<string, SpecialForm>> = {
  and: (args) => {
    const [left, right] = [argument(args, 0), argument(args, 1)]
    return (row) => {
      const a = left(row)
      if (a === false) return false
      const b = right(row)
      return b === false ? false : a === null || b === null ? null : true
    }
  },
  or: (args) => {
    const [left, right] = [argument(args, 0), argument(args, 1)]
    return (row) => {
      const a = left(row)
      if (a === true) return true
      const b = right(row)
      return b === true ? true : a === null || b === null ? null : false
    }
  },
  isNull: (args) => {
    const arg = argument(args, 0)
    return (row) => arg(row) === null
  },
  isNotNull: (args) => {
    const arg = argument(args, 0)
    return (row) => arg(row) !== null
  },
  isNaN: (args) => {
    const arg = argument(args, 0)
    return (row) => Number.isNaN(arg(row))
  },
  eqNullSafe: (args, call) => {
    const [left, right] = [argument(args, 0), argument(args, 1)]
    const compare = comparatorOf(call)
    return (row) => {
      const a = left(row)
      const b = right(row)
      return a === null || b === null ? a === b : compare(a, b) === 0
    }
  },
  coalesce: (args) => (row) => {
    for (const arg of args) {
      const value = arg(row)
      if (value !== null) return value
    }
    return null
  },
  greatest: (args, call) => extreme(args, comparatorOf(call), 1),
  least: (args, call) => extreme(args, comparatorOf(call), -1),
  // A null in the list leaves open whether the value is in it, unless it is found. Nothing is evaluated beyond that.
  in: (args, call) => {
    const compare = comparatorOf(call)
    const value = argument(args, 0)
    const list = args.slice(1)
    return (row) => {
      const v = value(row)
      if (v === null) return null
      let open = false
      for (const item of list) {
        const x = item(row)
        if (x === null) open = true
        else if (compare(v, x) === 0) return true
      }
      return open ? null : false
    }
  },
  concatWs: (args, call) => {
    const separator = argument(args, 0)
    const kernel = kernelFor(call, false) as (...parts: (Value | null)[]) => Value | null
    const parts = args.slice(1)
    return (row) => {
      const s = separator(row)
      return s === null ? null : kernel(s, ...parts.map((part) => part(row)))
    }
  },
  hash: (args, call) => {
    const argTypes = call.args.map((a) => a.type)
    return (row) => {
      let h = HASH_SEED
      for (let i = 0; i < args.length; i++) {
        const type = argTypes[i]
        if (type !== undefined) h = hashValue(type, argument(args, i)(row), h)
      }
      return h
    }
  },
}

export const specialFormNames = (): readonly string[] => Object.keys(specialForms)

function comparatorOf(call: BoundCall): (a: Value, b: Value) => number {
  return comparator(call.args[0]?.type ?? call.type) as (a: Value, b: Value) => number
}

/** Nulls are left out; of equals the first stays. */
function extreme(args: readonly Evaluate[], compare: (a: Value, b: Value) => number, direction: number): Evaluate {
  return (row) => {
    let best: Value | null = null
    for (const arg of args) {
      const value = arg(row)
      if (value !== null && (best === null || compare(value, best) * direction > 0)) best = value
    }
    return best
  }
}

function noForm(fn: string): MillraceError {
  return new MillraceError('UNRESOLVED_ROUTINE', `${fn} is written as another function when it is bound`, {
    detail: 'found it in a bound expression',
    hint: 'bind it with bindCall() of plan/functions.ts',
  })
}
