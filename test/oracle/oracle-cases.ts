import { readFileSync } from 'node:fs'
import { decimalOfText } from '../../src/codegen/decimals.js'
import { formatDate, formatValue, parseDouble, parseTimestamp } from '../../src/codegen/text-values.js'
import type { Value } from '../../src/codegen/value.js'
import { daysFromDate } from '../../src/common/calendar.js'
import { formatDecimal } from '../../src/common/decimal.js'
import { MillraceError } from '../../src/common/errors.js'
import { bindExpression } from '../../src/plan/binder.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import { parseExpression } from '../../src/plan/sql-parser.js'
import { types } from '../../src/plan/type-rules.js'
import { type ColumnSlot, columnSlots, type DataType, type StructType, structType } from '../../src/types/data-type.js'
import { parseTypeOrFields } from '../../src/types/ddl.js'

/** Cases whose answers Spark computed: their SQL to bound expressions, JSON values to ours and back. */

export interface OracleCase {
  readonly id: string
  readonly mode: 'both' | 'legacy' | 'ansi'
  readonly sql: string
  readonly columns: Readonly<Record<string, string>>
  readonly type: string | null
  readonly rows: readonly OracleRow[]
}

export interface OracleRow {
  readonly in: Readonly<Record<string, unknown>>
  readonly out?: unknown
  readonly error?: { readonly class: string | null }
  readonly noRow?: true
}

export class Unsupported extends Error {}

export function readCases<T = OracleCase>(path: string): readonly T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

export function sparkType(name: string): DataType {
  if (name === 'void') return types.void
  if (name.startsWith('interval')) return name.includes('day') ? types.dayTimeInterval : types.yearMonthInterval
  return parseTypeOrFields(name)
}

export function schemaOf(columns: Readonly<Record<string, string>>): StructType {
  return structType(Object.entries(columns).map(([name, type]) => ({ name, type: sparkType(type), nullable: true })))
}

export function slotsOf(columns: Readonly<Record<string, string>>): readonly ColumnSlot[] {
  return columnSlots(schemaOf(columns))
}

export function bindSql(sql: string, schema: StructType, ansi: boolean): BoundExpression {
  try {
    return bindExpression(parseExpression(sql), schema, { ansi, place: 'a case' })
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    if (error.code === 'UNRESOLVED_ROUTINE' || error.code === 'UNSUPPORTED_OPERATION')
      throw new Unsupported(error.message)
    throw error
  }
}

/** A JSON value as ours; undefined where a timestamp has microseconds, which we do not hold. */
export function fromJson(value: unknown, type: DataType): Value | null | undefined {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'bigint':
      return BigInt(String(value))
    case 'float':
    case 'double':
      return typeof value === 'string' ? (parseDouble(value) ?? Number.NaN) : Number(value)
    case 'decimal':
      return decimalOfText(String(value), type.scale)
    case 'date': {
      const [, y, m, d] = /^([+-]?\d+)-(\d+)-(\d+)$/.exec(String(value)) ?? []
      return daysFromDate(Number(y), Number(m), Number(d))
    }
    case 'timestamp': {
      const text = String(value)
      if (/^-?\d+$/.test(text)) return BigInt(text) % 1000n === 0n ? Number(BigInt(text) / 1000n) : undefined
      return /\.\d{3}\d*[1-9]\d*$/.test(text) && !/\.\d{1,3}0*$/.test(text) ? undefined : parseTimestamp(text)
    }
    case 'binary':
      return Uint8Array.from(Buffer.from(String(value), 'hex'))
    case 'array':
      return (value as unknown[]).map((item) => fromJson(item, type.element) ?? null)
    case 'map':
      return (value as [unknown, unknown][]).map(([k, v]) => [
        fromJson(k, type.key) ?? null,
        fromJson(v, type.value) ?? null,
      ])
    case 'struct':
      return type.fields.map((f) => fromJson((value as Record<string, unknown>)[f.name], f.type) ?? null)
    default:
      return value as Value
  }
}

/** Our value as the JSON of the cases. */
export function toJson(value: Value | null, type: DataType): unknown {
  if (value === null) return null
  switch (type.kind) {
    case 'long':
    case 'bigint':
      return String(value)
    case 'float':
    case 'double': {
      const number = value as number
      if (Object.is(number, -0)) return '-0.0'
      return Number.isFinite(number) ? number : String(number)
    }
    case 'decimal':
      return formatDecimal(value as bigint, type.scale)
    case 'date':
      return formatDate(value as number)
    case 'timestamp':
      return String(BigInt(value as number) * 1000n)
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex')
    case 'yearMonthInterval':
    case 'dayTimeInterval':
      return formatValue(type)(value as never)
    case 'array':
      return (value as (Value | null)[]).map((item) => toJson(item, type.element))
    case 'map':
      return (value as [Value, Value | null][])
        .map(([k, v]) => [toJson(k, type.key), toJson(v, type.value)])
        .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    case 'struct':
      return Object.fromEntries(
        type.fields.map((f, i) => [f.name, toJson((value as (Value | null)[])[i] ?? null, f.type)]),
      )
    default:
      return value
  }
}
