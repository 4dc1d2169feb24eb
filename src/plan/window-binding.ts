import { MillraceError } from '../common/errors.js'
import { type StructType, typeName } from '../types/data-type.js'
import { bindExpression } from './binder.js'
import type { BoundExpression, Expression } from './expression.js'
import { expressionText, resultName } from './expression-name.js'
import { bindCall } from './functions.js'
import type { GroupingWindow } from './grouping-window.js'
import { castTo, isIntegral, types } from './type-rules.js'
import { checkSpacing } from './window-value.js'

/** The window among the grouping keys: `window(…)` and `sessionWindow(…)` with their times checked and bound. */
type WindowExpression = Expression & { kind: 'window' | 'sessionWindow' }

export function bindWindow(
  e: WindowExpression,
  schema: StructType,
  ansi: boolean,
  name: string,
  position: number,
): GroupingWindow {
  const eventTime = bindExpression(e.arg, schema, { ansi, place: 'window' })
  if (e.kind === 'window') checkSpacing(e)
  if (eventTime.type.kind !== 'timestamp') {
    const call = e.kind === 'window' ? 'window' : 'sessionWindow'
    throw new MillraceError(
      'UNSUPPORTED_OPERATION',
      `a window over ${expressionText(e.arg)}, a ${typeName(eventTime.type)}`,
      {
        detail: 'expected a timestamp',
        hint: `cast it: ${call}(col('${resultName(e.arg)}').cast('timestamp'), '1 minute')`,
      },
    )
  }
  if (e.kind === 'sessionWindow') {
    return { kind: 'session', name, position, eventTime, gap: bindGap(e.gap, schema, ansi) }
  }
  const { sizeMs, slideMs, startMs } = e
  return sizeMs === slideMs
    ? { kind: 'tumbling', name, position, eventTime, sizeMs, startMs }
    : { kind: 'sliding', name, position, eventTime, sizeMs, slideMs, startMs }
}

/** Milliseconds, from a number of them, a text such as '5 minutes', or an interval. */
function bindGap(gap: Expression, schema: StructType, ansi: boolean): BoundExpression {
  const bound = bindExpression(gap, schema, { ansi, place: 'sessionWindow' })
  if (bound.kind === 'literal' && typeof bound.value === 'number' && bound.value <= 0) {
    throw new MillraceError('INVALID_WINDOW', 'a session needs a positive gap', {
      detail: `found ${bound.value} ms`,
      hint: "sessionWindow('ts', '5 minutes')",
    })
  }
  if (isIntegral(bound.type) && bound.type.kind !== 'bigint') return castTo(bound, types.long, ansi)
  return bindCall('durationMillis', [bound], ansi)
}
