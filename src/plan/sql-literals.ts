import { MillraceError } from '../common/errors.js'
import type { Expression, LiteralValue } from './expression.js'
import { decimal, types } from './type-rules.js'

/** Numbers, bytes and intervals as SQL writes them. Undefined is a text that is none. */

const literal = (
  value: LiteralValue,
  type: (typeof types)[keyof typeof types] | ReturnType<typeof decimal>,
): Expression => ({
  kind: 'literal',
  value,
  type,
})

const integers = {
  Y: { type: types.byte, limit: 128n },
  S: { type: types.short, limit: 32768n },
  L: { type: types.bigint, limit: 2n ** 63n },
} as const

/**
 * A suffix names the type. Without one a whole number is the narrowest of int, bigint and decimal that holds it,
 * a number with a point a decimal, one with an exponent a double.
 */
export function numberLiteral(text: string, negative: boolean): Expression | undefined {
  const [, body = '', suffix = ''] = /^([\d.]+(?:E[+-]?\d+)?)(BD|[LSYDF])?$/.exec(text.toUpperCase()) ?? []
  const signed = `${negative ? '-' : ''}${body}`
  if (suffix === 'D') return literal(Number(signed), types.double)
  if (suffix === 'F') return literal(Math.fround(Number(signed)), types.float)
  if (suffix === 'BD') return decimalLiteral(signed)
  if (suffix === '' && body.includes('E')) return literal(Number(signed), types.double)
  if (body.includes('.') || body.includes('E')) return suffix === '' ? decimalLiteral(signed) : undefined
  const value = BigInt(signed)
  const within = (limit: bigint): boolean => value < limit && value >= -limit
  if (suffix !== '') {
    const { type, limit } = integers[suffix as keyof typeof integers]
    if (!within(limit)) return undefined
    return literal(suffix === 'L' ? value : Number(value), type)
  }
  if (within(2n ** 31n)) return literal(Number(value), types.int)
  return within(2n ** 63n) ? literal(value, types.bigint) : decimalLiteral(signed)
}

function decimalLiteral(text: string): Expression | undefined {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d*)\.?(\d*)(?:E([+-]?\d+))?$/.exec(text) ?? []
  const shift = Number(exponent)
  if (Math.abs(shift) > 76) return undefined
  const digits = shift > fraction.length ? whole + fraction + '0'.repeat(shift - fraction.length) : whole + fraction
  const scale = Math.max(0, fraction.length - shift)
  const precision = Math.max(digits.replace(/^0+/, '').length, scale, 1)
  if (precision > 38) return undefined
  return literal(BigInt(`${sign}${digits === '' ? '0' : digits}`), decimal(precision, scale))
}

/** An odd number of digits has a 0 before it. */
export function hexLiteral(text: string): Expression | undefined {
  if (!/^[0-9a-fA-F]*$/.test(text)) return undefined
  const even = text.length % 2 === 0 ? text : `0${text}`
  return literal(Uint8Array.from(Buffer.from(even, 'hex')), types.binary)
}

const monthUnits: Readonly<Record<string, number>> = { YEAR: 12, MONTH: 1 }
const timeUnits: Readonly<Record<string, number>> = {
  WEEK: 604_800_000,
  DAY: 86_400_000,
  HOUR: 3_600_000,
  MINUTE: 60_000,
  SECOND: 1000,
  MILLISECOND: 1,
  MICROSECOND: 0.001,
}

export const intervalUnit = (word: string): string | undefined => {
  const unit = word.toUpperCase().replace(/S$/, '')
  return unit in monthUnits || unit in timeUnits ? unit : undefined
}

export interface IntervalPart {
  readonly amount: string
  readonly unit: string
}

/** Months do not mix with days: how many days they are depends on the month. */
export function intervalLiteral(parts: readonly IntervalPart[]): Expression | undefined {
  let months = 0
  let ms = 0
  let inMonths = false
  let inTime = false
  for (const { amount, unit } of parts) {
    const number = Number(amount)
    if (amount.trim() === '' || !Number.isFinite(number)) return undefined
    const monthFactor = monthUnits[unit]
    if (monthFactor !== undefined) {
      months += number * monthFactor
      inMonths = true
    } else {
      ms += number * (timeUnits[unit] as number)
      inTime = true
    }
  }
  if (inMonths && inTime) {
    throw new MillraceError('UNSUPPORTED_OPERATION', 'an interval has either months or days', {
      detail: `found ${parts.map((p) => `${p.amount} ${p.unit.toLowerCase()}`).join(' ')}`,
      hint: "add two intervals one after the other: ts + INTERVAL '1' MONTH + INTERVAL '2' DAY",
    })
  }
  if (parts.length === 0 || !Number.isInteger(months)) return undefined
  return inMonths ? literal(months, types.yearMonthInterval) : literal(Math.round(ms), types.dayTimeInterval)
}

/** `'1 day 2 hours'`: what stands in the quotes of an interval without a unit behind it. */
export function intervalParts(text: string): readonly IntervalPart[] | undefined {
  const parts: IntervalPart[] = []
  const rest = text.trim().replace(/^interval\s+/i, '')
  const pattern = /\s*([+-]?\s*\d*\.?\d+)\s*([a-z]+)/iy
  while (pattern.lastIndex < rest.length) {
    const match = pattern.exec(rest)
    const unit = match === null ? undefined : intervalUnit(match[2] as string)
    if (match === null || unit === undefined) return undefined
    parts.push({ amount: (match[1] as string).replace(/\s/g, ''), unit })
  }
  return parts
}

const ranges: Readonly<Record<string, readonly string[]>> = {
  'YEAR TO MONTH': ['YEAR', 'MONTH'],
  'DAY TO HOUR': ['DAY', 'HOUR'],
  'DAY TO MINUTE': ['DAY', 'HOUR', 'MINUTE'],
  'DAY TO SECOND': ['DAY', 'HOUR', 'MINUTE', 'SECOND'],
  'HOUR TO MINUTE': ['HOUR', 'MINUTE'],
  'HOUR TO SECOND': ['HOUR', 'MINUTE', 'SECOND'],
  'MINUTE TO SECOND': ['MINUTE', 'SECOND'],
}

/** `'1 12:00:00' DAY TO SECOND`: one field for each unit of the range. */
export function rangedInterval(text: string, from: string, to: string): Expression | undefined {
  const units = ranges[`${from} TO ${to}`]
  const [, sign = '', body = ''] = /^\s*([+-]?)([\d\s:.-]+)$/.exec(text) ?? []
  const fields = body.trim().split(/[\s:-]+/)
  if (units === undefined || fields.length !== units.length) return undefined
  return intervalLiteral(fields.map((amount, i) => ({ amount: `${sign}${amount}`, unit: units[i] as string })))
}
