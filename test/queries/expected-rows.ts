import type { StructType } from '../../src/types/data-type.js'
import { parseCell, type QueryCase, type Row } from './case-file.js'

/** The rows that a case expects, each cell read by the type that its column turned out to have. */
export function expectedRows(query: QueryCase, schema: StructType): Row[] {
  const cells = query.expect?.rows ?? []
  return cells.map((line) =>
    Object.fromEntries(schema.fields.map((field, i) => [field.name, parseCell(line[i] ?? 'null', field.type)])),
  )
}
