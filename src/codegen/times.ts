import { dateFromDays, daysFromDate, daysInMonth } from '../common/calendar.js'
import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'

/** Dates are days, timestamps milliseconds since 1970, in UTC. */

export const DAY_MS = 86_400_000

export const daysOf = (ms: number): number => Math.floor(ms / DAY_MS)

const DAYS_FROM_YEAR_0_TO_1970 = 719468
const DAYS_IN_400_YEARS = 146097

/**
 * year · 512 + month · 32 + day: the calendar without an object for a record, by integer arithmetic.
 * Years start in March here, so that the leap day is the last day of a year.
 */
function packedDate(days: number): number {
  const z = days + DAYS_FROM_YEAR_0_TO_1970
  const era = Math.floor(z / DAYS_IN_400_YEARS)
  const dayOfEra = (z - era * DAYS_IN_400_YEARS) | 0
  const cycles = (((dayOfEra / 1460) | 0) - ((dayOfEra / 36524) | 0) + ((dayOfEra / 146096) | 0)) | 0
  const yearOfEra = ((dayOfEra - cycles) / 365) | 0
  const dayOfMarchYear = (dayOfEra - (365 * yearOfEra + (yearOfEra >> 2) - ((yearOfEra / 100) | 0))) | 0
  const shifted = ((5 * dayOfMarchYear + 2) / 153) | 0
  const day = dayOfMarchYear - (((153 * shifted + 2) / 5) | 0) + 1
  const monthOfYear = shifted < 10 ? shifted + 3 : shifted - 9
  return (yearOfEra + era * 400 + (monthOfYear <= 2 ? 1 : 0)) * 512 + monthOfYear * 32 + day
}

export const year = (days: number): number => Math.floor(packedDate(days) / 512)
export const month = (days: number): number => (packedDate(days) & 511) >> 5
export const dayOfMonth = (days: number): number => packedDate(days) & 31
export const quarter = (days: number): number => ((month(days) + 2) / 3) | 0
/** 0 = Monday. */
export const weekday = (days: number): number => positive(days + 3, 7)
/** 1 = Sunday. */
export const dayOfWeek = (days: number): number => positive(days + 4, 7) + 1
export const dayOfYear = (days: number): number => days - daysFromDate(year(days), 1, 1) + 1

/** ISO 8601: the week of the Thursday. */
export function weekOfYear(days: number): number {
  const thursday = days - weekday(days) + 3
  return Math.floor((thursday - daysFromDate(year(thursday), 1, 1)) / 7) + 1
}

/** value modulo divisor, never negative. The quotient of doubles is ten times quicker than their remainder, and may be off by one. */
function positive(value: number, divisor: number): number {
  const r = value - Math.floor(value / divisor) * divisor
  return r < 0 ? r + divisor : r >= divisor ? r - divisor : r
}

export const hour = (ms: number): number => Math.floor(positive(ms, DAY_MS) / 3_600_000)
export const minute = (ms: number): number => Math.floor(positive(ms, 3_600_000) / 60_000)
export const second = (ms: number): number => Math.floor(positive(ms, 60_000) / 1000)

export function addMonths(days: number, months: number): number {
  const { year: y, month: m, day } = dateFromDays(days)
  const total = y * 12 + (m - 1) + months
  const newYear = Math.floor(total / 12)
  const newMonth = total - newYear * 12 + 1
  return daysFromDate(newYear, newMonth, Math.min(day, daysInMonth(newYear, newMonth)))
}

/** The day of the month moves, the time of day stays. */
export function addMonthsToTime(ms: number, months: number): number {
  const days = daysOf(ms)
  return addMonths(days, months) * DAY_MS + (ms - days * DAY_MS)
}

export function lastDay(days: number): number {
  const { year: y, month: m } = dateFromDays(days)
  return daysFromDate(y, m, daysInMonth(y, m))
}

