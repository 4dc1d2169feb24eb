import { MillraceError } from '../common/errors.js'
import {
  arrayType,
  type DataType,
  type DecimalType,
  mapType,
  type ScalarKind,
  sameType,
  scalar,
  structType,
  typeName,
} from '../types/data-type.js'
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
  yearMonthInterval: scalar('yearMonthInterval'),
  dayTimeInterval: scalar('dayTimeInterval'),
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
export const isInterval = (t: DataType): boolean => t.kind === 'yearMonthInterval' || t.kind === 'dayTimeInterval'
/** Its values have an order: they may be compared, sorted, and be the least or the greatest. */
export const isOrderable = (t: DataType): boolean => {
  if (t.kind === 'array') return isOrderable(t.element)
  return t.kind !== 'map' && (t.kind !== 'struct' || t.fields.every((f) => isOrderable(f.type)))
}
/** It has parts: struct, array, map. */
export const isNested = (t: DataType): boolean => t.kind === 'struct' || t.kind === 'array' || t.kind === 'map'

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
  return isNested(other) ? undefined : other
}

/** One type for the branches of a case, a coalesce, the list of an in. */
export function commonType(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (sameType(a, b)) return a
  if (a.kind === 'void') return b
  if (b.kind === 'void') return a
  const numeric = commonNumeric(a, b, ansi)
  if (numeric !== undefined) return numeric
  if (isNested(a) || isNested(b)) return commonNested(a, b, ansi)
  if (isTemporal(a) && isTemporal(b)) return types.timestamp
  if (a.kind === 'string' || b.kind === 'string') {
    const other = a.kind === 'string' ? b : a
    if (ansi) return stringBeside(other)
    return isNested(other) || other.kind === 'binary' || other.kind === 'boolean' ? undefined : types.string
  }
  return undefined
}

/** Part by part; the names of a struct's fields are those of the first. */
function commonNested(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (a.kind === 'array' && b.kind === 'array') {
    const element = commonType(a.element, b.element, ansi)
    return element && arrayType(element, a.containsNull || b.containsNull)
  }
  if (a.kind === 'map' && b.kind === 'map') {
    const key = commonType(a.key, b.key, ansi)
    const value = commonType(a.value, b.value, ansi)
    return key && value && mapType(key, value, a.valueContainsNull || b.valueContainsNull)
  }
  if (a.kind !== 'struct' || b.kind !== 'struct' || a.fields.length !== b.fields.length) return undefined
  const fields = a.fields.flatMap((f, i) => {
    const g = b.fields[i]
    const type = g === undefined ? undefined : commonType(f.type, g.type, ansi)
    if (g === undefined || type === undefined || f.name.toLowerCase() !== g.name.toLowerCase()) return []
    return [{ name: f.name, type, nullable: f.nullable || g.nullable }]
  })
  return fields.length === a.fields.length ? structType(fields) : undefined
}

