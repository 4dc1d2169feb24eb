import type { FileSystem } from '../common/env.js'

/**
 * Kafka's sparse offset index: from an offset to a place in the segment file at or before it. Not checksummed;
 * it is rebuilt from the log after a crash, and a lookup only says where to begin to look.
 *
 *   // offset  size  field
 *   //      0     4  relativeOffset   last offset of the batch at `position`, less the segment's base offset
 *   //      4     4  position         of that batch in the .log file
 */
export const OFFSET_ENTRY_BYTES = 8

export class OffsetIndex {
  readonly #entries: DataView
  readonly count: number

  constructor(bytes: Uint8Array) {
    this.count = Math.floor(bytes.length / OFFSET_ENTRY_BYTES)
    this.#entries = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  static load(fs: FileSystem, path: string): OffsetIndex {
    return new OffsetIndex(fs.exists(path) ? fs.readFile(path) : new Uint8Array(0))
  }

  relativeOffset(entry: number): number {
    return this.#entries.getInt32(entry * OFFSET_ENTRY_BYTES)
  }

  position(entry: number): number {
    return this.#entries.getInt32(entry * OFFSET_ENTRY_BYTES + 4)
  }

  /** Position of the greatest entry at or below the offset; 0 where there is none. */
  lookup(relativeOffset: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.relativeOffset(middle) <= relativeOffset) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : this.position(low - 1)
  }

  /** Why the index cannot belong to a segment of `logBytes`; undefined where it can. */
  fault(logBytes: number): string | undefined {
    if (this.#entries.byteLength % OFFSET_ENTRY_BYTES !== 0)
      return `${this.#entries.byteLength} bytes are no whole entries`
    for (let i = 0; i < this.count; i++) {
      if (this.position(i) < 0 || this.position(i) >= logBytes)
        return `entry ${i} points at byte ${this.position(i)} of ${logBytes}`
      if (i === 0 ? this.relativeOffset(0) < 0 : this.relativeOffset(i) <= this.relativeOffset(i - 1)) {
        return `entry ${i} is not above the one before it`
      }
    }
    return undefined
  }
}
