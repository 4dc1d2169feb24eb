import { MillraceError } from '../common/errors.js'
import type { DataType } from '../types/data-type.js'
import { decimalOfNumber } from './decimals.js'
import { overflow } from './value.js'

/**
 * Arithmetic type by type, as functions of values that are not null; a result of null is the SQL null.
 * Integers below `long` are exact in a double; their legacy form wraps, their ANSI form throws.
 */
export type NumberKind = 'byte' | 'short' | 'int' | 'long' | 'float' | 'double'

export const MAX_SAFE = Number.MAX_SAFE_INTEGER

export function divisionByZero(): never {
  throw new MillraceError('DIVIDE_BY_ZERO', 'division by zero', {
    detail: 'found the divisor 0',
    hint: 'guard the divisor with nullif(x, 0), or open with { ansi: false } to get null',
  })
}

export function remainderByZero(): never {
  throw new MillraceError('REMAINDER_BY_ZERO', 'remainder of a division by zero', {
    detail: 'found the divisor 0',
    hint: 'guard the divisor with nullif(x, 0), or open with { ansi: false } to get null',
  })
}

export function integerOverflow(value: number | bigint): never {
  throw overflow(`integer overflow: the result is about ${value}`)
}

export function smallIntegerOverflow(value: number): never {
  throw new MillraceError('BINARY_ARITHMETIC_OVERFLOW', `the result ${value} does not fit its type`, {
    detail: 'tinyint holds -128 to 127, smallint -32768 to 32767',
    hint: "cast to 'int' first, or open with { ansi: false }",
  })
}

/** What a result of exact integer arithmetic becomes in its type. The sum with 0 takes the sign off −0. */
export function integerResult(kind: DataType['kind'], ansi: boolean): (v: number) => number | null {
  switch (kind) {
    case 'byte':
      return ansi ? (v) => (v === (v << 24) >> 24 ? v + 0 : smallIntegerOverflow(v)) : (v) => (v << 24) >> 24
    case 'short':
      return ansi ? (v) => (v === (v << 16) >> 16 ? v + 0 : smallIntegerOverflow(v)) : (v) => (v << 16) >> 16
    case 'int':
      return ansi ? (v) => (v === (v | 0) ? v + 0 : integerOverflow(v)) : (v) => v | 0
    default:
      return ansi
        ? (v) => (v <= MAX_SAFE && v >= -MAX_SAFE ? v + 0 : integerOverflow(v))
        : (v) => (v <= MAX_SAFE && v >= -MAX_SAFE ? v + 0 : null)
  }
}

export function bigintResult(ansi: boolean): (v: bigint) => bigint {
  if (!ansi) return (v) => BigInt.asIntN(64, v)
  return (v) => (BigInt.asIntN(64, v) === v ? v : integerOverflow(v))
}

/** a − n·⌊a/n⌋ by Spark: the sign of the remainder is turned once. */
export function positiveModulo(a: number, n: number): number {
  const r = a % n
  return r < 0 ? (r + n) % n : r
}

/** The sum wraps in 32 bits, as Java's does. */
export function positiveModuloInt(a: number, n: number): number {
  const r = a % n
  return r < 0 ? ((r + n) | 0) % n : r
}

export function positiveModuloBigint(a: bigint, n: bigint): bigint {
  const r = a % n
  return r < 0n ? BigInt.asIntN(64, r + n) % n : r
}

export function positiveModuloDecimal(a: bigint, n: bigint): bigint {
  const r = a % n
  return r < 0n ? (r + n) % n : r
}

/**
 * A double rounded at a decimal digit as the decimal that is printed for it would be: 2.5 → 3, 0.15 → 0.2
 * at one digit. The quick way is taken where no neighbour could turn the decision.
 */
export function roundDouble(value: number, digits: number): number {
  if (!Number.isFinite(value)) return value
  if (digits >= 0 && digits <= 15) {
    const scale = 10 ** digits
    const scaled = value * scale
    const size = Math.abs(scaled)
    if (size < 2 ** 40) {
      const whole = Math.floor(size)
      const rest = size - whole
      if (digits === 0 || Math.abs(rest - 0.5) > 2 ** -10) {
        const rounded = (rest >= 0.5 ? whole + 1 : whole) / scale
        return value < 0 ? 0 - rounded : rounded
      }
    } else if (size >= 2 ** 53 && digits === 0) {
      return value
    }
  }
  return roundText(value, digits, false)
}

export function roundDoubleHalfEven(value: number, digits: number): number {
  return Number.isFinite(value) ? roundText(value, digits, true) : value
}

/** By the decimal text, exact for every double. */
function roundText(value: number, digits: number, halfEven: boolean): number {
  if (digits > 330) return value
  if (digits < -310) return 0
  // With 400 digits behind the point no double loses one.
  const extra = 400
  const exact = decimalOfNumber(value, digits + extra)
  const unit = 10n ** BigInt(extra)
  let quotient = exact / unit
  const rest = exact % unit
  const twice = (rest < 0n ? -rest : rest) * 2n
  if (twice > unit || (twice === unit && (!halfEven || (quotient & 1n) !== 0n))) quotient += exact < 0n ? -1n : 1n
  if (quotient === 0n) return 0
  return Number(`${quotient}e${-digits}`)
}

/** An integer rounded before the point: 15 at −1 is 20. */
export function roundInteger(value: number, digits: number, halfEven: boolean): number {
  return digits >= 0 ? value : Number(roundBigint(BigInt(value), digits, halfEven))
}

export function roundBigint(value: bigint, digits: number, halfEven: boolean): bigint {
  if (digits >= 0) return value
  if (digits < -40) return 0n
  const unit = 10n ** BigInt(-digits)
  let quotient = value / unit
  const rest = value % unit
  const twice = (rest < 0n ? -rest : rest) * 2n
  if (twice > unit || (twice === unit && (!halfEven || (quotient & 1n) !== 0n))) quotient += value < 0n ? -1n : 1n
  return quotient * unit
}

/** Correctly rounded: by way of a double the value would be rounded twice. */
export function floatOfBigint(value: bigint): number {
  if (value >= -9007199254740992n && value <= 9007199254740992n) return Math.fround(Number(value))
  const kept = (value >> 11n) | ((value & 2047n) === 0n ? 0n : 1n)
  return Math.fround(Math.fround(Number(kept)) * 2048)
}

export function logarithm(f: (x: number) => number, above = 0): (x: number) => number | null {
  return (x) => (x <= above ? null : f(x))
}

export function logOfBase(base: number, x: number): number | null {
  return base <= 0 || x <= 0 ? null : Math.log(x) / Math.log(base)
}

/** −1, 0 or 1; NaN of NaN, and the zero that came. */
export const sign = Math.sign

export function roundHalfEven(value: number): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 52) return value
  const low = Math.floor(value)
  const rest = value - low
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1
  return low % 2 === 0 ? low : low + 1
}