/** The type in which two values are compared. */
export function comparisonType(a: DataType, b: DataType, ansi: boolean): DataType | undefined {
  if (!ansi && (a.kind === 'string') !== (b.kind === 'string')) {
    const other = a.kind === 'string' ? b : a
    if (other.kind === 'void') return types.string
    if (other.kind === 'decimal') return types.double
    return isNested(other) ? undefined : other
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

/** The casts that a cast between two arrays, maps or structs consists of; undefined where it is none. */
export function castParts(
  from: DataType,
  to: DataType,
): readonly { readonly from: DataType; readonly to: DataType }[] | undefined {
  if (from.kind === 'array' && to.kind === 'array') return [{ from: from.element, to: to.element }]
  if (from.kind === 'map' && to.kind === 'map') {
    return [
      { from: from.key, to: to.key },
      { from: from.value, to: to.value },
    ]
  }
  if (from.kind !== 'struct' || to.kind !== 'struct' || from.fields.length !== to.fields.length) return undefined
  return from.fields.map((f, i) => ({ from: f.type, to: (to.fields[i] as { type: DataType }).type }))
}

/** Which casts exist at all. ANSI forbids those that Spark forbids: a number is no date, a date no number. */
export function canCast(from: DataType, to: DataType, ansi: boolean): boolean {
  if (sameType(from, to) || from.kind === 'void') return true
  if (to.kind === 'void') return false
  if (isNested(from) || isNested(to)) {
    if (to.kind === 'string') return true
    const parts = castParts(from, to)
    return parts?.every((part) => canCast(part.from, part.to, ansi)) ?? false
  }
  if (from.kind === 'string') return !isInterval(to)
  if (to.kind === 'string') return true
  if (from.kind === 'binary') return false
  if (to.kind === 'binary') return !ansi && isIntegral(from)
  if (isNumeric(from) || from.kind === 'boolean') {
    if (to.kind === 'date') return false
    if (to.kind === 'timestamp') return from.kind !== 'boolean' || !ansi
    return true
  }
  if (isInterval(from) || isInterval(to)) return false
  // What is left on the left: date and timestamp.
  if (isTemporal(to)) return true
  if (from.kind === 'date') return !ansi && (isNumeric(to) || to.kind === 'boolean')
  return isNumeric(to) || !ansi
}

/** May the cast make a null of a value? */
export function castMakesNull(from: DataType, to: DataType, ansi: boolean, isTry: boolean): boolean {
  if (sameType(from, to)) return false
  if (from.kind === 'void') return true
  if (to.kind === 'string' || isNested(to)) return false
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
  if (isNested(from)) return castParts(from, to)?.some((p) => castThrows(p.from, p.to, ansi, isTry)) ?? false
  if (to.kind === 'string' || to.kind === 'binary' || (to.kind === 'boolean' && from.kind !== 'string')) return false
  const rankFrom = integralRank[from.kind]
  const rankTo = integralRank[to.kind]
  if (rankFrom !== undefined && rankTo !== undefined) return rankTo < rankFrom
  if (isFloating(to)) return from.kind === 'string'
  if (isTemporal(from) && isTemporal(to)) return false
  return !(from.kind === 'boolean' && rankTo !== undefined)
}

/** A part of a nested value that the cast may make null may be null afterwards, whatever was asked for. */
function withPartNulls(from: DataType, to: DataType, ansi: boolean, isTry: boolean): DataType {
  const makesNull = (a: DataType, b: DataType): boolean => castMakesNull(a, b, ansi, isTry)
  if (from.kind === 'array' && to.kind === 'array') {
    const nulls = to.containsNull || from.containsNull || makesNull(from.element, to.element)
    return arrayType(withPartNulls(from.element, to.element, ansi, isTry), nulls)
  }
  if (from.kind === 'map' && to.kind === 'map') {
    const nulls = to.valueContainsNull || from.valueContainsNull || makesNull(from.value, to.value)
    return mapType(to.key, withPartNulls(from.value, to.value, ansi, isTry), nulls)
  }
  if (from.kind !== 'struct' || to.kind !== 'struct') return to
  return structType(
    to.fields.map((f, i) => {
      const g = from.fields[i] ?? f
      const nullable = f.nullable || g.nullable || makesNull(g.type, f.type)
      return { name: f.name, type: withPartNulls(g.type, f.type, ansi, isTry), nullable }
    }),
  )
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
        detail: `found ${typeName(from)}, expected a type that can become ${typeName(to)}`,
        hint:
          !ansi || !canCast(from, to, false)
            ? 'go through a type that both can be cast to, for example string'
            : 'open Millrace with { ansi: false }, or go through string',
      },
    )
  }
  const nullable = expression.nullable || castMakesNull(from, to, ansi, isTry)
  if (isNested(to))
    return {
      kind: 'cast',
      arg: expression,
      type: withPartNulls(from, to, ansi, isTry),
      nullable,
      ...(isTry ? { try: true } : {}),
    }
  return { kind: 'cast', arg: expression, type: to, nullable, ...(isTry ? { try: true } : {}) }
}
