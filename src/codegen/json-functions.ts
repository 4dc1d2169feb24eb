import { formatDecimal } from '../common/decimal.js'
import { MillraceError } from '../common/errors.js'
import { type DataType, type StructType, typeName } from '../types/data-type.js'
import { csvKernels } from './csv-functions.js'
import { decimalOfText, fits } from './decimals.js'
import { getJsonObject, jsonArrayLength, jsonObjectKeys } from './json-path.js'
import { isWhole, type JsonValue, jsonString, jsonText, parseJson } from './json-text.js'
import { type KernelTable, plain } from './kernel.js'
import {
  decimalText,
  formatDate,
  formatDouble,
  formatFloat,
  formatValue,
  parseDate,
  parseTimestamp,
} from './text-values.js'
import { dateFormat } from './times.js'
import type { StructValue, Value } from './value.js'

/** Between JSON text and values of a type. */

type Item = Value | null
export type Options = ReadonlyMap<string, string>

/** Options are a map of texts, as in Spark; names without regard to case. */
export function optionsOf(value: Item | undefined): Options {
  const entries = (value ?? []) as readonly (readonly [string, string])[]
  return new Map(entries.map(([name, text]) => [name.toLowerCase(), text]))
}

/** A value that is not of its type: null in a struct's field, or, in mode FAILFAST, an error. */
export class Unfit extends Error {}

export function fromJson(type: DataType): (text: string, _type: Item, options?: Item) => Item {
  const readers = rootReader(type)
  return (text, _type, given) => {
    const options = optionsOf(given)
    const strict = options.get('mode')?.toUpperCase() === 'FAILFAST'
    if (text.trim() === '') return null
    const value = parseJson(text, options.get('allownonnumericnumbers') !== 'false')
    if (type.kind === 'struct' && value?.kind === 'array' && strict) {
      throw new MillraceError(
        'MALFORMED_RECORD_IN_PARSING.CANNOT_PARSE_JSON_ARRAYS_AS_STRUCTS',
        'a JSON array was found where an object was expected',
        {
          detail: preview(text),
          hint: "read it with a schema of array<struct<…>>, or with mode 'PERMISSIVE', which gives null",
        },
      )
    }
    try {
      if (value === undefined) throw new Unfit('it is no JSON')
      return readers(value, strict)
    } catch (error) {
      if (!(error instanceof Unfit)) throw error
      if (strict) throw malformed(text, type, error.message)
      return type.kind === 'struct' ? type.fields.map(() => null) : null
    }
  }
}

export const preview = (text: string): string =>
  `found ${JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text)}`

export function malformed(text: string, type: DataType, why: string): MillraceError {
  return new MillraceError('MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION', `a text is no ${typeName(type)}: ${why}`, {
    detail: preview(text),
    hint: "with { mode: 'PERMISSIVE' } what does not fit is null",
  })
}

type Read = (value: JsonValue, strict: boolean) => Item

/** Values of the type out of JSON; what does not fit throws {@link Unfit}, a field of a struct only where it is strict. */
export const jsonReader = (type: DataType): Read => reader(type)

function rootReader(type: DataType): Read {
  const read = reader(type)
  if (type.kind === 'array' && type.element.kind === 'struct') {
    const element = reader(type.element)
    // One object is an array of one.
    return (value, strict) => (value.kind === 'object' ? [element(value, strict)] : present(read, value, strict))
  }
  return (value, strict) => present(read, value, strict)
}

function present(read: Read, value: JsonValue, strict: boolean): Item {
  if (value.kind === 'null') throw new Unfit('it is null')
  return read(value, strict)
}

const unfit = (value: JsonValue, type: DataType): never => {
  throw new Unfit(`${jsonText(value).slice(0, 60)} is no ${typeName(type)}`)
}

/** Spark keeps microseconds in 64 bits. */
const TIMESTAMP_SECONDS_MAX = 9_223_372_036_854

const integerLimits: Partial<Record<DataType['kind'], bigint>> = {
  byte: 128n,
  short: 32768n,
  int: 2n ** 31n,
  long: 2n ** 53n,
  bigint: 2n ** 63n,
}

