import { daysFromDate, daysInMonth } from '../../common/calendar.js'

/**
 * Numbers and times out of bytes, as nearly all files have them. NaN: it is not written plainly, which says nothing about whether it is a value; who is
 * told so asks the functions that know every way of writing it.
 */

/** Digits that a double holds exactly, whatever they are. */
const DIGITS_MAX = 15
const POWERS = Float64Array.from({ length: 23 }, (_, i) => 10 ** i)
const DAY_MS = 86_400_000

/** A whole number of JSON. */
export function plainInteger(u8: Uint8Array, from: number, to: number): number {
  const negative = u8[from] === 45
  const start = negative ? from + 1 : from
  if (to <= start || to - start > DIGITS_MAX || (u8[start] === 48 && to > start + 1)) return Number.NaN
  let value = 0
  for (let i = start; i < to; i++) {
    const digit = (u8[i] as number) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return negative ? -value : value
}

/** A number of JSON without an exponent, whose digits a double holds: their quotient by a power of ten is rounded once, so it is exact. */
export function plainDouble(u8: Uint8Array, from: number, to: number): number {
  const negative = u8[from] === 45
  const start = negative ? from + 1 : from
  if (to <= start || to - start > DIGITS_MAX + 1) return Number.NaN
  let value = 0
  let point = -1
  for (let i = start; i < to; i++) {
    const c = u8[i] as number
    const digit = c - 48
    if (digit >= 0 && digit <= 9) value = value * 10 + digit
    else if (c === 46 && point === -1) point = i
    else return Number.NaN
  }
  const whole = (point === -1 ? to : point) - start
  if (whole === 0 || point === to - 1 || (whole > 1 && u8[start] === 48)) return Number.NaN
  if (point === -1) {
    if (whole > DIGITS_MAX) return Number.NaN
  } else value /= POWERS[to - 1 - point] as number
  return negative ? -value : value
}

/** `2026-02-28` in days since 1970. */
export function plainDate(u8: Uint8Array, from: number, to: number): number {
  if (to - from !== 10 || u8[from + 4] !== 45 || u8[from + 7] !== 45) return Number.NaN
  const year = digits(u8, from, 4)
  const month = digits(u8, from + 5, 2)
  const day = digits(u8, from + 8, 2)
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month))) return Number.NaN
  return daysFromDate(year, month, day)
}

/** `2026-02-28T12:30:00`, or a space in between, with or without milliseconds and `Z`. */
export function plainTimestamp(u8: Uint8Array, from: number, to: number): number {
  const end = u8[to - 1] === 90 ? to - 1 : to
  const length = end - from
  if (length !== 19 && length !== 23) return Number.NaN
  const between = u8[from + 10]
  if ((between !== 84 && between !== 32) || u8[from + 13] !== 58 || u8[from + 16] !== 58) return Number.NaN
  const hour = digits(u8, from + 11, 2)
  const minute = digits(u8, from + 14, 2)
  const second = digits(u8, from + 17, 2)
  if (!(hour <= 23 && minute <= 59 && second <= 59)) return Number.NaN
  if (length === 23 && u8[from + 19] !== 46) return Number.NaN
  const ms = length === 23 ? digits(u8, from + 20, 3) : 0
  return plainDate(u8, from, from + 10) * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms
}

function digits(u8: Uint8Array, at: number, count: number): number {
  let value = 0
  for (let i = at; i < at + count; i++) {
    const digit = (u8[i] as number) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}
