import { arrayType, mapType, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, mismatch, strictFunction } from './function-spec.js'
import { castTo, isNested, types } from './type-rules.js'

/** JSON and CSV. The schema of what is read is the type of the second argument, a null. */

const optionsType = mapType(types.string, types.string)

function options(name: string, args: readonly BoundExpression[], from: number, ansi: boolean): BoundExpression[] {
  return args.slice(from).map((arg) => {
    if (arg.type.kind !== 'map') throw mismatch(name, 'the options are a map of texts')
    return castTo(arg, optionsType, ansi)
  })
}

function parsing(name: 'fromJson' | 'fromCsv'): FunctionSpec {
  return customFunction(
    name,
    [2, 3],
    "(string, schema, [map<string, string>]) → the schema's type",
    'always',
    (args, ansi) => {
      const [text, schema] = args as [BoundExpression, BoundExpression]
      if (!isNested(schema.type) || (name === 'fromCsv' && schema.type.kind !== 'struct'))
        throw mismatch(name, `the schema is a ${typeName(schema.type)}; it is written as DDL, 'a int, b string'`)
      return call(
        name,
        [coerce(name, 0, text, 'string', ansi), schema, ...options(name, args, 2, ansi)],
        nullableParts(schema.type),
        true,
      )
    },
    true,
  )
}

/** What is read may lack any of its parts. */
function nullableParts(type: BoundExpression['type']): BoundExpression['type'] {
  if (type.kind === 'array') return arrayType(nullableParts(type.element))
  if (type.kind === 'map') return mapType(type.key, nullableParts(type.value))
  if (type.kind !== 'struct') return type
  return {
    kind: 'struct',
    fields: type.fields.map((f) => ({ name: f.name, type: nullableParts(f.type), nullable: true })),
  }
}

const printing = (name: 'toJson' | 'toCsv'): FunctionSpec =>
  customFunction(
    name,
    [1, 2],
    `(${name === 'toJson' ? 'struct, array or map' : 'struct'}, [map<string, string>]) → string`,
    'never',
    (args, ansi) => {
      const value = args[0] as BoundExpression
      if (!isNested(value.type) || (name === 'toCsv' && value.type.kind !== 'struct'))
        throw mismatch(name, `a ${typeName(value.type)} was given`)
      const all = [value, ...options(name, args, 1, ansi)]
      return call(
        name,
        all,
        types.string,
        all.some((a) => a.nullable),
      )
    },
  )

export const jsonFunctions: readonly FunctionSpec[] = [
  strictFunction('getJsonObject', ['string', 'string'], types.string, { makesNull: true }),
  strictFunction('jsonArrayLength', ['string'], types.int, { makesNull: true }),
  strictFunction('jsonObjectKeys', ['string'], arrayType(types.string, false), { makesNull: true }),
  strictFunction('schemaOfJson', ['string'], types.string, { throws: 'always' }),
  parsing('fromJson'),
  parsing('fromCsv'),
  printing('toJson'),
  printing('toCsv'),
]
