import { arrayType, type DataType, structType, typeName } from '../types/data-type.js'
import type { BoundExpression, FoldName } from './expression.js'
import { call, coerce, mismatch } from './function-spec.js'
import { castTo, isIntegral, isNumeric, isOrderable, types } from './type-rules.js'

/**
 * Aggregates whose state is a value of its own and not a few numbers: lists, sets, moments, the row with the greatest
 * key. Their one argument is a struct of all arguments, so that a null among them is theirs to see. The state
 * is a value of `foldStateType`, which travels between tasks and lies in the changelog as a column does.
 */
export interface BoundFold {
  readonly arg: BoundExpression
  readonly type: DataType
  readonly nullable: boolean
}

interface FoldSpec {
  readonly args: readonly [least: number, most: number]
  bind(
    args: readonly BoundExpression[],
    ansi: boolean,
  ): { readonly args: readonly BoundExpression[]; readonly type: DataType; readonly nullable: boolean }
  state(args: readonly DataType[]): DataType
}

const first = (args: readonly DataType[]): DataType => args[0] ?? types.void
const doubles = arrayType(types.double, false)
const rows = (...parts: readonly DataType[]): DataType =>
  arrayType(structType(parts.map((type, i) => ({ name: `p${i}`, type, nullable: true }))), false)

function typeOf(args: readonly BoundExpression[]): DataType {
  return args[0]?.type ?? types.void
}

const list = (result: (type: DataType) => DataType): FoldSpec => ({
  args: [1, 1],
  bind: (args) => ({ args, type: result(typeOf(args)), nullable: false }),
  state: (args) => arrayType(first(args), false),
})

/** Of doubles, to a double that may be null. */
const ofDoubles = (count: number, state: DataType = doubles): FoldSpec => ({
  args: [count, count],
  bind: (args, ansi) => ({
    args: args.map((arg, i) => coerce('aggregate', i, arg, 'double', ansi)),
    type: types.double,
    nullable: true,
  }),
  state: () => state,
})

const row = (count: number, ordered: number | undefined): FoldSpec => ({
  args: [count, count],
  bind: (args) => {
    const key = ordered === undefined ? undefined : args[ordered]?.type
    if (key !== undefined && !isOrderable(key)) throw mismatch('aggregate', `a ${typeName(key)} has no order`)
    return { args, type: typeOf(args), nullable: true }
  },
  state: (args) => rows(...args),
})

const distinct = (fn: 'sum' | 'avg'): FoldSpec => ({
  args: [1, 1],
  bind: (args, ansi) => {
    const [arg] = args as [BoundExpression]
    const number = arg.type.kind === 'decimal' || !isNumeric(arg.type) ? castTo(arg, types.double, ansi) : arg
    const exact = fn === 'sum' && isIntegral(number.type)
    return {
      args: [number],
      type: exact ? (number.type.kind === 'bigint' ? types.bigint : types.long) : types.double,
      nullable: true,
    }
  },
  state: (args) => arrayType(first(args), false),
})

/** The fraction, or the array of fractions, travels with every row: it is a literal nearly always. */
function percentile(exact: boolean): FoldSpec {
  return {
    args: [2, exact ? 2 : 3],
    bind: (args, ansi) => {
      const [value, fraction] = args as [BoundExpression, BoundExpression]
      const numeric = isNumeric(value.type) && !exact ? value : castTo(value, types.double, ansi)
      const isList = fraction.type.kind === 'array'
      const by = castTo(fraction, isList ? arrayType(types.double) : types.double, ansi)
      return { args: [numeric, by], type: isList ? arrayType(numeric.type, false) : numeric.type, nullable: true }
    },
    state: (args) => rows(arrayType(first(args), false), args[1] ?? types.double),
  }
}

const bits: FoldSpec = {
  args: [1, 1],
  bind: (args) => {
    if (!isIntegral(typeOf(args)))
      throw mismatch('aggregate', `a ${typeName(typeOf(args))} was given, an integer was expected`)
    return { args, type: typeOf(args), nullable: true }
  },
  state: (args) => arrayType(first(args), false),
}

const specs: Readonly<Record<FoldName, FoldSpec>> = {
  collectList: list((type) => arrayType(type, false)),
  collectSet: list((type) => arrayType(type, false)),
  countDistinct: {
    args: [1, Number.POSITIVE_INFINITY],
    bind: (args) => ({ args, type: types.long, nullable: false }),
    state: (args) => rows(...args),
  },
  sumDistinct: distinct('sum'),
  avgDistinct: distinct('avg'),
  approxCountDistinct: {
    args: [1, 2],
    bind: (args) => ({ args: args.slice(0, 1), type: types.long, nullable: false }),
    state: () => types.binary,
  },
  stddevSamp: ofDoubles(1),
  stddevPop: ofDoubles(1),
  varSamp: ofDoubles(1),
  varPop: ofDoubles(1),
  skewness: ofDoubles(1),
  kurtosis: ofDoubles(1),
  corr: ofDoubles(2),
  covarSamp: ofDoubles(2),
  covarPop: ofDoubles(2),
  first: row(1, undefined),
  last: row(1, undefined),
  minBy: row(2, 1),
  maxBy: row(2, 1),
  minValue: row(1, 0),
  maxValue: row(1, 0),
  percentile: percentile(true),
  percentileApprox: percentile(false),
  median: {
    args: [1, 1],
    bind: (args, ansi) => ({
      args: [coerce('median', 0, args[0] as BoundExpression, 'double', ansi)],
      type: types.double,
      nullable: true,
    }),
    state: () => doubles,
  },
  // Made by plan/top.ts, with its type.
  topRows: {
    args: [2, Number.POSITIVE_INFINITY],
    bind: (args) => ({ args, type: arrayType(args.at(-1)?.type ?? types.void, false), nullable: false }),
    state: (args) => rows(...args),
  },
  mode: {
    args: [1, 1],
    bind: (args) => ({ args, type: typeOf(args), nullable: true }),
    state: (args) => rows(first(args), types.long),
  },
  bitAndOf: bits,
  bitOrOf: bits,
  bitXorOf: bits,
}

export function bindFold(fn: FoldName, args: readonly BoundExpression[], ansi: boolean): BoundFold {
  const spec = specs[fn]
  const [least, most] = spec.args
  if (args.length < least || args.length > most)
    throw mismatch(fn, `${args.length} arguments were given, ${least} expected`)
  const bound = spec.bind(args, ansi)
  const fields = bound.args.map((arg, i) => ({ name: `p${i}`, type: arg.type, nullable: arg.nullable }))
  return { arg: call('makeStruct', bound.args, structType(fields), false), type: bound.type, nullable: bound.nullable }
}

/** Of an aggregate with this argument, a struct. */
export function foldStateType(fn: FoldName, arg: DataType): DataType {
  return specs[fn].state(arg.kind === 'struct' ? arg.fields.map((f) => f.type) : [])
}
