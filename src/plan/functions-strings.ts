import type { BoundExpression } from './expression.js'
import { boundLiteral, call, coerce, type FunctionSpec, strictFunction } from './function-spec.js'
import { concatArrays, reverseArray } from './functions-collections.js'
import { isIntegral, types } from './type-rules.js'

/** Text: lengths and positions count code points, as Spark does, never UTF-16 units. */

const textTest = (name: string, throws: FunctionSpec['throws'] = 'never'): FunctionSpec =>
  strictFunction(name, ['string', 'string'], types.boolean, { throws })

const textToText = (name: string): FunctionSpec => strictFunction(name, ['string'], types.string)

const concat: FunctionSpec = {
  name: 'concat',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  throws: 'never',
  strict: true,
  bind: (args, ansi) => {
    if (args.some((a) => a.type.kind === 'array')) return concatArrays.bind(args, ansi)
    const binary = args.every((a) => a.type.kind === 'binary')
    const bound = args.map((arg, i) => coerce('concat', i, arg, binary ? 'binary' : 'string', ansi))
    return call(
      'concat',
      bound,
      binary ? types.binary : types.string,
      bound.some((a) => a.nullable),
    )
  },
}

/** Null only where the separator is; the others are left out. */
const concatWs: FunctionSpec = {
  name: 'concatWs',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  throws: 'never',
  strict: false,
  bind: (args, ansi) => {
    const bound = args.map((arg, i) => coerce('concatWs', i, arg, 'string', ansi))
    return call('concatWs', bound, types.string, (bound[0] as BoundExpression).nullable)
  },
}

function length(name: 'length' | 'octetLength'): FunctionSpec {
  return {
    name,
    minArgs: 1,
    maxArgs: 1,
    throws: 'never',
    strict: true,
    bind: (args, ansi) => {
      const arg = args[0] as BoundExpression
      const bound = arg.type.kind === 'binary' ? arg : coerce(name, 0, arg, 'string', ansi)
      return call(name, [bound], types.int, bound.nullable)
    },
  }
}

/** A start that is null finds nothing, as in Spark. */
const locate: FunctionSpec = {
  name: 'locate',
  minArgs: 2,
  maxArgs: 3,
  throws: 'never',
  strict: true,
  bind: ([part, text, from], ansi) => {
    const bound = [part, text].map((arg, i) => coerce('locate', i, arg as BoundExpression, 'string', ansi))
    const nullable = bound.some((a) => a.nullable)
    if (from === undefined) return call('locate', bound, types.int, nullable)
    const start = coerce('locate', 2, from, 'int', ansi)
    const orZero = start.nullable ? call('coalesce', [start, boundLiteral(0, types.int)], types.int, false) : start
    return call('locate', [...bound, orZero], types.int, nullable)
  },
}

/** Of an integer its 64 bits, of text and bytes two digits a byte. */
const hex: FunctionSpec = {
  name: 'hex',
  minArgs: 1,
  maxArgs: 1,
  throws: 'never',
  strict: true,
  bind: (args, ansi) => {
    const arg = args[0] as BoundExpression
    const bound = isIntegral(arg.type) || arg.type.kind === 'binary' ? arg : coerce('hex', 0, arg, 'string', ansi)
    return call('hex', [bound], types.string, bound.nullable)
  },
}

export const stringFunctions: readonly FunctionSpec[] = [
  textTest('startsWith'),
  textTest('endsWith'),
  textTest('contains'),
  strictFunction('like', ['string', 'string', 'string'], types.boolean, { optionalFrom: 2, throws: 'always' }),
  textTest('rlike', 'always'),
  concat,
  concatWs,
  length('length'),
  length('octetLength'),
  ...['upper', 'lower', 'initcap'].map(textToText),
  {
    ...textToText('reverse'),
    signature: '(string or array) → same',
    bind: (args, ansi) => (args[0]?.type.kind === 'array' ? reverseArray : textToText('reverse')).bind(args, ansi),
  },
  ...['trim', 'ltrim', 'rtrim'].map((name) =>
    strictFunction(name, ['string', 'string'], types.string, { optionalFrom: 1 }),
  ),
  strictFunction('substring', ['string', 'int', 'int'], types.string, { optionalFrom: 2 }),
  strictFunction('left', ['string', 'int'], types.string),
  strictFunction('right', ['string', 'int'], types.string),
  strictFunction('repeat', ['string', 'int'], types.string, { throws: 'always' }),
  strictFunction('instr', ['string', 'string'], types.int),
  locate,
  strictFunction('replace', ['string', 'string', 'string'], types.string, { optionalFrom: 2 }),
  strictFunction('translate', ['string', 'string', 'string'], types.string),
  strictFunction('substringIndex', ['string', 'string', 'int'], types.string),
  strictFunction('splitPart', ['string', 'string', 'int'], types.string, { throws: 'always' }),
  strictFunction('lpad', ['string', 'int', 'string'], types.string, { optionalFrom: 2, throws: 'always' }),
  strictFunction('rpad', ['string', 'int', 'string'], types.string, { optionalFrom: 2, throws: 'always' }),
  strictFunction('ascii', ['string'], types.int),
  strictFunction('chr', ['int'], types.string),
  hex,
  strictFunction('base64', ['binary'], types.string),
  strictFunction('levenshtein', ['string', 'string'], types.int),
  strictFunction('regexpExtract', ['string', 'string', 'int'], types.string, { optionalFrom: 2, throws: 'always' }),
  strictFunction('regexpReplace', ['string', 'string', 'string', 'int'], types.string, {
    optionalFrom: 3,
    throws: 'always',
  }),
  strictFunction('regexpCount', ['string', 'string'], types.int, { throws: 'always' }),
]
