import { arrayType } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, mismatch, strictFunction, unify } from './function-spec.js'
import { decimal, isNumeric, types } from './type-rules.js'

/** More of text: character sets, URLs, formats, masks, regular expressions that give more than a test. */

/** The digits and the point of a picture decide the type. */
function toNumber(name: 'toNumber' | 'tryToNumber'): FunctionSpec {
  return customFunction(
    name,
    [2, 2],
    '(string, format) → decimal',
    name === 'toNumber' ? 'always' : 'never',
    (args, ansi) => {
      const [text, format] = args.map((arg, i) => coerce(name, i, arg, 'string', ansi)) as [
        BoundExpression,
        BoundExpression,
      ]
      if (format.kind !== 'literal' || typeof format.value !== 'string')
        throw mismatch(name, 'the format must be a text of its own')
      const [whole = '', fraction = ''] = format.value.toUpperCase().replace('D', '.').split('.')
      const digits = (part: string): number => part.replace(/[^09]/g, '').length
      const [before, after] = [digits(whole), digits(fraction)]
      if (before + after < 1 || before + after > 38)
        throw mismatch(name, `the format ${JSON.stringify(format.value)} has ${before + after} digits`)
      return call(name, [text, format], decimal(before + after, after), name === 'tryToNumber' || text.nullable)
    },
  )
}

/** `decode(x, 1, 'one', 2, 'two', 'many')`: null is a value to look for like others. */
function choiceByValue(args: readonly BoundExpression[], ansi: boolean): BoundExpression {
  const [value, ...rest] = args as [BoundExpression, ...BoundExpression[]]
  const pairs = Math.floor(rest.length / 2)
  const results = rest.filter((_, i) => i % 2 === 1 || i === 2 * pairs)
  const { args: bound, type } = unify('decode', results, ansi)
  const branches = Array.from({ length: pairs }, (_, i) => {
    const tested = unify('decode', [value, rest[2 * i] as BoundExpression], ansi).args
    return { when: call('eqNullSafe', tested, types.boolean, false), then: bound[i] as BoundExpression }
  })
  const otherwise = rest.length % 2 === 1 ? { otherwise: bound[pairs] as BoundExpression } : {}
  const nullable = rest.length % 2 === 0 || bound.some((b) => b.nullable)
  return { kind: 'case', branches, type, nullable, ...otherwise }
}

export const textFunctions: readonly FunctionSpec[] = [
  strictFunction('encode', ['string', 'string'], types.binary, { throws: 'always' }),
  customFunction(
    'decode',
    [2, Number.POSITIVE_INFINITY],
    '(binary, charset) → string, or (x, when, then, …, [else]) → any',
    'always',
    (args, ansi) => {
      if (args.length === 2) {
        const bound = [
          coerce('decode', 0, args[0] as BoundExpression, 'binary', ansi),
          coerce('decode', 1, args[1] as BoundExpression, 'string', ansi),
        ]
        return call(
          'decode',
          bound,
          types.string,
          bound.some((a) => a.nullable),
        )
      }
      return choiceByValue(args, ansi)
    },
  ),
  strictFunction('unbase64', ['string'], types.binary, { throws: 'always' }),
  strictFunction('tryUnbase64', ['string'], types.binary, { makesNull: true }),
  strictFunction('urlEncode', ['string'], types.string),
  strictFunction('urlDecode', ['string'], types.string, { throws: 'always' }),
  strictFunction('tryUrlDecode', ['string'], types.string, { makesNull: true }),
  strictFunction('parseUrl', ['string', 'string', 'string'], types.string, {
    optionalFrom: 2,
    throws: 'always',
    makesNull: true,
  }),
  strictFunction('tryParseUrl', ['string', 'string', 'string'], types.string, { optionalFrom: 2, makesNull: true }),
  customFunction(
    'mask',
    [1, 5],
    '(string, [upper], [lower], [digit], [other]) → string',
    'never',
    (args, ansi) => {
      const bound = args.map((arg, i) => coerce('mask', i, arg, 'string', ansi))
      return call('mask', bound, types.string, bound[0]?.nullable === true)
    },
    true,
  ),
  strictFunction('soundex', ['string'], types.string),
  customFunction(
    'elt',
    [2, Number.POSITIVE_INFINITY],
    '(int, string, …) → string',
    'ansi',
    (args, ansi) => {
      const bound = args.map((arg, i) => coerce('elt', i, arg, i === 0 ? 'int' : 'string', ansi))
      return call('elt', bound, types.string, true)
    },
    true,
  ),
  strictFunction('findInSet', ['string', 'string'], types.int),
  strictFunction('overlay', ['string', 'string', 'int', 'int'], types.string, { optionalFrom: 3 }),
  strictFunction('luhnCheck', ['string'], types.boolean),
  strictFunction('space', ['int'], types.string, { throws: 'always' }),
  customFunction('bitLength', [1, 1], '(string or binary) → int', 'never', (args, ansi) => {
    const arg = args[0] as BoundExpression
    const bound = arg.type.kind === 'binary' ? arg : coerce('bitLength', 0, arg, 'string', ansi)
    return call('bitLength', [bound], types.int, bound.nullable)
  }),
  toNumber('toNumber'),
  toNumber('tryToNumber'),
  customFunction(
    'formatString',
    [1, Number.POSITIVE_INFINITY],
    '(format, any, …) → string',
    'always',
    (args, ansi) => {
      const [format, ...values] = args as [BoundExpression, ...BoundExpression[]]
      const pattern = coerce('formatString', 0, format, 'string', ansi)
      return call('formatString', [pattern, ...values], types.string, pattern.nullable)
    },
    true,
  ),
  customFunction('formatNumber', [2, 2], '(number, int) → string', 'never', (args, ansi) => {
    const [value, digits] = args as [BoundExpression, BoundExpression]
    const number = isNumeric(value.type) ? value : coerce('formatNumber', 0, value, 'double', ansi)
    return call('formatNumber', [number, coerce('formatNumber', 1, digits, 'int', ansi)], types.string, true)
  }),
  strictFunction('ilike', ['string', 'string', 'string'], types.boolean, { optionalFrom: 2, throws: 'always' }),
  strictFunction('regexpInstr', ['string', 'string', 'int'], types.int, { optionalFrom: 2, throws: 'always' }),
  strictFunction('regexpSubstr', ['string', 'string'], types.string, { throws: 'always', makesNull: true }),
  strictFunction('regexpExtractAll', ['string', 'string', 'int'], arrayType(types.string, false), {
    optionalFrom: 2,
    throws: 'always',
  }),
]
