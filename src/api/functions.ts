import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import type { AggregateName, Expression } from '../plan/expression.js'
import { parseExpression } from '../plan/sql-parser.js'
import { type AnyColumn, Column, type ColumnValue, dateLiteral, literal, toExpression } from './column.js'
import type { AverageOf, ExtremeOf, SumOf, ValueOf } from './column-value.js'
import { binary, type ColumnOrName, call, toColumn, unary, variadic, withValues } from './function-call.js'

/**
 * Spark's functions in camelCase. Where a column is expected a string is the name of one, as in Spark;
 * values go through `lit`. Patterns, formats and units are strings that mean themselves.
 */
export type { ColumnOrName } from './function-call.js'

/** The column that a path ends in: `b` of `a.b`. */
type LastName<P extends string> = P extends `${string}.${infer Rest}` ? LastName<Rest> : P

export function col<const N extends string>(name: N): Column<ValueOf<N>, LastName<N>> {
  if (typeof name !== 'string' || name === '') {
    throw new MillraceError('INVALID_COLUMN_NAME', 'col() needs the name of a column', {
      detail: `found ${String(name)}, expected a text`,
      hint: "col('price'); a constant is lit(3)",
    })
  }
  return new Column({ kind: 'column', name })
}

export const column = col

export function lit<V extends ColumnValue>(value: V): Column<V extends Column<infer T, string> ? T : V> {
  return new Column(toExpression(value))
}

/** Spark's SQL: `expr('price * 2 > 5')`. What it means is checked where it is used, its grammar here. */
export function expr(sql: string): Column {
  return new Column(parseExpression(sql))
}

/** A date from its ISO text. */
export function dateLit(iso: string): Column {
  return new Column(dateLiteral(iso))
}

// Aggregates

function aggregate<T>(fn: AggregateName, ...args: readonly Expression[]): Column<T> {
  return new Column({ kind: 'aggregate', fn, args })
}

/** Rows, or with a column its values that are not null. */
export function count(value?: ColumnOrName): Column<number> {
  return value === undefined || value === '*' ? aggregate('count') : aggregate('count', toColumn(value))
}
export const sum = <const C extends ColumnOrName>(value: C): Column<SumOf<C>> => aggregate('sum', toColumn(value))
export const avg = <const C extends ColumnOrName>(value: C): Column<AverageOf<C>> => aggregate('avg', toColumn(value))
export const mean = avg
export const min = <const C extends ColumnOrName>(value: C): Column<ExtremeOf<C>> => aggregate('min', toColumn(value))
export const max = <const C extends ColumnOrName>(value: C): Column<ExtremeOf<C>> => aggregate('max', toColumn(value))

/** The type of such a column is known to the analyzer alone. */
const fold =
  (fn: AggregateName) =>
  (...values: readonly ColumnOrName[]): Column =>
    aggregate(fn, ...values.map(toColumn))

/** Values that are not null, in no order that is promised. */
export const collectList = fold('collectList')
export const collectSet = fold('collectSet')
/** Different values, or combinations of values, none of them null. */
export const countDistinct = fold('countDistinct')
export const sumDistinct = fold('sumDistinct')
export const avgDistinct = fold('avgDistinct')
/** Within a few percent, by 2 KiB a group. */
export const approxCountDistinct = fold('approxCountDistinct')
export const stddev = fold('stddevSamp')
export const stddevSamp = stddev
export const stddevPop = fold('stddevPop')
export const variance = fold('varSamp')
export const varSamp = variance
export const varPop = fold('varPop')
export const skewness = fold('skewness')
export const kurtosis = fold('kurtosis')
export const corr = fold('corr')
export const covarSamp = fold('covarSamp')
export const covarPop = fold('covarPop')
/** Of the rows as they come; which is the first depends on the order of arrival. */
export const first = fold('first')
export const last = fold('last')
export const anyValue = first
/** The first column where the second is least, or greatest. */
export const minBy = fold('minBy')
export const maxBy = fold('maxBy')
export const median = fold('median')
export const mode = fold('mode')
/** With the fraction, 0.5 for the median, or several of them; between two values it goes from one to the other. */
export const percentile = (value: ColumnOrName, fraction: number | readonly number[]): Column =>
  aggregate('percentile', toColumn(value), fractions(fraction))
/** One of the values. */
export const percentileApprox = (value: ColumnOrName, fraction: number | readonly number[]): Column =>
  aggregate('percentileApprox', toColumn(value), fractions(fraction))
const fractions = (fraction: number | readonly number[]): Expression =>
  typeof fraction === 'number'
    ? literal(fraction)
    : { kind: 'call', fn: 'array', args: fraction.map((f): Expression => literal(f)) }
