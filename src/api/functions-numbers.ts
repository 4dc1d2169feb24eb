import { type AnyColumn, Column, type ColumnValue, literal, toExpression } from './column.js'
import { binary, type ColumnOrName, call, toColumn, unary, withValues } from './function-call.js'

/** Bits, operators that give null instead of an error, further mathematics and times. */

export const bitCount = unary('bitCount')
export const bitGet = withValues<[place: number | AnyColumn]>('bitGet')
export const bitwiseNot = unary('bitNot')
export const shiftLeft = withValues<[places: number | AnyColumn]>('shiftLeft')
export const shiftRight = withValues<[places: number | AnyColumn]>('shiftRight')
export const shiftRightUnsigned = withValues<[places: number | AnyColumn]>('shiftRightUnsigned')
export const factorial = unary('factorial')
export const asinh = unary('asinh')
export const acosh = unary('acosh')
export const atanh = unary('atanh')
export const sec = unary('sec')
export const csc = unary('csc')
export const cot = unary('cot')
/** The nearest whole number, of two the even one. */
export const rint = unary('rint')
export const widthBucket = withValues<[low: ColumnValue, high: ColumnValue, buckets: ColumnValue]>('widthBucket')
export const pi = (): Column => new Column(literal(Math.PI))
export const e = (): Column => new Column(literal(Math.E))
export const tryAdd = binary('tryAdd')
export const trySubtract = binary('trySubtract')
export const tryMultiply = binary('tryMultiply')
export const tryDivide = binary('tryDivide')
export const tryMod = binary('tryMod')
export const zeroifnull = unary('zeroifnull')
export const nullifzero = unary('nullifzero')
export const typeOf = unary('typeof')
/** Fails the record with this message. */
export const raiseError = (message: string | AnyColumn): Column => call('raiseError', toExpression(message))
export const assertTrue = (condition: AnyColumn, message?: string): Column =>
  call('assertTrue', condition.expression, ...(message === undefined ? [] : [literal(message)]))

export const dayname = unary('dayname')
export const monthname = unary('monthname')
export const nextDay = withValues<[day: string]>('nextDay')
export const unixMicros = unary('unixMicros')
export const timestampMicros = unary('timestampMicros')
/** Seconds since 1970 of a text, by a pattern of Java's DateTimeFormatter. */
export const unixTimestamp = withValues<[format?: string]>('unixTimestamp')
export const fromUnixtime = withValues<[format?: string]>('fromUnixtime')
export const tryToTimestamp = withValues<[format?: string]>('tryToTimestamp')
export const tryToDate = withValues<[format?: string]>('tryToDate')
export const toUtcTimestamp = withValues<[zone: string]>('toUtcTimestamp')
export const fromUtcTimestamp = withValues<[zone: string]>('fromUtcTimestamp')
export const convertTimezone = (from: string, to: string, time: ColumnOrName): Column =>
  call('convertTimezone', literal(from), literal(to), toColumn(time))
type Unit = 'YEAR' | 'QUARTER' | 'MONTH' | 'WEEK' | 'DAY' | 'HOUR' | 'MINUTE' | 'SECOND' | 'MILLISECOND' | 'MICROSECOND'
export const timestampDiff = (unit: Unit, from: ColumnOrName, to: ColumnOrName): Column =>
  call('timestampDiff', literal(unit), toColumn(from), toColumn(to))
export const timestampAdd = (unit: Unit, count: number | AnyColumn, time: ColumnOrName): Column =>
  call('timestampAdd', literal(unit), toExpression(count), toColumn(time))
export const makeTimestamp = (...fields: readonly ColumnOrName[]): Column =>
  call('makeTimestamp', ...fields.map(toColumn))
