import { copiedBytes } from '../common/bytes.js'
import { decodeUtf8 } from '../common/utf8.js'
import {
  type BlockRef,
  type BufferViews,
  blockRowCount,
  DIRECTORY_BYTES,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
  directoryEntry,
} from './block.js'
import { type ColumnSlot, columnSlots, type DataType, type StructType, topLevelSlots } from './data-type.js'
import { decodeNested } from './nested-value.js'

export { decodeUtf8 } from '../common/utf8.js'
export { checkBlock } from './block-check.js'

/**
 * Values out of a block, one at a time, in the representation of BoundExpression (plan/expression.ts). For
 * the interpreter, tests and small results; compiled stages index the buffers themselves.
 */
export type ValueReader = (views: BufferViews, position: number, row: number) => unknown

/** Reader of one slot. Null where the slot or a struct around it is null; a struct is an array of its fields' values. */
export function valueReader(slots: readonly ColumnSlot[], slot: number): ValueReader {
  const own = ownReader(slots, slot)
  const parents: number[] = []
  for (let s = (slots[slot] as ColumnSlot).parent; s !== -1; s = (slots[s] as ColumnSlot).parent) {
    if ((slots[s] as ColumnSlot).nullable) parents.push(s)
  }
  if (parents.length === 0) return own
  return (views, position, row) => {
    for (let i = 0; i < parents.length; i++) {
      if (isNullAt(views, position, parents[i] as number, row)) return null
    }
    return own(views, position, row)
  }
}

/** Whether the slot itself is null at `row`; the structs around it are not looked at. */
export function isNullAt(views: BufferViews, position: number, slot: number, row: number): boolean {
  const validity = views.i32[(directoryEntry(position, slot) + DIRECTORY_VALIDITY) >> 2] as number
  return validity !== 0 && (((views.u8[position + validity + (row >> 3)] as number) >> (row & 7)) & 1) === 0
}

/** The 64-bit integer whose low word is word `at` of the buffer, as a number. Exact for safe integers. */
export function readInt64(views: BufferViews, at: number): number {
  return (views.i32[at + 1] as number) * 4294967296 + (views.u32[at] as number)
}

export function readBigInt64(views: BufferViews, byte: number): bigint {
  return views.dv.getBigInt64(byte, true)
}

export function readInt128(views: BufferViews, byte: number): bigint {
  return (views.dv.getBigInt64(byte + 8, true) << 64n) | views.dv.getBigUint64(byte, true)
}

/** A copy of bytes [start, end), in memory of its own. */
export function copyBytes(views: BufferViews, start: number, end: number): Uint8Array {
  return copiedBytes(views.u8, start, end)
}

/** All values of one slot. */
export function readColumn(block: BlockRef, slots: readonly ColumnSlot[], slot: number): unknown[] {
  const read = valueReader(slots, slot)
  const rows = blockRowCount(block.views, block.position)
  const values: unknown[] = []
  for (let row = 0; row < rows; row++) values.push(read(block.views, block.position, row))
  return values
}

/** Every row as the array of its top-level values. */
export function readValues(schema: StructType, block: BlockRef): unknown[][] {
  const slots = columnSlots(schema)
  const readers = topLevelSlots(schema).map((slot) => valueReader(slots, slot))
  const count = blockRowCount(block.views, block.position)
  const rows: unknown[][] = []
  for (let row = 0; row < count; row++) rows.push(readers.map((read) => read(block.views, block.position, row)))
  return rows
}

function ownReader(slots: readonly ColumnSlot[], slot: number): ValueReader {
  const column = slots[slot] as ColumnSlot
  const read = presentReader(slots, column)
  if (!column.nullable) return read
  return (views, position, row) => (isNullAt(views, position, slot, row) ? null : read(views, position, row))
}

/** What the bytes of a `bytes` column are, by the column's type. */
export function bytesReader(type: DataType): (views: BufferViews, start: number, end: number) => unknown {
  if (type.kind === 'string') return decodeUtf8
  return type.kind === 'binary' ? copyBytes : (views, start) => decodeNested(type, views.u8, start)
}

/** Reads a value that is not null. */
function presentReader(slots: readonly ColumnSlot[], column: ColumnSlot): ValueReader {
  const slot = column.index
  const values = (views: BufferViews, position: number): number =>
    position + (views.i32[(directoryEntry(position, slot) + DIRECTORY_VALUES) >> 2] as number)
  switch (column.physical) {
    case 'bits':
      return (views, position, row) =>
        (((views.u8[values(views, position) + (row >> 3)] as number) >> (row & 7)) & 1) === 1
    case 'i8':
      return (views, position, row) => views.i8[values(views, position) + row]
    case 'i16':
      return (views, position, row) => views.i16[(values(views, position) >> 1) + row]
    case 'i32':
      return (views, position, row) => views.i32[(values(views, position) >> 2) + row]
    case 'f32':
      return (views, position, row) => views.f32[(values(views, position) >> 2) + row]
    case 'f64':
      return (views, position, row) => views.f64[(values(views, position) >> 3) + row]
    case 'i64':
      if (column.type.kind === 'bigint')
        return (views, position, row) => readBigInt64(views, values(views, position) + row * 8)
      return (views, position, row) => readInt64(views, (values(views, position) >> 2) + row * 2)
    case 'i128':
      return (views, position, row) => readInt128(views, values(views, position) + row * 16)
    case 'bytes': {
      const convert = bytesReader(column.type)
      return (views, position, row) => {
        const offsets = (values(views, position) >> 2) + row
        const bytes = position + (views.i32[(directoryEntry(position, slot) + DIRECTORY_BYTES) >> 2] as number)
        return convert(views, bytes + (views.i32[offsets] as number), bytes + (views.i32[offsets + 1] as number))
      }
    }
    case 'struct': {
      const children = column.children.map((child) => ownReader(slots, child))
      return (views, position, row) => children.map((read) => read(views, position, row))
    }
  }
}
