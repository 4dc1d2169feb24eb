import type { FileSystem } from '../common/env.js'

/**
 * Kafka's time index: the greatest timestamp seen up to an offset. Timestamps and offsets both grow from entry to
 * entry, whatever order the records' own times have. Rebuilt after a crash like the offset index.
 *
 *   // offset  size  field
 *   //      0     8  timestamp        greatest in the segment so far
 *   //      8     4  relativeOffset   last offset of the batch that brought it, less the segment's base offset
 */
export const TIME_ENTRY_BYTES = 12

export class TimeIndex {
  readonly #entries: DataView
  readonly count: number

  constructor(bytes: Uint8Array) {
    this.count = Math.floor(bytes.length / TIME_ENTRY_BYTES)
    this.#entries = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  static load(fs: FileSystem, path: string): TimeIndex {
    return new TimeIndex(fs.exists(path) ? fs.readFile(path) : new Uint8Array(0))
  }

  timestamp(entry: number): number {
    return Number(this.#entries.getBigInt64(entry * TIME_ENTRY_BYTES))
  }

  relativeOffset(entry: number): number {
    return this.#entries.getInt32(entry * TIME_ENTRY_BYTES + 8)
  }

  /** The last entry whose timestamp is below `timestamp`: up to its offset every record is older. -1 where there is none. */
  entryBelow(timestamp: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timestamp(middle) < timestamp) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Greatest timestamp that the index knows of. */
  maxTimestamp(): number {
    return this.count === 0 ? -1 : this.timestamp(this.count - 1)
  }

  fault(): string | undefined {
    if (this.#entries.byteLength % TIME_ENTRY_BYTES !== 0)
      return `${this.#entries.byteLength} bytes are no whole entries`
    for (let i = 1; i < this.count; i++) {
      if (this.timestamp(i) <= this.timestamp(i - 1) || this.relativeOffset(i) < this.relativeOffset(i - 1)) {
        return `entry ${i} is not above the one before it`
      }
    }
    return undefined
  }
}
