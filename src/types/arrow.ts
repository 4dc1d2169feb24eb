import { MillraceError } from '../common/errors.js'
import {
  type BlockRef,
  blockByteLength,
  blockRowCount,
  DIRECTORY_BYTES,
  DIRECTORY_NULL_COUNT,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
  directoryEntry,
} from './block.js'
import { BlockBuilder, type ColumnBuffer } from './block-builder.js'
import { checkBlock } from './block-check.js'
import { readColumn } from './block-reader.js'
import {
  type ArrayType,
  type ColumnSlot,
  columnSlots,
  type DataType,
  entriesType,
  type MapType,
  type StructType,
  structType,
  typeName,
} from './data-type.js'
import { encodeNested } from './nested-value.js'

/**
 * Blocks to and from Arrow's physical layout, as plain descriptors: the buffers of each column, for whoever has
 * an Arrow library at hand. No library is imported here. Towards Arrow nothing is copied but what a block
 * leaves out, the values of a column that is null throughout.
 *
 *   // string Utf8 · binary Binary · boolean Bool · byte short int Int8 Int16 Int32 · long bigint Int64
 *   // float double Float32 Float64 · date DateDay · timestamp TimestampMillisecond · decimal Decimal128 · struct Struct
 */
export interface ArrowColumn {
  readonly name: string
  readonly type: DataType
  readonly nullable: boolean
  readonly length: number
  /** Rows to skip at the start of every buffer of this column (not of its children). */
  readonly offset: number
  readonly nullCount: number
  /** Bitmap, lowest bit first, 1 = valid; undefined = no nulls. */
  readonly validity: Uint8Array | undefined
  /** Of string and binary length + 1 offsets into `values`, of array and map into the one child. */
  readonly offsets: Int32Array | undefined
  /** Undefined for structs, arrays and maps. Booleans are bits, decimals 16 bytes each. */
  readonly values: ArrowValues | undefined
  readonly children: readonly ArrowColumn[]
}

export type ArrowValues = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array | BigInt64Array

/** The columns of a block, in place. They are good as long as the block is. */
export function arrowColumns(schema: StructType, block: BlockRef): ArrowColumn[] {
  const slots = columnSlots(schema)
  return slots.filter((slot) => slot.parent === -1).map((slot) => arrowColumn(slots, slot, block))
}

function arrowColumn(slots: readonly ColumnSlot[], slot: ColumnSlot, block: BlockRef): ArrowColumn {
  const { views, position } = block
  const { buffer, i32 } = views
  const rows = blockRowCount(views, position)
  const entry = directoryEntry(position, slot.index) >> 2
  const validity = i32[entry + (DIRECTORY_VALIDITY >> 2)] as number
  const valuesAt = i32[entry + (DIRECTORY_VALUES >> 2)] as number
  const bytesAt = i32[entry + (DIRECTORY_BYTES >> 2)] as number
  const at = position + valuesAt
  let offsets: Int32Array | undefined
  let values: ArrowValues | undefined
  let children: ArrowColumn[] | undefined
  if (slot.type.kind === 'array' || slot.type.kind === 'map') {
    const lists = readColumn(block, slots, slot.index) as (readonly unknown[] | null)[]
    offsets = new Int32Array(rows + 1)
    children = [elementColumn(slot.type, lists, offsets)]
  } else if (slot.physical === 'bytes') {
    offsets = valuesAt === 0 ? new Int32Array(rows + 1) : new Int32Array(buffer, at, rows + 1)
    values = valuesAt === 0 ? new Uint8Array(0) : new Uint8Array(buffer, position + bytesAt, offsets[rows])
  } else if (slot.physical !== 'struct') {
    values =
      valuesAt === 0 ? fixedValues(slot, new ArrayBuffer(rows * 16), 0, rows) : fixedValues(slot, buffer, at, rows)
  }
  return {
    name: slot.path[slot.path.length - 1] as string,
    type: slot.type,
    nullable: slot.nullable,
    length: rows,
    offset: 0,
    nullCount: i32[entry + (DIRECTORY_NULL_COUNT >> 2)] as number,
    validity: validity === 0 ? undefined : new Uint8Array(buffer, position + validity, (rows + 7) >> 3),
    offsets,
    values,
    children: children ?? slot.children.map((child) => arrowColumn(slots, slots[child] as ColumnSlot, block)),
  }
}

