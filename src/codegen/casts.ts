import { formatDecimal } from '../common/decimal.js'
import { MillraceError } from '../common/errors.js'
import { encodeUtf8 } from '../common/utf8.js'
import { castParts, isFloating, isIntegral, isNested } from '../plan/type-rules.js'
import { type DataType, type DecimalType, sameType, typeName } from '../types/data-type.js'
import { checkedDecimal, decimalOfNumber, decimalOfText, rescale } from './decimals.js'
import { floatOfBigint, MAX_SAFE } from './numbers.js'
import {
  decimalText,
  formatValue,
  parseBoolean,
  parseDate,
  parseDouble,
  parseInteger,
  parseTimestamp,
} from './text-values.js'
import { DAY_MS, daysOf } from './times.js'
import type { Value } from './value.js'

/**
 * Casts of values that are not null, one function per pair of types. Three policies: ANSI throws what
 * does not fit, `try` makes it null by ANSI's idea of fitting, legacy wraps or makes it null as Spark does
 * with `spark.sql.ansi.enabled` off.
 */
export type Cast = (value: never) => Value | null
type Policy = 'ansi' | 'try' | 'legacy'

const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n
const INT_MIN = -(2 ** 31)
const INT_MAX = 2 ** 31 - 1
const ranges: Partial<Record<DataType['kind'], readonly [number, number]>> = {
  byte: [-128, 127],
  short: [-32768, 32767],
  int: [INT_MIN, INT_MAX],
  long: [-MAX_SAFE, MAX_SAFE],
}

export function castFunction(from: DataType, to: DataType, ansi: boolean, isTry: boolean): Cast {
  const policy: Policy = isTry ? 'try' : ansi ? 'ansi' : 'legacy'
  if (sameType(from, to)) return identity
  if (from.kind === 'string') return fromString(from, to, policy)
  if (to.kind === 'string') return formatValue(from)
  if (isNested(from)) return betweenNested(from, to, ansi, isTry)
  switch (from.kind) {
    case 'boolean':
      return fromBoolean(to, policy)
    case 'date':
      return to.kind === 'timestamp' ? (days: number) => days * DAY_MS : () => null
    case 'timestamp':
      return fromTimestamp(from, to, policy)
    case 'bigint':
      return fromBigint(from, to, policy)
    case 'decimal':
      return fromDecimal(from, to, policy)
    default:
      return isFloating(from) ? fromFloating(from, to, policy) : fromInteger(from, to, policy)
  }
}

type Part = Value | null

function betweenNested(from: DataType, to: DataType, ansi: boolean, isTry: boolean): Cast {
  const casts = (castParts(from, to) ?? []).map((part) => {
    if (part.from.kind === 'void') return () => null
    const cast = castFunction(part.from, part.to, ansi, isTry) as (value: Value) => Part
    return (value: Part): Part => (value === null ? null : cast(value))
  })
  const [first, second] = casts
  if (from.kind === 'array' && first !== undefined) return (value: readonly Part[]) => value.map(first)
  if (from.kind === 'map' && first !== undefined && second !== undefined)
    return (value: readonly [Part, Part][]) => value.map(([k, v]) => [first(k), second(v)])
  return (value: readonly Part[]) => value.map((v, i) => casts[i]?.(v) ?? null)
}

function identity<T>(value: T): T {
  return value
}

function invalid(policy: Policy, value: unknown, from: DataType, to: DataType): null {
  if (policy !== 'ansi') return null
  throw new MillraceError('CAST_INVALID_INPUT', `${quoted(value)} of type ${typeName(from)} is not a ${typeName(to)}`, {
    detail: `found ${quoted(value)}, expected the text of a ${typeName(to)}`,
    hint: `use tryCast('${typeName(to)}') to get null instead`,
  })
}

function outOfRange(policy: Policy, value: unknown, from: DataType, to: DataType): null {
  if (policy !== 'ansi') return null
  throw new MillraceError(
    'CAST_OVERFLOW',
    `${quoted(value)} of type ${typeName(from)} does not fit a ${typeName(to)}`,
    {
      detail: `found ${quoted(value)}, expected a value within the range of ${typeName(to)}`,
      hint: `use tryCast('${typeName(to)}') to get null instead`,
    },
  )
}

const quoted = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 200)) : String(value)

