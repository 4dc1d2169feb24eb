import { typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import {
  boundLiteral,
  call,
  coerce,
  customFunction,
  type FunctionSpec,
  mismatch,
  strictFunction,
  unify,
} from './function-spec.js'
import { timeArithmetic } from './functions-steps.js'
import {
  adjustedDecimal,
  arithmeticType,
  castTo,
  comparisonType,
  decimalFor,
  isIntegral,
  isInterval,
  isNumeric,
  isOrderable,
  types,
} from './type-rules.js'

/** Arithmetic, comparison, three-valued logic, and what chooses between values. */

type DecimalRule = (p1: number, s1: number, p2: number, s2: number) => readonly [precision: number, scale: number]

const sumRule: DecimalRule = (p1, s1, p2, s2) => {
  const scale = Math.max(s1, s2)
  return [Math.max(p1 - s1, p2 - s2) + scale + 1, scale]
}
const decimalRules: Record<string, DecimalRule> = {
  add: sumRule,
  sub: sumRule,
  mul: (p1, s1, p2, s2) => [p1 + p2 + 1, s1 + s2],
  div: (p1, s1, p2, s2) => {
    const scale = Math.max(6, s1 + p2 + 1)
    return [p1 - s1 + s2 + scale, scale]
  },
  mod: (p1, s1, p2, s2) => {
    const scale = Math.max(s1, s2)
    return [Math.min(p1 - s1, p2 - s2) + scale, scale]
  },
}

/** A literal integer beside a decimal counts with the digits it has, not with those of its type. */
function asDecimal(arg: BoundExpression, ansi: boolean): BoundExpression {
  const type = decimalFor(arg.type)
  if (type === undefined) return castTo(arg, types.double, ansi)
  if (arg.kind === 'literal' && typeof arg.value === 'number') {
    return castTo(arg, { ...type, precision: Math.max(1, String(Math.abs(arg.value)).length) }, ansi)
  }
  return castTo(arg, type, ansi)
}

function arithmetic(name: string): FunctionSpec {
  const dividing = name === 'div' || name === 'mod' || name === 'pmod' || name === 'intDiv'
  return {
    name,
    minArgs: 2,
    maxArgs: 2,
    throws: 'ansi',
    strict: true,
    bind: (args, ansi) => {
      const [left, right] = args as [BoundExpression, BoundExpression]
      const shifted = timeArithmetic(name, left, right, ansi)
      if (shifted !== undefined) return shifted
      let common = arithmeticType(left.type, right.type, ansi)
      if (common === undefined) {
        throw mismatch(name, `${typeName(left.type)} and ${typeName(right.type)} were given, two numbers were expected`)
      }
      if (common.kind === 'decimal') {
        const rule = decimalRules[name === 'pmod' ? 'mod' : name]
        const a = asDecimal(left, ansi)
        const b = asDecimal(right, ansi)
        if (rule === undefined || a.type.kind !== 'decimal' || b.type.kind !== 'decimal') {
          throw mismatch(name, 'decimals were given; cast them to long or double')
        }
        const [precision, scale] = rule(a.type.precision, a.type.scale, b.type.precision, b.type.scale)
        const makesNull = dividing ? !ansi : precision > 38 && !ansi
        return call(name, [a, b], adjustedDecimal(precision, scale), makesNull || a.nullable || b.nullable)
      }
      if (name === 'div') common = types.double
      if (name === 'intDiv' && !isIntegral(common)) {
        throw mismatch(name, `${typeName(common)} was given, two integers were expected`)
      }
      if (name === 'intDiv' && common.kind !== 'bigint') common = types.long
      const a = castTo(left, common, ansi)
      const b = castTo(right, common, ansi)
      // Without ANSI a division by zero is null, and so is a `long` beyond 2^53, which has nothing to wrap to.
      const makesNull = !ansi && (dividing || common.kind === 'long')
      return call(name, [a, b], common, makesNull || a.nullable || b.nullable)
    },
  }
}

/** The operator as it is under ANSI, with null instead of an error. */
function tryOperator(name: 'tryAdd' | 'trySubtract' | 'tryMultiply' | 'tryDivide' | 'tryMod'): FunctionSpec {
  const operator = { tryAdd: 'add', trySubtract: 'sub', tryMultiply: 'mul', tryDivide: 'div', tryMod: 'mod' }[name]
  const strict = arithmetic(operator)
  return customFunction(name, [2, 2], '(number, number) → number', 'never', (args) => {
    const bound = strict.bind(args, true)
    // Dates and intervals move without an overflow.
    return bound.kind === 'call' && bound.fn === operator ? { ...bound, fn: name, nullable: true } : bound
  })
}

function unaryNumber(name: 'neg' | 'abs'): FunctionSpec {
  const numeric = strictFunction(name, ['number'], ([arg]) => (arg as BoundExpression).type, { throws: 'ansi' })
  return {
    ...numeric,
    bind: (args, ansi) => {
      const [arg] = args
      if (name === 'neg' && arg !== undefined && isInterval(arg.type))
        return call('intervalProduct', [arg, boundLiteral(-1, types.double)], arg.type, arg.nullable)
      return numeric.bind(args, ansi)
    },
  }
}

function comparison(name: string): FunctionSpec {
  return {
    name,
    minArgs: 2,
    maxArgs: 2,
    throws: 'never',
    strict: name !== 'eqNullSafe',
    bind: (args, ansi) => {
      const [left, right] = args as [BoundExpression, BoundExpression]
      const common = comparisonType(left.type, right.type, ansi)
      if (common === undefined || !isOrderable(common)) {
        throw mismatch(name, `a ${typeName(left.type)} cannot be compared with a ${typeName(right.type)}`)
      }
      const a = castTo(left, common, ansi)
      const b = castTo(right, common, ansi)
      return call(name, [a, b], types.boolean, name !== 'eqNullSafe' && (a.nullable || b.nullable))
    },
  }
}

function logic(name: 'and' | 'or'): FunctionSpec {
  return {
    name,
    minArgs: 2,
    maxArgs: 2,
    throws: 'never',
    strict: false,
    bind: (args, ansi) => {
      const bound = args.map((arg, i) => coerce(name, i, arg, 'boolean', ansi))
      return call(
        name,
        bound,
        types.boolean,
        bound.some((a) => a.nullable),
      )
    },
  }
}

function nullTest(name: 'isNull' | 'isNotNull'): FunctionSpec {
  return {
    name,
    minArgs: 1,
    maxArgs: 1,
    throws: 'never',
    strict: false,
    bind: (args) => call(name, args, types.boolean, false),
  }
}

const coalesce: FunctionSpec = {
  name: 'coalesce',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  throws: 'never',
  strict: false,
  bind: (args, ansi) => {
    const { args: bound, type } = unify('coalesce', args, ansi)
    return call(
      'coalesce',
      bound,
      type,
      bound.every((a) => a.nullable),
    )
  },
}

function choice(name: 'greatest' | 'least'): FunctionSpec {
  return {
    name,
    minArgs: 2,
    maxArgs: Number.POSITIVE_INFINITY,
    throws: 'never',
    strict: false,
    bind: (args, ansi) => {
      const { args: bound, type } = unify(name, args, ansi)
      if (!isOrderable(type)) throw mismatch(name, `a ${typeName(type)} has no order`)
      return call(
        name,
        bound,
        type,
        bound.every((a) => a.nullable),
      )
    },
  }
}

const inList: FunctionSpec = {
  name: 'in',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  throws: 'never',
  strict: false,
  bind: (args, ansi) => {
    let common = (args[0] as BoundExpression).type
    for (const arg of args.slice(1)) {
      const wider = comparisonType(common, arg.type, ansi)
      if (wider === undefined)
        throw mismatch('in', `a ${typeName(common)} cannot be compared with a ${typeName(arg.type)}`)
      common = wider
    }
    const bound = args.map((arg) => castTo(arg, common, ansi))
    return call(
      'in',
      bound,
      types.boolean,
      bound.some((a) => a.nullable),
    )
  },
}

/** Functions that are others in disguise; only those others are ever evaluated. */
function rewrite(
  name: string,
  argCount: readonly [min: number, max: number],
  bind: FunctionSpec['bind'],
): FunctionSpec {
  return { name, minArgs: argCount[0], maxArgs: argCount[1], throws: 'never', strict: false, bind }
}

function choose(
  condition: BoundExpression,
  then: BoundExpression,
  otherwise: BoundExpression,
  ansi: boolean,
): BoundExpression {
  const { args, type } = unify('when', [then, otherwise], ansi)
  const [a, b] = args as [BoundExpression, BoundExpression]
  return {
    kind: 'case',
    branches: [{ when: coerce('when', 0, condition, 'boolean', ansi), then: a }],
    otherwise: b,
    type,
    nullable: a.nullable || b.nullable,
  }
}

const nanTest: FunctionSpec = {
  name: 'isNaN',
  minArgs: 1,
  maxArgs: 1,
  throws: 'never',
  strict: false,
  bind: (args, ansi) => {
    const arg = args[0] as BoundExpression
    if (!isNumeric(arg.type) && arg.type.kind !== 'void' && arg.type.kind !== 'string') {
      throw mismatch('isNaN', `a ${typeName(arg.type)} was given, a number was expected`)
    }
    const number = arg.type.kind === 'float' ? arg : castTo(arg, types.double, ansi)
    return call('isNaN', [number], types.boolean, false)
  },
}

const eq = comparison('eq')
const gte = comparison('gte')
const lte = comparison('lte')
const and = logic('and')
const isNull = nullTest('isNull')

export const operatorFunctions: readonly FunctionSpec[] = [
  ...['add', 'sub', 'mul', 'div', 'intDiv', 'mod', 'pmod'].map(arithmetic),
  unaryNumber('neg'),
  unaryNumber('abs'),
  eq,
  ...['neq', 'lt', 'gt', 'eqNullSafe'].map(comparison),
  lte,
  gte,
  and,
  logic('or'),
  strictFunction('not', ['boolean'], types.boolean),
  isNull,
  nullTest('isNotNull'),
  nanTest,
  coalesce,
  choice('greatest'),
  choice('least'),
  inList,
  ...(['tryAdd', 'trySubtract', 'tryMultiply', 'tryDivide', 'tryMod'] as const).map(tryOperator),
  rewrite('zeroifnull', [1, 1], ([value], ansi) =>
    coalesce.bind([value as BoundExpression, boundLiteral(0, types.int)], ansi),
  ),
  rewrite('nullifzero', [1, 1], ([value], ansi) => {
    const v = value as BoundExpression
    return choose(eq.bind([v, boundLiteral(0, types.int)], ansi), boundLiteral(null, v.type), v, ansi)
  }),
  customFunction('typeof', [1, 1], '(any) → string', 'never', ([value]) =>
    boundLiteral(typeName((value as BoundExpression).type), types.string),
  ),
  customFunction(
    'raiseError',
    [1, 1],
    '(string) → null',
    'always',
    (args, ansi) =>
      call('raiseError', [coerce('raiseError', 0, args[0] as BoundExpression, 'string', ansi)], types.void, true),
    true,
  ),
  customFunction(
    'assertTrue',
    [1, 2],
    '(boolean, [string]) → null',
    'always',
    (args, ansi) => {
      const bound = args.map((arg, i) => coerce('assertTrue', i, arg, i === 0 ? 'boolean' : 'string', ansi))
      return call(
        'assertTrue',
        bound.length === 1 ? [...bound, boundLiteral(null, types.string)] : bound,
        types.void,
        true,
      )
    },
    true,
  ),
  rewrite('ifnull', [2, 2], coalesce.bind),
  rewrite('nvl2', [3, 3], ([test, set, unset], ansi) =>
    choose(isNull.bind([test as BoundExpression], ansi), unset as BoundExpression, set as BoundExpression, ansi),
  ),
  rewrite('nullif', [2, 2], (args, ansi) => {
    const value = args[0] as BoundExpression
    return choose(eq.bind(args, ansi), boundLiteral(null, value.type), value, ansi)
  }),
  // The second is looked at only where the first is NaN.
  rewrite('nanvl', [2, 2], (args, ansi) => {
    const [value, instead] = args.map((arg, i) => coerce('nanvl', i, arg, 'double', ansi)) as [
      BoundExpression,
      BoundExpression,
    ]
    return choose(nanTest.bind([value], ansi), instead, value, ansi)
  }),
  rewrite('if', [3, 3], ([test, then, otherwise], ansi) =>
    choose(test as BoundExpression, then as BoundExpression, otherwise as BoundExpression, ansi),
  ),
  rewrite('between', [3, 3], ([value, low, high], ansi) => {
    const v = value as BoundExpression
    return and.bind([gte.bind([v, low as BoundExpression], ansi), lte.bind([v, high as BoundExpression], ansi)], ansi)
  }),
]
