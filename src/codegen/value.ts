import { MillraceError } from '../common/errors.js'
import { type DataType, entriesType } from '../types/data-type.js'

/**
 * Values while expressions are evaluated (see BoundExpression; an array is an array, a map the array of its
 * [key, value] pairs), and their one order: NaN is the greatest
 * double and equal to itself, −0 equals 0, strings and binaries go by their bytes, so strings go by code
 * point and not by UTF-16 unit.
 */
export type Value = string | number | bigint | boolean | Uint8Array | StructValue
export type StructValue = readonly (Value | null)[]

export function compareNumbers(a: number, b: number): number {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return 0
  // At least one of them is NaN.
  const nanA = Number.isNaN(a)
  const nanB = Number.isNaN(b)
  return nanA === nanB ? 0 : nanA ? 1 : -1
}

export function compareBigints(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export function compareBooleans(a: boolean, b: boolean): number {
  return a === b ? 0 : a ? 1 : -1
}

/** By code point: surrogates, which are above U+FFFF, sort after U+E000…U+FFFF. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    if (x >= 0xd800 && y >= 0xd800) {
      const highX = x < 0xe000
      const highY = y < 0xe000
      if (highX !== highY) return highX ? 1 : -1
    }
    return x - y
  }
  return a.length - b.length
}

export function compareBinaries(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function compareStructs(type: DataType & { kind: 'struct' }): (a: StructValue, b: StructValue) => number {
  const comparators = type.fields.map((f) => comparator(f.type) as (a: Value, b: Value) => number)
  return (a, b) => {
    for (let i = 0; i < comparators.length; i++) {
      const x = a[i] ?? null
      const y = b[i] ?? null
      if (x === null || y === null) {
        if (x === y) continue
        return x === null ? -1 : 1
      }
      const order = (comparators[i] as (a: Value, b: Value) => number)(x, y)
      if (order !== 0) return order
    }
    return 0
  }
}

/** By the first elements that differ, a null before all else; then the shorter one goes first. */
function compareArrays(element: DataType): (a: StructValue, b: StructValue) => number {
  const compare = comparator(element) as (a: Value, b: Value) => number
  return (a, b) => {
    const length = Math.min(a.length, b.length)
    for (let i = 0; i < length; i++) {
      const x = a[i] ?? null
      const y = b[i] ?? null
      if (x === null || y === null) {
        if (x === y) continue
        return x === null ? -1 : 1
      }
      const order = compare(x, y)
      if (order !== 0) return order
    }
    return a.length - b.length
  }
}

/** Negative, zero or positive, for two values of the type that are not null. */
export function comparator(type: DataType): (a: never, b: never) => number {
  switch (type.kind) {
    case 'string':
      return compareStrings
    case 'binary':
      return compareBinaries
    case 'boolean':
      return compareBooleans
    case 'bigint':
      return compareBigints
    case 'struct':
      return compareStructs(type)
    case 'array':
      return compareArrays(type.element)
    case 'map':
      return compareArrays(entriesType(type).element)
    default:
      return type.kind === 'decimal' ? compareBigints : compareNumbers
  }
}

const emptyBytes = new Uint8Array(0)

/** A value of the type's JavaScript kind, for a variable whose value is null. */
export function placeholder(type: DataType): Value {
  switch (type.kind) {
    case 'string':
      return ''
    case 'binary':
      return emptyBytes
    case 'boolean':
    case 'void':
      return false
    case 'bigint':
    case 'decimal':
      return 0n
    case 'struct':
    case 'array':
    case 'map':
      return emptyStruct
    default:
      return 0
  }
}

const emptyStruct: StructValue = []

export function overflow(what: string, hint = 'cast to a wider type, or open with { ansi: false }'): MillraceError {
  return new MillraceError('ARITHMETIC_OVERFLOW', what, {
    detail: 'expected a result that its type can hold: with { ansi: true } nothing wraps around',
    hint,
  })
}