/** Whole where both are the same day or both the last of a month; else with 31 days a month, at 8 digits. */
export function monthsBetween(a: number, b: number, roundOff = true): number {
  const first = dateFromDays(daysOf(a))
  const second = dateFromDays(daysOf(b))
  const months = (first.year - second.year) * 12 + first.month - second.month
  const bothLast =
    first.day === daysInMonth(first.year, first.month) && second.day === daysInMonth(second.year, second.month)
  if (first.day === second.day || bothLast) return months
  const secondsA = Math.floor(positive(a, DAY_MS) / 1000)
  const secondsB = Math.floor(positive(b, DAY_MS) / 1000)
  const seconds = (first.day - second.day) * 86_400 + secondsA - secondsB
  const exact = months + seconds / (31 * 86_400)
  return roundOff ? Math.round(exact * 1e8) / 1e8 : exact
}

export function makeDate(ansi: boolean): (y: number, m: number, d: number) => number | null {
  return (y, m, d) => {
    if (m >= 1 && m <= 12 && d >= 1 && d <= daysInMonth(y, m)) return daysFromDate(y, m, d)
    if (!ansi) return null
    throw new MillraceError('DATETIME_FIELD_OUT_OF_BOUNDS.WITHOUT_SUGGESTION', `${y}-${m}-${d} is not a date`, {
      detail: `found year ${y}, month ${m}, day ${d}`,
      hint: 'check the fields first, or open with { ansi: false } to get null',
    })
  }
}

/** Spark's 64 bits of microseconds reach a little further; a number of ours is exact up to here. */
const TIMESTAMP_MS_MAX = Number.MAX_SAFE_INTEGER

export function checkedTimestamp(ms: number | bigint): number {
  if (ms <= TIMESTAMP_MS_MAX && ms >= -TIMESTAMP_MS_MAX) return Number(ms)
  throw new MillraceError('DATETIME_OVERFLOW', `${ms} ms is beyond the range of timestamps`, {
    detail: `expected at most ${TIMESTAMP_MS_MAX} ms from 1970 on either side`,
    hint: 'check the unit: timestampMillis takes milliseconds, timestampSeconds seconds',
  })
}

/** Whole seconds or fractions; the part below a millisecond is dropped towards the past. */
export function timestampSeconds(seconds: number): number | null {
  return Number.isFinite(seconds) ? checkedTimestamp(Math.floor(seconds * 1000)) : null
}

type DateUnit = 'year' | 'quarter' | 'month' | 'week'

const dateUnits: Readonly<Record<string, DateUnit>> = {
  YEAR: 'year',
  YYYY: 'year',
  YY: 'year',
  QUARTER: 'quarter',
  MONTH: 'month',
  MM: 'month',
  MON: 'month',
  WEEK: 'week',
}

const timeUnits: Readonly<Record<string, number>> = {
  DAY: DAY_MS,
  DD: DAY_MS,
  HOUR: 3_600_000,
  MINUTE: 60_000,
  SECOND: 1000,
  MILLISECOND: 1,
  MICROSECOND: 1,
}

function truncateDays(days: number, unit: DateUnit): number {
  if (unit === 'week') return days - weekday(days)
  const dayOfThisMonth = dayOfMonth(days)
  if (unit === 'month') return days - dayOfThisMonth + 1
  const m = month(days)
  return daysFromDate(year(days), unit === 'year' ? 1 : m - ((m - 1) % 3), 1)
}

/** Null for a unit that does not exist. */
export function dateTrunc(unit: string, ms: number): number | null {
  return truncateTo(unit)?.(ms) ?? null
}

/** The function for one unit, for units that are literals. */
export function truncateTo(unit: string): ((ms: number) => number) | undefined {
  const name = unit.toUpperCase()
  const step = Object.hasOwn(timeUnits, name) ? timeUnits[name] : undefined
  if (step !== undefined) return (ms) => ms - positive(ms, step)
  const dateUnit = Object.hasOwn(dateUnits, name) ? dateUnits[name] : undefined
  return dateUnit === undefined ? undefined : (ms) => truncateDays(daysOf(ms), dateUnit) * DAY_MS
}

export function truncDate(days: number, unit: string): number | null {
  const name = unit.toUpperCase()
  const dateUnit = Object.hasOwn(dateUnits, name) ? dateUnits[name] : undefined
  return dateUnit === undefined ? null : truncateDays(days, dateUnit)
}

