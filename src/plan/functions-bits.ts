import { typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, mismatch, strictFunction } from './function-spec.js'
import { castTo, commonType, isIntegral, types } from './type-rules.js'

/** Bits, numerals of other bases, digests. */

function integer(fn: string, arg: BoundExpression, ansi: boolean): BoundExpression {
  if (isIntegral(arg.type)) return arg
  if (arg.type.kind === 'void') return castTo(arg, types.int, ansi)
  if (arg.type.kind === 'string') return castTo(arg, types.bigint, ansi)
  throw mismatch(fn, `a ${typeName(arg.type)} was given, an integer was expected`)
}

const bitwise = (name: string): FunctionSpec =>
  customFunction(name, [2, 2], '(integer, integer) → same', 'never', (args, ansi) => {
    const [a, b] = args.map((arg) => integer(name, arg, ansi)) as [BoundExpression, BoundExpression]
    const type = commonType(a.type, b.type, ansi) ?? types.bigint
    return call(name, [castTo(a, type, ansi), castTo(b, type, ansi)], type, a.nullable || b.nullable)
  })

const shift = (name: string): FunctionSpec =>
  customFunction(name, [2, 2], '(integer, int) → int or bigint', 'never', (args, ansi) => {
    const value = integer(name, args[0] as BoundExpression, ansi)
    const wide = value.type.kind === 'bigint' || value.type.kind === 'long'
    const places = coerce(name, 1, args[1] as BoundExpression, 'int', ansi)
    const bound = wide ? value : castTo(value, types.int, ansi)
    return call(name, [bound, places], wide ? types.bigint : types.int, value.nullable || places.nullable)
  })

export const bitFunctions: readonly FunctionSpec[] = [
  bitwise('bitAnd'),
  bitwise('bitOr'),
  bitwise('bitXor'),
  customFunction('bitNot', [1, 1], '(integer) → same', 'never', (args, ansi) => {
    const value = integer('bitNot', args[0] as BoundExpression, ansi)
    return call('bitNot', [value], value.type, value.nullable)
  }),
  customFunction('bitCount', [1, 1], '(integer or boolean) → int', 'never', (args, ansi) => {
    const arg = args[0] as BoundExpression
    const value = arg.type.kind === 'boolean' ? arg : integer('bitCount', arg, ansi)
    return call('bitCount', [value], types.int, value.nullable)
  }),
  customFunction('bitGet', [2, 2], '(integer, int) → byte', 'never', (args, ansi) => {
    const value = integer('bitGet', args[0] as BoundExpression, ansi)
    const place = coerce('bitGet', 1, args[1] as BoundExpression, 'int', ansi)
    return call('bitGet', [value, place], types.byte, value.nullable || place.nullable)
  }),
  shift('shiftLeft'),
  shift('shiftRight'),
  shift('shiftRightUnsigned'),
  strictFunction('factorial', ['int'], types.bigint, { makesNull: true }),
  customFunction('bin', [1, 1], '(integer) → string', 'never', (args, ansi) => {
    const value = integer('bin', args[0] as BoundExpression, ansi)
    return call('bin', [value], types.string, value.nullable)
  }),
  strictFunction('conv', ['string', 'int', 'int'], types.string, { makesNull: true }),
  strictFunction('unhex', ['string'], types.binary, { makesNull: true }),
  strictFunction('widthBucket', ['double', 'double', 'double', 'long'], types.long, { makesNull: true }),
  strictFunction('md5', ['binary'], types.string),
  strictFunction('sha1', ['binary'], types.string),
  strictFunction('sha2', ['binary', 'int'], types.string, { makesNull: true }),
  strictFunction('crc32', ['binary'], types.long),
  // Spark's xxhash64 of the values in turn, seed 42; a null leaves the hash as it is.
  customFunction(
    'xxhash64',
    [1, Number.POSITIVE_INFINITY],
    '(any, …) → bigint',
    'never',
    (args) => call('xxhash64', args, types.bigint, false),
    true,
  ),
]
