import type { FileSystem } from '../common/env.js'
import { readInt64BE, writeInt64BE } from '../record/batch-header.js'

/**
 * Kafka's index of aborted transactions, one file for each segment that an abort marker lies in; a segment without one has no file.
 * Entries are appended in the order of the markers, so `lastOffset` grows from entry to entry, and so does `lastStableOffset`; `firstOffset` need not.
 * Not checksummed; it can be built anew from the log.
 *
 *   // offset  size  field
 *   //      0     2  version            0
 *   //      2     8  producerId
 *   //     10     8  firstOffset        of the transaction in this partition
 *   //     18     8  lastOffset         of its abort marker
 *   //     26     8  lastStableOffset   when the marker had been written
 */
export const ABORTED_ENTRY_BYTES = 34

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly lastStableOffset: number
}

export function encodeAborted(aborted: AbortedTransaction): Uint8Array {
  const bytes = new Uint8Array(ABORTED_ENTRY_BYTES)
  const dv = new DataView(bytes.buffer)
  dv.setInt16(0, 0)
  writeInt64BE(dv, 2, aborted.producerId)
  writeInt64BE(dv, 10, aborted.firstOffset)
  writeInt64BE(dv, 18, aborted.lastOffset)
  writeInt64BE(dv, 26, aborted.lastStableOffset)
  return bytes
}

export class TransactionIndex {
  readonly #entries: DataView
  readonly count: number

  constructor(bytes: Uint8Array) {
    this.count = Math.floor(bytes.length / ABORTED_ENTRY_BYTES)
    this.#entries = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  static load(fs: FileSystem, path: string): TransactionIndex {
    return new TransactionIndex(fs.exists(path) ? fs.readFile(path) : new Uint8Array(0))
  }

  entry(i: number): AbortedTransaction {
    const at = i * ABORTED_ENTRY_BYTES
    return {
      producerId: readInt64BE(this.#entries, at + 2),
      firstOffset: readInt64BE(this.#entries, at + 10),
      lastOffset: readInt64BE(this.#entries, at + 18),
      lastStableOffset: readInt64BE(this.#entries, at + 26),
    }
  }

  /** Aborted transactions that have records in [fromOffset, toOffset), in the order of their markers. */
  overlapping(fromOffset: number, toOffset: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = []
    for (let i = 0; i < this.count; i++) {
      const aborted = this.entry(i)
      if (aborted.lastOffset >= fromOffset && aborted.firstOffset < toOffset) found.push(aborted)
    }
    return found
  }

  /** True where no transaction of a later segment can have been aborted that began below `toOffset`. */
  covers(toOffset: number): boolean {
    for (let i = this.count - 1; i >= 0; i--) if (this.entry(i).lastStableOffset >= toOffset) return true
    return false
  }

  /** Why the file cannot belong to a segment that begins at `baseOffset`; undefined where it can. */
  fault(baseOffset: number): string | undefined {
    const bytes = this.#entries.byteLength
    if (bytes % ABORTED_ENTRY_BYTES !== 0) return `${bytes} bytes are no whole entries of ${ABORTED_ENTRY_BYTES}`
    let lastBefore = baseOffset - 1
    for (let i = 0; i < this.count; i++) {
      const version = this.#entries.getInt16(i * ABORTED_ENTRY_BYTES)
      if (version !== 0) return `entry ${i} has version ${version}, expected 0`
      const { firstOffset, lastOffset, lastStableOffset } = this.entry(i)
      if (firstOffset < 0 || firstOffset > lastOffset || lastStableOffset < 0)
        return `entry ${i} goes from offset ${firstOffset} to ${lastOffset}, last stable offset ${lastStableOffset}`
      if (lastOffset <= lastBefore) return `entry ${i} ends at offset ${lastOffset}, expected more than ${lastBefore}`
      lastBefore = lastOffset
    }
    return undefined
  }
}
