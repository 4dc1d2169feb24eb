import { MillraceError } from '../common/errors.js'
import { type DataType, type DecimalType, type ScalarKind, sameType, scalar, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'

/**
 * Which types meet in which, as Spark decides it. Two policies: ANSI (the default of Spark 4: a string
 * that meets a number becomes that number or is an error) and legacy (it becomes null). The types alone
 * are decided here; the values are converted by codegen/casts.ts.
 *
 * Where Spark has one 64-bit integer there are two here: `long`, a JavaScript number that is a safe
 * integer, and `bigint`, exact. They meet in `bigint`.
 */

export const types = {
  string: scalar('string'),
  binary: scalar('binary'),
  boolean: scalar('boolean'),
  byte: scalar('byte'),
  short: scalar('short'),
  int: scalar('int'),
  long: scalar('long'),
  bigint: scalar('bigint'),
  float: scalar('float'),
  double: scalar('double'),
  date: scalar('date'),
  timestamp: scalar('timestamp'),
  void: scalar('void'),
} as const satisfies Record<ScalarKind, DataType>

export const DECIMAL_PRECISION_MAX = 38
/** Digits after the point that a product or quotient keeps when it must give up some. */
const DECIMAL_SCALE_KEPT = 6

export const decimal = (precision: number, scale: number): DecimalType =>
  Object.freeze({ kind: 'decimal', precision, scale })

const integralRank: Partial<Record<DataType['kind'], number>> = { byte: 0, short: 1, int: 2, long: 3, bigint: 4 }
const integralDigits: Partial<Record<DataType['kind'], number>> = { byte: 3, short: 5, int: 10, long: 20, bigint: 20 }

export const isIntegral = (t: DataType): boolean => integralRank[t.kind] !== undefined
export const isFloating = (t: DataType): boolean => t.kind === 'float' || t.kind === 'double'
export const isNumeric = (t: DataType): boolean => isIntegral(t) || isFloating(t) || t.kind === 'decimal'
export const isTemporal = (t: DataType): boolean => t.kind === 'date' || t.kind === 'timestamp'
/** Its values have an order: they may be compared, sorted, and be the least or the greatest. */
export const isOrderable = (t: DataType): boolean => t.kind !== 'struct' || t.fields.every((f) => isOrderable(f.type))

/** The decimal that holds every value of an integral type. */
export function decimalFor(type: DataType): DecimalType | undefined {
  if (type.kind === 'decimal') return type
  const digits = integralDigits[type.kind]
  return digits === undefined ? undefined : decimal(digits, 0)
}

/** The decimal that holds every value of both, cut to 38 digits. */
export function widerDecimal(a: DecimalType, b: DecimalType): DecimalType {
  const scale = Math.max(a.scale, b.scale)
  const whole = Math.max(a.precision - a.scale, b.precision - b.scale)
  return decimal(Math.min(DECIMAL_PRECISION_MAX, whole + scale), Math.min(DECIMAL_PRECISION_MAX, scale))
}

/** Spark's rule where precision may be lost: whole digits first, then at least six after the point. */
export function adjustedDecimal(precision: number, scale: number): DecimalType {
  if (precision <= DECIMAL_PRECISION_MAX) return decimal(precision, scale)
  const whole = precision - scale
  const kept = Math.min(scale, DECIMAL_SCALE_KEPT)
  return decimal(DECIMAL_PRECISION_MAX, Math.max(DECIMAL_PRECISION_MAX - whole, kept))
}

export function commonNumeric(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (!isNumeric(a) || !isNumeric(b)) return undefined
  if (sameType(a, b)) return a
  const rankA = integralRank[a.kind]
  const rankB = integralRank[b.kind]
  if (rankA !== undefined && rankB !== undefined) return rankA >= rankB ? a : b
  if (a.kind === 'double' || b.kind === 'double') return types.double
  if (a.kind === 'float' || b.kind === 'float') {
    const other = a.kind === 'float' ? b : a
    if (other.kind === 'decimal') return types.double
    return ansi ? types.double : types.float
  }
  const left = decimalFor(a)
  const right = decimalFor(b)
  return left === undefined || right === undefined ? undefined : widerDecimal(left, right)
}

/** What a string turns into beside `other` under ANSI. */
function stringBeside(other: DataType): DataType | undefined {
  if (isIntegral(other)) return types.bigint
  if (isNumeric(other)) return types.double
  if (other.kind === 'struct') return undefined
  return other
}

/** One type for the branches of a case, a coalesce, the list of an in. */
export function commonType(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (sameType(a, b)) return a
  if (a.kind === 'void') return b
  if (b.kind === 'void') return a
  const numeric = commonNumeric(a, b, ansi)
  if (numeric !== undefined) return numeric
  if (isTemporal(a) && isTemporal(b)) return types.timestamp
  if (a.kind === 'string' || b.kind === 'string') {
    const other = a.kind === 'string' ? b : a
    if (ansi) return stringBeside(other)
    return other.kind === 'struct' || other.kind === 'binary' || other.kind === 'boolean' ? undefined : types.string
  }
  return undefined
}

/** The type in which two values are compared. */
export function comparisonType(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (!ansi && (a.kind === 'string') !== (b.kind === 'string')) {
    const other = a.kind === 'string' ? b : a
    if (other.kind === 'void') return types.string
    if (other.kind === 'decimal') return types.double
    return other.kind === 'struct' ? undefined : other
  }
  return commonType(a, b, ansi)
}

/** The type in which two values are added, subtracted, multiplied; decimals keep their own. */
export function arithmeticType(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (a.kind === 'void' && b.kind === 'void') return types.double
  if (a.kind === 'void') return arithmeticType(b, b, ansi)
  if (b.kind === 'void') return arithmeticType(a, a, ansi)
  if (a.kind === 'string' || b.kind === 'string') {
    const other = a.kind === 'string' ? b : a
    if (other.kind === 'string') return types.double
    if (!isNumeric(other)) return undefined
    return ansi ? stringBeside(other) : types.double
  }
  return commonNumeric(a, b, ansi)
}

/** Which casts exist at all. ANSI forbids those that Spark forbids: a number is no date, a date no number. */
export function canCast(from: DataType, to: DataType, ansi: boolean): boolean {
  if (sameType(from, to) || from.kind === 'void') return true
  if (to.kind === 'void') return false
  if (from.kind === 'struct') return to.kind === 'string'
  if (to.kind === 'struct') return false
  if (from.kind === 'string' || to.kind === 'string') return true
  if (from.kind === 'binary') return false
  if (to.kind === 'binary') return !ansi && isIntegral(from)
  if (isNumeric(from) || from.kind === 'boolean') {
    if (to.kind === 'date') return false
    if (to.kind === 'timestamp') return from.kind !== 'boolean' || !ansi
    return true
  }
  // What is left on the left: date and timestamp.
  if (isTemporal(to)) return true
  if (from.kind === 'date') return !ansi && (isNumeric(to) || to.kind === 'boolean')
  return isNumeric(to) || !ansi
}

/** May the cast make a null of a value? */
export function castMakesNull(from: DataType, to: DataType, ansi: boolean, isTry: boolean): boolean {
  if (sameType(from, to)) return false
  if (from.kind === 'void') return true
  if (to.kind === 'string') return false
  if (from.kind === 'date' && to.kind !== 'timestamp') return true
  if (ansi && !isTry) return false
  if (from.kind === 'string') return to.kind !== 'binary'
  if (from.kind === 'boolean') return to.kind === 'decimal' || to.kind === 'timestamp'
  if (to.kind === 'boolean' || to.kind === 'binary') return false
  if (isTry) return !(isIntegral(from) && isFloating(to)) && !(isTemporal(from) && isTemporal(to))
  if (to.kind === 'timestamp') return from.kind !== 'date'
  if (to.kind === 'date') return false
  if (to.kind === 'decimal') return true
  // Legacy casts to a narrower integer wrap; a `long` has nothing to wrap to beyond 2^53.
  return to.kind === 'long' && from.kind !== 'byte' && from.kind !== 'short' && from.kind !== 'int'
}

/** Can the cast throw? Only an ANSI cast can, and not where every value fits. */
export function castThrows(from: DataType, to: DataType, ansi: boolean, isTry: boolean): boolean {
  if (!ansi || isTry || sameType(from, to) || from.kind === 'void') return false
  if (to.kind === 'string' || to.kind === 'binary' || (to.kind === 'boolean' && from.kind !== 'string')) return false
  const rankFrom = integralRank[from.kind]
  const rankTo = integralRank[to.kind]
  if (rankFrom !== undefined && rankTo !== undefined) return rankTo < rankFrom
  if (isFloating(to)) return from.kind === 'string'
  if (isTemporal(from) && isTemporal(to)) return false
  return !(from.kind === 'boolean' && rankTo !== undefined)
}

/** `expression` as `to`, with a cast node only where the types differ. */
export function castTo(expression: BoundExpression, to: DataType, ansi: boolean, isTry = false): BoundExpression {
  const from = expression.type
  if (sameType(from, to)) return expression
  if (expression.kind === 'literal' && expression.value === null) {
    return { kind: 'literal', value: null, type: to, nullable: true }
  }
  if (!canCast(from, to, ansi || isTry)) {
    throw new MillraceError(
      'DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION',
      `a ${typeName(from)} cannot be cast to ${typeName(to)}`,
      {
        hint:
          !ansi || !canCast(from, to, false)
            ? 'go through a type that both can be cast to, for example string'
            : 'open Millrace with { ansi: false }, or go through string',
      },
    )
  }
  const nullable = expression.nullable || castMakesNull(from, to, ansi, isTry)
  return { kind: 'cast', arg: expression, type: to, nullable, ...(isTry ? { try: true } : {}) }
}
