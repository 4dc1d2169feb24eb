import { MillraceError } from '../common/errors.js'
import { type DataType, typeName } from './data-type.js'

/** What is said of a value that does not fit its field: where, what was found, what was expected. */
export function invalidValue(path: string, found: unknown, expected: string, missingHint?: string): MillraceError {
  const missing = found === undefined || found === null
  return new MillraceError('RECORD_INVALID', missing ? `${path} is missing` : `${path} has a value that does not fit`, {
    detail: `found ${describe(found)}, expected ${expected}`,
    hint: missing
      ? (missingHint ?? 'give it a value, or make the field nullable in the schema')
      : 'nothing of this call was written; mend the record and send it again',
  })
}

/** Type and a short preview; never more of a user's data than is needed to recognise it. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing'
    case 'string':
      return `string ${JSON.stringify(value.length > 32 ? `${value.slice(0, 31)}…` : value)}`
    case 'bigint': {
      const text = value.toString()
      return `bigint ${text.length > 40 ? `${text.slice(0, 39)}…` : text}`
    }
    case 'number':
      return `number ${Object.is(value, -0) ? '-0' : value}`
    case 'boolean':
      return `boolean ${value}`
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `array of ${value.length}`
      if (value instanceof Date)
        return Number.isNaN(value.getTime()) ? 'an invalid Date' : `Date ${value.toISOString()}`
      if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`
      const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name
      return typeof name === 'string' && name !== 'Object' && name !== '' ? `object ${name}` : 'object'
    }
    default:
      return typeof value
  }
}

/** `long: a safe integer`. */
export function expectation(type: DataType, nullable: boolean): string {
  return `${typeName(type.kind === 'struct' ? { kind: 'void' } : type).replace('void', 'struct')}: ${words(type)}${nullable ? ', or null' : ''}`
}

function words(type: DataType): string {
  switch (type.kind) {
    case 'string':
      return 'a string'
    case 'binary':
      return 'a Uint8Array'
    case 'boolean':
      return 'true or false'
    case 'byte':
      return 'an integer from -128 to 127'
    case 'short':
      return 'an integer from -32768 to 32767'
    case 'int':
      return 'an integer from -2147483648 to 2147483647'
    case 'yearMonthInterval':
      return 'a number of months'
    case 'dayTimeInterval':
      return 'a number of milliseconds'
    case 'long':
      return 'a safe integer'
    case 'bigint':
      return 'a bigint of 64 bits, or a safe integer'
    case 'float':
    case 'double':
      return 'a number'
    case 'date':
      return "an ISO day that exists, like '2026-02-28'"
    case 'timestamp':
      return 'epoch milliseconds as an integer, or a valid Date'
    case 'decimal':
      return `a string or number with at most ${type.precision - type.scale} digits before and ${type.scale} after the point`
    case 'struct':
      return `an object with ${type.fields.map((f) => f.name).join(', ')}`
    case 'array':
      return 'an array of such values'
    case 'map':
      return type.key.kind === 'string' ? 'a Map, or an object whose names are the keys' : 'a Map'
    case 'void':
      return 'nothing but null'
  }
}
