import {
  Field as ArrowField,
  type DataType as ArrowType,
  Binary,
  Bool,
  type Data,
  DateDay,
  Decimal,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  Utf8,
} from 'apache-arrow'
import { unreachable } from '../common/assert.js'
import {
  type BlockRef,
  blockRowCount,
  DIRECTORY_BYTES,
  DIRECTORY_NULL_COUNT,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
  directoryEntry,
} from '../types/block.js'
import { type ColumnSlot, columnSlots, type DataType, type Field, type StructType } from '../types/data-type.js'

/**
 * Blocks as Arrow record batches. A block is in Arrow's physical layout already, so a column becomes an
 * Arrow vector by naming its buffers; nothing is copied. This file alone imports apache-arrow.
 */
export function arrowTable(schema: StructType, blocks: readonly BlockRef[]): Table {
  const arrowSchema = new Schema(schema.fields.map(arrowField))
  const slots = columnSlots(schema)
  const root = new Struct(arrowSchema.fields)
  const batches = blocks.map((block) => {
    const length = blockRowCount(block.views, block.position)
    const children = slots.filter((s) => s.parent === -1).map((slot) => columnData(block, slots, slot, length))
    return new RecordBatch(arrowSchema, makeData({ type: root, length, nullCount: 0, children }))
  })
  return new Table(arrowSchema, batches)
}

function arrowField(field: Field): ArrowField {
  return new ArrowField(field.name, arrowType(field.type), field.nullable)
}

function arrowType(type: DataType): ArrowType {
  switch (type.kind) {
    case 'string':
      return new Utf8()
    case 'binary':
      return new Binary()
    case 'boolean':
    case 'void':
      return new Bool()
    case 'byte':
      return new Int8()
    case 'short':
      return new Int16()
    case 'int':
      return new Int32()
    case 'long':
    case 'bigint':
      return new Int64()
    case 'float':
      return new Float32()
    case 'double':
      return new Float64()
    case 'date':
      return new DateDay()
    case 'timestamp':
      return new TimestampMillisecond('UTC')
    case 'decimal':
      return new Decimal(type.scale, type.precision, 128)
    case 'struct':
      return new Struct(type.fields.map(arrowField))
    default:
      return unreachable(type)
  }
}

function columnData(block: BlockRef, slots: readonly ColumnSlot[], slot: ColumnSlot, length: number): Data {
  const { views, position } = block
  const entry = directoryEntry(position, slot.index)
  const at = (field: number): number => views.i32[(entry + field) >> 2] as number
  const validity = at(DIRECTORY_VALIDITY)
  const nullCount = at(DIRECTORY_NULL_COUNT)
  const nullBitmap =
    validity === 0 ? undefined : views.u8.subarray(position + validity, position + validity + ((length + 7) >> 3))
  const values = at(DIRECTORY_VALUES) === 0 ? undefined : position + at(DIRECTORY_VALUES)
  const type = arrowType(slot.type)
  const common = { length, nullCount, ...(nullBitmap === undefined ? {} : { nullBitmap }) }
  if (slot.physical === 'struct') {
    const children = slot.children.map((child) => columnData(block, slots, slots[child] as ColumnSlot, length))
    return makeData({ type: type as Struct, ...common, children })
  }
  if (slot.physical === 'bytes') {
    const offsets =
      values === undefined ? new Int32Array(length + 1) : views.i32.subarray(values >> 2, (values >> 2) + length + 1)
    const start = position + at(DIRECTORY_BYTES)
    const data = views.u8.subarray(start, start + (offsets[length] ?? 0))
    return makeData({ type: type as Utf8, ...common, valueOffsets: offsets, data })
  }
  return makeData({ type: type as Int32, ...common, data: fixedWidth(block, slot, values, length) as Int32Array })
}

/** The values of a column of fixed width; a column of nulls alone has none, and Arrow wants zeros there. */
function fixedWidth(block: BlockRef, slot: ColumnSlot, start: number | undefined, length: number): ArrayBufferView {
  const { buffer } = block.views
  switch (slot.physical) {
    case 'bits':
      return start === undefined ? new Uint8Array((length + 7) >> 3) : new Uint8Array(buffer, start, (length + 7) >> 3)
    case 'i8':
      return start === undefined ? new Int8Array(length) : new Int8Array(buffer, start, length)
    case 'i16':
      return start === undefined ? new Int16Array(length) : new Int16Array(buffer, start, length)
    case 'i64':
      return start === undefined ? new BigInt64Array(length) : new BigInt64Array(buffer, start, length)
    case 'f32':
      return start === undefined ? new Float32Array(length) : new Float32Array(buffer, start, length)
    case 'f64':
      return start === undefined ? new Float64Array(length) : new Float64Array(buffer, start, length)
    case 'i128':
      return start === undefined ? new Uint32Array(length * 4) : new Uint32Array(buffer, start, length * 4)
    default:
      return start === undefined ? new Int32Array(length) : new Int32Array(buffer, start, length)
  }
}
