import { type DataType, type StructType, typeName } from '../types/data-type.js'

/** Spark's `printSchema()`: a tree of names and types. */
export function schemaTree(schema: StructType): string {
  return `root\n${branch(schema, ' ')}`
}

function branch(schema: StructType, indent: string): string {
  return schema.fields
    .map(({ name, type, nullable }) => {
      const line = `${indent}|-- ${name}: ${shortName(type)} (nullable = ${nullable})\n`
      return type.kind === 'struct' ? line + branch(type, `${indent}|    `) : line
    })
    .join('')
}

const shortName = (type: DataType): string => (type.kind === 'struct' ? 'struct' : typeName(type))
