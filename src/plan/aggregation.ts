import { MillraceError } from '../common/errors.js'
import {
  columnSlots,
  type DataType,
  type Field,
  type StructType,
  structType,
  topLevelSlots,
  typeName,
} from '../types/data-type.js'
import { bindFold } from './aggregate-specs.js'
import { bindExpression } from './binder.js'
import { expressionKey, replaceInputs } from './bound-expression.js'
import type { BoundAggregation, BoundPlan } from './bound-plan.js'
import type { AggregateName, BoundAggregate, BoundExpression, Expression } from './expression.js'
import { expressionText, resultName } from './expression-name.js'
import { isFold } from './function-names.js'
import { project } from './projection.js'
import { castTo, decimal, isIntegral, isNested, isNumeric, isOrderable, types } from './type-rules.js'
import { bindWindow } from './window-binding.js'
import { windowType } from './window-value.js'

/**
 * groupBy(keys).agg(aggregates): one aggregation of plain keys, at most one window, and
 * aggregate functions; where an expression stands around an aggregate (`sum(x) / count()`), a projection above.
 */
export function bindAggregation(
  input: BoundPlan,
  keyExpressions: readonly Expression[],
  resultExpressions: readonly Expression[],
  ansi: boolean,
): BoundPlan {
  const keys: { name: string; value: BoundExpression }[] = []
  const keyFields: Field[] = []
  let window: BoundAggregation['window']
  keyExpressions.forEach((expression, position) => {
    const inner = expression.kind === 'alias' ? expression.arg : expression
    if (inner.kind === 'window' || inner.kind === 'sessionWindow') {
      if (window !== undefined) throw unsupported('two windows are among the grouping keys', 'group by one window')
      const name = resultName(expression)
      window = bindWindow(inner, input.schema, ansi, name, position)
      keyFields.push({ name, type: windowType, nullable: false })
      return
    }
    const name = resultName(expression)
    const value = bindExpression(expression, input.schema, { ansi, place: 'groupBy' })
    if (isNested(value.type)) {
      throw unsupported(
        `the grouping key ${name} is a ${typeName(value.type)}`,
        value.type.kind === 'struct'
          ? `group by its fields, for example ${name}.start`
          : `group by a text of it, for example toJson('${name}')`,
      )
    }
    keys.push({ name, value: castTo(value, value.type.kind === 'void' ? types.string : value.type, ansi) })
    keyFields.push({ name, type: keys[keys.length - 1]?.value.type ?? value.type, nullable: value.nullable })
  })

  const aggregates: BoundAggregate[] = []
  const addAggregate = (e: Expression & { kind: 'aggregate' }, name: string): number => {
    const bound = bindAggregate(e, input.schema, name, ansi)
    const known = aggregates.findIndex((a) => aggregateKey(a) === aggregateKey(bound))
    if (known !== -1) return known
    const taken = aggregates.some((a) => a.name === bound.name) || keyFields.some((f) => f.name === bound.name)
    aggregates.push(taken ? { ...bound, name: `${bound.name}_${aggregates.length}` } : bound)
    return aggregates.length - 1
  }
  // First every aggregate gets its place, then the results are bound to the rows of the aggregation.
  const results = resultExpressions.map((e) => {
    const name = resultName(e)
    const inner = e.kind === 'alias' ? e.arg : e
    if (inner.kind === 'aggregate') return { name, direct: addAggregate(inner, name), expression: inner }
    visitAggregates(inner, (a) => addAggregate(a, expressionText(a)))
    return { name, direct: undefined, expression: inner }
  })
  if (aggregates.length === 0)
    throw unsupported('agg() has no aggregate function', "agg({ n: count() }), agg(sum('price'))")

  const schema = structType([...keyFields, ...aggregates.map(({ name, type, nullable }) => ({ name, type, nullable }))])
  const aggregation: BoundAggregation = {
    op: 'aggregate',
    input,
    keys,
    aggregates,
    schema,
    ...(window === undefined ? {} : { window }),
  }
  const isPlain =
    results.length === aggregates.length && results.every((r, i) => r.direct === i && r.name === aggregates[i]?.name)
  if (isPlain) {
    assertDistinct(schema)
    return aggregation
  }

  const slots = topLevelSlots(schema)
  const fieldAt = (i: number): BoundExpression => {
    const field = schema.fields[i] as Field
    return { kind: 'input', slot: slots[i] as number, type: field.type, nullable: field.nullable }
  }
  const bindResult = (e: Expression): BoundExpression => bindOverGroups(e, fieldAt, addAggregate, keyFields, ansi)
  return project(aggregation, [
    ...keyFields.map((field, i) => ({ name: field.name, value: fieldAt(i) })),
    ...results.map((r) => ({
      name: r.name,
      value: r.direct === undefined ? bindResult(r.expression) : fieldAt(keyFields.length + r.direct),
    })),
  ])
}

function assertDistinct(schema: StructType): void {
  const names = schema.fields.map((f) => f.name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice === undefined) return
  throw new MillraceError('COLUMN_ALREADY_EXISTS', `two columns are named ${twice}`, {
    detail: `columns: ${names.join(', ')}`,
    hint: "name one of them: .as('other')",
  })
}

function unsupported(message: string, hint: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', message, {
    detail: 'expected grouping keys with at most one window, and aggregates of one argument each',
    hint,
  })
}

