import { MillraceError } from '../common/errors.js'
import {
  BLOCK_BYTE_LENGTH,
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC,
  BLOCK_ROW_COUNT,
  BLOCK_SLOT_COUNT,
  type BufferViews,
  DIRECTORY_BYTES,
  DIRECTORY_ENTRY_BYTES,
  DIRECTORY_NULL_COUNT,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
  directoryEntry,
} from './block.js'
import { type ColumnSlot, columnSlots, type PhysicalKind, type StructType } from './data-type.js'
import { nestedEnd } from './nested-value.js'

/**
 * Before a block that came from a file, or from anybody else, is read in place, it must be certain that no
 * reader can be led outside of it: this is where every length and offset in it is looked at once. Nothing
 * is allocated. A checksum tells of damage; this tells of malice and of bugs.
 */
export function checkBlock(views: BufferViews, position: number, limit: number, schema: StructType): void {
  checkSlots(views, position, limit, columnSlots(schema))
}

/** The same for slots made beforehand. */
export function checkSlots(views: BufferViews, position: number, limit: number, slots: readonly ColumnSlot[]): void {
  const end = Math.min(limit, views.u8.length)
  if (position < 0 || (position & 7) !== 0) corrupt(position, `starts at byte ${position}`, 'a multiple of 8')
  const first = BLOCK_HEADER_BYTES + slots.length * DIRECTORY_ENTRY_BYTES
  if (position + BLOCK_HEADER_BYTES > end) corrupt(position, `${end - position} bytes`, `at least ${first}`)
  const base = position >> 2
  const magic = views.i32[base] as number
  if (magic !== BLOCK_MAGIC) corrupt(position, `magic ${hex(magic)}`, hex(BLOCK_MAGIC))
  const byteLength = views.i32[base + (BLOCK_BYTE_LENGTH >> 2)] as number
  if ((byteLength & 7) !== 0 || byteLength < first || byteLength > end - position) {
    corrupt(position, `byteLength ${byteLength}`, `a multiple of 8 from ${first} to ${end - position}`)
  }
  const slotCount = views.i32[base + (BLOCK_SLOT_COUNT >> 2)] as number
  if (slotCount !== slots.length)
    corrupt(position, `slotCount ${slotCount}`, `${slots.length}, the slots of the schema`)
  const rows = views.i32[base + (BLOCK_ROW_COUNT >> 2)] as number
  if (rows < 0) corrupt(position, `rowCount ${rows}`, 'not negative')
  for (let s = 0; s < slots.length; s++) checkSlot(views, position, byteLength, rows, first, slots[s] as ColumnSlot)
}

function checkSlot(
  views: BufferViews,
  position: number,
  byteLength: number,
  rows: number,
  first: number,
  slot: ColumnSlot,
): void {
  const entry = directoryEntry(position, slot.index) >> 2
  const i32 = views.i32
  const validity = i32[entry + (DIRECTORY_VALIDITY >> 2)] as number
  const values = i32[entry + (DIRECTORY_VALUES >> 2)] as number
  const bytes = i32[entry + (DIRECTORY_BYTES >> 2)] as number
  const nullCount = i32[entry + (DIRECTORY_NULL_COUNT >> 2)] as number
  const name = slot.path.join('.')
  const fits = (offset: number, length: number, what: string): void => {
    if (offset < first || (offset & 7) !== 0 || length > byteLength - offset) {
      corrupt(
        position,
        `column ${name}: ${what} of ${length} bytes at offset ${offset}`,
        `a multiple of 8 from ${first}, within ${byteLength} bytes`,
      )
    }
  }
  if (nullCount < 0 || nullCount > rows) corrupt(position, `column ${name}: nullCount ${nullCount}`, `0 to ${rows}`)
  if (nullCount > 0 && !slot.nullable)
    corrupt(position, `column ${name}: ${nullCount} nulls`, 'none, the column is not nullable')
  if (validity === 0) {
    if (nullCount !== 0) corrupt(position, `column ${name}: nullCount ${nullCount} without a bitmap`, '0')
  } else {
    fits(validity, Math.ceil(rows / 8), 'bitmap')
    const nulls = rows - countBits(views.u8, position + validity, rows)
    if (nulls !== nullCount) corrupt(position, `column ${name}: nullCount ${nullCount}`, `${nulls}, as the bitmap says`)
  }
  if (slot.physical === 'struct') {
    if (values !== 0 || bytes !== 0) corrupt(position, `column ${name}: a struct with values at ${values}`, 'none')
    return
  }
  if (values === 0) {
    if (nullCount !== rows)
      corrupt(position, `column ${name}: ${rows - nullCount} values that are nowhere`, 'an offset of the values')
    if (bytes !== 0) corrupt(position, `column ${name}: bytes at ${bytes} without offsets`, '0')
    return
  }
  if (slot.physical !== 'bytes') {
    fits(values, valuesLength(slot.physical, rows), 'values')
    if (bytes !== 0) corrupt(position, `column ${name}: bytes at ${bytes}`, '0')
    return
  }
  fits(values, (rows + 1) * 4, 'offsets')
  const offsets = (position + values) >> 2
  let before = 0
  if (i32[offsets] !== 0) corrupt(position, `column ${name}: first offset ${i32[offsets]}`, '0')
  for (let row = 1; row <= rows; row++) {
    const offset = i32[offsets + row] as number
    if (offset < before)
      corrupt(position, `column ${name}: offset ${offset} of row ${row} after ${before}`, 'offsets that do not fall')
    before = offset
  }
  fits(bytes, before, 'bytes')
  if (slot.type.kind !== 'array' && slot.type.kind !== 'map') return
  const start = position + bytes
  for (let row = 0; row < rows; row++) {
    if (validity !== 0 && ((views.u8[position + validity + (row >> 3)] as number) & (1 << (row & 7))) === 0) continue
    const from = i32[offsets + row] as number
    const to = i32[offsets + row + 1] as number
    // A row under a null struct is not null itself and has no bytes.
    if (from === to && slot.parent !== -1) continue
    if (nestedEnd(slot.type, views.u8, start + from, start + to) !== start + to)
      corrupt(position, `column ${name}: row ${row} is no ${slot.type.kind}`, `one of ${to - from} bytes`)
  }
}

function valuesLength(physical: Exclude<PhysicalKind, 'struct' | 'bytes'>, rows: number): number {
  switch (physical) {
    case 'bits':
      return Math.ceil(rows / 8)
    case 'i8':
      return rows
    case 'i16':
      return rows * 2
    case 'i32':
    case 'f32':
      return rows * 4
    case 'i64':
    case 'f64':
      return rows * 8
    case 'i128':
      return rows * 16
  }
}

function countBits(u8: Uint8Array, at: number, bits: number): number {
  let count = 0
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) count += bitsOfByte(u8[at + i] as number)
  const rest = bits & 7
  return rest === 0 ? count : count + bitsOfByte((u8[at + whole] as number) & ((1 << rest) - 1))
}

function bitsOfByte(byte: number): number {
  let b = byte - ((byte >> 1) & 0x55)
  b = (b & 0x33) + ((b >> 2) & 0x33)
  return (b + (b >> 4)) & 0x0f
}

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0')

function corrupt(position: number, found: string, expected: string): never {
  throw new MillraceError('BLOCK_CORRUPT', `the block at byte ${position} is corrupt`, {
    detail: `found ${found}; expected ${expected}`,
    hint: 'the file was damaged, or written with another schema',
  })
}
