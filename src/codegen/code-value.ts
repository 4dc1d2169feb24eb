import type { FunctionSource } from '../common/function-source.js'
import { decodeUtf8, encodeUtf8 } from '../common/utf8.js'
import type { LiteralValue } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import { decodeNested } from '../types/nested-value.js'
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
  /** A struct that is still the columns of its fields; `value` must then not be used before `materialize`. */
  readonly fields?: readonly CodeValue[]
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

/** Bytes and columns as a JavaScript value: a string, a copy of a binary, an array. Anything else is as it was. */
export function materialize(source: FunctionSource, v: CodeValue): CodeValue {
  if (v.bytes === undefined && v.fields === undefined) return v
  const read = v.fields === undefined ? bytesText(source, v) : fieldsText(source, v.fields)
  const name = source.fresh('t')
  if (v.isNull === 'false') {
    source.line(`const ${name} = ${read};`)
  } else {
    source.line(`let ${name} = ${placeholderText(source, v.type)};`)
    source.line(`if (!${grouped(v.isNull)}) ${name} = ${read};`)
  }
  return { type: v.type, isNull: v.isNull, value: name }
}

function bytesText(source: FunctionSource, v: CodeValue): string {
  const { u8, start, end } = v.bytes as NonNullable<CodeValue['bytes']>
  switch (v.type.kind) {
    case 'string':
      return `${source.constant(decodeText)}(${u8}, ${start}, ${end})`
    case 'array':
    case 'map':
      return `${source.constant(decodeNested)}(${source.constant(v.type)}, ${u8}, ${start})`
    default:
      return `${u8}.slice(${start}, ${end})`
  }
}

function fieldsText(source: FunctionSource, fields: readonly CodeValue[]): string {
  const values = fields.map((field) => orNull(materialize(source, field)))
  return `[${values.join(', ')}]`
}

/** A materialized value as one expression, the JavaScript null where it is null. */
export function orNull(v: CodeValue): string {
  if (v.isNull === 'false') return v.value
  return v.isNull === 'true' ? 'null' : `(${v.isNull} ? null : ${v.value})`
}

/** A field of a struct: a column of its own, or a place in the array. */
export function structField(source: FunctionSource, struct: CodeValue, index: number, type: DataType): CodeValue {
  const column = struct.fields?.[index]
  if (column !== undefined) return column
  const x = source.fresh('field')
  if (struct.isNull === 'true') return { type, isNull: 'true', value: placeholderText(source, type) }
  source.line(
    `let ${x} = ${struct.isNull === 'false' ? '' : `${grouped(struct.isNull)} ? null : `}${struct.value}[${index}];`,
  )
  source.line(`const ${x}_null = ${x} === null; if (${x}_null) ${x} = ${placeholderText(source, type)};`)
  return { type, isNull: `${x}_null`, value: x }
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
