import { daysFromDate, daysInMonth, formatIsoDate } from '../common/calendar.js'
import { formatDecimal } from '../common/decimal.js'
import type { DataType } from '../types/data-type.js'
import { DAY_MS, daysOf } from './times.js'
import type { StructValue, Value } from './value.js'

/**
 * Values as text and text as values, in Spark's notation (Java's for doubles). Parsing gives undefined for
 * a text that is no such value; whether that is null or an error is the cast's affair.
 */

/** Java's notation of a double, `1.0E20`, from JavaScript's shortest digits. */
export function formatDouble(value: number): string {
  return formatFloating(value, value === 0 ? '0e0' : shortestDouble(value))
}

export function formatFloat(value: number): string {
  return formatFloating(value, shortestFloat(value))
}

/** Java asks for two digits where one would do; that shows in the subnormals alone: 4.9E-324. */
function shortestDouble(value: number): string {
  const text = value.toExponential()
  return text.includes('.') ? text : value.toExponential(1)
}

function shortestFloat(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toExponential(digits)
    if (Math.fround(Number(text)) === value) return text
  }
  return value.toExponential(9)
}

function formatFloating(value: number, shortest: string): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  if (value === 0) return `${sign}0.0`
  const [mantissa = '', power = '0'] = shortest.replace('-', '\u0000').split('e')
  const digits = mantissa.replace(/[.\u0000-]/g, '').replace(/0+$/, '') || '0'
  const exponent = Number(power.replace('\u0000', '-'))
  const size = Math.abs(value)
  if (size >= 1e-3 && size < 1e7) {
    if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
    const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
    return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`
  }
  return `${sign}${digits[0]}.${digits.slice(1) || '0'}E${exponent}`
}

export function formatTimestamp(ms: number): string {
  const days = daysOf(ms)
  const rest = ms - days * DAY_MS
  const two = (n: number): string => String(n).padStart(2, '0')
  const time = `${two(Math.floor(rest / 3_600_000))}:${two(Math.floor(rest / 60_000) % 60)}:${two(Math.floor(rest / 1000) % 60)}`
  const fraction = rest % 1000
  return `${formatDate(days)} ${time}${fraction === 0 ? '' : `.${String(fraction).padStart(3, '0').replace(/0+$/, '')}`}`
}

/** Spark writes years beyond four digits as they are, with a sign. */
export function formatDate(days: number): string {
  return formatIsoDate(days).replace(/^([+-])0*(\d{4,})-/, '$1$2-')
}

function intervalYears(months: number): string {
  const size = Math.abs(months)
  return `${months < 0 ? '-' : ''}${Math.trunc(size / 12)}-${size % 12}`
}

function intervalDays(ms: number): string {
  const size = Math.abs(ms)
  const time = formatTimestamp(size % DAY_MS).slice('1970-01-01 '.length)
  return `${ms < 0 ? '-' : ''}${Math.trunc(size / DAY_MS)} ${time}`
}

export function formatValue(type: DataType): (value: never) => string {
  switch (type.kind) {
    case 'double':
      return formatDouble
    case 'float':
      return formatFloat
    case 'date':
      return formatDate
    case 'timestamp':
      return formatTimestamp
    case 'binary':
      return (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')
    case 'decimal':
      return (value: bigint) => formatDecimal(value, type.scale)
    case 'struct': {
      const formats = type.fields.map((f) => formatValue(f.type) as (value: Value) => string)
      return (value: StructValue) =>
        `{${value.map((v, i) => (v === null ? 'null' : (formats[i] as (value: Value) => string)(v))).join(', ')}}`
    }
    case 'yearMonthInterval':
      return (months: number) => `INTERVAL '${intervalYears(months)}' YEAR TO MONTH`
    case 'dayTimeInterval':
      return (ms: number) => `INTERVAL '${intervalDays(ms)}' DAY TO SECOND`
    case 'array': {
      const format = formatValue(type.element) as (value: Value) => string
      return (value: StructValue) => `[${value.map((v) => (v === null ? 'null' : format(v))).join(', ')}]`
    }
    case 'map': {
      const key = formatValue(type.key) as (value: Value) => string
      const item = formatValue(type.value) as (value: Value) => string
      return (value: readonly [Value, Value | null][]) =>
        `{${value.map(([k, v]) => `${key(k)} -> ${v === null ? 'null' : item(v)}`).join(', ')}}`
    }
    default:
      return (value: string | number | bigint | boolean) => String(value)
  }
}

/** Java's trimming: everything up to the space, and the control characters behind DEL. */
function trimmed(text: string): string {
  return text.replace(/^[\u0000-\u0020\u007f-\u009f]+|[\u0000-\u0020\u007f-\u009f]+$/g, '')
}

const wholePattern = /^[+-]?\d+$/
const fractionPattern = /^([+-]?\d*)\.(\d*)$/

/** Legacy casts cut a fraction off; ANSI casts take whole numbers only. */
export function parseInteger(text: string, fraction: boolean): bigint | undefined {
  const t = trimmed(text)
  if (t.length > 400) return undefined
  if (wholePattern.test(t)) return BigInt(t.replace('+', ''))
  if (!fraction) return undefined
  const match = fractionPattern.exec(t)
  if (match === null || t.length === 1) return undefined
  const whole = (match[1] ?? '').replace('+', '')
  return whole === '' || whole === '-' ? 0n : BigInt(whole)
}

const doublePattern = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?$/
const infinityPattern = /^[+-]?inf(inity)?$/i

export function parseDouble(text: string): number | undefined {
  const t = trimmed(text)
  if (doublePattern.test(t)) return Number(t.replace(/[dDfF]$/, ''))
  if (infinityPattern.test(t)) return t.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return /^nan$/i.test(t) ? Number.NaN : undefined
}

const truths = new Set(['t', 'true', 'y', 'yes', '1'])
const untruths = new Set(['f', 'false', 'n', 'no', '0'])

export function parseBoolean(text: string): boolean | undefined {
  const t = trimmed(text).toLowerCase()
  if (truths.has(t)) return true
  return untruths.has(t) ? false : undefined
}

const decimalPattern = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/

/** The text as JavaScript would write the number, for `decimalOfText`; undefined where it is none. */
export function decimalText(text: string): string | undefined {
  const t = trimmed(text)
  if (!decimalPattern.test(t)) return undefined
  const [mantissa = '', exponent] = t.toLowerCase().replace(/^\+/, '').split('e')
  const negative = mantissa.startsWith('-')
  const [whole = '', fraction = ''] = (negative ? mantissa.slice(1) : mantissa).split('.')
  const power = exponent === undefined ? '' : `e${/^[+-]/.test(exponent) ? '' : '+'}${exponent}`
  return `${negative ? '-' : ''}${whole || '0'}${fraction === '' ? '' : `.${fraction}`}${power}`
}

const datePattern = /^([+-]?\d{4,7})(?:-(\d{1,2})(?:-(\d{1,2})(?:[ T].*)?)?)?$/s

/** `yyyy`, `yyyy-M`, `yyyy-M-d`, and anything behind a space or a T after that. */
export function parseDate(text: string): number | undefined {
  const match = datePattern.exec(trimmed(text))
  if (match === null) return undefined
  return dateOf(Number(match[1]), Number(match[2] ?? 1), Number(match[3] ?? 1))
}

function dateOf(year: number, month: number, day: number): number | undefined {
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  return daysFromDate(year, month, day)
}

const timestampPattern =
  /^([+-]?\d{4,6})(?:-(\d{1,2})(?:-(\d{1,2})(?:[ T](?:(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?)?\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?)?)?)?$/

/**
 * With a zone or without (UTC); digits below the millisecond are dropped. A time without a date, which
 * Spark reads as one of today, is no timestamp here: it would depend on when the query runs.
 */
export function parseTimestamp(text: string): number | undefined {
  const match = timestampPattern.exec(trimmed(text))
  if (match === null) return undefined
  const days = dateOf(Number(match[1]), Number(match[2] ?? 1), Number(match[3] ?? 1))
  const hour = Number(match[4] ?? 0)
  const minute = Number(match[5] ?? 0)
  const second = Number(match[6] ?? 0)
  if (days === undefined || hour > 23 || minute > 59 || second > 59) return undefined
  const fraction = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3))
  const zone = zoneOffsetMs(match[8])
  if (zone === undefined) return undefined
  return days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + fraction - zone
}

function zoneOffsetMs(zone: string | undefined): number | undefined {
  if (zone === undefined || /^[A-Z]/.test(zone)) return 0
  const [, sign, hours, minutes = '0'] = /^([+-])(\d{1,2}):?(\d{2})?$/.exec(zone) ?? []
  const h = Number(hours)
  const m = Number(minutes)
  if (h > 18 || m > 59) return undefined
  return (sign === '-' ? -1 : 1) * (h * 60 + m) * 60_000
}
