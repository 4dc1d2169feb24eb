import { MillraceError } from './errors.js'

/** Durations as Spark's users write them: `'10 seconds'`, `'1 minute'`, `'500 ms'`, `'1 hour 30 minutes'`. */

const unitMs: ReadonlyMap<string, number> = new Map([
  ...['ms', 'milli', 'millis', 'millisecond', 'milliseconds'].map((u) => [u, 1] as const),
  ...['s', 'sec', 'secs', 'second', 'seconds'].map((u) => [u, 1000] as const),
  ...['m', 'min', 'mins', 'minute', 'minutes'].map((u) => [u, 60_000] as const),
  ...['h', 'hr', 'hrs', 'hour', 'hours'].map((u) => [u, 3_600_000] as const),
  ...['d', 'day', 'days'].map((u) => [u, 86_400_000] as const),
  ...['w', 'week', 'weeks'].map((u) => [u, 604_800_000] as const),
])

const calendarUnits = new Set(['month', 'months', 'year', 'years', 'quarter', 'quarters'])

/** A number is milliseconds already. `what` names the thing in errors: 'the window', 'the trigger'. */
export function parseDuration(duration: string | number, what: string): number {
  if (typeof duration === 'number') {
    if (Number.isSafeInteger(duration)) return duration
    throw invalid(duration, what, 'expected a whole number of milliseconds')
  }
  const text = duration.trim().replace(/^interval\s+/i, '')
  if (text === '') throw invalid(duration, what, 'the text is empty')
  let total = 0
  let rest = text
  while (rest !== '') {
    const match = /^([+-]?\d+(?:\.\d+)?)\s*([a-z]+)\s*/i.exec(rest)
    if (match === null) throw invalid(duration, what, `a number and a unit were expected at ${JSON.stringify(rest)}`)
    const unit = (match[2] ?? '').toLowerCase()
    if (calendarUnits.has(unit)) throw invalid(duration, what, `a ${unit.replace(/s$/, '')} has no fixed length`)
    const ms = unitMs.get(unit)
    if (ms === undefined) throw invalid(duration, what, `${JSON.stringify(match[2])} is not a unit`)
    total += Number(match[1]) * ms
    rest = rest.slice(match[0].length)
  }
  if (!Number.isSafeInteger(total)) throw invalid(duration, what, 'it is not a whole number of milliseconds')
  return total
}

function invalid(duration: string | number, what: string, detail: string): MillraceError {
  return new MillraceError('INVALID_DURATION', `${JSON.stringify(duration)} is not a duration of ${what}`, {
    detail,
    hint: "write a number and a unit: '500 ms', '10 seconds', '1 minute', '2 hours', '1 day'",
  })
}
