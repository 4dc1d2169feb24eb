import { assert } from '../common/assert.js'
import { columnSlots, type StructType, structType, topLevelSlots } from '../types/data-type.js'
import { replaceInputs } from './bound-expression.js'
import type { BoundExpression } from './expression.js'

/** Moving expressions between schemas: to one with fewer fields, and down through a projection. */

/** Top-level field of a slot, and how far behind that field's own slot it lies. */
export function topLevelOf(schema: StructType): (slot: number) => { readonly field: number; readonly offset: number } {
  const slots = columnSlots(schema)
  const tops = topLevelSlots(schema)
  return (slot) => {
    let top = slot
    while ((slots[top]?.parent ?? -1) !== -1) top = slots[top]?.parent ?? -1
    return { field: tops.indexOf(top), offset: slot - top }
  }
}

export function keptFields(schema: StructType, kept: readonly number[]): StructType {
  return structType(
    kept.map((i) => {
      const field = schema.fields[i]
      assert(field !== undefined, `field ${i} of ${schema.fields.length}`)
      return field
    }),
  )
}

/** An expression over `schema`, over the schema that keeps the fields `kept` of it. */
export function afterPruning(schema: StructType, kept: readonly number[]): (e: BoundExpression) => BoundExpression {
  const topOf = topLevelOf(schema)
  const newTops = topLevelSlots(keptFields(schema, kept))
  return (e) =>
    replaceInputs(e, (slot, input) => {
      const { field, offset } = topOf(slot)
      const top = newTops[kept.indexOf(field)]
      assert(top !== undefined && input.kind === 'input', `slot ${slot} was pruned but is used`)
      return { ...input, slot: top + offset }
    })
}

/** An expression over the output of a projection, over its input; what it computes is put in place. */
export function belowProjection(
  schema: StructType,
  columns: readonly BoundExpression[],
): (e: BoundExpression) => BoundExpression {
  const topOf = topLevelOf(schema)
  return (e) =>
    replaceInputs(e, (slot, input) => {
      const { field, offset } = topOf(slot)
      const column = columns[field]
      assert(column !== undefined, `slot ${slot} has no column`)
      if (offset === 0) return column
      // A struct is only ever handed through, so its fields lie behind it in the same order.
      assert(column.kind === 'input' && input.kind === 'input', 'a computed struct')
      return { ...input, slot: column.slot + offset }
    })
}
