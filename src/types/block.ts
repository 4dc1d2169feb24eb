import { assert } from '../common/assert.js'

/**
 * A block is a batch of rows as columns, at one place of one buffer. It is the only shape in which rows
 * lie anywhere: payload of a typed record batch in the log, frame of a channel between threads, delta and
 * snapshot of state. Nobody parses it: a reader keeps (views, position) and indexes the buffers in place.
 *
 *   // offset  size        field
 *   //      0     4        magic          'MCB1', little-endian like everything in a block
 *   //      4     4        byteLength     of the whole block, a multiple of 8
 *   //      8     4        rowCount
 *   //     12     4        slotCount      physical columns, see columnSlots()
 *   //     16     16 each  directory      one entry a slot:
 *   //                       +0  validity   offset of the bitmap from the block's start, 0 = no value is null
 *   //                       +4  values     offset of the values (for `bytes`: of rowCount + 1 int32 ends), 0 = every value is null
 *   //                       +8  bytes      offset of the bytes of a `bytes` column, else 0
 *   //                       +12 nullCount
 *   //      …              buffers, each starting at a multiple of 8
 *
 * The values are in Arrow's physical layout (bitmaps least significant bit first, 1 = valid; int32 offsets
 * that start at 0 and count from the `bytes` offset; little-endian fixed width), so a block becomes an
 * Arrow record batch without touching a value. A block starts at a multiple of 8 of its buffer.
 */
export const BLOCK_MAGIC = 0x3142434d
export const BLOCK_HEADER_BYTES = 16
export const BLOCK_BYTE_LENGTH = 4
export const BLOCK_ROW_COUNT = 8
export const BLOCK_SLOT_COUNT = 12
export const DIRECTORY_ENTRY_BYTES = 16
export const DIRECTORY_VALIDITY = 0
export const DIRECTORY_VALUES = 4
export const DIRECTORY_BYTES = 8
export const DIRECTORY_NULL_COUNT = 12

/** Every way to look at one buffer; made once per buffer, since making a view costs as much as reading ten rows. */
export interface BufferViews {
  readonly buffer: ArrayBufferLike
  readonly u8: Uint8Array
  readonly i8: Int8Array
  readonly i16: Int16Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly f32: Float32Array
  readonly f64: Float64Array
  readonly dv: DataView
  /** For latin1Slice, utf8Slice and file reads and writes. */
  readonly node: Buffer
}

/** `buffer.byteLength` must be a multiple of 8. */
export function viewsOf(buffer: ArrayBufferLike): BufferViews {
  assert(buffer.byteLength % 8 === 0, `buffer of ${buffer.byteLength} bytes is not a multiple of 8`)
  return {
    buffer,
    u8: new Uint8Array(buffer),
    i8: new Int8Array(buffer),
    i16: new Int16Array(buffer),
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
    dv: new DataView(buffer),
    node: Buffer.from(buffer),
  }
}

/** A block somewhere: what passes between rooms within one thread. */
export interface BlockRef {
  readonly views: BufferViews
  /** Byte position of the block in the buffer, a multiple of 8. */
  readonly position: number
}

export function blockByteLength(views: BufferViews, position: number): number {
  return views.i32[(position + BLOCK_BYTE_LENGTH) >> 2] as number
}

export function blockRowCount(views: BufferViews, position: number): number {
  return views.i32[(position + BLOCK_ROW_COUNT) >> 2] as number
}

/** Absolute byte position of a slot's directory entry. */
export function directoryEntry(position: number, slot: number): number {
  return position + BLOCK_HEADER_BYTES + slot * DIRECTORY_ENTRY_BYTES
}

export const align8 = (n: number): number => (n + 7) & ~7
