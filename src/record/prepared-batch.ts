import { MillraceError } from '../common/errors.js'

/** Rows [from, to) of a builder's scratch, which become one record batch of one partition. */
export interface PreparedBatch {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly records: number
  /** Of the whole batch, header included. */
  readonly byteLength: number
  readonly maxTimestamp: number
}

/** A batch is read whole, so it may not be larger than this; Kafka's message.max.bytes. */
export const BATCH_BYTES_MAX = 1 << 20

/** A key, value or list of headers of more is refused before it is looked at: no topic takes it, and lengths beyond 2^31 are none to reckon with. */
export const FIELD_BYTES_MAX = 1 << 26

export function recordTooLarge(path: string, bytes: number | string, bytesMax: number): MillraceError {
  return new MillraceError('RECORD_TOO_LARGE', `${path} is too large`, {
    detail: `found ${bytes} bytes as a record batch of its own, expected at most ${bytesMax}`,
    hint: 'keep large values elsewhere and put a reference into the record',
  })
}

/**
 * Cuts rows [from, to) into runs whose batches are not over `bytesAim`, unless a row alone is, and never over `bytesMax`. `bytesOf` tells the size of a batch.
 * Calls `emit` for each run in order; returns the row that alone is too large, or -1.
 */
export function cutBatches(
  from: number,
  to: number,
  bytesMax: number,
  bytesOf: (from: number, to: number) => number,
  emit: (from: number, to: number, bytes: number) => void,
  bytesAim = bytesMax,
): number {
  const aim = Math.min(bytesAim, bytesMax)
  for (let at = from; at < to; ) {
    let count = to - at
    let bytes = bytesOf(at, at + count)
    while (bytes > aim) {
      if (count === 1 && bytes > bytesMax) return at
      if (count === 1) break
      // Aim a little below, so that the next try mostly fits.
      count = Math.max(1, Math.min(count - 1, Math.floor((count * aim * 0.98) / bytes)))
      bytes = bytesOf(at, at + count)
    }
    emit(at, at + count, bytes)
    at += count
  }
  return -1
}

/** Of values [from, to). */
export function greatest(values: Float64Array, from: number, to: number): number {
  let max = values[from] as number
  for (let i = from + 1; i < to; i++) {
    const value = values[i] as number
    if (value > max) max = value
  }
  return max
}
