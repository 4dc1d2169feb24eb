import { assert } from '../common/assert.js'
import {
  type ColumnSlot,
  columnSlots,
  type DataType,
  type StructType,
  sameType,
  structType,
  typeName,
} from '../types/data-type.js'
import { children } from './bound-expression.js'
import { type BoundPlan, explodedSchema, inputsOf } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { windowExpressions } from './grouping-window.js'
import { joinedSchema } from './join.js'
import { stepName } from './user-code.js'

/** Every slot exists and has the type that its expression says; every schema is that of what makes the rows. */
export function verifyPlan(plan: BoundPlan): void {
  switch (plan.op) {
    case 'scan':
      assert(plan.fields.length === plan.schema.fields.length, 'fields of the scan')
      plan.fields.forEach((field, i) => {
        const of = plan.source.schema.fields[field]
        const here = plan.schema.fields[i]
        assert(
          of !== undefined && here !== undefined && of.name === here.name && sameType(of.type, here.type),
          `field ${i} of the scan`,
        )
      })
      verifyExpressions(
        [...plan.pushedFilters, ...(plan.watermark === undefined ? [] : [plan.watermark.eventTime])],
        plan.schema,
      )
      break
    case 'filter':
      verifyExpressions([plan.condition], plan.input.schema)
      assert(plan.condition.type.kind === 'boolean', 'a filter that is not boolean')
      assert(sameType(plan.schema, plan.input.schema), 'schema of a filter')
      break
    case 'project':
      verifyExpressions(plan.columns, plan.input.schema)
      verifyFields(plan.columns, plan.schema, 0)
      assert(plan.columns.length === plan.schema.fields.length, 'fields of a projection')
      break
    case 'watermark':
      verifyExpressions([plan.eventTime], plan.input.schema)
      break
    case 'userCode':
      if (plan.watermark !== undefined) verifyExpressions([plan.watermark.eventTime], plan.schema)
      if (plan.code.schema !== undefined) break
      assert(sameType(withoutNulls(plan.schema), withoutNulls(plan.input.schema)), `schema of ${stepName(plan.code)}`)
      break
    case 'explode':
      verifyExpressions([plan.array], plan.input.schema)
      assert(sameType(plan.schema, explodedSchema(plan, plan.input.schema)), 'schema of an explode')
      break
    case 'aggregate': {
      const { window } = plan
      const keys = plan.keys.map((k) => k.value)
      verifyExpressions(
        [...keys, ...plan.aggregates.flatMap((a) => (a.arg === undefined ? [] : [a.arg]))],
        plan.input.schema,
      )
      verifyExpressions(windowExpressions(window), plan.input.schema)
      const keyCount = keys.length + (window === undefined ? 0 : 1)
      assert(plan.schema.fields.length === keyCount + plan.aggregates.length, 'fields of an aggregation')
      plan.aggregates.forEach((a, i) => {
        const field = plan.schema.fields[keyCount + i]
        assert(field !== undefined && field.name === a.name && sameType(field.type, a.type), `aggregate ${a.name}`)
      })
      break
    }
    case 'sort':
      verifyExpressions(
        plan.keys.map((k) => k.value),
        plan.input.schema,
      )
      assert(sameType(plan.schema, plan.input.schema), 'schema of a sort')
      break
    case 'transformWithState':
      verifyExpressions(plan.keys, plan.input.schema)
      assert(plan.input.schema.fields.length === plan.columns + plan.keys.length, 'fields of transformWithState')
      break
    case 'deduplicate':
      verifyExpressions(
        [...plan.keys, ...(plan.within === undefined ? [] : [plan.within.eventTime])],
        plan.input.schema,
      )
      assert(sameType(plan.schema, plan.input.schema), 'schema of a deduplication')
      break
    case 'union':
      for (const { schema } of plan.inputs) {
        assert(schema.fields.length === plan.schema.fields.length, 'fields of an input of a union')
        schema.fields.forEach((field, i) => {
          const of = plan.schema.fields[i]
          assert(of !== undefined && sameType(field.type, of.type), `an input's column ${i} is no ${typeOf(of?.type)}`)
          assert(of.nullable || !field.nullable, `column ${of.name} can be null in an input of a union`)
        })
      }
      break
    case 'join': {
      verifyExpressions(plan.leftKeys, plan.left.schema)
      verifyExpressions(plan.rightKeys, plan.right.schema)
      assert(plan.leftKeys.length === plan.rightKeys.length, 'keys of a join')
      plan.leftKeys.forEach((key, i) => {
        const other = plan.rightKeys[i]?.type
        assert(
          other !== undefined && sameType(key.type, other),
          `key ${i} of a join is ${typeOf(key.type)} and ${typeOf(other)}`,
        )
      })
      const both = structType([...plan.left.schema.fields, ...plan.right.schema.fields])
      if (plan.condition !== undefined) verifyExpressions([plan.condition], both)
      const expected = joinedSchema(plan.left.schema, plan.right.schema, plan.how)
      assert(sameType(withoutNulls(plan.schema), withoutNulls(expected)), 'schema of a join')
      break
    }
    case 'limit':
      assert(sameType(plan.schema, plan.input.schema), 'schema of a limit')
      break
  }
  for (const input of inputsOf(plan)) verifyPlan(input)
}

function verifyFields(columns: readonly BoundExpression[], schema: StructType, from: number): void {
  columns.forEach((column, i) => {
    const field = schema.fields[from + i]
    assert(field !== undefined && sameType(column.type, field.type), `column ${i} is no ${typeOf(field?.type)}`)
    assert(field.nullable || !column.nullable, `column ${field.name} can be null and says it cannot`)
  })
}

const withoutNulls = (schema: StructType): StructType =>
  structType(schema.fields.map((field) => ({ ...field, nullable: true })))

const typeOf = (type: DataType | undefined): string => (type === undefined ? 'field' : typeName(type))

function verifyExpressions(expressions: readonly BoundExpression[], schema: StructType): void {
  const slots = columnSlots(schema)
  for (const e of expressions) verifyExpression(e, slots)
}

function verifyExpression(e: BoundExpression, slots: readonly ColumnSlot[]): void {
  if (e.kind === 'input') {
    const slot = slots[e.slot]
    assert(slot !== undefined, `slot ${e.slot} of ${slots.length}`)
    assert(
      sameType(slot.type, e.type),
      `slot ${e.slot} is a ${typeName(slot.type)}, the expression says ${typeName(e.type)}`,
    )
    assert(e.nullable || !slot.nullable, `slot ${e.slot} can be null and the expression says it cannot`)
  }
  for (const child of children(e)) verifyExpression(child, slots)
}