export const boolAnd = fold('min')
export const every = boolAnd
export const boolOr = fold('max')
export const some = boolOr
export const bitAndOf = fold('bitAndOf')
export const bitOrOf = fold('bitOrOf')
export const bitXorOf = fold('bitXorOf')
/** Rows for which it is true. */
export const countIf = (condition: AnyColumn): Column<number> => {
  const counted: Expression = { kind: 'case', branches: [{ when: condition.expression, then: literal(1) }] }
  return aggregate('count', counted)
}

/**
 * A window of event time, as a grouping key: `groupBy(window('ts', '1 minute'))`. With a slide shorter than its length the windows
 * overlap: `window('ts', '10 minutes', '1 minute')` counts each record in ten of them. The result is the column `window`, a
 * struct of `start` and `end`. Durations are texts or milliseconds.
 */
export function window(
  time: ColumnOrName,
  size: string | number,
  slide: string | number = size,
  start: string | number = 0,
): Column<{ start: number; end: number }, 'window'> {
  return new Column({
    kind: 'window',
    arg: toColumn(time),
    sizeMs: parseDuration(size, 'a window'),
    slideMs: parseDuration(slide, "a window's slide"),
    startMs: parseDuration(start, "a window's start"),
  })
}

/**
 * A session as a grouping key: it lasts as long as the records of its group come no more than `gap` apart, and ends `gap` after the
 * last one. Needs another key beside it. The gap is a duration, or a column of durations, so that each record says for how long it keeps
 * its session open. The result is the column `session_window`, a struct of `start` and `end`.
 */
export function sessionWindow(
  time: ColumnOrName,
  gap: string | number | AnyColumn,
): Column<{ start: number; end: number }, 'session_window'> {
  const isColumn = typeof gap !== 'string' && typeof gap !== 'number'
  return new Column({
    kind: 'sessionWindow',
    arg: toColumn(time),
    gap: isColumn ? gap.expression : literal(parseDuration(gap, 'a gap')),
  })
}

/** The last millisecond of a window: the event time of what was counted in it. */
export const windowTime = unary('windowTime')
/** Milliseconds of a duration as text, such as '5 minutes', or of an interval; null where the text is no duration. */
export const durationMillis = unary('durationMillis')

// Choice and nulls

export function when(condition: AnyColumn, value: ColumnValue): Column {
  return new Column({ kind: 'case', branches: [{ when: condition.expression, then: toExpression(value) }] })
}
export const coalesce = variadic('coalesce')
export const ifnull = binary('ifnull')
export const nullif = withValues<[ColumnValue]>('nullif')
export const nvl = ifnull
export const nvl2 = (test: ColumnOrName, set: ColumnOrName, unset: ColumnOrName): Column =>
  call('nvl2', toColumn(test), toColumn(set), toColumn(unset))
export const nanvl = binary('nanvl')
export const greatest = variadic('greatest')
export const least = variadic('least')
export const isnull = unary('isNull')
export const isnan = unary('isNaN')
export const not = (condition: AnyColumn): Column => condition.not()

// Numbers

export const abs = unary('abs')
/** With a scale the result is a decimal. */
export const ceil = withValues<[scale?: number]>('ceil')
export const floor = withValues<[scale?: number]>('floor')
export const round = withValues<[digits?: number]>('round')
/** Half to the even neighbour. */
export const bround = withValues<[digits?: number]>('bround')
export const sqrt = unary('sqrt')
export const cbrt = unary('cbrt')
export const exp = unary('exp')
export const expm1 = unary('expm1')
export const ln = unary('ln')
export const log10 = unary('log10')
export const log2 = unary('log2')
export const log1p = unary('log1p')
export const log = (base: number, value: ColumnOrName): Column => call('log', literal(base), toColumn(value))
export const pow = (base: ColumnOrName, exponent: ColumnOrName | number): Column =>
  call('pow', toColumn(base), typeof exponent === 'number' ? literal(exponent) : toColumn(exponent))
export const sign = unary('sign')
export const signum = sign
export const pmod = (value: ColumnOrName, divisor: ColumnOrName | number): Column =>
  call('pmod', toColumn(value), typeof divisor === 'number' ? literal(divisor) : toColumn(divisor))
export const negate = unary('neg')
export const sin = unary('sin')
export const cos = unary('cos')
export const tan = unary('tan')
export const asin = unary('asin')
export const acos = unary('acos')
export const atan = unary('atan')
export const atan2 = binary('atan2')
export const sinh = unary('sinh')
export const cosh = unary('cosh')
export const tanh = unary('tanh')
export const hypot = binary('hypot')
export const degrees = unary('degrees')
export const radians = unary('radians')
/** Spark's murmur3, seed 42. */
export const hash = variadic('hash')

// Text. Lengths and positions count characters (code points), from 1.

