import { daysFromDate } from '../common/calendar.js'
import { MillraceError } from '../common/errors.js'
import { DAY_MS } from './times.js'

/** Times of other zones, by the zone data that the JavaScript engine has. */
type Offset = (ms: number) => number

const offsets = new Map<string, Offset>()

/** Beyond this a JavaScript Date has no value; zones do not change any more there. */
const DATE_MS_MAX = 8.64e15

function offsetFunction(zone: string): Offset {
  const known = offsets.get(zone)
  if (known !== undefined) return known
  const made = fixedOffset(zone) ?? namedOffset(zone)
  offsets.set(zone, made)
  return made
}

function fixedOffset(zone: string): Offset | undefined {
  if (/^(?:Z|UTC|GMT|UT)$/.test(zone)) return () => 0
  const [, sign, hours, minutes = '0', seconds = '0'] =
    /^(?:UTC|GMT|UT)?([+-])(\d{1,2}):?(\d{2})?:?(\d{2})?$/.exec(zone) ?? []
  if (sign === undefined || Number(hours) > 18) return undefined
  const ms = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
  return () => (sign === '-' ? -ms : ms)
}

function namedOffset(zone: string): Offset {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch {
    throw new MillraceError('INVALID_TIMEZONE', `there is no time zone ${JSON.stringify(zone)}`, {
      detail: `found ${JSON.stringify(zone)}, expected a name of the IANA database or an offset`,
      hint: "'Europe/Berlin', 'UTC' or '+02:00'",
    })
  }
  return (ms) => {
    const at = Math.floor(Math.max(-DATE_MS_MAX, Math.min(DATE_MS_MAX, ms)) / 1000) * 1000
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {}
    for (const { type, value } of format.formatToParts(at)) parts[type] = value
    const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
    // The formatter counts by the Julian calendar before 1582; the difference of days is taken off by rounding.
    const days = daysFromDate(year, Number(parts.month), Number(parts.day))
    const local = days * DAY_MS + ((Number(parts.hour) * 60 + Number(parts.minute)) * 60 + Number(parts.second)) * 1000
    const difference = local - at
    return difference - Math.round(difference / DAY_MS) * DAY_MS
  }
}

/** A time of UTC as the clock of the zone shows it. */
export function fromUtc(ms: number, zone: string): number {
  return ms + offsetFunction(zone)(ms)
}

/** What a clock of the zone shows as a time of UTC: in a gap the clock goes on, of two times it is the earlier one. */
export function toUtc(local: number, zone: string): number {
  const offset = offsetFunction(zone)
  const before = offset(local - DAY_MS)
  const after = offset(local + DAY_MS)
  if (before === after || offset(local - before) === before) return local - before
  return offset(local - after) === after ? local - after : local - before
}

export function convertZone(from: string, to: string, ms: number): number {
  return fromUtc(toUtc(ms, from), to)
}
