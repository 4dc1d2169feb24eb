import { loadCommonJs } from '../common/commonjs.js'
import { KEY_SLOT, TIMESTAMP_SLOT, topicRecordSchema, VALUE_SLOT } from '../record/topic-record.js'
import type { BufferViews } from '../types/block.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { compileRowReader, type Row, type RowReader } from '../types/row-reader.js'

/**
 * Records of a typed topic where bytes are asked for, which it has none of: the value is the canonical JSON of its columns.
 */
export class TypedRecords {
  readonly key: ValueReader
  readonly timestamp: ValueReader
  readonly #row: RowReader
  readonly #names: readonly string[]

  constructor(valueSchema: StructType) {
    const schema = topicRecordSchema(valueSchema)
    const slots = columnSlots(schema)
    this.key = valueReader(slots, KEY_SLOT)
    this.timestamp = valueReader(slots, TIMESTAMP_SLOT)
    this.#row = compileRowReader(schema)
    this.#names = schema.fields.slice(VALUE_SLOT).map((field) => field.name)
  }

  /** Keys sorted at every level, so that equal records are equal bytes. */
  json(views: BufferViews, position: number, row: number): Uint8Array {
    const record = this.#row(views, position, row)
    const value: Row = {}
    for (const name of this.#names) value[name] = record[name]
    return canonicalJson(value)
  }
}

/** Of a row. */
export function canonicalJson(row: Row): Uint8Array {
  stringify ??= loadCommonJs('fast-json-stable-stringify') as typeof import('fast-json-stable-stringify')
  return Buffer.from(stringify(jsonValue(row)))
}

let stringify: typeof import('fast-json-stable-stringify') | undefined

/** JSON has neither bigint nor bytes: a bigint is written as its digits, bytes as base64. */
function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (Array.isArray(value)) return value.map(jsonValue)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Map) return jsonValue(Object.fromEntries(value))
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, jsonValue(inner)]))
  }
  return value
}