/** Null is null for every type; what does not fit throws. */
function reader(type: DataType): Read {
  const read = presentReader(type)
  return (value, strict) => (value.kind === 'null' ? null : read(value, strict))
}

function presentReader(type: DataType): Read {
  switch (type.kind) {
    case 'string':
      return (value) => (value.kind === 'text' ? value.text : jsonText(value))
    case 'boolean':
      return (value) => (value.kind === 'true' || value.kind === 'false' ? value.kind === 'true' : unfit(value, type))
    case 'byte':
    case 'short':
    case 'int':
    case 'long':
    case 'bigint': {
      const limit = integerLimits[type.kind] as bigint
      return (value) => {
        if (value.kind !== 'number' || !isWhole(value.text)) return unfit(value, type)
        const number = BigInt(value.text)
        if (number >= limit || number < (type.kind === 'long' ? 1n - limit : -limit)) return unfit(value, type)
        return type.kind === 'bigint' ? number : Number(number)
      }
    }
    case 'float':
    case 'double':
      return (value) => {
        const special =
          value.kind === 'text'
            ? /^(?:NaN|[+-]?INF|[+-]?Infinity)$/.exec(value.text)?.[0]?.replace(/INF$/, 'Infinity')
            : undefined
        if (value.kind !== 'number' && special === undefined) return unfit(value, type)
        const number = Number(special ?? (value as { text: string }).text)
        return type.kind === 'float' ? Math.fround(number) : number
      }
    case 'decimal':
      return (value) => {
        const text =
          value.kind === 'number' || value.kind === 'text' ? decimalText(value.text.replaceAll(',', '')) : undefined
        if (text === undefined) return unfit(value, type)
        const unscaled = decimalOfText(text, type.scale)
        return fits(unscaled, type.precision) ? unscaled : null
      }
    case 'date':
      return (value) => (value.kind === 'text' ? (parseDate(value.text) ?? unfit(value, type)) : unfit(value, type))
    case 'timestamp':
      return (value) => {
        if (value.kind === 'number' && isWhole(value.text)) {
          const seconds = Number(value.text)
          return Math.abs(seconds) <= TIMESTAMP_SECONDS_MAX ? seconds * 1000 : unfit(value, type)
        }
        return value.kind === 'text' ? (parseTimestamp(value.text) ?? unfit(value, type)) : unfit(value, type)
      }
    case 'binary':
      return (value) =>
        value.kind === 'text' ? Uint8Array.from(Buffer.from(value.text, 'base64')) : unfit(value, type)
    case 'array': {
      const element = reader(type.element)
      return (value, strict) =>
        value.kind === 'array' ? value.items.map((item) => element(item, strict)) : unfit(value, type)
    }
    case 'map': {
      const item = reader(type.value)
      return (value, strict) => {
        if (value.kind !== 'object' || type.key.kind !== 'string') return unfit(value, type)
        const entries = new Map(value.fields.map(([name, v]) => [name, item(v, strict)]))
        return [...entries]
      }
    }
    case 'struct':
      return structReader(type)
    default:
      return (value) => unfit(value, type)
  }
}

/** Of a name that is there twice the last one counts; what does not fit is null, by itself. */
function structReader(type: StructType): Read {
  const fields = type.fields.map((f) => reader(f.type))
  const places = new Map(type.fields.map((f, i) => [f.name, i]))
  return (value, strict) => {
    if (value.kind !== 'object') return unfit(value, type)
    const result = new Array<Item>(fields.length).fill(null)
    for (const [name, field] of value.fields) {
      const place = places.get(name)
      if (place === undefined) continue
      try {
        result[place] = (fields[place] as Read)(field, strict)
      } catch (error) {
        if (strict || !(error instanceof Unfit)) throw error
        result[place] = null
      }
    }
    return result
  }
}

type Write = (value: Value) => string

/** Fields that are null are left out, unless `ignoreNullFields` is false; a map's values stay. */
export function toJson(type: DataType): (value: Value, options?: Item) => string {
  const [without, withNulls] = [writer(type, true), writer(type, false)]
  return (value, given) => {
    const options = optionsOf(given)
    return (options.get('ignorenullfields') === 'false' ? withNulls : without)(value)
  }
}

