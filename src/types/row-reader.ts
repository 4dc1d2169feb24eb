import { formatIsoDate } from '../common/calendar.js'
import { formatDecimal } from '../common/decimal.js'
import { codeGenerationAllowed, FunctionSource } from '../common/function-source.js'
import { decodeUtf8 } from '../common/utf8.js'
import {
  BLOCK_HEADER_BYTES,
  type BlockRef,
  type BufferViews,
  blockRowCount,
  DIRECTORY_BYTES,
  DIRECTORY_ENTRY_BYTES,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
} from './block.js'
import { copyBytes, readBigInt64, readInt128, valueReader } from './block-reader.js'
import { type ColumnSlot, columnSlots, type DataType, type StructType } from './data-type.js'
import { decodeNested } from './nested-value.js'

/**
 * Rows out of a block as the user sees them: plain objects with the column names; `date` an ISO string,
 * `decimal` a string, `binary` a copy, `long` and `timestamp` numbers, an array an array, a map a `Map`, null as null. The readers are
 * generated once per schema; where code generation is forbidden they are put together from closures.
 */
export type Row = Record<string, unknown>
export type RowReader = (views: BufferViews, position: number, row: number) => Row
/** Appends rows [from, to) of a block to `out`. */
export type RowsReader = (views: BufferViews, position: number, from: number, to: number, out: Row[]) => void

export function compileRowReader(schema: StructType): RowReader {
  if (!codeGenerationAllowed()) return interpretedRowReader(schema)
  const source = new FunctionSource()
  const generator = new RowGenerator(source, columnSlots(schema))
  generator.prologue()
  source.line(`return ${generator.row(schema)}`)
  return source.compile<RowReader>('readRow', ['views', 'position', 'row'])
}

/** Like compileRowReader(), with the work that is the same for every row of a block done once. */
export function compileRowsReader(schema: StructType): RowsReader {
  if (!codeGenerationAllowed()) {
    const read = interpretedRowReader(schema)
    return (views, position, from, to, out) => {
      for (let row = from; row < to; row++) out.push(read(views, position, row))
    }
  }
  const source = new FunctionSource()
  const generator = new RowGenerator(source, columnSlots(schema))
  generator.prologue()
  source.block('for (let row = from; row < to; row++)', () => {
    source.line(`out.push(${generator.row(schema)})`)
  })
  return source.compile<RowsReader>('readRows', ['views', 'position', 'from', 'to', 'out'])
}

const rowsReaders = new WeakMap<StructType, RowsReader>()

/** All rows of a block. The reader is kept with the schema object. */
export function readRows(schema: StructType, block: BlockRef): Row[] {
  let read = rowsReaders.get(schema)
  if (read === undefined) {
    read = compileRowsReader(schema)
    rowsReaders.set(schema, read)
  }
  const rows: Row[] = []
  read(block.views, block.position, 0, blockRowCount(block.views, block.position), rows)
  return rows
}

/** The same without generated code. */
export function interpretedRowReader(schema: StructType): RowReader {
  const slots = columnSlots(schema)
  const top = slots.filter((s) => s.parent === -1)
  const names = schema.fields.map((f) => f.name)
  const readers = top.map((slot) => valueReader(slots, slot.index))
  return (views, position, row) => {
    const object: Row = {}
    for (let i = 0; i < names.length; i++) {
      const field = schema.fields[i] as StructType['fields'][number]
      object[names[i] as string] = toUserValue(
        field.type,
        (readers[i] as (typeof readers)[number])(views, position, row),
      )
    }
    return object
  }
}

/** From the representation of evaluation (plan/expression.ts) to the user's. */
export function toUserValue(type: DataType, value: unknown): unknown {
  if (value === null) return null
  switch (type.kind) {
    case 'date':
      return formatIsoDate(value as number)
    case 'decimal':
      return formatDecimal(value as bigint, type.scale)
    case 'struct': {
      const object: Row = {}
      const values = value as readonly unknown[]
      for (let i = 0; i < type.fields.length; i++) {
        const field = type.fields[i] as StructType['fields'][number]
        object[field.name] = toUserValue(field.type, values[i] ?? null)
      }
      return object
    }
    case 'array':
      return (value as readonly unknown[]).map((element) => toUserValue(type.element, element))
    case 'map':
      return new Map(
        (value as readonly (readonly unknown[])[]).map(([key, item]) => [
          toUserValue(type.key, key),
          toUserValue(type.value, item),
        ]),
      )
    default:
      return value
  }
}

