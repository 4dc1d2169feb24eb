import type { Env, FileHandle } from '../common/env.js'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchByteLength,
  batchMaxTimestamp,
  nextOffsetOf,
} from '../record/batch-header.js'
import { viewsOf } from '../types/block.js'
import { headerFault } from './batch-check.js'
import { OffsetIndex } from './offset-index.js'
import { segmentPath } from './segment-files.js'
import { TimeIndex } from './time-index.js'

/**
 * How old a segment is, by which retention deletes it. The last entry of its time index says so; but an index has no checksum, and one whose last
 * bytes the power has taken, or a disk has changed, can name any time. So the entry is held against the batch that it names, and where
 * that says otherwise the headers of all batches are asked.
 */
export function maxTimestampOf(env: Env, directory: string, baseOffset: number, size: number): number {
  const times = TimeIndex.load(env.fs, segmentPath(directory, baseOffset, 'timeindex'))
  const handle = env.fs.open(segmentPath(directory, baseOffset, 'log'), 'read')
  try {
    if (times.count > 0 && lastTimeHolds(env, handle, directory, baseOffset, size, times)) return times.maxTimestamp()
    let greatest = -1
    const walk = new HeaderWalk(handle, size, 0)
    while (walk.next()) greatest = Math.max(greatest, batchMaxTimestamp(walk.dv, 0))
    // Behind damage nothing is known, so nothing is too old. A segment in which nothing says a time is as old as can be.
    return walk.isWhole ? greatest : Number.MAX_SAFE_INTEGER
  } finally {
    handle.close()
  }
}

/** The batch that the last entry of a time index names has its time. */
export function lastTimeHolds(
  env: Env,
  handle: FileHandle,
  directory: string,
  baseOffset: number,
  size: number,
  times: TimeIndex,
): boolean {
  if (times.fault() !== undefined) return false
  const entry = times.count - 1
  const offset = baseOffset + times.relativeOffset(entry)
  const offsets = OffsetIndex.load(env.fs, segmentPath(directory, baseOffset, 'index'))
  const near = offsets.fault(size) === undefined ? offsets.lookup(times.relativeOffset(entry)) : 0
  for (const from of near === 0 ? [0] : [near, 0]) {
    const walk = new HeaderWalk(handle, size, from)
    while (walk.next()) {
      const base = baseOffsetOf(walk.dv, 0)
      // The offset index is no more to be believed: what it names must be a batch before the one that is looked for.
      if (base > offset || base < baseOffset) break
      if (nextOffsetOf(walk.dv, 0) > offset) return batchMaxTimestamp(walk.dv, 0) === times.timestamp(entry)
    }
  }
  return false
}

/** From one batch header to the next, without what lies between them. */
class HeaderWalk {
  readonly #peek = viewsOf(new ArrayBuffer(64))
  #position: number
  #length = 0
  /** Every header so far was one. */
  isWhole = true

  constructor(
    readonly handle: FileHandle,
    readonly size: number,
    from: number,
  ) {
    this.#position = from
  }

  get dv(): DataView {
    return this.#peek.dv
  }

  next(): boolean {
    this.#position += this.#length
    if (this.#position >= this.size) return false
    const bytes = this.handle.read(this.#peek.u8, this.#position)
    if (bytes < BATCH_HEADER_BYTES || headerFault(this.dv, 0, this.size - this.#position) !== undefined) {
      this.isWhole = false
      return false
    }
    this.#length = batchByteLength(this.dv, 0)
    return true
  }
}
