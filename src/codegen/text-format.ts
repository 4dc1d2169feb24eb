import { formatDecimal } from '../common/decimal.js'
import { MillraceError } from '../common/errors.js'
import type { DataType } from '../types/data-type.js'
import { formatValue } from './text-values.js'
import type { Value } from './value.js'

/** `formatString`, which is Java's String.format, and `formatNumber`, which is its DecimalFormat with groups of three. */

/** A finite double times 10^digits, exactly, rounded to the even neighbour of a tie. */
function scaledExactly(value: number, digits: number): bigint {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const exponent = Number((bits >> 52n) & 0x7ffn)
  const fraction = bits & ((1n << 52n) - 1n)
  const mantissa = exponent === 0 ? fraction : fraction | (1n << 52n)
  const power = (exponent === 0 ? 1 : exponent) - 1075
  const scaled = mantissa * 10n ** BigInt(digits)
  if (power >= 0) return scaled << BigInt(power)
  const divisor = 1n << BigInt(-power)
  const quotient = scaled / divisor
  const twice = (scaled % divisor) * 2n
  return twice > divisor || (twice === divisor && (quotient & 1n) === 1n) ? quotient + 1n : quotient
}

const grouped = (whole: string): string => whole.replace(/\B(?=(\d{3})+$)/g, ',')

/** At most so many digits behind the point as a text may have characters. */
const DIGITS_MAX = 1000

export function formatNumber(type: DataType): (value: number | bigint, digits: number) => string | null {
  return (value, digits) => {
    if (digits < 0 || digits > DIGITS_MAX) return null
    if (typeof value === 'number' && !Number.isFinite(value))
      return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '-∞'
    const negative = typeof value === 'bigint' ? value < 0n : value < 0 || Object.is(value, -0)
    const text = plainDigits(value, digits, type)
    const point = text.length - digits
    const whole = grouped(text.slice(0, point))
    return `${negative ? '-' : ''}${whole}${digits === 0 ? '' : `.${text.slice(point)}`}`
  }
}

/** The digits of a size, `digits` of them behind the point and one at least before it. */
function plainDigits(value: number | bigint, digits: number, type: DataType): string {
  let scaled: bigint
  if (typeof value === 'number' && !Number.isInteger(value)) scaled = scaledExactly(Math.abs(value), digits)
  else if (type.kind === 'decimal') scaled = decimalScaled(value as bigint, type.scale, digits)
  else {
    const whole = typeof value === 'bigint' ? value : wholeOfDouble(value)
    scaled = (whole < 0n ? -whole : whole) * 10n ** BigInt(digits)
  }
  return scaled.toString().padStart(digits + 1, '0')
}

/** By the digits that a double is printed with, not by all that it has. */
function wholeOfDouble(value: number): bigint {
  if (Math.abs(value) < 2 ** 53) return BigInt(value)
  const [mantissa = '', power = '0'] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  return BigInt(digits.padEnd(Number(power) + 1, '0'))
}

function decimalScaled(value: bigint, scale: number, digits: number): bigint {
  const size = value < 0n ? -value : value
  if (digits >= scale) return size * 10n ** BigInt(digits - scale)
  const divisor = 10n ** BigInt(scale - digits)
  const quotient = size / divisor
  const twice = (size % divisor) * 2n
  return twice > divisor || (twice === divisor && (quotient & 1n) === 1n) ? quotient + 1n : quotient
}

/** Characters of one field of a format, which its pattern could otherwise make as many as memory holds. */
const FIELD_MAX = 100_000
/** Of JavaScript's toExponential and toFixed; no double is printed with as many. */
const PLACES_MAX = 100

const conversion = /%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g

export function formatString(
  types: readonly DataType[],
): (pattern: string | null, ...values: (Value | null)[]) => string | null {
  return (pattern, ...values) => {
    if (pattern === null) return null
    let next = 0
    let end = 0
    const text = pattern.replace(
      conversion,
      (whole, position, flags: string, width, precision, letter: string, at: number) => {
        if (pattern.slice(end, at).includes('%'))
          throw invalidFormat(pattern, `a % at character ${pattern.indexOf('%', end)}`)
        end = at + whole.length
        if (letter === 'n') return '\n'
        if (Number(width ?? 0) > FIELD_MAX || Number(precision ?? 0) > FIELD_MAX)
          throw invalidFormat(pattern, `${whole} asks for more than ${FIELD_MAX} characters`)
        if (letter === '%') return pad('%', flags, width)
        const index = position === undefined ? next++ : Number(position) - 1
        if (index < 0 || index >= values.length) throw invalidFormat(pattern, `${whole} has no argument`)
        const field = { flags, precision: precision === undefined ? undefined : Number(precision), letter }
        return pad(converted(field, values[index] ?? null, types[index + 1] as DataType, pattern), flags, width, letter)
      },
    )
    if (pattern.slice(end).includes('%')) throw invalidFormat(pattern, 'a % without a letter')
    return text
  }
}

