import { arrayType, type DataType, entriesType, mapType, structType, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { boundLiteral, call, coerce, customFunction, type FunctionSpec, mismatch, unify } from './function-spec.js'
import { arrayOf, fieldOf, mapOf } from './nested-access.js'
import { castTo, commonType, isInterval, isOrderable, types } from './type-rules.js'

/** Arrays, maps and structs: what makes them, what reaches into them, what computes on them. */

type Args = readonly BoundExpression[]

const anyNullable = (args: Args): boolean => args.some((a) => a.nullable)

/** The array and a value that is one of its elements, in the type that both can have. */
function withElement(
  fn: string,
  array: BoundExpression,
  value: BoundExpression,
  ansi: boolean,
): [BoundExpression, BoundExpression] {
  const { element, containsNull } = arrayOf(fn, array)
  const common = commonType(element, value.type, ansi)
  if (common === undefined)
    throw mismatch(fn, `the array holds ${typeName(element)}, a ${typeName(value.type)} was given`)
  return [castTo(array, arrayType(common, containsNull), ansi), castTo(value, common, ansi)]
}

/** Arrays of one type. */
function sameArrays(
  fn: string,
  args: Args,
  ansi: boolean,
): { args: BoundExpression[]; type: DataType & { kind: 'array' } } {
  for (const arg of args) arrayOf(fn, arg)
  const unified = unify(fn, args, ansi)
  return { args: unified.args, type: arrayOf(fn, unified.args[0]) }
}

/** `(array) → type`, null of null. */
const ofArray = (
  name: string,
  signature: string,
  result: (type: DataType & { kind: 'array' }) => DataType,
  options: { makesNull?: boolean; ordered?: boolean; throws?: FunctionSpec['throws'] } = {},
): FunctionSpec =>
  customFunction(name, [1, 1], signature, options.throws ?? 'never', (args) => {
    const type = arrayOf(name, args[0])
    if (options.ordered === true && !isOrderable(type.element))
      throw mismatch(name, `a ${typeName(type.element)} has no order`)
    return call(name, args, result(type), options.makesNull === true || anyNullable(args))
  })

const setFunction = (name: string): FunctionSpec =>
  customFunction(name, [2, 2], '(array<T>, array<T>) → array<T>', 'never', (args, ansi) => {
    const both = sameArrays(name, args, ansi)
    return call(name, both.args, both.type, anyNullable(args))
  })

/** `(array, element)`. */
const withValue = (
  name: string,
  signature: string,
  result: (array: DataType & { kind: 'array' }, value: BoundExpression) => DataType,
  nullable: (array: BoundExpression, value: BoundExpression) => boolean,
  seesNulls = false,
): FunctionSpec =>
  customFunction(
    name,
    [2, 2],
    signature,
    'never',
    (args, ansi) => {
      const [array, value] = withElement(name, args[0] as BoundExpression, args[1] as BoundExpression, ansi)
      return call(name, [array, value], result(arrayOf(name, array), value), nullable(array, value))
    },
    seesNulls,
  )

/** What `a[i]` and `m[k]` are, and `element_at`, which counts from 1. */
function item(name: 'getItem' | 'elementAt' | 'tryElementAt' | 'get'): FunctionSpec {
  const throws = name === 'getItem' ? 'ansi' : name === 'get' ? 'never' : 'always'
  return customFunction(name, [2, 2], '(array<T>, int) → T, or (map<K, V>, K) → V', throws, (args, ansi) => {
    const [from, key] = args as [BoundExpression, BoundExpression]
    if (
      name === 'getItem' &&
      (from.type.kind === 'struct' ||
        (from.type.kind === 'array' && key.kind === 'literal' && typeof key.value === 'string'))
    ) {
      if (key.kind !== 'literal' || typeof key.value !== 'string') throw mismatch(name, 'the name of a field is a text')
      return fieldOf(from, key.value)
    }
    if (from.type.kind === 'map' && name !== 'get') {
      const { key: keyType, value, valueContainsNull } = from.type
      const common = commonType(keyType, key.type, ansi)
      if (common === undefined)
        throw mismatch(name, `the keys are ${typeName(keyType)}, a ${typeName(key.type)} was given`)
      return call(
        'mapValue',
        [castTo(from, mapType(common, value, valueContainsNull), ansi), castTo(key, common, ansi)],
        value,
        true,
      )
    }
    const { element } = arrayOf(name, from)
    return call(name, [from, coerce(name, 1, key, 'int', ansi)], element, true)
  })
}

/** Keys and values in turn; a literal that is a name for a struct. */
const creators: readonly FunctionSpec[] = [
  customFunction(
    'array',
    [0, Number.POSITIVE_INFINITY],
    '(T, …) → array<T>',
    'never',
    (args, ansi) => {
      const { args: bound, type } = unify('array', args, ansi)
      return call('array', bound, arrayType(type, anyNullable(bound)), false)
    },
    true,
  ),
  customFunction(
    'map',
    [0, Number.POSITIVE_INFINITY],
    '(K, V, …) → map<K, V>',
    'always',
    (args, ansi) => {
      if (args.length % 2 === 1)
        throw mismatch('map', `${args.length} arguments were given, keys and values in turn were expected`)
      const keys = unify(
        'map',
        args.filter((_, i) => i % 2 === 0),
        ansi,
      )
      const values = unify(
        'map',
        args.filter((_, i) => i % 2 === 1),
        ansi,
      )
      const bound = keys.args.flatMap((key, i) => [key, values.args[i] as BoundExpression])
      return call('map', bound, mapType(checkedKey('map', keys.type), values.type, anyNullable(values.args)), false)
    },
    true,
  ),
  customFunction(
    'namedStruct',
    [2, Number.POSITIVE_INFINITY],
    '(name, value, …) → struct',
    'never',
    (args) => {
      if (args.length % 2 === 1) throw mismatch('namedStruct', 'names and values in turn were expected')
      const values = args.filter((_, i) => i % 2 === 1)
      const fields = values.map((value, i) => {
        const name = args[2 * i]
        if (name?.kind !== 'literal' || typeof name.value !== 'string')
          throw mismatch('namedStruct', 'a name must be a text of its own')
        return { name: name.value, type: value.type, nullable: value.nullable }
      })
      return call('makeStruct', values, structType(fields), false)
    },
    true,
  ),
  customFunction(
    'makeStruct',
    [1, Number.POSITIVE_INFINITY],
    '(value, …) → struct',
    'never',
    (args) => {
      const fields = args.map((value, i) => ({ name: `col${i + 1}`, type: value.type, nullable: value.nullable }))
      return call('makeStruct', args, structType(fields), false)
    },
    true,
  ),
]

function checkedKey(fn: string, key: DataType): DataType {
  if (key.kind === 'map') throw mismatch(fn, 'a map cannot be the key of a map')
  return key
}

const mapFunctions: readonly FunctionSpec[] = [
  customFunction('mapKeys', [1, 1], '(map<K, V>) → array<K>', 'never', (args) =>
    call('mapKeys', args, arrayType(mapOf('mapKeys', args[0]).key, false), anyNullable(args)),
  ),
  customFunction('mapValues', [1, 1], '(map<K, V>) → array<V>', 'never', (args) => {
    const { value, valueContainsNull } = mapOf('mapValues', args[0])
    return call('mapValues', args, arrayType(value, valueContainsNull), anyNullable(args))
  }),
  customFunction('mapEntries', [1, 1], '(map<K, V>) → array<struct<key, value>>', 'never', (args) =>
    call('mapEntries', args, entriesType(mapOf('mapEntries', args[0])), anyNullable(args)),
  ),
  customFunction('mapContainsKey', [2, 2], '(map<K, V>, K) → boolean', 'never', ([from, key], ansi) => {
    const type = mapOf('mapContainsKey', from)
    const common = commonType(type.key, (key as BoundExpression).type, ansi)
    if (common === undefined) throw mismatch('mapContainsKey', `the keys are ${typeName(type.key)}`)
    const args = [
      castTo(from as BoundExpression, mapType(common, type.value, type.valueContainsNull), ansi),
      castTo(key as BoundExpression, common, ansi),
    ]
    return call('mapContainsKey', args, types.boolean, anyNullable(args))
  }),
  customFunction('mapConcat', [0, Number.POSITIVE_INFINITY], '(map<K, V>, …) → map<K, V>', 'always', (args, ansi) => {
    if (args.length === 0) return call('map', [], mapType(types.string, types.string, false), false)
    for (const arg of args) mapOf('mapConcat', arg)
    const { args: bound, type } = unify('mapConcat', args, ansi)
    return call('mapConcat', bound, type, anyNullable(bound))
  }),
  customFunction('mapFromArrays', [2, 2], '(array<K>, array<V>) → map<K, V>', 'always', (args) => {
    const [keys, values] = args.map((arg) => arrayOf('mapFromArrays', arg))
    const type = mapType(
      checkedKey('mapFromArrays', keys?.element ?? types.void),
      values?.element ?? types.void,
      values?.containsNull,
    )
    return call('mapFromArrays', args, type, anyNullable(args))
  }),
  customFunction('mapFromEntries', [1, 1], '(array<struct<K, V>>) → map<K, V>', 'always', (args) => {
    const { element, containsNull } = arrayOf('mapFromEntries', args[0])
    const [key, value] = element.kind === 'struct' ? element.fields : []
    if (key === undefined || value === undefined || (element.kind === 'struct' && element.fields.length !== 2))
      throw mismatch('mapFromEntries', `an array of ${typeName(element)} was given, of structs of two fields expected`)
    const type = mapType(checkedKey('mapFromEntries', key.type), value.type, value.nullable)
    return call('mapFromEntries', args, type, containsNull || anyNullable(args))
  }),
  customFunction(
    'strToMap',
    [1, 3],
    '(string, [pair delimiter], [key delimiter]) → map<string, string>',
    'always',
    (args, ansi) => {
      const bound = args.map((arg, i) => coerce('strToMap', i, arg, 'string', ansi))
      return call('strToMap', bound, mapType(types.string, types.string), anyNullable(bound))
    },
  ),
]

const ends = ['arrayAppend', 'arrayPrepend'].map((name) =>
  withValue(
    name,
    '(array<T>, T) → array<T>',
    ({ element, containsNull }, value) => arrayType(element, containsNull || value.nullable),
    (array) => array.nullable,
    true,
  ),
)

const sequence: FunctionSpec = customFunction(
  'sequence',
  [2, 3],
  '(from, to, [step]) → array',
  'always',
  (args, ansi) => {
    const [from, to, step] = args as [BoundExpression, BoundExpression, BoundExpression | undefined]
    const { args: bound, type } = unify('sequence', [from, to], ansi)
    if (type.kind === 'date' || type.kind === 'timestamp') {
      const interval = step ?? boundLiteral(86_400_000, types.dayTimeInterval)
      if (!isInterval(interval.type)) throw mismatch('sequence', `the step of ${typeName(type)}s is an interval`)
      return call('sequenceOfTimes', [...bound, interval], arrayType(type, false), anyNullable(args))
    }
    if (!['byte', 'short', 'int', 'long', 'bigint'].includes(type.kind))
      throw mismatch('sequence', `a ${typeName(type)} has no step`)
    const all = step === undefined ? bound : [...bound, castTo(step, type, ansi)]
    return call('sequence', all, arrayType(type, false), anyNullable(all))
  },
)

/** What `concat` and `reverse` are of arrays. */
export const concatArrays = customFunction(
  'concatArrays',
  [1, Number.POSITIVE_INFINITY],
  '(array<T>, …) → array<T>',
  'never',
  (args, ansi) => {
    const all = sameArrays('concat', args, ansi)
    return call('concatArrays', all.args, all.type, anyNullable(args))
  },
)
export const reverseArray = ofArray('reverseArray', '(array<T>) → array<T>', (type) => type)

export const collectionFunctions: readonly FunctionSpec[] = [
  ...creators,
  ...mapFunctions,
  ...(['getItem', 'elementAt', 'tryElementAt', 'get'] as const).map(item),
  customFunction('mapValue', [2, 2], '(map<K, V>, K) → V', 'never', (args, ansi) => {
    mapOf('mapValue', args[0])
    return item('elementAt').bind(args, ansi)
  }),
  customFunction('fieldOfEach', [2, 2], '(array<struct>, int) → array', 'never', (args) => {
    const [array, index] = args
    const { element, containsNull } = arrayOf('fieldOfEach', array)
    const field =
      element.kind === 'struct' && index?.kind === 'literal' ? element.fields[Number(index.value)] : undefined
    if (field === undefined) throw mismatch('fieldOfEach', 'the field is not there')
    return call('fieldOfEach', args, arrayType(field.type, containsNull || field.nullable), array?.nullable === true)
  }),
  customFunction('size', [1, 1], '(array or map) → int', 'never', (args, ansi) => {
    const [arg] = args as [BoundExpression]
    if (arg.type.kind !== 'map') arrayOf('size', arg)
    const size = call('arraySize', args, types.int, arg.nullable)
    // Without ANSI the size of null is −1, as it was in Hive.
    return ansi || !arg.nullable ? size : call('coalesce', [size, boundLiteral(-1, types.int)], types.int, false)
  }),
  customFunction('arraySize', [1, 1], '(array) → int', 'never', (args) => {
    if (args[0]?.type.kind !== 'map') arrayOf('arraySize', args[0])
    return call('arraySize', args, types.int, anyNullable(args))
  }),
  withValue(
    'arrayContains',
    '(array<T>, T) → boolean',
    () => types.boolean,
    () => true,
  ),
  withValue(
    'arrayPosition',
    '(array<T>, T) → long',
    () => types.long,
    (array, value) => array.nullable || value.nullable,
  ),
  withValue(
    'arrayRemove',
    '(array<T>, T) → array<T>',
    (array) => array,
    (array, value) => array.nullable || value.nullable,
  ),
  ...ends,
  customFunction(
    'arrayInsert',
    [3, 3],
    '(array<T>, int, T) → array<T>',
    'always',
    (args, ansi) => {
      const [array, value] = withElement('arrayInsert', args[0] as BoundExpression, args[2] as BoundExpression, ansi)
      const position = coerce('arrayInsert', 1, args[1] as BoundExpression, 'int', ansi)
      return call(
        'arrayInsert',
        [array, position, value],
        arrayType(arrayOf('arrayInsert', array).element),
        array.nullable || position.nullable,
      )
    },
    true,
  ),
  ofArray('arrayDistinct', '(array<T>) → array<T>', (type) => type),
  ofArray('arrayCompact', '(array<T>) → array<T>', ({ element }) => arrayType(element, false)),
  ofArray('arrayMax', '(array<T>) → T', ({ element }) => element, { makesNull: true, ordered: true }),
  ofArray('arrayMin', '(array<T>) → T', ({ element }) => element, { makesNull: true, ordered: true }),
  reverseArray,
  ofArray(
    'flatten',
    '(array<array<T>>) → array<T>',
    (type) => {
      if (type.element.kind !== 'array')
        throw mismatch('flatten', `an array of ${typeName(type.element)} was given, of arrays expected`)
      return type.element
    },
    { makesNull: true },
  ),
  setFunction('arrayUnion'),
  setFunction('arrayIntersect'),
  setFunction('arrayExcept'),
  customFunction('arraysOverlap', [2, 2], '(array<T>, array<T>) → boolean', 'never', (args, ansi) =>
    call('arraysOverlap', sameArrays('arraysOverlap', args, ansi).args, types.boolean, true),
  ),
  concatArrays,
  customFunction('arrayJoin', [2, 3], '(array<string>, string, [string]) → string', 'never', (args, ansi) => {
    const { containsNull } = arrayOf('arrayJoin', args[0])
    const array = castTo(args[0] as BoundExpression, arrayType(types.string, containsNull), ansi)
    const bound = [array, ...args.slice(1).map((arg, i) => coerce('arrayJoin', i + 1, arg, 'string', ansi))]
    return call('arrayJoin', bound, types.string, anyNullable(bound))
  }),
  customFunction('sortArray', [1, 2], '(array<T>, [boolean]) → array<T>', 'never', (args, ansi) => {
    const type = arrayOf('sortArray', args[0])
    if (!isOrderable(type.element)) throw mismatch('sortArray', `a ${typeName(type.element)} has no order`)
    const bound = args.map((arg, i) => (i === 0 ? arg : coerce('sortArray', 1, arg, 'boolean', ansi)))
    return call('sortArray', bound, type, anyNullable(bound))
  }),
  customFunction(
    'arrayRepeat',
    [2, 2],
    '(T, int) → array<T>',
    'always',
    (args, ansi) => {
      const [value, times] = args as [BoundExpression, BoundExpression]
      const count = coerce('arrayRepeat', 1, times, 'int', ansi)
      return call('arrayRepeat', [value, count], arrayType(value.type, value.nullable), count.nullable)
    },
    true,
  ),
  customFunction('slice', [3, 3], '(array<T>, int, int) → array<T>', 'always', (args, ansi) => {
    const type = arrayOf('slice', args[0])
    const bound = args.map((arg, i) => (i === 0 ? arg : coerce('slice', i, arg, 'int', ansi)))
    return call('slice', bound, type, anyNullable(bound))
  }),
  sequence,
  { ...sequence, name: 'sequenceOfTimes' },
  customFunction('arraysZip', [1, Number.POSITIVE_INFINITY], '(array, …) → array<struct>', 'never', (args) => {
    const fields = args.map((arg, i) => ({ name: String(i), type: arrayOf('arraysZip', arg).element, nullable: true }))
    return call('arraysZip', args, arrayType(structType(fields), false), anyNullable(args))
  }),
  customFunction('split', [2, 3], '(string, pattern, [limit]) → array<string>', 'always', (args, ansi) => {
    const bound = args.map((arg, i) => coerce('split', i, arg, i === 2 ? 'int' : 'string', ansi))
    return call('split', bound, arrayType(types.string, false), anyNullable(bound))
  }),
  customFunction(
    'sentences',
    [1, 3],
    '(string, [language], [country]) → array<array<string>>',
    'never',
    (args, ansi) => {
      const bound = args.map((arg, i) => coerce('sentences', i, arg, 'string', ansi))
      return call('sentences', bound, arrayType(arrayType(types.string, false), false), anyNullable(bound))
    },
  ),
]