function fromString(from: DataType, to: DataType, policy: Policy): Cast {
  const orInvalid =
    <T extends Value>(parse: (text: string) => T | undefined) =>
    (text: string): T | null =>
      parse(text) ?? invalid(policy, text, from, to)
  switch (to.kind) {
    case 'binary':
      return encodeUtf8
    case 'boolean':
      return orInvalid(parseBoolean)
    case 'double':
      return orInvalid(parseDouble)
    case 'float':
      return orInvalid((text) => {
        const value = parseDouble(text)
        return value === undefined ? undefined : Math.fround(value)
      })
    case 'date':
      return orInvalid(parseDate)
    case 'timestamp':
      return orInvalid(parseTimestamp)
    case 'bigint':
      return orInvalid((text) => {
        const value = parseInteger(text, policy === 'legacy')
        return value !== undefined && value >= LONG_MIN && value <= LONG_MAX ? value : undefined
      })
    case 'decimal':
      return (text: string) => {
        const plain = decimalText(text)
        if (plain === undefined) return invalid(policy, text, from, to)
        return checkedDecimal(decimalOfText(plain, to.scale), to, policy === 'ansi')
      }
    default: {
      const [low, high] = ranges[to.kind] ?? [0, 0]
      return orInvalid((text) => {
        const value = parseInteger(text, policy === 'legacy')
        return value !== undefined && value >= low && value <= high ? Number(value) : undefined
      })
    }
  }
}

function fromBoolean(to: DataType, policy: Policy): Cast {
  if (to.kind === 'decimal')
    return (b: boolean) => checkedDecimal(b ? 10n ** BigInt(to.scale) : 0n, to, policy === 'ansi')
  if (to.kind === 'bigint') return (b: boolean) => (b ? 1n : 0n)
  // One microsecond, which a timestamp of milliseconds cannot tell from none.
  if (to.kind === 'timestamp') return () => 0
  return (b: boolean) => (b ? 1 : 0)
}

function fromTimestamp(from: DataType, to: DataType, policy: Policy): Cast {
  if (to.kind === 'date') return daysOf
  if (to.kind === 'boolean') return (ms: number) => ms !== 0
  if (to.kind === 'double') return (ms: number) => ms / 1000
  if (to.kind === 'float') return (ms: number) => Math.fround(ms / 1000)
  if (to.kind === 'decimal')
    return (ms: number) => checkedDecimal(rescale(BigInt(ms), 3, to.scale), to, policy === 'ansi')
  const seconds = (ms: number): number => Math.floor(ms / 1000)
  if (to.kind === 'bigint') return (ms: number) => BigInt(seconds(ms))
  const narrow = integerTo(from, to, policy)
  return (ms: number) => narrow(seconds(ms))
}

/** A whole number of a double to byte, short, int or long. */
function integerTo(from: DataType, to: DataType, policy: Policy): (value: number) => number | null {
  const [low, high] = ranges[to.kind] ?? [0, 0]
  if (policy !== 'legacy' || to.kind === 'long') {
    return (value) => (value >= low && value <= high ? value : outOfRange(policy, value, from, to))
  }
  const shift = to.kind === 'byte' ? 24 : to.kind === 'short' ? 16 : 0
  return (value) => (value << shift) >> shift
}

function fromInteger(from: DataType, to: DataType, policy: Policy): Cast {
  switch (to.kind) {
    case 'bigint':
      return BigInt as (value: number) => bigint
    case 'double':
      return identity
    case 'float':
      return Math.fround
    case 'boolean':
      return (value: number) => value !== 0
    case 'decimal':
      return (value: number) => checkedDecimal(rescale(BigInt(value), 0, to.scale), to, policy === 'ansi')
    case 'timestamp':
      return secondsToTimestamp(from, to, policy)
    case 'binary':
      return integerBytes(from)
    default:
      return integerTo(from, to, policy)
  }
}

/** Spark keeps microseconds in 64 bits; what leaves them saturates, or under ANSI overflows. */
const TIMESTAMP_SECONDS_MAX = 9_223_372_036_854

function secondsToTimestamp(from: DataType, to: DataType, policy: Policy): (seconds: number) => number | null {
  return (seconds) => {
    if (Math.abs(seconds) <= TIMESTAMP_SECONDS_MAX) return Math.floor(seconds * 1000) + 0
    return outOfRange(policy, seconds, from, to)
  }
}

function integerBytes(from: DataType): (value: number | bigint) => Uint8Array {
  const size = from.kind === 'byte' ? 1 : from.kind === 'short' ? 2 : from.kind === 'int' ? 4 : 8
  return (value) => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value))
    return bytes.slice(8 - size)
  }
}