/** The elements of all rows as one column; the ends of the rows' arrays in it go into `offsets`. */
function elementColumn(
  type: ArrayType | MapType,
  lists: readonly (readonly unknown[] | null)[],
  offsets: Int32Array,
): ArrowColumn {
  const schema = elementSchema(type)
  const builder = new BlockBuilder(schema)
  lists.forEach((list, row) => {
    for (const element of list ?? []) builder.append([element])
    offsets[row + 1] = builder.rows
  })
  return arrowColumns(schema, builder.toBlock())[0] as ArrowColumn
}

/** Arrow's own names of the children of a list and a map. */
function elementSchema(type: ArrayType | MapType): StructType {
  const list = type.kind === 'map' ? entriesType(type) : type
  const name = type.kind === 'map' ? 'entries' : 'item'
  return structType([{ name, type: list.element, nullable: list.containsNull }])
}

function fixedValues(slot: ColumnSlot, buffer: ArrayBufferLike, at: number, rows: number): ArrowValues {
  switch (slot.physical) {
    case 'i8':
      return new Int8Array(buffer, at, rows)
    case 'i16':
      return new Int16Array(buffer, at, rows)
    case 'i32':
      return new Int32Array(buffer, at, rows)
    case 'i64':
      return new BigInt64Array(buffer, at, rows)
    case 'f32':
      return new Float32Array(buffer, at, rows)
    case 'f64':
      return new Float64Array(buffer, at, rows)
    case 'i128':
      return new Uint8Array(buffer, at, rows * 16)
    default:
      return new Uint8Array(buffer, at, (rows + 7) >> 3)
  }
}

/** A block of `rows` rows out of columns in Arrow's layout, checked against the schema as a block from a file is. */
export function blockFromArrow(schema: StructType, rows: number, columns: readonly ArrowColumn[]): BlockRef {
  const builder = new BlockBuilder(schema)
  builder.ensureRows(rows)
  const top = builder.slots.filter((slot) => slot.parent === -1)
  if (columns.length !== top.length) refuse(`found ${columns.length} columns, expected ${top.length}`)
  top.forEach((slot, i) => fill(builder, slot, columns[i] as ArrowColumn, rows, undefined))
  builder.rows = rows
  const block = builder.toBlock()
  checkBlock(block.views, block.position, blockByteLength(block.views, block.position), schema)
  return block
}

/** `parentValid` has 0 where the struct around is null: what Arrow holds there, null or not, does not count. */
function fill(
  builder: BlockBuilder,
  slot: ColumnSlot,
  source: ArrowColumn,
  rows: number,
  parentValid: Uint8Array | undefined,
): void {
  const column = builder.columns[slot.index] as ColumnBuffer
  const name = slot.path.join('.')
  if (source.length < rows) refuse(`column ${name} has ${source.length} rows, expected ${rows}`)
  const { offset, validity } = source
  if (validity !== undefined && source.nullCount !== 0) {
    if (validity.length * 8 < offset + rows)
      refuse(`column ${name}: the bitmap has ${validity.length} bytes for ${offset + rows} rows`)
    for (let row = 0; row < rows; row++) {
      if (parentValid !== undefined && parentValid[row] === 0) continue
      const bit = row + offset
      if ((((validity[bit >> 3] as number) >> (bit & 7)) & 1) === 0) {
        column.valid[row] = 0
        column.nullCount++
      }
    }
  }
  if (slot.physical === 'struct') {
    if (source.children.length !== slot.children.length)
      refuse(`column ${name} has ${source.children.length} fields, expected ${slot.children.length}`)
    let valid = parentValid
    if (column.nullCount > 0)
      valid = parentValid === undefined ? column.valid : column.valid.map((v, row) => v & (parentValid[row] as number))
    slot.children.forEach((child, i) =>
      fill(builder, builder.slots[child] as ColumnSlot, source.children[i] as ArrowColumn, rows, valid),
    )
    return
  }
  if (slot.type.kind === 'array' || slot.type.kind === 'map') {
    fillLists(builder, slot, slot.type, source, rows)
    return
  }
  const values = source.values
  if (values === undefined) refuse(`column ${name} has no values`)
  if (slot.physical === 'bytes') {
    fillBytes(builder, slot, source, rows, values)
    return
  }
  const width = slot.physical === 'i128' ? 16 : 1
  const elements = slot.physical === 'bits' ? (offset + rows + 7) >> 3 : (offset + rows) * width
  if (values.length < elements) refuse(`column ${name} has ${values.length} elements, expected ${elements}`)
  if (slot.physical === 'bits') {
    for (let row = 0; row < rows; row++)
      column.values[row] = ((values[(row + offset) >> 3] as number) >> ((row + offset) & 7)) & 1
  } else if (slot.physical === 'i64') {
    if (!(values instanceof BigInt64Array)) refuse(`column ${name} is no ${typeName(slot.type)} in Arrow's layout`)
    column.big?.set(values.subarray(offset, offset + rows))
    if (slot.type.kind !== 'bigint') checkSafe(column, rows, name)
  } else if (values instanceof BigInt64Array) {
    refuse(`column ${name} is no ${typeName(slot.type)} in Arrow's layout`)
  } else if (slot.physical === 'i128') {
    new Uint8Array(column.values.buffer).set(values.subarray(offset * 16, (offset + rows) * 16))
  } else column.values.set(values.subarray(offset, offset + rows))
}