interface Conversion {
  readonly flags: string
  readonly precision: number | undefined
  readonly letter: string
}

function pad(text: string, flags: string, width: string | undefined, letter = 's'): string {
  const length = Number(width ?? 0)
  if (flags.includes('-')) return text.padEnd(length)
  if (!flags.includes('0') || !/[doxXeEfgG]/.test(letter) || !/\d/.test(text)) return text.padStart(length)
  const sign = /^[-+ (]/.exec(text)?.[0] ?? ''
  return sign + text.slice(sign.length).padStart(length - sign.length, '0')
}

function converted(field: Conversion, value: Value | null, type: DataType, pattern: string): string {
  const { letter, precision } = field
  const upper = letter !== letter.toLowerCase()
  const kind = letter.toLowerCase()
  const cased = (text: string): string => (upper ? text.toUpperCase() : text)
  if (kind === 'b') return cased(String(value === null ? false : typeof value === 'boolean' ? value : true))
  if (value === null) return cased('null').slice(0, /[dxoc]/.test(kind) ? undefined : precision)
  switch (kind) {
    case 's':
      return cased((formatValue(type) as (v: Value) => string)(value).slice(0, precision))
    case 'd':
      if (typeof value === 'bigint' && type.kind !== 'decimal') return signed(value < 0n, value, field)
      if (typeof value === 'number' && Number.isInteger(value) && !isFloating(type))
        return signed(value < 0, BigInt(value), field)
      break
    case 'x':
    case 'o':
      if (typeof value === 'bigint' || (typeof value === 'number' && !isFloating(type))) {
        const bits = type.kind === 'byte' ? 8 : type.kind === 'short' ? 16 : type.kind === 'int' ? 32 : 64
        return cased(BigInt.asUintN(bits, BigInt(value)).toString(kind === 'x' ? 16 : 8))
      }
      break
    case 'c':
      if (typeof value === 'number') return cased(String.fromCodePoint(value))
      break
    case 'e':
    case 'f':
    case 'g':
      if (typeof value === 'number' && isFloating(type)) return cased(floating(value, kind, field))
      if (type.kind === 'decimal')
        return cased(floating(Number(formatDecimal(value as bigint, type.scale)), kind, field))
      break
  }
  throw invalidFormat(pattern, `%${letter} does not take a ${type.kind}`)
}

const isFloating = (type: DataType): boolean => type.kind === 'double' || type.kind === 'float'

function signed(negative: boolean, value: bigint, { flags }: Conversion): string {
  const size = (negative ? -value : value).toString()
  return withSign(negative, flags.includes(',') ? grouped(size) : size, flags)
}

function withSign(negative: boolean, size: string, flags: string): string {
  if (negative) return flags.includes('(') ? `(${size})` : `-${size}`
  return flags.includes('+') ? `+${size}` : flags.includes(' ') ? ` ${size}` : size
}

function floating(value: number, kind: string, { flags, precision = 6 }: Conversion): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : withSign(value < 0, 'Infinity', flags)
  const negative = value < 0 || Object.is(value, -0)
  const size = Math.abs(value)
  const exponential = (): string =>
    size.toExponential(Math.min(precision, PLACES_MAX)).replace(/e([+-])(\d)$/, 'e$10$2')
  if (kind === 'e') return withSign(negative, exponential(), flags)
  if (kind === 'g') {
    const digits = precision === 0 ? 1 : precision
    const plain = size === 0 || (size >= 1e-4 && size < 10 ** digits)
    const places = size === 0 ? digits - 1 : digits - 1 - Math.floor(Math.log10(size))
    const text = plain
      ? size.toFixed(Math.max(0, Math.min(PLACES_MAX, places)))
      : size.toExponential(Math.min(digits - 1, PLACES_MAX)).replace(/e([+-])(\d)$/, 'e$10$2')
    return withSign(negative, text, flags)
  }
  // Java rounds the digits that it prints for the double half up.
  const text = halfUp(size, precision)
  const [whole = '', fraction] = text.split('.')
  return withSign(
    negative,
    `${flags.includes(',') ? grouped(whole) : whole}${fraction === undefined ? '' : `.${fraction}`}`,
    flags,
  )
}

function halfUp(size: number, digits: number): string {
  const [mantissa = '', power = '0'] = size.toExponential().split('e')
  const all = mantissa.replace('.', '')
  const scale = all.length - 1 - Number(power)
  const value = BigInt(all)
  let scaled: bigint
  if (scale <= digits) scaled = value * 10n ** BigInt(digits - scale)
  else {
    const divisor = 10n ** BigInt(scale - digits)
    scaled = (value * 2n + divisor) / (divisor * 2n)
  }
  const text = scaled.toString().padStart(digits + 1, '0')
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`
}

function invalidFormat(pattern: string, detail: string): MillraceError {
  return new MillraceError('INVALID_PARAMETER_VALUE', `${JSON.stringify(pattern)} is not a format for these values`, {
    detail,
    hint: 'conversions: %s %d %x %o %e %f %g %c %b %n %%, as in Java',
  })
}
