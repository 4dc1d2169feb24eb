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
      return partOf(column, offset, input)
    })
}

/** Of a struct's value what lies `offset` slots behind the struct itself; it has the type that `part` says. */
function partOf(column: BoundExpression, offset: number, part: BoundExpression): BoundExpression {
  if (offset === 0) return column
  // One that is handed through has its fields behind it in the same order.
  if (column.kind === 'input') return { ...part, kind: 'input', slot: column.slot + offset }
  const { type, nullable } = column
  assert(type.kind === 'struct', 'a part of what has no parts')
  const children = columnSlots(structType([{ name: '', type, nullable }]))[0]?.children ?? []
  const index = children.findLastIndex((child) => child <= offset)
  const field = type.fields[index]
  const start = children[index]
  assert(field !== undefined && start !== undefined, `slot ${offset} of a struct of ${children.length} fields`)
  if (column.kind === 'case' && column.branches.length === 1 && column.otherwise === undefined) {
    // A struct that may be missing: its part is then.
    const [{ when, then }] = column.branches as [(typeof column.branches)[0]]
    return { ...column, branches: [{ when, then: partOf(then, offset, part) }], type: part.type, nullable: true }
  }
  const own = column.kind === 'call' && column.fn === 'makeStruct' ? column.args[index] : undefined
  const value: BoundExpression = own ?? {
    kind: 'field',
    arg: column,
    index,
    type: field.type,
    nullable: nullable || field.nullable,
  }
  return partOf(value, offset - start, part)
}
