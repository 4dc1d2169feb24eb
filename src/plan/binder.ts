import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { type ColumnSlot, columnSlots, type StructType, typeName } from '../types/data-type.js'
import type { BoundExpression, Expression } from './expression.js'
import { columnPath } from './expression-name.js'
import { boundLiteral, coerce, unify } from './function-spec.js'
import { bindCall } from './functions.js'
import { castTo } from './type-rules.js'

/** Names become slots, and every node gets its type. What may stand where is the analyzer's affair. */
export interface BindOptions {
  readonly ansi: boolean
  /** What to say where an aggregate, a window or a sort stands where it cannot. */
  readonly place: string
}

export function bindExpression(e: Expression, schema: StructType, options: BindOptions): BoundExpression {
  const slots = columnSlots(schema)
  const bind = (x: Expression): BoundExpression => {
    switch (x.kind) {
      case 'column':
        return bindColumn(x.name, slots)
      case 'literal':
        return boundLiteral(x.value, x.type)
      case 'alias':
        return bind(x.arg)
      case 'cast':
        return castTo(bind(x.arg), x.to, options.ansi, x.try === true)
      case 'call':
        return bindCall(x.fn, x.args.map(bind), options.ansi)
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
        throw misplaced(
          `window() cannot stand in ${options.place}`,
          "a window is a grouping key: groupBy(window('ts', '1 minute'))",
        )
      case 'sort':
        throw misplaced(`asc() and desc() cannot stand in ${options.place}`, 'they stand in orderBy()')
    }
  }
  return bind(e)
}

function misplaced(message: string, hint: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', message, { hint })
}

export function bindColumn(name: string, slots: readonly ColumnSlot[]): BoundExpression {
  const slot = findSlot(name, slots)
  if (slot === undefined) throw unresolved(name, slots)
  // A child is null where any of its parents is.
  let nullable = slot.nullable
  for (let parent = slots[slot.parent]; parent !== undefined; parent = slots[parent.parent])
    nullable ||= parent.nullable
  return { kind: 'input', slot: slot.index, type: slot.type, nullable }
}

/** A name with dots may be a field's own name; that goes first. */
function findSlot(name: string, slots: readonly ColumnSlot[]): ColumnSlot | undefined {
  const whole = slots.find((s) => s.parent === -1 && s.path[0] === name)
  if (whole !== undefined) return whole
  const path = columnPath(name)
  return slots.find((s) => s.path.length === path.length && s.path.every((part, i) => part === path[i]))
}

function unresolved(name: string, slots: readonly ColumnSlot[]): MillraceError {
  const names = slots.map((s) => s.path.join('.'))
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
