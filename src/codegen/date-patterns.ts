import { daysFromDate, daysInMonth } from '../common/calendar.js'
import { MillraceError } from '../common/errors.js'
import { DAY_MS, invalidFormat, monthNames } from './times.js'

/**
 * Text to a time by a pattern of Java's DateTimeFormatter: a field for each run of a letter, all of the text,
 * nothing rounded into shape (30 February is no day). Missing fields are those of 1970-01-01 00:00.
 */
interface Fields {
  year: number
  month: number
  day: number
  dayOfYear: number
  hour: number
  halfHour: number
  afternoon: number
  minute: number
  second: number
  ms: number
  offsetMs: number
}

type Take = (text: string, fields: Fields) => void

interface Pattern {
  readonly expression: RegExp
  readonly takes: readonly Take[]
}

const known = new Map<string, Pattern>()
const KNOWN_MAX = 64

function compiled(pattern: string): Pattern {
  let found = known.get(pattern)
  if (found === undefined) {
    found = compile(pattern)
    if (known.size >= KNOWN_MAX) known.clear()
    known.set(pattern, found)
  }
  return found
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
const names = (list: readonly string[]): string => `(${list.join('|')})`
const shortMonths = monthNames.map((name) => name.slice(0, 3))
const offsetPattern = '(Z|[+-]\\d{2}:?\\d{2}|[+-]\\d{2}|UTC|GMT)'

function compile(pattern: string): Pattern {
  let source = ''
  const takes: Take[] = []
  for (let i = 0; i < pattern.length; ) {
    const c = pattern[i] as string
    if (c === "'") {
      const end = pattern.indexOf("'", i + 1)
      if (end === -1) throw invalidFormat(pattern, 'a quote is not closed')
      source += escaped(end === i + 1 ? "'" : pattern.slice(i + 1, end))
      i = end + 1
    } else if (c === '[' || c === ']') {
      source += c === '[' ? '(?:' : ')?'
      i++
    } else if (/[A-Za-z]/.test(c)) {
      let length = 1
      while (pattern[i + length] === c) length++
      const [part, take] = field(c, length, pattern)
      source += part
      if (take !== undefined) takes.push(take)
      i += length
    } else {
      source += escaped(c)
      i++
    }
  }
  try {
    return { expression: new RegExp(`^${source}$`, 'i'), takes }
  } catch {
    throw invalidFormat(pattern, 'the brackets do not match')
  }
}

const numeric = (length: number, most = 2): string => (length === 1 ? `(\\d{1,${most}})` : `(\\d{${length}})`)

function put(name: keyof Fields, value: (text: string) => number): Take {
  return (text, fields) => {
    fields[name] = value(text)
  }
}

function field(letter: string, length: number, pattern: string): readonly [part: string, take: Take | undefined] {
  const number = (name: keyof Fields, of: (v: number) => number, most = 2): readonly [string, Take] => {
    if (length > most) throw invalidFormat(pattern, `${letter.repeat(length)} is too long`)
    return [numeric(length, most), put(name, (text) => of(Number(text)))]
  }
  switch (letter) {
    case 'y':
    case 'u':
      if (length === 2) return ['(\\d{2})', put('year', (text) => 2000 + Number(text))]
      return [
        length === 1 ? '([+-]?\\d{1,9})' : `(-?\\d{${length}}|[+-]\\d{${length + 1},9})`,
        put('year', (text) => Number(text)),
      ]
    case 'M':
    case 'L':
      if (length === 3) return [names(shortMonths), put('month', (text) => indexOf(shortMonths, text))]
      if (length >= 4) return [names(monthNames), put('month', (text) => indexOf(monthNames, text))]
      return number('month', (v) => v)
    case 'd':
      return number('day', (v) => v)
    case 'D':
      return number('dayOfYear', (v) => v, 3)
    case 'H':
      return number('hour', (v) => v)
    case 'h':
    case 'K':
      return number('halfHour', (v) => v % 12)
    case 'k':
      return number('hour', (v) => v % 24)
    case 'a':
      return ['(AM|PM)', put('afternoon', (text) => (text.toUpperCase() === 'PM' ? 1 : 0))]
    case 'm':
      return number('minute', (v) => v)
    case 's':
      return number('second', (v) => v)
    case 'S':
      if (length > 9) throw invalidFormat(pattern, 'more than nine digits of a second')
      return [`(\\d{${length}})`, put('ms', (text) => Number(text.padEnd(3, '0').slice(0, 3)))]
    case 'E':
      return ['(?:[A-Za-z]{3,9})', undefined]
    case 'G':
      return ['(?:AD|BC)', undefined]
    case 'X':
    case 'x':
    case 'Z':
    case 'z':
    case 'V':
    case 'O':
      return [offsetPattern, put('offsetMs', (text) => offsetOf(text))]
    default:
      if (!/[YwWecF]/.test(letter)) throw invalidFormat(pattern, `the letter ${letter} is not supported`)
      throw new MillraceError(
        'INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_WEEK_BASED_PATTERN',
        `${JSON.stringify(pattern)} counts by weeks, which formats do not support`,
        { detail: "found a letter of 'Y', 'w', 'W', 'u', 'e', 'c' or 'F'", hint: 'use year, month and day' },
      )
  }
}

const indexOf = (list: readonly string[], text: string): number =>
  list.findIndex((name) => name.toLowerCase() === text.toLowerCase()) + 1

function offsetOf(text: string): number {
  const [, sign, hours, minutes = '0'] = /^([+-])(\d{2}):?(\d{2})?$/.exec(text) ?? []
  if (sign === undefined) return 0
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
}

/** Epoch milliseconds; undefined where the text does not fit the pattern. */
export function parseByPattern(text: string, pattern: string): number | undefined {
  const { expression, takes } = compiled(pattern)
  const match = expression.exec(text)
  if (match === null) return undefined
  const f: Fields = {
    year: 1970,
    month: 1,
    day: 1,
    dayOfYear: 0,
    hour: 0,
    halfHour: -1,
    afternoon: 0,
    minute: 0,
    second: 0,
    ms: 0,
    offsetMs: 0,
  }
  takes.forEach((take, i) => {
    const part = match[i + 1]
    if (part !== undefined) take(part, f)
  })
  const hour = f.halfHour >= 0 ? f.halfHour + 12 * f.afternoon : f.hour
  if (f.month < 1 || f.month > 12 || f.day < 1 || f.day > daysInMonth(f.year, f.month)) return undefined
  if (hour > 23 || f.minute > 59 || f.second > 59) return undefined
  let days = daysFromDate(f.year, f.month, f.day)
  if (f.dayOfYear > 0) {
    days = daysFromDate(f.year, 1, 1) + f.dayOfYear - 1
    if (days >= daysFromDate(f.year + 1, 1, 1)) return undefined
  }
  return days * DAY_MS + hour * 3_600_000 + f.minute * 60_000 + f.second * 1000 + f.ms - f.offsetMs
}

/** The kernel of what parses by a pattern: an error under ANSI, else null. */
export function parsing(strict: boolean): (text: string, pattern: string) => number | null {
  return (text, pattern) => {
    const ms = parseByPattern(text, pattern)
    if (ms !== undefined) return ms
    if (!strict) return null
    throw new MillraceError(
      'CANNOT_PARSE_TIMESTAMP',
      `${JSON.stringify(text.slice(0, 100))} is no time by the format`,
      {
        detail: `the format is ${JSON.stringify(pattern)}`,
        hint: 'use tryToTimestamp to get null instead',
      },
    )
  }
}