export const length = unary('length')
export const octetLength = unary('octetLength')
export const upper = unary('upper')
export const lower = unary('lower')
export const initcap = unary('initcap')
export const reverse = unary('reverse')
/** Spaces, or the characters given. */
export const trim = withValues<[characters?: string]>('trim')
export const ltrim = withValues<[characters?: string]>('ltrim')
export const rtrim = withValues<[characters?: string]>('rtrim')
export const concat = variadic('concat')
export const concatWs = (separator: string, ...values: readonly ColumnOrName[]): Column =>
  call('concatWs', literal(separator), ...values.map(toColumn))
export const substring = withValues<[position: number | AnyColumn, length?: number | AnyColumn]>('substring')
export const left = withValues<[length: number | AnyColumn]>('left')
export const right = withValues<[length: number | AnyColumn]>('right')
export const repeat = withValues<[times: number | AnyColumn]>('repeat')
export const instr = withValues<[part: string | AnyColumn]>('instr')
export const locate = (part: string, value: ColumnOrName, from?: number): Column =>
  call('locate', literal(part), toColumn(value), ...(from === undefined ? [] : [literal(from)]))
export const replace = withValues<[search: string | AnyColumn, replacement?: string | AnyColumn]>('replace')
export const translate = withValues<[from: string, to: string]>('translate')
export const substringIndex = withValues<[delimiter: string, count: number]>('substringIndex')
export const splitPart = withValues<[delimiter: string | AnyColumn, part: number | AnyColumn]>('splitPart')
export const lpad = withValues<[length: number | AnyColumn, pad?: string | AnyColumn]>('lpad')
export const rpad = withValues<[length: number | AnyColumn, pad?: string | AnyColumn]>('rpad')
export const ascii = unary('ascii')
export const chr = unary('chr')
export const hex = unary('hex')
export const base64 = unary('base64')
export const levenshtein = binary('levenshtein')
export const startsWith = withValues<[part: string | AnyColumn]>('startsWith')
export const endsWith = withValues<[part: string | AnyColumn]>('endsWith')
export const contains = withValues<[part: string | AnyColumn]>('contains')
export const like = withValues<[pattern: string | AnyColumn]>('like')
export const rlike = withValues<[pattern: string | AnyColumn]>('rlike')
/** A group of the first match, '' where there is none; group 1 if none is named. */
export const regexpExtract = withValues<[pattern: string, group?: number]>('regexpExtract')
export const regexpReplace =
  withValues<[pattern: string | AnyColumn, replacement: string | AnyColumn, position?: number]>('regexpReplace')
export const regexpCount = withValues<[pattern: string | AnyColumn]>('regexpCount')

// Dates and times, in UTC

export const year = unary('year')
export const quarter = unary('quarter')
export const month = unary('month')
export const dayofmonth = unary('dayofmonth')
/** 1 is Sunday. */
export const dayofweek = unary('dayofweek')
/** 0 is Monday. */
export const weekday = unary('weekday')
export const dayofyear = unary('dayofyear')
export const weekofyear = unary('weekofyear')
export const hour = unary('hour')
export const minute = unary('minute')
export const second = unary('second')
/** `dateTrunc('hour', 'ts')`: start of the hour, day, week, month, quarter, year … that holds the time. */
export const dateTrunc = (unit: string, time: ColumnOrName): Column => call('dateTrunc', literal(unit), toColumn(time))
export const trunc = withValues<[unit: string]>('trunc')
export const dateFormat = withValues<[format: string]>('dateFormat')
export const dateAdd = withValues<[days: number | AnyColumn]>('dateAdd')
export const dateSub = withValues<[days: number | AnyColumn]>('dateSub')
export const datediff = binary('datediff')
export const addMonths = withValues<[months: number | AnyColumn]>('addMonths')
export const lastDay = unary('lastDay')
export const monthsBetween = binary('monthsBetween')
export const makeDate = (y: ColumnOrName, m: ColumnOrName, d: ColumnOrName): Column =>
  call('makeDate', toColumn(y), toColumn(m), toColumn(d))
/** With a format the text is read by it: `toDate('day', 'dd.MM.yyyy')`. */
export const toDate = withValues<[format?: string]>('toDate')
export const toTimestamp = withValues<[format?: string]>('toTimestamp')
export const unixDate = unary('unixDate')
export const dateFromUnixDate = unary('dateFromUnixDate')
export const unixMillis = unary('unixMillis')
export const unixSeconds = unary('unixSeconds')
export const timestampMillis = unary('timestampMillis')
export const timestampSeconds = unary('timestampSeconds')

// Order

export const asc = (value: ColumnOrName): Column => new Column(toColumn(value)).asc()
export const desc = (value: ColumnOrName): Column => new Column(toColumn(value)).desc()
