import { MillraceError } from '../common/errors.js'
import type { DataType } from '../types/data-type.js'

/** What accumulators do off the hot path: big integers, decimals, strings, and overflow. */

export function integerSumOverflow(ansi: boolean): (sum: number) => number {
  return ansi ? throwOverflow : notANumber
}

function throwOverflow(sum: number): never {
  throw new MillraceError('ARITHMETIC_OVERFLOW', 'sum of a long column leaves the range of safe integers', {
    detail: `the sum reached about ${sum}, the limit is ±${Number.MAX_SAFE_INTEGER}`,
    hint: "cast the column to 'bigint' or 'double' before the sum, or open with { ansi: false } to get null",
  })
}

/** Marks the sum as overflown for good: NaN stays NaN whatever is added. */
function notANumber(): number {
  return Number.NaN
}

type Add = (sum: bigint | null, value: bigint) => bigint

export function addBigint(type: DataType, ansi: boolean): Add {
  if (type.kind !== 'decimal') return ansi ? addInt64 : addFreely
  return ansi ? addDecimal(type.precision) : addOrOverflow
}

/** More than any decimal, and still in 128 bits: a sum that left them would come back from a state row as another number. */
const OVERFLOWN = (1n << 127n) - 1n
const DECIMAL_LIMIT = 10n ** 38n

/** Marks a sum of more than 38 digits as overflown for good. */
function addOrOverflow(sum: bigint | null, value: bigint): bigint {
  if (sum === null) return value
  if (sum === OVERFLOWN || value === OVERFLOWN) return OVERFLOWN
  const next = sum + value
  return next < DECIMAL_LIMIT && next > -DECIMAL_LIMIT ? next : OVERFLOWN
}

function addFreely(sum: bigint | null, value: bigint): bigint {
  return sum === null ? value : sum + value
}

function addInt64(sum: bigint | null, value: bigint): bigint {
  const next = sum === null ? value : sum + value
  if (BigInt.asIntN(64, next) === next) return next
  throw new MillraceError('ARITHMETIC_OVERFLOW', 'sum of a bigint column leaves 64 bits', {
    detail: `the sum reached ${next}`,
    hint: "cast the column to 'decimal(38, 0)' or 'double' before the sum",
  })
}

function addDecimal(precision: number): Add {
  const limit = 10n ** BigInt(precision)
  return (sum, value) => {
    const next = sum === null ? value : sum + value
    if (next < limit && next > -limit) return next
    throw new MillraceError('NUMERIC_VALUE_OUT_OF_RANGE', `sum of a decimal column exceeds ${precision} digits`, {
      detail: `the unscaled sum reached ${next}`,
      hint: "cast the column to 'double' before the sum",
    })
  }
}

/** Without ANSI a sum out of range is null. */
export function nullOnOverflow(type: DataType): (sum: bigint | null) => bigint | null {
  const limit = type.kind === 'decimal' ? 10n ** BigInt(type.precision) : 1n << 63n
  const least = type.kind === 'decimal' ? 1n - limit : -limit
  return (sum) => (sum !== null && sum < limit && sum >= least ? sum : null)
}

type Average = (sum: bigint | null, count: number) => bigint | null

/**
 * Average of decimals of type `from` as a decimal of type `to`, whose scale is not smaller; rounded half up as Spark does. Out of
 * range it is an error, or null without ANSI.
 */
export function averageDecimal(from: DataType | undefined, to: DataType, ansi: boolean): Average {
  const shift = to.kind === 'decimal' && from?.kind === 'decimal' ? 10n ** BigInt(to.scale - from.scale) : 1n
  const precision = to.kind === 'decimal' ? to.precision : 38
  const limit = 10n ** BigInt(precision)
  return (sum, count) => {
    if (sum === null || sum === OVERFLOWN) return null
    const average = roundedQuotient(sum * shift, BigInt(count))
    if (average < limit && average > -limit) return average
    if (!ansi) return null
    throw new MillraceError('NUMERIC_VALUE_OUT_OF_RANGE', `average of a decimal column exceeds ${precision} digits`, {
      detail: `the unscaled average is ${average}`,
      hint: "cast the column to 'double' before the average",
    })
  }
}

function roundedQuotient(scaled: bigint, n: bigint): bigint {
  const quotient = scaled / n
  const rest = scaled % n
  if ((rest < 0n ? -rest : rest) * 2n < n) return quotient
  return scaled < 0n ? quotient - 1n : quotient + 1n
}

type Boxed = bigint | string | Uint8Array

/** The smaller or the greater of two; strings are compared by their UTF-8 bytes, as Spark does. */
export function extremeOf(greatest: boolean): (held: Boxed | null, value: Boxed) => Boxed {
  return (held, value) => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    if (held === null) return bytes
    const order =
      typeof bytes === 'bigint' ? (bytes < (held as bigint) ? -1 : 1) : Buffer.compare(bytes, held as Uint8Array)
    return (greatest ? order > 0 : order < 0) ? bytes : held
  }
}

/** The same for bytes that lie in a block: they are copied only if they win. */
export function smallerOrGreaterBytes(greatest: boolean) {
  return (held: Uint8Array | null, u8: Uint8Array, start: number, end: number): Uint8Array => {
    if (held !== null) {
      const order = compareBytes(u8, start, end, held)
      if (greatest ? order <= 0 : order >= 0) return held
    }
    return u8.slice(start, end)
  }
}

function compareBytes(a: Uint8Array, start: number, end: number, b: Uint8Array): number {
  const shared = Math.min(end - start, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = (a[start + i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return end - start - b.length
}
