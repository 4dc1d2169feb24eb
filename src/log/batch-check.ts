import { crc32c } from '../common/checksum.js'
import {
  ATTRIBUTES,
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  batchByteLength,
  CRC,
  LAST_OFFSET_DELTA,
  MAGIC,
  RECORD_COUNT,
} from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import { BATCH_BYTES_MAX } from './limits.js'

/**
 * Whether the bytes at a position are a whole record batch, in two steps, since a file is read in pieces: the header says how
 * much is needed, the checksum needs it all. Every length is held against what is there before it is used.
 */

/** Undefined where `available` bytes at `position` begin with a plausible header of a batch that they hold whole. */
export function headerFault(dv: DataView, position: number, available: number): string | undefined {
  if (available < BATCH_HEADER_BYTES) return `${available} bytes left, a batch header has ${BATCH_HEADER_BYTES}`
  const magic = dv.getInt8(position + MAGIC)
  if (magic !== BATCH_MAGIC) return `magic is ${magic}, expected ${BATCH_MAGIC}`
  const bytes = batchByteLength(dv, position)
  if (bytes < BATCH_HEADER_BYTES || bytes > BATCH_BYTES_MAX) {
    return `length is ${bytes} bytes, expected ${BATCH_HEADER_BYTES} to ${BATCH_BYTES_MAX}`
  }
  if (bytes > available) return `length is ${bytes} bytes, ${available} are there`
  const lastOffsetDelta = dv.getInt32(position + LAST_OFFSET_DELTA)
  const records = dv.getInt32(position + RECORD_COUNT)
  if (lastOffsetDelta < 0 || records < 0 || records > lastOffsetDelta + 1) {
    return `${records} records with last offset delta ${lastOffsetDelta}`
  }
  return undefined
}

/** After {@link headerFault} found nothing. */
export function checksumFault(views: BufferViews, position: number): string | undefined {
  const stored = views.dv.getUint32(position + CRC)
  const computed = crc32c(views.u8, position + ATTRIBUTES, position + batchByteLength(views.dv, position))
  if (stored === computed) return undefined
  return `stored crc ${hex(stored)}, computed crc ${hex(computed)}`
}

const hex = (n: number): string => n.toString(16).padStart(8, '0')