function fromBigint(from: DataType, to: DataType, policy: Policy): Cast {
  switch (to.kind) {
    case 'double':
      return Number as (value: bigint) => number
    case 'float':
      return floatOfBigint
    case 'boolean':
      return (value: bigint) => value !== 0n
    case 'decimal':
      return (value: bigint) => checkedDecimal(rescale(value, 0, to.scale), to, policy === 'ansi')
    case 'timestamp': {
      const convert = secondsToTimestamp(from, to, policy)
      return (value: bigint) => convert(Number(value))
    }
    case 'binary':
      return integerBytes(from)
    default:
      return bigintTo(from, to, policy)
  }
}

function bigintTo(from: DataType, to: DataType, policy: Policy): (value: bigint) => number | null {
  const [low, high] = ranges[to.kind] ?? [0, 0]
  if (policy !== 'legacy' || to.kind === 'long') {
    return (value) => (value >= low && value <= high ? Number(value) : outOfRange(policy, value, from, to))
  }
  const bits = to.kind === 'byte' ? 8 : to.kind === 'short' ? 16 : 32
  return (value) => Number(BigInt.asIntN(bits, value))
}

function fromFloating(from: DataType, to: DataType, policy: Policy): Cast {
  switch (to.kind) {
    case 'double':
      return identity
    case 'float':
      return Math.fround
    case 'boolean':
      return (value: number) => value !== 0
    case 'decimal':
      return (value: number) => {
        if (!Number.isFinite(value)) {
          return policy === 'ansi' ? checkedDecimal(10n ** 400n, to, true) : null
        }
        return checkedDecimal(decimalOfNumber(value, to.scale), to, policy === 'ansi')
      }
    case 'timestamp': {
      const convert = secondsToTimestamp(from, to, policy)
      return (value: number) => (Number.isFinite(value) ? convert(value) : invalid(policy, value, from, to))
    }
    case 'bigint':
      return doubleToBigint(from, to, policy)
    default:
      return doubleToInteger(from, to, policy)
  }
}

function doubleToBigint(from: DataType, to: DataType, policy: Policy): (value: number) => bigint | null {
  return (value) => {
    // 2^63 is a double, 2^63 − 1 is not.
    if (value >= -(2 ** 63) && value < 2 ** 63) return BigInt(Math.trunc(value))
    if (policy !== 'legacy') return outOfRange(policy, value, from, to)
    return Number.isNaN(value) ? 0n : value > 0 ? LONG_MAX : LONG_MIN
  }
}

function doubleToInteger(from: DataType, to: DataType, policy: Policy): (value: number) => number | null {
  const [low, high] = ranges[to.kind] ?? [0, 0]
  if (policy !== 'legacy' || to.kind === 'long') {
    return (value) => {
      const whole = Math.trunc(value) + 0
      return whole >= low && whole <= high ? whole : outOfRange(policy, value, from, to)
    }
  }
  // As Java does: saturate at int, then cut to the narrower type.
  const shift = to.kind === 'byte' ? 24 : to.kind === 'short' ? 16 : 0
  return (value) => {
    const int = Number.isNaN(value) ? 0 : Math.trunc(Math.max(INT_MIN, Math.min(INT_MAX, value)))
    return (int << shift) >> shift
  }
}

function fromDecimal(from: DecimalType, to: DataType, policy: Policy): Cast {
  const toDouble = (value: bigint): number => Number(formatDecimal(value, from.scale))
  const whole = (value: bigint): bigint => value / 10n ** BigInt(from.scale)
  switch (to.kind) {
    case 'decimal':
      return (value: bigint) => checkedDecimal(rescale(value, from.scale, to.scale), to, policy === 'ansi')
    case 'double':
      return toDouble
    case 'float':
      return (value: bigint) => Math.fround(toDouble(value))
    case 'boolean':
      return (value: bigint) => value !== 0n
    case 'timestamp': {
      const convert = secondsToTimestamp(from, to, policy)
      return (value: bigint) => convert(toDouble(value))
    }
    case 'bigint':
      return (value: bigint) => {
        const w = whole(value)
        if (BigInt.asIntN(64, w) === w) return w
        return policy === 'legacy' ? BigInt.asIntN(64, w) : outOfRange(policy, toDouble(value), from, to)
      }
    default: {
      const narrow = bigintTo(from, isIntegral(to) ? to : { kind: 'int' }, policy)
      return (value: bigint) => narrow(whole(value))
    }
  }
}
