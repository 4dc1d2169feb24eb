import { typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { call, coerce, customFunction, type FunctionSpec, mismatch, strictFunction } from './function-spec.js'
import { fieldOf } from './nested-access.js'
import { isIntegral, types } from './type-rules.js'

/** Dates and times. The time zone is UTC; a timestamp has milliseconds. */

const dateField = (name: string): FunctionSpec => strictFunction(name, ['date'], types.int)
const timeField = (name: string): FunctionSpec => strictFunction(name, ['timestamp'], types.int)

export const timeFunctions: readonly FunctionSpec[] = [
  ...['year', 'quarter', 'month', 'dayofmonth', 'dayofweek', 'weekday', 'dayofyear', 'weekofyear'].map(dateField),
  ...['hour', 'minute', 'second'].map(timeField),
  // A unit that does not exist gives null, as in Spark.
  strictFunction('dateTrunc', ['string', 'timestamp'], types.timestamp, { makesNull: true }),
  strictFunction('trunc', ['date', 'string'], types.date, { makesNull: true }),
  strictFunction('dateAdd', ['date', 'int'], types.date),
  strictFunction('dateSub', ['date', 'int'], types.date),
  strictFunction('datediff', ['date', 'date'], types.int),
  strictFunction('addMonths', ['date', 'int'], types.date),
  strictFunction('lastDay', ['date'], types.date),
  strictFunction('monthsBetween', ['timestamp', 'timestamp', 'boolean'], types.double, { optionalFrom: 2 }),
  strictFunction('makeDate', ['int', 'int', 'int'], types.date, { throws: 'ansi', makesNull: (_, ansi) => !ansi }),
  strictFunction('unixDate', ['date'], types.int),
  strictFunction('dateFromUnixDate', ['int'], types.date),
  strictFunction('unixSeconds', ['timestamp'], types.long),
  strictFunction('unixMillis', ['timestamp'], types.long),
  {
    name: 'timestampMillis',
    minArgs: 1,
    maxArgs: 1,
    throws: 'always',
    strict: true,
    bind: (args, ansi) => {
      const arg = args[0] as BoundExpression
      const bound = isIntegral(arg.type) ? arg : coerce('timestampMillis', 0, arg, 'long', ansi)
      return call('timestampMillis', [bound], types.timestamp, bound.nullable)
    },
  },
  {
    name: 'timestampSeconds',
    minArgs: 1,
    maxArgs: 1,
    throws: 'always',
    strict: true,
    bind: (args, ansi) => {
      const arg = coerce('timestampSeconds', 0, args[0] as BoundExpression, 'double', ansi)
      return call('timestampSeconds', [arg], types.timestamp, true)
    },
  },
  // Start of the tumbling window of an event time: size and start in milliseconds. What `window()` computes.
  strictFunction('windowStart', ['timestamp', 'long', 'long'], types.timestamp),
  // What a session's gap may be, in milliseconds; null where the text is no duration.
  customFunction('durationMillis', [1, 1], '(string or interval) → long', 'never', (args) => {
    const arg = args[0] as BoundExpression
    const { kind } = arg.type
    if (kind !== 'string' && kind !== 'dayTimeInterval' && kind !== 'void')
      throw mismatch('durationMillis', `a ${typeName(arg.type)} is no duration`)
    return call('durationMillis', [arg], types.long, true)
  }),
  // The last moment of a window, which is the time of what is counted in it.
  customFunction('windowTime', [1, 1], '(window) → timestamp', 'never', ([window]) => {
    const { type } = window as BoundExpression
    const [start, end] = type.kind === 'struct' ? type.fields : []
    if (
      window === undefined ||
      start?.type.kind !== 'timestamp' ||
      end?.name !== 'end' ||
      end.type.kind !== 'timestamp'
    )
      throw mismatch('windowTime', `a ${typeName(type)} is no window`)
    // The slots of a column's fields are behind its own.
    const value: BoundExpression =
      window.kind === 'input'
        ? { kind: 'input', slot: window.slot + 2, type: end.type, nullable: window.nullable || end.nullable }
        : fieldOf(window, 'end')
    return call('windowTime', [value], types.timestamp, value.nullable)
  }),
  strictFunction('dateFormat', ['timestamp', 'string'], types.string, { throws: 'always' }),
]
