import { MillraceError, withoutStacks } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'
import type { Heartbeat } from './heartbeat.js'

/** What goes wrong in the user's code, as errors of the project. `step` is how a plan calls it: `map(enrich)`. */

/** What it threw. Its own code is kept, since that is what it is known by: `ECONNREFUSED`. */
export function userCodeFailed(step: string, error: unknown): MillraceError {
  return error instanceof MillraceError ? error : thrown(step, error, true)
}

/** The same where it is one of many, and code and message are what is kept of it. */
export function userCodeFailedAgain(step: string, error: unknown): MillraceError {
  return error instanceof MillraceError ? error : withoutStacks(() => thrown(step, error, false))
}

/** `withPlace`: the line of the function, which takes its time. */
function thrown(step: string, error: unknown, withPlace: boolean): MillraceError {
  const cause = error instanceof Error ? error : new Error(String(error))
  const { code } = cause as { code?: unknown }
  const place = withPlace && cause === error ? cause.stack?.match(/^ {4}at .*$/m)?.[0].trim() : undefined
  return new MillraceError(
    typeof code === 'string' ? code : 'USER_CODE_FAILED',
    `${step} has thrown: ${cause.message}`,
    {
      detail: `found ${cause === error ? cause.name : `a thrown ${describe(error)}`}${place === undefined ? '' : ` ${place}`}, expected a return`,
      hint: 'mend the function and start the query again, it goes on from its checkpoint',
      cause,
    },
  )
}

export function userCodeTimedOut(step: string, timeoutMs: number): MillraceError {
  return new MillraceError('USER_CODE_TIMED_OUT', `${step} has given no answer for ${timeoutMs} ms`, {
    detail: 'its promise is neither kept nor broken',
    hint: "give it longer: { timeout: '30 seconds' }, or let what it waits for have a limit of its own",
  })
}

export function notRows(step: string, found: unknown, expected: string): MillraceError {
  return new MillraceError('USER_CODE_RESULT', `${step} has given something else than ${expected}`, {
    detail: `found ${describe(found)}`,
    hint: expected === 'rows' ? 'return an array of rows, an empty one for none' : `return ${expected}`,
  })
}

/** It was ended from outside: the worker has been started again, and other queries go on. */
export function userCodeStuck({ atHand: { step, place, row } }: Heartbeat, timeoutMs: number): MillraceError {
  return new MillraceError('USER_CODE_STUCK', `${step} has not come back for ${timeoutMs} ms`, {
    detail: `${placeOf(row, place)}; its worker was ended and started again, other queries go on`,
    hint: "an endless loop, or too much work for one row: mend it, or give it longer, { timeout: '30 seconds' }",
  })
}

export function userCodeTooLarge({ atHand: { step, place, row } }: Heartbeat): MillraceError {
  return new MillraceError('USER_CODE_OUT_OF_MEMORY', `${step} has used up the memory of its worker`, {
    detail: `${placeOf(row, place)}; the worker was started again, other queries go on`,
    hint: 'make less of a row at a time',
  })
}

export function userCodeExits(code: unknown): MillraceError {
  return new MillraceError('USER_CODE_EXIT', `a function has called process.exit(${String(code ?? '')})`, {
    detail: 'it runs on a worker, which is not its own to end',
    hint: 'throw an error instead',
  })
}

/** Behind a promise there are several rows under way. */
function placeOf(row: number, place: string): string {
  return row < 0 ? `at one of the rows of ${place}` : `at row ${row} of ${place}`
}
