import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { arrayType, type ColumnSlot, columnSlots, type StructType, structType, typeName } from '../types/data-type.js'
import { expressionKey } from './bound-expression.js'
import type { BoundExpression, Expression } from './expression.js'
import { columnPath, resultName } from './expression-name.js'
import { boundLiteral, coerce, unify } from './function-spec.js'
import { bindCall, checkArguments, higherOrderFunction } from './functions.js'
import type { LambdaParameter, OpenLambda } from './functions-lambdas.js'
import { fieldOf } from './nested-access.js'
import { castTo } from './type-rules.js'
import { windowField, windowValue } from './window-value.js'

/** Names become slots, and every node gets its type. What may stand where is the analyzer's affair. */
export interface BindOptions {
  readonly ansi: boolean
  /** What to say where an aggregate, a window or a sort stands where it cannot. */
  readonly place: string
}

export function bindExpression(e: Expression, schema: StructType, options: BindOptions): BoundExpression {
  const slots = columnSlots(schema)
  return bindIn(e, (name) => bindColumn(name, slots), options)
}

/** What a name means at a place: a column, or a parameter of a lambda around it. */
type Scope = (name: string) => BoundExpression

function bindIn(e: Expression, scope: Scope, options: BindOptions): BoundExpression {
  const bind = (x: Expression): BoundExpression => {
    switch (x.kind) {
      case 'column':
        return scope(x.name)
      case 'literal':
        return boundLiteral(x.value, x.type)
      case 'alias':
        return bind(x.arg)
      case 'cast':
        return castTo(bind(x.arg), x.to, options.ansi, x.try === true)
      case 'call':
        return bindFunction(x, bind, scope, options)
      case 'case':
        return bindCase(x, bind, options.ansi)
      case 'aggregate':
        throw misplaced(
          `the aggregate ${x.fn}() cannot stand in ${options.place}`,
          options.place === 'a filter'
            ? "filter the result instead: .agg({ n: count() }).filter(col('n').gt(1))"
            : 'aggregates stand in agg(), after groupBy()',
        )
      case 'window':
        return windowValue(x, bind(x.arg), options.ansi)
      case 'sessionWindow':
        throw misplaced(
          `${x.kind}() cannot stand in ${options.place}`,
          "a window is a grouping key: groupBy(window('ts', '1 minute'))",
        )
      case 'lambda':
        throw misplaced(
          'a lambda cannot stand by itself',
          "it is an argument of a higher-order function: transform('tags', (x) => upper(x))",
        )
      case 'sort':
        throw misplaced(`asc() and desc() cannot stand in ${options.place}`, 'they stand in orderBy()')
    }
  }
  return bind(e)
}

function bindFunction(
  e: Expression & { kind: 'call' },
  bind: (x: Expression) => BoundExpression,
  scope: Scope,
  options: BindOptions,
): BoundExpression {
  const higherOrder = higherOrderFunction(e.fn)
  if (higherOrder !== undefined) {
    checkArguments(e.fn, e.args.length, higherOrder.minArgs, higherOrder.maxArgs)
    return higherOrder.bind(e.args, {
      ansi: options.ansi,
      bind,
      lambda: (fn, lambda, parameters) => bindLambda(fn, lambda, parameters, scope, options),
    })
  }
  const [first] = e.args
  if (e.fn === 'getItem' && first?.kind === 'window') {
    const [, field] = e.args
    return windowField(first, field?.kind === 'literal' ? field.value : undefined, bind(first.arg), options.ansi)
  }
  if (e.fn === 'struct') return bindStruct(e.args, bind)
  if (e.fn === 'arraysZip') return namedZip(e.args, bind, options.ansi)
  return bindCall(e.fn, e.args.map(bind), options.ansi)
}

/** A struct's fields are called as columns of a select would be, and `col1` … where nobody named them. */
function bindStruct(args: readonly Expression[], bind: (x: Expression) => BoundExpression): BoundExpression {
  if (args.length === 0) throw misplaced('struct() needs at least one column', "struct('a', 'b')")
  const values = args.map(bind)
  const fields = values.map((value, i) => ({
    name: fieldName(args[i] as Expression) ?? `col${i + 1}`,
    type: value.type,
    nullable: value.nullable,
  }))
  return { kind: 'call', fn: 'makeStruct', args: values, type: structType(fields), nullable: false }
}

function fieldName(e: Expression): string | undefined {
  if (e.kind === 'call' && e.fn === 'getItem') {
    const [, key] = e.args
    return key?.kind === 'literal' && typeof key.value === 'string' ? key.value : undefined
  }
  return e.kind === 'alias' || e.kind === 'column' ? resultName(e) : undefined
}

function namedZip(
  args: readonly Expression[],
  bind: (x: Expression) => BoundExpression,
  ansi: boolean,
): BoundExpression {
  const zipped = bindCall('arraysZip', args.map(bind), ansi)
  if (zipped.type.kind !== 'array' || zipped.type.element.kind !== 'struct') return zipped
  const fields = zipped.type.element.fields.map((f, i) => ({ ...f, name: fieldName(args[i] as Expression) ?? f.name }))
  return { ...zipped, type: arrayType(structType(fields), false) }
}

