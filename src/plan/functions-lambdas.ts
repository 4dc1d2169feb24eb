import { arrayType, mapType, typeName } from '../types/data-type.js'
import type { BoundExpression, BoundLambda, Expression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, mismatch } from './function-spec.js'
import { arrayOf, mapOf } from './nested-access.js'
import { castTo, commonType, types } from './type-rules.js'

/**
 * Functions that take a function. A lambda is bound to a row of its own: its parameters, and behind them
 * what it uses from outside, which becomes further arguments of the call; so an expression's inputs are its
 * arguments' inputs, here as everywhere.
 */
export interface LambdaParameter {
  readonly type: BoundExpression['type']
  readonly nullable: boolean
}

export interface OpenLambda {
  readonly parameters: number
  readonly body: BoundExpression
  /** Values from outside that the body uses, in the order of its slots behind the parameters. */
  readonly captured: readonly BoundExpression[]
}

export interface LambdaBinder {
  readonly ansi: boolean
  bind(e: Expression): BoundExpression
  /** `counts`: how many parameters the lambda may name; all types are given, it names the first of them. */
  lambda(fn: string, e: Expression | undefined, parameters: readonly LambdaParameter[]): OpenLambda
}

export interface HigherOrderFunction {
  readonly name: string
  readonly minArgs: number
  readonly maxArgs: number
  readonly signature: string
  bind(args: readonly Expression[], binder: LambdaBinder): BoundExpression
}

type Type = BoundExpression['type']

/** The call of `fn`, what its lambdas use from outside behind its own arguments. */
function lambdaCall(
  fn: string,
  args: readonly BoundExpression[],
  open: readonly OpenLambda[],
  type: Type,
  nullable: boolean,
): BoundExpression {
  const all = [...args]
  const lambdas = open.map(({ parameters, body, captured }): BoundLambda => {
    const firstCaptured = all.length
    all.push(...captured)
    return { parameters, firstCaptured, captured: captured.length, body }
  })
  return { kind: 'call', fn, args: all, lambdas, type, nullable }
}

const index: LambdaParameter = { type: types.int, nullable: false }
const elementOf = (array: BoundExpression, fn: string): LambdaParameter => {
  const { element, containsNull } = arrayOf(fn, array)
  return { type: element, nullable: containsNull }
}

function boolean(lambda: OpenLambda, fn: string, ansi: boolean): OpenLambda {
  return { ...lambda, body: coerce(fn, 1, lambda.body, 'boolean', ansi) }
}

function predicate(name: 'filter' | 'exists' | 'forall'): HigherOrderFunction {
  const result = name === 'filter' ? 'array<T>' : 'boolean'
  return {
    name,
    minArgs: 2,
    maxArgs: 2,
    signature: `(array<T>, ${name === 'filter' ? 'T [, int]' : 'T'} → boolean) → ${result}`,
    bind: (args, binder) => {
      const array = binder.bind(args[0] as Expression)
      const element = elementOf(array, name)
      const parameters = name === 'filter' ? [element, index] : [element]
      const test = boolean(binder.lambda(name, args[1], parameters), name, binder.ansi)
      if (name === 'filter') return lambdaCall(name, [array], [test], array.type, array.nullable)
      return lambdaCall(name, [array], [test], types.boolean, array.nullable || test.body.nullable)
    },
  }
}

const transform: HigherOrderFunction = {
  name: 'transform',
  minArgs: 2,
  maxArgs: 2,
  signature: '(array<T>, T [, int] → U) → array<U>',
  bind: (args, binder) => {
    const array = binder.bind(args[0] as Expression)
    const lambda = binder.lambda('transform', args[1], [elementOf(array, 'transform'), index])
    return lambdaCall('transform', [array], [lambda], arrayType(lambda.body.type, lambda.body.nullable), array.nullable)
  },
}

const aggregate: HigherOrderFunction = {
  name: 'aggregate',
  minArgs: 3,
  maxArgs: 4,
  signature: '(array<T>, A, (A, T) → A, [A → R]) → R',
  bind: (args, binder) => {
    const array = binder.bind(args[0] as Expression)
    const start = binder.bind(args[1] as Expression)
    const held = { type: start.type, nullable: true }
    const merge = binder.lambda('aggregate', args[2], [held, elementOf(array, 'aggregate')])
    if (commonType(start.type, merge.body.type, binder.ansi) === undefined)
      throw mismatch(
        'aggregate',
        `it starts with a ${typeName(start.type)} and goes on with a ${typeName(merge.body.type)}`,
      )
    const merging = { ...merge, body: castTo(merge.body, start.type, binder.ansi) }
    if (args[3] === undefined) return lambdaCall('aggregate', [array, start], [merging], start.type, true)
    const finish = binder.lambda('aggregate', args[3], [held])
    return lambdaCall('aggregate', [array, start], [merging, finish], finish.body.type, true)
  },
}

