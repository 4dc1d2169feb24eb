import { type DataType, type StructType, typeName } from '../types/data-type.js'

/** Spark's `printSchema()`: a tree of names and types. */
export function schemaTree(schema: StructType): string {
  return `root\n${branch(schema, ' ')}`
}

function branch(schema: StructType, indent: string): string {
  return schema.fields
    .map(({ name, type, nullable }) => {
      const line = `${indent}|-- ${name}: ${shortName(type)} (nullable = ${nullable})\n`
      return line + partsOf(type, `${indent}|    `)
    })
    .join('')
}

function partsOf(type: DataType, indent: string): string {
  if (type.kind === 'struct') return branch(type, indent)
  const part = (name: string, inner: DataType, note: string): string =>
    `${indent}|-- ${name}: ${shortName(inner)}${note}\n${partsOf(inner, `${indent}|    `)}`
  if (type.kind === 'array') return part('element', type.element, ` (containsNull = ${type.containsNull})`)
  if (type.kind !== 'map') return ''
  return part('key', type.key, '') + part('value', type.value, ` (valueContainsNull = ${type.valueContainsNull})`)
}

const shortName = (type: DataType): string =>
  type.kind === 'struct' || type.kind === 'array' || type.kind === 'map' ? type.kind : typeName(type)