export function bindAggregate(
  e: Expression & { kind: 'aggregate' },
  schema: StructType,
  name: string,
  ansi: boolean,
): BoundAggregate {
  const args = e.args.map((arg) => bindExpression(arg, schema, { ansi, place: `${e.fn}()` }))
  const [arg] = args
  if (isFold(e.fn)) return { fn: e.fn, ...bindFold(e.fn, args, ansi), name }
  if (e.fn === 'count') {
    if (args.length > 1) throw unsupported('count() of several columns', 'count one column, or all rows with count()')
    const counted = arg?.nullable === true ? { arg } : {}
    return { fn: 'count', ...counted, type: types.long, nullable: false, name }
  }
  if (arg === undefined || args.length !== 1) {
    throw new MillraceError('WRONG_NUM_ARGS', `${e.fn}() takes one argument`, {
      detail: `found ${args.length}`,
      hint: `${e.fn}('price')`,
    })
  }
  const { kind } = arg.type
  // An average of bigints is summed up in doubles, as Spark does.
  const asDouble = kind === 'string' || kind === 'void' || (kind === 'bigint' && e.fn === 'avg')
  const number = asDouble ? castTo(arg, types.double, ansi) : arg
  if (e.fn === 'sum' || e.fn === 'avg') {
    if (!isNumeric(number.type)) throw wrongArgument(e.fn, arg.type, 'a number')
    return { fn: e.fn, arg: number, type: resultType(e.fn, number.type), nullable: true, name }
  }
  // What has parts is compared as a value; its state is the value.
  if (isNested(arg.type) && isOrderable(arg.type)) {
    const fn = e.fn === 'min' ? 'minValue' : 'maxValue'
    return { fn, ...bindFold(fn, args, ansi), name }
  }
  if (isNested(arg.type) || arg.type.kind === 'void') throw wrongArgument(e.fn, arg.type, 'a type with an order')
  return { fn: e.fn, arg, type: arg.type, nullable: true, name }
}

function wrongArgument(fn: AggregateName, found: DataType, expected: string): MillraceError {
  return new MillraceError('DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE', `${fn}() of a ${typeName(found)}`, {
    detail: `expected ${expected}`,
    hint: 'cast the column first',
  })
}

function resultType(fn: 'sum' | 'avg', type: DataType): DataType {
  if (type.kind === 'decimal') {
    return fn === 'sum'
      ? decimal(Math.min(38, type.precision + 10), type.scale)
      : decimal(Math.min(38, type.precision + 4), Math.min(38, type.scale + 4))
  }
  if (fn === 'avg' || !isIntegral(type)) return types.double
  return type.kind === 'bigint' ? types.bigint : types.long
}

const aggregateKey = (a: BoundAggregate): string => `${a.fn}(${a.arg === undefined ? '' : expressionKey(a.arg)})`

function visitAggregates(e: Expression, visit: (a: Expression & { kind: 'aggregate' }) => void): void {
  switch (e.kind) {
    case 'aggregate':
      visit(e)
      return
    case 'alias':
    case 'cast':
      visitAggregates(e.arg, visit)
      return
    case 'call':
      for (const arg of e.args) visitAggregates(arg, visit)
      return
    case 'case':
      for (const b of e.branches) {
        visitAggregates(b.when, visit)
        visitAggregates(b.then, visit)
      }
      if (e.otherwise !== undefined) visitAggregates(e.otherwise, visit)
      return
    default:
  }
}

/** An expression around aggregates: its aggregates are columns of the aggregation, its columns are grouping keys. */
function bindOverGroups(
  e: Expression,
  fieldAt: (i: number) => BoundExpression,
  aggregateAt: (a: Expression & { kind: 'aggregate' }, name: string) => number,
  keyFields: readonly Field[],
  ansi: boolean,
): BoundExpression {
  // Aggregates become columns with names that no user can have written, so that the binder can do the rest.
  const fields: Field[] = []
  const values: BoundExpression[] = []
  keyFields.forEach((field, i) => {
    fields.push(field)
    values.push(fieldAt(i))
  })
  const replace = (x: Expression): Expression => {
    switch (x.kind) {
      case 'aggregate': {
        const value = fieldAt(keyFields.length + aggregateAt(x, expressionText(x)))
        const name = `\u0000${fields.length}`
        fields.push({ name, type: value.type, nullable: value.nullable })
        values.push(value)
        return { kind: 'column', name }
      }
      case 'alias':
      case 'cast':
        return { ...x, arg: replace(x.arg) }
      case 'call':
        return { ...x, args: x.args.map(replace) }
      case 'case':
        return {
          ...x,
          branches: x.branches.map((b) => ({ when: replace(b.when), then: replace(b.then) })),
          ...(x.otherwise === undefined ? {} : { otherwise: replace(x.otherwise) }),
        }
      default:
        return x
    }
  }
  const replaced = replace(e)
  const schema = structType(fields)
  const bound = bindKeysAndAggregates(replaced, schema, keyFields, ansi)
  return remapTopLevel(bound, schema, values)
}

function bindKeysAndAggregates(
  e: Expression,
  schema: StructType,
  keyFields: readonly Field[],
  ansi: boolean,
): BoundExpression {
  try {
    return bindExpression(e, schema, { ansi, place: 'agg' })
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'UNRESOLVED_COLUMN') throw error
    throw new MillraceError('MISSING_AGGREGATION', `${error.summary} among the grouping keys`, {
      detail: `keys: ${keyFields.map((f) => f.name).join(', ') || 'none'}`,
      hint: 'add it to groupBy(), or aggregate it: min(), max(), sum()',
    })
  }
}

function remapTopLevel(e: BoundExpression, schema: StructType, values: readonly BoundExpression[]): BoundExpression {
  const slots = columnSlots(schema)
  const tops = topLevelSlots(schema)
  return replaceInputs(e, (slot, input) => {
    let top = slot
    while ((slots[top]?.parent ?? -1) !== -1) top = slots[top]?.parent ?? -1
    const value = values[tops.indexOf(top)]
    return value?.kind === 'input' && input.kind === 'input' ? { ...input, slot: value.slot + (slot - top) } : input
  })
}
