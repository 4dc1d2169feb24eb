import { MillraceError } from '../common/errors.js'
import { type StructType, scalar, structType } from '../types/data-type.js'
import type { BoundExpression, Expression } from './expression.js'
import { boundLiteral, call } from './function-spec.js'
import { bindCall } from './functions.js'
import { types } from './type-rules.js'

/** A window as a value: the tumbling window that a time is in. `groupBy(window(…))` is another matter, see window-binding.ts. */
export const windowType: StructType = structType([
  { name: 'start', type: scalar('timestamp'), nullable: false },
  { name: 'end', type: scalar('timestamp'), nullable: false },
])

type Window = Expression & { kind: 'window' }

/** `select(window('ts', '1 minute'))`: a time that is null is in no window. */
export function windowValue(window: Window, time: BoundExpression, ansi: boolean): BoundExpression {
  const value: BoundExpression = call(
    'makeStruct',
    [boundOf(window, 'start', time, ansi), boundOf(window, 'end', time, ansi)].map((e) => ({ ...e, nullable: false })),
    windowType,
    false,
  )
  if (!time.nullable) return value
  const isKnown = bindCall('isNotNull', [time], ansi)
  return { kind: 'case', branches: [{ when: isKnown, then: value }], type: windowType, nullable: true }
}

/** `window(ts, '1 minute').start`. */
export function windowField(window: Window, field: unknown, time: BoundExpression, ansi: boolean): BoundExpression {
  if (field !== 'start' && field !== 'end') throw notAValue()
  return boundOf(window, field, time, ansi)
}

function boundOf(window: Window, field: 'start' | 'end', time: BoundExpression, ansi: boolean): BoundExpression {
  checkSpacing(window)
  if (window.slideMs !== window.sizeMs) throw notAValue()
  const long = (value: number): BoundExpression => boundLiteral(value, types.long)
  const start = bindCall('windowStart', [time, long(window.sizeMs), long(window.startMs)], ansi)
  if (field === 'start') return start
  const size = boundLiteral(window.sizeMs, types.dayTimeInterval)
  return call('addInterval', [start, size], types.timestamp, start.nullable)
}

function notAValue(): MillraceError {
  return new MillraceError(
    'UNSUPPORTED_OPERATION',
    'window() outside of groupBy is a tumbling window, with a start and an end',
    {
      detail: 'a time is in several windows that overlap, and found it where the value of one row is expected',
      hint: "group by it: groupBy(window('ts', '1 hour', '10 minutes'))",
    },
  )
}

export function checkSpacing({ sizeMs, slideMs, startMs }: Window): void {
  const invalid = (rule: string): MillraceError =>
    new MillraceError('INVALID_WINDOW', rule, {
      detail: `length ${sizeMs} ms, slide ${slideMs} ms, start ${startMs} ms`,
      hint: "window('ts', '1 minute'), window('ts', '1 hour', '10 minutes'), or with a start window('ts', '1 hour', '1 hour', '15 minutes')",
    })
  if (!Number.isSafeInteger(sizeMs) || sizeMs <= 0 || !Number.isSafeInteger(slideMs) || slideMs <= 0)
    throw invalid('a window needs a positive length and a positive slide')
  if (slideMs > sizeMs) throw invalid('a window slides by no more than its length, or records would fall in between')
  if (!Number.isSafeInteger(startMs) || Math.abs(startMs) >= slideMs)
    throw invalid("a window's start is less than its slide")
}
