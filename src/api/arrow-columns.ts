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
  List,
  Map_,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  Utf8,
} from 'apache-arrow'
import { unreachable } from '../common/assert.js'
import { type ArrowColumn, arrowColumns } from '../types/arrow.js'
import { type BlockRef, blockRowCount } from '../types/block.js'
import { type DataType, entriesType, type Field, type StructType } from '../types/data-type.js'

/**
 * Blocks as Arrow record batches. A block is in Arrow's physical layout already, so a column becomes an
 * Arrow vector by naming its buffers; nothing is copied. This file alone imports apache-arrow.
 */
export function arrowTable(schema: StructType, blocks: readonly BlockRef[]): Table {
  const arrowSchema = new Schema(schema.fields.map(arrowField))
  const root = new Struct(arrowSchema.fields)
  const batches = blocks.map((block) => {
    const length = blockRowCount(block.views, block.position)
    const children = arrowColumns(schema, block).map(arrowData)
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
    case 'yearMonthInterval':
      return new Int32()
    case 'long':
    case 'dayTimeInterval':
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
    case 'array':
      return new List(arrowField({ name: 'item', type: type.element, nullable: type.containsNull }))
    case 'map': {
      const entries = arrowField({ name: 'entries', type: entriesType(type).element, nullable: false })
      return new Map_(entries as ArrowField<Struct<{ key: ArrowType; value: ArrowType }>>)
    }
    default:
      return unreachable(type)
  }
}

/** An Arrow vector's data from the buffers where they lie. The casts say which of Arrow's overloads is meant. */
function arrowData(column: ArrowColumn): Data {
  const { length, nullCount, validity, offsets, values } = column
  const type = arrowType(column.type)
  const common = { length, nullCount, ...(validity === undefined ? {} : { nullBitmap: validity }) }
  if (column.type.kind === 'struct') {
    return makeData({ type: type as Struct, ...common, children: column.children.map(arrowData) })
  }
  const [child] = column.children
  if (offsets !== undefined && child !== undefined) {
    const parts = { ...common, valueOffsets: offsets, child: arrowData(child) }
    if (column.type.kind === 'map') return makeData({ type: type as Map_, ...parts })
    return makeData({ type: type as List, ...parts })
  }
  if (offsets !== undefined) {
    return makeData({ type: type as Utf8, ...common, valueOffsets: offsets, data: values as Uint8Array })
  }
  // Arrow reads a decimal as four 32-bit words.
  const data =
    column.type.kind === 'decimal' && values !== undefined
      ? new Uint32Array(values.buffer, values.byteOffset, values.byteLength >> 2)
      : values
  return makeData({ type: type as Int32, ...common, data: data as Int32Array })
}