function fillLists(
  builder: BlockBuilder,
  slot: ColumnSlot,
  type: ArrayType | MapType,
  source: ArrowColumn,
  rows: number,
): void {
  const column = builder.columns[slot.index] as ColumnBuffer
  const { offsets, offset } = source
  const name = slot.path.join('.')
  const [child] = source.children
  if (child === undefined || offsets === undefined || offsets.length < offset + rows + 1)
    refuse(`column ${name} has ${offsets?.length ?? 0} offsets, expected ${rows + 1}`)
  const schema = elementSchema(type)
  const block = blockFromArrow(schema, child.length, [child])
  const elements = readColumn(block, columnSlots(schema), 0)
  for (let row = 0; row < rows; row++) {
    const from = offsets[offset + row] as number
    const to = offsets[offset + row + 1] as number
    if (from < 0 || to < from || to > elements.length)
      refuse(`column ${name}, row ${row}: elements ${from}…${to} of ${elements.length}`)
    const bytes = encodeNested(type, column.valid[row] === 0 ? [] : elements.slice(from, to))
    const length = column.valid[row] === 0 ? 0 : bytes.length
    builder.ensureBytes(slot.index, column.bytesLength + length)
    column.bytes.set(bytes.subarray(0, length), column.bytesLength)
    column.bytesLength += length
    column.values[row + 1] = column.bytesLength
  }
}

function fillBytes(
  builder: BlockBuilder,
  slot: ColumnSlot,
  source: ArrowColumn,
  rows: number,
  values: ArrowValues,
): void {
  const column = builder.columns[slot.index] as ColumnBuffer
  const { offsets, offset } = source
  const name = slot.path.join('.')
  if (offsets === undefined || offsets.length < offset + rows + 1)
    refuse(`column ${name} has ${offsets?.length ?? 0} offsets, expected ${rows + 1}`)
  const first = offsets[offset] as number
  const length = (offsets[offset + rows] as number) - first
  if (first < 0 || length < 0 || first + length > values.length || !(values instanceof Uint8Array)) {
    refuse(`column ${name}: bytes ${first}…${first + length} of ${values.length}`)
  }
  builder.ensureBytes(slot.index, length)
  column.bytes.set(values.subarray(first, first + length))
  column.bytesLength = length
  for (let row = 0; row <= rows; row++) column.values[row] = (offsets[offset + row] as number) - first
}

/** A long or timestamp is read as a number, so it must be one that a number can hold. */
function checkSafe(column: ColumnBuffer, rows: number, name: string): void {
  const words = column.values
  for (let row = 0; row < rows; row++) {
    const high = words[2 * row + 1] as number
    if (high >= 0x200000 || high < -0x200000) {
      if (column.valid[row] === 0) {
        words[2 * row] = 0
        words[2 * row + 1] = 0
      } else refuse(`column ${name}, row ${row}: ${column.big?.[row]} is no safe integer; use bigint`)
    }
  }
}

function refuse(detail: string): never {
  throw new MillraceError('ARROW_MISMATCH', 'the Arrow columns do not fit the schema', {
    detail,
    hint: 'cast the column in Arrow first, or give the schema that the columns have',
  })
}
