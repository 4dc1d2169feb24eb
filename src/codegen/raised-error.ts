import { MillraceError } from '../common/errors.js'

/** What a query raises by itself: `raiseError` and `assertTrue`. Null where the condition holds. */
export function assertHolds(holds: boolean | null, message: string | null): null {
  if (holds === true) return null
  throw raised(message ?? 'an assertion of the query does not hold')
}

export function raised(message: string): MillraceError {
  return new MillraceError('USER_RAISED_EXCEPTION', message, {
    detail: 'raised by raiseError or assertTrue of the query',
    hint: 'leave such rows out with a filter before it, or mend the input',
  })
}
