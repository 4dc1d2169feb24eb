import { MillraceError } from '../common/errors.js'
import { type StructType, typeName } from '../types/data-type.js'
import { describe } from '../types/invalid-value.js'
import { SchemaType } from '../types/schema.js'

/** The struct of a schema, or of another DataFrame's `schema`; JavaScript lets anything through. */
export function structOf(schema: unknown): StructType {
  if (isStructType(schema)) return schema
  if (schema instanceof SchemaType && schema.type.kind === 'struct') return schema.type
  throw new MillraceError('SCHEMA_EXPECTED', 'a schema is expected', {
    detail: `found ${schema instanceof SchemaType ? typeName(schema.type) : describe(schema)}, expected a struct`,
    hint: "t.struct({ page: t.string }) or t.ddl('page string')",
  })
}

function isStructType(schema: unknown): schema is StructType {
  return typeof schema === 'object' && schema !== null && 'kind' in schema && schema.kind === 'struct'
}