const zipWith: HigherOrderFunction = {
  name: 'zipWith',
  minArgs: 3,
  maxArgs: 3,
  signature: '(array<T>, array<U>, (T, U) → R) → array<R>',
  bind: (args, binder) => {
    const [a, b] = [binder.bind(args[0] as Expression), binder.bind(args[1] as Expression)]
    const parameters = [a, b].map((array) => ({ ...elementOf(array, 'zipWith'), nullable: true }))
    const lambda = binder.lambda('zipWith', args[2], parameters)
    return lambdaCall(
      'zipWith',
      [a, b],
      [lambda],
      arrayType(lambda.body.type, lambda.body.nullable),
      a.nullable || b.nullable,
    )
  },
}

/** Without a lambda by the order of the elements, nulls last. */
const arraySort: HigherOrderFunction = {
  name: 'arraySort',
  minArgs: 1,
  maxArgs: 2,
  signature: '(array<T>, [(T, T) → int]) → array<T>',
  bind: (args, binder) => {
    const array = binder.bind(args[0] as Expression)
    const element = elementOf(array, 'arraySort')
    if (args[1] === undefined) return lambdaCall('arraySort', [array], [], array.type, array.nullable)
    const lambda = binder.lambda('arraySort', args[1], [element, element])
    const compare = { ...lambda, body: coerce('arraySort', 1, lambda.body, 'int', binder.ansi) }
    return lambdaCall('arraySort', [array], [compare], array.type, array.nullable)
  },
}

function overMap(name: 'mapFilter' | 'transformKeys' | 'transformValues'): HigherOrderFunction {
  const result = { mapFilter: 'map<K, V>', transformKeys: 'map<R, V>', transformValues: 'map<K, R>' }[name]
  return {
    name,
    minArgs: 2,
    maxArgs: 2,
    signature: `(map<K, V>, (K, V) → ${name === 'mapFilter' ? 'boolean' : 'R'}) → ${result}`,
    bind: (args, binder) => {
      const map = binder.bind(args[0] as Expression)
      const type = mapOf(name, map)
      const parameters = [
        { type: type.key, nullable: false },
        { type: type.value, nullable: type.valueContainsNull },
      ]
      const lambda = binder.lambda(name, args[1], parameters)
      if (name === 'mapFilter') return lambdaCall(name, [map], [boolean(lambda, name, binder.ansi)], type, map.nullable)
      const { body } = lambda
      const made =
        name === 'transformKeys'
          ? mapType(body.type, type.value, type.valueContainsNull)
          : mapType(type.key, body.type, body.nullable)
      return lambdaCall(name, [map], [lambda], made, map.nullable)
    },
  }
}

const mapZipWith: HigherOrderFunction = {
  name: 'mapZipWith',
  minArgs: 3,
  maxArgs: 3,
  signature: '(map<K, V>, map<K, W>, (K, V, W) → R) → map<K, R>',
  bind: (args, binder) => {
    const [a, b] = [binder.bind(args[0] as Expression), binder.bind(args[1] as Expression)]
    const [left, right] = [mapOf('mapZipWith', a), mapOf('mapZipWith', b)]
    const key = commonType(left.key, right.key, binder.ansi)
    if (key === undefined) throw mismatch('mapZipWith', `the keys are ${typeName(left.key)} and ${typeName(right.key)}`)
    const parameters = [
      { type: key, nullable: false },
      { type: left.value, nullable: true },
      { type: right.value, nullable: true },
    ]
    const lambda = binder.lambda('mapZipWith', args[2], parameters)
    const maps = [
      castTo(a, mapType(key, left.value, left.valueContainsNull), binder.ansi),
      castTo(b, mapType(key, right.value, right.valueContainsNull), binder.ansi),
    ]
    return lambdaCall(
      'mapZipWith',
      maps,
      [lambda],
      mapType(key, lambda.body.type, lambda.body.nullable),
      a.nullable || b.nullable,
    )
  },
}

const all: readonly HigherOrderFunction[] = [
  predicate('filter'),
  predicate('exists'),
  predicate('forall'),
  transform,
  aggregate,
  zipWith,
  arraySort,
  overMap('mapFilter'),
  overMap('transformKeys'),
  overMap('transformValues'),
  mapZipWith,
]

export const higherOrderFunctions: ReadonlyMap<string, HigherOrderFunction> = new Map(all.map((f) => [f.name, f]))

/** Their entries in the registry, for what asks by name; a call of theirs is bound by the binder alone. */
export const lambdaFunctions: readonly FunctionSpec[] = all.map(({ name, minArgs, signature }) =>
  customFunction(
    name,
    [minArgs, Number.POSITIVE_INFINITY],
    signature,
    name === 'transformKeys' || name === 'arraySort' ? 'always' : 'never',
    (args) => {
      const [first] = args
      if (first !== undefined && name === 'arraySort') return call(name, [first], arrayOf(name, first), first.nullable)
      throw mismatch(name, 'a lambda was expected, such as x -> x + 1')
    },
    true,
  ),
)
