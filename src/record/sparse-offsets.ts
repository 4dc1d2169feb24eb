import type { BufferViews } from '../types/block.js'
import { align8, blockByteLength } from '../types/block.js'
import { batchAttributes, COLUMNS_PAYLOAD_OFFSET, LAST_OFFSET_DELTA } from './batch-header.js'

/**
 * Offsets of the rows of a typed batch that compaction has taken rows out of. A block has no column for them: row r of a batch as it was sent
 * has the offset base + r. A compacted one says them behind its block, and has attribute bit 13 for it:
 *
 *   // offset  size  field
 *   //     64     …  block
 *   //      …   4 n  offsetDelta    of each row to the batch's baseOffset, ascending, little-endian like the block
 *   //               zeros to a multiple of 8
 *
 * First and last offset of the batch are those that it was sent with. A batch of which no row is left has no block: it ends at byte 64.
 */
export const SPARSE_OFFSETS = 1 << 13

/** Int32 index of the deltas in the views; -1 where row r has delta r. */
export function deltasAt(views: BufferViews, position: number): number {
  if ((batchAttributes(views.dv, position) & SPARSE_OFFSETS) === 0) return -1
  const block = position + COLUMNS_PAYLOAD_OFFSET
  return (block + blockByteLength(views, block)) >> 2
}

export function sparseBytes(rows: number): number {
  return align8(rows * 4)
}

/** Offset of a row, less the base offset. */
export function offsetDelta(views: BufferViews, deltas: number, row: number): number {
  return deltas === -1 ? row : (views.i32[deltas + row] as number)
}

/** The first of `rows` rows whose offset is at least base + `delta`; `rows` where there is none. */
export function firstRowFrom(views: BufferViews, deltas: number, rows: number, delta: number): number {
  if (deltas === -1) return Math.max(0, Math.min(rows, delta))
  let low = 0
  let high = rows
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((views.i32[deltas + middle] as number) < delta) low = middle + 1
    else high = middle
  }
  return low
}

/** Why the deltas of a batch of `byteLength` bytes cannot be right; undefined where they can. */
export function sparseFault(
  views: BufferViews,
  position: number,
  byteLength: number,
  rows: number,
): string | undefined {
  const deltas = deltasAt(views, position)
  if (deltas === -1) return undefined
  if (rows === 0) return 'a batch without rows has offsets for them'
  const end = deltas * 4 + sparseBytes(rows)
  if (end !== position + byteLength) return `offsets of ${rows} rows end at byte ${end - position} of ${byteLength}`
  const last = views.dv.getInt32(position + LAST_OFFSET_DELTA)
  let before = -1
  for (let row = 0; row < rows; row++) {
    const delta = views.i32[deltas + row] as number
    if (delta <= before || delta > last) return `offset delta ${delta} of row ${row}, expected ${before + 1} to ${last}`
    before = delta
  }
  return undefined
}