/** Null where the text is no duration. */
export function durationMillis(duration: string | number): number | null {
  try {
    return parseDuration(duration, 'a gap')
  } catch {
    return null
  }
}

/** Start of the tumbling window that holds the time. */
export function windowStart(ms: number, sizeMs: number, startMs: number): number {
  return ms - positive(ms - startMs, sizeMs)
}

const dayNames = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
export const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** Letters of Java's DateTimeFormatter, those of them that people use. */
export function dateFormat(ms: number, pattern: string): string {
  const days = daysOf(ms)
  const date = dateFromDays(days)
  let result = ''
  for (let i = 0; i < pattern.length; ) {
    const c = pattern[i] as string
    if (c === "'") {
      const end = pattern.indexOf("'", i + 1)
      if (end === -1) throw invalidFormat(pattern, 'a quote is not closed')
      result += end === i + 1 ? "'" : pattern.slice(i + 1, end)
      i = end + 1
      continue
    }
    if (!/[A-Za-z]/.test(c)) {
      result += c
      i++
      continue
    }
    let length = 1
    while (pattern[i + length] === c) length++
    result += formatField(c, length, ms, days, date, pattern)
    i += length
  }
  return result
}

function formatField(
  letter: string,
  length: number,
  ms: number,
  days: number,
  date: { year: number; month: number; day: number },
  pattern: string,
): string {
  const number = (value: number, most = 2): string => {
    if (length > most) throw invalidFormat(pattern, `${letter.repeat(length)} is too long`)
    return String(value).padStart(length, '0')
  }
  switch (letter) {
    case 'y':
    case 'u':
      if (length === 2) return String(positive(date.year, 100)).padStart(2, '0')
      return length >= 4 && date.year > 9999 ? `+${date.year}` : String(date.year).padStart(length, '0')
    case 'M':
    case 'L': {
      const name = monthNames[date.month - 1] ?? ''
      return length <= 2 ? number(date.month) : length === 3 ? name.slice(0, 3) : name
    }
    case 'd':
      return number(date.day)
    case 'D':
      return number(dayOfYear(days), 3)
    case 'E': {
      const name = dayNames[weekday(days)] ?? ''
      return length <= 3 ? name.slice(0, 3) : name
    }
    case 'H':
      return number(hour(ms))
    case 'h':
      return number(positive(hour(ms) + 11, 12) + 1)
    case 'm':
      return number(minute(ms))
    case 's':
      return number(second(ms))
    case 'S':
      return String(positive(ms, 1000)).padStart(3, '0').padEnd(9, '0').slice(0, length)
    case 'G':
      return date.year > 0 ? 'AD' : 'BC'
    case 'k':
      return number(positive(hour(ms) + 23, 24) + 1)
    case 'K':
      return number(hour(ms) % 12)
    case 'V':
    case 'z':
      return length === 4 && letter === 'z' ? 'Coordinated Universal Time' : 'UTC'
    case 'X':
      return 'Z'
    case 'x':
      return length === 1 ? '+00' : length % 2 === 0 ? '+0000' : '+00:00'
    case 'Z':
      return length < 4 ? '+0000' : length === 4 ? 'GMT' : 'Z'
    case 'O':
      return 'GMT'
    case 'a':
      return hour(ms) < 12 ? 'AM' : 'PM'
    case 'Q':
    case 'q':
      return number(quarter(days))
    default:
      if (!/[YwWec]/.test(letter)) throw invalidFormat(pattern, `the letter ${letter} is not supported`)
      throw new MillraceError(
        'INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_WEEK_BASED_PATTERN',
        `${JSON.stringify(pattern)} counts by weeks, which formats do not support`,
        { detail: "found a letter of 'Y', 'w', 'W', 'u', 'e', 'c' or 'F'", hint: 'use weekofyear() or weekday()' },
      )
  }
}

export function invalidFormat(pattern: string, detail: string): MillraceError {
  return new MillraceError('INVALID_DATETIME_PATTERN', `${JSON.stringify(pattern)} is not a format of dates`, {
    detail,
    hint: 'letters: y M d D E H h k K m s S a Q G z V X x Z O',
  })
}