/** A name is a parameter of the lambda, or what it means outside, which the lambda's row then holds as well. */
function bindLambda(
  fn: string,
  e: Expression | undefined,
  parameters: readonly LambdaParameter[],
  outer: Scope,
  options: BindOptions,
): OpenLambda {
  if (e?.kind !== 'lambda')
    throw misplaced(`${fn}() takes a lambda`, `write ${fn}(…, x -> x + 1), or a function of columns`)
  if (e.parameters.length > parameters.length || e.parameters.length === 0) {
    throw new MillraceError(
      'INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH',
      `the lambda of ${fn}() has other parameters`,
      {
        detail: `found ${e.parameters.length}, expected ${parameters.length === 1 ? '1' : `up to ${parameters.length}`}`,
        hint: parameters.length === 1 ? '(x) => …' : '(x, y) => …',
      },
    )
  }
  const count = e.parameters.length
  const captured: BoundExpression[] = []
  const scope: Scope = (name) => {
    const [head = '', ...rest] = columnPath(name)
    const slot = e.parameters.indexOf(head)
    if (slot !== -1) {
      const { type, nullable } = parameters[slot] as LambdaParameter
      return rest.reduce<BoundExpression>(fieldOf, { kind: 'input', slot, type, nullable })
    }
    const value = outer(name)
    const key = expressionKey(value)
    let at = captured.findIndex((c) => expressionKey(c) === key)
    if (at === -1) at = captured.push(value) - 1
    return { kind: 'input', slot: count + at, type: value.type, nullable: value.nullable }
  }
  return { parameters: count, body: bindIn(e.body, scope, options), captured }
}

function misplaced(message: string, hint: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', message, {
    detail: 'found it where the value of one row is expected',
    hint,
  })
}

export function bindColumn(name: string, slots: readonly ColumnSlot[]): BoundExpression {
  const slot = findSlot(name, slots)
  if (slot === undefined) {
    // Past an array or a map the path goes on by values: `orders.price` is the array of the prices.
    const path = columnPath(name)
    const outer = path.length > 1 ? findSlot(path.slice(0, -1).map(quoted).join('.'), slots) : undefined
    if (outer !== undefined && (outer.type.kind === 'array' || outer.type.kind === 'map'))
      return fieldOf(bindColumn(path.slice(0, -1).map(quoted).join('.'), slots), path[path.length - 1] as string)
    throw unresolved(name, slots)
  }
  // A child is null where any of its parents is.
  let nullable = slot.nullable
  for (let parent = slots[slot.parent]; parent !== undefined; parent = slots[parent.parent])
    nullable ||= parent.nullable
  return { kind: 'input', slot: slot.index, type: slot.type, nullable }
}

const quoted = (part: string): string => `\`${part.replaceAll('`', '``')}\``

/** A name with dots may be a field's own name; that goes first. */
function findSlot(name: string, slots: readonly ColumnSlot[]): ColumnSlot | undefined {
  const whole = slots.filter((s) => s.parent === -1 && s.path[0] === name)
  if (whole.length > 0) return theOne(name, whole)
  const path = columnPath(name)
  const isAt = (s: ColumnSlot, from: number): boolean =>
    s.path.length === path.length - from && s.path.every((part, i) => part === path[from + i])
  const found = slots.filter((s) => isAt(s, 0) || (path.length > 1 && s.qualifier === path[0] && isAt(s, 1)))
  return found.length === 0 ? undefined : theOne(name, found)
}

function theOne(name: string, found: readonly ColumnSlot[]): ColumnSlot {
  const [first] = found
  if (first !== undefined && found.length === 1) return first
  const names = found.map(qualifiedName)
  const areTold = new Set(names).size === names.length
  throw new MillraceError('AMBIGUOUS_REFERENCE', `the column ${name} could be one of ${found.length}`, {
    detail: `candidates: ${names.join(', ')}`,
    hint: areTold
      ? `write ${names[0]}`
      : "give both sides a name before the join: clicks.as('c').join(users.as('u'), …)",
  })
}

const qualifiedName = ({ qualifier, path }: ColumnSlot): string =>
  (qualifier === undefined ? path : [qualifier, ...path]).join('.')

function unresolved(name: string, slots: readonly ColumnSlot[]): MillraceError {
  const names = slots.map(qualifiedName)
  const nearest = nearestName(name, names)
  return new MillraceError('UNRESOLVED_COLUMN', `there is no column named ${name}`, {
    detail: `columns: ${names.join(', ') || 'none'}`,
    hint: nearest === undefined ? 'use one of these, by its exact name' : `did you mean ${nearest}?`,
  })
}

function bindCase(
  e: Expression & { kind: 'case' },
  bind: (x: Expression) => BoundExpression,
  ansi: boolean,
): BoundExpression {
  const results = [...e.branches.map((b) => bind(b.then)), ...(e.otherwise === undefined ? [] : [bind(e.otherwise)])]
  const { args, type } = unify('when', results, ansi)
  const branches = e.branches.map((b, i) => ({
    when: coerce('when', 0, bind(b.when), 'boolean', ansi),
    then: args[i] as BoundExpression,
  }))
  const otherwise = e.otherwise === undefined ? undefined : (args[args.length - 1] as BoundExpression)
  const nullable = otherwise === undefined || args.some((a) => a.nullable)
  return { kind: 'case', branches, type, nullable, ...(otherwise === undefined ? {} : { otherwise }) }
}

/** A condition: boolean, or a string that reads as one, as Spark allows. */
export function bindCondition(e: Expression, schema: StructType, options: BindOptions): BoundExpression {
  const bound = bindExpression(e, schema, options)
  if (bound.type.kind === 'boolean') return bound
  if (bound.type.kind === 'void') return castTo(bound, { kind: 'boolean' }, options.ansi)
  throw new MillraceError('DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN', 'a filter needs a boolean', {
    detail: `found ${typeName(bound.type)}`,
    hint: "compare it, for example col('x').gt(0)",
  })
}
