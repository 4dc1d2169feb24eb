import { MillraceError } from '../common/errors.js'
import { type ColumnSlot, columnSlots, type StructType, typeName } from '../types/data-type.js'
import { bindExpression } from './binder.js'
import type { SortKey } from './bound-plan.js'
import type { BoundExpression, Expression } from './expression.js'
import { isOrderable } from './type-rules.js'

/** The order that rows are put in: columns with a direction and a place for nulls, a struct by its fields. */
export function bindSortKeys(
  expressions: readonly Expression[],
  schema: StructType,
  place: 'orderBy' | 'top',
  ansi: boolean,
): readonly SortKey[] {
  const keys = expressions.flatMap((e): readonly SortKey[] => {
    const sorted: Expression & { kind: 'sort' } = e.kind === 'sort' ? e : { kind: 'sort', arg: e, descending: false }
    const value = bindExpression(sorted.arg, schema, { ansi, place })
    if (value.type.kind !== 'struct' && !isOrderable(value.type)) {
      throw new MillraceError(
        'DATATYPE_MISMATCH.INVALID_ORDERING_TYPE',
        `rows cannot be ordered by a ${typeName(value.type)}`,
        { detail: 'expected a type whose values have an order', hint: 'order by another column, or cast it' },
      )
    }
    const order = { descending: sorted.descending, nullsFirst: sorted.nullsFirst ?? !sorted.descending }
    return sortValues(value, schema).map((part) => ({ value: part, ...order }))
  })
  if (keys.length === 0)
    throw new MillraceError('EMPTY_ORDER', `${place}() needs at least one column`, {
      detail: 'found none',
      hint: place === 'top' ? "groupBy('user').top(3, desc('price'))" : "orderBy('price', desc('ts'))",
    })
  return keys
}

/** A struct is ordered as Spark orders it: by its fields, the first one first; a null struct by the rule for nulls. */
function sortValues(value: BoundExpression, schema: StructType): readonly BoundExpression[] {
  if (value.type.kind !== 'struct') return [value]
  if (value.kind !== 'input') throw new Error('assertion failed: a computed struct in orderBy')
  const slots = columnSlots(schema)
  const fields = (slots[value.slot]?.children ?? []).flatMap((child) => {
    const { type } = slots[child] as ColumnSlot
    // Below a struct that can be null its fields can be.
    return sortValues({ kind: 'input', slot: child, type, nullable: true }, schema)
  })
  return fields
}
