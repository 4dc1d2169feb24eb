import { MillraceError } from '../common/errors.js'
import { type Field, structType } from '../types/data-type.js'
import type { BoundPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'

export interface NamedExpression {
  readonly name: string
  readonly value: BoundExpression
  /** Of a column that is handed on: see Field. */
  readonly qualifier?: string
}

/** A projection; two columns of one name would hide one another in a row. */
export function project(input: BoundPlan, columns: readonly NamedExpression[]): BoundPlan {
  const fields: Field[] = []
  const names = new Set<string>()
  for (const { name, value, qualifier } of columns) {
    const ofTable = `${qualifier ?? ''}.${name}`
    // Columns of one name from two DataFrames may stand side by side until the result is asked for.
    if (names.has(ofTable) || (qualifier === undefined && columns.filter((c) => c.name === name).length > 1)) {
      throw new MillraceError('COLUMN_ALREADY_EXISTS', `two columns are named ${name}`, {
        detail: `columns: ${columns.map((c) => c.name).join(', ')}`,
        hint: "name one of them: .as('other')",
      })
    }
    if (value.type.kind === 'void') {
      throw new MillraceError('DATATYPE_MISMATCH.VOID_COLUMN', `column ${name} is null and has no type`, {
        detail: 'expected a column with a type',
        hint: "give it one: lit(null).cast('string')",
      })
    }
    names.add(ofTable)
    fields.push({
      name,
      type: value.type,
      nullable: value.nullable,
      ...(qualifier === undefined ? {} : { qualifier }),
    })
  }
  return { op: 'project', input, columns: columns.map((c) => c.value), schema: structType(fields) }
}
