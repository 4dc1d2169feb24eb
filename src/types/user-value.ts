import { isDate, isMap, isUint8Array } from 'node:util/types'
import { parseIsoDate } from '../common/calendar.js'
import { parseDecimal } from '../common/decimal.js'
import type { ColumnBuffer } from './column-buffer.js'
import type { ArrayType, DataType, Field, MapType, StructType } from './data-type.js'
import { expectation, invalidValue } from './invalid-value.js'

/**
 * What a user hands in, value by value. The rules of each type stand here once as slow, plain code; the
 * generated writers of column-builder.ts have the quick cases inline and call in here for the rest.
 */

/** The value in the representation of evaluation (plan/expression.ts), or undefined where it does not fit. Not for null and for what has parts. */
export function scalarFromUser(type: Exclude<DataType, StructType | ArrayType | MapType>, value: unknown): unknown {
  switch (type.kind) {
    case 'string':
      return typeof value === 'string' ? value : undefined
    case 'binary':
      return isUint8Array(value) ? value : undefined
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'byte':
      return integer(value, -128, 127)
    case 'short':
      return integer(value, -32768, 32767)
    case 'int':
    case 'yearMonthInterval':
      return integer(value, -2147483648, 2147483647)
    case 'long':
    case 'dayTimeInterval':
      return Number.isSafeInteger(value) ? value : undefined
    case 'bigint':
      if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : undefined
      return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : undefined
    case 'float':
    case 'double':
      return typeof value === 'number' ? value : undefined
    case 'timestamp': {
      const ms = timestampOf(value)
      return Number.isNaN(ms) ? undefined : ms
    }
    case 'date': {
      const days = dateOf(value)
      return Number.isNaN(days) ? undefined : days
    }
    case 'decimal':
      return decimalOf(value, type.precision, type.scale)
    case 'void':
      return undefined
  }
}

/** A field's value (or the value of a whole record) as evaluation has it; throws RECORD_INVALID with the path. */
export function fieldFromUser(field: Field, value: unknown, path: string): unknown {
  if (value === null || value === undefined) {
    if (field.nullable) return null
    throw invalidValue(path, value, expectation(field.type, false))
  }
  if (field.type.kind === 'array') return arrayFromUser(field, field.type, value, path)
  if (field.type.kind === 'map') return mapFromUser(field, field.type, value, path)
  if (field.type.kind !== 'struct') {
    const result = scalarFromUser(field.type, value)
    if (result === undefined) throw invalidValue(path, value, expectation(field.type, field.nullable))
    return result
  }
  if (!isFieldsObject(value)) throw invalidValue(path, value, expectation(field.type, field.nullable))
  return field.type.fields.map((f) => fieldFromUser(f, property(value, f.name), `${path}.${f.name}`))
}

function arrayFromUser(field: Field, type: ArrayType, value: unknown, path: string): unknown {
  if (!Array.isArray(value)) throw invalidValue(path, value, expectation(type, field.nullable))
  const element = { name: '', type: type.element, nullable: type.containsNull }
  return value.map((item, i) => fieldFromUser(element, item, `${path}[${i}]`))
}

/** A Map, or an object whose names are the keys, which must then be strings. */
function mapFromUser(field: Field, type: MapType, value: unknown, path: string): unknown {
  const isObject = type.key.kind === 'string' && isFieldsObject(value) && !isMap(value)
  if (!isMap(value) && !isObject) throw invalidValue(path, value, expectation(type, field.nullable))
  const pairs = isMap(value) ? [...value] : Object.entries(value as object)
  const key = { name: '', type: type.key, nullable: false }
  const item = { name: '', type: type.value, nullable: type.valueContainsNull }
  return pairs.map(([k, v]) => [fieldFromUser(key, k, `${path} key`), fieldFromUser(item, v, `${path}[${String(k)}]`)])
}

export function isFieldsObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field may be called `toString`; what every object inherits does not count as its value. */
export function property(object: object, name: string): unknown {
  const value = (object as Record<string, unknown>)[name]
  return value !== undefined && value === (Object.prototype as unknown as Record<string, unknown>)[name]
    ? undefined
    : value
}

function integer(value: unknown, min: number, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined
}

/** Epoch milliseconds of a safe integer or a valid Date; NaN for the rest. */
export function timestampOf(value: unknown): number {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : Number.NaN
  return isDate(value) ? value.getTime() : Number.NaN
}

/** Days since 1970 of an ISO day; NaN for the rest. */
export function dateOf(value: unknown): number {
  return typeof value === 'string' ? parseIsoDate(value) : Number.NaN
}

export function decimalOf(value: unknown, precision: number, scale: number): bigint | undefined {
  return typeof value === 'string' || typeof value === 'number' ? parseDecimal(value, precision, scale) : undefined
}

/** Writes a decimal into an i128 column; false where the value does not fit. */
export function writeDecimal(
  column: ColumnBuffer,
  row: number,
  value: unknown,
  precision: number,
  scale: number,
): boolean {
  const unscaled = decimalOf(value, precision, scale)
  if (unscaled === undefined) return false
  const big = column.big as BigInt64Array
  big[2 * row] = BigInt.asIntN(64, unscaled)
  big[2 * row + 1] = unscaled >> 64n
  return true
}

export { isUint8Array as isBytes }
