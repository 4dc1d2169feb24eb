import { MillraceError } from '../common/errors.js'
import type { DataType } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, strictFunction } from './function-spec.js'
import { adjustedDecimal, castTo, decimal, decimalFor, isFloating, types } from './type-rules.js'

/** Rounding, roots and logarithms, trigonometry, hashing. */

const toDouble = (name: string, makesNull = false): FunctionSpec =>
  strictFunction(name, ['double'], types.double, { makesNull })

/** floor and ceil of a double is a `long`, of a decimal a decimal without digits after the point. */
function toWhole(name: 'floor' | 'ceil'): FunctionSpec {
  const whole = strictFunction(
    name,
    ['number'],
    ([arg]) => {
      const { type } = arg as BoundExpression
      if (type.kind === 'decimal')
        return decimal(Math.min(38, type.precision - type.scale + (type.scale > 0 ? 1 : 0)), 0)
      return type.kind === 'float' || type.kind === 'double' ? types.long : type
    },
    {
      throws: 'ansi',
      makesNull: ([arg], ansi) =>
        !ansi && ((arg as BoundExpression).type.kind === 'double' || (arg as BoundExpression).type.kind === 'float'),
    },
  )
  return {
    ...whole,
    maxArgs: 2,
    signature: '(number, [int]) → long or decimal',
    bind: (args, ansi) => (args.length === 1 ? whole : toDigit(name)).bind(args, ansi),
  }
}

/** At a digit the result is a decimal; a double is taken as one of fifteen digits behind the point. */
function toDigit(name: 'floor' | 'ceil'): FunctionSpec {
  return customFunction(`${name}To`, [2, 2], '(number, int) → decimal', 'ansi', (args, ansi) => {
    const number = coerce(name, 0, args[0] as BoundExpression, 'number', ansi)
    const digits = coerce(name, 1, args[1] as BoundExpression, 'int', ansi)
    const isDouble = isFloating(number.type)
    const value = isDouble
      ? castTo(number, types.double, ansi)
      : castTo(number, decimalFor(number.type) ?? types.long, ansi)
    const { precision, scale } = value.type.kind === 'decimal' ? value.type : decimal(30, 15)
    const kept = literalInt(name, digits)
    const type =
      kept < 0
        ? decimal(Math.min(38, Math.max(precision - scale + 1, 1 - kept)), 0)
        : decimal(Math.min(38, precision - scale + 1 + Math.min(kept, scale)), Math.min(kept, scale))
    return call(`${name}To`, [value, digits], type, isDouble || !ansi || value.nullable || digits.nullable)
  })
}

function round(name: 'round' | 'bround'): FunctionSpec {
  return strictFunction(
    name,
    ['number', 'int'],
    ([arg, digits]): DataType => {
      const { type } = arg as BoundExpression
      if (type.kind !== 'decimal') return type
      const scale = digits === undefined ? 0 : literalInt(name, digits)
      if (scale < 0) return adjustedDecimal(Math.max(type.precision - type.scale + 1, 1 - scale), 0)
      const kept = Math.min(scale, type.scale)
      return decimal(Math.min(38, type.precision - type.scale + kept + (kept < type.scale ? 1 : 0)), kept)
    },
    {
      optionalFrom: 1,
      throws: 'ansi',
      makesNull: ([arg], ansi) => !ansi && (arg as BoundExpression).type.kind === 'long',
    },
  )
}

function literalInt(fn: string, arg: BoundExpression): number {
  const inner = arg.kind === 'cast' ? arg.arg : arg
  if (inner.kind === 'literal' && typeof inner.value === 'number') return inner.value
  if (inner.kind === 'call' && inner.fn === 'neg' && inner.args[0] !== undefined) return -literalInt(fn, inner.args[0])
  throw new MillraceError('DATATYPE_MISMATCH.NON_FOLDABLE_INPUT', `${fn} of a decimal needs its digits as a literal`, {
    detail: 'they decide the type of the result',
    hint: `write ${fn}(x, 2)`,
  })
}

export const numberFunctions: readonly FunctionSpec[] = [
  toWhole('floor'),
  toWhole('ceil'),
  toDigit('floor'),
  toDigit('ceil'),
  round('round'),
  round('bround'),
  ...[
    'sqrt',
    'cbrt',
    'exp',
    'expm1',
    'sign',
    'sin',
    'cos',
    'tan',
    'asin',
    'acos',
    'atan',
    'sinh',
    'cosh',
    'tanh',
    'asinh',
    'acosh',
    'atanh',
    'sec',
    'csc',
    'cot',
    'rint',
    'degrees',
    'radians',
  ].map((name) => toDouble(name)),
  ...['ln', 'log10', 'log2', 'log1p'].map((name) => toDouble(name, true)),
  strictFunction('pow', ['double', 'double'], types.double),
  strictFunction('atan2', ['double', 'double'], types.double),
  strictFunction('hypot', ['double', 'double'], types.double),
  strictFunction('log', ['double', 'double'], types.double, { makesNull: true }),
  {
    // Spark's murmur3 of the values in turn, seed 42; a null leaves the hash as it is.
    name: 'hash',
    minArgs: 1,
    maxArgs: Number.POSITIVE_INFINITY,
    throws: 'never',
    strict: false,
    bind: (args) => ({ kind: 'call', fn: 'hash', args, type: types.int, nullable: false }),
  },
]
