import { dateFromDays } from '../common/calendar.js'
import { MillraceError } from '../common/errors.js'
import { parsing } from './date-patterns.js'
import { type KernelTable, plain } from './kernel.js'
import * as times from './times.js'
import { convertZone, fromUtc, toUtc } from './zones.js'

/** Steps in time and what lies between two times; intervals are months or milliseconds. */

const monthSteps: Readonly<Record<string, number>> = { YEAR: 12, QUARTER: 3, MONTH: 1 }
const timeSteps: Readonly<Record<string, number>> = {
  WEEK: 7 * times.DAY_MS,
  DAY: times.DAY_MS,
  DAYOFYEAR: times.DAY_MS,
  HOUR: 3_600_000,
  MINUTE: 60_000,
  SECOND: 1000,
  MILLISECOND: 1,
}

function unitOf(text: string): string {
  const unit = text.toUpperCase()
  if (unit in monthSteps || unit in timeSteps || unit === 'MICROSECOND') return unit
  throw new MillraceError('INVALID_PARAMETER_VALUE.DATETIME_UNIT', `there is no unit ${JSON.stringify(text)}`, {
    detail: `found ${JSON.stringify(text)}`,
    hint: `units: ${[...Object.keys(monthSteps), ...Object.keys(timeSteps), 'MICROSECOND'].join(', ')}`,
  })
}

/** Whole months from a to b, towards zero. */
function monthsFrom(a: number, b: number): number {
  const [x, y] = [times.daysOf(a), times.daysOf(b)]
  const [from, to] = [dateFromDays(x), dateFromDays(y)]
  const months = (to.year - from.year) * 12 + to.month - from.month
  const rest = to.day - from.day || b - y * times.DAY_MS - (a - x * times.DAY_MS)
  if (months > 0 && rest < 0) return months - 1
  return months < 0 && rest > 0 ? months + 1 : months
}

function difference(text: string, from: number, to: number): number {
  const unit = unitOf(text)
  const months = monthSteps[unit]
  return (
    Math.trunc(months === undefined ? (to - from) / (timeSteps[unit] as number) : monthsFrom(from, to) / months) + 0
  )
}

function step(text: string, count: number, ms: number): number {
  const unit = unitOf(text)
  const months = monthSteps[unit]
  if (months !== undefined) return times.addMonthsToTime(ms, months * count)
  return times.checkedTimestamp(
    unit === 'MICROSECOND' ? ms + Math.floor(count / 1000) : ms + (timeSteps[unit] as number) * count,
  )
}

const dayNames = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']

/** The day by its name, or the two or three letters that it begins with. */
function nextDay(strict: boolean): (days: number, name: string) => number | null {
  return (days, name) => {
    const wanted = name.trim().toUpperCase()
    const day = dayNames.findIndex(
      (d) => d === wanted || ((wanted.length === 2 || wanted.length === 3) && d.startsWith(wanted)),
    )
    if (day !== -1) return days + 1 + ((day - times.weekday(days + 1) + 7) % 7)
    if (!strict) return null
    throw new MillraceError('ILLEGAL_DAY_OF_WEEK', `${JSON.stringify(name)} is no day of the week`, {
      detail: `found ${JSON.stringify(name)}`,
      hint: "'MO', 'MON' or 'MONDAY'",
    })
  }
}

function makeTimestamp(
  strict: boolean,
): (...fields: [number, number, number, number, number, bigint, string?]) => number | null {
  return (year, month, day, hour, minute, micros, zone) => {
    const days = times.makeDate(strict)(year, month, day)
    if (days === null) return null
    // 60 seconds without a fraction are the next minute.
    const fits = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && micros >= 0n && micros <= 60_000_000n
    if (!fits) {
      if (!strict) return null
      throw new MillraceError('DATETIME_FIELD_OUT_OF_BOUNDS.WITHOUT_SUGGESTION', 'that is no time of a day', {
        detail: `found ${hour}:${minute} and ${Number(micros) / 1e6} seconds`,
        hint: 'check the fields first, or open with { ansi: false } to get null',
      })
    }
    const local = days * times.DAY_MS + (hour * 60 + minute) * 60_000 + Number(micros / 1000n)
    return zone === undefined ? local : toUtc(local, zone)
  }
}

export const timeStepKernels: KernelTable = {
  timestampDiff: (_first, call) => {
    if (call.type.kind === 'bigint') return (_unit: string, from: number, to: number) => BigInt(to - from) * 1000n
    return difference
  },
  timestampAdd: plain(step),
  addInterval: plain((ms: number, interval: number) => times.checkedTimestamp(ms + interval)),
  addMonthsToDate: plain(times.addMonths),
  addMonthsToTime: plain(times.addMonthsToTime),
  timeBetween: plain((to: number, from: number) => to - from),
  intervalSum: plain((a: number, b: number) => a + b),
  intervalProduct: plain((a: number, n: number) => Math.round(a * n)),
  nextDay: (_first, _call, ansi) => nextDay(ansi),
  dayname: plain((days: number) => times.dateFormat(days * times.DAY_MS, 'EEE')),
  monthname: plain((days: number) => times.dateFormat(days * times.DAY_MS, 'MMM')),
  yearofweek: plain((days: number) => times.year(days - times.weekday(days) + 3)),
  dayofweekIso: plain((days: number) => times.weekday(days) + 1),
  secondFraction: plain((ms: number) => BigInt(ms - Math.floor(ms / 60_000) * 60_000) * 1000n),
  unixMicros: plain((ms: number) => BigInt(ms) * 1000n),
  timestampMicros: plain((micros: bigint) =>
    times.checkedTimestamp(Number(micros / 1000n) - (micros % 1000n < 0n ? 1 : 0)),
  ),
  fromUnixtime: plain((seconds: number, pattern: string) =>
    times.dateFormat(times.checkedTimestamp(seconds * 1000), pattern),
  ),
  parseTimestamp: (_first, _call, ansi) => parsing(ansi),
  tryParseTimestamp: plain(parsing(false)),
  toUtcTimestamp: plain(toUtc),
  fromUtcTimestamp: plain(fromUtc),
  convertTimezone: plain(convertZone),
  makeTimestamp: (_first, _call, ansi) => makeTimestamp(ansi),
  tryMakeTimestamp: plain(makeTimestamp(false)),
  makeYmInterval: plain((years = 0, months = 0) => years * 12 + months),
  makeDtInterval: plain(
    (days = 0, hours = 0, minutes = 0, micros = 0n) =>
      ((days * 24 + hours) * 60 + minutes) * 60_000 + Number(micros / 1000n),
  ),
}
