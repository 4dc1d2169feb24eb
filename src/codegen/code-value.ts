import type { FunctionSource } from '../common/function-source.js'
import { decodeUtf8, encodeUtf8 } from '../common/utf8.js'
import type { LiteralValue } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import { placeholder } from './value.js'

/**
 * A value inside generated code: what JavaScript expression yields it and what expression says that it is
 * null. Both are cheap to repeat: locals, constants, short texts over them.
 */
export interface CodeValue {
  readonly type: DataType
  /** `'false'` where it never is, `'true'` where it always is. */
  readonly isNull: string
  /**
   * Where the value is null this still has a value of the type's JavaScript kind (a number, a bigint, …),
   * so arithmetic that cannot throw need not look at the null first.
   */
  readonly value: string
  /**
   * A string or binary that is still bytes of a buffer; `value` must then not be used before
   * `materialize`. Identifiers of a Uint8Array and a DataView, and where in them. Only where not null.
   */
  readonly bytes?: { readonly u8: string; readonly dv: string; readonly start: string; readonly end: string }
  /** The value of a literal, where it is one. */
  readonly literal?: LiteralValue
}

export function anyNull(...flags: readonly string[]): string {
  if (flags.includes('true')) return 'true'
  const some = [...new Set(flags.filter((f) => f !== 'false'))]
  return some.length === 0 ? 'false' : some.join(' || ')
}

/** `condition && expression` with the constants folded. */
export function unlessNull(flag: string, expression: string): string {
  if (flag === 'false') return expression
  return flag === 'true' ? 'false' : `!${grouped(flag)} && ${expression}`
}

export const grouped = (expression: string): string => (/^[\w.]+$/.test(expression) ? expression : `(${expression})`)

/** Text of a value that is ours to print: numbers and booleans; all else becomes a constant. */
export function literalText(source: FunctionSource, value: Exclude<LiteralValue, null>): string {
  switch (typeof value) {
    case 'number':
      if (Object.is(value, -0)) return '(-0)'
      return value < 0 ? `(${String(value)})` : String(value)
    case 'boolean':
      return String(value)
    case 'bigint':
      return value < 0n ? `(${value}n)` : `${value}n`
    default:
      return source.constant(value)
  }
}

export function placeholderText(source: FunctionSource, type: DataType): string {
  const value = placeholder(type)
  if (typeof value === 'object') return source.constant(value)
  return typeof value === 'string' ? "''" : literalText(source, value)
}

let decodedU8 = new Uint8Array(0)
let decoding = { u8: decodedU8, node: Buffer.alloc(0) }

/** The string at [start, end) of a buffer, which is nearly always that of the last call. */
export function decodeText(u8: Uint8Array, start: number, end: number): string {
  if (u8 !== decodedU8) {
    decodedU8 = u8 as Uint8Array<ArrayBuffer>
    decoding = { u8: decodedU8, node: Buffer.from(u8.buffer as ArrayBuffer, u8.byteOffset, u8.byteLength) }
  }
  return decodeUtf8(decoding, start, end)
}

/** Bytes as a JavaScript value: a string, or a copy of a binary. Anything else is as it was. */
export function materialize(source: FunctionSource, v: CodeValue): CodeValue {
  if (v.bytes === undefined) return v
  const { u8, start, end } = v.bytes
  const name = source.fresh('t')
  const read =
    v.type.kind === 'string'
      ? `${source.constant(decodeText)}(${u8}, ${start}, ${end})`
      : `${u8}.slice(${start}, ${end})`
  if (v.isNull === 'false') {
    source.line(`const ${name} = ${read};`)
  } else {
    source.line(`let ${name} = ${placeholderText(source, v.type)};`)
    source.line(`if (!${grouped(v.isNull)}) ${name} = ${read};`)
  }
  return { type: v.type, isNull: v.isNull, value: name }
}

/** A value as a range of bytes: of a buffer, of a literal, of a binary. Not for a computed string. */
export function byteRange(
  source: FunctionSource,
  v: CodeValue,
): { u8: string; start: string; end: string } | undefined {
  if (v.bytes !== undefined) return v.bytes
  if (typeof v.literal === 'string') {
    const bytes = encodeUtf8(v.literal)
    return { u8: source.constant(bytes), start: '0', end: String(bytes.length) }
  }
  if (v.type.kind === 'binary') return { u8: v.value, start: '0', end: `${v.value}.length` }
  return undefined
}
