import { MillraceError } from '../common/errors.js'
import { type DataType, type Field, type StructType, structType, topLevelSlots, typeName } from '../types/data-type.js'
import type { BoundPlan } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { project } from './projection.js'
import { castTo, commonType, types } from './type-rules.js'

export interface UnionOptions {
  readonly byName: boolean
  readonly allowMissingColumns: boolean
  readonly ansi: boolean
}

/**
 * The rows of all inputs under the names of the first, as Spark's `union` (by place) and `unionByName`. A column gets the type
 * that holds the values of all; each input is projected to that.
 */
export function bindUnion(inputs: readonly BoundPlan[], options: UnionOptions): BoundPlan {
  const [first, ...others] = inputs
  if (first === undefined) throw new Error('assertion failed: a union of nothing')
  const names = options.byName ? unionNames(inputs, options) : first.schema.fields.map((field) => field.name)
  if (!options.byName) for (const other of others) checkCount(first.schema, other.schema)
  // Of each input the place of each of the union's columns; undefined where it lacks it.
  const places = inputs.map(({ schema }) =>
    options.byName ? names.map((name) => indexOf(schema, name)) : schema.fields.map((_, i): number | undefined => i),
  )
  const fields = names.map((name, column): Field => {
    const found = inputs.map(({ schema }, i) => fieldAt(schema, places[i]?.[column]))
    return {
      name,
      type: found
        .map((field): DataType => field?.type ?? types.void)
        .reduce((type, other) => widened(name, type, other, options.ansi)),
      nullable: found.some((field) => field === undefined || field.nullable),
    }
  })
  const schema = structType(fields)
  return {
    op: 'union',
    inputs: inputs.map((input, i) => projected(input, places[i] ?? [], fields, options.ansi)),
    schema,
  }
}

function projected(
  input: BoundPlan,
  places: readonly (number | undefined)[],
  fields: readonly Field[],
  ansi: boolean,
): BoundPlan {
  const slots = topLevelSlots(input.schema)
  return project(
    input,
    fields.map(({ name, type }, column) => {
      const place = places[column]
      const field = fieldAt(input.schema, place)
      const value: BoundExpression =
        field === undefined || place === undefined
          ? { kind: 'literal', value: null, type, nullable: true }
          : castTo(
              { kind: 'input', slot: slots[place] as number, type: field.type, nullable: field.nullable },
              type,
              ansi,
            )
      return { name, value }
    }),
  )
}

function unionNames(inputs: readonly BoundPlan[], { allowMissingColumns }: UnionOptions): readonly string[] {
  const names: string[] = []
  for (const { schema } of inputs) for (const { name } of schema.fields) if (!names.includes(name)) names.push(name)
  if (allowMissingColumns) return names
  for (const { schema } of inputs) {
    const missing = names.filter((name) => indexOf(schema, name) === undefined)
    if (missing.length === 0) continue
    throw new MillraceError('UNRESOLVED_COLUMN', `unionByName: a side has no column ${missing.join(', ')}`, {
      detail: `columns of that side: ${schema.fields.map((field) => field.name).join(', ')}`,
      hint: 'select() the same columns on both sides, or unionByName(other, { allowMissingColumns: true }) for nulls',
    })
  }
  return names
}

function checkCount(left: StructType, right: StructType): void {
  if (left.fields.length === right.fields.length) return
  const list = (schema: StructType): string => schema.fields.map((field) => field.name).join(', ')
  throw new MillraceError('NUM_COLUMNS_MISMATCH', `union of ${left.fields.length} and ${right.fields.length} columns`, {
    detail: `found ${list(left)} and ${list(right)}`,
    hint: 'columns go together by their place: select() as many on both sides, or use unionByName()',
  })
}

function widened(name: string, a: DataType, b: DataType, ansi: boolean): DataType {
  const type = commonType(a, b, ansi)
  if (type !== undefined) return type
  throw new MillraceError('INCOMPATIBLE_COLUMN_TYPE', `column ${name} of a union has no type in common`, {
    detail: `found ${typeName(a)} and ${typeName(b)}`,
    hint: `cast one of them: withColumn('${name}', col('${name}').cast('${typeName(a)}'))`,
  })
}

const indexOf = (schema: StructType, name: string): number | undefined => {
  const i = schema.fields.findIndex((field) => field.name === name)
  return i === -1 ? undefined : i
}

const fieldAt = (schema: StructType, i: number | undefined): Field | undefined =>
  i === undefined ? undefined : schema.fields[i]
