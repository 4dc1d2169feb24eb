import { type DataType, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import {
  boundLiteral,
  call,
  coerce,
  customFunction,
  type FunctionSpec,
  mismatch,
  strictFunction,
} from './function-spec.js'
import { castTo, decimal, isInterval, isNumeric, types } from './type-rules.js'

/** Steps in time, what lies between two times, patterns and zones; and the arithmetic of intervals. */

const DAY_MS = 86_400_000
const defaultPattern = boundLiteral('yyyy-MM-dd HH:mm:ss', types.string)

function parse(given: BoundExpression, by: BoundExpression, ansi: boolean, isTry: boolean): BoundExpression {
  const fn = isTry ? 'tryParseTimestamp' : 'parseTimestamp'
  const text = coerce(fn, 0, given, 'string', ansi)
  const pattern = coerce(fn, 1, by, 'string', ansi)
  return call(fn, [text, pattern], types.timestamp, isTry || !ansi || text.nullable || pattern.nullable)
}

/** A cast that has a name; with a pattern it parses text by it. */
function timeFrom(name: string, type: DataType, isTry: boolean): FunctionSpec {
  return customFunction(
    name,
    [1, 2],
    `(any, [pattern]) → ${typeName(type)}`,
    isTry ? 'never' : 'ansi',
    (args, ansi) => {
      const [value, pattern] = args as [BoundExpression, BoundExpression | undefined]
      if (pattern === undefined || value.type.kind === 'date' || value.type.kind === 'timestamp')
        return castTo(value, type, ansi, isTry)
      const bound = [coerce(name, 0, value, 'string', ansi), coerce(name, 1, pattern, 'string', ansi)] as const
      return castTo(parse(bound[0], bound[1], ansi, isTry), type, ansi, isTry)
    },
  )
}

function timestampAnd(name: string, result: DataType, throws: FunctionSpec['throws'] = 'always'): FunctionSpec {
  return strictFunction(name, ['timestamp', 'string'], result, { throws })
}

export const stepFunctions: readonly FunctionSpec[] = [
  timeFrom('toDate', types.date, false),
  timeFrom('tryToDate', types.date, true),
  timeFrom('toTimestamp', types.timestamp, false),
  timeFrom('tryToTimestamp', types.timestamp, true),
  customFunction('parseTimestamp', [2, 2], '(string, pattern) → timestamp', 'always', ([text, pattern], ansi) =>
    parse(text as BoundExpression, pattern as BoundExpression, ansi, false),
  ),
  customFunction('tryParseTimestamp', [2, 2], '(string, pattern) → timestamp', 'always', ([text, pattern], ansi) =>
    parse(text as BoundExpression, pattern as BoundExpression, ansi, true),
  ),
  customFunction('unixTimestamp', [1, 2], '(string, date or timestamp, [pattern]) → long', 'ansi', (args, ansi) => {
    const [value, pattern = defaultPattern] = args as [BoundExpression, BoundExpression | undefined]
    const isTime = value.type.kind === 'date' || value.type.kind === 'timestamp'
    const time = isTime
      ? castTo(value, types.timestamp, ansi)
      : parse(
          coerce('unixTimestamp', 0, value, 'string', ansi),
          coerce('unixTimestamp', 1, pattern, 'string', ansi),
          ansi,
          false,
        )
    return call('unixSeconds', [time], types.long, time.nullable)
  }),
  customFunction('fromUnixtime', [1, 2], '(long, [pattern]) → string', 'always', (args, ansi) => {
    const [seconds, pattern = defaultPattern] = args as [BoundExpression, BoundExpression | undefined]
    const bound = [coerce('fromUnixtime', 0, seconds, 'long', ansi), coerce('fromUnixtime', 1, pattern, 'string', ansi)]
    return call(
      'fromUnixtime',
      bound,
      types.string,
      bound.some((a) => a.nullable),
    )
  }),
  customFunction('timestampDiff', [3, 3], '(unit, timestamp, timestamp) → long', 'always', (args, ansi) => {
    const bound = args.map((arg, i) => coerce('timestampDiff', i, arg, i === 0 ? 'string' : 'timestamp', ansi))
    const [unit] = bound
    // Microseconds of millennia are more than a number holds exactly.
    const exact = unit?.kind === 'literal' && String(unit.value).toUpperCase() === 'MICROSECOND'
    return call(
      'timestampDiff',
      bound,
      exact ? types.bigint : types.long,
      bound.some((a) => a.nullable),
    )
  }),
  strictFunction('timestampAdd', ['string', 'long', 'timestamp'], types.timestamp, { throws: 'always' }),
  strictFunction('nextDay', ['date', 'string'], types.date, { throws: 'ansi', makesNull: (_, ansi) => !ansi }),
  ...['dayname', 'monthname'].map((name) => strictFunction(name, ['date'], types.string)),
  ...['yearofweek', 'dayofweekIso'].map((name) => strictFunction(name, ['date'], types.int)),
  strictFunction('secondFraction', ['timestamp'], decimal(8, 6)),
  strictFunction('unixMicros', ['timestamp'], types.bigint),
  customFunction('timestampMicros', [1, 1], '(integer) → timestamp', 'always', (args, ansi) => {
    const micros = castTo(coerce('timestampMicros', 0, args[0] as BoundExpression, 'long', ansi), types.bigint, ansi)
    return call('timestampMicros', [micros], types.timestamp, micros.nullable)
  }),
  timestampAnd('toUtcTimestamp', types.timestamp),
  timestampAnd('fromUtcTimestamp', types.timestamp),
  customFunction('convertTimezone', [2, 3], '([from], to, timestamp) → timestamp', 'always', (args, ansi) => {
    const [from, to, time] = args.length === 2 ? [boundLiteral('UTC', types.string), ...args] : args
    const bound = [from, to, time].map((arg, i) =>
      coerce('convertTimezone', i, arg as BoundExpression, i === 2 ? 'timestamp' : 'string', ansi),
    )
    return call(
      'convertTimezone',
      bound,
      types.timestamp,
      bound.some((a) => a.nullable),
    )
  }),
  ...(['makeTimestamp', 'tryMakeTimestamp'] as const).map((name) =>
    customFunction(
      name,
      [6, 7],
      '(year, month, day, hour, minute, second, [zone]) → timestamp',
      name === 'makeTimestamp' ? 'always' : 'never',
      (args, ansi) => {
        const micros = (arg: BoundExpression): BoundExpression =>
          castTo(
            call(
              'mul',
              [castTo(arg, decimal(16, 6), ansi), boundLiteral(1_000_000n, decimal(7, 0))],
              decimal(24, 6),
              arg.nullable,
            ),
            types.bigint,
            ansi,
          )
        const bound = args.map((arg, i) =>
          i < 5 ? coerce(name, i, arg, 'int', ansi) : i === 5 ? micros(arg) : coerce(name, i, arg, 'string', ansi),
        )
        return call(name, bound, types.timestamp, !ansi || name === 'tryMakeTimestamp' || bound.some((a) => a.nullable))
      },
    ),
  ),
  strictFunction('makeYmInterval', ['int', 'int'], types.yearMonthInterval, { optionalFrom: 0 }),
  customFunction(
    'makeDtInterval',
    [0, 4],
    '([days], [hours], [minutes], [seconds]) → interval',
    'never',
    (args, ansi) => {
      const bound = args.map((arg, i) =>
        i < 3
          ? coerce('makeDtInterval', i, arg, 'int', ansi)
          : castTo(
              call(
                'mul',
                [castTo(arg, decimal(18, 6), ansi), boundLiteral(1_000_000n, decimal(7, 0))],
                decimal(26, 6),
                arg.nullable,
              ),
              types.bigint,
              ansi,
            ),
      )
      return call(
        'makeDtInterval',
        bound,
        types.dayTimeInterval,
        bound.some((a) => a.nullable),
      )
    },
  ),
  // What the operators + - * become where a time or an interval is among their operands.
  strictFunction('addInterval', ['timestamp', 'interval'], types.timestamp, { throws: 'always' }),
  strictFunction('addMonthsToDate', ['date', 'interval'], types.date),
  strictFunction('addMonthsToTime', ['timestamp', 'interval'], types.timestamp),
  strictFunction('timeBetween', ['timestamp', 'timestamp'], types.dayTimeInterval),
  strictFunction('intervalSum', ['interval', 'interval'], ([a, b]) => {
    if (a?.type.kind !== b?.type.kind) throw mismatch('intervalSum', 'months do not add up with days')
    return (a as BoundExpression).type
  }),
  strictFunction('intervalProduct', ['interval', 'double'], ([a]) => (a as BoundExpression).type),
]

const isTime = (type: DataType): boolean => type.kind === 'date' || type.kind === 'timestamp'

function negated(e: BoundExpression): BoundExpression {
  if (e.kind === 'literal' && typeof e.value === 'number') return { ...e, value: -e.value + 0 }
  return call('intervalProduct', [e, boundLiteral(-1, types.double)], e.type, e.nullable)
}

/** `date + 1`, `ts − ts`, `ts + INTERVAL '1' HOUR`; undefined where the operands are numbers. */
export function timeArithmetic(
  name: string,
  left: BoundExpression,
  right: BoundExpression,
  ansi: boolean,
): BoundExpression | undefined {
  const nullable = left.nullable || right.nullable
  if (name === 'add' && isInterval(left.type) && isTime(right.type)) return timeArithmetic('add', right, left, ansi)
  if ((name === 'mul' || name === 'div') && isInterval(left.type) && isNumeric(right.type)) {
    const factor = castTo(right, types.double, ansi)
    const by =
      name === 'mul'
        ? factor
        : call('div', [boundLiteral(1, types.double), factor], types.double, !ansi || factor.nullable)
    return call('intervalProduct', [left, by], left.type, by.nullable || nullable)
  }
  if (name === 'mul' && isInterval(right.type) && isNumeric(left.type)) return timeArithmetic('mul', right, left, ansi)
  if (name !== 'add' && name !== 'sub') return undefined
  if (isInterval(left.type) && left.type.kind === right.type.kind)
    return call('intervalSum', [left, name === 'add' ? right : negated(right)], left.type, nullable)
  if (!isTime(left.type)) return undefined
  if (name === 'sub' && isTime(right.type)) {
    return call(
      'timeBetween',
      [castTo(left, types.timestamp, ansi), castTo(right, types.timestamp, ansi)],
      types.dayTimeInterval,
      nullable,
    )
  }
  if (isInterval(right.type)) {
    const step = name === 'add' ? right : negated(right)
    const isDate = left.type.kind === 'date'
    if (step.type.kind === 'yearMonthInterval')
      return isDate
        ? call('addMonthsToDate', [left, step], types.date, nullable)
        : call('addMonthsToTime', [left, step], types.timestamp, nullable)
    // Whole days leave a date a date.
    if (isDate && step.kind === 'literal' && typeof step.value === 'number' && step.value % DAY_MS === 0)
      return call('dateAdd', [left, boundLiteral(step.value / DAY_MS, types.int)], types.date, nullable)
    return call('addInterval', [castTo(left, types.timestamp, ansi), step], types.timestamp, nullable)
  }
  if (left.type.kind !== 'date') return undefined
  if (!['byte', 'short', 'int'].includes(right.type.kind)) return undefined
  const days = castTo(right, types.int, ansi)
  return call(name === 'add' ? 'dateAdd' : 'dateSub', [left, days], types.date, left.nullable || days.nullable)
}