/** Values of a type as JSON. */
export const jsonWriter = (type: DataType, ignoreNullFields: boolean): Write => writer(type, ignoreNullFields)

function writer(type: DataType, omitNulls: boolean): Write {
  switch (type.kind) {
    case 'string':
      return (value) => jsonString(value as string)
    case 'binary':
      return (value) => jsonString(Buffer.from(value as Uint8Array).toString('base64'))
    case 'float':
    case 'double': {
      const format = type.kind === 'double' ? formatDouble : formatFloat
      return (value) => (Number.isFinite(value) ? format(value as number) : `"${format(value as number)}"`)
    }
    case 'decimal':
      return (value) => formatDecimal(value as bigint, type.scale)
    case 'date':
      return (value) => `"${formatDate(value as number)}"`
    case 'timestamp':
      return (value) => `"${dateFormat(value as number, "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")}"`
    case 'struct': {
      const fields = type.fields.map((f) => [jsonString(f.name), writer(f.type, omitNulls)] as const)
      return (value) => {
        const parts = fields.flatMap(([name, write], i) => {
          const item = (value as StructValue)[i] ?? null
          if (item !== null) return [`${name}:${write(item)}`]
          return omitNulls ? [] : [`${name}:null`]
        })
        return `{${parts.join(',')}}`
      }
    }
    case 'array': {
      const write = writer(type.element, omitNulls)
      return (value) => `[${(value as StructValue).map((item) => (item === null ? 'null' : write(item))).join(',')}]`
    }
    case 'map': {
      const key = formatValue(type.key) as (value: Value) => string
      const write = writer(type.value, omitNulls)
      return (value) =>
        `{${(value as readonly [Value, Item][]).map(([k, v]) => `${jsonString(key(k))}:${v === null ? 'null' : write(v)}`).join(',')}}`
    }
    case 'yearMonthInterval':
    case 'dayTimeInterval': {
      const format = formatValue(type) as (value: Value) => string
      return (value) => jsonString(format(value))
    }
    default:
      return (value) => String(value)
  }
}

/** The DDL of a type that the text would be read as. */
function schemaOfJson(text: string): string {
  const value = parseJson(text, true)
  if (value === undefined) throw malformed(text, { kind: 'string' }, 'it is no JSON')
  return inferred(value)
}

function inferred(value: JsonValue): string {
  switch (value.kind) {
    case 'object': {
      const fields = new Map(value.fields.map(([name, v]) => [name, inferred(v)]))
      const sorted = [...fields].sort(([a], [b]) => (a < b ? -1 : 1))
      const named = (name: string): string =>
        /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``
      return `STRUCT<${sorted.map(([name, type]) => `${named(name)}: ${type}`).join(', ')}>`
    }
    case 'array': {
      const types = [...new Set(value.items.filter((item) => item.kind !== 'null').map(inferred))]
      if (types.length === 0) return 'ARRAY<STRING>'
      if (types.length === 1) return `ARRAY<${types[0]}>`
      return types.every((type) => type === 'BIGINT' || type === 'DOUBLE') ? 'ARRAY<DOUBLE>' : 'ARRAY<STRING>'
    }
    case 'number':
      if (!isWhole(value.text)) return 'DOUBLE'
      if (BigInt.asIntN(64, BigInt(value.text)) === BigInt(value.text)) return 'BIGINT'
      return `DECIMAL(${value.text.replace('-', '').length},0)`
    case 'true':
    case 'false':
      return 'BOOLEAN'
    default:
      return 'STRING'
  }
}

export const jsonKernels: KernelTable = {
  ...csvKernels,
  getJsonObject: plain(getJsonObject),
  jsonArrayLength: plain(jsonArrayLength),
  jsonObjectKeys: plain(jsonObjectKeys),
  schemaOfJson: plain(schemaOfJson),
  fromJson: (_first, call) => {
    const read = fromJson(call.type)
    return (text: string | null, type: Item, options?: Item) => (text === null ? null : read(text, type, options))
  },
  toJson: (first) => toJson(first),
}
