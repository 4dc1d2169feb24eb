import { MillraceError } from '../common/errors.js'
import type { StructType } from '../types/data-type.js'

/** A row is an object: two columns of one name would be one. */
export function checkResultNames(schema: StructType): void {
  const names = schema.fields.map((field) => field.name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice === undefined) return
  const all = schema.fields.map(({ name, qualifier }) => (qualifier === undefined ? name : `${qualifier}.${name}`))
  throw new MillraceError('COLUMN_ALREADY_EXISTS', `two columns of the result are named ${twice}`, {
    detail: `columns: ${all.join(', ')}`,
    hint: `select what you need under names of its own: select('l.${twice}', col('r.${twice}').as('other'))`,
  })
}
