import type { FunctionSource } from '../common/function-source.js'
import { encodeUtf8 } from '../common/utf8.js'
import { isFloating } from '../plan/type-rules.js'
import type { DataType } from '../types/data-type.js'
import { byteRange, type CodeValue, materialize } from './code-value.js'
import { comparator, compareStrings } from './value.js'

/**
 * Comparisons as JavaScript text. NaN is the greatest double and equals itself, which needs a word more
 * than `<`, unless one side is a literal. Strings that are still bytes are compared as bytes.
 */
export type ComparisonOperator = 'eq' | 'neq' | 'lt' | 'lte' | 'gt' | 'gte'

/** Literals up to this length are compared byte by byte in the text itself. */
const INLINE_BYTES_MAX = 12

/** A boolean expression, true or false for values that are not null; never throws, whatever the values are. */
export function comparisonText(
  source: FunctionSource,
  operator: ComparisonOperator,
  a: CodeValue,
  b: CodeValue,
): string {
  if (isNested(a.type)) {
    const compare = source.constant(comparator(a.type))
    const order = `${compare}(${materialize(source, a).value}, ${materialize(source, b).value})`
    return `${order} ${signs[operator]} 0`
  }
  switch (operator) {
    case 'neq':
      return `!(${equalText(source, a, b)})`
    case 'eq':
      return equalText(source, a, b)
    case 'gt':
      return lessText(source, b, a, false)
    case 'gte':
      return lessText(source, b, a, true)
    case 'lt':
      return lessText(source, a, b, false)
    case 'lte':
      return lessText(source, a, b, true)
  }
}

const signs: Readonly<Record<ComparisonOperator, string>> = {
  eq: '===',
  neq: '!==',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
}

const isNested = (type: DataType): boolean => type.kind === 'array' || type.kind === 'map' || type.kind === 'struct'

/** Must be called where code may be emitted: strings on one side only are materialized. */
function equalText(source: FunctionSource, a: CodeValue, b: CodeValue): string {
  if (isText(a.type)) {
    const ranges = rangesOf(source, a, b)
    if (ranges === undefined) {
      return `${materialize(source, a).value} === ${materialize(source, b).value}`
    }
    const [x, y] = ranges
    const literal = typeof a.literal === 'string' ? a.literal : typeof b.literal === 'string' ? b.literal : undefined
    if (literal !== undefined) return equalsLiteral(source, b.literal === literal ? x : y, literal)
    return `${source.constant(equalBytes)}(${x.u8}, ${x.start}, ${x.end}, ${y.u8}, ${y.start}, ${y.end})`
  }
  if (!isFloating(a.type) || isOrdinary(a) || isOrdinary(b)) return `${a.value} === ${b.value}`
  return `(${a.value} === ${b.value} || (${a.value} !== ${a.value} && ${b.value} !== ${b.value}))`
}

interface ByteRange {
  readonly u8: string
  readonly start: string
  readonly end: string
}

export function equalsLiteral(source: FunctionSource, range: ByteRange, literal: string): string {
  const bytes = encodeUtf8(literal)
  const { u8, start, end } = range
  if (bytes.length > INLINE_BYTES_MAX) {
    return `${source.constant(equalBytes)}(${u8}, ${start}, ${end}, ${source.constant(bytes)}, 0, ${bytes.length})`
  }
  const tests = [`${end} - ${start} === ${bytes.length}`]
  bytes.forEach((byte, i) => {
    tests.push(`${u8}[${start}${i === 0 ? '' : ` + ${i}`}] === ${byte}`)
  })
  return `(${tests.join(' && ')})`
}

function lessText(source: FunctionSource, a: CodeValue, b: CodeValue, orEqual: boolean): string {
  const sign = orEqual ? '<=' : '<'
  if (isText(a.type)) {
    const ranges = rangesOf(source, a, b)
    if (ranges === undefined) {
      return `${source.constant(compareStrings)}(${materialize(source, a).value}, ${materialize(source, b).value}) ${sign} 0`
    }
    const [x, y] = ranges
    return `${source.constant(compareBytes)}(${x.u8}, ${x.start}, ${x.end}, ${y.u8}, ${y.start}, ${y.end}) ${sign} 0`
  }
  if (!isFloating(a.type) || isOrdinary(b)) return `${a.value} ${sign} ${b.value}`
  if (isOrdinary(a)) return `!(${b.value} ${orEqual ? '<' : '<='} ${a.value})`
  if (orEqual) return `(${a.value} <= ${b.value} || ${b.value} !== ${b.value})`
  return `(${a.value} < ${b.value} || (${b.value} !== ${b.value} && ${a.value} === ${a.value}))`
}

const isText = (type: DataType): boolean => type.kind === 'string' || type.kind === 'binary'

/** A literal that is not NaN: the plain operators do what is meant. */
const isOrdinary = (v: CodeValue): boolean => typeof v.literal === 'number' && !Number.isNaN(v.literal)

function rangesOf(source: FunctionSource, a: CodeValue, b: CodeValue): readonly [ByteRange, ByteRange] | undefined {
  if (a.bytes === undefined && b.bytes === undefined && a.type.kind === 'string') return undefined
  const x = byteRange(source, a)
  const y = byteRange(source, b)
  return x === undefined || y === undefined ? undefined : [x, y]
}

export function equalBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart
  if (length !== bEnd - bStart) return false
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}

export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart)
  for (let i = 0; i < length; i++) {
    const difference = (a[aStart + i] as number) - (b[bStart + i] as number)
    if (difference !== 0) return difference
  }
  return aEnd - aStart - (bEnd - bStart)
}

export function startsWithBytes(u8: Uint8Array, start: number, end: number, part: Uint8Array): boolean {
  return end - start >= part.length && equalBytes(u8, start, start + part.length, part, 0, part.length)
}

export function endsWithBytes(u8: Uint8Array, start: number, end: number, part: Uint8Array): boolean {
  return end - start >= part.length && equalBytes(u8, end - part.length, end, part, 0, part.length)
}

/** Every byte that does not continue a character starts one. */
export function countCodePoints(u8: Uint8Array, start: number, end: number): number {
  let count = 0
  for (let i = start; i < end; i++) if (((u8[i] as number) & 0xc0) !== 0x80) count++
  return count
}
