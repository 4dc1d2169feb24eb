import { powerOfTen } from '../common/decimal.js'
import { MillraceError } from '../common/errors.js'
import type { DecimalType } from '../types/data-type.js'

/** Decimals as unscaled bigints: rounding half up (away from zero), as Spark rounds everything. */

export function divideHalfUp(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  const rest = value % divisor
  const twice = (rest < 0n ? -rest : rest) * 2n
  if (twice < (divisor < 0n ? -divisor : divisor)) return quotient
  return value < 0n === divisor < 0n ? quotient + 1n : quotient - 1n
}

export function rescale(value: bigint, from: number, to: number): bigint {
  if (to === from) return value
  return to > from ? value * powerOfTen(to - from) : divideHalfUp(value, powerOfTen(from - to))
}

/** Half to even, for bround. */
export function rescaleHalfEven(value: bigint, from: number, to: number): bigint {
  if (to >= from) return rescale(value, from, to)
  const divisor = powerOfTen(from - to)
  const quotient = value / divisor
  const rest = value % divisor
  const twice = (rest < 0n ? -rest : rest) * 2n
  const away = twice > divisor || (twice === divisor && (quotient & 1n) === 1n)
  return away ? (value < 0n ? quotient - 1n : quotient + 1n) : quotient
}

export function fits(value: bigint, precision: number): boolean {
  const limit = powerOfTen(precision)
  return value < limit && value > -limit
}

/** The value where it fits the type; else null, or under ANSI an error. */
export function checkedDecimal(value: bigint, type: DecimalType, ansi: boolean): bigint | null {
  if (fits(value, type.precision)) return value
  if (!ansi) return null
  throw new MillraceError(
    'NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION',
    `a value does not fit decimal(${type.precision},${type.scale})`,
    { detail: `its unscaled value is ${value}`, hint: 'use a decimal with more digits before the point, or tryCast' },
  )
}

const exponential = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/

/** The decimal that JavaScript writes for a finite number (the shortest that reads back as it), rounded to the scale. */
export function decimalOfNumber(value: number, scale: number): bigint {
  return decimalOfText(String(value).toLowerCase(), scale)
}

/** No double and no decimal comes near so many digits: a value of more fits nowhere, and need not be worked out. */
const SHIFT_MAX = 2000

/** `text` is a number in plain or exponential notation. */
export function decimalOfText(text: string, scale: number): bigint {
  const match = exponential.exec(text)
  if (match === null) return 0n
  const fraction = match[3] ?? ''
  const digits = BigInt((match[2] ?? '') + fraction)
  const shift = Number(match[4] ?? 0) - fraction.length + scale
  const unscaled =
    shift >= 0
      ? digits * 10n ** BigInt(Math.min(shift, SHIFT_MAX))
      : -shift > 400
        ? 0n
        : divideHalfUp(digits, 10n ** BigInt(-shift))
  return match[1] === '-' ? -unscaled : unscaled
}