/** The array or map that lies at `start`, as the user sees it. */
function readNested(views: BufferViews, start: number, type: DataType): unknown {
  return toUserValue(type, decodeNested(type, views.u8, start))
}

/** Writes the expressions that read one row. Names: u8 i8 … the views, nS vS bS the positions of slot S's buffers. */
class RowGenerator {
  #next = 0

  constructor(
    readonly source: FunctionSource,
    readonly slots: readonly ColumnSlot[],
  ) {}

  /** Positions of the buffers: absolute, in elements of the view that they are read through. Bitmap 0 = no nulls. */
  prologue(): void {
    const { source } = this
    source.line('const { u8, i8, i16, i32, u32, f32, f64 } = views')
    source.line(`const directory = (position + ${BLOCK_HEADER_BYTES}) >> 2`)
    for (const slot of this.slots) {
      const s = slot.index
      const entry = (offset: number): string => `i32[directory + ${(s * DIRECTORY_ENTRY_BYTES + offset) >> 2}]`
      if (slot.nullable)
        source.line(`const n${s} = ${entry(DIRECTORY_VALIDITY)} === 0 ? 0 : position + ${entry(DIRECTORY_VALIDITY)}`)
      const shift = shifts[slot.physical]
      if (shift !== undefined) source.line(`const v${s} = (position + ${entry(DIRECTORY_VALUES)}) >> ${shift}`)
      if (slot.physical === 'bytes') source.line(`const b${s} = position + ${entry(DIRECTORY_BYTES)}`)
    }
  }

  row(type: StructType): string {
    const make = this.source.constant(rowConstructor(type.fields.map((f) => f.name)))
    return `new ${make}(${type.fields.map(() => this.#value()).join(', ')})`
  }

  /** The next slot's value; slots come depth first, as the fields do. */
  #value(): string {
    const slot = this.slots[this.#next] as ColumnSlot
    this.#next += 1
    const value = this.#present(slot)
    if (!slot.nullable) return value
    const n = `n${slot.index}`
    return `(${n} !== 0 && ((u8[${n} + (row >> 3)] >> (row & 7)) & 1) === 0 ? null : ${value})`
  }

  #present(slot: ColumnSlot): string {
    const v = `v${slot.index}`
    const b = `b${slot.index}`
    const call = (fn: unknown, ...args: string[]): string => `${this.source.constant(fn)}(${args.join(', ')})`
    switch (slot.physical) {
      case 'bits':
        return `((u8[${v} + (row >> 3)] >> (row & 7)) & 1) === 1`
      case 'i8':
        return `i8[${v} + row]`
      case 'i16':
        return `i16[${v} + row]`
      case 'i32':
        return slot.type.kind === 'date' ? call(formatIsoDate, `i32[${v} + row]`) : `i32[${v} + row]`
      case 'f32':
        return `f32[${v} + row]`
      case 'f64':
        return `f64[${v} + row]`
      case 'i64':
        if (slot.type.kind === 'bigint') return call(readBigInt64, 'views', `(${v} + 2 * row) * 4`)
        return `i32[${v} + 2 * row + 1] * 4294967296 + u32[${v} + 2 * row]`
      case 'i128': {
        const scale = slot.type.kind === 'decimal' ? slot.type.scale : 0
        return call(formatDecimal, call(readInt128, 'views', `(${v} + 4 * row) * 4`), String(scale))
      }
      case 'bytes':
        if (slot.type.kind === 'array' || slot.type.kind === 'map')
          return call(readNested, 'views', `${b} + i32[${v} + row]`, this.source.constant(slot.type))
        return call(
          slot.type.kind === 'string' ? decodeUtf8 : copyBytes,
          'views',
          `${b} + i32[${v} + row]`,
          `${b} + i32[${v} + row + 1]`,
        )
      case 'struct':
        return this.row(slot.type as StructType)
    }
  }
}

/** log2 of the element size of the view that a kind is read through. */
const shifts: Readonly<Record<string, number>> = {
  bits: 0,
  i8: 0,
  i16: 1,
  i32: 2,
  f32: 2,
  f64: 3,
  i64: 2,
  i128: 2,
  bytes: 2,
}

/**
 * A constructor whose instances are plain objects with `names`. Measured: as quick as an object literal, and
 * no name has to become code for it.
 */
function rowConstructor(names: readonly string[]): unknown {
  const source = new FunctionSource()
  const parameters = names.map((_, i) => `a${i}`)
  names.forEach((name, i) => {
    source.line(`this[${source.constant(name)}] = a${i}`)
  })
  const make = source.compile<{ prototype: unknown }>('Row', parameters)
  make.prototype = Object.prototype
  return make
}
